"""What decides the result of the study: the networks, how they are trained, and how chips are tested."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal

import torch
from pydantic import Field, InstanceOf
from torch import nn

import mho
from mho.config import Count, Fraction, NonNegative, Positive, config
from mho.experiments.fitting import Schedule, chip_seed
from mho.experiments.hwa.tasks import Task, Vision
from mho.training import Distillation, DriftNoise, FixedClip, Recipe, WeightClip, WeightNoise, presets

HOUR, DAY, MONTH, YEAR = 3_600.0, 86_400.0, 2_628_000.0, 31_536_000.0
RAW, GLOBAL, COLUMN, AFFINE, NORMS = "raw", "global", "column", "affine", "batch norm"
CORRECTIONS = (RAW, GLOBAL, COLUMN, AFFINE, NORMS)


@config
class Course(Schedule):
    """How a network is trained.

    Attributes:
        epochs: times that each item of the training part is seen.
        learning_rate: the highest rate.
        batch: items in a step.
        momentum: of SGD, Nesterov's.
        weight_decay: pull of every weight towards zero.
        last_rate: the rate that the fall ends at, as a fraction of the highest.
        optimizer: ``"sgd"`` or ``"adamw"``.
        warm_up: part of the steps in which the rate rises from zero.
        decay: how the rate falls: along a ``"cosine"`` or a line (``"linear"``), or to a quarter whenever the
            loss of an epoch is no lower than before (``"plateau"``).
        clip_norm: largest norm of the whole gradient.
    """

    weight_decay: NonNegative = 0.0
    optimizer: Literal["sgd", "adamw"] = "sgd"
    warm_up: Fraction = 0.1
    decay: Literal["cosine", "linear", "plateau"] = "cosine"
    clip_norm: Positive = 1.0

    def falling(self, done: float) -> float:
        """See :meth:`Schedule.falling`."""
        return super().falling(done) if self.decay == "cosine" else 1 - done

    def made(self, network: nn.Module) -> torch.optim.Optimizer:
        """See :meth:`Schedule.made`."""
        if self.optimizer == "sgd":
            return super().made(network)
        parameters = [p for p in network.parameters() if p.requires_grad]
        return torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)

    def scheduler(self, optimizer: torch.optim.Optimizer, items: int) -> torch.optim.lr_scheduler.LRScheduler:
        """The scheduler, stepped after each step (one for plateaus: after each epoch)."""
        if self.decay == "plateau":
            return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.25, patience=0)
        return super().scheduler(optimizer, items)


class InTheLoop(ABC):
    """What hardware-aware training does to the weights, beside the converters of the hardware."""

    @abstractmethod
    def recipe(self, course: Course, items: int) -> Recipe:
        """The recipe for a training on so many items."""


@config
class NoiseAndClip(InTheLoop):
    """Weights clipped, and noise on them that rises over the first steps.

    Attributes:
        noise: standard deviation, as a fraction of the largest weight of a layer.
        clip: standard deviations of a layer's weights at which they are clipped.
        ramp: part of the steps over which the noise rises.
    """

    noise: NonNegative = 0.1
    clip: Positive = 2.5
    ramp: Fraction = 0.2

    def recipe(self, course: Course, items: int) -> Recipe:
        """See :meth:`InTheLoop.recipe`."""
        noise = WeightNoise(std=self.noise, ramp_steps=round(self.ramp * course.steps(items)))
        return Recipe(modifiers=(WeightClip(sigmas=self.clip), noise))


@config
class DriftAndClip(InTheLoop):
    """Weights clipped, and in each step the errors of a chip of the study's own device after a time in use.

    Attributes:
        limit: magnitude at which the weights are clipped.
        first, last: the span of times, seconds after programming; one is drawn in each step, uniform in its
            logarithm.
        strength: factor on the errors.
        ramp: part of the steps over which the errors rise.
    """

    limit: Positive = 1.0
    first: Positive = MONTH
    last: Positive = YEAR
    strength: Positive = 1.0
    ramp: Fraction = 0.2

    def validate(self) -> None:
        """The span runs forward: said here, not after a teacher was trained."""
        self._drift(0)

    def recipe(self, course: Course, items: int) -> Recipe:
        """See :meth:`InTheLoop.recipe`."""
        drift = self._drift(round(self.ramp * course.steps(items)))
        return Recipe(modifiers=(FixedClip(limit=self.limit), drift))

    def _drift(self, ramp_steps: int) -> DriftNoise:
        return DriftNoise(first=self.first, last=self.last, strength=self.strength, ramp_steps=ramp_steps)


@config
class Published(InTheLoop):
    """A recipe of a published study.

    Attributes:
        preset: which of :mod:`mho.training.presets`.
    """

    preset: Literal["wide_resnet", "lstm", "bert"] = "wide_resnet"

    def recipe(self, course: Course, items: int) -> Recipe:
        """See :meth:`InTheLoop.recipe`."""
        made: Recipe = getattr(presets, self.preset)(course.steps_per_epoch(items))
        return made


def usual_hardware() -> mho.Hardware:
    """The chip of all three modalities: phase-change memory, 256 x 256 arrays, 8-bit converters."""
    return mho.Hardware(
        device=mho.devices.PCM(),
        tile=mho.Tile(rows=256, columns=256),
        dac=mho.DAC(bits=8),
        adc=mho.ADC(bits=8),
    )


@config
class HWAStudy:
    """Everything that decides the trained networks of one modality.

    Attributes:
        task: the data and the network.
        hardware: the chip; embeddings stay digital.
        teaching: how the digital teacher is trained.
        tuning: the further training of the students.
        aware_tuning: that of the hardware-aware student, where its rate is not that of the plain one; as
            many steps of the same batches. None for the same course.
        distillation: how both students learn from the teacher; None for the labels alone.
        in_the_loop: what the hardware-aware student's tuning does beside.
        calibration: training items, the first ones, that converters, affine corrections and batch
            normalisations are measured on.
        seed: names all random numbers: weights, training, chips and reads.
    """

    task: InstanceOf[Task] = Vision()
    hardware: mho.Hardware = Field(default_factory=usual_hardware)
    teaching: Course = Course(epochs=20, learning_rate=0.05, weight_decay=5e-4)
    tuning: Course = Course(epochs=10, learning_rate=0.02, weight_decay=5e-4)
    aware_tuning: Course | None = None
    distillation: Distillation | None = Distillation()
    in_the_loop: InstanceOf[InTheLoop] = NoiseAndClip()
    calibration: Count = 256
    seed: int = 0

    def validate(self) -> None:
        """Both students must see the same batches, as often."""
        aware, plain = self.aware_tuning, self.tuning
        if aware is not None and (aware.epochs, aware.batch) != (plain.epochs, plain.batch):
            raise ValueError(
                f"aware_tuning has {aware.epochs} epochs of batches of {aware.batch}, tuning {plain.epochs} "
                f"of {plain.batch}: give both students the same, or the comparison is not fair"
            )

    @property
    def aware_course(self) -> Course:
        """How the hardware-aware student is trained."""
        return self.tuning if self.aware_tuning is None else self.aware_tuning

    def chip_seed(self, chip: int) -> int:
        """The seed of ``mho.program`` for the chip of this number, the same for both students.

        No training draws from it.
        """
        return chip_seed(self.seed, chip)


@config
class ChipTest:
    """How many chips are tested, and when.

    Attributes:
        chips: chips that each student is programmed on.
        times: seconds since programming at which each chip is tested, rising.
        idealised_chips: chips of the idealised protocol, which differ in their programming error only.
        idealised_nu: the one drift exponent of the idealised protocol.
    """

    chips: Count = 10
    times: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1.0, HOUR, DAY, YEAR)
    idealised_chips: Count = 3
    idealised_nu: NonNegative = 0.06

    def validate(self) -> None:
        """The times must rise, and begin when the idealised drift does."""
        if any(later <= earlier for earlier, later in zip(self.times, self.times[1:], strict=False)):
            raise ValueError(f"times = {self.times}: they must rise, without repetition; sort them")
        if self.times[0] < 1:
            raise ValueError(f"times = {self.times}: drift is described from 1 s on")

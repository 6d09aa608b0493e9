"""The networks of one study: a digital teacher, and its students with and without the hardware in the loop.

Both students start from the teacher's weights and get the same number of steps over the same batches, with
the same teacher. A third one, the plain student trained once more for as long, tells how far the plain one is
from where it would end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mho
from mho import random
from mho.converters import Learned
from mho.experiments.fitting import seeded
from mho.experiments.hwa.study import Course, HWAStudy
from mho.experiments.hwa.tasks import Problem
from mho.experiments.progress import Progress
from mho.experiments.store import Store
from mho.training import Epoch, attach, detach, fit

TEACHER, PLAIN, LONGER, AWARE = "teacher", "plain", "plain-longer", "hardware-aware"
ARMS = (PLAIN, AWARE)
STUDENTS = (AWARE, PLAIN, LONGER)
SAVE_EVERY = 500  # steps between two checkpoints within an epoch


class MissingNetworkError(ValueError):
    """A network was to be tested that was not trained."""


class Batches:
    """The training part in batches, in an order that a generator draws anew for each epoch."""

    def __init__(self, problem: Problem, size: int, generator: torch.Generator) -> None:
        self.problem, self.size, self.generator = problem, size, generator

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        inputs, targets = self.problem.train.tensors
        for chosen in torch.randperm(len(inputs), generator=self.generator).split(self.size):
            yield self.problem.augmented(inputs[chosen], self.generator), targets[chosen]


class Networks:
    """Trains, stores and loads the networks of one study.

    Args:
        study: the configuration.
        problem: its data; the test part is only used to report.
        store: where trained networks lie.
        progress: told after each epoch.
        device: the torch device that computes.
    """

    def __init__(
        self, study: HWAStudy, problem: Problem, store: Store, progress: Progress, device: torch.device
    ) -> None:
        self.study, self.problem, self.store = study, problem, store
        self.progress, self.device = progress, device

    def train(self, name: str) -> None:
        """Train a network, or go on with a training that was stopped, and store it."""
        if self.store.has(name):
            return
        start, cpu = time.perf_counter(), time.process_time()
        with seeded(self.study.seed, "training", name):
            network, loss = self._made(name)
        facts = {
            **self.digital_errors(network),
            "loss": loss,
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - cpu,
        }
        self.store.save_network(name, _trained(network), facts)
        self._checkpoint(name).unlink(missing_ok=True)

    def digital_errors(self, network: nn.Module) -> dict[str, float]:
        """Validation and test error of a network without a chip."""
        digital = mho.revert(network)
        return {
            part: self.problem.error(digital, getattr(self.problem, part)) for part in ("validation", "test")
        }

    def digital(self, name: str) -> nn.Module:
        """A trained network without a chip, in plain torch."""
        if name == AWARE:
            return mho.revert(self.analog(name)).eval()
        network = self._new()
        _put(network, self._stored(name))
        return network.eval()

    def analog(self, name: str) -> nn.Module:
        """A trained network on the hardware of the study, calibrated, ready to be programmed."""
        if name != AWARE:
            analog = self.converted(self.digital(name), self.study.hardware)
            mho.calibrate(analog, self.calibration())
            return analog.eval()
        analog = self.converted(self._new(), self.study.hardware)
        _put(analog, self._stored(name))
        return analog.eval()

    def converted(self, network: nn.Module, hardware: mho.Hardware) -> nn.Module:
        """All layers on arrays but embeddings: a table that is looked up row by row stays digital."""
        return mho.convert(network, hardware, lambda _, module: not isinstance(module, nn.Embedding))

    def calibration(self) -> tuple[Tensor, ...]:
        """Training inputs to measure converters and corrections on."""
        inputs = self.problem.train.tensors[0][: self.study.calibration].to(self.device)
        batches: tuple[Tensor, ...] = inputs.split(64)
        return batches

    def _made(self, name: str) -> tuple[nn.Module, float]:
        study = self.study
        if name == TEACHER:
            network = self._new()
            return network, self._fit(name, network, study.teaching, _on_labels)
        loss = self._taught()
        if name != AWARE:
            network = self.digital(PLAIN if name == LONGER else TEACHER)
            return network, self._fit(name, network, study.tuning, loss)
        analog = self.converted(self.digital(TEACHER), study.hardware)
        attach(analog, study.in_the_loop.recipe(study.aware_course, len(self.problem.train)))
        mho.calibrate(analog, self.calibration())
        last = self._fit(name, analog, study.aware_course, loss)
        detach(analog)
        # The weights moved, so do the currents. A learned range keeps what it learned.
        converters = (study.hardware.dac, study.hardware.adc)
        if not any(c is not None and isinstance(c.range, Learned) for c in converters):
            mho.calibrate(analog, self.calibration())
        return analog, last

    def _taught(self) -> Callable[[nn.Module, Any], Tensor]:
        """The loss of both students."""
        distillation = self.study.distillation
        if distillation is None:
            return _on_labels
        teacher = self.digital(TEACHER)

        def loss(model: nn.Module, batch: Any) -> Tensor:
            x, target = batch
            with torch.no_grad():
                shown = teacher(x)
            scores = model(x)
            task = F.cross_entropy(scores, target)  # classes are dimension 1, for distillation the last
            return distillation(task, scores.movedim(1, -1), shown.movedim(1, -1))

        return loss

    def _fit(
        self, name: str, network: nn.Module, course: Course, loss: Callable[[nn.Module, Any], Tensor]
    ) -> float:
        """Train, and return the loss of the last epoch."""
        # Both students take this stream from its start: they see the same batches.
        order = ("batches", name) if name == LONGER else ("batches",)
        loader = Batches(self.problem, course.batch, random.fork(self.study.seed, *order))
        optimizer = course.made(network)
        with self.progress.stage(name, course.epochs) as step:

            def told(epoch: Epoch) -> None:
                step.advance(f"loss {epoch.loss:.3f}")

            history = fit(
                network,
                loader,
                loss,
                optimizer,
                course.epochs,
                scheduler=course.scheduler(optimizer, len(self.problem.train)),
                clip_norm=course.clip_norm,
                checkpoint=self._checkpoint(name),
                save_every=SAVE_EVERY,
                on_epoch=told,
            )
        network.eval()
        return history[-1].loss

    def _checkpoint(self, name: str) -> Any:
        return self.store.folder / f"{name}.checkpoint"

    def _new(self) -> nn.Module:
        with seeded(self.study.seed, "weights"):
            return self.problem.build().to(self.device)

    def _stored(self, name: str) -> Mapping[str, Tensor]:
        if not self.store.has(name):
            raise MissingNetworkError(
                f"{self.store.folder}: the {name} network is not there; run without --eval-only to train it"
            )
        return self.store.load_network(name)[0]


def _on_labels(model: nn.Module, batch: Any) -> Tensor:
    x, target = batch
    return F.cross_entropy(model(x), target)


def _fixed(network: nn.Module) -> set[str]:
    return {name for name, p in network.named_parameters(remove_duplicate=False) if not p.requires_grad}


def _trained(network: nn.Module) -> dict[str, Tensor]:
    """The state without what is pretrained and was not trained: that comes with the network."""
    fixed = _fixed(network)
    return {k: v.cpu() for k, v in network.state_dict().items() if k not in fixed}


def _put(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load what :func:`_trained` kept."""
    own = network.state_dict()
    network.load_state_dict({**{k: own[k] for k in _fixed(network)}, **state})

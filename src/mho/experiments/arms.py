"""The two networks of a study: fine-tuned with the hardware in the loop, and without.

Both start from the same float32 network and get the same number of further steps at the same rates,
over the same batches. What is trained is stored as soon as it is done and found again by a later run.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

import mho
from mho import random
from mho.config import Fraction, NonNegative, Positive, config
from mho.converters import Learned
from mho.experiments.data import Data
from mho.experiments.fitting import Schedule, accuracy, fit, seeded
from mho.experiments.progress import Progress
from mho.experiments.store import Store
from mho.training import Recipe, WeightClip, WeightNoise, attach, detach

if TYPE_CHECKING:
    from mho.experiments.drift import DriftStudy

FLOAT, PLAIN, AWARE = "float32", "plain", "hardware-aware"
BATCH_OF_CALIBRATION = 500


@config
class HardwareAware:
    """How one copy is fine-tuned with the hardware in the loop, converters included.

    The strength of the noise was chosen on the validation images of the digits, on chips with one scale
    for each layer.

    Attributes:
        weight_noise: standard deviation of the noise on each weight in each step, as a fraction of the
            largest weight of its layer.
        ramp: fraction of the steps over which the noise rises from zero.
        clip: standard deviations of a layer's weights at which they are clipped.
    """

    weight_noise: NonNegative = 0.12
    ramp: Fraction = 0.2
    clip: Positive = 2.5

    def recipe(self, steps: int) -> Recipe:
        """What happens to the weights in a training of so many steps."""
        noise = WeightNoise(std=self.weight_noise, ramp_steps=round(self.ramp * steps))
        return Recipe(modifiers=(WeightClip(sigmas=self.clip), noise))


class Arms:
    """Trains, stores and loads the networks of one study.

    Args:
        study: the configuration.
        data: images to train on; the test part is only used to report.
        store: where trained networks lie.
        progress: told after each epoch.
        device: the torch device that computes.
    """

    def __init__(
        self, study: DriftStudy, data: Data, store: Store, progress: Progress, device: torch.device
    ) -> None:
        self.study, self.data, self.store = study, data, store
        self.progress, self.device = progress, device

    def train(self) -> None:
        """Train the networks that the store does not hold yet."""
        for name, make in ((FLOAT, self._float), (PLAIN, self._plain), (AWARE, self._aware)):
            if self.store.has(name):
                continue
            start = time.perf_counter()
            with seeded(self.study.seed, "training", name):
                network = make()
            digital = mho.revert(network)
            facts = {
                "validation": accuracy(digital, self.data.validation),
                "test": accuracy(digital, self.data.test),
                "seconds": time.perf_counter() - start,
            }
            self.store.save_network(name, {k: v.cpu() for k, v in network.state_dict().items()}, facts)

    def load(self, name: str) -> nn.Module:
        """A trained network as it was stored, converted and calibrated, ready to be programmed."""
        if name != AWARE:
            analog = mho.convert(self._digital(name), self.study.hardware)
            mho.calibrate(analog, self._calibration())
            return analog.eval()
        analog = mho.convert(self._new(), self.study.hardware)
        analog.load_state_dict(self.store.load_network(name)[0])
        return analog.eval()

    def _float(self) -> nn.Module:
        network = self._new()
        self._fit(network, "training", self.study.training)
        return network

    def _plain(self) -> nn.Module:
        network = self._digital(FLOAT)
        self._fit(network, "plain fine-tuning", self.study.fine_tuning)
        return network

    def _aware(self) -> nn.Module:
        study, hardware = self.study, self.study.hardware
        analog = mho.convert(self._digital(FLOAT), hardware)
        attach(analog, study.hardware_aware.recipe(study.fine_tuning.steps(len(self.data.train))))
        mho.calibrate(analog, self._calibration())
        self._fit(analog, "hardware-aware fine-tuning", study.fine_tuning)
        detach(analog)
        # The weights moved, so do the currents. A learned range keeps what it learned.
        if not any(c is not None and isinstance(c.range, Learned) for c in (hardware.dac, hardware.adc)):
            mho.calibrate(analog, self._calibration())
        return analog

    def _new(self) -> nn.Module:
        with seeded(self.study.seed, "weights"):
            network = self.study.model.build(self.data.channels, self.data.size, self.data.classes)
        return network.to(self.device)

    def _digital(self, name: str) -> nn.Module:
        network = self._new()
        network.load_state_dict(self.store.load_network(name)[0])
        return network

    def _calibration(self) -> tuple[Tensor, ...]:
        batches: tuple[Tensor, ...] = self.data.train.tensors[0].split(BATCH_OF_CALIBRATION)
        return batches

    def _fit(self, network: nn.Module, title: str, schedule: Schedule) -> None:
        # Both fine-tunings take this stream from its start: they see the same batches.
        generator = random.fork(self.study.seed, "batches")
        with self.progress.stage(title, schedule.epochs) as step:
            fit(network, self.data.train, self.study.data, schedule, generator, step)

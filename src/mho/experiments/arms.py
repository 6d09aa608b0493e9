"""The two networks of a study: fine-tuned with the hardware in the loop, and without.

Both start from the same float32 network and get the same number of further steps at the same rates,
over the same batches.
"""

from __future__ import annotations

from torch import nn

from mho import random
from mho.config import Fraction, NonNegative, Positive, config
from mho.experiments.fitting import Schedule, fit
from mho.experiments.networks import AWARE, PLAIN, ImageNetworks
from mho.training import Recipe, WeightClip, WeightNoise

FLOAT = "float32"


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


class Arms(ImageNetworks):
    """The networks of a :class:`~mho.experiments.drift.DriftStudy`."""

    def make(self, name: str) -> tuple[nn.Module, dict[str, float]]:
        """See :meth:`Networks.make`."""
        study = self.study
        if name == FLOAT:
            network = self.new()
            self._fit(network, "training", study.training)
        elif name == PLAIN:
            network = self.digital(FLOAT)
            self._fit(network, "plain fine-tuning", study.fine_tuning)
        else:
            recipe = study.hardware_aware.recipe(study.fine_tuning.steps(len(self.data.train)))
            network, _ = self.in_the_loop(
                self.digital(FLOAT).train(),  # the weights are clipped before the converters are calibrated
                recipe,
                lambda analog: self._fit(analog, f"{AWARE} fine-tuning", study.fine_tuning),
            )
        return network, {}

    def _fit(self, network: nn.Module, title: str, schedule: Schedule) -> float:
        # Both fine-tunings take this stream from its start: they see the same batches.
        generator = random.fork(self.study.seed, "batches")
        with self.progress.stage(title, schedule.epochs) as step:
            return fit(network, self.data.train, self.study.data, schedule, generator, step)[-1].loss

"""Recipes of published studies.

All three follow the hardware-aware training of M. J. Rasch et al., Nat. Commun. 14, 5282 (2023), with
the settings of a public replication of it: noise with the polynomial of the programming error of
phase-change memory (V. Joshi et al., Nat. Commun. 11, 2473 (2020)) at three times its strength, relative
to a fixed range of ``sqrt(3 / fan_in)`` for each layer, risen from zero over the first epochs; 1 % of the
weights dropped; distillation from the digital network at temperature 4 with weight 0.9. The optimizer and
its schedule are the user's; what the study used is told with each.
"""

from __future__ import annotations

from mho.config import python_number
from mho.training.distill import Distillation
from mho.training.noise import DropConnect, PolynomialNoise
from mho.training.recipe import Recipe
from mho.training.scale import WeightRange


def wide_resnet(steps_per_epoch: int) -> Recipe:
    """For a WideResNet-16-4 on CIFAR-100: noise rises over 10 epochs.

    In the study: teacher 200 epochs, student 80, batch 128, SGD at rate 0.1 along a cosine.

    Args:
        steps_per_epoch: training forwards of an epoch, ``len(loader)``.
    """
    return _recipe(10, steps_per_epoch)


def lstm(steps_per_epoch: int) -> Recipe:
    """For a two-layer LSTM language model: noise rises over 2 epochs.

    In the study: 5 + 5 epochs, batch 20, SGD at rate 20, lowered on a plateau.

    Args:
        steps_per_epoch: training forwards of an epoch, ``len(loader)``.
    """
    return _recipe(2, steps_per_epoch)


def bert(steps_per_epoch: int) -> Recipe:
    """For fine-tuning BERT-base on a GLUE task: noise rises over 1 epoch.

    In the study: 3 epochs, batch 32, rate 2e-5, falling linearly.

    Args:
        steps_per_epoch: training forwards of an epoch, ``len(loader)``.
    """
    return _recipe(1, steps_per_epoch)


def _recipe(epochs: int, steps_per_epoch: int) -> Recipe:
    steps_per_epoch = python_number(steps_per_epoch)
    if isinstance(steps_per_epoch, bool) or not isinstance(steps_per_epoch, int) or steps_per_epoch < 1:
        raise ValueError(f"steps_per_epoch = {steps_per_epoch!r}: a whole number of at least 1, len(loader)")
    return Recipe(
        modifiers=(
            WeightRange(start="fan_in", relative_to="tensor"),
            PolynomialNoise(strength=3.0, relative_to="range", ramp_steps=epochs * steps_per_epoch),
            DropConnect(p=0.01),
        ),
        distillation=Distillation(temperature=4.0, weight=0.9),
    )

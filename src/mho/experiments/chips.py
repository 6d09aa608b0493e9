"""One trained network on described chips: accuracy and cost. The experiment for sweeps over hardware.

>>> study = ChipStudy(chips=2, hardware=mho.Hardware(device=mho.devices.PCM()))
>>> study.chips
2
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import InstanceOf
from torch import Tensor, nn

import mho
from mho import random
from mho.config import Count, NonNegative, config, digest
from mho.config.sealed import DamagedFileError, load_tensors, save_tensors
from mho.experiments.cost import Prices, count
from mho.experiments.data import Data, Digits, Source
from mho.experiments.fitting import Schedule, accuracy, chip_seed, fit, seeded
from mho.experiments.harness import Column, Study, Work, grid
from mho.experiments.machine import memory_for
from mho.experiments.models import Network, SmallCNN
from mho.experiments.progress import ProgressStep
from mho.experiments.statistics import estimate

if TYPE_CHECKING:
    import pandas as pd

BATCH_OF_CALIBRATION = 500
AGAIN = "the network is trained again"


@config
class ChipStudy(Study):
    """A network, trained once, on chips of one description: accuracy and cost.

    Attributes:
        data: the images.
        model: the network.
        training: how it is trained, in float32.
        hardware: the chips.
        chips: how many.
        seconds: their age.
        compensated: correct the drift from a noisy read of each array.
        seed: names all random numbers.
    """

    data: InstanceOf[Source] = Digits()
    model: InstanceOf[Network] = SmallCNN()
    training: Schedule = Schedule(epochs=10, learning_rate=0.05)
    hardware: mho.Hardware = mho.Hardware(
        device=mho.devices.PCM(),
        tile=mho.Tile(rows=128, columns=128),
        dac=mho.DAC(bits=8),
        adc=mho.ADC(bits=8),
    )
    chips: Count = 5
    seconds: NonNegative = 0.0
    compensated: bool = False
    seed: int = 0

    def validate(self) -> None:
        """The device must be known at that age."""
        self.hardware.device.check_time(self.seconds)

    measured = (
        Column("accuracy", "", "fraction of the test images, on the chip", 0, 1),
        Column("digital_accuracy", "", "of the network without a chip", 0, 1),
        Column("cells", "", "that hold weights", low=0),
        Column("adc_conversions", "", "of one inference", low=0),
        Column("dac_conversions", "", "of one inference", low=0),
        Column("energy", "J", "of all conversions of one inference", low=0),
    )
    pieces = "chips"

    def places(self) -> list[dict[str, Any]]:
        """Each chip."""
        return grid(chip=range(self.chips))

    def prepare(self, work: Work, data: Data) -> _OnChips:
        """The trained network, converted and calibrated."""
        return _OnChips(self, trained(self, data, work.shared, work.device), data)

    def measure(self, place: Mapping[str, Any], shared: _OnChips) -> dict[str, float]:
        """Accuracy of a chip, and what all chips cost."""
        return shared.tested(place["chip"])

    def headline(self, table: pd.DataFrame) -> dict[str, float]:
        """As :func:`on_chips`."""
        return _summary(table.drop(columns="chip").to_dict("records"))


def trained(study: ChipStudy, data: Data, shared: Path, device: torch.device) -> nn.Module:
    """The network in float32: found in ``shared``, where studies that differ in hardware only share it.

    A stored one that cannot be read is trained again, with a warning.

    Raises:
        ValueError: the training diverged, or memory did not suffice.
    """
    with seeded(study.seed, "weights"):
        network = study.model.build(data.channels, data.size, data.classes).to(device)
    parts: list[Any] = [study.data, study.model, study.training, study.seed]
    path = shared / f"network-{digest(parts):016x}.pt"
    state = _stored(path, network.state_dict()) if path.is_file() else None
    if state is None:
        batch = study.training.batch
        with (
            seeded(study.seed, "training"),
            memory_for(f"batch = {batch}: a training step", device, "lower it in the training's schedule"),
        ):
            generator = random.fork(study.seed, "batches")
            fit(network, data.train, study.data, study.training, generator, ProgressStep())
        save_tensors(path, {k: v.cpu() for k, v in network.state_dict().items()})
    else:
        network.load_state_dict(state)
    return network.eval()


def _stored(path: Path, like: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The tensors of a stored network; None, and a warning, if they are not those of such a network."""
    try:
        state = load_tensors(path, dict.fromkeys(like, Tensor), AGAIN)
        if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in like.items()}:
            raise DamagedFileError(f"{path}: holds another network; {AGAIN}")
    except DamagedFileError as error:
        warnings.warn(str(error), stacklevel=3)
        return None
    return state


def on_chips(
    study: ChipStudy,
    network: nn.Module,
    data: Data,
    part: Literal["test", "validation"] = "test",
    prices: Prices | None = None,
) -> dict[str, float]:
    """Put a trained network on chips and test them.

    Args:
        study: the chips.
        network: as :func:`trained` gives it.
        data: the images.
        part: the images to test on; nothing may be chosen with the test images.
        prices: of conversions.

    Returns:
        ``accuracy`` (mean over chips), its ``std``, ``low`` and ``high`` end of the 95 % interval,
        ``digital_accuracy``, and counts: ``cells``, ``adc_conversions``, ``dac_conversions`` and
        ``energy`` (joule, of all conversions) of one inference.

    Raises:
        ValueError: memory did not suffice.
    """
    chips = _OnChips(study, network, data, part, prices)
    return _summary([chips.tested(chip) for chip in range(study.chips)])


class _OnChips:
    """A trained network on the hardware of a study, calibrated, and what is the same for all chips."""

    def __init__(
        self,
        study: ChipStudy,
        network: nn.Module,
        data: Data,
        part: str = "test",
        prices: Prices | None = None,
    ) -> None:
        self.study, self.shown = study, getattr(data, part)
        self.device, images = next(network.parameters()).device, data.train.tensors[0]
        with self._memory():
            self.analog = mho.convert(network, study.hardware).eval()
            mho.calibrate(self.analog, images.split(BATCH_OF_CALIBRATION))
            with seeded(study.seed, "cost"):
                cost = count(self.analog, images[:1].to(self.device), prices)
            self.same = {
                "digital_accuracy": accuracy(network, self.shown),
                "cells": float(cost.cells),
                "adc_conversions": float(cost.adc),
                "dac_conversions": float(cost.dac),
                "energy": cost.converting,
            }

    def tested(self, chip: int) -> dict[str, float]:
        """The accuracy of a chip beside what is the same for all."""
        study = self.study
        with self._memory(), seeded(study.seed, "read", str(chip)):
            mho.program(self.analog, chip_seed(study.seed, chip))
            mho.age(self.analog, study.seconds)
            if study.compensated:
                mho.compensate(self.analog)
            return {"accuracy": accuracy(self.analog, self.shown), **self.same}

    def _memory(self) -> AbstractContextManager[None]:
        remedy = "compute on the CPU, or choose a smaller model"
        return memory_for("testing the network on chips", self.device, remedy)


def _summary(chips: Sequence[Mapping[Any, float]]) -> dict[str, float]:
    """The mean over chips and its spread; what is the same for all of them."""
    e = estimate([chip["accuracy"] for chip in chips])
    return {**chips[0], "accuracy": e.mean, "std": e.std, "low": e.low, "high": e.high}

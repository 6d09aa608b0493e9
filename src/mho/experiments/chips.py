"""One trained network on described chips: accuracy and cost. The experiment for sweeps over hardware.

>>> study = ChipStudy(chips=2, hardware=mho.Hardware(device=mho.devices.PCM()))
>>> study.chips
2
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import InstanceOf
from torch import Tensor, nn

import mho
from mho import random
from mho.config import Count, NonNegative, config, digest
from mho.experiments.cost import Prices, count
from mho.experiments.data import Data, Digits, Source
from mho.experiments.files import DamagedFileError, load_tensors, save_tensors
from mho.experiments.fitting import Schedule, accuracy, chip_seed, fit, limited_threads, seeded
from mho.experiments.harness.measuring import Place, measure
from mho.experiments.machine import memory_for, usable_device
from mho.experiments.models import Network, SmallCNN
from mho.experiments.progress import Progress
from mho.experiments.statistics import estimate

BATCH_OF_CALIBRATION = 500
AGAIN = "the network is trained again"


@config
class ChipStudy:
    """Everything that decides the result.

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
            Progress().stage("training", 1) as step,
            memory_for(f"batch = {batch}: a training step", device, "lower it in the training's schedule"),
        ):
            generator = random.fork(study.seed, "batches")
            fit(network, data.train, study.data, study.training, generator, step)
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
    device = next(network.parameters()).device
    with memory_for("testing the network on chips", device, "compute on the CPU, or choose a smaller model"):
        return _tested(study, network, data, part, prices)


def _tested(
    study: ChipStudy, network: nn.Module, data: Data, part: str, prices: Prices | None
) -> dict[str, float]:
    analog = mho.convert(network, study.hardware).eval()
    images, shown = data.train.tensors[0], getattr(data, part)
    mho.calibrate(analog, images.split(BATCH_OF_CALIBRATION))
    hits = []
    for chip in range(study.chips):
        with seeded(study.seed, "read", str(chip)):
            mho.program(analog, chip_seed(study.seed, chip))
            mho.age(analog, study.seconds)
            if study.compensated:
                mho.compensate(analog)
            hits.append(accuracy(analog, shown))
    with seeded(study.seed, "cost"):
        cost = count(analog, images[:1].to(next(network.parameters()).device), prices)
    e = estimate(hits)
    return {
        "accuracy": e.mean,
        "std": e.std,
        "low": e.low,
        "high": e.high,
        "digital_accuracy": accuracy(network, shown),
        "cells": float(cost.cells),
        "adc_conversions": float(cost.adc),
        "dac_conversions": float(cost.dac),
        "energy": cost.converting,
    }


def run(
    study: ChipStudy,
    shared: Path,
    data_folder: Path | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> dict[str, float]:
    """Train the network, or find it, and test it on the chips; see :func:`on_chips`."""
    data = study.data.load(data_folder)
    with limited_threads(threads):
        network = trained(study, data, shared, usable_device(device))
        return on_chips(study, network, data)


@measure.register
def _(study: ChipStudy, place: Place) -> dict[str, float]:
    return run(study, place.shared, place.data, place.device, place.threads)

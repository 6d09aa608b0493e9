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
from mho.config import Count, NonNegative, Positive, config, digest
from mho.config.sealed import DamagedFileError, load_tensors, save_tensors
from mho.costs import GENERIC_22
from mho.experiments.data import Data, Digits, Source
from mho.experiments.fitting import Schedule, accuracy, chip_seed, fit, seeded
from mho.experiments.harness import Column, Study, Work, grid
from mho.experiments.machine import memory_for
from mho.experiments.models import Network, SmallCNN
from mho.experiments.prices import COUNTED, PAID, PRICED, Priced, counts, finite, prices
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
        technology: what is paid for what; a name of ``mho.costs.TECHNOLOGIES`` will do.
        inferences: inferences between two programmings, which share its energy.
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
    technology: Priced = GENERIC_22
    inferences: Positive = 1e5
    seed: int = 0

    def validate(self) -> None:
        """The device must be known at that age."""
        self.hardware.device.check_time(self.seconds)

    measured = (
        Column("accuracy", "", "fraction of the test images, on the chip", 0, 1),
        Column("digital_accuracy", "", "of the network without a chip", 0, 1),
        *COUNTED,
        *PAID,
    )
    pieces = "chips"

    def places(self) -> list[dict[str, Any]]:
        """Each chip."""
        return grid(chip=range(self.chips))

    def prepare(self, work: Work, data: Data) -> _OnChips:
        """The trained network, converted and calibrated."""
        return _OnChips(self, trained(self, data, work.shared, work.device), data)

    def measure(self, place: Mapping[str, Any], shared: _OnChips) -> dict[str, float | None]:
        """Accuracy of a chip, and what the first one costs; None for prices without a DAC."""
        return finite(shared.tested(place["chip"]))

    def table(self, records: Sequence[Mapping[str, Any]], shared: _OnChips) -> pd.DataFrame:
        """One row for each chip."""
        figures = {column.name: float for column in self.measured}
        found: pd.DataFrame = super().table(records, shared).astype(figures)
        return found

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
        state = {k: v.cpu() for k, v in network.state_dict().items()}
        save_tensors(path, {"name": path.stem, "state": state})
    else:
        network.load_state_dict(state)
    return network.eval()


def _stored(path: Path, like: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The tensors of a stored network; None, and a warning, if they are not those of such a network."""
    try:
        content = load_tensors(path, remedy=AGAIN)
        if content.get("name", path.stem) != path.stem:
            raise DamagedFileError(f"{path}: this is {content['name']!r}, trained for another study; {AGAIN}")
        state = content["state"] if "name" in content else content  # files of earlier versions have none
        if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
            raise DamagedFileError(f"{path}: holds no network; {AGAIN}")
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
    pulses: float | None = None,
) -> dict[str, float]:
    """Put a trained network on chips and test them.

    Args:
        study: the chips.
        network: as :func:`trained` gives it.
        data: the images.
        part: the images to test on; nothing may be chosen with the test images.
        pulses: of programming a cell; None for what programming or the technology says.

    Returns:
        ``accuracy`` (mean over chips), its ``std``, ``low`` and ``high`` end of the 95 % interval,
        ``digital_accuracy``, and what one inference costs on the first chip: ``cells``, ``adc_conversions``,
        ``dac_conversions``, ``energy`` and ``energy_with_programming`` (joules), ``latency`` (seconds) and
        ``area`` (square metres); these four are NaN without a DAC.

    Raises:
        ValueError: memory did not suffice.
    """
    chips = _OnChips(study, network, data, part, pulses)
    return _summary([chips.tested(chip) for chip in range(study.chips)])


class _OnChips:
    """A trained network on the hardware of a study, calibrated, and what is the same for all chips."""

    def __init__(
        self,
        study: ChipStudy,
        network: nn.Module,
        data: Data,
        part: str = "test",
        pulses: float | None = None,
    ) -> None:
        self.study, self.shown = study, getattr(data, part)
        self.device, images = next(network.parameters()).device, data.train.tensors[0]
        with self._memory():
            self.analog = mho.convert(network, study.hardware).eval()
            mho.calibrate(self.analog, images.split(BATCH_OF_CALIBRATION))
            self.same = {"digital_accuracy": accuracy(network, self.shown)}
            with seeded(study.seed, "cost"):
                self._made(0)
                x = images[:PRICED].to(self.device)
                self.same |= counts(self.analog, x[:1])
                self.same |= prices(self.analog, x, study.technology, study.inferences, pulses)

    def tested(self, chip: int) -> dict[str, float]:
        """The accuracy of a chip beside what is the same for all."""
        study = self.study
        with self._memory(), seeded(study.seed, "read", str(chip)):
            self._made(chip)
            return {"accuracy": accuracy(self.analog, self.shown), **self.same}

    def _made(self, chip: int) -> None:
        """Program a chip and let it age."""
        mho.program(self.analog, chip_seed(self.study.seed, chip))
        mho.age(self.analog, self.study.seconds)
        if self.study.compensated:
            mho.compensate(self.analog)

    def _memory(self) -> AbstractContextManager[None]:
        remedy = "compute on the CPU, or choose a smaller model"
        return memory_for("testing the network on chips", self.device, remedy)


def _summary(chips: Sequence[Mapping[Any, float]]) -> dict[str, float]:
    """The mean over chips and its spread; what is the same for all of them."""
    e = estimate([chip["accuracy"] for chip in chips], share=True)
    return {**chips[0], "accuracy": e.mean, "std": e.std, "low": e.low, "high": e.high}

"""What a trained network costs on its chips, beside its accuracy, at several ages: one table.

>>> study = CostStudy(technology="isaac", times=(1.0, 86_400.0))
>>> study.technology.name
'ISAAC'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, InstanceOf

import mho
from mho.analysis.cost_report import CostReport
from mho.analysis.cost_report import Schedule as Order
from mho.analysis.trace import share_of
from mho.config import Count, Fraction, Positive, config, parse_json
from mho.costs import GENERIC_22
from mho.experiments.chips import BATCH_OF_CALIBRATION, ChipStudy, trained
from mho.experiments.data import Data, Digits, Source
from mho.experiments.fitting import Schedule, accuracy, chip_seed, seeded
from mho.experiments.harness import Column, Study, Work, grid
from mho.experiments.models import Network, SmallCNN
from mho.experiments.prices import COUNTED, PAID, Priced, cells, finite, paid
from mho.experiments.tables import records_of

if TYPE_CHECKING:
    import pandas as pd


@config
class CostStudy(Study):
    """What a trained network costs on its chips, beside its accuracy, at several ages.

    Attributes:
        data: the images.
        model: the network.
        training: how it is trained, in float32.
        hardware: the chips; they have DACs.
        technology: what is paid for what; a name of ``mho.costs.TECHNOLOGIES`` will do.
        schedule: ``layers``: one after the other; ``pipeline``: all layers at work.
        chips: how many.
        times: seconds since programming at which each chip is tested, rising.
        compensated: correct the drift from a noisy read of each array.
        share: of the vectors whose voltages are looked at.
        inferences: inferences between two programmings, which share its energy.
        seed: names all random numbers.
    """

    data: InstanceOf[Source] = Digits()
    model: InstanceOf[Network] = SmallCNN()
    training: Schedule = Schedule(epochs=30, learning_rate=0.05)
    hardware: mho.Hardware = ChipStudy().hardware
    technology: Priced = GENERIC_22
    schedule: Order = "layers"
    chips: Count = 5
    times: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1.0, 3.1536e7)
    compensated: bool = False
    share: Fraction = 1 / 8
    inferences: Positive = 1e5
    seed: int = 0

    measured = (
        Column("seconds", "s", "time since programming", low=0),
        Column("accuracy", "", "fraction of the test images, on the chip", 0, 1),
        *PAID,
        Column("tops", "10^12/s", "achieved: operations, two for each multiply-accumulate", low=0),
        Column("tops_per_watt", "10^12/J", "achieved", low=0),
        Column("joules_per_mac", "J", "achieved, for each multiply-accumulate", low=0),
        Column("peak_tops", "10^12/s", "all arrays full and at work all the time", low=0),
        Column("peak_tops_per_watt", "10^12/J", "likewise", low=0),
        *COUNTED,
    )
    pieces = "chips"

    def validate(self) -> None:
        """Times rise, the device is known then, and the voltages of inputs are known."""
        if list(self.times) != sorted(set(self.times)):
            raise ValueError(f"times = {self.times}: they must rise, without repetition; sort them")
        for seconds in self.times:
            self.hardware.device.check_time(seconds)
        if self.hardware.dac is None:
            raise ValueError(
                "hardware.dac = None: without a DAC nobody knows the voltages of the inputs, which the "
                "energy goes by; give the hardware one (mho.DAC(bits=None) rounds nothing)"
            )
        if not share_of(self.share):
            raise ValueError(f"share = {self.share!r}: give 1, or one in n, as 1/8")

    @property
    def network(self) -> ChipStudy:
        """What names the trained network: studies that differ in hardware only share it."""
        return ChipStudy(data=self.data, model=self.model, training=self.training, seed=self.seed)

    def places(self) -> list[dict[str, Any]]:
        """Each chip."""
        return grid(chip=range(self.chips))

    def prepare(self, work: Work, data: Data) -> _Costs:
        """The trained network, converted and calibrated."""
        return _Costs(self, work, data)

    def measure(self, place: Mapping[str, Any], shared: _Costs) -> list[dict[str, Any]]:
        """Accuracy and cost of a chip at each time; of the first one the whole report."""
        return shared.tested(place["chip"])

    def detail(self, place: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], shared: _Costs) -> str:
        """The chip, and its accuracy at the last time."""
        return f"chip {place['chip']}" + (f": {100 * rows[-1]['accuracy']:.1f} %" if rows else "")

    def table(self, records: Sequence[Mapping[str, Any]], shared: _Costs) -> pd.DataFrame:
        """One row for each chip and time."""
        figures = {column.name: float for column in self.measured}
        found: pd.DataFrame = super().table(records, shared).drop(columns="report").astype(figures)
        return found

    def document(self, table: pd.DataFrame, shared: _Costs, work: Work) -> dict[str, Any]:
        """The means over chips at each time, and the whole reports of the first chip."""
        first = next(record for record in work.store.records if record["chip"] == 0)
        return {
            "test_images": len(shared.data.test),
            "digital_accuracy": shared.digital,
            "summary": records_of(_means(table).reset_index()),
            "reports": [{"seconds": row["seconds"], **row["report"]} for row in first["rows"]],
        }

    def headline(self, table: pd.DataFrame) -> dict[str, float]:
        """The means over chips at the last time."""
        return {str(name): float(value) for name, value in _means(table).iloc[-1].items()}


class _Costs:
    """A trained network on the hardware of a study, calibrated."""

    def __init__(self, study: CostStudy, work: Work, data: Data) -> None:
        self.study, self.data, self.device = study, data, work.device
        network = trained(study.network, data, work.shared, work.device)
        self.digital = accuracy(network, data.test)
        self.analog = mho.convert(network, study.hardware).eval()
        mho.calibrate(self.analog, data.train.tensors[0].split(BATCH_OF_CALIBRATION))

    def tested(self, chip: int) -> list[dict[str, Any]]:
        """A row for each time."""
        study, rows = self.study, []
        mho.program(self.analog, chip_seed(study.seed, chip))
        for seconds in study.times:
            with seeded(study.seed, "read", str(chip), repr(seconds)):
                mho.age(self.analog, seconds)
                if study.compensated:
                    mho.compensate(self.analog)
                found = accuracy(self.analog, self.data.test)
                report = self._cost()
            whole = parse_json(report.to_json()) if chip == 0 else None
            figures = {"seconds": seconds, "accuracy": found, **achieved(report, study.inferences)}
            rows.append({**finite(figures), "cells": cells(self.analog), "report": whole})
        return rows

    def _cost(self) -> CostReport:
        study, batches = self.study, self.data.test.tensors[0].split(BATCH_OF_CALIBRATION)
        return mho.cost(self.analog, batches, study.technology, share=study.share, schedule=study.schedule)


def achieved(report: CostReport, inferences: float) -> dict[str, float]:
    """The figures of a report under the names of a :class:`CostStudy`."""
    work = [layer.work for layer in report.layers.values()]
    return {
        **paid(report, inferences),
        "tops": report.tops,
        "tops_per_watt": report.tops_per_watt,
        "joules_per_mac": report.joules_per_mac,
        "peak_tops": report.peak.tops,
        "peak_tops_per_watt": report.peak.tops_per_watt,
        "adc_conversions": sum(w.conversions for w in work),
        "dac_conversions": sum(w.drives for w in work),
    }


def _means(table: pd.DataFrame) -> pd.DataFrame:
    found: pd.DataFrame = table.drop(columns="chip").groupby("seconds", sort=True).mean()
    return found

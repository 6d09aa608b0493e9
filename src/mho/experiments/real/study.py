"""One pretrained network over a year: raw and with each correction, on many chips."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, InstanceOf
from torch import Tensor, nn

import mho
from mho.config import Count, Positive, config, to_dict
from mho.costs import GENERIC_22
from mho.experiments.fitting import chip_seed, seeded
from mho.experiments.harness import Column, Study, Work
from mho.experiments.prices import PAID, Priced, finite, prices
from mho.experiments.real.base import Exam, RealTask, digest_of, place_of
from mho.experiments.real.pitch import Pitch
from mho.experiments.statistics import estimate, paired
from mho.experiments.tables import records_of
from mho.periphery import Affine, ColumnDrift

if TYPE_CHECKING:
    import pandas as pd

RAW, LAYER, COLUMN, AFFINE = "raw", "gain per layer", "gain per column", "affine per column"
CORRECTIONS = (RAW, LAYER, COLUMN, AFFINE)
NETWORK = "network"  # the name of the file of one that is trained here
PAID_HERE = PAID[:3]  # energy, latency, area
COSTS = tuple(column.name for column in PAID_HERE)


@config
class RealStudy(Study):
    """One network whose weights somebody else trained, over a year on simulated chips.

    Nothing is trained for the chip. Each chip is programmed, aged and tested as it is and with each
    correction that can be measured: one gain for each layer or for each column from a reference read
    (``mho.periphery.GlobalDrift`` and ``ColumnDrift``), and a gain and a shift for each column by least
    squares on data that is not tested (``Affine``, on top of one gain for each layer).

    Attributes:
        task: the network and what it is asked.
        hardware: the chip.
        chips: chips that it is programmed on; more may be asked for later.
        times: seconds since programming at which each chip is tested, rising.
        technology: what is paid for what; a name of ``mho.costs.TECHNOLOGIES`` will do.
        seed: names the chips and all reads.
    """

    task: InstanceOf[RealTask] = Pitch()
    hardware: mho.Hardware = mho.Hardware(device=mho.devices.PCM(), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8))
    chips: Count = 10
    times: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1.0, 3_600.0, 86_400.0, 2.592e6, 3.1536e7)
    technology: Priced = GENERIC_22
    seed: int = 0

    measured = (
        Column("seconds", "s", "time since programming", low=0),
        Column("chip_seed", "", "of mho.program"),
        Column("value", "", "the figure of the task, a share", 0, 1),
        Column("digital_value", "", "that of the network without a chip", 0, 1),
        *PAID_HERE,
    )
    pieces = "chips"

    def validate(self) -> None:
        """The times must rise and the device must be known at each."""
        if any(later <= earlier for earlier, later in zip(self.times, self.times[1:], strict=False)):
            raise ValueError(f"times = {self.times}: they must rise, without repetition; sort them")
        for seconds in self.times:
            self.hardware.device.check_time(seconds)

    @property
    def label(self) -> str:
        """The task."""
        return self.task.title

    def identity(self) -> RealStudy:
        """More chips may be asked for later."""
        return replace(self, chips=1)

    def places(self) -> list[dict[str, Any]]:
        """Each chip."""
        return [{"chip": chip} for chip in range(self.chips)]

    def load(self, folder: Path | None) -> Exam:
        """Read the network and its test."""
        return self.task.load(folder)

    def fingerprint(self, data: Exam) -> str:
        """Of inputs and right answers, and of the weights that come in a package."""
        weights = data.model.state_dict().values() if data.teach is None else ()
        return digest_of([data.digest, *(w.cpu() for w in weights)])

    def prepare(self, work: Work, data: Exam) -> Bench:
        """The network, trained if it must be, on its calibrated arrays."""
        model, store = data.model.to(work.device), work.store
        if data.teach is not None:
            if not store.has(NETWORK):
                with seeded(self.seed, "training"):
                    data.teach(model)
                store.save_network(NETWORK, model.state_dict(), {})
            model.load_state_dict(store.load_network(NETWORK)[0])
        return Bench(self, data, model.eval())

    def measure(self, place: Mapping[str, Any], shared: Bench) -> list[dict[str, Any]]:
        """See :meth:`Bench.chip`."""
        return shared.chip(place["chip"])

    def detail(self, place: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], shared: Bench) -> str:
        """The chip, and its figure at the last time with one gain for each layer."""
        last = [f": {100 * row['value']:.1f} %" for row in rows if row["correction"] == LAYER][-1:]
        return f"chip {place['chip']}{''.join(last)}"

    def table(self, records: Sequence[Mapping[str, Any]], shared: Bench) -> pd.DataFrame:
        """One row for each test of a chip."""
        found = super().table(records, shared)
        found.insert(0, "task", self.task.title)
        found.insert(2, "chip_seed", [chip_seed(self.seed, chip) for chip in found["chip"]])
        found["digital_value"] = shared.digital
        tidy: pd.DataFrame = found.astype(dict.fromkeys(COSTS, float))
        return tidy

    def document(self, table: pd.DataFrame, shared: Bench, work: Work) -> dict[str, Any]:
        """What ``results.json`` holds beside the configuration."""
        task, weights = self.task, sum(p.numel() for p in shared.exam.model.parameters())
        return {
            "study": to_dict(self),
            "task": {
                "title": task.title, "figure": task.figure, "inference": task.inference,
                "less_is_better": task.less_is_better, "origin": shared.exam.origin, "parameters": weights,
                "digest": shared.exam.digest,
            },
            "digital": shared.digital,
            "cpu_seconds": math.fsum(record["cpu"] for record in work.store.records),
            "summary": records_of(summarise(table, task.less_is_better)),
        }  # fmt: skip

    def headline(self, table: pd.DataFrame) -> dict[str, float]:
        """Means over chips at each time with each correction; what counts most is one gain for each layer."""
        last = max(self.times)
        means = table.groupby(["correction", "seconds"])["value"].mean()
        figures = {
            f"{correction}_{seconds:g}s": float(means[correction, seconds])
            for seconds in self.times
            for correction in CORRECTIONS
        }
        value = figures[f"{LAYER}_{last:g}s"]
        digital = float(table["digital_value"].iloc[0])
        costs = table[table["seconds"] == last][list(COSTS)].mean()
        paid = {name: float(costs[name]) for name in COSTS if not math.isnan(costs[name])}
        accuracy = 1 - value if self.task.less_is_better else value
        return {"accuracy": accuracy, "digital": digital, **figures, **paid}


@dataclass
class Bench:
    """A network on its arrays, ready for one chip after the other.

    Attributes:
        study: the description.
        exam: what is tested.
        model: the network in plain torch.
    """

    study: RealStudy
    exam: Exam
    model: nn.Module

    @cached_property
    def digital(self) -> float:
        """The figure of the network without a chip."""
        return self.exam.score(self.model)

    @cached_property
    def seen(self) -> list[Tensor]:
        """The batches for converters and corrections, where the network computes."""
        return [some.to(place_of(self.model)) for some in self.exam.seen]

    @cached_property
    def analog(self) -> nn.Module:
        """The network on calibrated arrays."""
        analog = mho.convert(self.model, self.study.hardware).eval()
        mho.calibrate(analog, self.seen)
        return analog

    def chip(self, chip: int) -> list[dict[str, Any]]:
        """Program one chip and test it at every time with every correction.

        Each test reads the chip anew, with read noise of its own.

        Returns:
            ``seconds``, ``correction``, ``value`` and :data:`COSTS` of each test, in the order of time; the
            costs are those of one inference on the chip at that age, None without a DAC.
        """
        study, analog = self.study, self.analog
        mho.program(analog, seed=chip_seed(study.seed, chip))
        rows = []
        for seconds in study.times:
            mho.age(analog, seconds)  # undoes earlier corrections
            with seeded(study.seed, "cost", str(chip), repr(seconds)):
                paid = prices(analog, self.exam.priced.to(place_of(analog)), study.technology)
            costs = finite({name: paid[name] for name in COSTS})
            for correction in CORRECTIONS:
                with seeded(study.seed, "read", str(chip), repr(seconds), correction):
                    self._correct(analog, correction)
                    value = self.exam.score(analog)
                rows.append({"seconds": seconds, "correction": correction, "value": value, **costs})
        return rows

    def _correct(self, analog: nn.Module, correction: str) -> None:
        """What is done about the drift; each is measured anew."""
        if correction in (LAYER, AFFINE):
            mho.compensate(analog)
        if correction == COLUMN:
            mho.compensate(analog, ColumnDrift())
        if correction == AFFINE:
            mho.compensate(analog, Affine(), data=self.seen)


def summarise(table: pd.DataFrame, less_is_better: bool = False) -> pd.DataFrame:
    """Means over chips with 95 % intervals, and what a correction gives over the raw chip, paired by chip.

    Args:
        table: of one :class:`RealStudy`.
        less_is_better: a gain is then a fall of the figure.

    Returns:
        A row for each time and correction: ``seconds, correction, chips, mean, std, low, high``; ``gain``,
        ``gain_low``, ``gain_high`` over the raw chip (NaN for the raw one, and for an interval that is not
        defined); ``lost`` to the digital network; ``energy``.
    """
    import pandas as pd

    sign, rows = (-1 if less_is_better else 1), []
    for (seconds, correction), group in table.groupby(["seconds", "correction"], sort=False):
        raw = table[(table["seconds"] == seconds) & (table["correction"] == RAW)]["value"].to_list()
        values = group["value"].to_list()
        e = estimate(values, share=True)
        gain = paired([sign * v for v in values], [sign * v for v in raw]).difference
        known = correction != RAW
        rows.append({
            "seconds": seconds, "correction": correction, "chips": e.n, "mean": e.mean, "std": e.std,
            "low": e.low, "high": e.high,
            "gain": gain.mean if known else math.nan, "gain_low": gain.low if known else math.nan,
            "gain_high": gain.high if known else math.nan,
            "lost": sign * (group["digital_value"].iloc[0] - e.mean), "energy": group["energy"].mean(),
        })  # fmt: skip
    found: pd.DataFrame = pd.DataFrame(rows)
    return found

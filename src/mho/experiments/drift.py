"""One network, one year on a chip: what programming error and drift do to accuracy.

A network is trained in float32. One copy is fine-tuned with the hardware in the loop, the other gets
as many more steps without it. Each is programmed on many simulated chips; every chip is aged and
tested, as it is and with drift compensation.

>>> study = DriftStudy(chips=2, times=(1.0, 86_400.0))
>>> study.chips, study.hardware.tile.rows
(2, 128)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, InstanceOf
from torch import nn

import mho
from mho.config import Count, Positive, config
from mho.costs import GENERIC_22
from mho.experiments.arms import FLOAT, Arms, HardwareAware
from mho.experiments.data import Data, Digits, Source
from mho.experiments.fitting import Schedule, accuracy, chip_seed, seeded
from mho.experiments.harness import Column, Study, Work
from mho.experiments.models import Network, SmallCNN
from mho.experiments.networks import ARMS, AWARE, PLAIN
from mho.experiments.prices import PAID, PRICED, Priced, finite, prices
from mho.experiments.statistics import MeanEstimate, estimate, paired
from mho.experiments.tables import estimates, records_of

if TYPE_CHECKING:
    import pandas as pd

RAW, COMPENSATED = "raw", "compensated"
PAID_HERE = PAID[:3]  # energy, latency, area
COSTS = tuple(column.name for column in PAID_HERE)
COLUMNS = ("arm", "compensation", "seconds", "chip", "chip_seed", "accuracy", "digital_accuracy")


@config
class DriftStudy(Study):
    """Everything that decides the result of the study.

    Attributes:
        data: the images.
        model: the network.
        hardware: the chip.
        training: how the float32 network is trained.
        fine_tuning: the further training that both copies get.
        hardware_aware: what the hardware-aware copy's fine-tuning does beside.
        chips: chips that each copy is programmed on.
        times: seconds since programming at which each chip is tested, rising.
        technology: what is paid for what; a name of ``mho.costs.TECHNOLOGIES`` will do.
        seed: names all random numbers: training, chips and reads.
    """

    data: InstanceOf[Source] = Digits()
    model: InstanceOf[Network] = SmallCNN()
    hardware: mho.Hardware = mho.Hardware(
        device=mho.devices.PCM(),
        tile=mho.Tile(rows=128, columns=128),
        dac=mho.DAC(bits=8),
        adc=mho.ADC(bits=8),
    )
    training: Schedule = Schedule(epochs=30, learning_rate=0.05)
    fine_tuning: Schedule = Schedule(epochs=15, learning_rate=0.02)
    hardware_aware: HardwareAware = HardwareAware()
    chips: Count = 25
    times: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1.0, 3_600.0, 86_400.0, 2.592e6, 3.1536e7)
    technology: Priced = GENERIC_22
    seed: int = 0

    def validate(self) -> None:
        """The times must rise and the device must be known at each."""
        if any(later <= earlier for earlier, later in zip(self.times, self.times[1:], strict=False)):
            raise ValueError(f"times = {self.times}: they must rise, without repetition; sort them")
        for seconds in self.times:
            self.hardware.device.check_time(seconds)

    def chip_seed(self, chip: int) -> int:
        """The seed of ``mho.program`` for the chip of this number.

        Both copies of the network use it: their chips share the draws of every cell, so the
        difference between them is measured chip by chip.
        """
        return chip_seed(self.seed, chip)

    measured = (
        Column("seconds", "s", "time since programming", low=0),
        Column("chip_seed", "", "of mho.program"),
        Column("accuracy", "", "fraction of the test images", 0, 1),
        Column("digital_accuracy", "", "of the network without a chip", 0, 1),
        *PAID_HERE,
    )
    pieces = "chips"
    stages = MappingProxyType({"networks": (FLOAT,), "copies": ARMS})

    def places(self) -> list[dict[str, Any]]:
        """Each chip with each of the two networks."""
        return [{"arm": arm, "chip": chip} for chip in range(self.chips) for arm in ARMS]

    def prepare(self, work: Work, data: Data) -> Arms:
        """The networks."""
        return Arms(self, data, work.store, work.progress, work.device)

    def measure(self, place: Mapping[str, Any], shared: Arms) -> list[dict[str, Any]]:
        """See :func:`one_chip`."""
        arm, chip = place["arm"], place["chip"]
        return one_chip(self, shared.chip(arm), arm, chip, shared.data)

    def detail(self, place: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], shared: Arms) -> str:
        """The chip, and its accuracy at the last time."""
        last = f": {100 * rows[-1]['accuracy']:.1f} %" if rows else ""
        return f"{place['arm']}, chip {place['chip']}{last}"

    def table(self, records: Sequence[Mapping[str, Any]], shared: Arms) -> pd.DataFrame:
        """One row for each test of a chip, :data:`COLUMNS` and :data:`COSTS`, arm by arm."""
        ordered = sorted(records, key=lambda record: (ARMS.index(record["arm"]), record["chip"]))
        found = super().table(ordered, shared)
        found["chip_seed"] = [self.chip_seed(chip) for chip in found["chip"]]
        digital = {arm: fact["test"] for arm, fact in shared.facts(ARMS).items()}
        found["digital_accuracy"] = found["arm"].map(digital)
        paid = [name for name in COSTS if name in found]  # records of before know no costs
        tidy: pd.DataFrame = found[[*COLUMNS, *paid]].astype(dict.fromkeys(paid, float))
        return tidy

    def document(self, table: pd.DataFrame, shared: Arms, work: Work) -> dict[str, Any]:
        """What ``results.json`` holds beside the configuration."""
        facts = shared.facts((FLOAT, *ARMS))
        seconds = {name: fact["seconds"] for name, fact in facts.items()}
        seconds["chips"] = sum(record["took"] for record in work.store.records)
        return {
            "test_images": len(shared.data.test),
            "digital": {arm: {k: facts[arm][k] for k in ("validation", "test")} for arm in ARMS},
            "wall_seconds": {**seconds, "total": sum(seconds.values())},
            "conversion": shared.conversion(PLAIN),
            "summary": records_of(summarise(table)),
            "differences": records_of(paired_differences(table)),
            "costs": records_of(_costs(table)),
        }

    def headline(self, table: pd.DataFrame) -> dict[str, float]:
        """Accuracies of both arms at each time, and costs; what matters most is the aware arm's."""
        digital = table.drop_duplicates("arm").set_index("arm")["digital_accuracy"]
        figures = {f"{arm}_digital": float(value) for arm, value in digital.items()}
        for row in summarise(table).to_dict("records"):
            name = f"{row['arm']}_{row['compensation']}_{row['seconds']:g}s"
            figures |= {name: float(row["mean"]), f"{name}_std": float(row["std"])}
        last = _costs(table).iloc[-1]
        paid = {name: float(last[name]) for name in COSTS}
        return {"accuracy": figures[f"{AWARE}_{COMPENSATED}_{max(self.times):g}s"], **figures, **paid}


def one_chip(study: DriftStudy, analog: nn.Module, arm: str, chip: int, data: Data) -> list[dict[str, Any]]:
    """Program one chip and test it at every time, without and with compensation.

    Args:
        study: the configuration.
        analog: a converted and calibrated network; it is programmed here.
        arm: names the read noise.
        chip: number of the chip.
        data: its test part is used.

    Returns:
        ``seconds``, ``compensation`` and ``accuracy`` of each test, in the order of time; and what an
        inference costs, compensated: :data:`COSTS`, None without a DAC.
    """
    mho.program(analog, seed=study.chip_seed(chip))
    rows = []
    for seconds in study.times:
        with seeded(study.seed, "read", arm, str(chip), repr(seconds)):
            mho.age(analog, seconds)
            found = {RAW: accuracy(analog, data.test)}
            mho.compensate(analog)
            found[COMPENSATED] = accuracy(analog, data.test)
        with seeded(study.seed, "cost", arm, str(chip), repr(seconds)):
            images = data.test.tensors[0][:PRICED].to(next(analog.parameters()).device)
            paid = prices(analog, images, study.technology)
        costs = finite({name: paid[name] for name in COSTS})
        rows += [{"seconds": seconds, "compensation": c, "accuracy": a, **costs} for c, a in found.items()]
    return rows


def _costs(table: pd.DataFrame) -> pd.DataFrame:
    """Means over chips, by network and time."""
    known = table.reindex(columns=["arm", "seconds", *COSTS])
    found: pd.DataFrame = known.groupby(["arm", "seconds"], sort=False).mean().reset_index()
    return found


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation and 95 % interval over chips.

    Args:
        table: columns ``arm, compensation, seconds, accuracy``, one row for each chip.

    Returns:
        Columns ``arm, compensation, seconds, chips, mean, std, low, high``.
    """
    by = ["arm", "compensation", "seconds"]
    return estimates(table, by, lambda chips: estimate(chips["accuracy"].to_list(), share=True))


def paired_differences(table: pd.DataFrame) -> pd.DataFrame:
    """Hardware-aware minus plain accuracy, paired by chip.

    Returns:
        Columns ``compensation, seconds, chips, mean, std, low, high``; the interval is NaN where the
        difference is the same on every chip.
    """
    wide = table.pivot(index=["compensation", "seconds", "chip"], columns="arm", values="accuracy")

    def difference(chips: pd.DataFrame) -> MeanEstimate:
        return paired(chips[AWARE].to_list(), chips[PLAIN].to_list()).difference

    return estimates(wide.reset_index(), ["compensation", "seconds"], difference)

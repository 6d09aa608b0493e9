"""One network, one year on a chip: what programming error and drift do to accuracy.

A network is trained in float32. One copy is fine-tuned with the hardware in the loop, the other gets
as many more steps without it. Each is programmed on many simulated chips; every chip is aged and
tested, as it is and with drift compensation.

>>> study = DriftStudy(chips=2, times=(1.0, 86_400.0))
>>> study.chips, study.hardware.tile.rows
(2, 128)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, InstanceOf
from torch import nn

import mho
from mho import random
from mho.config import Count, Positive, config, to_dict
from mho.experiments.arms import AWARE, FLOAT, PLAIN, Arms, HardwareAware
from mho.experiments.data import Data, Digits, Source
from mho.experiments.fitting import Schedule, accuracy, limited_threads, seeded
from mho.experiments.machine import usable_device, versions
from mho.experiments.models import Network, SmallCNN
from mho.experiments.progress import Progress
from mho.experiments.statistics import Estimate, estimate, paired
from mho.experiments.store import Log, Store

if TYPE_CHECKING:
    import pandas as pd

ARMS = (PLAIN, AWARE)
RAW, COMPENSATED = "raw", "compensated"
LOG = Log("chips.jsonl", key=("arm", "chip"), bounds={"accuracy": (0, 1), "took": (0, math.inf)})
RESULTS = "results.json"
TABLE = "results.csv"
COLUMNS = ("arm", "compensation", "seconds", "chip", "chip_seed", "accuracy", "digital_accuracy")
CONVERSION = ("path", "layer", "analog", "note", "parameters", "tiles", "cells")


@config
class DriftStudy:
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
        return random.fork(self.seed, "chip", str(chip)).initial_seed()


@dataclass(frozen=True)
class DriftResult:
    """The tables of a study.

    Attributes:
        table: one row for each arm, compensation, time and chip.
        summary: mean, std and 95 % interval over chips for each arm, compensation and time.
        differences: hardware-aware minus plain, paired by chip, for each compensation and time.
        document: configuration, versions, wall times and the tables: the content of ``results.json``.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame
    document: Mapping[str, Any]

    @property
    def digital(self) -> dict[str, float]:
        """Test accuracy of each network without a chip."""
        return {arm: figures["test"] for arm, figures in self.document["digital"].items()}


def run(
    study: DriftStudy,
    output: Path,
    data_folder: Path | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> DriftResult:
    """Run the study, or what an earlier run in the same folder left of it.

    Args:
        study: the configuration.
        output: folder for the results; one configuration and one process each.
        data_folder: where the files of the data set lie, for data that has files.
        progress: told how far the run is.
        device: the torch device that computes.
        threads: threads on the CPU; the same number gives the same results on the same machine.

    Raises:
        MissingDataError: files of the data set are missing.
        FolderInUseError: another process works in the folder.
        OtherStudyError: the folder belongs to another configuration.
        DamagedRecordError: a finished chip is not as it was written.
        ValueError: the training diverged, or torch has no such device.
    """
    progress = progress if progress is not None else Progress()
    target = usable_device(device)
    data = study.data.load(data_folder)
    with Store(output, study, LOG) as store, limited_threads(threads):
        arms = Arms(study, data, store, progress, target)
        arms.train()
        networks = {arm: arms.load(arm) for arm in ARMS}
        _program_and_test(study, networks, data, store, progress)
        result = _result(study, store, data, networks[PLAIN])
        store.write_text(TABLE, result.table.to_csv(index=False, lineterminator="\n"))
        store.write_json(RESULTS, result.document)
    return result


def _program_and_test(
    study: DriftStudy, networks: Mapping[str, nn.Module], data: Data, store: Store, progress: Progress
) -> None:
    """Every chip that the store does not hold yet."""
    done = {(record["arm"], record["chip"]) for record in store.records}
    wanted = [(arm, chip) for chip in range(study.chips) for arm in ARMS]
    if done:
        progress.note(f"{len(done)} of {len(wanted)} chips were finished by an earlier run")
    with progress.stage("chips", total=len(wanted), done=len(done)) as step:
        for arm, chip in wanted:
            if (arm, chip) in done:
                continue
            start = time.perf_counter()
            rows = one_chip(study, networks[arm], arm, chip, data)
            took = time.perf_counter() - start
            store.append({"arm": arm, "chip": chip, "rows": rows, "took": took})
            step.advance(f"{arm}, chip {chip}: {100 * rows[-1]['accuracy']:.1f} %")


def one_chip(study: DriftStudy, analog: nn.Module, arm: str, chip: int, data: Data) -> list[dict[str, Any]]:
    """Program one chip and test it at every time, without and with compensation.

    Args:
        study: the configuration.
        analog: a converted and calibrated network; it is programmed here.
        arm: names the read noise.
        chip: number of the chip.
        data: its test part is used.

    Returns:
        ``seconds``, ``compensation`` and ``accuracy`` of each test, in the order of time.
    """
    mho.program(analog, seed=study.chip_seed(chip))
    rows = []
    for seconds in study.times:
        with seeded(study.seed, "read", arm, str(chip), repr(seconds)):
            mho.age(analog, seconds)
            rows.append({"seconds": seconds, "compensation": RAW, "accuracy": accuracy(analog, data.test)})
            mho.compensate(analog)
            compensated = accuracy(analog, data.test)
            rows.append({"seconds": seconds, "compensation": COMPENSATED, "accuracy": compensated})
    return rows


def read_table(path: Path) -> pd.DataFrame:
    """The table of an earlier run, from its ``results.csv``.

    Raises:
        ValueError: the file is not such a table.
    """
    import pandas as pd

    table = pd.read_csv(path)
    absent = [name for name in COLUMNS if name not in table.columns]
    if absent or table.empty:
        raise ValueError(
            f"{path}: not a table of this study: it needs rows and the columns {', '.join(COLUMNS)}"
        )
    return table


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation and 95 % interval over chips.

    Args:
        table: columns ``arm, compensation, seconds, accuracy``, one row for each chip.

    Returns:
        Columns ``arm, compensation, seconds, chips, mean, std, low, high``.
    """
    by = ["arm", "compensation", "seconds"]
    return _estimates(table, by, lambda chips: estimate(chips["accuracy"].to_list()))


def paired_differences(table: pd.DataFrame) -> pd.DataFrame:
    """Hardware-aware minus plain accuracy, paired by chip.

    Returns:
        Columns ``compensation, seconds, chips, mean, std, low, high``; the interval is NaN where the
        difference is the same on every chip.
    """
    wide = table.pivot(index=["compensation", "seconds", "chip"], columns="arm", values="accuracy")

    def difference(chips: pd.DataFrame) -> Estimate:
        return paired(chips[AWARE].to_list(), chips[PLAIN].to_list()).difference

    return _estimates(wide.reset_index(), ["compensation", "seconds"], difference)


def _estimates(
    table: pd.DataFrame, by: list[str], estimated: Callable[[pd.DataFrame], Estimate]
) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for key, group in table.groupby(by, sort=False):
        e = estimated(group)
        names = dict(zip(by, key, strict=True))
        rows.append({**names, "chips": e.n, "mean": e.mean, "std": e.std, "low": e.low, "high": e.high})
    estimates: pd.DataFrame = pd.DataFrame(rows)
    return estimates


def _result(study: DriftStudy, store: Store, data: Data, analog: nn.Module) -> DriftResult:
    facts = {name: store.load_network(name)[1] for name in (FLOAT, *ARMS)}
    table = _table(study, store, {arm: facts[arm]["test"] for arm in ARMS})
    summary, differences = summarise(table), paired_differences(table)
    seconds = {name: facts[name]["seconds"] for name in facts}
    seconds["chips"] = sum(record["took"] for record in store.records)
    document = {
        "format": 1,
        "study": to_dict(study),
        "seed": study.seed,
        "versions": versions(),
        "test_images": len(data.test),
        "digital": {arm: {k: facts[arm][k] for k in ("validation", "test")} for arm in ARMS},
        "wall_seconds": {**seconds, "total": sum(seconds.values())},
        "conversion": [
            {name: getattr(row, name) for name in CONVERSION}
            for row in analog.report.rows  # type: ignore[union-attr]
        ],
        "summary": _records(summary),
        "differences": _records(differences),
    }
    return DriftResult(table=table, summary=summary, differences=differences, document=document)


def _table(study: DriftStudy, store: Store, digital: Mapping[str, float]) -> pd.DataFrame:
    """One row for each test of a chip, in an order that does not depend on that of the work."""
    import pandas as pd

    records = sorted(store.records, key=lambda record: (ARMS.index(record["arm"]), record["chip"]))
    rows = [
        {
            "arm": record["arm"],
            "compensation": row["compensation"],
            "seconds": row["seconds"],
            "chip": record["chip"],
            "chip_seed": study.chip_seed(record["chip"]),
            "accuracy": row["accuracy"],
            "digital_accuracy": digital[record["arm"]],
        }
        for record in records
        for row in record["rows"]
    ]
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(COLUMNS))
    return table


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain dicts, None where a figure is not defined."""
    rows: list[dict[str, Any]] = table.astype(object).where(table.notna(), None).to_dict("records")
    return rows

"""The study of one modality, or what an earlier run in the same folder left of it; and several together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mho.config import parse_json, to_dict
from mho.errors import ConfigError
from mho.experiments.fitting import limited_threads
from mho.experiments.hwa.chips import IDEALISED, columns_of, key
from mho.experiments.hwa.networks import ARMS, LONGER, PLAIN, STUDENTS, TEACHER, MissingNetworkError, Networks
from mho.experiments.hwa.sharing import Shared
from mho.experiments.hwa.study import RAW, ChipTest, HWAStudy
from mho.experiments.hwa.tables import idealised_loss, normalised, recovery, summarise, table
from mho.experiments.hwa.tasks import Problem
from mho.experiments.machine import usable_device, versions
from mho.experiments.progress import Progress
from mho.experiments.store import Log, Store

if TYPE_CHECKING:
    import pandas as pd

    from mho.experiments.hwa.work import Piece

RESULTS, TABLE = "results.json", "results.csv"
MEASURED = "measured"
CONVERSION = ("path", "layer", "analog", "note", "parameters", "tiles", "cells")


@dataclass(frozen=True)
class HWAResult:
    """What the study of one modality gave.

    Attributes:
        table: one row for each arm, correction, time and chip.
        document: configuration, versions, times spent and summaries: the content of ``results.json``.
    """

    table: pd.DataFrame
    document: Mapping[str, Any]


def run(
    study: HWAStudy,
    output: Path,
    test: ChipTest | None = None,
    *,
    train: bool = True,
    data_folder: Path | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
    threads: int = 1,
    workers: int = 1,
) -> HWAResult:
    """Run the study of one modality, or what an earlier run in the same folder left of it.

    Args:
        study: the configuration of the networks.
        output: folder for the results; one configuration and one process each.
        test: chips and times; more chips or other times may be asked for later.
        train: train the networks that are not stored; False takes them as they are.
        data_folder: where published files lie, for data that has files.
        progress: told how far the run is.
        device: the torch device that computes.
        threads: threads of each process on the CPU.
        workers: processes; the result does not depend on it.

    Raises:
        MissingDataError: files of the data are missing.
        MissingModelError: pretrained weights are missing.
        MissingNetworkError: ``train`` is False and a network was not trained yet.
        FolderInUseError: another process works in the folder.
        OtherStudyError: the folder belongs to another configuration.
        DamagedRecordError: a finished chip is not as it was written.
        ValueError: the training diverged, or torch has no such device.
    """
    (result,) = run_together(
        {output: study}, test, train=train, data_folder=data_folder, progress=progress, device=device,
        threads=threads, workers=workers,
    )  # fmt: skip
    return result


def run_together(
    studies: Mapping[Path, HWAStudy],
    test: ChipTest | None = None,
    *,
    train: bool = True,
    data_folder: Path | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
    threads: int = 1,
    workers: int = 1,
) -> list[HWAResult]:
    """:func:`run` for several modalities, whose work the workers share: none waits for another's teacher.

    Args:
        studies: the configuration of each, by the folder for its results.
        test, train, data_folder, progress, device, threads, workers: as in :func:`run`.

    Raises:
        ValueError: as in :func:`run`.
    """
    progress, test = progress or Progress(), test or ChipTest()
    if workers == 1 and len(studies) > 1:  # nobody waits: each modality is finished before the next
        return [
            run(
                study, folder, test, train=train, data_folder=data_folder, progress=progress, device=device,
                threads=threads,
            )
            for folder, study in studies.items()
        ]  # fmt: skip
    with limited_threads(threads), ExitStack() as held:
        modalities = []
        for folder, study in studies.items():
            modalities.append(Modality(study, folder, test, data_folder, progress, device))
            held.callback(modalities[-1].store.close)
        data = None if data_folder is None else str(data_folder)
        settings = {"data": data, "device": device, "threads": threads}
        shared = Shared(modalities[::-1], progress, settings, workers)  # the costliest first
        if train:
            shared.train()
        for modality in modalities:
            modality.check_networks(ARMS if train else STUDENTS)
        shared.test_chips(train)
        return [modality.result() for modality in modalities]


def _log(problem: Problem) -> Log:
    """The finished chips of a study; an error is a part of all items, or a mean in nats."""
    error = (0, 1 if problem.metric == "accuracy" else math.inf)
    seconds = dict.fromkeys(("seconds", "cpu_seconds"), (0, math.inf))
    return Log("chips.jsonl", key=("test", "arm", "chip", "protocol"), bounds={"found": error, **seconds})


class Modality:
    """One modality: its pieces of work, and what came of them."""

    def __init__(
        self,
        study: HWAStudy,
        output: Path,
        test: ChipTest,
        data: Path | None,
        progress: Progress,
        device: str,
    ) -> None:
        self.study, self.test = study, test
        self.progress = progress
        place = usable_device(device)
        self.problem: Problem = study.task.load(data)
        self.store = Store(output, study, _log(self.problem))
        self.networks = Networks(study, self.problem, self.store, progress, place)

    def check_networks(self, students: Sequence[str]) -> None:
        """The teacher and these students must be there before chips are tested."""
        for name in (TEACHER, *students):
            if not self.store.has(name):
                raise MissingNetworkError(
                    f"{self.store.folder}: the {name} network is not there; train it first (leave "
                    "--eval-only out)"
                )

    def trainings(self, names: Sequence[str]) -> list[Piece]:
        """Those of the networks that the store does not hold yet."""
        return [self.piece(name) for name in names if not self.store.has(name)]

    def chips(self) -> tuple[list[Piece], int]:
        """The chips that the store does not hold yet, and the number of all."""
        wanted = [
            self.piece(arm, chip, protocol)
            for protocol, chips in ((MEASURED, self.test.chips), (IDEALISED, self.test.idealised_chips))
            for arm in ARMS
            for chip in range(chips)
        ]
        finished = {(r["arm"], r["chip"], r["protocol"]) for r in self.records()}
        left = [p for p in wanted if (p.network, p.chip, p.protocol) not in finished]
        if len(left) < len(wanted):
            self.progress.note(
                f"{self.study.task.modality}: {len(wanted) - len(left)} of {len(wanted)} chips were finished "
                "by an earlier run"
            )
        return left, len(wanted)

    def take(self, piece: Piece, found: dict[str, float]) -> str:
        """Keep what came of a piece of work, and say it in a few words."""
        if piece.chip < 0:  # the network is stored
            return self.named(piece)
        self.store.append(
            {
                "test": self.same_times(),
                "arm": piece.network,
                "chip": piece.chip,
                "protocol": piece.protocol,
                "found": found,
            }
        )
        last = self.test.times[-1]
        names = [name for name in (key("global", last), key(IDEALISED, last)) if name in found]
        return f"{self.named(piece)}: {self.problem.shown(found[names[0]]):.4g}"

    def named(self, piece: Piece) -> str:
        """What a piece of work is."""
        chip = f", chip {piece.chip}" if piece.chip >= 0 else ""
        return f"{self.study.task.modality}, {piece.network}{chip}"

    def piece(self, name: str, chip: int = -1, protocol: str = MEASURED) -> Piece:
        """Work for a worker."""
        from mho.experiments.hwa.work import Piece

        return Piece(study=self.study, test=self.test, network=name, chip=chip, protocol=protocol)

    def same_times(self) -> list[float]:
        """What records must have in common."""
        return [*self.test.times, self.test.idealised_nu]

    def records(self) -> list[dict[str, Any]]:
        """The finished chips of this test, in an order that does not depend on that of the work."""
        most = {MEASURED: self.test.chips, IDEALISED: self.test.idealised_chips}
        found = [
            r
            for r in self.store.records
            if r["test"] == self.same_times() and r["chip"] < most[r["protocol"]]
        ]
        return sorted(found, key=lambda r: (r["protocol"] == IDEALISED, ARMS.index(r["arm"]), r["chip"]))

    def result(self) -> HWAResult:
        """The tables, written to the folder."""
        facts = {name: self.store.load_network(name)[1] for name in (TEACHER, *STUDENTS)}
        found = self.table(facts)
        document = self.document(facts, found)
        self.store.write_text(TABLE, found.to_csv(index=False, lineterminator="\n"))
        self.store.write_json(RESULTS, document)
        return HWAResult(table=found, document=document)

    def table(self, facts: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
        """One row for each test of a chip."""
        problem, reference = self.problem, facts[PLAIN]["test"]
        common = {"modality": self.study.task.modality, "metric": problem.metric, "seed": self.study.seed}
        return table(
            [
                {
                    **common,
                    **row,
                    "arm": record["arm"],
                    "chip": record["chip"],
                    "chip_seed": self.study.chip_seed(record["chip"]),
                    "value": problem.shown(row["error"]),
                    "normalised": normalised(row["error"], reference, problem.chance),
                    "digital_value": problem.shown(facts[record["arm"]]["test"]),
                    "reference_error": reference,
                    "chance_error": problem.chance,
                }
                for record in self.records()
                for row in columns_of(self.test, record["found"])
            ]
        )

    def document(self, facts: Mapping[str, Mapping[str, float]], found: pd.DataFrame) -> dict[str, Any]:
        """The content of ``results.json``."""
        problem, modality = self.problem, self.study.task.modality
        shown = {
            name: {**fact, **{f"{part}_value": problem.shown(fact[part]) for part in ("validation", "test")}}
            for name, fact in facts.items()
        }
        spent = {
            kind: sum(r["found"][kind] for r in self.records()) + sum(fact[kind] for fact in facts.values())
            for kind in ("seconds", "cpu_seconds")
        }
        report: Any = self.networks.analog(PLAIN).report
        corrections = [c for c in dict.fromkeys(found["correction"]) if c not in (RAW, IDEALISED)]
        return {
            "format": 1,
            "modality": modality,
            "metric": problem.metric,
            "study": to_dict(self.study),
            "test": to_dict(self.test),
            "seed": self.study.seed,
            "versions": versions(),
            "data": {
                "origin": problem.origin,
                "digest": problem.digest,
                "outputs": problem.outputs,
                "targets": {
                    part: int(getattr(problem, part).tensors[1].numel())
                    for part in ("train", "validation", "test")
                },
            },
            "networks": shown,
            "not_converged": problem.shown(facts[LONGER]["test"]) - problem.shown(facts[PLAIN]["test"]),
            "summary": summarise(found),
            "recovery": [recovery(found, modality, c) for c in corrections],
            "idealised_drift_loss": {arm: idealised_loss(found, modality, arm) for arm in ARMS},
            "spent": spent,
            "conversion": [{name: getattr(row, name) for name in CONVERSION} for row in report.rows],
        }


def finished(folder: Path) -> dict[str, dict[str, Any]]:
    """The documents of all modalities that a folder holds, by modality."""
    found = {}
    for path in sorted(folder.glob(f"*/{RESULTS}")):
        document = _document(path)
        found[str(document["modality"])] = document
    return found


def _document(path: Path) -> dict[str, Any]:
    """The document of one modality."""
    try:
        document: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
    except ConfigError as error:
        raise ValueError(f"{path}: damaged ({error}); run that modality again") from None
    return document

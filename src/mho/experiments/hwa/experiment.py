"""The study of one modality with its test on chips, and what a folder holds of all modalities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mho.config import config, to_dict
from mho.config.sealed import read_sealed
from mho.experiments import harness
from mho.experiments.harness import Work
from mho.experiments.harness.measuring import Place, measure
from mho.experiments.hwa.chips import IDEALISED, idealised, one_chip
from mho.experiments.hwa.networks import LONGER, STUDENTS, TEACHER, HWANetworks
from mho.experiments.hwa.study import GLOBAL, RAW, ChipTest, HWAStudy
from mho.experiments.hwa.tables import COLUMNS, idealised_loss, normalised, pick, recovery, summarise
from mho.experiments.hwa.tasks import Problem
from mho.experiments.networks import ARMS, AWARE, PLAIN
from mho.experiments.store import RESULTS, REWRITTEN, Log

if TYPE_CHECKING:
    import pandas as pd

MEASURED = "measured"


@config
class HWAExperiment(harness.Study):
    """The study of one modality with its test on chips, as one description.

    Attributes:
        study: the networks.
        test: chips and times.
    """

    study: HWAStudy = HWAStudy()
    test: ChipTest = ChipTest()

    pieces = "chips"
    stages = MappingProxyType({"teachers": (TEACHER,), "students": ARMS[::-1]})
    beside = (LONGER,)

    @property
    def label(self) -> str:
        """The modality."""
        return self.study.task.modality

    def identity(self) -> HWAStudy:
        """The networks: other chips and times may be asked for later."""
        return self.study

    def places(self) -> list[dict[str, Any]]:
        """Each chip with each student, under both protocols."""
        same = [*self.test.times, self.test.idealised_nu]
        return [
            {"test": same, "arm": arm, "chip": chip, "protocol": protocol}
            for protocol, chips in ((MEASURED, self.test.chips), (IDEALISED, self.test.idealised_chips))
            for arm in ARMS
            for chip in range(chips)
        ]

    def load(self, folder: Path | None) -> Problem:
        """Read the data of the task."""
        return self.study.task.load(folder)

    def prepare(self, work: Work, data: Problem) -> HWANetworks:
        """The networks."""
        return HWANetworks(self.study, data, work.store, work.progress, work.device)

    def measure(self, place: Mapping[str, Any], shared: HWANetworks) -> list[dict[str, Any]]:
        """The errors of one chip, see :func:`one_chip` and :func:`idealised`."""
        arm, chip = place["arm"], place["chip"]
        if place["protocol"] == MEASURED:
            return one_chip(shared, self.test, shared.chip(arm), arm, chip)
        return idealised(shared, self.test, shared.digital(arm), chip)

    def detail(self, place: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], shared: HWANetworks) -> str:
        """The chip, and its error at the last time, compensated."""
        told = f"{place['arm']}, chip {place['chip']}"
        last = [row["error"] for row in rows if row["correction"] in (GLOBAL, IDEALISED)][-1:]
        return f"{told}: {shared.problem.shown(last[0]):.4g}" if last else told

    def log(self, data: Problem) -> Log:
        """The finished chips; an error is a part of all items, or a mean in nats."""
        log = super().log(data)
        return replace(log, bounds={**log.bounds, "error": (0, 1 if data.metric == "accuracy" else math.inf)})

    def table(self, records: Sequence[Mapping[str, Any]], shared: HWANetworks) -> pd.DataFrame:
        """One row for each test of a chip."""
        import pandas as pd

        problem, facts = shared.problem, shared.facts(ARMS)
        reference = facts[PLAIN]["test"]
        common = {"modality": self.label, "metric": problem.metric, "seed": self.study.seed}
        rows = [
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
            for record in records
            for row in record["rows"]
        ]
        made: pd.DataFrame = pd.DataFrame(rows, columns=list(COLUMNS))
        return made

    def document(self, table: pd.DataFrame, shared: HWANetworks, work: Work) -> dict[str, Any]:
        """The content of ``results.json`` beside the configuration of the networks."""
        problem, facts = shared.problem, shared.facts((TEACHER, *STUDENTS))
        wanted = {work.store.piece(place) for place in self.places()}
        records = [record for record in work.store.records if work.store.piece(record) in wanted]
        parts = ("validation", "test")
        corrections = [c for c in dict.fromkeys(table["correction"]) if c not in (RAW, IDEALISED)]
        return {
            "modality": self.label,
            "metric": problem.metric,
            "test": to_dict(self.test),
            "data": {
                "origin": problem.origin,
                "digest": problem.digest,
                "outputs": problem.outputs,
                "targets": {p: int(getattr(problem, p).tensors[1].numel()) for p in ("train", *parts)},
            },
            "networks": {
                name: {**fact, **{f"{part}_value": problem.shown(fact[part]) for part in parts}}
                for name, fact in facts.items()
            },
            "not_converged": problem.shown(facts[LONGER]["test"]) - problem.shown(facts[PLAIN]["test"]),
            "summary": summarise(table),
            "recovery": [recovery(table, self.label, c) for c in corrections],
            "idealised_drift_loss": {arm: idealised_loss(table, self.label, arm) for arm in ARMS},
            "spent": {
                kind: sum(r[name] for r in records) + sum(fact[kind] for fact in facts.values())
                for kind, name in (("seconds", "took"), ("cpu_seconds", "cpu"))
            },
            "conversion": shared.conversion(PLAIN),
        }

    def headline(self, table: pd.DataFrame) -> dict[str, float]:
        """Values and normalised accuracies by correction and time; the aware one's matters most."""
        rows = summarise(table)
        figures: dict[str, float] = {}
        for row in rows:
            name = f"{row['arm']}_{row['correction'].replace(' ', '_')}_{row['seconds']:g}s"
            figures |= {name: float(row["value"]), f"{name}_normalised": _number(row["normalised"])}
        last = pick(rows, self.label, AWARE, GLOBAL)
        return {"accuracy": _number(last["normalised"]), **figures}


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def finished(folder: Path) -> dict[str, dict[str, Any]]:
    """The documents of all modalities that a folder holds, by modality."""
    found = {}
    for path in sorted(folder.glob(f"*/{RESULTS}")):
        document = read_sealed(path, f"of that modality {REWRITTEN}")
        document.pop("checksums", None)
        found[str(document["modality"])] = document
    return found


@measure.register
def _(study: HWAStudy, place: Place) -> dict[str, float]:
    return measure(HWAExperiment(study=study), place)

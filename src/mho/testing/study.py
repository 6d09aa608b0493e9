"""The contract of studies."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mho.config import parse_json
from mho.experiments.harness import Study, Work, run
from mho.experiments.harness.measuring import Place, measure
from mho.experiments.harness.runner import places_of, rows_of
from mho.experiments.progress import Progress
from mho.experiments.store import Store
from mho.testing.promise import check_description, demand, promises

_TABLE = "results.csv"


def check_study(study: Study) -> None:
    """Check that a study keeps the contract of all studies.

    The study must: travel through JSON; name its places by plain values, the same names everywhere, each
    once, the same again; find the same at a place again, whatever was measured before (random numbers come
    from its seed, and from torch's global stream); give rows with the same names everywhere, which hold the
    columns that it says it measures, within their bounds; go on where a run stopped, with the results of one
    that never stopped; draw figures of its table; and tell a sweep its headline, finite numbers by name.

    Args:
        study: an instance of few places that are measured fast: each is measured three times.

    Raises:
        AssertionError: naming the study and the broken promise.

    Example:
        >>> from mho.config import config
        >>> from mho.experiments.harness import Column, grid
        >>> @config
        ... class Powers(Study):
        ...     measured = (Column("value", "V", "what is left", low=0, high=1),)
        ...
        ...     def places(self):
        ...         return grid(depth=range(3))
        ...
        ...     def measure(self, place, shared):
        ...         return {"value": 0.3 ** place["depth"]}
        >>> check_study(Powers())
    """
    demand(isinstance(study, Study), study, "must derive from mho.experiments.harness.Study")
    check_description(study, Study)
    must = promises(study)
    places = _places(study)
    must(places == _places(study), "places must be the same when they are asked for again")
    must(_through_json(places) == places, "places must have plain values: numbers, words, true, false")
    with tempfile.TemporaryDirectory() as folder:
        found = _table(study, Path(folder, "whole"))
        _check_rows(study, Path(folder, "again"), Path(folder, "whole"), places)
        _check_going_on(study, Path(folder, "whole"), found)
        _check_figures(study, Path(folder, "swept"))


def _places(study: Study) -> list[dict[str, Any]]:
    try:
        return places_of(study)
    except ValueError as error:
        raise AssertionError(f"{study!r}: {error}") from error


def _table(study: Study, folder: Path) -> str:
    """The text of the table that a run gives."""
    try:
        found = run(study, folder).table
    except ValueError as error:  # a figure beyond its bounds, a row that is none
        raise AssertionError(f"{study!r}: {error}") from error
    missing = [column.name for column in study.measured if column.name not in found]
    demand(not missing, study, f"the table must have the columns that it says it measures: no {missing}")
    return (folder / _TABLE).read_text(encoding="utf-8")


def _check_rows(study: Study, folder: Path, whole: Path, places: list[dict[str, Any]]) -> None:
    """Each place by itself, the last one first, gives what it gave in the run."""
    must = promises(study)
    data = study.load(None)
    kept = _records(whole, study, data)
    with Store(folder, study.identity(), study.log(data), study.fingerprint(data)) as store:
        shared = study.prepare(Work(store, None, torch.device("cpu"), Progress(), folder), data)
        for stage in study.stages.values():
            for name in stage:
                shared.train(name)
        names = None
        for place in reversed(places):
            rows = _through_json(rows_of(study, place, shared))
            must(rows == kept[store.piece(place)], f"must find the same at {place}, in any order of places")
            must(names in (None, list(rows[0])), f"rows must have the same names: {place} has others")
            names = list(rows[0])


def _records(folder: Path, study: Study, data: Any) -> dict[str, Any]:
    with Store(folder, study.identity(), study.log(data), study.fingerprint(data)) as store:
        return {store.piece(record): record["rows"] for record in store.records}


def _check_going_on(study: Study, folder: Path, wanted: str) -> None:
    """A run of which the last places are not there yet ends as one that never stopped."""
    log = folder / f"{study.pieces}.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    log.write_text("".join(lines[: len(lines) // 2]), encoding="utf-8")
    demand(_table(study, folder) == wanted, study, "must go on where a run stopped, to the same table")


def _check_figures(study: Study, folder: Path) -> None:
    must = promises(study)
    headline = measure(study, Place(folder, folder.parent / "shared"))
    sound = isinstance(headline, Mapping) and headline and all(map(_is_finite, headline.values()))
    must(bool(sound), f"headline must give a sweep finite numbers by name; gave {headline!r}")
    table = run(study, folder).table
    for name, figure in study.figures(table).items():
        must(Path(name).suffix == ".png" and hasattr(figure, "savefig"), f"figures: {name!r} must be a .png")
    for sentence in study.findings(table):
        must(isinstance(sentence, str) and bool(sentence), "findings must be sentences")


def _through_json(value: Any) -> Any:
    return parse_json(json.dumps(value))


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

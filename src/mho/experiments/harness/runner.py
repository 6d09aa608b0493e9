"""Running a study in its folder: what an earlier run finished is found, the rest is measured and kept."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mho.config import from_json, to_dict, to_json
from mho.experiments.engines import LocalEngine
from mho.experiments.fitting import limited_threads, seeded
from mho.experiments.harness.study import Place, Row, Study, Work
from mho.experiments.machine import usable_device, versions
from mho.experiments.progress import Progress
from mho.experiments.store import Store

if TYPE_CHECKING:
    import pandas as pd

RESULTS, TABLE, WORKERS_LOG = "results.json", "results.csv", "workers.log"


@dataclass(frozen=True)
class Result:
    """What a study found.

    Attributes:
        table: tidy, as ``results.csv`` holds it.
        document: configuration, versions and what the study adds: the content of ``results.json``.
    """

    table: pd.DataFrame
    document: Mapping[str, Any]


def run(
    study: Study,
    output: Path,
    data_folder: Path | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
    threads: int = 1,
    workers: int = 1,
) -> Result:
    """Run a study, or what an earlier run in the same folder left of it.

    Args:
        study: the description.
        output: folder for the results; one configuration and one process each.
        data_folder: where the files of the data set lie, for data that has files.
        progress: told how far the run is.
        device: the torch device that computes.
        threads: threads on the CPU; the same number gives the same results on the same machine.
        workers: processes; the result does not depend on it.

    Raises:
        MissingDataError: files of the data set are missing.
        FolderInUseError: another process works in the folder.
        OtherStudyError: the folder belongs to another configuration.
        DamagedRecordError: a finished place is not as it was written.
        ValueError: a place could not be measured by a worker, or torch has no such device.
    """
    progress = progress if progress is not None else Progress()
    target = usable_device(device)
    data = study.load(data_folder)
    with Store(output, study, study.log()) as store, limited_threads(threads):
        work = Work(store, data_folder, target, progress)
        shared = study.prepare(work, data)
        job = {
            "data": None if data_folder is None else str(data_folder),
            "device": device,
            "threads": threads,
        }
        _measure(study, shared, work, job, workers)
        table = study.table(_in_order(study, store), shared)
        document = {
            "format": 1,
            "study": to_dict(study),
            "seed": getattr(study, "seed", None),
            "versions": versions(),
            **study.document(table, shared, work),
        }
        store.write_text(TABLE, table.to_csv(index=False, lineterminator="\n"))
        store.write_json(RESULTS, document)
    return Result(table, document)


def _measure(study: Study, shared: Any, work: Work, job: dict[str, Any], workers: int) -> None:
    """Every place that the store does not hold yet."""
    store, places = work.store, study.places()
    finished = {store.piece(record) for record in store.records}
    left = [place for place in places if store.piece(place) not in finished]
    done = len(places) - len(left)
    if done:
        work.progress.note(f"{done} of {len(places)} {study.pieces} were finished by an earlier run")
    with work.progress.stage(study.pieces, len(places), done) as step:
        for place, rows, took in _each(study, shared, store, left, job, workers):
            store.append({**place, "rows": rows, "took": took})
            step.advance(study.detail(place, rows))


def _each(
    study: Study, shared: Any, store: Store, places: Sequence[Place], job: dict[str, Any], workers: int
) -> Iterator[tuple[Place, list[Row], float]]:
    """Places with their rows and the seconds they took, as they end."""
    if workers == 1 or len(places) < 2:
        for place in places:
            start = time.perf_counter()
            rows = rows_of(study, place, shared)
            yield place, rows, time.perf_counter() - start
        return
    folder = str(store.folder.resolve())
    job |= {"study": to_dict(study), "folder": folder, "shared": folder, "imports": [_home(study)]}
    engine = LocalEngine(workers, store.folder / WORKERS_LOG)
    with closing(engine.run([{**job, "place": dict(place)} for place in places])) as outcomes:
        for number, outcome in outcomes:
            if "error" in outcome:
                raise ValueError(f"{study.detail(places[number], ())}: {outcome['error']}")
            yield places[number], outcome["rows"], outcome["took"]


def _home(study: Study) -> str:
    """The module that holds the class of a study; its file, if it is the script that runs."""
    name = type(study).__module__
    return str(Path(sys.modules[name].__file__ or name).resolve()) if name == "__main__" else name


def rows_of(study: Study, place: Place, shared: Any) -> list[Row]:
    """What a study finds at a place, as a list of rows; torch's global stream is one of the place's own."""
    with seeded(getattr(study, "seed", 0), "place", json.dumps(dict(place))):
        found = study.measure(place, shared)
        return [dict(found)] if isinstance(found, Mapping) else [dict(row) for row in found]


def measured_at(
    study: Study, place: Place, folder: Path, data: Path | None, device: str, threads: int
) -> list[Row]:
    """One place, in a process that helps the one that holds the folder."""
    with limited_threads(threads):
        return rows_of(study, place, _shared(to_json(study), folder, data, device))


@lru_cache(maxsize=1)
def _shared(study: str, folder: Path, data: Path | None, device: str) -> Any:
    """What all places of a study share; a worker prepares it once."""
    described: Study = from_json(study)
    store = Store(folder, described, helps=True)
    return described.prepare(Work(store, data, usable_device(device), Progress()), described.load(data))


def _in_order(study: Study, store: Store) -> list[dict[str, Any]]:
    """The records in the order of the grid, whatever that of the work was."""
    found = {store.piece(record): record for record in store.records}
    return [found[store.piece(place)] for place in study.places() if store.piece(place) in found]

"""Running studies in their folders: what an earlier run finished is found, the rest is measured and kept."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from mho.config import from_dict, from_json, to_dict
from mho.experiments.engines import LocalEngine
from mho.experiments.fitting import limited_threads, seeded
from mho.experiments.harness.study import TABLE, At, Result, Row, Study, Work, plain_row
from mho.experiments.machine import usable_device, versions
from mho.experiments.progress import Progress
from mho.experiments.store import RESULTS, Store

__all__ = ["RESULTS", "TABLE", "Piece", "Result", "piece_done", "places_of", "run", "run_together"]
WORKERS_LOG = "workers.log"


def run(study: Study, output: Path, data_folder: Path | None = None, **how: Any) -> Result:
    """Run a study, or what an earlier run in the same folder left of it.

    Args:
        study: the description.
        output: folder for the results; one configuration and one process each.
        data_folder: where the files of the data set lie, for data that has files.
        how: ``progress``, ``device``, ``threads``, ``workers``, ``train``, ``recompute``, ``shared``, as in
            :func:`run_together`.

    Raises:
        ValueError: as in :func:`run_together`.
    """
    return run_together({output: study}, data_folder, **how)[0]


def run_together(
    studies: Mapping[Path, Study],
    data_folder: Path | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
    threads: int = 1,
    workers: int = 1,
    train: bool = True,
    recompute: bool = False,
    shared: Path | None = None,
) -> list[Result]:
    """Run several studies of one kind, whose work the workers share: none waits for another's training.

    Args:
        studies: by the folder for the results of each.
        data_folder: where the files of the data sets lie, for data that has files.
        progress: told how far the run is.
        device: the torch device that computes.
        threads: threads of each process on the CPU; the same number gives the same results on one machine.
        workers: processes; the results do not depend on it.
        train: train the networks that are not stored; False takes them as they are.
        recompute: make networks again that are stored but cannot be read, for studies that know how.
        shared: folder of what other studies may find there; by default that of each study.

    Raises:
        MissingDataError: files of a data set are missing.
        MissingModelError: pretrained weights are missing.
        MissingNetworkError: ``train`` is False and a network was not trained yet.
        FolderInUseError: another process works in a folder.
        OtherStudyError: a folder belongs to another configuration, or to other data.
        DamagedFileError: a stored network cannot be read.
        DamagedRecordError: a finished place is not as it was written.
        ValueError: a training diverged, a worker failed, or torch has no such device.
    """
    progress = progress if progress is not None else Progress()
    if workers == 1 and len(studies) > 1:  # nobody waits: each study is finished before the next
        return [
            run(
                study, folder, data_folder, progress=progress, device=device, threads=threads, train=train,
                recompute=recompute, shared=shared,
            )
            for folder, study in studies.items()
        ]  # fmt: skip
    target = usable_device(device)
    if target.type != "cpu" and any(study.cpu_only for study in studies.values()):
        raise ValueError(f"device = {device}: this experiment computes on the CPU; leave out --on")
    job = {"data": None if data_folder is None else str(data_folder), "device": device, "threads": threads}
    with limited_threads(threads), ExitStack() as held:
        parts = []
        for folder, study in studies.items():
            data = study.load(data_folder)
            store = held.enter_context(
                Store(folder, study.identity(), study.log(data), study.fingerprint(data))
            )
            own = folder if shared is None else shared
            work = Work(store, data_folder, target, progress, own, recompute)
            parts.append(_Part(study, work, study.prepare(work, data)))
        pool = _Pool(parts[::-1], progress, job, workers)  # the costliest first
        pool.train(train)
        for part in parts:
            part.check(train)
        pool.measure(train)
        return [part.result() for part in parts]


class Piece(NamedTuple):
    """One piece of work: a network is trained, or a place measured."""

    network: str | None = None
    place: At | None = None


class _Part:
    """One study with its folder, and what all its places share."""

    def __init__(self, study: Study, work: Work, shared: Any) -> None:
        self.study, self.work, self.shared = study, work, shared
        self.store = work.store
        self.earlier: dict[str, dict[str, Any]] = {}

    def trainings(self, names: Sequence[str], train: bool) -> list[Piece]:
        """Those of the networks that are to be trained."""
        return [Piece(network=name) for name in names if self.shared.wanted(name, train)]

    def check(self, trained: bool) -> None:
        """The networks must be there before a place is measured."""
        names = [name for stage in self.study.stages.values() for name in stage]
        for name in names if trained else [*names, *self.study.beside]:
            self.shared.require(name)

    def places(self) -> tuple[list[Piece], int]:
        """The places that are not measured yet, and the number of all."""
        places, self.earlier = places_of(self.study), self.found()
        rests = [self.study.left(place, self.rows(place)) for place in places]
        left = [Piece(place=rest) for rest in rests if rest is not None]
        if len(left) < len(places):
            done, label = len(places) - len(left), f"{self.study.label}: " if self.study.label else ""
            self.work.progress.note(
                f"{label}{done} of {len(places)} {self.study.pieces} were finished by an earlier run"
            )
        return left, len(places)

    def take(self, piece: Piece, found: Mapping[str, Any]) -> str:
        """Keep what came of a piece, and say it in a few words."""
        rows = found.get("rows", ())
        if piece.place is not None:
            self.store.append({**piece.place, **found, "rows": [*self.rows(piece.place), *rows]})
        return self.said(piece, rows)

    def rows(self, place: At) -> Sequence[Row]:
        """What an earlier run found at a place."""
        rows: Sequence[Row] = self.earlier.get(self.store.piece(place), {}).get("rows", ())
        return rows

    def found(self) -> dict[str, dict[str, Any]]:
        """The records of the places that were measured, by what names a place in the store."""
        return {self.store.piece(record): record for record in self.store.records}

    def said(self, piece: Piece, rows: Sequence[Row] = ()) -> str:
        """What a piece is, and what came of it."""
        place = piece.place
        what = piece.network if place is None else self.study.detail(place, rows, self.shared)
        return ", ".join(part for part in (self.study.label, what) if part)

    def result(self) -> Result:
        """The tables, written to the folder, in the order of the grid, whatever that of the work was."""
        study, found = self.study, self.found()
        table = study.table([found[self.store.piece(place)] for place in places_of(study)], self.shared)
        document = {
            "format": 1,
            "study": to_dict(study.identity()),
            "seed": getattr(study.identity(), "seed", None),
            "versions": versions(),
            **study.document(table, self.shared, self.work),
        }
        result = Result(table, document)
        study.write(result, self.shared, self.work)
        return result


class _Pool:
    """Does the work of studies, in this process or in workers: no core waits for one study's training."""

    def __init__(self, parts: Sequence[_Part], progress: Progress, job: dict[str, Any], workers: int) -> None:
        self.parts, self.progress, self.job, self.workers = parts, progress, job, workers

    def train(self, train: bool) -> None:
        """The networks, stage by stage; :meth:`measure` trains those that nothing waits for."""
        for title in self.parts[0].study.stages:
            work = [(p, piece) for p in self.parts for piece in p.trainings(p.study.stages[title], train)]
            if self.workers == 1 or len(work) == 1:
                self._here(work)
            elif work:
                self._do(title, work, len(work))

    def measure(self, train: bool = True) -> None:
        """Every place that is not measured yet, and the networks that nothing waits for."""
        work = [(p, piece) for p in self.parts for piece in p.trainings(p.study.beside, train)]
        if self.workers == 1:
            self._here(work)
            work = []
        total = len(work)
        for part in self.parts:
            left, count = part.places()
            work += [(part, piece) for piece in left]
            total += count
        self._do(self.parts[0].study.pieces, work, total)

    def _here(self, work: Sequence[tuple[_Part, Piece]]) -> None:
        """Train in this process, which tells of each epoch."""
        for part, piece in work:
            part.shared.train(piece.network)

    def _do(self, title: str, work: Sequence[tuple[_Part, Piece]], total: int) -> None:
        if total == 0:
            return
        with self.progress.stage(title, total, done=total - len(work)) as step:
            for part, piece, found in self._done(work):
                step.advance(part.take(piece, found))

    def _done(self, work: Sequence[tuple[_Part, Piece]]) -> Iterator[tuple[_Part, Piece, Mapping[str, Any]]]:
        """Each piece with what came of it, as it ends."""
        if self.workers == 1 or len(work) < 2:
            for part, piece in work:
                yield part, piece, _finish(part.study, part.shared, piece)
            return
        engine = LocalEngine(self.workers, work[0][0].store.folder / WORKERS_LOG)
        with closing(engine.run([self._job(*one) for one in work])) as outcomes:
            for number, outcome in outcomes:
                part, piece = work[number]
                if "error" in outcome:
                    raise ValueError(f"{part.said(piece)}: {outcome['error']}")
                yield part, piece, outcome["found"]

    def _job(self, part: _Part, piece: Piece) -> dict[str, Any]:
        """A piece as the engine takes it."""
        name, work = type(part.study).__module__, part.work
        home = str(Path(sys.modules[name].__file__ or name).resolve()) if name == "__main__" else name
        where = {"folder": str(work.store.folder.resolve()), "shared": str(work.shared.resolve())}
        what = {"work": f"{__name__}:piece_done", "imports": [home], "piece": piece._asdict()}
        return {**self.job, **where, **what, "study": to_dict(part.study)}


def _finish(study: Study, shared: Any, piece: Piece) -> dict[str, Any]:
    """What came of a piece: the rows of a place (a trained network is stored), and the time it took."""
    start, cpu = time.perf_counter(), time.process_time()
    found: dict[str, Any] = {}
    if piece.place is None:
        shared.train(piece.network)
    else:
        found["rows"] = rows_of(study, piece.place, shared)
    return {**found, "took": time.perf_counter() - start, "cpu": time.process_time() - cpu}


def rows_of(study: Study, place: At, shared: Any) -> list[Row]:
    """What a study finds at a place, as a list of rows; torch's global stream is one of the place's own."""
    with seeded(getattr(study.identity(), "seed", 0), "place", json.dumps(dict(place))):
        found = study.measure(place, shared)
        rows = list([found] if isinstance(found, Mapping) else found)
    if not rows or not all(isinstance(row, Mapping) and row for row in rows):
        what = f"{rows[:1]!r:.60}" if rows else "no row"
        raise ValueError(f"{type(study).__name__}.measure gave {what} at {dict(place)}: give figures by name")
    return [plain_row(row) for row in rows]


def places_of(study: Study) -> list[dict[str, Any]]:
    """The grid of a study.

    Raises:
        ValueError: nothing to do (no place, no network), places with other names than the first one, or one
            that is there twice.
    """
    places = [plain_row(place) for place in study.places()]
    name = f"{type(study).__name__}.places"
    if not places and not study.stages:
        raise ValueError(f"{name} gave none: there is nothing to measure")
    seen: set[str] = set()
    for place in places:
        if place.keys() != places[0].keys():
            raise ValueError(f"{name} gave {place} beside {places[0]}: give all places the same names")
        key = json.dumps(place)
        if key in seen:
            raise ValueError(f"{name} gave {place} twice; remove one")
        seen.add(key)
    return places


def piece_done(job: Mapping[str, Any]) -> dict[str, Any]:
    """One piece of a study, in a process that helps the one that holds the folder."""
    with limited_threads(job["threads"]):
        shared = _shared(json.dumps(job["study"]), job["folder"], job["shared"], job["data"], job["device"])
        return {"found": _finish(from_dict(dict(job["study"])), shared, Piece(**job["piece"]))}


@lru_cache(maxsize=1)
def _shared(study: str, folder: str, shared: str, data: str | None, device: str) -> Any:
    """What all places of a study share; a worker reads the data once."""
    described: Study = from_json(study)
    files = None if data is None else Path(data)
    loaded = described.load(files)
    # Who shares the work out keeps the records.
    store = Store(Path(folder), described.identity(), images=described.fingerprint(loaded), helps=True)
    return described.prepare(Work(store, files, usable_device(device), Progress(), Path(shared)), loaded)

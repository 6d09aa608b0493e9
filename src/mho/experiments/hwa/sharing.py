"""The work of several modalities, shared out to processes: no core waits for one modality's teacher."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from mho.config import to_dict
from mho.experiments.engines import LocalEngine
from mho.experiments.hwa.networks import ARMS, LONGER, TEACHER
from mho.experiments.progress import Progress

if TYPE_CHECKING:
    from mho.experiments.hwa.run import Modality
    from mho.experiments.hwa.work import Piece

    Work = tuple[Modality, Piece]

_WORKER = "mho.experiments.hwa.work"


class Shared:
    """Does the work of modalities, in this process or in workers.

    Args:
        modalities: whose work it is, the costliest first.
        progress: told after each piece.
        settings: ``data``, ``device`` and ``threads`` of a job.
        workers: processes.
    """

    def __init__(
        self, modalities: Sequence[Modality], progress: Progress, settings: dict[str, Any], workers: int
    ) -> None:
        self.modalities, self.progress = modalities, progress
        self.settings, self.workers = settings, workers

    def train(self) -> None:
        """The teachers, then the students; :meth:`test_chips` trains those that nothing waits for."""
        for title, names in (("teachers", (TEACHER,)), ("students", ARMS[::-1])):
            work = self._trainings(names)
            if self.workers == 1 or len(work) == 1:
                self._here(work)
            elif work:
                self._do(title, work, len(work))

    def test_chips(self, train: bool = True) -> None:
        """Every chip that is not tested yet, and the student that is trained for longer."""
        work = self._trainings((LONGER,)) if train else []
        if self.workers == 1:
            self._here(work)
            work = []
        total = len(work)
        for made in self.modalities:
            left, count = made.chips()
            work += [(made, piece) for piece in left]
            total += count
        self._do("chips", work, total)

    def _trainings(self, names: Sequence[str]) -> list[Work]:
        return [(made, piece) for made in self.modalities for piece in made.trainings(names)]

    def _here(self, work: Sequence[Work]) -> None:
        """Train in this process, which tells of each epoch."""
        for made, piece in work:
            made.networks.train(piece.network)

    def _do(self, title: str, work: Sequence[Work], total: int) -> None:
        with self.progress.stage(title, total, done=total - len(work)) as step:
            for made, piece, found in self._done(work):
                step.advance(made.take(piece, found))

    def _done(self, work: Sequence[Work]) -> Generator[tuple[Modality, Piece, dict[str, float]], None, None]:
        """Each piece with its figures, as it ends."""
        from mho.experiments.hwa.work import do

        if self.workers == 1 or not work:
            for made, piece in work:
                yield made, piece, do(piece, made.networks)
            return
        engine = LocalEngine(self.workers, work[0][0].store.folder / "workers.log")
        with closing(engine.run([self._job(*one) for one in work])) as outcomes:
            for number, outcome in outcomes:
                made, piece = work[number]
                if "error" in outcome:
                    raise ValueError(f"{made.named(piece)}: {outcome['error']}")
                yield made, piece, outcome["metrics"]

    def _job(self, made: Modality, piece: Piece) -> dict[str, Any]:
        """A piece as the engine takes it."""
        folder = str(made.store.folder)
        return {
            **self.settings, "study": to_dict(piece), "folder": folder, "shared": folder, "imports": [_WORKER]
        }  # fmt: skip

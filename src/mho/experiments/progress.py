"""How a long run says where it is: a bar on a terminal, lines elsewhere, or nothing."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Step:
    """One stage under way; this one tells nothing."""

    def advance(self, detail: str = "") -> None:
        """One unit of work is done; ``detail`` says something about it."""


class Progress:
    """Tells nothing; the base of those that do."""

    @contextmanager
    def stage(self, title: str, total: int, done: int = 0) -> Iterator[Step]:
        """A stage of ``total`` units of work, of which ``done`` were done by an earlier run."""
        yield Step()

    def note(self, text: str) -> None:
        """A sentence for the reader."""


class Lines(Progress):
    """Plain lines, at most one every ``every`` seconds and one at the end of a stage."""

    def __init__(self, stream: TextIO | None = None, every: float = 5.0) -> None:
        self.stream = stream if stream is not None else sys.stdout
        self.every = every

    @contextmanager
    def stage(self, title: str, total: int, done: int = 0) -> Iterator[Step]:
        """See :meth:`Progress.stage`."""
        yield _LineStep(self, title, total, done)

    def note(self, text: str) -> None:
        """See :meth:`Progress.note`."""
        self.stream.write(text + "\n")
        self.stream.flush()


class _LineStep(Step):
    def __init__(self, lines: Lines, title: str, total: int, done: int) -> None:
        self.lines, self.title, self.total, self.done = lines, title, total, done
        self.before = done
        self.start = self.last = time.monotonic()

    def advance(self, detail: str = "") -> None:
        self.done += 1
        now = time.monotonic()
        if self.done == self.total or now - self.last >= self.lines.every:
            self.last = now
            took = now - self.start
            left = took / (self.done - self.before) * (self.total - self.done)
            parts = [f"{self.title}: {self.done}/{self.total}", f"{took:.0f} s"]
            parts += [f"{left:.0f} s left"] * (self.done < self.total) + [detail] * bool(detail)
            self.lines.note("  ".join(parts))


class Bar(Progress):
    """A bar with rich, for a terminal."""

    @contextmanager
    def stage(self, title: str, total: int, done: int = 0) -> Iterator[Step]:
        """See :meth:`Progress.stage`."""
        from rich import progress

        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=20),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[detail]}"),
        )
        with progress.Progress(*columns) as bar:
            task = bar.add_task(title, total=total, completed=done, detail="")
            yield _BarStep(bar, task)

    def note(self, text: str) -> None:
        """See :meth:`Progress.note`."""
        import rich

        rich.get_console().print(text, markup=False, highlight=False)


class _BarStep(Step):
    def __init__(self, bar: RichProgress, task: TaskID) -> None:
        self.bar, self.task = bar, task

    def advance(self, detail: str = "") -> None:
        self.bar.update(self.task, advance=1, detail=detail)


def for_terminal() -> Progress:
    """A bar if standard output is a terminal, else lines."""
    return Bar() if sys.stdout.isatty() else Lines()


@contextmanager
def counting(progress: Progress, title: str) -> Iterator[Callable[[int, int], None]]:
    """A stage for work that reports ``(done, total)``, one unit at a time, as ``mho.budget`` does."""
    with ExitStack() as stack:
        begun = functools.cache(lambda total: stack.enter_context(progress.stage(title, total)))
        yield lambda done, total: begun(total).advance()

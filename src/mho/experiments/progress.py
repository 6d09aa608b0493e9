"""How a long run says where it is: a bar on a terminal, lines elsewhere, or nothing."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TextIO


class ProgressStep:
    """One stage under way; by itself it tells nothing."""

    def __init__(self, tell: Callable[[str], object] = str) -> None:
        self._tell = tell

    def advance(self, detail: str = "") -> None:
        """One unit of work is done; ``detail`` says something about it."""
        self._tell(detail)


class Progress:
    """Tells nothing; the base of those that do."""

    @contextmanager
    def stage(self, title: str, total: int, done: int = 0) -> Iterator[ProgressStep]:
        """A stage of ``total`` units of work, of which ``done`` were done by an earlier run."""
        yield ProgressStep()

    def note(self, text: str) -> None:
        """A sentence for the reader."""


class PlainLines(Progress):
    """Plain lines, at most one every ``every`` seconds and one at the end of a stage."""

    def __init__(self, stream: TextIO | None = None, every: float = 5.0) -> None:
        self.stream = stream if stream is not None else sys.stdout
        self.every = every

    @contextmanager
    def stage(self, title: str, total: int, done: int = 0) -> Iterator[ProgressStep]:
        """See :meth:`Progress.stage`."""
        start = last = time.monotonic()
        count = done

        def tell(detail: str) -> None:
            nonlocal last, count
            count, now = count + 1, time.monotonic()
            if count == total or now - last >= self.every:
                last, took = now, now - start
                left = took / (count - done) * (total - count)
                parts = [f"{title}: {count}/{total}", f"{took:.0f} s"]
                parts += [f"{left:.0f} s left"] * (count < total) + [detail] * bool(detail)
                self.note("  ".join(parts))

        yield ProgressStep(tell)

    def note(self, text: str) -> None:
        """See :meth:`Progress.note`."""
        self.stream.write(text + "\n")
        self.stream.flush()


class Bar(Progress):
    """A bar with rich, for a terminal."""

    @contextmanager
    def stage(self, title: str, total: int, done: int = 0) -> Iterator[ProgressStep]:
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
            yield ProgressStep(lambda detail: bar.update(task, advance=1, detail=detail))

    def note(self, text: str) -> None:
        """See :meth:`Progress.note`."""
        import rich

        rich.get_console().print(text, markup=False, highlight=False)


def for_terminal() -> Progress:
    """A bar if standard output is a terminal, else lines."""
    return Bar() if sys.stdout.isatty() else PlainLines()


@contextmanager
def counting(progress: Progress, title: str) -> Iterator[Callable[[int, int], None]]:
    """A stage for work that reports ``(done, total)``, one unit at a time, as ``mho.budget`` does."""
    with ExitStack() as stack:
        begun = functools.cache(lambda total: stack.enter_context(progress.stage(title, total)))
        yield lambda done, total: begun(total).advance()

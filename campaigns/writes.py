"""Each event by which a process changes a folder: counted, and one of them made to fail or to be the last.

Watched are making a file, each write to it, ``os.open``, fsync, rename, remove and ``mkdir`` under a folder,
where they change something. A write that is hit leaves half of what it was to write. ``torch.save`` writes
from C++; it is taken to be two events, opening and writing, with the error that it gives on a full disk.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from campaigns.forks import KILLED

KILL, FULL = "kill", "full"


class Hit(NamedTuple):
    """What is done to one event.

    Attributes:
        event: its number, from 0.
        how: ``kill``: the process ends there; ``full``: the disk is full from there on.
    """

    event: int
    how: str


class Watch:
    """Counts the events under a folder, from :meth:`begin` to the end of the process.

    Args:
        folder: whose changes are events.
        hit: what is done to one of them; None to count only.
        log: file for the names of the events; None for none.
    """

    def __init__(self, folder: Path, hit: Hit | None = None, log: Path | None = None) -> None:
        self.folder, self.hit = os.path.realpath(folder), hit
        self.count = 0
        self.log = None if log is None else os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)

    def inside(self, path: Any) -> bool:
        """Whether a path lies in the folder."""
        if isinstance(path, int):
            try:
                path = os.readlink(f"/proc/self/fd/{path}")
            except OSError:
                return False
        try:
            # The folder above alone: a temporary file may be a link to nothing.
            real = os.path.realpath(os.fsdecode(path))
        except (TypeError, ValueError):
            return False
        return real == self.folder or real.startswith(self.folder + os.sep)

    def event(self, what: str, path: Any, half: Callable[[], Any] = lambda: None) -> None:
        """One more event; ``half`` does a half of it."""
        number = self.count
        self.count += 1
        if self.log is not None:
            os.write(self.log, f"{what} {path}\n".encode())
        if self.hit is None or number < self.hit.event:
            return
        if self.hit.how == KILL:
            half()
            os._exit(KILLED)
        if what == "remove":  # which needs no room
            return
        if number == self.hit.event:
            half()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), None if what in ("write", "fsync") else path)

    def begin(self) -> None:
        """Watch from here on."""
        for module, name, what in (
            (os, "replace", "rename"), (os, "rename", "rename"), (os, "unlink", "remove"),
            (os, "remove", "remove"), (os, "rmdir", "remove"), (os, "mkdir", "mkdir"),
            (os, "fsync", "fsync"), (os, "truncate", "truncate"), (os, "ftruncate", "truncate"),
        ):  # fmt: skip
            setattr(module, name, self._told(getattr(module, name), what))
        os.open = self._opened(os.open)
        builtins.open = io.open = self._file(io.open)
        torch.save = self._saved(torch.save)

    def _told(self, real: Callable[..., Any], what: str) -> Callable[..., Any]:
        def call(path: Any, *rest: Any, **more: Any) -> Any:
            if self.inside(path) and self._changes(what, path):
                self.event(what, path)
            return real(path, *rest, **more)

        return call

    def _changes(self, what: str, path: Any) -> bool:
        """Whether there is something to remove, and no such folder yet."""
        return what not in ("remove", "mkdir") or os.path.lexists(path) == (what == "remove")

    def _opened(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(path: Any, flags: int, *rest: Any, **more: Any) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and self.inside(path):
                self.event("open", path)
            return real(path, flags, *rest, **more)

        return call

    def _file(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any) -> Any:
            if isinstance(file, int) or not set(mode) & set("wax+") or not self.inside(file):
                return real(file, mode, buffering, *rest, **more)
            if "r" not in mode:
                self.event("open", file)
            return self._watched(file, mode, buffering, *rest, **more)

        return call

    def _watched(
        self, file: Any, mode: str, buffering: int = -1, encoding: Any = None, errors: Any = None,
        newline: Any = None, **_: Any,
    ) -> Any:  # fmt: skip
        """As ``open`` gives it, over a raw file whose writes are events."""
        raw = _Raw(file, mode.replace("b", "").replace("t", ""))
        raw.watch = self
        if "b" in mode and buffering == 0:
            return raw
        binary: Any = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return binary if "b" in mode else io.TextIOWrapper(binary, encoding, errors, newline)

    def _saved(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(content: Any, path: Any, *rest: Any, **more: Any) -> Any:
            if hasattr(path, "write") or not self.inside(path):
                return real(content, path, *rest, **more)
            file = io.BytesIO()
            real(content, file, *rest, **more)
            whole = file.getvalue()
            self.event("open", path)
            try:
                self.event("write", path, lambda: _plainly(path, whole[: len(whole) // 2]))
            except OSError:
                raise RuntimeError(
                    "[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"
                ) from None
            _plainly(path, whole)
            return None

        return call


class _Raw(io.FileIO):
    """A file whose writes are events."""

    watch: Watch

    def write(self, content: Any) -> int:
        """See :class:`io.RawIOBase`."""
        held = bytes(content)
        super_write = super().write
        self.watch.event("write", self.name, lambda: super_write(held[: len(held) // 2]))
        return super_write(held)


def _plainly(path: Any, content: bytes) -> None:
    with _Raw.__mro__[1](path, "w") as file:
        file.write(content)

"""One process at a time for the folder of a study.

The lock is the operating system's own (``flock`` on Linux and macOS, ``msvcrt.locking`` on Windows, through
``filelock``): it ends with the process that holds it, however that ends, so that no folder stays locked. A
second process is refused at once.

Not held: a network file system that keeps locks on each machine for itself (NFS mounted with ``nolock`` or
``local_lock=flock``) lets in one process from each machine. A file system without locks gives a warning, and
lets everybody in. Then records that two processes made of the same piece of work still count once.
"""

from __future__ import annotations

import errno
import os
import socket
import time
import warnings
from pathlib import Path

from filelock import FileLock, Timeout

from mho.config.documents import in_words

LOCK, HOLDER = ".lock", ".lock-holder"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class FolderInUseError(ValueError):
    """Another process works in the folder of a study."""


class FolderLock:
    """The lock of a folder, held from here until :meth:`release` or the end of the process.

    Args:
        folder: made if it is not there.

    Raises:
        FolderInUseError: another process, or another study of this one, holds it.
        OSError: nothing can be written there (a full disk, no permission); the message names the folder.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._holder = folder / HOLDER
        self._lock = FileLock(folder / LOCK, thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise FolderInUseError(
                f"output = {folder}: {_named(self._holder)} is working in this folder; wait until it ends, "
                "stop it, or choose another output folder. What it finished is kept: the same command goes "
                "on from there"
            ) from None
        except (NotImplementedError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
                raise
            warnings.warn(
                f"{folder}: this file system has no locks ({error}); see to it yourself that one process at "
                "a time works in this folder",
                stacklevel=3,
            )
            return
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        try:
            self._holder.write_text(
                f"process {os.getpid()} on {socket.gethostname()} (since {since})", encoding="utf-8"
            )
        except OSError as error:
            self._lock.release()
            raise type(error)(f"{folder}: cannot be written: {in_words(error)}") from None

    def release(self) -> None:
        """Let the next one in."""
        if self._lock.is_locked:
            self._holder.unlink(missing_ok=True)
            self._lock.release()


def _named(holder: Path) -> str:
    """Who holds the lock, as it says itself."""
    try:
        return holder.read_text(encoding="utf-8") or "another process"
    except (OSError, UnicodeDecodeError):  # it has not said so yet, or its lock hides the file
        return "another process"

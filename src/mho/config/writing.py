"""Files that are whole or not there, and lines that are on the disk before anybody counts on them.

All files that mho writes go through here. What :func:`write_whole` and :func:`append_line` have written
outlasts a program that is killed and a machine that loses its power: the file is on the disk before its name
is, and the name is before the function returns.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mho.config.documents import in_words

# What a platform or a file system says that cannot bring a folder to the disk by itself.
_NO_SYNC = (errno.EACCES, errno.EBADF, errno.EINVAL, errno.EISDIR, errno.ENOTSUP, errno.EPERM)


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Call ``write`` on a temporary file beside ``path``, then rename: never half a file.

    Raises:
        OSError: it cannot be written (a full disk, no permission); the message begins with ``path``.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{path.suffix}")
    try:
        _write_and_rename(path, temporary, write)
    except OSError as error:
        if error.strerror is None:
            raise
        raise type(error)(f"{path}: cannot be written: {_why(error, temporary)}") from None
    except RuntimeError as error:
        if "unexpected pos" not in str(error):  # torch's word for a write that fell short
            raise
        free = shutil.disk_usage(path.parent).free
        raise OSError(
            f"{path}: cannot be written whole: the disk is full, or a quota is reached ({free / 1e6:.0f} MB "
            "are free there); make room and run again"
        ) from None


def append_line(path: Path, line: str, *, synced: bool = True) -> None:
    """Add a line to a file, which is made if it is not there; when this returns, it is on the disk.

    Args:
        path: the file.
        line: with its newline.
        synced: False leaves it to the system when the line reaches the disk: at the latest with the next one
            that is synced.

    Raises:
        OSError: it cannot be written; the message begins with ``path``. What was there is there as before.
    """
    new, left = not path.exists(), memoryview(line.encode())
    try:
        with path.open("ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            try:
                while left:  # a disk that becomes full takes a part first, and says so the next time
                    left = left[file.write(left) :]
                if synced:
                    os.fsync(file.fileno())
            except OSError:
                file.truncate(before)
                raise
        if new and synced:
            _to_disk(path.parent)
    except OSError as error:
        raise type(error)(f"{path}: cannot be written: {_why(error, path)}") from None


def _why(error: OSError, temporary: Path) -> str:
    """Why a file cannot be written; the name of the temporary one tells nobody anything."""
    if error.filename == str(temporary):
        error.filename = None
    return in_words(error)


def _write_and_rename(path: Path, temporary: Path, write: Callable[[Path], Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write(temporary)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp's files are the owner's alone
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _to_disk(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the platform can."""
    if os.name == "nt":  # a folder cannot be opened there
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise

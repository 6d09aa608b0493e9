"""A log that a run goes on with."""

from __future__ import annotations

import os
from pathlib import Path

from mho.boards.log import Entry, read_log


def reopened(path: Path) -> list[Entry]:
    """The entries of a log that is to be written further.

    A last line that was being written when the power went is cut off.

    Raises:
        DamagedFileError: another line is not as it was written.
        OSError: the file cannot be read or written.
    """
    entries = read_log(path)
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
    return entries

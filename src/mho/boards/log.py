"""Every transaction of a bench, a line of JSON each.

A line has a number ``n``, the time ``t``, the ``verb``, its arguments, and an ``answer`` or an ``error``, and a
checksum over all of it. A verb that moves cells has a line of its own, which is on the disk, with all before it, when
the verb is sent: after a power cut such a line without an answer says what may have been done.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mho.boards.base import Answer, Capabilities, Cells
from mho.config import append_line, from_dict, parse_json, to_dict
from mho.config.sealed import CHECK, DamagedFileError, broken, sealed
from mho.errors import ConfigError

FORMAT = 1
Entry = dict[str, Any]


class Log:
    """The log of a bench, to be written.

    Args:
        path: the file; its folder is made. None keeps the entries in memory alone.

    Attributes:
        entries: all that was written here.
    """

    def __init__(self, path: Path | None, entries: Sequence[Entry] = ()) -> None:
        self.path, self.entries = path, list(entries)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, *, synced: bool = False, **fields: Any) -> None:
        """Add a line; ``synced``: on the disk when this returns, with all lines before."""
        entry = {"n": len(self.entries), "t": time.time(), **fields}
        self.entries.append(entry)
        if self.path is not None:
            append_line(self.path, json.dumps(sealed(entry)) + "\n", synced=synced)

    def begin(self, identity: str, capabilities: Capabilities) -> None:
        """The first line: the board."""
        self.write(synced=True, verb="begin", format=FORMAT, board=identity, capabilities=to_dict(capabilities))


def read_log(source: str | Path | Log) -> list[Entry]:
    """The entries of a log, oldest first.

    A last line that was being written when the power went is left out.

    Args:
        source: the file, or a log in memory.

    Raises:
        DamagedFileError: another line is not as it was written, or the file is no log of a bench.
        OSError: it cannot be read.
    """
    if isinstance(source, Log):
        return list(source.entries)
    path = Path(source)
    text = path.read_bytes()
    lines = text.decode("utf-8", errors="replace").split("\n")
    whole = lines[:-1]  # each line that was written to its end has one
    entries = [_entry(path, number, line) for number, line in enumerate(whole, 1)]
    if not entries or entries[0].get("verb") != "begin" or entries[0].get("format") != FORMAT:
        raise DamagedFileError(f"{path}: no log of a bench of format {FORMAT}; give the log= of a Bench")
    return entries


def _entry(path: Path, number: int, line: str) -> Entry:
    try:
        found = parse_json(line)
    except ConfigError as error:
        raise DamagedFileError(f"{path}, line {number}: damaged ({error}); use a copy that is whole") from None
    wrong = broken(found) if isinstance(found, dict) else "it is no object"
    if wrong is not None:
        raise DamagedFileError(f"{path}, line {number}: damaged ({wrong}); use a copy that is whole")
    found.pop(CHECK)
    entry: Entry = found
    return entry


def capabilities_of(entries: Sequence[Entry]) -> Capabilities:
    """The board's, as the first line has them."""
    found = from_dict(entries[0]["capabilities"])
    if not isinstance(found, Capabilities):
        raise DamagedFileError("the log of a bench begins with the capabilities of its board")
    return found


# --- tensors as JSON -----------------------------------------------------------------------------


def numbers(values: Tensor) -> list[Any]:
    """Numbers as JSON holds them, bit for bit; NaN and infinity as words."""
    given: list[Any] = values.double().tolist()
    return _worded(given) if not bool(values.isfinite().all()) else given


def _worded(values: Any) -> Any:
    if isinstance(values, list):
        return [_worded(v) for v in values]
    return values if math.isfinite(values) else str(values)


def tensor(values: Sequence[Any]) -> Tensor:
    """What :func:`numbers` gave, float64."""
    return torch.tensor(_numbers(values), dtype=torch.float64)


def _numbers(values: Any) -> Any:
    return [_numbers(v) for v in values] if isinstance(values, list) else float(values)


def packed_cells(cells: Cells) -> dict[str, Any]:
    """Addresses as JSON."""
    return {"rows": cells.rows.tolist(), "columns": cells.columns.tolist()}


def cells_of(arguments: Mapping[str, Any]) -> Cells:
    """The cells of an entry's arguments."""
    return Cells(*(torch.tensor(arguments[k], dtype=torch.int64) for k in ("rows", "columns")))


def packed_answer(answer: Answer) -> dict[str, Any]:
    """A measurement as JSON; what was limited by its places."""
    found: dict[str, Any] = {"amperes": numbers(answer.amperes)}
    if answer.limited is not None:
        found["limited"] = answer.limited.flatten().nonzero().squeeze(1).tolist()
    if answer.stamp is not None:
        found["stamp"] = numbers(answer.stamp)
    return found


def answer_of(found: Mapping[str, Any]) -> Answer:
    """What :func:`packed_answer` gave."""
    amperes, limited, stamp = tensor(found["amperes"]), None, None
    if "limited" in found:
        limited = torch.zeros(amperes.numel(), dtype=torch.bool)
        limited[torch.tensor(found["limited"], dtype=torch.int64)] = True
        limited = limited.view_as(amperes)
    if "stamp" in found:
        stamp = tensor(found["stamp"])
    return Answer(amperes, limited, stamp)

"""Every transaction of a bench, a line of JSON each.

A line has a number ``n``, the time ``t``, the ``verb``, its arguments, and an ``answer`` or an ``error``, and
a checksum over all of it. A verb that moves cells has a line of its own, which is on the disk, with all
before it, when the verb is sent: after a power cut such a line without an answer says what may have been
done.
"""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
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
        entries: all lines, where there is no file.
        count: how many lines there are.
    """

    def __init__(self, path: Path | None, entries: Sequence[Entry] = ()) -> None:
        self.path, self.count = path, len(entries)
        self.entries: list[Entry] = list(entries) if path is None else []
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, *, synced: bool = False, **fields: Any) -> int:
        """Add a line, and give its number; ``synced``: on the disk when this returns, with all before."""
        number, self.count = self.count, self.count + 1
        entry = {"n": number, "t": time.time(), **fields}
        if self.path is None:
            self.entries.append(entry)
        else:
            append_line(self.path, json.dumps(sealed(entry)) + "\n", synced=synced)
        return number

    def begin(self, identity: str, capabilities: Capabilities) -> None:
        """The first line: the board."""
        self.write(
            synced=True, verb="begin", format=FORMAT, board=identity, capabilities=to_dict(capabilities)
        )


def read_log(source: str | Path | Log) -> list[Entry]:
    """The entries of a log, oldest first.

    A last line that was being written when the power went is left out.

    Args:
        source: the file, or a log in memory.

    Raises:
        DamagedFileError: another line is not as it was written, or the file is no log of a bench.
        OSError: it cannot be read.
    """
    if isinstance(source, Log) and source.path is None:
        return list(source.entries)
    path = Path(source.path or "") if isinstance(source, Log) else Path(source)
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
        raise DamagedFileError(
            f"{path}, line {number}: damaged ({error}); use a copy that is whole"
        ) from None
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

_SHORT = 16  # numbers that are written out
_TYPES = {"f8": ("<f8", torch.float64), "i4": ("<i4", torch.int64)}


def numbers(values: Tensor) -> Any:
    """Numbers as JSON holds them, bit for bit.

    A few are written out, with NaN and infinity as words; many are ``{"f8": base64, "shape": [...]}``, of
    their bytes in float64 (``i4``: int32), the lowest byte first. ``numpy.frombuffer(base64.b64decode(text),
    "<f8")`` reads them.
    """
    if values.numel() <= _SHORT:
        return _worded(values.tolist())
    name = "f8" if values.is_floating_point() else "i4"
    content = values.numpy().astype(_TYPES[name][0]).tobytes()
    return {name: base64.b64encode(content).decode(), "shape": list(values.shape)}


def _worded(values: Any) -> Any:
    if isinstance(values, list):
        return [_worded(v) for v in values]
    return values if math.isfinite(values) else str(values)


def tensor(found: Any, dtype: torch.dtype = torch.float64) -> Tensor:
    """What :func:`numbers` gave, float64 or int64."""
    if isinstance(found, list):
        return torch.tensor(_numbers(found), dtype=dtype)
    (name,) = set(found) & set(_TYPES)
    written, dtype = _TYPES[name]
    values = np.frombuffer(base64.b64decode(found[name]), dtype=written)
    return torch.tensor(values, dtype=dtype).view(found["shape"])


def _numbers(values: Any) -> Any:
    return [_numbers(v) for v in values] if isinstance(values, list) else float(values)


def packed_cells(cells: Cells) -> dict[str, Any]:
    """Addresses as JSON."""
    return {"rows": numbers(cells.rows), "columns": numbers(cells.columns)}


def cells_of(arguments: Mapping[str, Any]) -> Cells:
    """The cells of an entry's arguments."""
    return Cells(*(tensor(arguments[k], torch.int64) for k in ("rows", "columns")))


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

"""A chip as it is saved: format 1.

Beside the entries of :class:`~mho.chip.state.TileState` (``chip_g``, ``chip_cells``, ...) and the fingerprint
of the weights (``chip_weights``), a ``state_dict`` has for each programmed array

- ``chip_format``: int64 ``[2]``, the number of the format, and a mask of the entries, in the order of
  ``TileState``, that the seed could draw again (frozen parameters of cells, of converters and of drivers): a
  file may leave them out, the others nobody can make again;
- ``chip_checksum``: int64 ``[]``, over all entries but the fingerprint.

A lean chip (``mho.program(model, seed, lean=True)``) leaves ``chip_g`` and ``chip_cells`` out, and the mask
names them. Its ``state_dict`` has

- ``chip_stream``: uint8, UTF-8, the name of the random streams that its cells are drawn from: the seed and
  the path of the layer that was programmed, with the unit separator between them and zeros after them;
- ``chip_drawn``: int64 ``[]``, a hash of what was packed of the drawn cells. Another kind of processor draws
  other last bits, and this tells.

Whoever changes an entry of a saved chip on purpose drops ``chip_checksum``. The checksum is made when the
chip is saved; until then it is zero.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mho.chip.state import TileState
from mho.nn.fingerprint import fingerprint

FORMAT = 1
DRAWN = ("cells", "converters", "drivers")
LEFT_OUT = ("g", "cells")
"""Entries that a lean chip does not keep."""
_STREAM = 32  # bytes: names of streams are filled up to a multiple, so that those of several chips stack


def unstamped(place: torch.device, lean: bool = False) -> tuple[Tensor, Tensor]:
    """``chip_format``, and a ``chip_checksum`` of zero, which stands for none."""
    drawn = (*DRAWN, *LEFT_OUT) if lean else DRAWN
    mask = sum(1 << place for place, name in enumerate(TileState._fields) if name in drawn)
    return torch.tensor([FORMAT, mask], device=place), torch.zeros((), dtype=torch.int64, device=place)


def checksum(entries: Mapping[str, Tensor | None]) -> Tensor:
    """A hash of the bits of all entries, by the names and in the order of ``TileState``; int64 ``[]``.

    A lean chip has the entry ``stream`` too, and none that it leaves out.
    """
    names = TileState._fields if entries.get("stream") is None else (*TileState._fields, "stream")
    empty = torch.zeros((), dtype=torch.int64)
    found = [empty if value is None else fingerprint(value).cpu() for value in map(entries.get, names)]
    return fingerprint(torch.stack(found))


def stream_of(seed: int, path: str) -> Tensor:
    """``chip_stream`` of a chip.

    >>> stream_named(stream_of(-3, "encoder.fc"))
    (-3, 'encoder.fc')
    """
    name = f"{int(seed)}\x1f{path}".encode()
    filled = name.ljust(-(-len(name) // _STREAM) * _STREAM, b"\0")
    return torch.frombuffer(bytearray(filled), dtype=torch.uint8)


def stream_named(stream: Tensor) -> tuple[int, str]:
    """Seed and path of the layer; ``ValueError`` for what is no ``chip_stream``."""
    seed, separator, path = bytes(stream.tolist()).rstrip(b"\0").decode().partition("\x1f")
    if not separator:
        raise ValueError("it has no separator")
    return int(seed), path


def wrong(entries: Mapping[str, Tensor]) -> str | None:
    """What is wrong with a saved chip by its format and checksum, in words; None if nothing is.

    Args:
        entries: what a ``state_dict`` has of one array, by name. On the meta device nothing is read.
    """
    if any(value.is_meta for value in entries.values()):
        return None
    stream = entries.get("chip_stream")
    try:
        _ = stream if stream is None else stream_named(stream)
    except (ValueError, TypeError) as error:
        return f"chip_stream names no seed and layer ({error}); load the chip from a file that is whole"
    number = entries.get("chip_format")
    if number is not None and int(number[0]) != FORMAT:
        return f"chip_format is {int(number[0])}: this mho reads format {FORMAT}; update mho"
    said = entries.get("chip_checksum")
    held = {name: entries.get(f"chip_{name}") for name in (*TileState._fields, "stream")}
    if said is not None and int(said) and int(said) != int(checksum(held)):
        return (
            "chip_checksum does not fit its entries: they were damaged on the way, or changed; load the chip "
            "from a file that is whole, or drop the key 'chip_checksum' if you changed them on purpose"
        )
    return None

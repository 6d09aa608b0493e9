"""A chip as it is saved: format 1.

Beside the entries of :class:`~mho.chip.state.TileState` (``chip_g``, ``chip_cells``, ...) and the fingerprint
of the weights (``chip_weights``), a ``state_dict`` has for each programmed array

- ``chip_format``: int64 ``[2]``, the number of the format, and a mask of the entries, in the order of
  ``TileState``, that the seed could draw again (frozen parameters of cells, of converters and of drivers): a
  file may leave them out, the others nobody can make again;
- ``chip_checksum``: int64 ``[]``, over all entries but the fingerprint.

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
_MASK = sum(1 << place for place, name in enumerate(TileState._fields) if name in DRAWN)


def unstamped(place: torch.device) -> tuple[Tensor, Tensor]:
    """``chip_format``, and a ``chip_checksum`` of zero, which stands for none."""
    return torch.tensor([FORMAT, _MASK], device=place), torch.zeros((), dtype=torch.int64, device=place)


def checksum(entries: Mapping[str, Tensor | None]) -> Tensor:
    """A hash of the bits of all entries, by the names and in the order of ``TileState``; int64 ``[]``."""
    empty = torch.zeros((), dtype=torch.int64)
    found = [
        empty if value is None else fingerprint(value).cpu() for value in map(entries.get, TileState._fields)
    ]
    return fingerprint(torch.stack(found))


def wrong(entries: Mapping[str, Tensor]) -> str | None:
    """What is wrong with a saved chip by its format and checksum, in words; None if nothing is.

    Args:
        entries: what a ``state_dict`` has of one array, by name. On the meta device nothing is read.
    """
    if any(value.is_meta for value in entries.values()):
        return None
    number = entries.get("chip_format")
    if number is not None and int(number[0]) != FORMAT:
        return f"chip_format is {int(number[0])}: this mho reads format {FORMAT}; update mho"
    said = entries.get("chip_checksum")
    held = {name: entries.get(f"chip_{name}") for name in TileState._fields}
    if said is not None and int(said) and int(said) != int(checksum(held)):
        return (
            "chip_checksum does not fit its entries: they were damaged on the way, or changed; load the chip "
            "from a file that is whole, or drop the key 'chip_checksum' if you changed them on purpose"
        )
    return None

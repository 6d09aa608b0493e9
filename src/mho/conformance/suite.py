"""All comparisons, in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import torch

from mho.conformance import aihwkit, crosssim, faults, memtorch, wires
from mho.conformance.rows import Row, goldens

PARTS: dict[str, Callable[..., Iterable[Row]]] = {
    "aihwkit": aihwkit.rows,
    "crosssim": crosssim.rows,
    "memtorch": memtorch.rows,
    "wires": wires.rows,
    "faults": faults.rows,
}


def conformance(
    folder: str | os.PathLike[str] | None = None, parts: Iterable[str] = tuple(PARTS)
) -> list[Row]:
    """Every comparison.

    Args:
        folder: of the reference numbers; None for those of the checkout.
        parts: which: ``"aihwkit"``, ``"crosssim"``, ``"memtorch"``, ``"wires"``, ``"faults"``.

    Raises:
        ValueError: the numbers are not there, or a part is none.
    """
    path = goldens(folder)
    found: list[Row] = []
    for name in parts:
        if name not in PARTS:
            raise ValueError(f"parts = {name!r}: there are {', '.join(PARTS)}")
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            found += PARTS[name](path)
    return found

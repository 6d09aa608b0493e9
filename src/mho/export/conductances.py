"""Conductances of a chip as CSV, one file for each tile, for boards and for other programs."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mho.chip import tile
from mho.config import write_whole
from mho.nn import Crossbar, crossbars
from mho.nn.crossbar import plain

INDEX = "tiles.csv"
_HEAD = ("file", "layer", "copy", "group", "row", "column", "rows", "columns", "seconds")


def write_conductances(model: nn.Module, folder: str | os.PathLike[str]) -> None:
    """Write the conductances of each tile at the chip's age, siemens, and ``tiles.csv``, which lists them.

    A file holds one array: its lines are rows (word lines), its columns bit lines. Copies are the two cells
    of a pair, slices and pairs of other weight, as in ``mho.conductances``; an array with a unit column has
    a file for that.

    Args:
        model: a programmed model.
        folder: made if it is not there; files of that name are replaced.

    Raises:
        NotProgrammedError: no chip.
    """
    where = Path(folder)
    index: list[tuple[Any, ...]] = [_HEAD]
    arrays = crossbars(model)
    held = {}
    with plain():
        for path, array in arrays.items():
            chip = array.require_chip("write_conductances")
            held[path] = tile.conductances(array.hardware, chip), float(chip.seconds)
    for number, (path, (g, seconds)) in enumerate(held.items()):
        for row, column, first, last in _tiles(arrays[path], g):
            for copy in range(g.shape[0]):
                for group in range(g.shape[1]):
                    part = g[copy, group, row:first, column:last]
                    name = f"array{number}_copy{copy}_group{group}_row{row}_column{column}.csv"
                    _write(where / name, [[repr(value) for value in line] for line in part.tolist()])
                    index.append((name, path, copy, group, row, column, *part.shape, repr(seconds)))
    _write(where / INDEX, index)


def read_conductances(folder: str | os.PathLike[str]) -> dict[str, Tensor]:
    """What :func:`write_conductances` wrote: siemens, ``[copy, group, row, column]`` by path, bit for bit.

    Raises:
        ValueError: a file is missing, or is not what ``tiles.csv`` says of it.
    """
    where = Path(folder)
    head, *index = _rows(where / INDEX)
    if tuple(head) != _HEAD:
        raise ValueError(f"{where / INDEX}: its head is {','.join(_HEAD)}; write the folder again")
    parts: dict[str, list[tuple[tuple[int, ...], Tensor]]] = {}
    for name, path, *numbers, _ in index:
        place = tuple(map(int, numbers))
        held = torch.tensor([[float(cell) for cell in row] for row in _rows(where / name)])
        if tuple(held.shape) != place[-2:]:
            raise ValueError(f"{where / name}: {tuple(held.shape)} numbers, and {INDEX} says {place[-2:]}")
        parts.setdefault(path, []).append((place, held))
    return {path: _joined(found) for path, found in parts.items()}


def _joined(found: list[tuple[tuple[int, ...], Tensor]]) -> Tensor:
    size = [max(place[k] for place, _ in found) + 1 for k in (0, 1)]
    size += [max(place[k] + place[k + 2] for place, _ in found) for k in (2, 3)]
    whole = torch.full(size, torch.nan)
    for (copy, group, row, column, rows, columns), held in found:
        whole[copy, group, row : row + rows, column : column + columns] = held
    return whole


def _tiles(array: Crossbar, g: Tensor) -> Iterator[tuple[int, int, int, int]]:
    """First row and column of each array, and last ones."""
    columns = [*array.layout.columns]
    if g.shape[-1] > columns[-1][1]:
        columns.append((columns[-1][1], g.shape[-1]))
    rows = [*array.layout.rows]
    if g.shape[-2] > rows[-1][1]:
        rows[-1] = (rows[-1][0], g.shape[-2])
    for row, after in rows:
        for column, last in columns:
            yield row, column, after, last


def _write(path: Path, rows: Any) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    write_whole(path, write)


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return [row for row in csv.reader(file) if row]
    except FileNotFoundError:
        raise ValueError(f"{path}: it is not there; give a folder that write_conductances wrote") from None

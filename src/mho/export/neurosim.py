"""The traces that NeuroSim (V1.4) reads, and its table of states (V1.5).

One folder holds ``NetWork.csv``, one row for each layer (height and width of its input, channels in, kernel
height and width, channels out, whether it is pooled, stride), ``weight<name>.csv`` (rows are inputs, numbers
between -1 and 1 with five decimals), ``input<name>.csv`` (rows are inputs; each input vector of the first
sample has a column for each bit, two's complement, the sign first) and ``trace_command.sh``.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mho.config import write_whole
from mho.export._layers import SeenLayer, check_bits, codes, seen_layers

NETWORK, COMMAND = "NetWork.csv", "trace_command.sh"


class TracedLayer(NamedTuple):
    """One layer of a trace.

    Attributes:
        name: of its files.
        shape: its row of ``NetWork.csv``: height, width, channels in, kernel height, kernel width, channels
            out, pooled (0 or 1), stride.
        weights: codes ``[row, column]``, int64.
        inputs: codes ``[row, vector]``, int64.
    """

    name: str
    shape: tuple[int, ...]
    weights: Tensor
    inputs: Tensor


class Trace(NamedTuple):
    """What a folder holds.

    Attributes:
        layers: in the order in which they run.
        weight_bits, input_bits: of the codes, with the sign.
        rows: of an array.
        parallel: rows that are read at once.
    """

    layers: tuple[TracedLayer, ...]
    weight_bits: int
    input_bits: int
    rows: int
    parallel: int


def trace_of(
    model: nn.Module,
    x: Any,
    *,
    weight_bits: int = 8,
    input_bits: int = 8,
    rows: int = 128,
    parallel: int = 128,
) -> Trace:
    """The trace of a model on one batch: ideal weights and the inputs of the first sample, as codes.

    The largest weight, and the largest input, of a layer is the largest code.

    Args:
        model: what ``mho.convert`` made; its linear layers and two-dimensional convolutions count.
        x: one batch.
        weight_bits, input_bits: of the codes, with the sign.
        rows, parallel: of an array, and read at once; for the command line.

    Raises:
        NotMappableError: an analog layer of another kind.
        ValueError: a number of bits outside 2 to 15.
    """
    check_bits("weight_bits", weight_bits)
    check_bits("input_bits", input_bits)
    layers = tuple(
        TracedLayer(
            layer.path.replace(".", "_") or "model",
            _shape(layer),
            codes(layer.matrix, weight_bits)[0],
            codes(layer.inputs, input_bits)[0],
        )
        for layer in seen_layers(model, x, "a NeuroSim trace")
    )
    return Trace(layers, weight_bits, input_bits, rows, parallel)


def _shape(layer: SeenLayer) -> tuple[int, ...]:
    module = layer.module
    if isinstance(module, nn.Linear):
        return (1, 1, module.in_features, 1, 1, module.out_features, int(layer.pooled), 1)
    return (
        *layer.size, module.in_channels, *module.kernel_size, module.out_channels, int(layer.pooled),
        module.stride[0],
    )  # fmt: skip


def write_trace(trace: Trace, folder: str | os.PathLike[str]) -> None:
    """Write a trace; the folder is made, and files of that name are replaced."""
    where = Path(folder)
    high = 2 ** (trace.weight_bits - 1) - 1
    files: list[str] = []
    for layer in trace.layers:
        pair = f"weight{layer.name}.csv", f"input{layer.name}.csv"
        numbers = ((f"{value:10.5f}" for value in row) for row in (layer.weights / high).tolist())
        _write(where / pair[0], numbers)
        _write(where / pair[1], _bits(layer.inputs, trace.input_bits).tolist())
        files += pair
    _write(where / NETWORK, (layer.shape for layer in trace.layers))
    words = ["./main", NETWORK, *map(str, trace[1:]), *files]
    write_whole(where / COMMAND, lambda path: path.write_text(" ".join(words) + "\n", encoding="utf-8"))


def read_trace(folder: str | os.PathLike[str]) -> Trace:
    """What :func:`write_trace` wrote, or NeuroSim's own trace scripts: the same integers.

    Raises:
        ValueError: a file is missing, or holds what is none; the message names it.
    """
    where = Path(folder)
    words = _text(where / COMMAND).split()
    try:
        place = words.index(NETWORK)
        bits = [int(word) for word in words[place + 1 : place + 5]]
        weight_bits, input_bits, rows, parallel = bits
    except ValueError:
        raise ValueError(
            f"{where / COMMAND}: no command of a trace: it names {NETWORK}, the bits of weights and inputs, "
            "the rows of an array and those read at once, then two files for each layer"
        ) from None
    files = words[place + 5 :]
    shapes = [tuple(map(int, row)) for row in _rows(where / NETWORK)]
    if len(files) != 2 * len(shapes):
        raise ValueError(f"{where / COMMAND}: {len(files)} files for {len(shapes)} layers; give each two")
    high = 2 ** (weight_bits - 1) - 1
    layers = []
    for shape, weight, given in zip(shapes, files[::2], files[1::2], strict=True):
        values = torch.tensor([[float(cell) for cell in row] for row in _rows(where / weight)]).double()
        bits_of = torch.tensor([[int(cell) for cell in row] for row in _rows(where / given)])
        name = Path(weight).stem.removeprefix("weight")
        whole = (values * high).round().long()
        layers.append(TracedLayer(name, shape, whole, _numbers(bits_of, input_bits, where / given)))
    return Trace(tuple(layers), weight_bits, input_bits, rows, parallel)


def _bits(whole: Tensor, bits: int) -> Tensor:
    """Two's complement, the sign first: ``[row, vector * bit]``."""
    places = torch.arange(bits - 1, -1, -1)
    return ((whole.unsqueeze(-1) >> places) & 1).flatten(1)


def _numbers(found: Tensor, bits: int, path: Path) -> Tensor:
    if found.shape[1] % bits or not bool(((found == 0) | (found == 1)).all()):
        raise ValueError(f"{path}: give 0 and 1, in {bits} columns for each input vector")
    digits = found.view(found.shape[0], -1, bits)
    worth = 2 ** torch.arange(bits - 1, -1, -1)
    worth[0] = -worth[0]
    return (digits * worth).sum(-1)


# --- states --------------------------------------------------------------------------------------


def write_states(mean: Sequence[float], std: Sequence[float], path: str | os.PathLike[str]) -> None:
    """NeuroSim's table of memory states: ``states,mean,std``, siemens, with the mark at its beginning.

    ``mho.fit(path)`` makes a device of such a table, and :func:`read_states` gives its numbers back.

    Args:
        mean: conductance of each state, siemens.
        std: its standard deviation.
        path: of the file.
    """
    if len(mean) != len(std) or not len(mean):
        raise ValueError(
            f"mean and std have {len(mean)} and {len(std)} values: give one of each for each state"
        )
    rows = [("states", "mean", "std"), *((k, repr(m), repr(s)) for k, (m, s) in enumerate(_pairs(mean, std)))]
    _write(Path(path), rows, encoding="utf-8-sig")


def read_states(path: str | os.PathLike[str]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Mean and standard deviation of each state, siemens, in the order of the file.

    Raises:
        ValueError: it is no such table.
    """
    head, *rows = _rows(Path(path))
    if [cell.strip() for cell in head] != ["states", "mean", "std"] or any(len(row) != 3 for row in rows):
        raise ValueError(f"{path}: no table of states: its head is states,mean,std")
    numbers = np.array([[float(cell) for cell in row] for row in rows])
    return numbers[:, 1], numbers[:, 2]


def _pairs(mean: Sequence[float], std: Sequence[float]) -> Iterable[tuple[float, float]]:
    return ((float(m), float(s)) for m, s in zip(mean, std, strict=True))


# --- files ---------------------------------------------------------------------------------------


def _write(path: Path, rows: Iterable[Iterable[Any]], encoding: str = "utf-8") -> None:
    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding=encoding) as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    write_whole(path, write)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"{path}: it is not there; a trace is a folder that write_trace wrote") from None


def _rows(path: Path) -> list[list[str]]:
    rows = [row for row in csv.reader(_text(path).splitlines()) if any(cell.strip() for cell in row)]
    if not rows:
        raise ValueError(f"{path}: it is empty")
    return rows

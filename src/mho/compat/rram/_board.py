"""The duck-typed interface of the framework document: ``write_matrix`` and ``read_matrix``.

Both take and give conductances in siemens, ``[out_features, in_features]``, one cell for each weight. What an
instrument answers is looked at before it is believed.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from mho.boards import BoardError
from mho.boards.checks import OVERFLOW
from mho.chip import tile
from mho.config import MOST_SIEMENS
from mho.nn import Crossbar
from mho.nn.crossbar import plain


@runtime_checkable
class RRAMInterface(Protocol):
    """What a board needs to hold the weights of a layer."""

    def write_matrix(self, matrix: Any) -> bool:
        """Bring the cells to ``matrix[out_features, in_features]``, siemens; False if that failed."""

    def read_matrix(self) -> Any:
        """The conductances of the cells now, siemens, ``[out_features, in_features]``."""


def check_interface(interface: Any) -> None:
    """Raise ``TypeError`` unless it has the two verbs."""
    missing = [
        name for name in ("write_matrix", "read_matrix") if not callable(getattr(interface, name, None))
    ]
    if missing:
        raise TypeError(
            f"rram_interface is a {type(interface).__name__} without {' and '.join(missing)}: give an object "
            "with write_matrix(siemens[out, in]) -> bool and read_matrix() -> siemens[out, in], or None"
        )


class OnBoard(NamedTuple):
    """What a board was given and answered, float64, ``[out_features, in_features]``.

    Attributes:
        targets: what was written, siemens.
        found: what was read after it, siemens.
    """

    targets: Tensor
    found: Tensor


def program(array: Crossbar, interface: RRAMInterface, seed: int, before: OnBoard | None) -> OnBoard:
    """Write the present weights of an array to a board, read it back, and compute with that.

    Args:
        array: of a layer on a board, one cell for each weight.
        interface: the board.
        seed: of what is frozen beside the cells, such as errors of converters.
        before: what the last call gave; None at first.

    Raises:
        BoardError: the board did not write, or answers what cannot be its cells; the array is as it was.
    """
    with plain():
        chip, _ = tile.write(array.hardware, array.present(), array.layout, seed, array.path)
    if chip.g.shape[:2] != (1, 1):
        raise BoardError(
            f"{array.path or 'the layer'!r} has {chip.g.shape[1]} groups of {chip.g.shape[0]} cells a "
            "weight: a board holds one matrix of single cells; leave this layer out"
        )
    targets = chip.g[0, 0].t().double()  # cells of a board have no simulated error
    _write(interface, targets)
    found = read(interface, (targets.shape[0], targets.shape[1]))
    if before is not None:
        _check_fresh(interface, before, OnBoard(targets, found))
    with plain():
        array.set_chip(chip._replace(g=_cells(found, chip.g)))
        array.mark_fresh()
    array.seed = seed
    return OnBoard(targets, found)


def refresh(array: Crossbar, interface: RRAMInterface) -> Tensor:
    """Compute with what a board holds now; ``BoardError`` as :func:`program`."""
    chip = array.require_chip("update_weights_from_rram")
    rows, columns = chip.g.shape[-2:]
    found = read(interface, (columns, rows))
    with plain():
        array.set_chip(chip._replace(g=_cells(found, chip.g)))
    return found


def _cells(found: Tensor, like: Tensor) -> Tensor:
    """``[out, in]`` as ``[copy, group, row, column]``."""
    return found.t()[None, None].to(like).contiguous()


def _write(interface: RRAMInterface, targets: Tensor) -> None:
    """Give a board the targets ``[out, in]``; ``BoardError`` if it says that it could not."""
    done = interface.write_matrix(targets.detach().cpu().double().numpy().copy())
    if done is not None and not done:
        raise BoardError(
            f"write_matrix of {type(interface).__name__} gave {done!r}: the cells are not at their targets; "
            "look at the board and call program_rram_weights() again"
        )


def read(interface: RRAMInterface, shape: tuple[int, int]) -> Tensor:
    """What a board holds, float64 ``[out, in]``; ``BoardError`` for what cannot be conductances."""
    name = f"read_matrix of {type(interface).__name__}"
    given = interface.read_matrix()
    try:
        found = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise BoardError(f"{name} gave a {type(given).__name__}: give numbers of siemens {shape}") from None
    if found.shape != shape:
        raise BoardError(
            f"{name} has shape {found.shape}: the layer has {shape}, [out_features, in_features]; give each "
            "layer an interface of its own, or mend the header map"
        )
    for what, wrong in (
        ("NaN", np.isnan(found)),
        ("9.91e37 (no number, says the instrument)", found >= OVERFLOW),
        ("below zero", found < 0),
        (f"above {MOST_SIEMENS:g} S, more than any cell conducts", found > MOST_SIEMENS),
    ):
        if wrong.any():
            row, column = (int(k) for k in np.argwhere(wrong)[0])
            raise BoardError(
                f"{name}: {int(wrong.sum())} of {found.size} cells are {what}, the first one for output "
                f"{row} and input {column}; read again, or look at compliance and contacts"
            )
    return torch.from_numpy(found)


def _check_fresh(interface: RRAMInterface, before: OnBoard, now: OnBoard) -> None:
    """Raise ``BoardError`` if a read gave what was there before other targets were written."""
    if torch.equal(before.found, now.found) and not torch.equal(before.targets, now.targets):
        raise BoardError(
            f"read_matrix of {type(interface).__name__} gave the very values of before the write, though the "
            "targets changed: the data are stale; wait for the write to end, or empty the instrument's buffer"
        )

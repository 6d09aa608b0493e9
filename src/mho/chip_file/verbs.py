"""A chip into a file and back."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mho.chip_file import content, parts
from mho.config import python_number
from mho.errors import DamagedChipError
from mho.nn import crossbars
from mho.nn.crossbar import plain
from mho.nn.crossbar.description import RANGES
from mho.version import __version__

MOST = 5_000_000_000


def save_chip(model: nn.Module, path: str | os.PathLike[str], max_bytes: int = MOST) -> None:
    """Write the chip of a model to a file that mho, ``mho.keras`` and plain numpy read.

    The file holds the chip and no network: conductances in siemens as programmed and at their present age,
    the state of their ageing, scales, full scales of the converters, layout, hardware description, checksums,
    seed, age and version. Digital parts (biases, normalisations) stay with the network.

    Args:
        model: a programmed model.
        path: the file, ``chip.safetensors``; what is there is replaced.
        max_bytes: of one file. A larger chip lies in several, beside the index
            ``chip.safetensors.index.json``; ``path`` names it all the same.

    Raises:
        NotProgrammedError: no chip.
        ValueError: no analog layer, or a path that does not end with ``.safetensors``.
        OSError: it cannot be written; what was there is as before.

    >>> import tempfile, torch, mho
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 4))
    >>> analog, again = (mho.convert(model, mho.Hardware(device=mho.devices.PCM())) for _ in range(2))
    >>> mho.program(analog, seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mho.save_chip(analog, f"{folder}/chip.safetensors")
    ...     mho.load_chip(again, f"{folder}/chip.safetensors")
    >>> x = torch.ones(1, 8)
    >>> bool(torch.equal(mho.conductances(again)["0"], mho.conductances(analog)["0"]))
    True
    """
    most = python_number(max_bytes)
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise ValueError(f"max_bytes = {max_bytes!r}: give a whole number of bytes, at least 1")
    target, arrays = _named(path), crossbars(model)
    for array in arrays.values():
        array.require_chip("save_chip")
        array.check_chip()
    document, tensors = content.of_arrays(arrays, __version__)
    parts.write(target, document, tensors, most)


def load_chip(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Give a model the chip of a file, bit for bit, with its age, corrections and full scales.

    All is checked first: of a file that is refused nothing is loaded.

    Args:
        model: the network that the chip was made from, with its weights, converted with the same hardware.
        path: what :func:`save_chip` was given.

    Raises:
        DamagedFileError: the file is damaged, or no chip file.
        DamagedChipError: its entries can be those of no chip of this hardware.
        ValueError: another format, another network, other weights or another hardware.
        OSError: it is not there, or may not be read.
    """
    arrays = crossbars(model)
    file = content.read(_named(path))
    wrong = content.differing(file, arrays)
    if wrong is not None:
        raise ValueError(f"{path}: {wrong}")
    states = {place: _state(file.entries(place)) for place in arrays}
    for place, array in arrays.items():
        _on_file(path, place, array.refuse_state, states[place])
    for place, array in arrays.items():
        with plain():
            array.load_state_dict(states[place])
        array.seed = file.arrays[place]["seed"]


def _named(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    if target.suffix != parts.SUFFIX:
        raise ValueError(f"path = {os.fspath(path)!r}: the name of a chip file ends with {parts.SUFFIX}")
    return target


def _state(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """The entries by the names of a ``state_dict``."""
    return {name if name in RANGES else f"chip_{name}": value for name, value in entries.items()}


def _on_file(path: Any, place: str, refuse: Callable[..., None], state: dict[str, Tensor]) -> None:
    """Look at the entries of one array, with the name of the file in what is said."""
    try:
        refuse(state, "")
    except DamagedChipError as error:
        raise DamagedChipError(f"{path}: {place or 'the layer'!r}: {error}") from None

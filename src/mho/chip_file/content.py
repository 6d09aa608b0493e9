"""What a chip file says: the arrays of a network, as one chip holds them.

For each array, under its path in the network, the tensors of its :class:`~mho.chip.state.TileState`
(``fc.g``, ``fc.cells``, ...), the fingerprint of the weights that it was programmed from (``fc.weights``),
full scales of its converters (``fc.input_range``, ``fc.output_range``) and ``fc.conductance``: the
conductances at its present age, in siemens, ``[copy, group, row, column]``. The document has ``hardware``,
each description once, and ``arrays``: what is needed to multiply by these conductances without mho.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mho.chip.state import TileState, conductances, readout
from mho.chip_file import parts
from mho.config import digest, from_dict, shortened, to_dict
from mho.config.sealed import DamagedFileError
from mho.hardware import Hardware
from mho.nn.crossbar import Crossbar, plain
from mho.nn.crossbar.saved import FORMAT, checksum

KIND = "chip"
_BESIDE = ("weights", "input_range", "output_range")
NAMES = (*TileState._fields, *_BESIDE)
"""Tensors of an array that make a chip; all but ``hardware`` and ``weights`` may be left out of a file."""


@dataclass(frozen=True)
class ChipFile:
    """What was read from a chip file; all its checksums fitted.

    Attributes:
        path: where it lies.
        document: its JSON: ``format``, ``mho``, ``hardware``, ``arrays``.
        tensors: by name.
    """

    path: Path
    document: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def arrays(self) -> Mapping[str, Mapping[str, Any]]:
        """What the file says of each array, by path: layout, read-out, age, seed."""
        arrays: Mapping[str, Mapping[str, Any]] = self.document["arrays"]
        return arrays

    def hardware(self, path: str) -> Hardware:
        """The description of an array; ``ConfigError`` if it has a part that is not imported."""
        made: Hardware = from_dict(self.document["hardware"][self.arrays[path]["hardware"]])
        return made

    def entries(self, path: str) -> dict[str, Tensor]:
        """The tensors of an array, by the names of ``TileState``, ``weights``, and those of its ranges."""
        named = {name: _joined(path, name) for name in NAMES}
        return {name: self.tensors[key] for name, key in named.items() if key in self.tensors}

    def conductance(self, path: str) -> Tensor:
        """Conductances of an array at its age, siemens, ``[copy, group, row, column]``."""
        return self.tensors[_joined(path, "conductance")]


def read(path: str | os.PathLike[str]) -> ChipFile:
    """A chip file, without a network.

    Args:
        path: what ``mho.save_chip`` was given.

    Raises:
        DamagedFileError: it is damaged, or no chip file.
        ValueError: it has another format.
        OSError: it is not there, or may not be read.
    """
    document, tensors = parts.read(Path(path))
    if document.get("kind") != KIND:
        raise DamagedFileError(f"{path}: it holds a {document.get('kind')!r}, no chip; {parts.REMEDY}")
    if document["format"] != FORMAT:
        raise ValueError(
            f"{path}: format = {document['format']!r}: this mho reads format {FORMAT}; update mho, or save "
            "the chip again with this one"
        )
    return ChipFile(Path(path), document, tensors)


def of_arrays(arrays: Mapping[str, Crossbar], version: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Document and tensors of the chip that these arrays hold.

    Raises:
        NotProgrammedError: one holds none.
    """
    tensors: dict[str, Tensor] = {}
    with plain():
        for path, array in arrays.items():
            tensors.update({_joined(path, name): value for name, value in _tensors(array).items()})
    described = {_number(array.hardware): to_dict(array.hardware) for array in arrays.values()}
    document = {
        "format": FORMAT,
        "kind": KIND,
        "chip": chip_number(arrays),
        "mho": version,
        "torch": str(torch.__version__),
        "hardware": described,
        "arrays": {path: _said(array) for path, array in arrays.items()},
    }
    return document, tensors


def chip_number(arrays: Mapping[str, Crossbar]) -> str:
    """A number of one chip in one state: equal entries of equal arrays, equal number."""
    with plain():
        each = {path: int(checksum(array.require_chip("save")._asdict())) for path, array in arrays.items()}
    return str(digest(each))


def _tensors(array: Crossbar) -> dict[str, Tensor]:
    chip = array.require_chip("save_chip")
    held = {**chip._asdict(), "weights": array.chip_weights}
    held |= {name: getattr(array, name) for name in ("input_range", "output_range")}
    held["conductance"] = conductances(array.hardware, chip)
    return {name: value for name, value in held.items() if value is not None}


def _said(array: Crossbar) -> dict[str, Any]:
    """What is needed to multiply by the conductances, in plain numbers, and where they come from."""
    how, device, chip = readout(array.hardware), array.hardware.device, array.require_chip("save_chip")
    return {
        "layer": array.called,
        "parameter": array.weight_name,
        "shape": list(array.shape),
        "seed": array.seed,
        "seconds": float(chip.seconds),
        "hardware": _number(array.hardware),
        "g_max": device.g_max,
        "v_read": device.v_read,
        "rows": [list(span) for span in array.layout.rows],
        "columns": [list(span) for span in array.layout.columns],
        "bias_rows": array.bias_rows,
        "analog": [list(cells) for cells in how.analog],
        "digital": list(how.digital),
        "offset": how.offset,
        "unit_column": how.unit_column,
        "dac_codes": _codes(array.hardware.dac),
        "adc_codes": _codes(array.hardware.adc),
    }


def _codes(converter: Any) -> list[float] | None:
    """The lowest and the highest code of a converter that is a grid of whole codes; None for any other."""
    span = None if converter is None else converter.code_span
    return None if span is None else list(span)


def _number(hardware: Hardware) -> str:
    return str(digest(hardware))


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def differing(file: ChipFile, arrays: Mapping[str, Crossbar]) -> str | None:
    """Why the chip of a file is none of these arrays, in words; None if it is."""
    absent, more = sorted(set(arrays) - set(file.arrays)), sorted(set(file.arrays) - set(arrays))
    if absent or more:
        lacks = f"it lacks {shortened(absent)}" if absent else f"it has {shortened(more)} too"
        return f"it holds the chip of another network: {lacks}"
    for path, array in arrays.items():
        found = _differing(file, path, array)
        if found is not None:
            return f"{path or 'the layer'!r}: {found}"
    return None


def _differing(file: ChipFile, path: str, array: Crossbar) -> str | None:
    said, held = file.arrays[path], file.entries(path)
    if tuple(said["shape"]) != array.shape:
        return f"another network, its weight has shape {tuple(said['shape'])} and not {array.shape}"
    if said["hardware"] != _number(array.hardware) or said["bias_rows"] != array.bias_rows:
        return (
            "another hardware; convert the network with the description in the file, "
            f"mho.chip_file.read(path).hardware({path!r}), and bias_rows={said['bias_rows']}"
        )
    if "weights" not in held or int(held["weights"]) != int(array.fingerprint()):
        return "another network, the chip was programmed from other weights; load the weights first"
    return None

"""Calibrated full scales as a part of the description of the hardware, in files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mho import config
from mho.config.sealed import CHECK, NO_CHECK, broken, sealed
from mho.errors import ConfigError
from mho.hardware import Hardware
from mho.nn import Crossbar, crossbars
from mho.nn.walk import walk


def calibrated_hardware(model: nn.Module) -> dict[str, Hardware]:
    """The hardware of each array with the full scales that it has now.

    ``mho.convert(model, calibrated_hardware(analog))`` gives the calibrated model without calibrating: the
    same seed gives the same chip, and its outputs are equal bit for bit. Give it the same ``bias_rows``.

    Args:
        model: what ``mho.convert`` made, calibrated. A layer without measured ranges keeps its description.

    Returns:
        By path. A module used twice stands under each of its paths; each array of a layer that has several
        stands under its own, as in ``mho.conductances``.

    >>> import torch, mho
    >>> analog = mho.convert(nn.Sequential(nn.Linear(2, 3)), mho.Hardware(dac=mho.DAC()))
    >>> mho.calibrate(analog, [torch.tensor([[0.5, -2.0]])])
    >>> calibrated_hardware(analog)["0"].dac.range.limits
    ((2.0,),)
    """
    crossbars(model)
    return {path: _with_limits(m) for path, m in walk(model, repeated=True) if isinstance(m, Crossbar)}


def _with_limits(layer: Crossbar) -> Hardware:
    hardware = layer.hardware
    return replace(
        hardware,
        dac=_converter(hardware.dac, layer.input_range),
        adc=_converter(hardware.adc, layer.output_range),
    )


def _converter(converter: Any, stored: Tensor | None) -> Any:
    """A converter whose range holds what is stored."""
    if converter is None or stored is None:
        return converter
    values = stored.detach().cpu()
    table = values.squeeze(-1) if values.dim() == 3 else values.reshape(1, -1)
    limits = tuple(tuple(row) for row in table.tolist())
    return replace(converter, range=converter.range.with_limits(limits))


def save_hardware(layers: Mapping[str, Hardware], path: str | os.PathLike[str]) -> None:
    """Write the hardware of each path to a ``.json`` file; the file is whole or not there.

    It has a checksum, ``check``; whoever changes the file on purpose drops it.

    Args:
        layers: what :func:`calibrated_hardware` gave, or any mapping from path to ``Hardware``.
        path: the file.
    """
    path = Path(path)
    if path.suffix != ".json":
        raise ConfigError(f"path = {str(path)!r}: the name must end in .json")
    for name, hardware in layers.items():
        if not isinstance(hardware, Hardware):
            raise TypeError(f"layers[{name!r}] is a {type(hardware).__name__}: give a mho.Hardware")
    document = {"format": config.FORMAT, "layers": {name: config.to_dict(h) for name, h in layers.items()}}
    text = json.dumps(sealed(document), indent=2)
    config.write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def load_hardware(path: str | os.PathLike[str]) -> dict[str, Hardware]:
    """Read what :func:`save_hardware` wrote.

    Raises:
        ConfigError: another kind of file, an unknown key, a value out of range, or a file that was changed.
    """
    document = config.read_plain(path)
    if not isinstance(document, dict) or not isinstance(document.get("layers"), dict):
        raise ConfigError(
            f"{str(path)!r} holds no hardware by layer; mho.Hardware.load reads a single description"
        )
    if document.get("format") != config.FORMAT:
        raise ConfigError(
            f"format = {document.get('format')!r}: this mho reads format {config.FORMAT}; update mho"
        )
    changed = broken(document)
    if changed not in (None, NO_CHECK):
        raise ConfigError(
            f"{str(path)!r}: {changed}; load a copy that is whole, or drop the key {CHECK!r} if you changed "
            "it on purpose"
        )
    found = {}
    for name, value in document["layers"].items():
        found[name] = config.from_dict(value)
        if not isinstance(found[name], Hardware):
            raise ConfigError(f"layers[{name!r}] describes a {type(found[name]).__name__}, not a Hardware")
    return found

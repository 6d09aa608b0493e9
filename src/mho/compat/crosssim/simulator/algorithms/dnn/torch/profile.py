"""What the converters of analog layers saw."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from mho.compat.crosssim._cores import cores
from mho.compat.crosssim._records import Currents, Inputs
from mho.compat.crosssim.simulator.algorithms.dnn.torch.convert import analog_modules
from mho.compat.crosssim.simulator.parameters.core_parameters import BitSlicedCoreStyle, CoreStyle
from mho.config import write_whole
from mho.nn import crossbars


def get_profiled_xbar_inputs(model: nn.Module, save_dir: str | Path | None = None) -> list[Any]:
    """Inputs of each analog layer since its array was made, ``[n]``; None without a record.

    A convolution has each value of its input once; CrossSim has it as often as windows cover it.

    Args:
        model: with ``simulation.analytics.profile_xbar_inputs``.
        save_dir: folder for ``all_xbar_inputs.p``; None for no file.
    """
    return _kept([_inputs(layer) for layer in analog_modules(model)], save_dir, "all_xbar_inputs.p")


def get_profiled_adc_inputs(model: nn.Module, save_dir: str | Path | None = None) -> list[Any]:
    """Column currents of each analog layer, in currents of a cell at ``1 / Rmin`` and full input.

    ``[1, n]``, of a BITSLICED core ``[slice, 1, n]``; None without a record. They are what an ADC
    would see: the layer is read without its converters while it records, so inputs are not rounded.

    Args:
        model: with ``simulation.analytics.profile_adc_inputs``.
        save_dir: folder for ``all_adc_inputs.p``; None for no file.
    """
    return _kept([_currents(layer) for layer in analog_modules(model)], save_dir, "all_adc_inputs.p")


def get_conductance_matrices(model: nn.Module) -> list[dict[str, Any]]:
    """Conductances of each analog layer at their present age, as fractions of the highest.

    For each layer ``core_style``, ``bitsliced_core_style``, ``num_slices`` and ``Gmats``: of each array
    ``Gmat_pos`` and ``Gmat_neg``, or ``Gmat``, ``[output, input]``; of a BITSLICED core a list of these.
    """
    return [_conductances(layer) for layer in analog_modules(model)]


def _arrays(layer: Any) -> list[Any]:
    """The arrays, after what was edited was taken in."""
    layer._settle()
    return list(crossbars(layer).values())


def _inputs(layer: Any) -> Any:
    taps = [array._tap for array in _arrays(layer)]
    return np.concatenate([t.inputs.numpy() for t in taps]) if isinstance(taps[0], Inputs) else None


def _currents(layer: Any) -> Any:
    arrays = _arrays(layer)
    if not isinstance(arrays[0]._tap, Currents):
        return None
    rows = zip(*(array._tap.currents for array in arrays), strict=True)  # of each channel
    dac = arrays[0].hardware.dac
    full = 1.0 if dac is None else float(dac.range.given())
    channels = [
        np.concatenate([part.numpy() for parts in row for part in parts])[None] / full for row in rows
    ]
    sliced = layer.params.core.style == CoreStyle.BITSLICED
    return np.stack(channels) if sliced else np.concatenate(channels, axis=1)


def _kept(found: list[Any], folder: str | Path | None, name: str) -> list[Any]:
    if folder is not None:
        said = pickle.dumps(found)  # what scripts of CrossSim read; mho reads none
        write_whole(Path(folder, name), lambda temporary: temporary.write_bytes(said))
    return found


def _conductances(layer: Any) -> dict[str, Any]:
    core = layer.params.core
    sliced = core.style == CoreStyle.BITSLICED
    return {
        "core_style": CoreStyle(core.style).name,
        "bitsliced_core_style": BitSlicedCoreStyle(core.bit_sliced.style).name if sliced else "NONE",
        "num_slices": core.bit_sliced.num_slices if sliced else 1,
        "Gmats": [
            _matrices(one) for array in _arrays(layer) for row in cores(array, core.style) for one in row
        ],
    }


def _matrices(array: Any) -> Any:
    if array.core_slices:
        return [_named([cells.matrix for cells in part]) for part in array.core_slices]
    held = [cells.matrix for cells in (array.core_pos, array.core_neg, array.core) if cells is not None]
    return _named(held)


def _named(matrices: list[Any]) -> dict[str, Any]:
    names = ("Gmat_pos", "Gmat_neg") if len(matrices) == 2 else ("Gmat",)
    return dict(zip(names, matrices, strict=True))

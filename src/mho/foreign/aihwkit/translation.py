"""A configuration as the parts of a ``mho.Hardware``."""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection
from typing import Any, NamedTuple

from mho import converters, mapping
from mho.converters import ADC, DAC, Range
from mho.errors import ConfigError
from mho.foreign.aihwkit import lightning, noise
from mho.foreign.aihwkit.parameters import InputRangeParameter, IOParameters, MappingParameter
from mho.foreign.aihwkit.ranges import FINE, input_range, steps
from mho.foreign.aihwkit.reader import HeldDifferently, Reader, name_of

_MOST_ROWS = 4096  # with no limit on the size of a tile
_TABLES = (
    "forward", "noise_model", "mapping", "pre_post",
    # of training, and of how its program runs
    "drift_compensation", "clip", "remap", "modifier", "runtime", "backward", "update", "device",
    "tile_class", "tile_array_class", "simulator_tile_class",
)  # fmt: skip

_NOT_HELD = {
    "inp_sto_round": "converters round to the nearest code here; leave it False",
    "inp_asymmetry": "it acts on reads of positive and negative inputs apart, which mho does not make",
    "out_noise_std": "all columns have the same noise here; give the mean of it as out_noise",
    "out_sto_round": "converters round to the nearest code here; leave it False",
    "out_scale": "outputs are in units of the weights; multiply the weights",
    "out_asymmetry": "it acts on reads of positive and negative inputs apart, which mho does not make",
    "w_noise": "noise of reads is that of the cells: set read_scale of the device, or a noise_model",
    "ir_drop": "set array=mho.array.Wires(row=..., column=...) in the Hardware: wires are solved exactly",
    "out_nonlinearity": "take a mho.converters.Measured ADC with the measured curve",
    "slope_calibration": "it belongs to out_nonlinearity and r_series, which mho does not have",
    "v_offset_std": "take DAC(gain=...) for drivers that differ, or an affine correction of the outputs",
    "r_series": "set array=mho.array.Wires(sense=...) in the Hardware",
    "w_read_asymmetry_dtod": "cells conduct alike in both directions here",
}
"""Options of ``forward`` without a counterpart, and what to do."""
_OF_OTHERS = (
    "w_noise_type", "ir_drop_g_ratio", "out_nonlinearity_std", "v_offset_w_min", "max_bm_factor",
    "max_bm_res", "bm_test_negative_bound",
)  # fmt: skip
"""Options that say more of one of those, or of bound management."""


class _Inputs(NamedTuple):
    """How inputs are converted: the DAC, and the input that counts as one there and full scale here."""

    dac: DAC | None
    full: float


def parts(config: Any, largest_weight: float = 1.0, ignore: Collection[str] = ()) -> dict[str, Any]:
    """The parts of a Hardware, by name; ``tile`` as its number of rows and columns.

    Args:
        config: an ``InferenceRPUConfig`` or ``TorchInferenceRPUConfig``, or what has their attributes.
        largest_weight: largest magnitude of the weights of the layer. It counts where weights are not
            scaled (``mapping.weight_scaling_omega`` = 0): bounds and noise of the outputs are in units of
            weights then, and here of the cell at its highest conductance.
        ignore: options that may be left out, such as ``"forward.ir_drop"``.

    Raises:
        ConfigError: an option without a counterpart that differs from its default.
    """
    if isinstance(ignore, str):
        raise TypeError(f"ignore = {ignore!r}: give a list of options, such as ['forward.ir_drop']")
    if not 0 < largest_weight < math.inf:
        raise ValueError(f"largest_weight = {largest_weight!r}: give the largest |weight|, above 0")
    _refuse_others(config, ignore)
    notes: list[str] = []
    given = getattr(getattr(config, "pre_post", None), "input_range", None)
    ranges = Reader(given, "pre_post.input_range", InputRangeParameter(), ignore)
    if lightning.is_lightning(config):
        found = lightning.parts(config, ranges, ignore, notes)
    else:
        found = _parts(config, largest_weight, ranges, ignore, notes)
    for note in notes:
        warnings.warn(note, HeldDifferently, stacklevel=3)
    return found


def _parts(
    config: Any, largest_weight: float, ranges: Reader, ignore: Collection[str], notes: list[str]
) -> dict[str, Any]:
    """Those of aihwkit's own configurations."""
    model, forward = getattr(config, "noise_model", None), getattr(config, "forward", None)
    io = Reader(forward, "forward", IOParameters(), ignore)
    how = Reader(getattr(config, "mapping", None), "mapping", MappingParameter(), ignore)
    omega = float(how["weight_scaling_omega"])
    weight = omega if omega > 0 else float(largest_weight)
    remap = name_of(getattr(getattr(config, "remap", None), "type", "NONE"))
    columnwise = remap == "CHANNELWISE_SYMMETRIC" or (omega > 0 and bool(how["weight_scaling_columnwise"]))
    most = int(how["max_input_size"])
    found = {
        "device": noise.device(model, notes.append),
        "mapping": noise.pairs(model, mapping.Maximum(per_column=columnwise), notes.append),
        "tile": {"rows": most or None, "columns": int(how["max_output_size"]) or None},
        **_converters(io, ranges, weight, most or _MOST_ROWS, notes),
    }
    how.without_effect(
        "digital_bias",
        "weight_scaling_columnwise",
        "weight_scaling_lr_compensation",
        "learn_out_scaling",
        "out_scaling_columnwise",
    )
    how.finish()
    return found


def _refuse_others(config: Any, ignore: Collection[str]) -> None:
    if not (hasattr(config, "forward") and hasattr(config, "mapping")):
        raise TypeError(
            f"config is a {type(config).__name__}: give an InferenceRPUConfig, or an object with forward, "
            "mapping and noise_model"
        )
    device = type(getattr(config, "device", None)).__name__
    if device not in ("NoneType", "IdealDevice"):
        raise ConfigError(
            f"device = {device}: this configuration learns by pulses; mho.devices.Pulsed and "
            "mho.training.PulsedOptimizer do that here (docs/learning.md)"
        )
    for name in vars(config):
        if name not in _TABLES and name not in ignore and not name.startswith("_"):
            raise ConfigError(f"{name}: mho does not know this table; leave it out with ignore=[{name!r}]")


def _converters(io: Reader, ranges: Reader, weight: float, rows: int, notes: list[str]) -> dict[str, Any]:
    """DAC and ADC of ``forward``."""
    kind = name_of(io["mv_type"])
    if io["is_perfect"] or kind == "IDEAL":
        return {"dac": None, "adc": None}
    if kind != "ONE_PASS" and not io.is_ignored("mv_type"):
        raise io.refused(
            "mv_type", "a product is one read of all inputs here; DAC(stream=...) sends their bits"
        )
    silent = ("w_noise",) if name_of(io["w_noise_type"]) == "NONE" else ()
    io.without_effect(*silent, *_OF_OTHERS)
    io.refuse(**{name: sentence for name, sentence in _NOT_HELD.items() if name not in silent})
    inputs = _dac(io, ranges)
    adc = _adc(io, weight, inputs.full, rows, notes)
    io.finish()
    return {"dac": inputs.dac, "adc": adc}


def _dac(io: Reader, learned: Reader) -> _Inputs:
    bound, count, spread = float(io["inp_bound"]), steps(float(io["inp_res"])), float(io["inp_noise"])
    how, threshold = name_of(io["noise_management"]), float(io["nm_thres"])
    if learned["enable"]:
        if how not in ("NONE", "CONSTANT") or (how == "CONSTANT" and threshold not in (0.0, 1.0)):
            raise io.refused("noise_management", "inputs are scaled by their learned range; use NONE")
        return _Inputs(_made(count, input_range(learned, bound), spread / bound), bound)
    if how == "ABS_MAX":
        if threshold > 0 and not io.is_ignored("nm_thres"):
            raise io.refused("nm_thres", "a dynamic range has no upper end; use CONSTANT, or 0")
        if bound != 1.0 and not io.is_ignored("inp_bound"):
            raise io.refused("inp_bound", "the largest input is full scale with ABS_MAX; leave it 1")
        return _Inputs(_made(count, converters.Dynamic(), spread), 1.0)
    if how not in ("NONE", "CONSTANT") and not io.is_ignored("noise_management"):
        raise io.refused("noise_management", "mho has NONE, CONSTANT and ABS_MAX; choose one of these")
    scale = threshold if how == "CONSTANT" and threshold > 0 else 1.0
    if bound <= 0:
        if count is not None or scale != 1.0 or spread > 0:
            raise io.refused("inp_bound", "codes need a full scale; give a bound above 0")
        return _Inputs(None, 1.0)
    return _Inputs(_made(count, converters.Fixed(limit=scale * bound), spread / bound), bound)


def _made(count: int | None, limit: Range, spread: float) -> DAC:
    return DAC(bits=None, steps=FINE if count is None else count, range=limit, noise=spread)


def _adc(io: Reader, weight: float, full: float, rows: int, notes: list[str]) -> ADC | None:
    """The ADC; bounds and noise in units of weight times scaled input become cell currents."""
    cell = weight * full
    bound, count = float(io["out_bound"]), steps(float(io["out_res"]))
    spread = float(io["out_noise"]) / cell
    unbounded = bound <= 0 or bound >= rows * cell
    how = name_of(io["bound_management"])
    if unbounded and count is None:
        return ADC(bits=None, noise=spread) if spread > 0 else None
    if bound <= 0:
        raise io.refused("out_bound", "codes need a full scale; give a bound above 0")
    limit: Range = converters.Fixed(limit=bound / cell)
    if how == "ITERATIVE":
        limit = converters.Widening(limit=bound / cell)
        notes.append(
            "forward.bound_management = ITERATIVE: the ADC widens for a vector that clips; aihwkit reads it "
            "again with half the inputs, which rounds them more coarsely and doubles the noise"
        )
    elif how != "NONE" and not io.is_ignored("bound_management"):
        raise io.refused("bound_management", "mho has NONE and ITERATIVE; choose one of these")
    return ADC(bits=None, steps=FINE if count is None else count, range=limit, noise=spread)

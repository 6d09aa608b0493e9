"""Parameters as a description of a chip."""

from __future__ import annotations

import math
from itertools import pairwise

from mho import array as arrays
from mho import mapping
from mho.array import Array
from mho.compat.crosssim._converters import adc, dac, has_adc, is_offset_style
from mho.compat.crosssim._device import cell, law_of_cells
from mho.compat.crosssim._laws import TwoTails
from mho.compat.crosssim._reader import Reader, instead
from mho.compat.crosssim._tree import Parameters
from mho.compat.crosssim.simulator.parameters.core_parameters import (
    BalancedCoreStyle,
    CoreStyle,
    OffsetCoreStyle,
    PartitionStrategy,
)
from mho.compat.crosssim.simulator.parameters.xbar_parameters import ADCRangeLimits
from mho.converters import ADC
from mho.hardware import Hardware, Tile

_WEIGHTS, _WIRES = "core.mapping.weights", "xbar.array.parasitics"
Spans = tuple[tuple[int, int], ...]


def hardware(params: Parameters, inputs: int) -> Hardware:
    """The chip that parameters describe.

    Args:
        params: a whole tree, ``CrossSimParameters``.
        inputs: rows of the layer's matrix, bias rows included; ranges of ADCs may follow from it.

    Raises:
        ConfigError: a parameter that was changed and would change nothing, or that mho has no counterpart
            for; the message says what to do instead.

    >>> from mho.compat.crosssim import CrossSimParameters, hardware
    >>> params = CrossSimParameters()
    >>> params.xbar.device.Rmin, params.xbar.device.Rmax = 1e4, 1e6
    >>> hardware(params, inputs=64).device
    Ideal(g_min=1e-06, g_max=0.0001, v_read=0.1, program_scale=1.0, drift_scale=1.0, read_scale=1.0)
    """
    return described(params, inputs)[0]


def described(params: Parameters, inputs: int) -> tuple[Hardware, float]:
    """The chip, and its age in seconds (``xbar.device.time`` is in days)."""
    if not isinstance(params, Parameters):
        raise TypeError(f"params is a {type(params).__name__}: give CrossSimParameters")
    p = Reader(params)
    if p["simulation.useGPU"]:
        _ = p["simulation.gpu_id"]
    device, age = cell(p)
    weights = _mapping(p)
    array = _array(p)
    rows = _rows(p, inputs)
    made = {
        "device": device,
        "mapping": weights,
        "tile": _tile(p),
        "array": array,
        "dac": dac(p, curved=isinstance(array, arrays.NonlinearCells)),
        "adc": adc(p, weights, rows) or _looking(p),
    }
    _stated(p, rows)
    p.finish()
    return Hardware(**made), age  # type: ignore[arg-type]


def _looking(p: Reader) -> ADC | None:
    """A converter that only looks, where currents are recorded and not converted."""
    return ADC(bits=None) if p["simulation.analytics.profile_adc_inputs"] else None


_OF_THE_SOLVER = {
    "simulation.Verr_th_mvm": 2e-4,
    "simulation.relaxation_gamma": 0.9,
    "simulation.Verr_matmul_criterion": "max_mean",
}
"""What CrossSim's own scripts give its solver behind wires; an exact solution meets it."""
_NEVER = 10.0
"""Times what a column carries at full scale: a limit there is never reached."""


def _stated(p: Reader, rows: int) -> None:
    """Values that scripts of CrossSim give and that say what is so in any case."""
    if any(p[f"simulation.analytics.profile_{what}"] for what in ("xbar_inputs", "adc_inputs")):
        _ = p["simulation.analytics.ntest"]  # how many there is room for; here a record grows
    p.states("simulation.analytics.ntest", 1)
    if p["core.style"] == CoreStyle.BALANCED:
        p.states("core.offset.style", OffsetCoreStyle.UNIT_COLUMN_SUBTRACTION)  # of cores that it is not
    path, never = "xbar.array.Icol_max", _NEVER * rows
    if 0 < p[path] < never or p[path] < 0:
        raise p.refused(path, f"{instead(path)}. From {never:g} on, for {rows} rows, it is none")
    if p[f"{_WIRES}.enable"]:
        for path, value in _OF_THE_SOLVER.items():
            p.states(path, value)


def cuts(params: Parameters, inputs: int, outputs: int) -> tuple[Spans, Spans]:
    """First and last + 1 row and column of each array of a matrix."""
    core, how = params.core, params.core.mapping.weights
    return (
        partition(inputs, core.rows_max, how.row_partition_strategy),
        partition(outputs, core.cols_max, how.col_partition_strategy),
    )


def partition(size: int, most: int, strategy: int) -> Spans:
    """Lines in arrays of at most ``most`` (0: one array), full ones first or even ones.

    >>> partition(16, 6, PartitionStrategy.EQUAL), partition(16, 6, PartitionStrategy.MAX)
    (((0, 5), (5, 10), (10, 16)), ((0, 6), (6, 12), (12, 16)))
    """
    if most <= 0 or size <= most:
        return ((0, size),)
    count = -(-size // most)
    step = most if strategy == PartitionStrategy.MAX else round(size / count)
    if size - (count - 1) * step > most:
        step = -(-size // count)
    edges = [*range(0, count * step, step)[:count], size]
    return tuple((a, b) for a, b in pairwise(edges) if a < b)


def _rows(p: Reader, inputs: int) -> int:
    """Rows of one array; they must be equal where the range of an ADC follows from their number."""
    most, strategy = p["core.rows_max"], PartitionStrategy.EQUAL
    if most:
        strategy = p[f"{_WEIGHTS}.row_partition_strategy"]
    sizes = {b - a for a, b in partition(inputs, most, strategy)}
    if len(sizes) > 1 and has_adc(p) and p["xbar.adc.mvm.adc_range_option"] == ADCRangeLimits.MAX:
        raise p.refused(
            "xbar.adc.mvm.adc_range_option", f"{inputs} rows lie in arrays of {sorted(sizes)} rows; "
            "use CALIBRATED, or a rows_max that divides them"
        )  # fmt: skip
    return max(sizes)


def _tile(p: Reader) -> Tile:
    for name in ("rows_max", "cols_max"):
        if p[f"core.{name}"] < 0:
            raise p.refused(f"core.{name}", "give a number of lines, 0 for any")
    rows, columns = p["core.rows_max"] or None, p["core.cols_max"] or None
    cut = [name for name, lines in (("row", rows), ("col", columns)) if lines]
    how = [p[f"{_WEIGHTS}.{name}_partition_strategy"] for name in cut]
    return Tile(rows=rows, columns=columns, full=PartitionStrategy.MAX in how)


def _mapping(p: Reader) -> mapping.Mapping:
    style, scale = p["core.style"], _scale(p)
    if style == CoreStyle.BITSLICED:
        return _slices(p, scale)
    bits = _cell_bits(p, sign=style == CoreStyle.BALANCED)
    levels = 2**bits if bits else None
    if style == CoreStyle.OFFSET:
        return mapping.Offset(
            unit_column=_unit_column(p), levels=levels, counts_unused=levels is not None, scale=scale
        )
    return mapping.DifferentialPair(
        two_sided=p["core.balanced.style"] == BalancedCoreStyle.TWO_SIDED,
        digital_subtraction=not p["core.balanced.subtract_current_in_xbar"],
        levels=levels,
        scale=scale,
    )


def _cell_bits(p: Reader, sign: bool) -> int:
    """The bits of a cell, 0 for any conductance; ``sign``: a weight has one more."""
    path, cell, weight = "xbar.device.cell_bits", int(p["xbar.device.cell_bits"]), int(p["core.weight_bits"])
    if sign and (cell, weight) == (-1, 0):  # so CrossSim's scripts count the bits of no levels
        return 0
    if cell < 0:
        raise p.refused(path, "give the bits of a cell, 0 for any conductance")
    granular = has_adc(p) and p["xbar.adc.mvm.adc_range_option"] == ADCRangeLimits.GRANULAR
    if weight and not granular and (cell == 0 or weight != cell + sign):
        raise p.refused(
            "core.weight_bits",
            f"the levels of weights are those of the cells: set {path} = {max(weight - sign, 1)}, or leave "
            "it 0; other values count for BITSLICED cores and for GRANULAR ranges",
        )
    return cell


def _slices(p: Reader, scale: mapping.Scale) -> mapping.BitSlicing:
    offset, bits = is_offset_style(p), p["core.weight_bits"]
    if bits < 2:
        raise p.refused("core.weight_bits", "a BITSLICED core needs the bits of a weight, with the sign")
    made = mapping.BitSlicing(
        bits=bits,
        slices=p["core.bit_sliced.num_slices"],
        offset=offset,
        unit_column=offset and _unit_column(p),
        scale=scale,
    )
    if p["xbar.device.cell_bits"] == made.bits_per_slice:
        return made
    if p["xbar.device.cell_bits"]:
        raise p.refused(
            "xbar.device.cell_bits",
            f"a slice has {made.bits_per_slice} bits, and so has its cell; leave it 0",
        )
    return made


def _unit_column(p: Reader) -> bool:
    return bool(p["core.offset.style"] == OffsetCoreStyle.UNIT_COLUMN_SUBTRACTION)


def _scale(p: Reader) -> mapping.Scale:
    """The weight that gets the full range of conductances."""
    fraction = p[f"{_WEIGHTS}.percentile"]
    if fraction is not None:
        if fraction <= 0:
            raise p.refused(f"{_WEIGHTS}.percentile", "give a positive fraction, such as 0.999")
        return mapping.Maximum() if fraction == 1 else TwoTails(fraction=float(fraction))
    low, high = p[f"{_WEIGHTS}.min"], p[f"{_WEIGHTS}.max"]
    if high is None or high <= 0 or low != -high:
        raise p.refused(
            f"{_WEIGHTS}.max", f"with percentile = None give max > 0 and min = -max (min is {low!r}): the "
            "range of a signed weight is symmetric"
        )  # fmt: skip
    return mapping.Fixed(weight=float(high))


def _array(p: Reader) -> Array:
    law = law_of_cells(p)
    if not p[f"{_WIRES}.enable"]:
        return arrays.Ideal() if law is None else arrays.Nonlinear(law=law)
    if law is not None:
        raise p.refused(
            f"{_WIRES}.enable", "cells that obey no Ohm's law behind wires are solved one network at a time: "
            "mho.array.solve_nonlinear"
        )  # fmt: skip
    ohms = {name: _ohms(p, f"Rp_{name}") for name in ("row", "col", "row_terminal", "col_terminal")}
    if not any(ohms.values()):
        raise p.refused(f"{_WIRES}.enable", "all resistances are 0; set Rp_row, Rp_col or a terminal")
    wires = arrays.Wires(
        row=ohms["row"], column=ohms["col"], driver=ohms["row_terminal"], sense=ohms["col_terminal"]
    )
    if p["core.style"] == CoreStyle.BALANCED and p["core.balanced.interleaved_posneg"]:
        if not p["core.balanced.subtract_current_in_xbar"]:
            raise p.refused(
                "core.balanced.subtract_current_in_xbar",
                "pairs on the same bit lines subtract there; leave it",
            )
        return arrays.SharedColumns(wires=wires)
    return wires


def _ohms(p: Reader, name: str) -> float:
    value = float(p[f"{_WIRES}.{name}"])
    if not 0 <= value < math.inf:
        raise p.refused(f"{_WIRES}.{name}", "give ohms, 0 or more")
    return value

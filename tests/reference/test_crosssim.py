"""Products of CrossSim 3.2.0, reproduced through ``Hardware`` and ``AnalogLinear``.

Its parameters become a description here, one by one; the golden values are its ``A @ X``. Units: its
ADC ranges are in currents of a cell at its highest conductance, as here; its inputs have a range in the
core and a DAC over that range, here a DAC with a fixed range.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import mho
from mho import converters, mapping
from mho.converters import EachSlice, Fixed
from mho.mapping import spans
from mho.nn import AnalogLinear
from mho.nn.linear import LinearCut

DATA = Path(__file__).parent / "data/crosssim"
CASES = json.loads((DATA / "det_16.json").read_text())
DEFAULTS = json.loads((DATA / "default_params_flat.json").read_text())
ARRAYS = np.load(DATA / "det_16.npz")
W = ARRAYS["W"].astype(np.float64)

# What this version has no part for: the cases with one of these in their name, why, and how many.
SKIPPED = {
    "seed7": ("random draws of numpy's global stream", 5),
    "par_": ("wire resistance", 27),
    "nlIV": ("a nonlinear cell", 3),
    "Icol_max": ("column currents that saturate", 1),
}
COVERED = [name for name in CASES if not any(part in name for part in SKIPPED)]

# One bit of inputs and two of weights at a time: currents of exactly zero, half-way between two of 256
# codes. Which one it is, the rounding errors of the sum decide.
TIES = ["ibs1_adc8_perbit_cal_bitsliced_balanced4", "ibs1_adc8_perbit_cal_bitsliced_offset4"]

BALANCED, SLICED, OFFSET = 1, 2, 3  # CrossSim's styles of core
MAXIMUM, GRANULAR = 2, 3  # its ADC ranges: from the number of inputs, from the smallest current


def unused_level(name: str) -> float:
    """CrossSim's outputs are smaller by this factor, a fault of its offset core.

    It leaves the lowest of 2^b levels unused, so that zero is a level, but scales its outputs as if all
    were used.
    """
    if name.startswith("offset") and not name.endswith("cell0"):
        levels = 2 ** CASES[name]["params"]["xbar.device.cell_bits"]
        return (levels - 2) / (levels - 1)
    return 1.0


def test_every_case_is_covered_or_skipped_for_a_reason() -> None:
    skipped = {part: [name for name in CASES if part in name] for part in SKIPPED}
    assert {part: len(names) for part, names in skipped.items()} == {k: n for k, (_, n) in SKIPPED.items()}
    assert {*COVERED, *(name for names in skipped.values() for name in names)} == set(CASES)
    assert (len(COVERED), len(CASES)) == (71, 107)
    families = {re.match(r"[a-z]+", name)[0] for name in COVERED}
    known = {
        "ideal",
        "dac",
        "balanced",
        "offset",
        "bitsliced",
        "weights",
        "digital",
        "partition",
        "vmm",
        "ibs",
    }
    assert families == known


def parameters(name: str) -> dict[str, Any]:
    """CrossSim's parameters of a case; those of its products are named without ``mvm`` or ``vmm``."""
    kind, other = ("vmm", "mvm") if name.startswith("vmm") else ("mvm", "vmm")
    given = {**DEFAULTS, **CASES[name]["params"]}
    return {k.replace(f".{kind}.", "."): v for k, v in given.items() if f".{other}." not in k}


def percentile(values: np.ndarray, fraction: float) -> float:
    """The larger magnitude of the two tails."""
    return float(np.abs(np.percentile(values, [100 * fraction, 100 - 100 * fraction])).max())


def device(p: dict[str, Any]) -> mho.devices.Device:
    g_min = 0.0 if p["xbar.device.infinite_on_off_ratio"] else 1 / p["xbar.device.Rmax"]
    return mho.devices.Ideal(g_min=g_min, g_max=1 / p["xbar.device.Rmin"], v_read=p["xbar.device.Vread"])


def weights_to_cells(p: dict[str, Any]) -> mapping.Mapping:
    scale: mapping.Scale = mapping.Maximum()
    if p["core.mapping.weights.max"] is not None:
        scale = mapping.Fixed(weight=p["core.mapping.weights.max"])
    elif p["core.mapping.weights.percentile"] < 1:
        scale = mapping.Fixed(weight=percentile(W, p["core.mapping.weights.percentile"]))
    levels = 2 ** p["xbar.device.cell_bits"] if p["xbar.device.cell_bits"] else None
    unit_column = p["core.offset.style"] == 2
    if p["core.style"] == BALANCED:
        return mapping.DifferentialPair(
            two_sided=p["core.balanced.style"] == 2,
            digital_subtraction=not p["core.balanced.subtract_current_in_xbar"],
            levels=levels,
            scale=scale,
        )
    if p["core.style"] == OFFSET:
        return mapping.Offset(unit_column=unit_column, levels=levels, scale=scale)
    return mapping.BitSlicing(
        bits=p["core.weight_bits"],
        slices=p["core.bit_sliced.num_slices"],
        offset=p["core.bit_sliced.style"] == 3,
        unit_column=unit_column,
        scale=scale,
    )


def dac(p: dict[str, Any], x: np.ndarray) -> mho.DAC | None:
    model = p["xbar.dac.model"]
    if model == "IdealDAC":
        return None
    limit = p["core.mapping.inputs.max"]
    if limit is None:
        limit = percentile(x, p["core.mapping.inputs.percentile"])
    stream = None
    if p["xbar.dac.input_bitslicing"]:
        stream = converters.Stream(bits=p["xbar.dac.slice_size"], each=p["xbar.adc.adc_per_ibit"])
    return mho.DAC(
        bits=p["xbar.dac.bits"],
        signed=p["xbar.dac.signed"],
        zero=model == "SignMagnitudeDAC",
        range=Fixed(limit=limit),
        stream=stream,
    )


CIRCUITS = {
    "RampADC": converters.Ramp(),
    "SarADC": converters.SAR(),
    "PipelineADC": converters.Pipeline(),
    "CyclicADC": converters.Cyclic(),
}  # all of them without mismatch, and with 100 dB of gain, as are the cases


def adc(p: dict[str, Any], inputs: int) -> converters.ColumnConverter | None:
    model, bits = p["xbar.adc.model"], p["xbar.adc.bits"]
    if model == "IdealADC":
        return None
    if p["xbar.adc.adc_range_option"] == MAXIMUM:
        low, high = -float(inputs), float(inputs)
        assert not p["xbar.adc.adc_per_ibit"]
        if p["core.style"] == SLICED and p["core.bit_sliced.style"] == OFFSET:
            # levels at multiples of the current of the least significant bits of weight and input
            digit = 2 ** (p["core.weight_bits"] // p["core.bit_sliced.num_slices"])
            top = 2 ** (p["xbar.dac.bits"] - 1)
            high = 2 ** round(math.log2(inputs)) * (2**bits - 2) / 2**bits
            high *= digit / (digit - 1) * top / (top - 1)
            low = -high
    elif p["xbar.adc.adc_range_option"] == GRANULAR:
        # levels at multiples of the current of the least significant bits of weight and input
        sliced = p["core.style"] == SLICED
        digit = 2 ** (p["core.weight_bits"] // p["core.bit_sliced.num_slices"]) - 1
        high = (2 ** (bits - 1) - 1) / (digit if sliced else 2 ** p["core.weight_bits"])
        top = 2 ** (p["xbar.dac.bits"] - 1)
        high *= top / (top - 1)
        low = -high
    else:
        given = p["xbar.adc.calibrated_range"]
        ranges = given if isinstance(given[0], list) else [given]
        low, high = ranges[0]
        if p["core.style"] == SLICED:
            assert all(r[0] == -r[1] for r in ranges)
            assert model == "QuantizerADC"
            limits = EachSlice(limits=tuple(float(r[1]) for r in ranges))
            return mho.ADC(bits=bits, zero=False, range=limits)
    lowest = None if low == -high else low
    if model in CIRCUITS:
        assert p["xbar.adc.gain_db"] == 100
        return replace(CIRCUITS[model], bits=bits, range=Fixed(limit=high, low=lowest))
    return mho.ADC(bits=bits, zero=model == "SignMagnitudeADC", range=Fixed(limit=high, low=lowest))


def hardware(name: str, x: np.ndarray) -> mho.Hardware:
    p = parameters(name)
    tile = mho.Tile(
        rows=p["core.rows_max"] or None,
        columns=p["core.cols_max"] or None,
        full=p["core.mapping.weights.row_partition_strategy"] == 1,
    )
    return mho.Hardware(
        device=device(p), mapping=weights_to_cells(p), tile=tile, dac=dac(p, x), adc=adc(p, len(x))
    )


class Cut556(AnalogLinear):
    """CrossSim's even split of 16 rows to at most 6: 5, 5, 6. Here an even split has equal tiles."""

    def make_cut(self) -> LinearCut:
        return LinearCut(rows=((0, 5), (5, 10), (10, 16)), columns=spans(16, 5))


def layer(name: str, described: mho.Hardware) -> AnalogLinear:
    kind = Cut556 if name == "partition_rows24_cols20_equal" else AnalogLinear
    made = kind(16, 16, bias=False, dtype=torch.float64, hardware=described)
    weight = W.T if name.startswith("vmm") else W
    with torch.no_grad():
        made.weight.copy_(torch.tensor(weight))
    return made.eval()


def products(made: AnalogLinear, x: Tensor) -> list[np.ndarray]:
    """Of the mapped targets, and of the chip."""
    with torch.no_grad():
        before = made(x)
        mho.program(made, seed=0)
        return [y.T.numpy() for y in (before, made(x))]


@pytest.mark.parametrize("name", [name for name in COVERED if name not in TIES])
def test_product(name: str) -> None:
    x = ARRAYS["Xpos" if name.endswith("__posX") else "X"].astype(np.float64)
    described = hardware(name, x)
    assert mho.Hardware.from_json(described.to_json()) == described
    wanted = ARRAYS[f"y:{name}"] / unused_level(name)
    exact = (W.T if name.startswith("vmm") else W) @ x
    for got in products(layer(name, described), torch.tensor(x.T)):
        # its conductances and products are float32, its sums over the bits too
        tolerance = 3e-6 if "ibs" in name else 1e-6
        assert np.abs(got - wanted).max() <= tolerance * np.abs(wanted).max()
        # and the case tells something: the error that its converters and levels make is here too
        error = np.linalg.norm(unused_level(name) * got - exact) / np.linalg.norm(exact)
        assert error == pytest.approx(CASES[name]["rel_l2_error_vs_exact"], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("name", TIES)
def test_product_where_values_lie_between_two_codes(name: str) -> None:
    """Its outputs lie between those of an ADC a millionth of a step lower and one higher."""
    described, x = hardware(name, ARRAYS["X"].astype(np.float64)), torch.tensor(ARRAYS["X"].T).double()
    below, above = (
        products(layer(name, replace(described, adc=replace(described.adc, range=shifted))), x)[1]
        for shifted in (Fixed(limit=4 + d, low=-4 + d) for d in (3e-8, -3e-8))
    )
    wanted = ARRAYS[f"y:{name}"]
    tolerance = 3e-6 * np.abs(wanted).max()
    assert bool((wanted > np.minimum(below, above) - tolerance).all())
    assert bool((wanted < np.maximum(below, above) + tolerance).all())
    assert 0 < np.abs(above - below).max() < 0.05 * np.abs(wanted).max()

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
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import mho
from mho import array, converters, mapping, tile
from mho.converters import EachSlice, Fixed
from mho.mapping import spans
from mho.nn import AnalogLinear
from mho.nn.linear import LinearCut

DATA = Path(__file__).parent / "data/crosssim"
CASES = json.loads((DATA / "det_16.json").read_text())
DEFAULTS = json.loads((DATA / "default_params_flat.json").read_text())
ARRAYS = np.load(DATA / "det_16.npz")
W = ARRAYS["W"].astype(np.float64)

# The cases with one of these in their name are no product of one linear array: where they are, and how many.
SKIPPED = {
    "seed7": ("draws of numpy's global stream: test_crosssim_stats.py", 5),
    "par_": ("wires with resistance: ../array/test_crosssim.py", 27),
    "nlIV": ("nonlinear cells: below; the one with wires in ../array/test_crosssim.py", 3),
    "Icol_max": ("column currents that saturate: below", 1),
}
COVERED = [name for name in CASES if not any(part in name for part in SKIPPED)]

# One bit of inputs and two of weights at a time: currents of exactly zero, half-way between two of 256
# codes. In a few of them the rounding errors of a sum in float32 decide which one it is.
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
    """It differs by whole codes, and only where a current lies half-way between two.

    CrossSim adds 4 to a current in float32 before it scales and rounds it, half to even: a current of
    zero is read as the upper code, unless the rounding errors of its sum in float32 reach half a unit of
    4, 1.2e-7. Here an ADC whose levels are 1e-8 lower reads each of them as the upper code.
    """
    x = ARRAYS["X"].astype(np.float64)
    upper = hardware(name, x)
    upper = replace(upper, adc=replace(upper.adc, range=Fixed(limit=4 - 3e-8, low=-4 - 3e-8)))
    made = layer(name, upper)
    wanted, got = ARRAYS[f"y:{name}"].T, products(made, torch.tensor(x.T))[1].T
    unit = 8 / 255 * 3 / (1 - 1e-2) / 127**2 * np.abs(W).max()  # output of a code of the lowest bits
    codes = np.rint((got - wanted) / unit)
    assert np.abs(got - codes * unit - wanted).max() <= 3e-6 * np.abs(wanted).max()
    assert 0 < np.count_nonzero(codes) <= 5
    places = tied(made, torch.tensor(x.T))
    for vector, column in zip(*np.nonzero(codes), strict=True):
        of_these = places[vector][column]
        counts = range(1, len(of_these) + 1)
        assert codes[vector, column] in {sum(some) for n in counts for some in combinations(of_these, n)}


def tied(made: AnalogLinear, x: Tensor) -> list[list[list[int]]]:
    """For each output, what the codes of those of its currents count that are zero to 1e-12 of a step."""
    read, dac = tile.pack(made.hardware, made.chip, made.cut), made.hardware.dac
    slices = made.hardware.mapping.slices
    digits = dac.stream.digits(dac.grid().codes(x.unsqueeze(0) * dac.peak), dac.peak, 1)
    currents = made.cut.partial(made.cut.product(digits, read.kernel), slices)  # [1, bit * vector, slice, 16]
    steps = currents.view(7, len(x), slices, 16) * (255 / 8)
    assert not bool(((steps.abs() > 1e-12) & (steps.abs() < 1e-3)).any()), "no doubtful ones"
    zero = steps.abs() <= 1e-12
    place = [[2 ** (bit + 2 * k) for k in range(slices)] for bit in range(7)]
    return [
        [[place[b][k] for b, k in zero[:, v, :, c].nonzero().tolist()] for c in range(16)]
        for v in range(len(x))
    ]


# --- cells and columns that are not linear ---------------------------------------------------------


class MiloLaw(array.Law):
    """``i = g v + c2(g) v^2 + c3(g) v^3``: HfO2, V. Milo et al., IEEE IRPS 2021, as fitted by CrossSim."""

    def coefficients(self, g: Tensor) -> tuple[Tensor, Tensor]:
        """Of the square, A/V^2, and of the cube, A/V^3."""
        x = g.log10()
        c2 = ((1.388e-4 * x + 1.541e-3) * x + 5.711e-3) * x + 7.063e-3
        return c2, (8.871e-5 * x + 6.7919e-4) * x + 1.2968e-3

    def current(self, v: Tensor, g: Tensor) -> Tensor:
        """The polynomial."""
        c2, c3 = self.coefficients(g)
        return ((c3 * v + c2) * v + g) * v

    def slope(self, v: Tensor, g: Tensor) -> Tensor:
        """Its derivative."""
        c2, c3 = self.coefficients(g)
        return (3 * c3 * v + 2 * c2) * v + g


LAWS = {"CubicDevice": array.Polynomial(coefficients=(0.0, -0.25)), "RRAMMilo": MiloLaw()}


@pytest.mark.parametrize("name", ["nlIV_cubic_V0.5", "nlIV_milo_V0.3"])
def test_nonlinear_cells(name: str) -> None:
    """Inputs are amplitudes: each cell's law at its own voltage, on the pairs of a programmed chip."""
    p, x = parameters(name), torch.tensor(ARRAYS["X"]).double()
    described = replace(hardware(name, x.numpy()), adc=None, dac=None)
    made = layer(name, described)
    mho.program(made, seed=0)
    wires, volts = array.Wires(row=0.0, column=0.0), described.device.v_read
    assert volts == p["xbar.device.Vread"]
    law = LAWS[p["xbar.device.nonlinear_IV.model"]]
    both = array.solve_nonlinear(law, made.chip.g[:, 0], wires, (x.T * volts).expand(2, 8, 16)).current
    y = (both[0] - both[1]) / (volts * (described.device.g_max - described.device.g_min)) * made.chip.scale[0]
    wanted = ARRAYS[f"y:{name}"]
    assert np.abs(y.T.numpy() - wanted).max() <= 1e-6 * np.abs(wanted).max()
    error = np.linalg.norm(y.T.numpy() - W @ x.numpy()) / np.linalg.norm(W @ x.numpy())
    assert error == pytest.approx(CASES[name]["rel_l2_error_vs_exact"], rel=1e-4)


def test_column_currents_that_saturate() -> None:
    """The current of each bit line is clipped before the pair is subtracted: a fine ADC of that range."""
    name = "Icol_max_0.5"
    x, limit = ARRAYS["X"].astype(np.float64), CASES[name]["params"]["xbar.array.Icol_max"]
    pair = mapping.DifferentialPair(digital_subtraction=True)
    adc = mho.ADC(bits=24, range=Fixed(limit=limit))
    got = products(layer(name, replace(hardware(name, x), mapping=pair, adc=adc)), torch.tensor(x.T))[1]
    wanted = ARRAYS[f"y:{name}"]
    assert np.abs(got - wanted).max() <= 1e-6 * np.abs(wanted).max()
    assert np.linalg.norm(got - W @ x) / np.linalg.norm(W @ x) == pytest.approx(0.51201, rel=1e-4)

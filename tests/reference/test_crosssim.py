"""Products of CrossSim 3.2.0, reproduced with its own parameters through ``mho.compat.crosssim``.

The golden values are its ``A @ X``. What the face refuses is reproduced with mho's own parts.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import mho
from mho import array, mapping
from mho.chip import tile
from mho.compat.crosssim import CrossSimParameters, hardware
from mho.compat.crosssim.simulator.algorithms.dnn.torch.linear import AnalogLinear as FaceLinear
from mho.converters import Fixed
from mho.errors import ConfigError
from mho.nn import AnalogLinear

DATA = Path(__file__).parent / "data/crosssim"
CASES = json.loads((DATA / "det_16.json").read_text())
ARRAYS = np.load(DATA / "det_16.npz")
W = ARRAYS["W"].astype(np.float64)

# The cases with one of these in their name are no product of one linear array: where they are, and how many.
SKIPPED = {
    "seed7": ("draws of numpy's global stream: test_crosssim_stats.py", 5),
    "par_": ("wires with resistance: below; gated arrays in ../array/test_crosssim.py", 27),
    "nlIV": ("nonlinear cells: below; the one with wires in ../array/test_crosssim.py", 3),
    "Icol_max": ("column currents that saturate: below", 1),
}
COVERED = [name for name in CASES if not any(part in name for part in SKIPPED)]

# One bit of inputs and two of weights at a time: currents of exactly zero, half-way between two of 256
# codes. In a few of them the rounding errors of a sum in float32 decide which one it is.
TIES = ["ibs1_adc8_perbit_cal_bitsliced_balanced4", "ibs1_adc8_perbit_cal_bitsliced_offset4"]


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


# How the other simulator computes, not what: the face refuses these, its circuits are solved exactly.
OF_THE_SOLVER = {
    "simulation.Niters_max_parasitics",
    "simulation.Verr_th_mvm",
    "simulation.hide_convergence_msg",
    "simulation.disable_fast_matmul",
}


def parameters(name: str, x: np.ndarray, without: tuple[str, ...] = ()) -> CrossSimParameters:
    """CrossSim's parameters of a case; a range of inputs by percentile is that of ``x``."""
    params = CASES[name]["params"]
    out = [k for k in params if k in OF_THE_SOLVER or any(part in k for part in without)]
    given = {k: v for k, v in params.items() if k not in out}
    params = CrossSimParameters()
    params.update(given)
    inputs = params.core.mapping.inputs.mvm
    if inputs.percentile is not None:
        ends = [100 * inputs.percentile, 100 - 100 * inputs.percentile]
        limit = float(np.abs(np.percentile(x, ends)).max())
        inputs.min, inputs.max, inputs.percentile = -limit, limit, None
    return params


def matrix(name: str) -> np.ndarray:
    return W.T if name.startswith("vmm") else W


def through_face(name: str, params: CrossSimParameters) -> AnalogLinear:
    """A layer of the face."""
    made = FaceLinear(params, 16, 16, bias=False, dtype=torch.float64)
    with torch.no_grad():
        made.weight.copy_(torch.tensor(matrix(name)))
    return made.eval()


def layer(name: str, described: mho.Hardware) -> AnalogLinear:
    """A layer of mho."""
    made = AnalogLinear(16, 16, bias=False, dtype=torch.float64, hardware=described)
    with torch.no_grad():
        made.weight.copy_(torch.tensor(matrix(name)))
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
    made = through_face(name, parameters(name, x))
    assert mho.Hardware.from_json(made.hardware.to_json()) == made.hardware
    wanted = ARRAYS[f"y:{name}"]
    exact = matrix(name) @ x
    with torch.no_grad():
        ours = [made(torch.tensor(x.T)).T.numpy()]
    if not name.startswith("partition"):  # there the layers of mho cut into other tiles
        ours += products(layer(name, made.hardware), torch.tensor(x.T))
    for got in ours:
        # its conductances and products are float32, its sums over the bits too
        tolerance = 3e-6 if "ibs" in name else 1e-6
        assert np.abs(got - wanted).max() <= tolerance * np.abs(wanted).max()
        # and the case tells something: the error that its converters and levels make is here too
        error = np.linalg.norm(got - exact) / np.linalg.norm(exact)
        assert error == pytest.approx(CASES[name]["rel_l2_error_vs_exact"], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("name", TIES)
def test_product_where_values_lie_between_two_codes_in_float32(name: str) -> None:
    """In CrossSim's own precision currents of zero round as there, half to even.

    But for the few that the rounding errors of a sum move: which ones they move depends on the kernel.
    """
    x = ARRAYS["X"].astype(np.float64)
    described = hardware(parameters(name, x), inputs=16)
    exact = layer(name, described)
    products(exact, torch.tensor(x.T))
    places = tied(exact, torch.tensor(x.T))
    for got in products(layer(name, described).float(), torch.tensor(x.T).float()):
        codes = moved(got, name, tolerance=1e-5)
        assert np.count_nonzero(codes) <= 5
        assert all(abs(codes[v, c]) <= sum(places[v][c]) for v, c in zip(*np.nonzero(codes), strict=True))


def moved(got: np.ndarray, name: str, tolerance: float) -> np.ndarray:
    """By how many codes of the lowest bits each output ``[vector, column]`` differs, if by whole codes."""
    wanted, got = ARRAYS[f"y:{name}"].T, got.T
    unit = 8 / 255 * 3 / (1 - 1e-2) / 127**2 * np.abs(W).max()  # output of a code of the lowest bits
    codes = np.rint((got - wanted) / unit)
    assert np.abs(got - codes * unit - wanted).max() <= tolerance * np.abs(wanted).max()
    return codes


@pytest.mark.parametrize("name", TIES)
def test_product_where_values_lie_between_two_codes(name: str) -> None:
    """It differs by whole codes, and only where a current lies half-way between two.

    CrossSim adds 4 to a current in float32 before it scales and rounds it, half to even: a current of
    zero is read as the upper code, unless the rounding errors of its sum in float32 reach half a unit of
    4, 1.2e-7. Here an ADC whose levels are 1e-8 lower reads each of them as the upper code.
    """
    x = ARRAYS["X"].astype(np.float64)
    upper = hardware(parameters(name, x), inputs=16)
    upper = replace(upper, adc=replace(upper.adc, range=Fixed(limit=4 - 3e-8, low=-4 - 3e-8)))
    made = layer(name, upper)
    codes = moved(products(made, torch.tensor(x.T))[1], name, tolerance=3e-6)
    assert 0 < np.count_nonzero(codes) <= 5
    places = tied(made, torch.tensor(x.T))
    for vector, column in zip(*np.nonzero(codes), strict=True):
        of_these = places[vector][column]
        counts = range(1, len(of_these) + 1)
        assert codes[vector, column] in {sum(some) for n in counts for some in combinations(of_these, n)}


def tied(made: AnalogLinear, x: Tensor) -> list[list[list[int]]]:
    """For each output, what the codes of those of its currents count that are zero to 1e-12 of a step."""
    read, dac = tile.pack(made.hardware, made.chip, made.layout), made.hardware.dac
    slices = made.hardware.mapping.slices
    digits = dac.stream.digits(dac.grid().codes(x.unsqueeze(0) * dac.peak), dac.peak, 1)
    currents = made.layout.partial(
        made.layout.product(digits, read.kernel), slices
    )  # [1, bit * vector, slice, 16]
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


def test_nonlinear_cells_through_the_face() -> None:
    """There conductances are those of small signals, and the loss at full scale, ``V^2 / 4``, stays."""
    name, x = "nlIV_cubic_V0.5", ARRAYS["X"].astype(np.float64)
    made = through_face(name, parameters(name, x))
    with torch.no_grad():
        got = made(torch.tensor(x.T)).T.numpy() * (1 - 0.25 * made.hardware.device.v_read**2)
    wanted = ARRAYS[f"y:{name}"]
    assert np.abs(got - wanted).max() <= 1e-6 * np.abs(wanted).max()


@pytest.mark.parametrize("name", ["nlIV_cubic_V0.5", "nlIV_milo_V0.3"])
def test_nonlinear_cells(name: str) -> None:
    """Inputs are amplitudes: each cell's law at its own voltage, on the pairs of a programmed chip."""
    x = torch.tensor(ARRAYS["X"]).double()
    made = through_face(name, parameters(name, x.numpy(), without=("nonlinear_IV", "Vread")))
    described = made.hardware
    wires, volts = array.Wires(row=0.0, column=0.0), CASES[name]["params"]["xbar.device.Vread"]
    law = LAWS[CASES[name]["params"]["xbar.device.nonlinear_IV.model"]]
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
    plain = hardware(parameters(name, x, without=("Icol_max",)), inputs=16)
    pair = mapping.DifferentialPair(digital_subtraction=True, scale=mapping.Maximum())
    adc = mho.ADC(bits=24, range=Fixed(limit=limit))
    got = products(layer(name, replace(plain, mapping=pair, adc=adc)), torch.tensor(x.T))[1]
    wanted = ARRAYS[f"y:{name}"]
    assert np.abs(got - wanted).max() <= 1e-6 * np.abs(wanted).max()
    assert np.linalg.norm(got - W @ x) / np.linalg.norm(W @ x) == pytest.approx(0.51201, rel=1e-4)


# --- wires -----------------------------------------------------------------------------------------

WIRES = [
    n for n, c in CASES.items() if n.startswith("par_") and "gateinput" not in n and f"y:{n}" in ARRAYS.files
]


@pytest.mark.parametrize("name", WIRES)
def test_wires(name: str) -> None:
    """Its solver, converged to 1e-9; where it stopped at 1e-3, as near as that."""
    x = ARRAYS["X"].astype(np.float64)
    made: AnalogLinear = through_face(name, parameters(name, x))
    if "terminal" in name:
        # It adds the terminals of the inputs to every segment of the first word line instead of to the
        # first segment of every word line, a fault: here the lines as it has them.
        wires = made.hardware.array
        assert isinstance(wires, array.Wires) and isinstance(wires.row, float)
        faulty = replace(wires, row=(wires.row + wires.driver, *(wires.row,) * 15), driver=0.0)
        made = layer(name, replace(made.hardware, array=faulty))
        mho.program(made, seed=0)
    with torch.no_grad():
        got = made(torch.tensor(x.T)).T.numpy()
    wanted = ARRAYS[f"y:{name}"]
    tolerance = 1e-6 if name.endswith("tight") else 2e-3
    assert np.abs(got - wanted).max() <= tolerance * np.abs(wanted).max()
    exact = W @ x
    assert np.linalg.norm(wanted - exact) > 100 * np.linalg.norm(got - wanted) or "default" in name


def test_every_case_with_wires_is_here_or_refused() -> None:
    refused = [n for n in CASES if "gateinput" in n] + ["nlIV_cubic_par1e-3_tight"]
    for name in refused:
        with pytest.raises(ConfigError, match=r"GatedWires|solve_nonlinear"):
            hardware(parameters(name, ARRAYS["X"]), inputs=16)
    assert (len(WIRES), len(refused)) == (17, 10)

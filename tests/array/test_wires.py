"""Exact wires against the nodal truth and against reference solvers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from mho import config
from mho.array import (
    Approximate,
    Ohmic,
    Series,
    SharedColumns,
    Table,
    ThirdVoltage,
    Wires,
    effective_conductance,
)
from mho.errors import ConfigError

from . import nodal

GOLDEN = np.load(Path(__file__).parents[1] / "reference/data/irdrop/crossbars.npz")
CASES = sorted(name.removeprefix("Geff_") for name in GOLDEN.files if name.startswith("Geff_"))
INF = math.inf


def conductances(rows: int, columns: int, seed: int = 0, zeros: float = 0.0) -> torch.Tensor:
    """Log-uniform from 1 to 100 microsiemens, some of them zero."""
    rng = np.random.default_rng(seed)
    g = 10.0 ** rng.uniform(-6, -4, (rows, columns))
    return torch.from_numpy(np.where(rng.random(g.shape) < zeros, 0.0, g))


def error(found: torch.Tensor, truth: np.ndarray) -> float:
    """Largest error over the largest value."""
    return float(np.abs(found.double().numpy() - truth).max() / max(np.abs(truth).max(), 1e-300))


# --- against other programs ------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_badcrossbar_and_ngspice(case: str, dtype: torch.dtype, tolerance: float) -> None:
    size, row, column = case.split("_")
    g = torch.from_numpy(GOLDEN[f"G_{size}"]).to(dtype)
    wires = Wires(row=float(row[2:]), column=float(column[2:]))
    g_eff = wires.effective_conductance(g)
    assert g_eff.dtype == dtype
    assert error(g_eff, GOLDEN[f"Geff_{case}"]) < tolerance
    current = torch.from_numpy(GOLDEN[f"V_{size}"]).to(dtype).T @ g_eff
    assert error(current, GOLDEN[f"I_badcrossbar_{case}"]) < tolerance
    assert error(current, GOLDEN[f"I_ngspice_{case}"]) < tolerance


def test_two_by_two() -> None:
    """badcrossbar's answer, printed with nine digits."""
    g = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64) * 1e-4
    i = Wires(row=1.0, column=1.0).effective_conductance(g).T @ torch.tensor([0.2, 0.1], dtype=torch.float64)
    assert i.tolist() == pytest.approx([4.99510601e-5, 7.98801759e-5], rel=1e-8)


@pytest.mark.parametrize("n, first, last", [(32, 0.990377, 0.978328), (64, 0.965011, 0.919832)])
def test_uniform_array(n: int, first: float, last: float) -> None:
    """25 uS and 0.2 V everywhere: the first and the last column's share of the ideal current."""
    g = torch.full((n, n), 25e-6, dtype=torch.float64)
    share = Wires(row=1.0, column=1.0).effective_conductance(g).sum(0) / g.sum(0)
    assert share[0].item() == pytest.approx(first, abs=1e-6)
    assert share[-1].item() == pytest.approx(last, abs=1e-6)


# --- against the nodal truth -----------------------------------------------------------------

SHAPES = [(1, 1), (1, 9), (9, 1), (2, 3), (7, 5), (16, 16), (17, 9), (5, 33)]
ENDS = {
    "plain": {"row": 2.0, "column": 3.0},
    "stress": {"row": 500.0, "column": 500.0},
    "row only": {"row": 10.0, "column": 0.0},
    "column only": {"row": 0.0, "column": 10.0},
    "no resistance": {"row": 0.0, "column": 0.0},
    "ends": {"row": 2.0, "column": 1.0, "driver": 100.0, "sense": 30.0},
    "ends only": {"row": 0.0, "column": 0.0, "driver": 100.0, "sense": 30.0},
    "both ends": {
        "row": 2.0,
        "column": 3.0,
        "driver": 5.0,
        "sense": 1.0,
        "far_driver": 7.0,
        "far_sense": 2.0,
    },
    "both ends, ideal": {"row": 2.0, "column": 3.0, "far_driver": 0.0, "far_sense": 0.0},
    "both ends, one node": {"row": 0.0, "column": 0.0, "far_driver": 0.0, "far_sense": 0.0},
    "far side driven": {
        "row": 2.0,
        "column": 3.0,
        "driver": INF,
        "sense": INF,
        "far_driver": 7.0,
        "far_sense": 2.0,
    },
    "huge driver": {"row": 2.0, "column": 3.0, "driver": 1e6},
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("ends", ENDS)
def test_against_nodal(shape: tuple[int, int], ends: str) -> None:
    g = conductances(*shape, zeros=0.2 if min(shape) > 1 else 0.0)
    wires = Wires(**ENDS[ends])
    truth = nodal.effective(g.numpy(), **ENDS[ends])
    assert error(wires.effective_conductance(g), truth) < 1e-9
    assert error(wires.effective_conductance(g.float()), truth) < 2e-5
    v = np.random.default_rng(1).uniform(-0.3, 0.3, (3, shape[0]))
    v_column = np.random.default_rng(2).uniform(-0.3, 0.3, (3, shape[1]))
    expected = nodal.crossbar(g.numpy(), v, v_column=v_column, **ENDS[ends])
    found = wires.solve(g, torch.from_numpy(v), torch.from_numpy(v_column))
    for a, b in zip(found, expected, strict=True):
        assert error(a, b) < 1e-9
    grounded = wires.solve(g, torch.from_numpy(v))
    assert error(grounded.current, v @ truth) < 1e-9


LINES = {
    "each line": {
        "row": (1.0, 5.0, 0.0, 2.0, 9.0),
        "column": (3.0, 0.0, 1.0, 8.0),
        "driver": (0.0, 1.0, 2.0, 0.0, 4.0),
    },
    "open drivers": {"row": 2.0, "column": 3.0, "driver": (INF, 1.0, INF, 0.0, 1.0)},
    "open senses": {"row": 2.0, "column": 3.0, "sense": (1.0, INF, INF, 0.0)},
    "open both": {
        "row": 2.0,
        "column": 3.0,
        "driver": (INF, 1.0, INF, INF, 1.0),
        "sense": (INF, INF, 0.0, 1.0),
    },
    "some far ends": {
        "row": 2.0,
        "column": 3.0,
        "far_driver": (1.0, INF, 0.0, 2.0, INF),
        "far_sense": (INF, 0.0, 5.0, 1.0),
    },
    "mixed": {
        "row": 2.0,
        "column": 0.0,
        "driver": (INF, 1.0, 0.0, INF, 2.0),
        "far_driver": (3.0, INF, 0.0, 1.0, 1.0),
        "sense": (0.0, INF, 2.0, INF),
        "far_sense": (0.0, 1.0, INF, 0.0),
    },
}


@pytest.mark.parametrize("lines", LINES)
def test_lines_that_differ(lines: str) -> None:
    g = conductances(5, 4)
    wires = Wires(**LINES[lines])
    truth = nodal.effective(g.numpy(), **LINES[lines])
    assert error(wires.effective_conductance(g), truth) < 1e-9
    assert error(wires.effective_conductance(g.float()), truth) < 2e-5
    v = np.random.default_rng(1).uniform(-0.3, 0.3, (2, 5))
    for a, b in zip(
        wires.solve(g, torch.from_numpy(v)), nodal.crossbar(g.numpy(), v, **LINES[lines]), strict=True
    ):
        assert error(a, b) < 1e-9


@pytest.mark.parametrize("seed", range(40))
def test_any_ends_at_all(seed: int) -> None:
    """Random shapes, resistances and open ends; absolute, in units of the largest conductance."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 10, 2)

    def ohms(n: int, choices: list[float]) -> float | tuple[float, ...]:
        line = rng.choice(choices, n)
        return float(line[0]) if rng.random() < 0.5 else tuple(float(x) for x in line)

    ends = {"row": ohms(rows, [0, 1, 50, 500]), "column": ohms(columns, [0, 1, 50, 500])}
    ends |= {"driver": ohms(rows, [0, 0, 10, 1e5, INF]), "sense": ohms(columns, [0, 0, 10, 1e5, INF])}
    if rng.random() < 0.5:
        ends["far_driver"] = ohms(rows, [0, 3, INF])
    if rng.random() < 0.5:
        ends["far_sense"] = ohms(columns, [0, 3, INF])
    g = conductances(rows, columns, seed, zeros=rng.choice([0.0, 0.3]))
    try:
        truth = nodal.effective(g.numpy(), **ends)
    except nodal.FloatingError:
        with pytest.raises(ValueError, match="floats"):
            Wires(**ends).effective_conductance(g)
        return
    v, low = rng.uniform(-1, 1, (2, rows)), rng.uniform(-1, 1, (2, columns))
    expected = nodal.crossbar(g.numpy(), v, v_column=low, **ends)
    found = Wires(**ends).solve(g, torch.from_numpy(v), torch.from_numpy(low))
    scale = 1e-9 * float(g.max())
    np.testing.assert_allclose(Wires(**ends).effective_conductance(g), truth, rtol=0, atol=scale)
    np.testing.assert_allclose(found.current, expected.current, rtol=1e-9, atol=scale)
    np.testing.assert_allclose(found.word, expected.word, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.bit, expected.bit, rtol=0, atol=1e-9)


def test_broken_lines_carry_nothing() -> None:
    g = conductances(5, 4)
    wires = Wires(row=(1.0, INF, 1.0, 1.0, 1.0), column=(2.0, 2.0, INF, 2.0))
    rest = g.clone()
    rest[1], rest[:, 2] = 0, 0
    g_eff = wires.effective_conductance(g)
    assert error(g_eff, nodal.effective(rest.numpy(), 1.0, 2.0)) < 1e-9
    assert not g_eff[1].any() and not g_eff[:, 2].any()
    with pytest.raises(ValueError, match=r"row 1, column 2 of tile 0 lies on a broken line"):
        wires.solve(g, torch.full((5,), 0.1, dtype=g.dtype))
    one = Wires(row=(1.0, INF, 1.0, 1.0, 1.0), column=2.0).solve(g, torch.full((5,), 0.1, dtype=g.dtype))
    assert torch.equal(one.word[1], one.bit[1])


def test_segments_that_differ() -> None:
    g = conductances(6, 7)
    row, column = torch.rand(6, 7, dtype=g.dtype) * 20, torch.rand(6, 7, dtype=g.dtype) * 20
    found = effective_conductance(g, row, column, driver=3.0, sense=torch.tensor(2.0))
    assert error(found, nodal.effective(g.numpy(), row.numpy(), column.numpy(), 3.0, 2.0)) < 1e-9


@pytest.mark.parametrize("shape", [(64, 64), (70, 96), (200, 65)], ids=str)
def test_large_arrays_obey_kirchhoff(shape: tuple[int, int]) -> None:
    """Arrays too large for the dense truth: their node voltages leave no current over at any node."""
    g, r, c = conductances(*shape, zeros=0.1), 4.0, 6.0
    v = torch.rand(2, shape[0], dtype=g.dtype)
    found = Wires(row=r, column=c).solve(g, v)
    through = g * found.device
    left = torch.cat((v[..., None], found.word[..., :-1]), dim=-1) - found.word
    right = torch.cat((found.word[..., :-1] - found.word[..., 1:], torch.zeros_like(v)[..., None]), dim=-1)
    assert ((left - right) / r - through).abs().max() < 1e-11 * through.abs().max() / 1e-3
    zero = torch.zeros_like(found.bit[:, :1])
    below = found.bit - torch.cat((found.bit[:, 1:], zero), dim=1)
    above = torch.cat((zero, found.bit[:, :-1] - found.bit[:, 1:]), dim=1)
    assert ((below - above) / c - through).abs().max() < 1e-11 * through.abs().max() / 1e-3
    g_eff = Wires(row=r, column=c).effective_conductance(g)
    assert (v @ g_eff - found.current).abs().max() < 1e-11 * found.current.abs().max()
    assert (through.sum(-2) - found.current).abs().max() < 1e-9 * found.current.abs().max()


def test_batches_are_tiles() -> None:
    g = torch.stack([conductances(12, 10, seed) for seed in range(6)]).view(2, 3, 12, 10)
    wires = Wires(row=2.0, column=3.0, driver=(1.0,) * 11 + (INF,), far_sense=1.0)
    together = wires.effective_conductance(g)
    assert together.shape == g.shape
    for k in range(2):
        for m in range(3):
            torch.testing.assert_close(
                together[k, m], wires.effective_conductance(g[k, m]), rtol=1e-12, atol=0
            )
    many = torch.stack([conductances(64, 64, seed) for seed in range(6)])  # more than one portion
    each = torch.stack([Wires(row=1.0, column=1.0).effective_conductance(one) for one in many])
    torch.testing.assert_close(
        Wires(row=1.0, column=1.0).effective_conductance(many), each, rtol=1e-12, atol=0
    )
    v = torch.rand(2, 1, 4, 12, dtype=g.dtype)
    found = wires.solve(g, v)
    assert found.word.shape == (2, 3, 4, 12, 10) and found.current.shape == (2, 3, 4, 10)
    torch.testing.assert_close(found.current, v @ together, rtol=1e-10, atol=0)
    assert wires.solve(g[0, 0], v[0, 0, 0]).bit.shape == (12, 10)
    assert wires.effective_conductance(g[:0]).shape == (0, 3, 12, 10)


# --- gradients -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1), (3, 4), (9, 6)], ids=str)
def test_gradcheck_in_everything(shape: tuple[int, int]) -> None:
    rows, columns = shape
    g = (torch.stack([conductances(*shape, seed) for seed in range(2)]) * 1e5).requires_grad_()
    resistances = [
        torch.rand(n, dtype=g.dtype).mul_(1e4).requires_grad_() for n in (rows, columns, rows, columns)
    ]

    def plain(g, row, column, driver, sense):
        return effective_conductance(g * 1e-5, row, column, driver=driver, sense=sense) * 1e5

    assert torch.autograd.gradcheck(plain, (g, *resistances), fast_mode=g.numel() > 30)
    ends = [torch.rand(n, dtype=g.dtype).mul_(1e4).requires_grad_() for n in (rows, columns)]

    def both_ends(g, row, column, driver, sense, far_driver, far_sense):
        return effective_conductance(
            g * 1e-5, row, column, driver=driver, sense=sense, far_driver=far_driver, far_sense=far_sense
        ) * 1e5  # fmt: skip

    assert torch.autograd.gradcheck(both_ends, (g, *resistances, *ends), fast_mode=g.numel() > 30)


def test_gradcheck_with_open_lines() -> None:
    g = conductances(4, 5).mul_(1e5).requires_grad_()
    row = torch.tensor(2e3, dtype=g.dtype, requires_grad=True)
    driver = (1.0, INF, 3.0, 4.0)

    def solve(g, row):
        return effective_conductance(g * 1e-5, row, 0.0, driver=driver, sense=(0.0, INF, 0.0, 1.0, 2.0)) * 1e5

    assert torch.autograd.gradcheck(solve, (g, row))


def test_gradient_of_cells_without_conductance() -> None:
    g = conductances(4, 5, zeros=0.5).requires_grad_()
    weight = torch.randn_like(g)
    wires = Wires(row=500.0, column=500.0)
    loss = (wires.effective_conductance(g) * weight).sum()
    (found,) = torch.autograd.grad(loss, g)
    with torch.no_grad():
        j, i = (g == 0).nonzero()[0].tolist()
        more = g.clone()
        more[j, i] += 1e-12
        slope = ((wires.effective_conductance(more) * weight).sum() - loss) / 1e-12
    assert found[j, i].item() == pytest.approx(slope.item(), rel=1e-5)


def test_gradcheck_with_no_resistance_at_all() -> None:
    """The slope of the drop at zero ohms."""
    g = conductances(3, 4).mul_(1e5).requires_grad_()
    row = torch.zeros(3, dtype=g.dtype, requires_grad=True)
    loss = (effective_conductance(g * 1e-5, row, 0.0) * 1e5).sum()
    (found,) = torch.autograd.grad(loss, row)
    g = g.detach() * 1e-5
    overlap = torch.minimum(torch.arange(1, 5)[:, None], torch.arange(1, 5)).double()
    torch.testing.assert_close(found, -torch.einsum("ji,ik,jk->j", g, overlap, g) * 1e5)


@pytest.mark.parametrize("shape", [(96, 80), (64, 200)], ids=str)
def test_gradient_of_large_arrays(shape: tuple[int, int]) -> None:
    """Along a random direction, against a central difference."""
    g = conductances(*shape).requires_grad_()
    weight, direction = torch.randn_like(g), torch.randn_like(g) * g.detach() * 0.1
    row = torch.tensor(2.0, dtype=g.dtype, requires_grad=True)

    def loss(g, row):
        return (effective_conductance(g, row, 3.0, far_driver=5.0) * weight).sum()

    d_g, d_row = torch.autograd.grad(loss(g, row), (g, row))
    with torch.no_grad():
        h = 1e-4
        slope = (loss(g + h * direction, row) - loss(g - h * direction, row)) / (2 * h)
        slope_row = (loss(g, row + h) - loss(g, row - h)) / (2 * h)
    assert (d_g * direction).sum().item() == pytest.approx(slope.item(), rel=1e-6)
    assert d_row.item() == pytest.approx(slope_row.item(), rel=1e-6)


def test_gradient_of_many_tiles_in_float32() -> None:
    g = torch.stack([conductances(32, 32, seed) for seed in range(20)]).requires_grad_()
    wires, weight = Wires(row=2.0, column=2.0), torch.randn(20, 32, 32, dtype=torch.float64)
    (exact,) = torch.autograd.grad((wires.effective_conductance(g) * weight).sum(), g)
    single = g.detach().float().requires_grad_()
    (found,) = torch.autograd.grad((wires.effective_conductance(single) * weight.float()).sum(), single)
    assert error(found, exact.numpy()) < 1e-5


def test_aged_cells_are_solved_again() -> None:
    g, wires = conductances(8, 8), Wires(row=50.0, column=50.0)
    before, after = wires.effective_conductance(g), wires.effective_conductance(g * 0.7)
    assert error(after, nodal.effective(g.numpy() * 0.7, 50.0, 50.0)) < 1e-9
    assert not torch.allclose(after, 0.7 * before, rtol=1e-3)  # the drop falls with the currents


# --- torch -----------------------------------------------------------------------------------


def test_compile_fullgraph() -> None:
    def loss(g, row):
        return effective_conductance(g, row, 2.0, driver=3.0, far_sense=1.0).square().sum()

    g, row = conductances(9, 6).requires_grad_(), torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    expected = torch.autograd.grad(loss(g, row), (g, row))
    found = torch.autograd.grad(compiled(g, row), (g, row))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)


@pytest.mark.parametrize("keep", [False, True])
def test_operator_contract(keep: bool) -> None:
    """Shapes and strides promised to torch.compile, for layouts of all kinds."""
    for shape in ((2, 5, 7), (1, 64, 70)):
        cells = torch.stack([conductances(*shape[1:]), *torch.rand(2, *shape[1:], dtype=torch.float64)])
        cells = cells[:, None].expand(3, *shape).contiguous()
        torch.library.opcheck(torch.ops.mho.crossbar.default, (cells, "LDRT", keep))


def test_functional_transforms() -> None:
    g = torch.stack([conductances(4, 3, seed) for seed in range(3)])

    def loss(g):
        return effective_conductance(g, 100.0, 200.0).square().sum()

    together = torch.func.grad(loss)(g)
    torch.testing.assert_close(torch.vmap(torch.func.grad(loss))(g), together, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        torch.vmap(lambda g: effective_conductance(g, 1.0, 2.0))(g), effective_conductance(g, 1.0, 2.0)
    )


def test_autocast_leaves_the_solver_alone() -> None:
    g = conductances(20, 20).float()
    plain = Wires(row=5.0, column=5.0).effective_conductance(g)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = Wires(row=5.0, column=5.0).effective_conductance(g)
        volts = Wires(row=5.0, column=5.0).solve(g, torch.ones(20)).word
    assert inside.dtype == torch.float32 and torch.equal(inside, plain)
    assert torch.equal(volts, Wires(row=5.0, column=5.0).solve(g, torch.ones(20)).word)


# --- the description -------------------------------------------------------------------------


def test_travels_through_json() -> None:
    wires = Wires(row=(1.0, INF), column=2.0, far_driver=3.0)
    law = Series(cell=Ohmic(), selector=Table(v=(0.0, 1.0), h=(0.0, 2.0)), selector_g=1e-5)
    for value in (wires, SharedColumns(wires=wires), Approximate(row=1.0, column=2.0), law, ThirdVoltage()):
        assert config.from_json(config.to_json(value)) == value


def test_from_node() -> None:
    """Ohms of a segment four widths long, from the published table."""
    for node, ohms in {"100nm": 0.4748, "40nm": 2.121, "32nm": 2.967, "22nm": 4.918, "14nm": 10.11}.items():
        wires = Wires.from_node(node, column_pitch=8.0, driver=100.0)
        assert wires.row == pytest.approx(ohms, rel=2e-4)
        assert wires.column == pytest.approx(2 * ohms, rel=2e-4) and wires.driver == 100.0
    with pytest.raises(ValueError, match=r"no '23nm'; did you mean"):
        Wires.from_node("23nm")
    with pytest.raises(ValueError, match="pitch = 0"):
        Wires.from_node("22nm", row_pitch=0.0)


@pytest.mark.parametrize("bad", [{"row": -1.0}, {"column": math.nan}, {"driver": (1.0, -2.0)}, {"row": "1"}])
def test_bad_descriptions(bad: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        Wires(**{"row": 1.0, "column": 1.0, **bad})


def test_bad_conductances_name_the_cell() -> None:
    wires = Wires(row=1.0, column=1.0)
    for value in (math.nan, -1e-6, INF):
        g = conductances(4, 3).repeat(2, 1, 1)
        g[1, 2, 0] = value
        with pytest.raises(ValueError, match=r"g = .* S at row 2, column 0 of tile 1"):
            wires.effective_conductance(g)
        with pytest.raises(ValueError, match=r"row 2, column 0 of tile 1"):
            wires.solve(g, torch.ones(4))


def test_bad_shapes_and_types() -> None:
    wires = Wires(row=1.0, column=(1.0, 2.0))
    with pytest.raises(ValueError, match="column has 2 resistances, the array has 3"):
        wires.effective_conductance(conductances(4, 3))
    with pytest.raises(ValueError, match=r"g has shape \(4,\)"):
        wires.effective_conductance(torch.ones(4))
    with pytest.raises(ValueError, match="at least one cell"):
        wires.effective_conductance(torch.ones(0, 3))
    with pytest.raises(TypeError, match="float32 or float64"):
        wires.effective_conductance(torch.ones(2, 2, dtype=torch.bfloat16))
    with pytest.raises(TypeError, match="list"):
        wires.effective_conductance([[1.0]])
    with pytest.raises(ValueError, match=r"v has shape \(3,\)"):
        Wires(row=1.0, column=1.0).solve(conductances(4, 3), torch.ones(3))
    with pytest.raises(ValueError, match="v holds a voltage"):
        Wires(row=1.0, column=1.0).solve(conductances(4, 3), torch.tensor([1.0, 2.0, math.nan, 0.0]))
    with pytest.raises(ValueError, match=r"row has shape \(5,\)"):
        effective_conductance(conductances(4, 3), torch.ones(5), 1.0)
    with pytest.raises(ValueError, match="row or driver resistance = -1.0 ohm at row 2"):
        effective_conductance(conductances(4, 3), torch.tensor([1.0, 1.0, -1.0, 1.0]), 1.0)
    with pytest.raises(ValueError, match="sense = -3.0 ohm on line 1"):
        effective_conductance(conductances(2, 2), 1.0, 1.0, sense=(1.0, -3.0))


def test_floating_networks_name_the_line() -> None:
    g = conductances(4, 3)
    g[2] = 0
    with pytest.raises(ValueError, match="word line 2 of tile 0 floats"):
        Wires(row=1.0, column=1.0, driver=(0.0, 0.0, INF, 0.0)).effective_conductance(g)
    g = torch.zeros(4, 3, dtype=torch.float64)
    g[0, 0], g[1, 2], g[2, 1] = 1e-5, 1e-5, 1e-5  # word line 1 and bit line 2 know only each other
    with pytest.raises(ValueError, match="line [12] of tile 0 floats"):
        Wires(
            row=1.0, column=1.0, driver=(0.0, INF, 0.0, 0.0), sense=(0.0, 0.0, INF)
        ).effective_conductance(g)  # fmt: skip
    g[1, 0] = 1e-5
    Wires(row=1.0, column=1.0, driver=(0.0, INF, 0.0, 0.0), sense=(0.0, 0.0, INF)).effective_conductance(g)

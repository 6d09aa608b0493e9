"""JART VCM v1b: its static current against an independent solve, its switching against physics."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from mho.devices.dynamics import JART, Implicit, triangle
from mho.devices.dynamics._roots import first_crossing

CELL = JART()
DATA = Path(__file__).parents[2] / "reference" / "data" / "physics" / "jart_v1b.json"


def f64(value: float | list[float]) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def test_static_current() -> None:
    table = json.loads(DATA.read_text())
    volts, n = zip(*(map(float, key.split("V_N")) for key in table), strict=True)
    current = CELL.current(f64(list(volts)), f64(list(n)).log())
    torch.testing.assert_close(current, f64(list(table.values())), rtol=1e-3, atol=0)


def test_ohmic_parts() -> None:
    assert CELL.disc_resistance(f64([0.008, 20.0]).log()).tolist() == pytest.approx(
        [61325.7, 24.530], rel=2e-4
    )
    assert CELL.plug_resistance == pytest.approx(159.447, rel=2e-4)


def test_kirchhoff() -> None:
    """At the root, the contact carries the current of the series circuit: written out again."""
    volts, n = 0.5, 0.1
    i = float(CELL.current(f64(volts), f64(math.log(n))))
    line = 719.2437 * (1 + 719.2437 * 3.92e-3 * i**2 * 90471.47)
    disc, plug = float(CELL.disc_resistance(f64(math.log(n)))), float(CELL.plug_resistance)
    contact = volts - i * (disc + plug + 650 + line)
    assert 0 < contact < volts
    t = 293 + i * (contact + i * (disc + plug)) * 15.72e6 * 0.27
    thermal = 1.380649e-23 * t / 1.602176634e-19
    bend = 0.18 - 0.1 - contact
    eps = 5.5 * 8.8541878128e-12
    lowering = (1.602176634e-19**3 * 2 * n * 1e26 * bend / (8 * math.pi**2 * eps**3)) ** 0.25
    phi = max(0.18 - lowering, 0)
    assert 0 < lowering < 0.18
    area = math.pi * 45e-9**2
    through = area * 6.01e5 * t**2 * math.exp(-phi / thermal) * math.expm1(contact / thermal)
    assert through == pytest.approx(i, rel=1e-9)
    assert float(CELL.temperature(f64(math.log(n)), f64(volts))) == pytest.approx(t, rel=1e-9)


def test_set_and_reset_in_a_triangle() -> None:
    # 0, -1.5, 0, 1.5, 0 V in 6 s: the waveform of the authors.
    trace = CELL.simulate(*triangle(-1.5, 1 / 6, samples=60), method=Implicit(tolerance=1e-2))
    n = trace.state.exp()
    assert float(n[0]) == pytest.approx(0.008)
    assert float(n[15]) > 15  # set at -1.5 V
    assert float(n[30]) == pytest.approx(float(n[15]), rel=1e-3)  # kept at 0 V
    assert float(n[-1]) < 0.02  # reset
    small = trace.voltage.abs().sub(0.2).abs() < 1e-9
    up, down = trace.current[small].abs()[:2]
    assert float(down / up) > 20  # an open loop at -0.2 V


def test_loop_is_pinched_and_closes_at_high_frequency() -> None:
    start = f64([-4.0, 0.0, 2.0])
    slow, fast = (CELL.simulate(*triangle(0.6, f, samples=8), start) for f in (1e6, 1e13))
    for trace in (slow, fast):
        assert bool((trace.current[trace.voltage == 0] == 0).all())
        low, high = CELL.bounds
        assert bool(((trace.state >= low) & (trace.state <= high)).all())
    spans = [float((t.state.amax(0) - t.state.amin(0)).max()) for t in (slow, fast)]
    assert spans[1] < 0.01 * spans[0]


def test_float32_shapes_and_chunks() -> None:
    voltage, time = triangle(0.5, 1e6, samples=8)
    start = f64([[-3.0, 0.0, 1.0], [2.0, -1.0, 0.5]])
    whole = CELL.simulate(voltage, time, start)
    assert whole.state.shape == (9, 2, 3)
    assert float((whole.state[-1] - start).abs().max()) > 1e-3
    parts = CELL.simulate(voltage, time, start, chunk=4)
    torch.testing.assert_close(parts.state, whole.state, rtol=0, atol=1e-7)
    single = CELL.simulate(voltage.float(), time, start.float())
    assert single.state.dtype is single.current.dtype is torch.float32
    torch.testing.assert_close(single.state.double(), whole.state, rtol=0, atol=1e-3)
    torch.testing.assert_close(single.current.double(), whole.current, rtol=1e-3, atol=1e-9)


def test_gradient_of_the_implicit_current() -> None:
    volts = f64([-0.8, -0.1, 0.3, 1.0]).requires_grad_()
    state = f64([-2.0, 1.0, 0.5, -4.0]).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v, x: 1e4 * CELL.current(v, x), (volts, state), eps=1e-5, rtol=1e-4
    )


def test_cells_that_differ() -> None:
    radii = f64([40e-9, 45e-9, 50e-9])
    mixed = CELL.with_values(radius=radii)
    x = f64(0.0).expand(3)
    volts = f64(0.3)
    alone = [float(JART(radius=float(r)).current(volts, f64(0.0))) for r in radii]
    assert mixed.current(volts, x).tolist() == pytest.approx(alone, rel=1e-10)
    assert alone == sorted(alone)


def test_first_crossing() -> None:
    """The lowest rising root of three, and the end where there is none."""
    shift = f64([0.0, 0.5, -100.0])
    roots = first_crossing(lambda x: (x + 3) * (x - 1) * (x - 2.5) / 10 + 0 * shift, -10, 10, 20, like=shift)
    assert roots.tolist() == pytest.approx([-3, -3, -3], abs=1e-10)
    roots = first_crossing(lambda x: x.exp() - 2 + shift, -10, 3, 8, like=shift)
    assert roots[:2].tolist() == pytest.approx([math.log(2), math.log(1.5)], abs=1e-10)
    assert float(roots[2]) == 3.0

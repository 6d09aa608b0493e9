"""One cell in plain Python of numbers goes the way of many cells as tensors."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from mho.devices.dynamics import JART, Adaptive, Exact, Implicit, LinearIonDrift, StepError, sine, single
from mho.devices.dynamics.symbols import Unrecorded, recorded

from .test_contract import EXAMPLES, name

VALUES = (-800.0, -1.5, -0.3, 0.0, 0.25, 1.0, 2.0, 900.0)


OPERATIONS = [
    *(torch.exp, torch.expm1, torch.sinh, torch.asinh, torch.tanh, torch.log, torch.log1p, torch.sqrt),
    *(torch.asin, torch.sigmoid, torch.sign, torch.abs, torch.neg, torch.isfinite),
    *(lambda x: x**3, lambda x: x**-2, lambda x: x**0.5, lambda x: 2.0 / x, lambda x: x / 2, lambda x: x / x),
    *(lambda x: 1 - x, lambda x: x.clamp(min=0.3), lambda x: x.clamp(-1, 1), lambda x: x.clamp(max=0.5)),
    *(lambda x: torch.where((x > 0) & (x <= 2) | (x == -1.5), x, -x), lambda x: (~(x > 0)).to(x.dtype)),
    *(
        lambda x: torch.maximum(x, -x),
        lambda x: torch.minimum(x, 2 * x),
        lambda x: torch.zeros_like(x) + 3 * x,
    ),
    lambda x: torch.as_tensor(2.0, dtype=x.dtype, device=x.device) * x,
]


@pytest.mark.parametrize("function", OPERATIONS)
def test_each_operation_is_that_of_tensors(function) -> None:
    plain = recorded(function, 1)
    for value in VALUES:
        wanted = float(function(torch.tensor(value, dtype=torch.float64)))
        assert float(plain(value)) == pytest.approx(wanted, rel=1e-14, nan_ok=True)


def test_what_cannot_be_recorded() -> None:
    for function in (lambda x: x if x > 0 else -x, lambda x: torch.cumsum(x, 0), math.exp):
        with pytest.raises(Unrecorded):
            recorded(function, 1)


def test_a_root_inside_a_function() -> None:
    from mho.devices.dynamics._roots import first_crossing

    def root(a):
        return 2 * first_crossing(lambda x: x**3 - a, -3.0, 3.0, 10, like=a)

    plain = recorded(root, 1)
    for a in (-8.0, 0.1, 2.0, 20.0, 100.0):
        assert plain(a) == pytest.approx(float(root(torch.tensor(a, dtype=torch.float64))), rel=1e-9)


@pytest.mark.parametrize(("model", "amplitude", "frequency"), EXAMPLES, ids=name)
@pytest.mark.parametrize("method", [None, Implicit(tolerance=1e-5), Exact()], ids=name)
@pytest.mark.parametrize("held", [False, True])
def test_one_cell_is_one_of_many(model, amplitude, frequency, method, held) -> None:
    if isinstance(method, Exact) and not model.has_exact:
        pytest.skip("no closed form")
    wave = sine(amplitude, frequency, 1.0, 40)
    many = torch.full((single.MOST + 1,), float(model.initial), dtype=torch.float64)
    low, high = map(float, model.bounds)
    alone, together = (model.simulate(*wave, s, method, held=held).state for s in (many[:1], many))
    assert float((alone - together[:, :1]).abs().max()) < 1e-9 * (high - low)
    chosen = method or (Exact() if held and model.has_exact else model.method)
    lengths = wave.time.diff().tolist()
    assert single.single_states(model, wave.voltage, lengths, many[:1], chosen, held) is not None
    assert single.single_states(model, wave.voltage, lengths, many, chosen, held) is None


def test_jart_too() -> None:
    wave, model = sine(1.3, 1.0, 1.0, 30), JART()
    many = torch.full((single.MOST + 1,), model.initial, dtype=torch.float64)
    alone, together = (model.simulate(*wave, s) for s in (many[:1], many))
    torch.testing.assert_close(alone.state, together.state[:, :1], rtol=1e-7, atol=1e-7)
    assert float(alone.state.max()) > 2.9  # it has switched


def test_cells_that_differ_and_their_own_voltages() -> None:
    model = LinearIonDrift().with_values(r_off=torch.tensor([12e3, 16e3], dtype=torch.float64))
    wave = sine(1.0, 1.0, 1.0, 40)
    volts = torch.stack([wave.voltage, 0.5 * wave.voltage], 1)
    both = model.simulate(volts, wave.time, method=Adaptive())
    for k, r_off in enumerate((12e3, 16e3)):
        one = replace(LinearIonDrift(), r_off=r_off).simulate(volts[:, k], wave.time, method=Adaptive())
        torch.testing.assert_close(both.state[:, k], one.state, rtol=1e-12, atol=1e-12)


def test_gradients_go_through_tensors() -> None:
    state = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    LinearIonDrift().simulate(*sine(0.1, 1.0, 0.2, 10), state, Adaptive()).state[-1].sum().backward()
    assert state.grad is not None and math.isfinite(float(state.grad))
    assert float(state.grad) != 0


def test_a_cell_that_cannot_follow_says_where() -> None:
    with pytest.raises(StepError, match=r"between samples 0 and 1 .* cannot follow the voltage"):
        LinearIonDrift().simulate(*sine(300.0, 1.0, 1.0, 10), method=Adaptive(tolerance=1e-13, max_steps=3))

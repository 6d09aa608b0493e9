"""Forward-mode derivatives (``jvp``, ``jacfwd``, ``forward_ad``) are those of reverse mode, everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, jacfwd, jacrev, jvp, vjp

import mho
from mho.array import Wires, solve_nonlinear
from mho.array.nonlinear import HasCurrent, Sinh
from mho.autograd import clip_learned, round_clip, straight_through
from mho.converters import SAR, Dynamic, Fixed, Learned, TwosComplement
from mho.devices.dynamics import VTEAM

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "rounding": lambda x, y: round_clip(x, -3.0, 3.0) + y,
    "learned clip": lambda x, y: clip_learned(x, torch.tensor(1.5), 0.1, 0.5) * y,
    "straight through": straight_through,
}


def tangent(f: Callable[..., Any], *given: tuple[Tensor, Tensor]) -> Tensor | None:
    """Of dual numbers, without a transform."""
    with forward_ad.dual_level():
        y = f(*(forward_ad.make_dual(x, t) for x, t in given))
        found: Tensor | None = forward_ad.unpack_dual(y).tangent
        return found


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str, gradients: bool) -> None:
    f, x, y, t = FUNCTIONS[name], 3 * torch.randn(7), torch.randn(7), torch.randn(7)
    back = jacrev(f, argnums=(0, 1))(x, y)
    with torch.set_grad_enabled(gradients):
        for found, wanted in zip(jacfwd(f, argnums=(0, 1))(x, y), back, strict=True):
            torch.testing.assert_close(found, wanted)
        torch.testing.assert_close(tangent(f, (x, t), (y, t)), (back[0] + back[1]) @ t)


def test_the_clip_follows_its_limit() -> None:
    x, limit = torch.tensor([-2.0, -0.5, 1.0, 3.0]), torch.tensor(1.5)
    found = jacfwd(lambda v: clip_learned(x, v, 0.1, 0.5))(limit)
    assert found.tolist() == [-1.0, 0.0, 0.0, 1.0]


TILE = mho.Tile(rows=4, columns=4)
HARDWARE = {
    "ideal": mho.Hardware(),
    "fixed": mho.Hardware(
        tile=TILE, dac=mho.DAC(range=Fixed(limit=2.0)), adc=mho.ADC(range=Fixed(limit=4.0))
    ),
    "measured": mho.Hardware(tile=TILE, dac=mho.DAC(range=Dynamic()), adc=TwosComplement(bits=8)),
    "learned": mho.Hardware(dac=mho.DAC(range=Learned()), adc=mho.ADC(range=Learned())),
    "mismatched": mho.Hardware(
        dac=mho.DAC(range=Dynamic()), adc=SAR(bits=6, capacitor=0.02, range=Fixed(limit=9.0))
    ),
    "wires": mho.Hardware(tile=TILE, array=Wires(row=2.0, column=2.0), dac=mho.DAC(range=Fixed(limit=2.0))),
}
LAYERS: dict[str, tuple[nn.Module, Tensor]] = {
    "linear": (nn.Linear(8, 5), torch.randn(3, 8)),
    "conv": (nn.Conv1d(8, 5, 3), torch.randn(3, 8, 6)),
    "lstm": (nn.LSTM(8, 5), torch.randn(4, 3, 8)),
}


def first(found: Any) -> Tensor:
    """The first output."""
    return found[0] if isinstance(found, tuple) else found  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("ignore::mho.errors.ChipNotUsedWarning")
@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("hardware", HARDWARE)
def test_layers(hardware: str, name: str, train: bool, gradients: bool) -> None:
    """Of inputs and of weights: ``<u, J t> = <J^T u, t>``, where a read by a plan came before."""
    layer, x = LAYERS[name]
    analog = mho.convert(layer, HARDWARE[hardware])
    mho.program(analog, seed=0)
    analog.train(train).requires_grad_(False)
    if not train:
        with torch.no_grad():
            analog(x)
    weights = {n: p.detach() for n, p in analog.named_parameters() if "range" not in n}

    def f(given: Tensor, held: dict[str, Tensor]) -> Tensor:
        return first(functional_call(analog, held, (given,)))

    step = torch.randn_like(x), {n: torch.randn_like(p) for n, p in weights.items()}
    y, back = vjp(f, x, weights)
    u = torch.randn_like(y)
    by_input, by_weight = back(u)
    with torch.set_grad_enabled(gradients):
        _, change = jvp(f, (x, weights), step)
        wanted = (by_input * step[0]).sum() + sum((by_weight[n] * t).sum() for n, t in step[1].items())
        torch.testing.assert_close((change * u).sum(), wanted, rtol=1e-3, atol=1e-3)
        alone = tangent(lambda z: first(analog(z)), (x, step[0]))
    assert alone is not None
    torch.testing.assert_close((alone * u).sum(), (by_input * step[0]).sum(), rtol=1e-3, atol=1e-3)


def check_smooth(f: Callable[[Tensor], Tensor], x: Tensor) -> None:
    """Against difference quotients and reverse mode, in float64."""
    t = torch.randn_like(x) * x.abs().max()
    _, found = jvp(f, (x,), (t,))
    h = 1e-5
    torch.testing.assert_close(found, (f(x + h * t) - f(x - h * t)) / (2 * h), rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(tangent(f, (x, t)), found)
    torch.testing.assert_close(jacfwd(f)(x), jacrev(f)(x), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(
    "wires",
    [Wires(row=2.0, column=3.0), Wires(row=2.0, column=3.0, driver=5.0, far_driver=4.0, far_sense=3.0)],
    ids=["plain", "both ends"],
)
def test_wires(wires: Wires) -> None:
    check_smooth(wires.effective_conductance, torch.rand(6, 5, dtype=torch.float64) * 1e-3 + 1e-4)


@pytest.mark.parametrize("law", [Sinh(v_c=0.25), VTEAM()], ids=["law", "model"])
def test_cells_without_ohms_law(law: HasCurrent) -> None:
    wires, v = Wires(row=2.0, column=3.0), torch.rand(2, 4, dtype=torch.float64) * 0.3 + 0.05
    state = torch.rand(4, 3, dtype=torch.float64) * 1e-4 + 1e-5
    if isinstance(law, VTEAM):
        state = torch.full_like(state, float(law.bounds[1]) / 2)
    check_smooth(lambda given: solve_nonlinear(law, state, wires, given).current, v)
    if not isinstance(law, VTEAM):
        check_smooth(lambda given: solve_nonlinear(law, given, wires, v).current, state)

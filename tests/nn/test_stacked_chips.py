"""``torch.func.vmap`` over chips: as they are saved or packed, without and with gradients."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

import mho
from mho.converters import SAR, Fixed, Learned

FIXED = {"dac": mho.DAC(range=Fixed(limit=3.0)), "adc": mho.ADC(range=Fixed(limit=4.0))}
LEARNED = {
    "dac": mho.DAC(range=Learned(initial=1.0, decay=0.0)),
    "adc": mho.ADC(range=Learned(initial=1.0, decay=0.0)),
}


def vectors(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


TOKENS = torch.arange(12).view(3, 4)
CASES: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] = {
    "linear": (nn.Linear(20, 10), (vectors(4, 20),)),
    "conv": (nn.Conv2d(3, 4, 3), (vectors(2, 3, 6, 6),)),
    "transposed conv": (nn.ConvTranspose2d(3, 4, 3), (vectors(2, 3, 6, 6),)),
    "lstm": (nn.LSTM(20, 10), (vectors(3, 2, 20),)),
    "attention": (nn.MultiheadAttention(20, 2), (vectors(3, 2, 20),) * 3),
    "bilinear": (nn.Bilinear(20, 20, 10), (vectors(3, 20), vectors(3, 20))),
    "embedding": (nn.Embedding(20, 10), (TOKENS,)),
}


def first(y: Any) -> Tensor:
    return y[0] if isinstance(y, tuple) else y


def chips(layer: nn.Module, hardware: mho.Hardware, ages: tuple[float, ...] = (0.0, 60.0, 1e6)) -> list:
    torch.manual_seed(3)
    made = []
    analog = mho.convert(copy.deepcopy(layer), hardware).eval()
    for seed, seconds in enumerate(ages):
        mho.program(analog, seed)
        mho.age(analog, seconds)
        made.append(copy.deepcopy(analog))
    return made


def saved(model: nn.Module) -> dict[str, Tensor]:
    return {key: value for key, value in model.state_dict().items() if "chip_" in key}


def stacked(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {key: torch.stack([state[key] for state in states]) for key in states[0]}


def hardware(name: str, converters: dict[str, Any], **more: Any) -> mho.Hardware:
    some = {k: v for k, v in converters.items() if not (k == "dac" and name == "embedding")}
    device = mho.devices.PCM(read_scale=0.0)
    return mho.Hardware(**{"device": device, "tile": mho.Tile(rows=12, columns=8), **some, **more})


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("converters", [FIXED, LEARNED], ids=["fixed", "learned"])
@pytest.mark.parametrize("how", ["saved", "packed"])
def test_all_chips_at_once_are_the_chips_apart(name: str, converters: dict, how: str) -> None:
    """Outputs and gradients of the Parameters."""
    layer, inputs = CASES[name]
    models = chips(layer, hardware(name, converters))
    some = copy.deepcopy(models[0])
    outputs = [first(model(*inputs)) for model in models]
    weigh = torch.randn(torch.stack(outputs).shape, generator=torch.Generator().manual_seed(2))
    sum((w * y).sum() for w, y in zip(weigh, outputs, strict=True)).backward()
    if how == "saved":
        state = stacked([saved(model) for model in models])
        each = [torch.stack([v] * len(models)) for v in inputs]  # clips of their own, and their gradients
        y = vmap(lambda s, *v: first(functional_call(some, s, v)))(state, *each)
        (weigh * y).sum().backward()
        found = {n: p.grad for n, p in some.named_parameters()}
        wanted = {n: sum(dict(m.named_parameters())[n].grad for m in models) for n in found}
    else:
        given, buffers = stack_module_state(models)
        y = vmap(lambda p, b: first(functional_call(some, (p, b), inputs)))(given, buffers)
        (weigh * y).sum().backward()
        found = {n: p.grad for n, p in given.items()}
        wanted = {n: torch.stack([dict(m.named_parameters())[n].grad for m in models]) for n in found}
    difference = (y - torch.stack(outputs)).detach().abs()
    assert float(difference.median()) < 1e-5 and float(difference.max()) < 0.2  # a code on an edge, at most
    for n, gradient in found.items():
        assert bool(gradient.any()) or "range" in n  # nothing may have been clipped
        torch.testing.assert_close(gradient, wanted[n], rtol=2e-3, atol=2e-3 * float(wanted[n].abs().max()))


@pytest.mark.parametrize("name", CASES)
def test_saved_chips_at_once_without_gradients_and_with_noise(name: str) -> None:
    layer, inputs = CASES[name]
    models = chips(layer, hardware(name, FIXED, device=mho.devices.PCM()))
    state = stacked([saved(model) for model in models])
    with torch.no_grad():
        run = vmap(lambda s: first(functional_call(models[0], s, inputs)), randomness="different")
        reads = torch.stack([run(state) for _ in range(3)])
    assert bool((reads.std(0).amax(tuple(range(1, reads.dim() - 1))) > 0).all()), "fresh noise on each chip"


@pytest.mark.parametrize(
    "more",
    [
        {"adc": SAR(bits=6, capacitor=0.02, range=Fixed(limit=4.0))},
        {"dac": mho.DAC(gain=0.05, offset=0.02, range=Fixed(limit=3.0))},
        {"mapping": mho.mapping.Offset()},
        {"array": mho.array.Wires(row=2.0, column=2.0)},
    ],
    ids=["sar", "drivers", "offset", "wires"],
)
@pytest.mark.parametrize("bias_rows", [0, 1])
def test_other_arrays(more: dict[str, Any], bias_rows: int) -> None:
    torch.manual_seed(3)
    x = vectors(4, 20)
    analog = mho.convert(nn.Linear(20, 10), hardware("linear", FIXED, **more), bias_rows=bias_rows).eval()
    states, outputs = [], []
    with torch.no_grad():
        for seed in range(3):
            mho.program(analog, seed)
            states.append(copy.deepcopy(saved(analog)))
            outputs.append(analog(x))
        y = vmap(lambda s: functional_call(analog, s, (x,)))(stacked(states))
        nested = vmap(vmap(lambda s: functional_call(analog, s, (x,))))(
            {k: torch.stack([v, v.flip(0)]) for k, v in stacked(states).items()}
        )
    difference = (y - torch.stack(outputs)).abs()
    assert float(difference.median()) < 1e-5 and float(difference.max()) < 0.2
    assert torch.allclose(nested[1].flip(0), nested[0]) and float((nested[0] - y).abs().median()) < 1e-5


def test_a_quiet_chip_among_noisy_ones() -> None:
    """A chip whose cells do not fluctuate stays exact beside chips that do."""
    layer = nn.Linear(6, 3, bias=False)
    analog = mho.convert(layer, mho.Hardware(device=mho.devices.PCM())).eval()
    mho.program(analog, 0)
    loud = saved(analog)
    quiet = {k: v.clone() for k, v in loud.items()}
    quiet["crossbar.chip_g"] = torch.zeros_like(loud["crossbar.chip_g"])
    x = vectors(4, 6)
    with torch.no_grad():
        run = vmap(lambda s: functional_call(analog, s, (x,)), randomness="different")
        a, b = run(stacked([loud, quiet])), run(stacked([loud, quiet]))
    assert not torch.equal(a[0], b[0]) and bool(a[0].any())
    assert not bool(a[1].any()) and not bool(b[1].any())

"""A model that is evaluated without a chip says so, once, and only where programming matters."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mho
from mho.converters import SAR, Dynamic, Fixed
from mho.errors import NotProgrammedWarning
from mho.nn.unprogrammed import on_purpose, programming_matters
from mho.programming import WriteVerify, suited_pulses

from ..test_visible import CASES

PCM = mho.Hardware(device=mho.devices.PCM())
FIXED = Fixed(limit=4.0)
SWITCHING = mho.devices.Switching()


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))


def run(model: nn.Module, example: Any) -> None:
    if isinstance(example, dict):
        model(**example)
    else:
        model(*example) if isinstance(example, tuple) else model(example)


def said(call: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(w.message) for w in caught if issubclass(w.category, NotProgrammedWarning)]


@pytest.mark.parametrize("name", CASES)
def test_every_layer_says_it_once(name: str) -> None:
    layer, example = CASES[name]()
    analog = mho.convert(layer, PCM)
    assert not said(lambda: run(analog.train(), example)), "training uses the weights"
    first = said(lambda: run(analog.eval(), example))
    assert len(first) == 1 and "mho.program(model, seed=0)" in first[0]
    assert first[0].startswith(f"{type(analog).__name__} holds no chip")
    assert not said(lambda: run(analog, example))
    mho.program(analog, 0)
    assert not said(lambda: run(analog, example))


def test_the_first_layer_is_named_and_the_line_is_the_callers() -> None:
    analog = mho.convert(network(), PCM).eval()
    with pytest.warns(
        NotProgrammedWarning, match=r"Sequential holds no chip, and '0' and the layers after it"
    ) as seen:
        analog(torch.randn(2, 6))
    assert len(seen) == 1 and seen[0].filename == __file__


def test_each_converted_model_says_it_for_itself_and_copies_remember() -> None:
    x = torch.randn(2, 6)
    one, two = (mho.convert(network(), PCM).eval() for _ in range(2))
    fresh = copy.deepcopy(one)
    assert said(lambda: one(x)) and said(lambda: two(x)) and said(lambda: fresh(x))
    assert not said(lambda: copy.deepcopy(one)(x))
    assert not said(lambda: pickle.loads(pickle.dumps(one))(x))
    assert said(lambda: mho.convert(mho.revert(one), PCM).eval()(x))


def test_a_graph_says_it_when_it_is_made() -> None:
    analog = mho.convert(network(), PCM).eval()
    compiled = torch.compile(analog, fullgraph=True, backend="eager")
    x = torch.randn(2, 6)
    assert len(said(lambda: compiled(x))) == 1
    assert not said(lambda: compiled(x))
    mho.program(analog, 0)
    assert not said(lambda: compiled(x))


MATTERS: dict[str, dict[str, Any]] = {
    "programming error": {"device": mho.devices.PCM(read_scale=0.0)},
    "read noise": {"device": mho.devices.PCM(program_scale=0.0)},
    "effect": {"device": mho.devices.StuckAt(lrs=0.1)},
    "pulses": {"device": SWITCHING, "programming": WriteVerify(pulse=suited_pulses(SWITCHING.model))},
    "converters": {"adc": SAR(bits=6, capacitor=0.02, range=FIXED)},
    "drivers": {"dac": mho.DAC(gain=0.05, range=FIXED)},
}
SAME: dict[str, dict[str, Any]] = {
    "ideal": {},
    "ideal with converters": {"dac": mho.DAC(range=FIXED), "adc": mho.ADC(range=Dynamic())},
    "wires": {"array": mho.array.Wires(row=2.0, column=2.0), "tile": mho.Tile(rows=4, columns=4)},
    "pulses without error": {"programming": WriteVerify()},
    "converters without mismatch": {"adc": SAR(bits=6, range=FIXED)},
    "drift alone": {"device": mho.devices.PCM(program_scale=0.0, read_scale=0.0)},
}


@pytest.mark.parametrize("name", [*MATTERS, *SAME])
def test_it_is_said_where_programming_changes_numbers_and_only_there(name: str) -> None:
    hardware = mho.Hardware(**{**MATTERS, **SAME}[name])
    analog, x = mho.convert(network(), hardware).eval(), torch.randn(50, 6)
    before: list[Tensor] = []
    assert len(said(lambda: before.append(analog(x)))) == (name in MATTERS) == programming_matters(hardware)
    mho.program(analog, 0)
    same = torch.allclose(analog(x), before[0], atol=1e-6)
    assert same == (name in SAME)


def _uses() -> Iterator[Any]:
    x = torch.randn(8, 6)
    converters = {"dac": mho.DAC(), "adc": mho.ADC()}
    hardware = mho.Hardware(device=mho.devices.PCM(), **converters)
    model = mho.convert(network(), hardware)
    yield "calibrate", lambda: mho.calibrate(model, [x])
    yield "profile", lambda: mho.profile(model, [x])
    yield "measure", lambda: model.report.measure(x)
    yield "example", lambda: mho.convert(network(), hardware, example=x)
    yield "visible", lambda: mho.testing.check_visible(mho.convert(network(), PCM), x)


@pytest.mark.parametrize("use", list(_uses()), ids=lambda use: use[0])
def test_what_mho_runs_before_programming_says_nothing(use: tuple[str, Callable[[], Any]]) -> None:
    assert not said(use[1])


def test_on_purpose() -> None:
    analog, x = mho.convert(network(), PCM).eval(), torch.randn(2, 6)

    def quiet() -> None:
        with on_purpose(analog):
            analog(x)

    assert not said(quiet) and said(lambda: analog(x))

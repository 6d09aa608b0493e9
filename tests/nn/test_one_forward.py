"""One forward in evaluation: few calls, all downward, and a plan that holds only for what it was made of."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import tomllib
import torch
from torch import Tensor, nn
from torch.func import functional_call

import mho
from mho.chip.plan import ReadPlan
from mho.converters import Fixed

ROOT = Path(mho.__file__).parent
QUIET = mho.Hardware(
    device=mho.devices.PCM(read_scale=0.0),
    dac=mho.DAC(bits=8, range=Fixed(limit=4.0)),
    adc=mho.ADC(bits=8, range=Fixed(limit=10.0)),
)
LAYERS: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "linear": (lambda: nn.Linear(32, 32), torch.randn(1, 32)),
    "convolution": (lambda: nn.Conv2d(8, 8, 3), torch.randn(1, 8, 8, 8)),
    "look-up": (lambda: nn.Embedding(32, 16), torch.tensor([[1, 2]])),
}
each = pytest.mark.parametrize("name", LAYERS)


def programmed(name: str, hardware: mho.Hardware = QUIET) -> tuple[Any, Tensor]:
    torch.manual_seed(0)
    make, x = LAYERS[name]
    analog = mho.convert(make(), hardware)
    mho.program(analog, seed=0)
    return analog.eval(), x


def floors() -> dict[str, int]:
    """The floor of each room and of each module of ``chip/``, the lowest first, as the linter holds them."""
    tool = tomllib.loads((ROOT.parents[1] / "pyproject.toml").read_text())["tool"]["importlinter"]
    found: dict[str, int] = {}
    for contract in tool["contracts"]:
        for container in contract.get("containers", ()):
            for height, line in enumerate(reversed(contract["layers"])):
                for module in line.replace(":", "|").split("|"):
                    found[f"{container}.{module.strip(' ()')}"] = height
    return found


def calls(run: Callable[[], object]) -> list[tuple[str | None, str]]:
    """Each call into mho: the nearest mho module above it, and its own."""
    found = []

    def module_of(frame: FrameType | None) -> str | None:
        name = None if frame is None else frame.f_globals.get("__name__", "")
        return name if name is not None and name.startswith("mho.") else None

    def watch(frame: FrameType, event: str, _: object) -> None:
        own = module_of(frame)
        if event == "call" and own is not None:
            above = frame.f_back
            while above is not None and module_of(above) is None:
                above = above.f_back
            found.append((module_of(above), own))

    sys.setprofile(watch)
    try:
        run()
    finally:
        sys.setprofile(None)
    return found


def climbs(above: str, below: str, heights: dict[str, int]) -> bool:
    """Whether ``above`` calls a module of a higher floor: of another room, or of the same one, ``chip/``."""
    one, other = (".".join(name.split(".")[:2]) for name in (above, below))
    if one == other == "mho.chip":
        one, other = (".".join(name.split(".")[:3]) for name in (above, below))
    return heights.get(one, 0) < heights.get(other, 0)


@each
def test_a_forward_makes_few_calls(name: str) -> None:
    analog, x = programmed(name)
    with torch.no_grad():
        analog(x)
        made = calls(lambda: analog(x))
    assert len(made) <= 40 and len({own for _, own in made}) <= 8


@each
@pytest.mark.parametrize("way", ["planned", "first", "with gradients", "noisy"])
def test_a_forward_never_climbs(name: str, way: str) -> None:
    analog, x = programmed(name, mho.Hardware(device=mho.devices.PCM()) if way == "noisy" else QUIET)
    heights = floors()
    assert heights["mho.nn"] > heights["mho.chip"] > heights["mho.array"]
    with torch.set_grad_enabled(way == "with gradients"):
        if way == "planned":
            analog(x)
        made = calls(lambda: analog(x))
    assert len(made) > 10
    assert [pair for pair in made if pair[0] is not None and climbs(*pair, heights)] == []


def test_the_check_sees_a_climb() -> None:
    heights = floors()
    assert climbs("mho.chip.product", "mho.nn.linear", heights)
    assert climbs("mho.chip.reads", "mho.chip.layouts.matrix", heights)
    assert not climbs("mho.nn.linear", "mho.chip.product", heights)


@each
def test_a_planned_read_is_the_read(name: str) -> None:
    for hardware in (QUIET, mho.Hardware(device=mho.devices.PCM(read_scale=0.0))):
        analog, x = programmed(name, hardware)
        with torch.no_grad():
            first, planned = analog(x), analog(x)
            assert analog.crossbar._plan is not None
        assert torch.equal(first, planned) and torch.equal(analog(x).detach(), planned)
        assert first.dtype == planned.dtype


def edits() -> dict[str, Callable[[Any], object]]:
    def entry(name: str, change: Callable[[Tensor], object]) -> Callable[[Any], object]:
        return lambda layer: change(getattr(layer, name))

    return {
        "gain in place": entry("chip_gain", lambda t: t.mul_(1.5)),
        "conductances in place": entry("chip_g", lambda t: t.mul_(0.5)),
        "shift in place": entry("chip_shift", lambda t: t.add_(1.0)),
        "a range that is set": lambda layer: layer.set_range("input_range", torch.tensor(0.5)),
        "aged": lambda layer: mho.age(layer, 3.15e7),
        "another chip": lambda layer: mho.program(layer, seed=9),
        "the bias": lambda layer: layer.bias.data.add_(1.0),
    }


@pytest.mark.parametrize("name", edits())
def test_a_plan_ends_with_what_it_was_made_of(name: str) -> None:
    calibrated = mho.Hardware(
        device=mho.devices.PCM(read_scale=0.0),
        tile=mho.Tile(rows=12),
        dac=mho.DAC(bits=8),
        adc=mho.ADC(bits=8),
    )
    analog, x = programmed("linear", calibrated)
    mho.calibrate(analog, [x])
    with torch.no_grad():
        analog(x)
        before = analog(x)
        fresh = copy.deepcopy(analog)
        assert fresh.crossbar._plan is None
        for layer in (analog, fresh):
            edits()[name](layer)
        after = analog(x)
        assert torch.equal(after, fresh(x)) and not torch.equal(after, before)
        assert torch.equal(analog(x), after)


def test_entries_that_are_given_are_read_without_the_plan() -> None:
    analog, x = programmed("linear")
    other, _ = programmed("linear")
    mho.program(other, seed=5)
    with torch.no_grad():
        own, wanted = analog(x), other(x)
        analog(x), other(x)
        state = {k: v for k, v in other.state_dict().items() if "chip" in k}
        assert torch.equal(functional_call(analog, state, (x,)), wanted)
        assert torch.equal(analog(x), own)
        gain = {"crossbar.chip_gain": 2 * analog.chip_gain}
        torch.testing.assert_close(
            functional_call(analog, gain, (x,)) - analog.bias, 2 * (own - analog.bias), rtol=1e-5, atol=1e-6
        )


def test_weights_that_change_are_noticed_by_a_planned_read() -> None:
    analog, x = programmed("linear")
    with torch.no_grad():
        analog(x), analog(x)
        analog.weight.add_(0.1)
        with pytest.warns(mho.StaleChipWarning):
            analog(x)


def test_replicas_and_copies_read_their_own_weights() -> None:
    x = LAYERS["linear"][1]
    analog: Any = mho.convert(nn.Linear(32, 32), mho.Hardware()).train()
    shallow = copy.copy(analog)
    shallow.__dict__["_parameters"] = {k: nn.Parameter(2 * v.detach()) for k, v in analog._parameters.items()}
    with torch.no_grad():
        one, two = analog(x), shallow(x)
        torch.testing.assert_close(two, 2 * one)
        torch.testing.assert_close(analog(x), one)


@pytest.mark.parametrize("name", ["hardware", "on_chip", "modifiers", "bias_rows", "chip_g", "layout"])
@pytest.mark.parametrize("make", [lambda: nn.Linear(4, 3), lambda: nn.LSTM(4, 3)], ids=["one", "several"])
def test_what_belongs_to_a_crossbar_is_changed_there(name: str, make: Callable[[], nn.Module]) -> None:
    analog = mho.convert(make(), mho.Hardware())
    with pytest.raises(AttributeError, match=name):
        setattr(analog, name, None)


def test_a_shift_is_put_back_alike_for_one_array_and_several() -> None:
    rows = torch.arange(6)
    for make, call in (
        (lambda: nn.Embedding(6, 4), lambda m: m(rows)),
        (lambda: nn.EmbeddingBag(6, 4, mode="sum"), lambda m: m(rows, rows)),
        (lambda: nn.Linear(6, 4, bias=False), lambda m: m(torch.eye(6))),
    ):
        torch.manual_seed(1)
        analog = mho.convert(make(), mho.Hardware(device=mho.devices.PCM(read_scale=0.0))).eval()
        mho.program(analog, seed=0)
        array = analog.each()[0]
        chip = array.require_chip("test")
        array.correct(1.1 * chip.gain, chip.shift + torch.linspace(0.5, 1.0, 4))
        with torch.no_grad():
            torch.testing.assert_close(
                call(mho.revert(analog, "programmed")), call(analog), rtol=1e-5, atol=1e-6
            )


@each
@pytest.mark.parametrize("way", ["as it is", "autocast", "parametrised", "inference mode"])
def test_a_plan_is_made_once_or_not_at_all(name: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    whole = ReadPlan.__init__
    monkeypatch.setattr(ReadPlan, "__init__", lambda self, *a, **k: made.append(1) or whole(self, *a, **k))
    make, x = LAYERS[name]
    with torch.inference_mode(way == "inference mode"):
        layer = make()
        if way == "parametrised":
            nn.utils.parametrize.register_parametrization(layer, "weight", nn.Tanh())
        analog = mho.convert(layer, QUIET).eval()
        mho.program(analog, seed=0)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=way == "autocast"):
        found = [analog(x) for _ in range(4)]
    assert len(made) == (way in ("as it is", "autocast"))
    assert all(torch.equal(y, found[0]) for y in found)

"""A lean chip is the whole one, bit for bit, and keeps no conductances."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

import mho
from mho import devices, programming
from mho.chip import cells
from mho.devices import Device
from mho.errors import DamagedChipError, RedrawnChipWarning, StaleChipWarning
from mho.nn import crossbars, each
from mho.nn.crossbar.description import PACKED_BUFFERS
from mho.training.on_chip import SGD, PulsedOptimizer

from ..devices.test_contract import EXAMPLES

PCM = mho.Hardware(
    device=devices.PCM(),
    dac=mho.DAC(bits=8),
    adc=mho.ADC(bits=8),
    tile=mho.Tile(rows=48, columns=64),
)
X = torch.randn(3, 96, generator=torch.Generator().manual_seed(1))


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(96, 128), nn.ReLU(), nn.Linear(128, 10))


def single() -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(nn.Linear(96, 64))


def analog(hardware: mho.Hardware, model: nn.Module | None = None) -> nn.Module:
    made = mho.convert(network() if model is None else model, hardware).eval()
    mho.calibrate(made, [X])
    return made


def pair(
    hardware: mho.Hardware, seed: int = 7, model: nn.Module | None = None
) -> tuple[nn.Module, nn.Module]:
    """The same chip, whole and lean."""
    whole = analog(hardware, model)
    lean = copy.deepcopy(whole)
    mho.program(whole, seed)
    mho.program(lean, seed, lean=True)
    return whole, lean


def read(model: nn.Module) -> Tensor:
    torch.manual_seed(5)  # of the read noise
    with torch.no_grad():
        return model(X)  # type: ignore[no-any-return]


def compensate(model: nn.Module) -> None:
    torch.manual_seed(6)  # of the reference read
    mho.compensate(model)


def assert_same(whole: nn.Module, lean: nn.Module, kept: bool = False) -> None:
    """Equal in every bit, and in how what is packed lies in memory; ``kept``: the lean one keeps cells."""
    for one, other in zip(crossbars(whole).values(), crossbars(lean).values(), strict=True):
        assert other.is_lean is not kept and (other.chip_g is None) is not kept
        for a, b in zip(one.chip, other.chip, strict=True):
            assert (a is None) == (b is None)
            assert a is None or (torch.equal(a, b) and a.stride() == b.stride() and a.dtype == b.dtype)
        for name in PACKED_BUFFERS:
            a, b = getattr(one, name), getattr(other, name)
            assert (a is None) == (b is None), name
            assert a is None or (torch.equal(a, b) and a.stride() == b.stride()), name
    assert torch.equal(read(whole), read(lean))


def time_of(device: Device) -> float:
    """A time at which a device is known."""
    first, last = device.times
    return min(max(3600.0, first), last)


def live(whole: nn.Module, lean: nn.Module, seconds: float) -> None:
    """Both through a chip's life, and equal all along."""
    assert_same(whole, lean)
    for model in (whole, lean):
        mho.age(model, seconds)
    assert_same(whole, lean)
    for model in (whole, lean):
        compensate(model)
    assert_same(whole, lean)
    again = copy.deepcopy(lean)
    mho.age(again, 0)
    state = lean.state_dict()
    assert not [key for key in state if key.endswith(("chip_g", "chip_cells"))]
    again.load_state_dict(state)
    assert_same(whole, again)


ALL = [pytest.param(d, id=f"{k.__name__}-{n}") for k, ds in EXAMPLES.items() for n, d in enumerate(ds)]


@pytest.mark.parametrize("device", ALL)
def test_every_device_and_effect(device: Device) -> None:
    hardware = mho.Hardware(device=device, adc=mho.ADC(bits=8), tile=mho.Tile(rows=48, columns=64))
    live(*pair(hardware, model=single()), time_of(device))


@pytest.mark.parametrize("scale", [0.0, 1.0])
@pytest.mark.parametrize("at_once", [1 << 11, 1 << 13])
def test_rows_that_are_drawn_alone(monkeypatch: pytest.MonkeyPatch, at_once: int, scale: float) -> None:
    """In blocks of other sizes than those of the whole chip."""
    monkeypatch.setattr(cells, "AT_ONCE", at_once)
    monkeypatch.setattr("mho.blocks.BLOCK", 5000)
    hardware = mho.Hardware(device=devices.PCM(read_scale=scale), dac=mho.DAC(bits=6), tile=PCM.tile)
    live(*pair(hardware), 3600.0)


OTHERS: dict[str, dict[str, Any]] = {
    "written and verified": {
        "programming": programming.WriteVerify(pulse=programming.Correction(), tolerance=0.02)
    },
    "wires": {"array": mho.array.Wires(row=1.0, column=1.0), "tile": mho.Tile(rows=16, columns=16)},
    "offset": {"mapping": mho.mapping.Offset()},
    "digital subtraction": {"mapping": mho.mapping.DifferentialPair(digital_subtraction=True)},
    "two-sided levels": {"mapping": mho.mapping.DifferentialPair(two_sided=True, levels=8)},
    "slices": {"mapping": mho.mapping.BitSlicing()},
    "converters that differ": {
        "adc": mho.converters.SAR(bits=6, capacitor=0.02, range=mho.converters.Calibrated()),
        "dac": mho.DAC(gain=0.05, range=mho.converters.Calibrated()),
    },
    "one array": {"tile": mho.Tile(), "adc": None, "dac": None},
}


@pytest.mark.parametrize("name", OTHERS)
def test_every_other_part(name: str) -> None:
    given = {name: getattr(PCM, name) for name in ("device", "dac", "adc", "tile")}
    live(*pair(mho.Hardware(**{**given, **OTHERS[name]}), model=single()), 3600.0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_weights_of_other_types(dtype: torch.dtype) -> None:
    whole, lean = (mho.convert(network().to(dtype), mho.Hardware(device=devices.PCM())) for _ in range(2))
    mho.program(whole, 1)
    mho.program(lean, 1, lean=True)
    for model in (whole, lean):
        mho.age(model, 10.0)
    wanted = mho.conductances(whole)
    assert all(torch.equal(found, wanted[path]) for path, found in mho.conductances(lean).items())


@pytest.mark.parametrize("lean", [False, True])
def test_threads(monkeypatch: pytest.MonkeyPatch, lean: bool) -> None:
    """Layers that are programmed at the same time are those that are programmed one after the other."""
    monkeypatch.setattr(each, "_MANY", 1)
    made = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            model = analog(PCM)
            mho.program(model, 2, lean=lean)
            mho.age(model, 100.0)
            assert torch.get_num_threads() == threads
            made.append({k: v for m in crossbars(model).values() for k, v in m._buffers.items()})
    finally:
        torch.set_num_threads(before)
    for other in made[1:]:
        for key, value in made[0].items():
            assert (value is None) == (other[key] is None)
            assert value is None or torch.equal(value, other[key]), key


def test_an_error_in_a_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(each, "_MANY", 1)
    model = analog(PCM)
    mho.program(model, 0, lean=True)
    with torch.no_grad():
        model[2].weight.data.add_(1.0)
    with pytest.warns(StaleChipWarning), pytest.raises(DamagedChipError, match="changed since"):
        mho.age(model, 10.0)


def test_bytes() -> None:
    """Memory: 8 bytes a weight beside the weight itself; on disk, the weight and what columns have."""
    whole, lean = (mho.convert(nn.Linear(512, 1024), PCM).eval() for _ in range(2))
    mho.program(whole, 0)
    mho.program(lean, 0, lean=True)
    weights = lean.weight.numel()

    def held(model: nn.Module) -> float:
        buffers = (b for b in model.buffers() if b is not None)
        return sum(b.numel() * b.element_size() for b in buffers) / weights

    def saved(model: nn.Module) -> float:
        return sum(v.numel() * v.element_size() for v in model.state_dict().values()) / weights

    assert 24 < held(whole) < 24.1 and 8 < held(lean) < 8.1
    assert 20 < saved(whole) < 20.1 and 4 < saved(lean) < 4.1


def test_weights_that_changed() -> None:
    _, lean = pair(PCM)
    y = read(lean)
    kept = lean[0].weight.detach().clone()
    with torch.no_grad():
        lean[0].weight.add_(0.1)
    with pytest.warns(StaleChipWarning):
        assert torch.equal(read(lean), y)  # what is packed stays
    with pytest.warns(StaleChipWarning), pytest.raises(DamagedChipError, match="'0': the chip is lean"):
        mho.age(lean, 10.0)
    with torch.no_grad():
        lean[0].weight.copy_(kept)
    mho.age(lean, 10.0)


def test_rounded_weights_draw_no_other_chip() -> None:
    """A chip is not drawn from what a move or a load leaves of its weights."""
    whole, lean = pair(PCM)
    state = lean.state_dict()
    mho.age(whole.half(), 10.0)
    with pytest.warns(StaleChipWarning), pytest.raises(DamagedChipError, match="is lean"):
        mho.age(lean.half(), 10.0)
    half = analog(PCM, network()).half()
    half.load_state_dict(state)
    with pytest.raises(DamagedChipError, match="is lean"):
        half(X.half())


def test_weights_that_are_loaded_later() -> None:
    whole, lean = pair(PCM)
    state = lean.state_dict()
    fresh = mho.convert(nn.Sequential(nn.Linear(96, 128), nn.ReLU(), nn.Linear(128, 10)), PCM).eval()
    fresh.load_state_dict({k: v for k, v in state.items() if "crossbar" in k}, strict=False)
    assert fresh[0].crossbar.packed_kernel is None
    with pytest.raises(DamagedChipError, match="is lean"):
        fresh(X)
    fresh.load_state_dict({k: v for k, v in state.items() if "crossbar" not in k}, strict=False)
    assert_same(whole, fresh)


def test_a_stage_has_the_chip_of_its_layers() -> None:
    """Parts of a model in processes of their own, under the names that they have in the whole."""
    whole = mho.convert(network(), PCM)
    mho.program(whole, 4)
    stage = mho.convert(nn.ModuleDict({"2": network()[2]}), PCM)
    mho.program(stage, 4, lean=True)
    assert torch.equal(mho.conductances(stage)["2"], mho.conductances(whole)["2"])


# --- files ---------------------------------------------------------------------------------------


def test_a_whole_chip_and_a_lean_one_take_turns_in_an_array() -> None:
    whole, lean = pair(PCM)
    states = copy.deepcopy((whole.state_dict(), lean.state_dict()))
    lean.load_state_dict(states[0])
    assert_same(whole, lean, kept=True)
    assert {k: v for k, v in lean.state_dict().items() if "stream" in k} == {}
    lean.load_state_dict(states[1])
    assert_same(whole, lean)
    mho.program(lean, 7)
    assert_same(whole, lean, kept=True)
    assert lean.state_dict().keys() == states[0].keys()
    assert torch.equal(lean[0].chip_format, whole[0].chip_format)


def test_what_cannot_be_a_lean_chip() -> None:
    _, lean = pair(PCM)
    state = lean.state_dict()
    stream = state["0.crossbar.chip_stream"]

    def refused(value: Tensor, words: str) -> None:
        with pytest.raises(DamagedChipError, match=words):
            lean.load_state_dict({**state, "0.crossbar.chip_stream": value})

    refused(torch.zeros_like(stream), "chip_stream names no seed")
    refused(torch.full_like(stream, 255), "chip_stream names no seed")
    refused(stream + (stream == stream[0]).to(stream), "chip_checksum does not fit")
    with pytest.raises(DamagedChipError, match="chip_scale is missing"):
        lean.load_state_dict({k: v for k, v in state.items() if k != "0.crossbar.chip_scale"})


def test_other_bits_are_told() -> None:
    _, lean = pair(PCM)
    state = lean.state_dict()
    state["0.crossbar.chip_drawn"] = state["0.crossbar.chip_drawn"] + 1
    with pytest.warns(RedrawnChipWarning, match="'0' were drawn again with other last bits"):
        lean.load_state_dict(state)


def test_a_chip_file_has_all_of_it(tmp_path: Path) -> None:
    whole, lean = pair(PCM)
    again = copy.deepcopy(lean)
    mho.save_chip(lean, tmp_path / "chip.safetensors")
    mho.load_chip(again, tmp_path / "chip.safetensors")
    assert_same(whole, again, kept=True)


# --- what makes it whole -------------------------------------------------------------------------


def test_degraded() -> None:
    whole, lean = pair(PCM)
    for model in (whole, lean):
        mho.degrade(model, devices.StuckAt(lrs=0.1), seed=1)
    assert_same(whole, lean, kept=True)


def test_a_temperature() -> None:
    heated = devices.Accelerated(activation=0.5, kelvin=350.0, device=devices.PCM())
    whole, lean = pair(mho.Hardware(device=heated, tile=PCM.tile))
    for model in (whole, lean):
        mho.age(model, 3600.0, kelvin=360.0)
    assert_same(whole, lean, kept=True)


def test_conductances_that_are_set() -> None:
    whole, lean = pair(PCM)
    for model in (whole, lean):
        for array in crossbars(model).values():
            chip = array.require_chip("test")
            array.set_chip(chip._replace(g=chip.g * 0.9))
    assert_same(whole, lean, kept=True)


def test_pulses() -> None:
    device = devices.Pulsed(device=devices.Ideal(g_min=20e-6, g_max=30e-6))
    whole, lean = pair(mho.Hardware(device=device), model=nn.Sequential(nn.Linear(96, 3)))
    for model in (whole, lean):
        torch.manual_seed(0)
        model.train()
        optimizer = PulsedOptimizer(model, lr=0.1, rule=SGD())
        model(X).square().mean().backward()
        optimizer.step()
        model.eval()
    assert_same(whole, lean, kept=True)


# --- torch.func, gradients -----------------------------------------------------------------------


def test_functional_call() -> None:
    """Entries of another lean chip, without what is packed of it."""
    _, lean = pair(PCM)
    whole, other = pair(PCM, seed=8)
    entries = {k: v for k, v in other.state_dict().items() if ".chip_" in k}
    torch.manual_seed(5)
    with torch.no_grad():
        y = functional_call(lean, entries, (X,))
    assert torch.equal(y, read(whole))
    assert_same(pair(PCM)[0], lean)


def test_stacked_chips() -> None:
    quiet = mho.Hardware(device=devices.PCM(read_scale=0.0), adc=PCM.adc, dac=PCM.dac)
    pairs = [pair(quiet, seed) for seed in (1, 20)]
    parameters, buffers = stack_module_state([lean for _, lean in pairs])
    base = pairs[0][1]

    def one(parameters: Any, buffers: Any) -> Tensor:
        return functional_call(base, (parameters, buffers), (X,))

    with torch.no_grad():
        stacked = vmap(one)(parameters, buffers)
        for y, (whole, _) in zip(stacked, pairs, strict=True):
            torch.testing.assert_close(y, whole(X))
        entries = {k: v for k, v in buffers.items() if ".packed_" not in k}
        with pytest.raises(ValueError, match="stacks lean chips"):
            vmap(one)(parameters, entries)


def test_gradients() -> None:
    """On the chip, with its gradient, as for a whole one."""
    found = []
    for model in pair(PCM):
        mho.train_on_chip(model)
        model.train()
        torch.manual_seed(4)
        model(X).square().sum().backward()
        found.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_it_says_that_it_is_lean_and_is_reverted() -> None:
    whole, lean = pair(PCM)
    assert "programmed, lean" in repr(lean) and "lean" not in repr(whole)
    assert torch.equal(mho.revert(whole)[0].weight, mho.revert(lean)[0].weight)

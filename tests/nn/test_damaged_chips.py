"""A chip that can be none is refused by name, wherever it comes from, and nothing of it is kept."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

import mho
from mho.converters import SAR, Calibrated, Learned
from mho.errors import DamagedChipError
from mho.nn import analog_layers
from mho.nn.crossbar import soundness as entries
from mho.nn.crossbar.description import CHIP, RANGES

X = torch.randn(4, 20, generator=torch.Generator().manual_seed(1))
DEVICE = mho.devices.RetentionLoss(nu=0.1, nu_std=0.05, device=mho.devices.PCM(read_scale=0.0))


def hardware(**more: Any) -> mho.Hardware:
    """Every entry that a chip can have."""
    whole = {
        "device": DEVICE,
        "tile": mho.Tile(rows=12, columns=8),
        "dac": mho.DAC(gain=0.05, range=Calibrated()),
        "adc": SAR(bits=6, capacitor=0.02, range=Calibrated()),
    }
    return mho.Hardware(**{**whole, **more})


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(20, 10), nn.BatchNorm1d(10), nn.LSTM(10, 6))


def chip(**more: Any) -> nn.Module:
    analog = mho.convert(network(), hardware(**more))
    mho.calibrate(analog, [X])
    mho.program(analog, 0)
    mho.age(analog, 3600)
    mho.compensate(analog)
    return analog.eval()


SOUND = chip()
_STAMP = ("chip_format", "chip_checksum")
ENTRIES = [
    k
    for k in SOUND.state_dict()
    if k.rpartition(".")[2].startswith(("chip_", "input_r", "output_r")) and not k.endswith(_STAMP)
]


def _set(value: float) -> Callable[[Tensor], Tensor]:
    def changed(entry: Tensor) -> Tensor:
        entry = entry.clone()
        entry.view(-1)[-1] = value
        return entry

    return changed


KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "nan": _set(math.nan),
    "infinite": _set(math.inf),
    "minus infinity": _set(-math.inf),
    "negative": _set(-1e-3),
    "one siemens": _set(1.0),
    "integers": lambda v: v.to(torch.int32),
    "half": lambda v: v.half(),
    "another axis": lambda v: v.unsqueeze(0),
    "longer": lambda v: torch.cat((v, v)) if v.dim() else v.repeat(2),
}
_SIGNED = ("chip_cells", "chip_gain", "chip_shift", "chip_converters", "chip_drivers")


def kinds(entry: str) -> list[str]:
    """What would be a damage of this entry."""
    name = entry.rpartition(".")[2]
    if SOUND.state_dict()[entry].dtype == torch.int64:
        return ["integers", "half", "another axis", "longer"]
    sound = ["negative"] * (name in _SIGNED) + ["one siemens"] * (name != "chip_g")
    return [kind for kind in KINDS if kind not in sound]


def test_every_entry_that_there_is() -> None:
    names = {entry.rpartition(".")[2] for entry in ENTRIES}
    assert names == {*CHIP, "chip_weights", *RANGES}


def test_a_chip_that_was_changed_in_its_file_is_refused() -> None:
    """Every bit of every entry counts, also where the value could be that of a chip."""
    state = SOUND.state_dict()
    for entry in (e for e in ENTRIES if ".chip_" in e and not e.endswith("chip_weights")):
        value = state[entry].clone()
        raw = value.view(-1).view(torch.uint8) if value.dim() else value.view(1).view(torch.uint8)
        raw[0] ^= 1
        with pytest.raises(DamagedChipError, match=r"chip_checksum does not fit|another hardware"):
            copy.deepcopy(SOUND).load_state_dict({**state, entry: value})
    on_purpose = {k: v for k, v in state.items() if not k.endswith("chip_checksum")}
    on_purpose["0.crossbar.chip_gain"] = 1.01 * on_purpose["0.crossbar.chip_gain"]
    other = copy.deepcopy(SOUND)
    other.load_state_dict(on_purpose)
    assert torch.equal(other[0].chip_gain, on_purpose["0.crossbar.chip_gain"])


def test_a_later_format_is_refused() -> None:
    state = {**SOUND.state_dict(), "0.crossbar.chip_format": torch.tensor([2, 0])}
    with pytest.raises(DamagedChipError, match="chip_format is 2: this mho reads format 1; update mho"):
        copy.deepcopy(SOUND).load_state_dict(state)


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("how", [{}, {"strict": False}, {"assign": True}], ids=["strict", "loose", "assign"])
def test_a_damaged_entry_is_refused_and_nothing_is_loaded(entry: str, how: dict) -> None:
    """The weights before the damaged layer are not loaded either."""
    other = copy.deepcopy(SOUND)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.5)
    mho.program(other, 1)
    before = {k: v.clone() for k, v in other.state_dict().items()}
    sound = {k: v.clone() for k, v in SOUND.state_dict().items()}
    for kind in kinds(entry):
        state = {**sound, entry: KINDS[kind](sound[entry])}
        with pytest.raises(DamagedChipError, match=entry.replace(".", r"\.")):
            other.load_state_dict(state, **how)
        for key, value in other.state_dict().items():
            assert torch.equal(value, before[key]), f"{kind}: {key}"
    other(X)


def test_the_message_names_place_value_and_what_is_allowed() -> None:
    state = {k: v.clone() for k, v in SOUND.state_dict().items()}
    state["0.crossbar.chip_g"][1, 0, 3, 2:4] = math.nan
    with pytest.raises(DamagedChipError) as error:
        copy.deepcopy(SOUND).load_state_dict(state)
    said = str(error.value)
    assert said.startswith("0.crossbar.chip_g[1, 0, 3, 2] = nan (2 of 400 values are like this): ")
    assert "conductances are finite" in said and "mho.program" in said
    state["0.crossbar.chip_g"][1, 0, 3, 2:4] = 1.0
    with pytest.raises(DamagedChipError, match=r"cells of PCM hold g_min = 0 S to g_max = 2.5e-05 S"):
        copy.deepcopy(SOUND).load_state_dict(state)


@pytest.mark.parametrize("wrap", [lambda m: nn.Sequential(nn.Linear(2, 2), m), nn.DataParallel])
def test_a_part_of_another_model_is_loaded_whole_or_not_at_all(
    wrap: Callable[[nn.Module], nn.Module],
) -> None:
    model = wrap(copy.deepcopy(SOUND))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = {k: 0.5 * v if k.endswith("weight") else v.clone() for k, v in before.items()}
    last = next(k for k in reversed(state) if k.endswith("chip_gain"))
    state[last][0] = math.nan
    with pytest.raises(DamagedChipError, match=last.replace(".", r"\.")):
        model.load_state_dict(state)
    inside = next(k for k in before if k.endswith("2.weight_ih_l0"))
    assert torch.equal(model.state_dict()[inside], before[inside])


def test_a_reverted_model_knows_nothing_of_it() -> None:
    assert SOUND._load_state_dict_pre_hooks and not mho.revert(SOUND)._load_state_dict_pre_hooks
    again = mho.convert(mho.convert(network(), hardware()), hardware())
    assert len(again._load_state_dict_pre_hooks) == 1


def test_a_missing_entry_and_one_too_many() -> None:
    state = dict(SOUND.state_dict())
    del state["0.crossbar.chip_weights"]
    with pytest.raises(
        DamagedChipError, match="0.crossbar.a chip is whole or not there, and chip_weights is missing"
    ):
        copy.deepcopy(SOUND).load_state_dict(state)
    plain = mho.convert(nn.Linear(3, 2), mho.Hardware())
    mho.program(plain, 0)
    with pytest.raises(DamagedChipError, match="chip_drivers: converters of this hardware have no draws"):
        plain.load_state_dict({**plain.state_dict(), "crossbar.chip_drivers": torch.zeros(3)})


@pytest.mark.parametrize("entry", [e for e in ENTRIES if "nan" in kinds(e)])
def test_a_damaged_entry_is_refused_before_it_is_packed(entry: str) -> None:
    """Written in place, given for one call, and in a stack of chips."""
    sound = SOUND.state_dict()[entry].clone()
    match = entry.replace(".", r"\.")
    for kind in set(kinds(entry)) & {"nan", "infinite", "negative", "one siemens"}:
        bad, written = KINDS[kind](sound), copy.deepcopy(SOUND)
        dict(written.named_buffers())[entry].copy_(bad)
        with torch.no_grad():
            with pytest.raises(DamagedChipError, match=match):
                written(X)
            with pytest.raises(DamagedChipError, match=match):
                functional_call(SOUND, {entry: bad}, (X,))
            if "range" not in entry:  # a full scale that is stacked is not read
                stack = {entry: torch.stack((sound, bad))}
                with pytest.raises(DamagedChipError, match=match):
                    vmap(lambda s: functional_call(SOUND, s, (X,))[0])(stack)
    with torch.no_grad():
        SOUND(X)


def test_a_verb_that_would_make_a_damaged_chip_leaves_the_old_one() -> None:
    layer = mho.convert(nn.Linear(20, 10), mho.Hardware(device=DEVICE)).eval()
    mho.program(layer, 0)
    before, y = layer.chip, layer(X)
    with pytest.raises(DamagedChipError, match="chip_gain"):
        layer.set_chip(before._replace(gain=before.gain * math.nan))
    with pytest.raises(DamagedChipError, match="chip_shift"):
        layer.crossbar.correct(before.gain, before.shift / 0)
    assert all(a is b for a, b in zip(layer.chip, before, strict=True)) and torch.equal(layer(X), y)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_full_scale_is_a_number_above_zero(value: float) -> None:
    layer = copy.deepcopy(SOUND)[0]
    with pytest.raises(DamagedChipError, match="input_range = "):
        layer.set_range("input_range", torch.tensor(value))
    learned = mho.convert(nn.Linear(20, 10), mho.Hardware(dac=mho.DAC(range=Learned()))).eval()
    mho.program(learned, 0)
    with torch.no_grad():
        learned.input_range.fill_(value)
        with pytest.raises(DamagedChipError, match="input_range = "):
            learned(X)


def test_looking_is_done_once_for_a_state(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = entries.damage
    monkeypatch.setattr(entries, "damage", lambda *a: seen.append(1) or real(*a))
    model = copy.deepcopy(SOUND)
    model(X)
    seen.clear()
    for _ in range(3):
        model(X)
    assert not seen
    with torch.no_grad():
        model[0].chip_gain.mul_(1.01)
    for _ in range(3):
        model(X)
    assert len(seen) == 1
    assert len(analog_layers(model)) == 3

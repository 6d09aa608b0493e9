"""Every setting of the converters keeps the contract; the check sees what it is there to see."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

import pytest
import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho import ADC, DAC
from mho.config import NonNegative, config
from mho.converters import Calibrated, Dynamic, Fixed, Grid, Learned, Range, Uniform
from mho.testing import check_adc

SETTINGS = [
    {},
    {"bits": 1, "signed": False},
    {"bits": 1, "zero": False},
    {"bits": 2},
    {"bits": 4, "zero": False},
    {"bits": 12, "signed": False, "range": Dynamic()},
    {"bits": 24, "range": Learned()},
    {"bits": None},
    {"steps": 254, "range": Calibrated(quantile=0.999, per_tile=True)},
    {"bits": None, "steps": 3, "zero": False},
    {"bits": None, "steps": 1, "signed": False},
    {"bits": 8, "noise": 0.1},
    {"bits": 5, "range": Fixed(limit=2.0)},
    {"bits": 5, "zero": False, "range": Fixed(limit=2.0, low=-1.0)},
    {"bits": 5, "signed": False, "range": Fixed(limit=2.0, low=0.5)},
]


@config
class NeverClips(ADC):
    def clips(self, z: Tensor) -> Tensor:
        return torch.zeros_like(z, dtype=torch.bool)


@config
class ClipsAtHalf(ADC):
    def clips(self, z: Tensor) -> Tensor:
        return z.abs() > self.high / 2


@pytest.mark.parametrize("wrong", [NeverClips(), ClipsAtHalf()])
def test_what_clips_is_checked(wrong: ADC) -> None:
    with pytest.raises(AssertionError, match="clips must be"):
        check_adc(wrong)


@pytest.mark.parametrize("kind", [ADC, DAC])
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_contract(kind: type[Uniform], setting: dict) -> None:
    check_adc(kind(**setting))


@config
class SoundADC(Uniform):
    """A correct converter; the broken ones replace one method of it."""

    bits: Annotated[int, Field(ge=1, le=24)] | None = 4
    steps: Annotated[int, Field(ge=1)] | None = None
    signed: bool = True
    zero: bool = True
    range: InstanceOf[Range] = Calibrated()
    noise: NonNegative = 0.0


def changed(change: Callable[[Tensor, Tensor, float], Tensor]) -> Callable[[SoundADC, Tensor, float], Tensor]:
    sound = Uniform.quantise
    return lambda self, value, limit: change(sound(self, value, limit), value, limit)


def in_place(self: SoundADC, value: Tensor, limit: float) -> Tensor:
    lsb = limit / self.grid().high
    return self.grid().codes(value.div_(lsb)) * lsb


BROKEN = {
    "shifted": ("quantise", changed(lambda y, x, limit: y + 0.1 * limit), "half a step|full scale"),
    "rounds down": (
        "quantise",
        lambda s, x, limit: (x * 7 / limit).floor().clamp(-7, 7) * limit / 7,
        "half a step",
    ),
    "does not clip": ("quantise", lambda s, x, limit: (x * 7 / limit).round() * limit / 7, "full scale"),
    "clips too early": (
        "quantise",
        changed(lambda y, x, limit: y.clamp(max=0.9 * limit)),
        "half a step|full scale",
    ),
    "always float32": ("quantise", changed(lambda y, *_: y.float()), "dtype"),
    "in place": ("quantise", in_place, "in place"),
    "noise of its own": (
        "quantise",
        changed(lambda y, x, limit: y + 1e-12 * torch.randn_like(y)),
        "noise is added outside",
    ),
    "looks at the others": (
        "quantise",
        changed(lambda y, x, limit: y * (1 + 0.01 * (x.max() > 1.5))),
        "other values",
    ),
    "looks before it converts": (
        "quantise",
        changed(lambda y, x, _: y * float(x.sum() < 1e9)),
        "meta device",
    ),
    "knows one unit": (
        "quantise",
        lambda s, x, limit: (x * 7 / limit).round().clamp(-7, 7) * limit / 7 + (0.01 if limit == 7.0 else 0),
        "half a step|full scale",
    ),
    "no gradient": (
        "quantise",
        lambda s, x, limit: x + (Uniform.quantise(s, x, limit) - x).detach(),
        "gradients must stop",
    ),
    "gradient of zero": ("quantise", changed(lambda y, x, limit: y.detach() + 0 * x), "straight through"),
    "grid of halves": ("grid", lambda s: Grid(-6.5, 7.0, 0.0), "whole steps"),
    "one sided": ("grid", lambda s: Grid(0.0, 14.0, 0.0), "lowest level"),
    "zero is no level": ("grid", lambda s: Grid(-6.5, 6.5, 6.5), "zero must be a level"),
}


def test_a_sound_converter_passes() -> None:
    check_adc(SoundADC())
    check_adc(SoundADC(bits=None))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_converter_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, replacement, message = BROKEN[name]
    monkeypatch.setattr(SoundADC, method, replacement)
    with pytest.raises(AssertionError, match=message):
        check_adc(SoundADC())


def test_an_ideal_converter_must_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SoundADC, "quantise", changed(lambda y, *_: y + math.ulp(1.0)))
    with pytest.raises(AssertionError, match="ideal converter must change nothing|other values"):
        check_adc(SoundADC(bits=None))

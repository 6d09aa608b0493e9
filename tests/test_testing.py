"""The public contract checks see what they are there to see: each broken device is caught."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.devices import Device, Effect
from mho.devices.base import no_drift_state
from mho.devices.effects.base import Tiles
from mho.testing import check_device


@config
class Sound(Device):
    """A correct device; the broken ones replace one method of it."""

    g_min: NonNegative = 1e-6
    g_max: Positive = 25e-6
    v_read: Positive = 0.2
    program_scale: NonNegative = 1.0
    drift_scale: NonNegative = 1.0
    read_scale: NonNegative = 1.0
    error: NonNegative = 0.05

    @property
    def times(self) -> tuple[float, float]:
        return (1.0, 1e6)

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        return (g_target + self.program_scale * self.error * self.g_max * eps).clamp_min(0)

    def drift_state(self, g_target: Tensor, eps: Tensor) -> Tensor:
        return self.drift_scale * (0.1 + 0.02 * eps).abs().unsqueeze(0)

    def aged(self, g: Tensor, cells: Tensor, seconds: float) -> Tensor:
        self.check_time(seconds)
        return g * torch.exp(-math.log1p(seconds) * cells[0])

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        self.check_time(seconds)
        return self.read_scale * 0.01 * g_now


def in_place(self: Sound, g_target: Tensor, eps: Tensor) -> Tensor:
    return g_target.add_(self.program_scale * 1e-6 * eps).clamp_min_(0)


def neighbours(self: Sound, g_target: Tensor, eps: Tensor) -> Tensor:
    return (g_target + self.program_scale * 0.1 * g_target.amax() * eps).clamp_min(0)


def random(self: Sound, g_target: Tensor, eps: Tensor) -> Tensor:
    return (g_target + self.program_scale * 1e-6 * torch.randn_like(eps)).clamp_min(0)


def checked(value: Callable[[Sound, Tensor, Tensor, float], Tensor]):
    def method(self: Sound, g: Tensor, other: Tensor, seconds: float) -> Tensor:
        self.check_time(seconds)
        return value(self, g, other, seconds)

    return method


BROKEN = {
    "negative": ("programmed", lambda s, g, e: g + s.program_scale * 1e-6 * e, "negative"),
    "changes its arguments": ("programmed", in_place, "in place|g_target exactly|same draws"),
    "looks at neighbours": ("programmed", neighbours, "other cells"),
    "draws its own noise": ("programmed", random, "same draws"),
    "ignores program_scale": ("programmed", lambda s, g, e: (g + 1e-6 * e).clamp_min(0), "g_target exactly"),
    "always float32": ("programmed", lambda s, g, e: g.float(), "dtype"),
    "not finite": ("programmed", lambda s, g, e: g + s.program_scale * (g - s.g_min).log(), "finite"),
    "wrong drift state": ("drift_state", lambda s, g, e: e.reshape(-1), "shape"),
    "drift moves with programming": (
        "drift_state",
        lambda s, g, e: s.drift_scale * s.program_scale * e.abs().unsqueeze(0),
        "program_scale must not move drift_state",
    ),
    "ages before it starts": ("aged", checked(lambda s, g, c, t: g * 0.9), "give g back"),
    "ignores drift_scale": ("aged", checked(lambda s, g, c, t: g * (1 + t) ** -0.1), "must hold g"),
    "any time will do": (
        "aged",
        lambda s, g, c, t: g * torch.exp(-math.log1p(max(t, 0)) * c[0]),
        "ValueError",
    ),
    "ignores read_scale": ("read_std", checked(lambda s, g, n, t: 0.01 * n), "read_scale = 0"),
    "leaves the device": (
        "read_std",
        checked(lambda s, g, n, t: s.read_scale * 0.01 * n * torch.ones(n.shape, dtype=n.dtype)),
        "device of its arguments",
    ),
    "looks before it computes": (
        "programmed",
        lambda s, g, e: g + s.program_scale * 1e-7 if g.numel() and g.sum() > 0 else g,
        "never on the values",
    ),
    "half the digits": (
        "read_std",
        checked(lambda s, g, n, t: s.read_scale * ((n.double() + 1e3).to(n.dtype) - 1e3)),
        "float32 and float64",
    ),
}


def test_a_sound_device_passes() -> None:
    check_device(Sound())


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_device_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, replacement, message = BROKEN[name]
    monkeypatch.setattr(Sound, method, replacement)
    with pytest.raises(AssertionError, match=message):
        check_device(Sound())


@config
class Dimmed(Effect):
    """A correct effect; the broken ones replace one method of it."""

    device: InstanceOf[Device] = Sound()

    draws: ClassVar[int] = 1
    parameters: ClassVar[int] = 1

    def own_state(self, eps: Tensor, tiles: Tiles | None = None) -> Tensor:
        return eps.abs().clamp(max=1)

    def moved(self, g: Tensor, own: Tensor, now: Tensor, seconds: float) -> Tensor:
        return now * (1 - 0.5 * own[0])


def twice(effect: Dimmed, eps: Tensor, tiles: Tiles | None = None) -> Tensor:
    """Two parameters instead of one."""
    return torch.cat([eps.abs().clamp(max=1)] * 2)


BROKEN_EFFECTS: dict[str, tuple[str, Callable[..., object], str]] = {
    "programs": ("programmed", lambda s, g, e: s.device.programmed(g, e) / 2, "leave programming alone"),
    "keeps more than it says": ("own_state", twice, "own_state must give 1"),
    "looks at neighbours": ("moved", lambda s, g, o, now, t: now.mean() + 0 * now, "other cells"),
    "drifts on its own": ("moved", lambda s, g, o, now, t: now / (1 + t), "drift_scale = 0"),
    "noise on its own": (
        "read_moments", lambda s, g, c, now, t: (now, now.abs() + 1e-6), "read_scale = 0",
    ),
    "grows negative": ("moved", lambda s, g, o, now, t: now - 30e-6, "not be negative"),
}  # fmt: skip


def test_a_sound_effect_passes() -> None:
    check_device(Dimmed())
    check_device(Dimmed(device=Dimmed()))


@pytest.mark.parametrize("name", BROKEN_EFFECTS)
def test_a_broken_effect_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, replacement, message = BROKEN_EFFECTS[name]
    monkeypatch.setattr(Dimmed, method, replacement)
    with pytest.raises(AssertionError, match=message):
        check_device(Dimmed())


def test_a_class_without_config_is_caught() -> None:
    class Undecorated(Sound):
        pass

    with pytest.raises(AssertionError, match=r"@mho\.config\.config"):
        check_device(Undecorated())


def test_a_device_without_drift_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sound, "drift_state", lambda self, g_target, eps: no_drift_state(g_target))
    monkeypatch.setattr(Sound, "aged", checked(lambda s, g, c, t: g))
    check_device(Sound())

"""Every exported mapping keeps the contract; the check sees what it is there to see."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
import torch
from pydantic import InstanceOf
from torch import Tensor

from mho import mapping
from mho.config import config
from mho.mapping import Mapping, Maximum, Readout, Scale
from mho.testing import check_mapping

EXAMPLES: dict[type[Mapping], list[Mapping]] = {
    mapping.DifferentialPair: [
        mapping.DifferentialPair(),
        mapping.DifferentialPair(two_sided=True, scale=mapping.Percentile(fraction=0.9)),
        mapping.DifferentialPair(digital_subtraction=True, scale=mapping.Maximum(per_column=True)),
        mapping.DifferentialPair(levels=2),
        mapping.DifferentialPair(levels=15, two_sided=True, scale=mapping.Fixed(weight=0.3)),
    ],
    mapping.Offset: [
        mapping.Offset(),
        mapping.Offset(unit_column=True),
        mapping.Offset(levels=16, scale=mapping.Percentile(fraction=0.9, per_column=True)),
        mapping.Offset(levels=3, unit_column=True),
    ],
    mapping.BitSlicing: [
        mapping.BitSlicing(),
        mapping.BitSlicing(bits=8, slices=2),
        mapping.BitSlicing(bits=5, slices=3),
        mapping.BitSlicing(bits=2, slices=1),
        mapping.BitSlicing(bits=8, slices=8, offset=True),
        mapping.BitSlicing(bits=7, slices=3, offset=True, unit_column=True),
    ],
    mapping.Residual: [
        mapping.Residual(),
        mapping.Residual(tiles=4, factor=0.5, scale=mapping.Fixed(weight=0.3)),
        mapping.Residual(tiles=1),
    ],
    mapping.SignificancePairs: [
        mapping.SignificancePairs(),
        mapping.SignificancePairs(factors=(1.0,)),
        mapping.SignificancePairs(factors=(0.5, 1.0, 4.0)),
    ],
}


def exported() -> list[type[Mapping]]:
    found = {c for c in vars(mapping).values() if inspect.isclass(c) and issubclass(c, Mapping)}
    return sorted((c for c in found if not inspect.isabstract(c)), key=lambda c: c.__name__)


@pytest.mark.parametrize("kind", exported(), ids=lambda c: c.__name__)
def test_contract(kind: type[Mapping]) -> None:
    assert kind in EXAMPLES, f"give {kind.__name__} an example in EXAMPLES"
    for made in EXAMPLES[kind]:
        assert type(made) is kind
        check_mapping(made)


@config
class SoundMapping(Mapping):
    """A correct mapping; the broken ones replace one method of it."""

    scale: InstanceOf[Scale] = Maximum()

    @property
    def copies(self) -> int:
        return 2

    def targets(self, w: Tensor, g_min: float, g_max: float) -> Tensor:
        w = w.clamp(-1, 1)
        return g_min + (g_max - g_min) * torch.stack([w, -w]).clamp(min=0)

    def readout(self, g_min: float, g_max: float) -> Readout:
        return Readout(((1.0, -1.0),), (g_max / (g_max - g_min),))


Targets = Callable[[SoundMapping, Tensor, float, float], Tensor]


def changed(change: Callable[[Tensor, Tensor, float, float], Tensor]) -> Targets:
    """The sound targets, changed."""
    sound = SoundMapping.targets

    def targets(self: SoundMapping, w: Tensor, g_min: float, g_max: float) -> Tensor:
        return change(sound(self, w, g_min, g_max), w, g_min, g_max)

    return targets


def fixed(value: Readout) -> Callable[[SoundMapping, float, float], Readout]:
    return lambda self, g_min, g_max: value


def in_place(self: SoundMapping, w: Tensor, g_min: float, g_max: float) -> Tensor:
    w.clamp_(-1, 1).mul_(0.999)
    return g_min + (g_max - g_min) * torch.stack([w, -w]).clamp(min=0)


def unclipped(self: SoundMapping, w: Tensor, g_min: float, g_max: float) -> Tensor:
    return g_min + (g_max - g_min) * torch.stack([w, -w]).clamp(min=0)


BROKEN = {
    "above g_max": ("targets", changed(lambda g, w, lo, hi: 1.1 * g), "between g_min and g_max"),
    "below g_min": ("targets", changed(lambda g, w, lo, hi: g - lo), "between g_min and g_max|as they are"),
    "in place": ("targets", in_place, "in place"),
    "no clipping": ("targets", unclipped, "beyond 1"),
    "always double": ("targets", changed(lambda g, *_: g.double()), "dtype"),
    "one cell too few": ("targets", changed(lambda g, *_: g[:1]), "shape"),
    "looks at neighbours": (
        "targets",
        changed(lambda g, w, lo, hi: lo + (g - lo) * (w.mean() < 0.1)),
        "other weights",
    ),
    "looks before it computes": (
        "targets",
        changed(lambda g, w, *_: g * float(w.sum() < 99)),
        "meta device",
    ),
    "random": (
        "targets",
        changed(lambda g, w, lo, hi: g.clamp(min=lo + 1e-9 * torch.rand(()))),
        "same for the same",
    ),
    "zero is something": (
        "targets",
        changed(lambda g, w, lo, hi: torch.stack([g[0].clamp(min=lo + 0.1 * (hi - lo)), g[1]])),
        "-1, 0 and 1",
    ),
    "signs are lost": ("targets", changed(lambda g, *_: g.sum(0) / 2 + 0 * g), "-1, 0 and 1"),
    "not rising": (
        "targets",
        changed(lambda g, w, lo, hi: torch.where((w > 0.4) & (w < 0.6), lo + 0 * g, g)),
        "not come back smaller",
    ),
    "readout of tensors": ("readout", fixed(Readout(((1.0, -1.0),), (torch.ones(()),))), "plain floats"),
    "readout of one cell": ("readout", fixed(Readout(((1.0,),), (1.0,))), "each channel and cell"),
    "factor without a channel": (
        "readout",
        fixed(Readout(((1.0, -1.0),), (1.0, 1.0))),
        "each channel and cell",
    ),
    "readout forgets g_min": ("readout", fixed(Readout(((1.0, -1.0),), (1.0,))), "-1, 0 and 1"),
}


def test_a_sound_mapping_passes() -> None:
    check_mapping(SoundMapping())


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_mapping_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, replacement, message = BROKEN[name]
    monkeypatch.setattr(SoundMapping, method, replacement)
    with pytest.raises(AssertionError, match=message):
        check_mapping(SoundMapping())


@config
class NegativeScale(Scale):
    """A reference weight of an all-zero array that nothing can be divided by."""

    def reference(self, weight: Tensor) -> Tensor:
        return weight.abs().amax().reshape(1, 1, 1)


def test_a_broken_scale_is_caught() -> None:
    with pytest.raises(AssertionError, match="must be positive, for zeros too"):
        check_mapping(SoundMapping(scale=NegativeScale()))


def test_a_class_without_config_is_caught() -> None:
    class Undecorated(SoundMapping):
        pass

    with pytest.raises(AssertionError, match=r"@mho\.config\.config"):
        check_mapping(Undecorated())

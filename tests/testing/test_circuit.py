"""Every ADC as a circuit keeps the contract; the check sees what it is there to see."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import NonNegative, config
from mho.converters import SAR, Calibrated, Circuit, Cyclic, Flash, Measured, Pipeline, Ramp, Range
from mho.converters.circuit import Bits, Columns, Comparing
from mho.testing import check_adc

SETTINGS = [
    SAR(),
    SAR(bits=5, split=False, capacitor=0.2, comparator=0.05),
    SAR(bits=2, signed=False, capacitor=0.1, gain_db=30.0),
    Ramp(bits=6, capacitor=0.1, comparator=0.02),
    Ramp(bits=5, symmetric=False, capacitor=0.1),
    Flash(bits=4, resistor=0.1, comparator=0.05),
    Pipeline(bits=5, capacitor=0.05, parasitic=0.05, comparator=0.05, gain_db=40.0),
    Cyclic(bits=6, signed=False, capacitor=0.05),
    Measured(bits=7, gain=0.05, offset=1.0, dnl=0.2, inl=1.0),
    Measured(bits=11, dnl=0.2),
]


@pytest.mark.parametrize("adc", SETTINGS, ids=repr)
def test_contract(adc: Circuit) -> None:
    check_adc(adc)


def test_every_circuit_is_checked() -> None:
    def all_of(kind: type) -> set[type]:
        return {kind}.union(*(all_of(k) for k in kind.__subclasses__()))

    own = {k for k in all_of(Circuit) if k.__module__.startswith("mho.") and k.__name__[0] != "_"}
    assert own - {Circuit, Comparing} == {type(adc) for adc in SETTINGS}


@config
class SoundCircuit(Comparing):
    """A correct one of our own; the broken ones replace one method of it."""

    bits: Bits = 4
    signed: bool = True
    columns: Columns = 4
    range: InstanceOf[Range] = Calibrated()
    noise: NonNegative = 0.0

    @property
    def own_draws(self) -> int:
        return 1

    def table(self, own: Tensor, shared: Tensor) -> Tensor:
        count = 2**self.bits
        steps = torch.arange(1, count, dtype=own.dtype, device=own.device)
        return 2 * steps / count - 1 + 0.01 * own


def changed(name: str, change: Callable[..., Tensor]) -> Callable[..., Tensor]:
    sound = getattr(SoundCircuit, name)
    return lambda self, *args: change(sound(self, *args), *args)


def in_place(self: SoundCircuit, own: Tensor, shared: Tensor) -> Tensor:
    return SOUND_TABLE(self, own.add_(0.1), shared)


SOUND_TABLE = SoundCircuit.table
BROKEN = {
    "half codes": ("convert", changed("convert", lambda code, *_: code + 0.5), "levels|whole numbers"),
    "a code too many": (
        "convert",
        changed("convert", lambda code, *_: code + 1),
        "within full scale|whole numbers",
    ),
    "noise of its own": (
        "convert",
        changed("convert", lambda code, *_: (code + torch.randint_like(code, 2)).clamp(0, 15)),
        "noise is added outside|others",
    ),
    "looks at the others": (
        "convert",
        changed("convert", lambda code, value, table: (code + (table[0, 0] != table[-1, 0])).clamp(0, 15)),
        "on the others",
    ),
    "always float32": ("convert", changed("convert", lambda code, *_: code.float()), "dtype"),
    "draws in place": ("table", in_place, "in place"),
    "never without errors": ("nominal", changed("nominal", lambda table, *_: table + 0.01), "draws of zero"),
    "one draw for all": (
        "draw",
        changed("draw", lambda draws, *_: torch.zeros_like(draws)),
        "other draws",
    ),
    "a converter for each column": (
        "draw",
        lambda self, places, columns, seed, path: torch.randn(
            (*places, sum(columns), 1), generator=torch.Generator().manual_seed(seed + len(path))
        ),
        "share a converter",
    ),
    "packed otherwise": (
        "look_up",
        lambda self, value, packed, rows: Comparing.look_up(self, value, packed, rows.flip(0)),
        "packed tables",
    ),
    "no gradient": (
        "levels",
        changed("levels", lambda y, *_: y.detach() + 0 * y),
        "straight through",
    ),
    "another unit": (
        "quantise",
        changed("quantise", lambda y, value, limit: y if limit != 7.0 else y.roll(1)),
        "unit|full scale is",
    ),
}


def test_a_sound_circuit_passes() -> None:
    check_adc(SoundCircuit())
    check_adc(SoundCircuit(bits=3, signed=False, columns=1))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_circuit_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, replacement, message = BROKEN[name]
    monkeypatch.setattr(SoundCircuit, method, replacement)
    with pytest.raises(AssertionError, match=message):
        check_adc(SoundCircuit())


def test_another_object_is_refused() -> None:
    with pytest.raises(AssertionError, match="Uniform or mho"):
        check_adc(object())

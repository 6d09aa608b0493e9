"""Every part that exists is composed: a new one joins by existing."""

from __future__ import annotations

import dataclasses
import gc

import pytest

from mho import devices
from mho.array import Array, Law
from mho.converters import DAC, ColumnConverter, Range
from mho.devices import Device, Effect, Error, Exponent, Failure, StateSet
from mho.mapping import Mapping, Scale
from mho.periphery import Compensation
from mho.programming import Programming

from .parts import examples, kinds

BASES = (
    *(Device, Error, Exponent, Failure, StateSet),
    *(Array, Law),
    *(Mapping, Scale),
    *(ColumnConverter, DAC, Range),
    *(Programming, Compensation),
)


@pytest.mark.parametrize(
    "kind", sorted({k for b in BASES for k in kinds(b)}, key=str), ids=lambda k: k.__name__
)
def test_there_is_an_example(kind: type) -> None:
    made = [one(devices.Ideal(g_min=1e-6)) for one in examples(kind) if kind is not devices.Varied]
    assert examples(kind), f"give {kind.__module__}.{kind.__name__} an example in tests/compositions/parts.py"
    assert all(type(part) is kind for part in made)


def test_the_search_finds_parts() -> None:
    assert {devices.PCM, devices.Ideal} <= set(kinds(Device, Effect))
    assert {devices.StuckAt, devices.ThermalNoise} <= set(kinds(Effect))
    assert not set(kinds(Device, Effect)) & set(kinds(Effect))


def test_a_new_part_joins_by_existing() -> None:
    search = kinds.__wrapped__
    new = dataclasses.make_dataclass(
        "Newcomer",
        ["what"],
        bases=(devices.PCM,),
        namespace={"__module__": "mho.devices.newcomer"},
        frozen=True,
    )
    new.__module__ = "mho.devices.newcomer"
    assert new in search(Device, Effect) and new not in search(Effect)
    assert not examples(new), "it needs an argument, and nobody gave it one"
    del new
    examples.cache_clear()
    gc.collect()
    assert search(Device, Effect) == kinds(Device, Effect)

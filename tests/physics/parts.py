"""All devices and effects that mho exports, each around the others: a new one joins by having an example.

The examples are those of the contract of devices, which fails for a device without one.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from mho.devices import Device, Effect, Ideal, Varied
from mho.devices.effects.base import around

# With a third of the devices, or with all of them: `make exhaustive`.
WHOLE = pytest.mark.parametrize(
    "whole", [False, pytest.param(True, marks=pytest.mark.exhaustive)], ids=["some", "all"]
)


def _contract() -> Any:
    path = Path(__file__).parents[1] / "devices" / "test_contract.py"
    spec = importlib.util.spec_from_file_location("examples_of_devices", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_MODULE = _contract()


def name_of(part: object) -> str:
    return type(part).__name__


def plain_devices() -> list[Device]:
    """The first example of each device that is no effect."""
    kinds = [kind for kind in _MODULE.exported() if not issubclass(kind, Effect)]
    return [_MODULE.EXAMPLES[kind][0] for kind in kinds]


def devices_for(kind: str) -> list[Device]:
    """The plain devices, then those that the examples of an effect bring along."""
    own = [
        example.device
        for effect in _MODULE.exported()
        if issubclass(effect, Effect) and effect.__name__ == kind
        for example in _MODULE.EXAMPLES[effect]
        if not isinstance(example.device, Effect)
    ]
    found = plain_devices()
    for device in own:
        if device not in found:
            found.append(device)
    return found


def some_devices(kind: str) -> list[Device]:
    """A third of them, another one for each effect."""
    return devices_for(kind)[len(kind) % 3 :: 3]


def bare_effects() -> list[Effect]:
    """All examples of all effects, each without a device of its own."""
    found: list[Effect] = []
    for kind in _MODULE.exported():
        if issubclass(kind, Effect) and kind is not Varied:  # its parameters belong to one device
            bare = [around(example, Ideal()) for example in _MODULE.EXAMPLES[kind]]
            found += [e for k, e in enumerate(bare) if e not in bare[:k]]
    return found


def by_kind(effects: list[Effect]) -> dict[str, list[Effect]]:
    """The examples of each kind of effect."""
    found: dict[str, list[Effect]] = {}
    for effect in effects:
        found.setdefault(name_of(effect), []).append(effect)
    return found


def fits(effect: Effect, device: Device) -> Effect | None:
    """The effect around the device; None where it does not go around it."""
    try:
        whole = around(effect, device)
        whole.check_inside()  # the default device is taken for one still to come
    except ValueError:
        return None
    return whole

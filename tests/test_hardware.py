"""The description of a chip."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import mho
from mho import converters, devices, mapping
from mho.errors import ConfigError


def test_defaults_are_ideal() -> None:
    hardware = mho.Hardware()
    assert hardware.device == devices.Ideal() and hardware.mapping == mapping.DifferentialPair()
    assert hardware.dac is None and hardware.adc is None
    assert (hardware.tile.rows, hardware.tile.columns, hardware.tile.full) == (256, 256, False)


def test_equal_descriptions_are_equal_and_hash_so() -> None:
    a, b = (mho.Hardware(device=devices.PCM(g_max=20e-6), dac=mho.DAC(bits=6)) for _ in range(2))
    assert a == b and hash(a) == hash(b) and a is not b
    assert a != mho.Hardware(device=devices.PCM(g_max=21e-6), dac=mho.DAC(bits=6))
    changed = dataclasses.replace(a, dac=None)
    assert changed.dac is None and a.dac is not None


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a name": ({"device": "PCM"}, r"Hardware\.device = 'PCM': .* devices\.PCM\(\.\.\.\)"),
    "a class": (
        {"device": devices.PCM},
        r"Hardware\.device = .*: this is a class; give an instance, PCM\(\.\.\.\)",
    ),
    "a misspelt part": ({"devise": devices.PCM()}, "Hardware has no 'devise'; did you mean 'device'?"),
    "an unknown part": (
        {"cooling": 3},
        r"Hardware has no 'cooling' \(it has: adc, array, dac, device, mapping, programming, tile\)",
    ),
    "a tuple": ({"tile": (256, 256)}, r"Hardware\.tile = \(256, 256\): give Tile\(\.\.\.\)"),
    "a number of bits": ({"dac": 8}, r"Hardware\.dac = 8: give (one of )?converters\.DAC\(\.\.\.\)"),
    "the other converter": ({"dac": mho.ADC()}, r"Hardware\.dac = ADC\(.*: this belongs to adc"),
    "no mapping": ({"mapping": None}, r"Hardware\.mapping = None: give one of .*mapping\.Offset\(\.\.\.\)"),
    "a scale": ({"mapping": mapping.Maximum()}, r"Hardware\.mapping = Maximum\(.*: give one of"),
    "no wires": ({"array": "ideal"}, r"Hardware\.array = 'ideal': .* array\.Ideal\(\.\.\.\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_parts_are_named(name: str) -> None:
    values, message = WRONG[name]
    with pytest.raises(ConfigError, match=message):
        mho.Hardware(**values)


LINES: dict[str, tuple[dict[str, Any], str]] = {
    "no rows": ({"rows": 0}, r"Tile\.rows = 0: .*greater than or equal to 1"),
    "negative": ({"columns": -3}, r"Tile\.columns = -3"),
    "half a row": ({"rows": 2.5}, r"Tile\.rows = 2\.5: .*integer"),
    "truth": ({"rows": True}, r"Tile\.rows = True: .*integer"),
    "a misspelt line": ({"row": 3}, r"Tile has no 'row'; did you mean 'rows'\?"),
    "a number for a truth": ({"full": 1}, r"Tile\.full = 1: .*boolean"),
}


@pytest.mark.parametrize("name", LINES)
def test_wrong_tiles_are_named(name: str) -> None:
    values, message = LINES[name]
    with pytest.raises(ConfigError, match=message):
        mho.Tile(**values)


CELLS: dict[str, tuple[dict[str, Any], str]] = {
    "no range": (
        {"g_min": 25e-6},
        r"g_min = 2\.5e-05 S must be below g_max = 2\.5e-05 S; conductances are in siemens",
    ),
    "upside down": ({"g_min": 30e-6}, r"g_min = 3e-05 S must be below g_max = 2\.5e-05 S"),
    "microsiemens": ({"g_min": 0.1, "g_max": 0.01}, r"\(25 microsiemens is 25e-6\)"),
    "nothing": ({"g_max": 0.0}, r"\.g_max = 0\.0: .*greater than 0"),
    "negative": ({"g_min": -1e-6}, r"\.g_min = -1e-06: .*greater than or equal to 0"),
    "no voltage": ({"v_read": 0.0}, r"\.v_read = 0\.0: .*greater than 0"),
    "not a number": ({"g_max": float("nan")}, r"\.g_max = nan: .*finite"),
    "a text": ({"g_max": "25e-6"}, r"\.g_max = '25e-6': .*valid number"),
    "a misspelt bound": ({"gmax": 1e-6}, r"has no 'gmax'; did you mean 'g_max'\?"),
    "a negative scale": ({"drift_scale": -1.0}, r"\.drift_scale = -1\.0"),
}


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("device", [devices.Ideal, devices.PCM, devices.Generic], ids=lambda d: d.__name__)
def test_wrong_cells_are_named(name: str, device: type[devices.Device]) -> None:
    values, message = CELLS[name]
    with pytest.raises(ConfigError, match=message):
        device(**values)


def test_whole_numbers_are_numbers() -> None:
    assert devices.Ideal(g_max=1).g_max == 1.0
    assert converters.Fixed(limit=2).limit == 2.0

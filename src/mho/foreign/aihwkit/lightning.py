"""Configurations of aihwkit-lightning (2.1.0): converters and mapping; it has no noise model and no drift."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from mho import converters, devices, mapping
from mho.converters import ADC, DAC
from mho.foreign.aihwkit.ranges import FINE, input_range, steps
from mho.foreign.aihwkit.reader import Reader


@dataclass
class IOParameters:
    """Its converters, with its defaults."""

    inp_res: float = -1
    out_noise: float = 0.0
    out_noise_per_channel: bool = False
    out_bound: float = 0.0
    out_res: float = -1


def is_lightning(config: Any) -> bool:
    """Whether a configuration has its tables."""
    return hasattr(getattr(config, "forward", None), "out_noise_per_channel")


def parts(config: Any, ranges: Reader, ignore: Collection[str], notes: list[str]) -> dict[str, Any]:
    """The parts of a Hardware. Output noise is of training alone, and left to recipes.

    Its ADC reaches ``out_bound`` times the largest weight of the tile at the largest input.
    """
    io = Reader(config.forward, "forward", IOParameters(), ignore)
    bound, count = float(io["out_bound"]), steps(float(io["out_res"]))
    most = int(getattr(config.mapping, "max_input_size", 0))
    adc = None
    if bound > 0:
        adc = ADC(bits=None, steps=FINE if count is None else count, range=converters.Fixed(limit=bound))
        if most > 0:
            notes.append(
                "mapping.max_input_size: all tiles of a layer have the ADC range of its largest weight here; "
                "in aihwkit-lightning each has that of its own"
            )
    elif count is not None:
        raise io.refused("out_bound", "codes need a full scale; give a bound above 0")
    io.without_effect("out_noise", "out_noise_per_channel")
    inputs = steps(float(io["inp_res"]))
    dac = None
    if ranges["enable"]:
        full = input_range(ranges, 1.0)
        dac = DAC(bits=None, steps=FINE if inputs is None else inputs, range=full)
    elif inputs is not None or adc is not None:
        raise ranges.refused("enable", "converters of aihwkit-lightning need a range of inputs; set it True")
    io.finish()
    return {
        "device": devices.Ideal(),
        "mapping": mapping.DifferentialPair(scale=mapping.Maximum()),
        "tile": {"rows": most if most > 0 else None, "columns": None},
        "dac": dac,
        "adc": adc,
    }

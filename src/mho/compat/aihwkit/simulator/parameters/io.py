"""Tables of converters."""

from __future__ import annotations

from typing import Any

from mho.errors import ConfigError
from mho.foreign.aihwkit.parameters import IOParameters

__all__ = ["IOParameters", "IOParametersIRDropT"]


def IOParametersIRDropT(**given: Any) -> IOParameters:
    """Refuses: wires are an array here, not a table of converters.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(
        "IOParametersIRDropT: it estimates the voltage drop along wires for each input; here they are solved "
        "exactly. Take IOParameters, and mho.convert(model, dataclasses.replace("
        "mho.Hardware.from_aihwkit(rpu_config), array=mho.array.Wires(row=0.35, column=0.35)))"
    )

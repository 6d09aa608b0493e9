"""The classes that a device model of CrossSim derives from."""

from __future__ import annotations

from typing import Any

from mho.errors import ConfigError


class EmptyDevice:
    """Refuses to be derived from, and says what does the same here."""

    def __init_subclass__(cls, **names: Any) -> None:
        raise ConfigError(
            f"class {cls.__name__}({EmptyDevice.__name__}): methods that draw from numpy's generator are no "
            "chip that one seed makes again; write its moments as a mho.devices.Error, for "
            "mho.devices.Generic(program=..., read=...), or a mho.devices.Device (docs/adding.md), and use "
            "mho.matrix or mho.convert with it"
        )


IDevice = EmptyDevice

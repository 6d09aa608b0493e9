"""The description of a chip: which stages it is made of."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

from pydantic import Field, InstanceOf

from mho import array as arrays
from mho import config as _config
from mho import devices
from mho.array import Array
from mho.config import config
from mho.converters import DAC, ColumnConverter
from mho.devices import Device
from mho.devices.effects.base import effects, innermost
from mho.errors import ConfigError
from mho.foreign import aihwkit
from mho.mapping import DifferentialPair, Mapping
from mho.programming import Programming, SingleShot

Lines = Annotated[int, Field(ge=1)]


@config
class Tile:
    """How large one array is and how a larger matrix is cut.

    Attributes:
        rows: word lines (inputs) of an array; None for as many as the layer has.
        columns: bit lines (outputs) of an array; None for as many as the layer has.
        full: fill each array before the next one begins; by default the cut is even.

    A cell of a tile that no weight needs is absent: it is never programmed and draws no current.
    """

    rows: Lines | None = 256
    columns: Lines | None = 256
    full: bool = False


@config
class Hardware:
    """A chip: device, mapping, tile, array and converters. Frozen, validated, JSON and YAML.

    Attributes:
        device: what one cell does.
        mapping: how weights become conductances.
        tile: how large an array is.
        array: the wires around the cells.
        programming: how the cells are brought to their targets.
        dac: input conversion; None for an ideal one.
        adc: output conversion; None for an ideal one.

    >>> from mho.converters import ADC
    >>> hardware = Hardware(device=devices.Ideal(), dac=DAC(bits=8), adc=ADC(bits=8))
    >>> Hardware.from_json(hardware.to_json()) == hardware
    True
    """

    device: InstanceOf[Device] = devices.Ideal()
    mapping: InstanceOf[Mapping] = DifferentialPair()
    tile: Tile = Tile()
    array: InstanceOf[Array] = arrays.Ideal()
    programming: InstanceOf[Programming] = SingleShot()
    dac: DAC | None = None
    adc: InstanceOf[ColumnConverter] | None = None

    def validate(self) -> None:
        """Parts that fit each other; a full scale for each slice needs as many slices."""
        for effect in effects(self.device):
            effect.check_inside()
        self.programming.check(innermost(self.device))
        self.array.check_drivers(None if self.dac is None else (self.dac.gain, self.dac.offset))
        self.array.check(self.device.g_min, self.device.g_max, self.device.v_read)
        if self.dac is not None:
            self.dac.range.check(None)
        if self.adc is not None:
            self.adc.range.check(len(self.mapping.readout(self.device.g_min, self.device.g_max).digital))

    def to_json(self) -> str:
        """This description as JSON."""
        return _config.to_json(self)

    @staticmethod
    def from_json(text: str) -> Hardware:
        """The description that :meth:`to_json` wrote; ``ConfigError`` for an unknown key or value."""
        return _hardware(_config.from_json(text))

    def save(self, path: str) -> None:
        """Write to a ``.json``, ``.yaml`` or ``.yml`` file, whole or not at all."""
        _config.save(self, path)

    @staticmethod
    def load(path: str) -> Hardware:
        """Read what :meth:`save` wrote."""
        return _hardware(_config.load(path))

    @staticmethod
    def from_aihwkit(rpu_config: Any, largest_weight: float = 1.0, ignore: Collection[str] = ()) -> Hardware:
        """The chip that an inference configuration of aihwkit (1.2.0) describes.

        Converters, noise model, converter of conductances, tile sizes, scales and input ranges are read;
        what training and drift compensation do stands in ``mho.compat.aihwkit.recipe`` and ``compensation``.
        aihwkit need not be installed: ``mho.compat.aihwkit`` has its names, and any object with their
        attributes will do.

        Args:
            rpu_config: an ``InferenceRPUConfig`` or ``TorchInferenceRPUConfig``.
            largest_weight: largest ``|weight|`` of the layer. It counts where ``weight_scaling_omega`` is 0:
                bounds and noise of the outputs are in units of the weights then.
            ignore: options that may be left out, such as ``["forward.ir_drop", "forward.w_noise"]``.

        Raises:
            ConfigError: an option that mho has no counterpart for; the message says what to do.

        Warns:
            HeldDifferently: an option that is held with another meaning, and with which.

        >>> from mho.compat.aihwkit.simulator.configs import BoundManagementType, InferenceRPUConfig
        >>> config = InferenceRPUConfig()
        >>> config.forward.bound_management = BoundManagementType.NONE
        >>> type(Hardware.from_aihwkit(config).device).__name__
        'PCM'
        """
        found = aihwkit.parts(rpu_config, largest_weight, ignore)
        return Hardware(tile=Tile(**found.pop("tile")), **found)


def _hardware(value: object) -> Hardware:
    if not isinstance(value, Hardware):
        raise ConfigError(f"this describes a {type(value).__name__}, not a Hardware")
    return value

"""The temperature of a chip, which is another one than it was programmed at."""

from __future__ import annotations

import dataclasses

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import Finite, NonNegative, Positive, Siemens, config, later
from mho.devices.base import Device
from mho.devices.effects.base import Effect, Stages, around, at_temperature, effects, modified
from mho.devices.effects.heat import acceleration
from mho.devices.effects.varied import Varied
from mho.devices.ideal import Ideal

_MOST = 1e12  # times that a matrix may conduct better: more is a slip in a unit


@config
class Temperature(Effect):
    """The conductance at another temperature: a metallic filament beside a semiconducting matrix.

    Both conduct in parallel. The matrix has the conductance of the high-resistance state, ``g_hrs``, in all
    cells; what a cell has beyond it is the filament's::

        G(T) = g_hrs exp(-E / k (1/T - 1/T_ref)) + (G - g_hrs) / (1 + alpha (T - T_ref))

    Stuck cells inside stay as they are.

    All cells of a chip have one temperature at a time, and this effect says which: wherever it stands, noise
    of heat, lost retention and the disturbance by reads go on at its temperature, whatever one of their own
    they were given. Of several such effects the outermost one says it, and all of them act at that
    temperature. The chip was programmed at ``reference``: what a compensation remembers of it was read there.

    Typical values, not verified: E = 0.05 to 0.2 eV in hafnium oxide,
    0.2 to 0.3 eV in amorphous phase-change material, alpha about 1e-3 per kelvin in a filament.

    Attributes:
        device: the device inside.
        kelvin: temperature of the chip since it was programmed.
        activation: activation energy E of the high-resistance state, electronvolts.
        alpha: temperature coefficient of the filament's resistance, per kelvin.
        reference: temperature at which the device inside is described and was programmed, kelvin.
        g_hrs: siemens; None for the lowest conductance of the cell.
        past: seconds and kelvin of what came before, from programming on, one stage after the other; the chip
            is read at ``kelvin``.

    Example:
        >>> hot = Temperature(kelvin=350.0, activation=0.1, alpha=1e-3, device=Ideal(g_min=1e-6))
        >>> g = hot.aged(torch.tensor([1e-6, 25e-6]), torch.empty(0, 2), 0.0)
        >>> [round(float(x) * 1e6, 4) for x in g]
        [1.7378, 24.5949]
    """

    device: InstanceOf[Device] = Ideal()
    kelvin: Positive
    activation: NonNegative
    alpha: Finite
    reference: Positive = 300.0
    g_hrs: Siemens | None = None
    past: tuple[tuple[Positive, Positive], ...] = later(default=())

    def validate(self) -> None:
        """Filaments whose resistance stays positive, and one temperature for all cells."""
        super().validate()
        for effect in effects(self):
            if isinstance(effect, Temperature):
                effect._check_filament(self.kelvin)
                effect._check_barrier(self.kelvin)
            if isinstance(effect, Varied):
                effect.check_one_temperature()

    def _check_filament(self, kelvin: float) -> None:
        if 1 + self.alpha * (kelvin - self.reference) <= 0:
            raise ValueError(
                f"alpha = {self.alpha!r} /K at {kelvin!r} K: the filament's resistance would not be "
                "positive; a linear coefficient holds near the reference temperature only"
            )

    def _check_barrier(self, kelvin: float) -> None:
        times = acceleration(self.activation, kelvin, self.reference)
        if times > _MOST:
            raise ValueError(
                f"activation = {self.activation!r} eV from {self.reference!r} K to {kelvin!r} K: the matrix "
                f"would conduct {times:.0e} times as well; barriers are some tenths of an electronvolt, and "
                "temperatures are in kelvin"
            )

    @property
    def sets_temperature(self) -> float:
        """``kelvin``."""
        return self.kelvin

    @property
    def sets_past(self) -> Stages:
        """``past``."""
        return self.past

    @property
    def feels_heat(self) -> bool:
        """If its two conductances do."""
        return self.activation != 0 or self.alpha != 0

    @property
    def times(self) -> tuple[float, float]:
        """Those of the device inside, at the temperature of the chip."""
        return self._warm().times

    def check_time(self, seconds: float) -> None:
        """Raise ``ValueError`` unless the device inside is valid ``seconds`` after programming."""
        self._warm().check_time(seconds)

    def as_programmed(self) -> Temperature:
        """At the reference temperature."""
        return modified(self, kelvin=self.reference)

    def of_cells(self, own: Tensor) -> Device:
        """The device inside, at the temperature of the chip."""
        return self._warm()

    def _warm(self) -> Device:
        return at_temperature(self.device, self.chip_temperature, self.chip_past)

    def moved(self, g: Tensor, own: Tensor, now: Tensor, seconds: float) -> Tensor:
        """The formula above, at the temperature of the chip."""
        kelvin = self.chip_temperature
        if kelvin is None or kelvin == self.reference or not self.feels_heat:
            return now
        matrix = torch.clamp(now, max=self.bounds[0] if self.g_hrs is None else self.g_hrs)
        hot = acceleration(self.activation, kelvin, self.reference)
        return matrix * hot + (now - matrix) / (1 + self.alpha * (kelvin - self.reference))


def kept_at(device: Device, kelvin: float, past: Stages = ()) -> Device:
    """The device in a chip that is at ``kelvin`` now and was kept as ``past`` says before.

    The outermost effect that says a temperature says this one; where there is none, one comes around.

    Raises:
        ValueError: nothing that the device has says what heat does.

    >>> from mho.devices import ThermalNoise
    >>> kept_at(ThermalNoise(bandwidth=1e6), 358.15).chip_temperature
    358.15
    """
    if not any(effect.feels_heat for effect in effects(device)):
        raise ValueError(
            f"kelvin = {kelvin!r}: nothing says what heat does to {type(device).__name__}: put "
            "mho.devices.Accelerated(activation=...) around it for what ages (mho.devices.Bake() fits one), "
            "Temperature for its conductances, ThermalNoise for its noise"
        )
    said = next((effect for effect in effects(device) if isinstance(effect, Temperature)), None)
    if said is None:
        return Temperature(kelvin=kelvin, activation=0.0, alpha=0.0, past=past, device=device)
    return _replaced(device, said, kelvin, past)


def _replaced(device: Device, said: Temperature, kelvin: float, past: Stages) -> Device:
    if device is said:
        return dataclasses.replace(said, kelvin=kelvin, past=past)
    assert isinstance(device, Effect)
    return around(device, _replaced(device.device, said, kelvin, past))

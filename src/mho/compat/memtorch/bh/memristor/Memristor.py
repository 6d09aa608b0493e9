"""One memristor as an object with a state."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mho.compat.memtorch.bh.memristor.in_time import states
from mho.compat.memtorch.bh.StochasticParameter import Sampler
from mho.config import unknown_key
from mho.devices.dynamics import Euler, Method, SwitchingModel

Samples = npt.NDArray[np.float64]
_MOST = 50_000_000  # samples of a plotted waveform: some gigabytes
_DRAWN = 4000  # points of a curve: more are not seen
_TRIES = 1000


class Wave(NamedTuple):
    """What a plot drives a cell with by default: seconds (of a loop alone), volts, hertz."""

    duration: float
    amplitude: float
    frequency: float


class Memristor:
    """A memristor whose state moves with each sample of a voltage signal.

    Args:
        time_series_resolution: seconds for which a sample of a signal lasts; None for the model's own.
        parameters: of the model, by MemTorch's names; numbers or :func:`StochasticParameter`.

    Attributes:
        model: the switching model of ``mho.devices.dynamics`` that does the work.
        state: the model's state.
    """

    resolution: ClassVar[float]
    defaults: ClassVar[dict[str, Any]]
    loop: ClassVar[Wave]
    switching: ClassVar[Wave]
    method: ClassVar[Method | None] = None
    reads_after: ClassVar[bool] = True
    """Whether the current of a sample is that of the state after it."""

    def __init__(self, time_series_resolution: float | None = None, **parameters: Any) -> None:
        for name in parameters:
            if name not in self.defaults:
                raise TypeError(unknown_key(name, list(self.defaults), type(self).__name__))
        resolution = self.resolution if time_series_resolution is None else time_series_resolution
        if isinstance(resolution, bool) or not isinstance(resolution, (int, float)):
            raise TypeError(
                f"time_series_resolution = {resolution!r}: give a number of seconds; it belongs to the "
                "signal, and no memristor draws it"
            )
        if not 0 < resolution < math.inf:
            raise ValueError(f"time_series_resolution = {resolution!r}: give a positive number of seconds")
        self.time_series_resolution = float(resolution)
        self.parameters = self._drawn(parameters)
        self.model = self.translated({**self.defaults, **self.parameters}, frozenset(parameters))
        self.state = torch.as_tensor(self.model.initial, dtype=torch.float64)

    @classmethod
    @abstractmethod
    def translated(cls, values: dict[str, Any], given: frozenset[str]) -> SwitchingModel:
        """mho's model for these values; ``given`` are those that are not defaults."""

    @classmethod
    def _drawn(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters of one cell; drawn again if its resistances contradict each other."""
        check_means(cls, parameters)
        for _ in range(_TRIES):
            values = {k: v() if isinstance(v, Sampler) else v for k, v in parameters.items()}
            both = {**cls.defaults, **values}
            if values == parameters or both["r_on"] < both["r_off"]:
                return values
        raise ValueError(f"r_on was not below r_off in {_TRIES} draws: move the distributions apart")

    # --- resistance ------------------------------------------------------------------------------

    @property
    def g(self) -> float:
        """Conductance, siemens."""
        return float(self.model.conductance(self.state))

    @property
    def r_on(self) -> float:
        """Lowest resistance, ohms."""
        return float(self.model.r_on)  # type: ignore[attr-defined]

    @property
    def r_off(self) -> float:
        """Highest resistance, ohms."""
        return float(self.model.r_off)  # type: ignore[attr-defined]

    def get_resistance(self) -> float:
        """Resistance, ohms."""
        return 1 / self.g

    def set_conductance(self, conductance: float) -> None:
        """Put the cell into the state of a conductance in siemens."""
        self.state = self.model.state_of(torch.tensor(float(conductance), dtype=torch.float64))

    # --- time ------------------------------------------------------------------------------------

    def simulate(self, voltage_signal: Any, return_current: bool = False) -> Samples | None:
        """Let the cell feel a voltage signal, each sample for ``time_series_resolution`` seconds.

        Args:
            voltage_signal: volts; a number, a list, an array or a tensor.
            return_current: give back the current of each sample, amperes.
        """
        volts = torch.as_tensor(voltage_signal, dtype=torch.float64).reshape(-1)
        current, self.state = self._response(volts, self.time_series_resolution, self.state)
        return current.numpy() if return_current else None

    def _response(self, volts: Tensor, dt: float, state: Tensor) -> tuple[Tensor, Tensor]:
        """Current of each sample, and the state at the end."""
        if not bool(torch.isfinite(volts).all()):
            n = int((~torch.isfinite(volts)).nonzero()[0])
            raise ValueError(f"voltage_signal[{n}] = {float(volts[n])!r}: volts are finite")
        found = states(self.model, volts, dt, state, self.method, self.noise(len(volts)))
        return self.model.current(volts, found[1:] if self.reads_after else found[:-1]), found[-1]

    def noise(self, samples: int) -> Tensor | None:
        """Standard normal draws of the velocity in each sample; None for a model without noise."""
        return None

    # --- plots -----------------------------------------------------------------------------------

    def plot_hysteresis_loop(
        self,
        duration: float | None = None,
        voltage_signal_amplitude: float | None = None,
        voltage_signal_frequency: float | None = None,
        log_scale: bool = False,
        return_result: bool = False,
    ) -> Any:
        """Drive a fresh cell with a sine and plot its current; the cell itself stays as it is.

        A sample lasts ``time_series_resolution``, however many that are; the curve that is drawn has 4000
        of them at most.

        Args:
            duration: seconds.
            voltage_signal_amplitude: volts.
            voltage_signal_frequency: hertz.
            log_scale: plot the magnitude of the current on a logarithmic axis.
            return_result: give back voltages and currents instead of a plot.

        Returns:
            The figure of matplotlib's ``pyplot``, or two arrays.

        Raises:
            ValueError: fewer than four samples in a period, or more than 50 million in all.
        """
        wave = self.loop
        amplitude = wave.amplitude if voltage_signal_amplitude is None else voltage_signal_amplitude
        frequency = wave.frequency if voltage_signal_frequency is None else voltage_signal_frequency
        result = self._driven(_sine, amplitude, frequency, wave.duration if duration is None else duration)
        return result if return_result else self._plotted(result, "Hysteresis loop", log_scale)

    def plot_bipolar_switching_behaviour(
        self,
        voltage_signal_amplitude: float | None = None,
        voltage_signal_frequency: float | None = None,
        log_scale: bool = True,
        return_result: bool = False,
    ) -> Any:
        """Drive a fresh cell with one period of a triangle; otherwise as :meth:`plot_hysteresis_loop`."""
        wave = self.switching
        amplitude = wave.amplitude if voltage_signal_amplitude is None else voltage_signal_amplitude
        frequency = wave.frequency if voltage_signal_frequency is None else voltage_signal_frequency
        result = self._driven(_triangle, amplitude, frequency, None)
        return result if return_result else self._plotted(result, "Bipolar switching", log_scale)

    def _driven(
        self, form: Callable[[Tensor], Tensor], amplitude: float, frequency: float, duration: float | None
    ) -> tuple[Samples, Samples]:
        """A fresh cell's voltages and currents, sample by sample; for one period if no duration is given."""
        dt = self.time_series_resolution
        given = {"voltage_signal_frequency": frequency, "duration": duration}
        for name, value in given.items():
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} = {value!r}: give a positive number")
        if 4 * frequency * dt > 1 + 1e-9:
            raise ValueError(
                f"time_series_resolution = {dt:g} s: a period of {1 / frequency:g} s has fewer than 4 "
                f"samples; give at most {0.25 / frequency:g} s"
            )
        samples = round((1 / frequency if duration is None else duration) / dt) + 1
        if samples > _MOST:
            raise ValueError(
                f"time_series_resolution = {dt:g} s makes {samples:,} samples of the signal; at most "
                f"{_MOST:,}: give a coarser resolution, a shorter duration or a higher frequency"
            )
        volts = amplitude * form(frequency * dt * torch.arange(samples, dtype=torch.float64))
        start = torch.as_tensor(self.model.initial, dtype=torch.float64)
        current, _ = self._response(volts, dt, start)
        return volts.numpy(), current.numpy()

    def _plotted(self, result: tuple[Samples, Samples], title: str, log_scale: bool) -> Any:
        from matplotlib import pyplot

        volts, current = (values[:: -(-len(values) // _DRAWN)] for values in result)
        figure, axes = pyplot.subplots()
        axes.plot(volts, np.abs(current) if log_scale else current)
        if log_scale:
            axes.set_yscale("log")
        axes.set(xlabel="Voltage (V)", ylabel="Current (A)", title=f"{type(self).__name__}: {title}")
        return figure


def _sine(phase: Tensor) -> Tensor:
    """``sin(2 pi phase)``."""
    return torch.sin(2 * math.pi * phase)


def _triangle(phase: Tensor) -> Tensor:
    """0, 1, 0, -1, 0 in straight lines."""
    saw = torch.remainder(phase + 0.25, 1.0)
    return 1 - 4 * (saw - 0.5).abs()


def check_means(kind: type[Memristor], parameters: dict[str, Any]) -> None:
    """Raise ``ValueError`` if the mean resistances are the wrong way round."""
    values = {**kind.defaults, **parameters}
    r_on, r_off = (v.mean if isinstance(v, Sampler) else v for v in (values["r_on"], values["r_off"]))
    if not r_on < r_off:
        raise ValueError(
            f"r_on = {r_on:g} ohm must be below r_off = {r_off:g} ohm (the means of stochastic parameters): "
            "the on state conducts more; did you swap them?"
        )


EULER = Euler()

"""JART VCM v1b: a valence-change cell whose vacancies move into and out of a disc at one electrode."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.devices.dynamics._numbers import Number, clip, either, everywhere, log
from mho.devices.dynamics._roots import first_crossing
from mho.devices.dynamics.base import SwitchingModel
from mho.devices.dynamics.integrate import Implicit, Method

# Physical constants (SI, CODATA 2018)
_K = 1.380649e-23  # J/K
_Q = 1.602176634e-19  # C
_H = 6.62607015e-34  # J s
_EPS_0 = 8.8541878128e-12  # F/m
_M_E = 9.1093837015e-31  # kg

_UNIT = 1e26  # concentrations are in 1e26 m^-3


@config
class JART(SwitchingModel):
    """JART VCM v1b (Bengel et al., IEEE TCAS-I 67, 4618, 2020; Cüppers et al., APL Mater. 7, 091105, 2019).

    A Schottky contact, the disc, the plug and a series resistance carry one current; Joule heat drives the
    hopping of vacancies, whose concentration ``N`` in the disc is the memory. **The state is ln(N)**, ``N``
    in 1e26 m^-3. **Negative voltage SETs** (raises ``N``), positive voltage RESETs.

    The current is the root of the series circuit with the largest magnitude (for V > 0 there may be
    several), found for all cells at once inside a bracket, in float64 whatever the dtype of the state; its
    gradient is that of the implicit function. The defaults are the authors' nominal parameters.

    Attributes:
        n_min: lowest concentration in the disc, 1e26 m^-3.
        n_max: highest concentration in the disc, 1e26 m^-3.
        n_plug: concentration in the plug, 1e26 m^-3.
        n_init: concentration in the disc when no state is given, 1e26 m^-3.
        radius: of the filament, metres.
        radius_nominal: radius for which ``r_thermal`` holds, metres.
        l_cell: length of disc and plug, metres.
        l_disc: length of the disc, metres.
        mobility: of the electrons, m^2 / (V s).
        z: charge number of a vacancy.
        hop: hopping distance, metres.
        attempt: attempt frequency, hertz.
        barrier_ion: activation energy of the hopping, electronvolts.
        eps_r: permittivity of the oxide, relative.
        eps_barrier: permittivity in the barrier lowering, relative.
        phi_barrier: nominal Schottky barrier, volts.
        phi_n: distance of the Fermi level from the conduction band, volts.
        richardson: Richardson constant, A / (m^2 K^2).
        mass: effective mass of the electrons, in electron masses.
        r_thermal: thermal resistance in SET, kelvin per watt.
        reset_heating: factor on the thermal resistance in RESET.
        r_oxide: series resistance of the oxide layer, ohms.
        r_line: resistance of the line at ambient temperature, ohms.
        r_thermal_line: thermal resistance of the line, kelvin per watt.
        alpha_line: temperature coefficient of the line, 1/kelvin.
        t_ambient: ambient temperature, kelvin.
        v_read: read voltage, volts.
    """

    n_min: Positive = 0.008
    n_max: Positive = 20.0
    n_plug: Positive = 20.0
    n_init: Positive = 0.008
    radius: Positive = 45e-9
    radius_nominal: Positive = 45e-9
    l_cell: Positive = 3e-9
    l_disc: Positive = 0.4e-9
    mobility: Positive = 4e-6
    z: Positive = 2.0
    hop: Positive = 0.25e-9
    attempt: Positive = 2e13
    barrier_ion: Positive = 1.35
    eps_r: Positive = 17.0
    eps_barrier: Positive = 5.5
    phi_barrier: Positive = 0.18
    phi_n: NonNegative = 0.1
    richardson: Positive = 6.01e5
    mass: Positive = 1.0
    r_thermal: Positive = 15.72e6
    reset_heating: Positive = 0.27
    r_oxide: NonNegative = 650.0
    r_line: Positive = 719.2437
    r_thermal_line: Positive = 90471.47
    alpha_line: Positive = 3.92e-3
    t_ambient: Positive = 293.0
    v_read: Positive = 0.2

    ordered: ClassVar[tuple[tuple[str, str], ...]] = (("n_min", "n_max"), ("l_disc", "l_cell"))
    state_label: ClassVar[str] = "ln(N / 1e26 m⁻³)"

    @property
    def bounds(self) -> tuple[Number, Number]:
        """``ln(n_min)`` and ``ln(n_max)``."""
        return log(self.n_min), log(self.n_max)

    @property
    def initial(self) -> Number:
        """``ln(n_init)``."""
        return log(self.n_init)

    @property
    def method(self) -> Method:
        """Linearly implicit, to 1e-4 of the span: a runaway in SET and a standstill in RESET."""
        return Implicit(tolerance=1e-4)

    def disc_resistance(self, state: Tensor) -> Tensor:
        """Ohms."""
        return self._resistance(self.l_disc) / state.exp()

    @property
    def plug_resistance(self) -> Number:
        """Ohms."""
        return self._resistance(self.l_cell - self.l_disc) / self.n_plug

    def current(self, voltage: Tensor, state: Tensor) -> Tensor:
        """Amperes."""
        point = self._operating_point(voltage, state)
        return (voltage.sign() * point.current).to(state.dtype)

    def temperature(self, state: Tensor, voltage: Tensor) -> Tensor:
        """Temperature of the filament, kelvin."""
        return self._operating_point(voltage, state).temperature.to(state.dtype)

    def rate(self, state: Tensor, voltage: Tensor) -> Tensor:
        """Change of ln(N) per second: hopping over a barrier that the field tilts."""
        point = self._operating_point(voltage, state)
        n = state.double().exp()
        tilt = self.z * self.hop * point.field / (math.pi * self.barrier_ion)
        tilt = tilt.clamp(max=1 - 1e-9)  # the barrier is gone at 1
        middle = (1 - tilt**2).sqrt() + tilt * torch.asin(tilt)
        thermal = _K / _Q * point.temperature / self.barrier_ion
        with_field = torch.exp(-(middle - tilt * (math.pi / 2)) / thermal)
        against = torch.exp(-(middle + tilt * (math.pi / 2)) / thermal)
        sets = voltage < 0
        room = (1 - torch.where(sets, n / self.n_max, self.n_min / n) ** 10).clamp(min=0)
        hops = self.attempt * self.hop / self.l_disc * (with_field - against)
        change = 0.5 * (self.n_plug / n + 1) * hops * room
        return torch.where(sets, change, -change).to(state.dtype)

    # ── the series circuit ───────────────────────────────────────────────────────────────────────

    def _resistance(self, length: Number) -> Number:
        """Ohms of a cylinder of the filament with N = 1e26 m^-3."""
        area = math.pi * self.radius**2
        return length / (_UNIT * self.z * _Q * self.mobility * area)

    def _operating_point(self, voltage: Tensor, state: Tensor) -> _Point:
        """Voltages, current and temperature along the cell, magnitudes in float64."""
        state, voltage = torch.broadcast_tensors(state.double(), voltage.double())
        circuit = _Circuit(self, voltage, state)
        with torch.no_grad():
            # The lowest root is several units below the next one over all voltages and concentrations.
            share = first_crossing(circuit.mismatch, -21.0, 21.0, 21, like=voltage)
        if torch.is_grad_enabled():
            share = circuit.with_gradient(share)
        return circuit.point(share)

    def inverse(self, conductance: Tensor) -> Tensor:
        """By bisection: the current has no inverse in closed form."""
        low, high = (torch.as_tensor(b, dtype=torch.float64, device=conductance.device) for b in self.bounds)
        low, high = low.expand(conductance.shape), high.expand(conductance.shape)
        with torch.no_grad():
            for _ in range(50):  # halving ln(N_max / N_min) = 7.8 to 1e-14
                middle = 0.5 * (low + high)
                below = self.conductance(middle) < conductance
                low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return clip(0.5 * (low + high), *self.bounds).to(conductance.dtype)


class _Point(NamedTuple):
    """Magnitudes at one operating point."""

    current: Tensor  # A
    temperature: Tensor  # K
    field: Tensor  # V/m, that moves the vacancies


class _Circuit:
    """The contact, the disc, the plug and the series resistance at given voltages and concentrations.

    The unknown is the logit of the contact's share of the voltage, so that both ends (all on the
    contact, none on it) are approached with a constant relative resolution.
    """

    def __init__(self, cell: JART, voltage: Tensor, state: Tensor) -> None:
        self.cell = cell
        self.sets = voltage < 0
        self.alive = voltage != 0
        self.v = torch.where(self.alive, voltage.abs(), 1.0)
        self.disc = cell.disc_resistance(state)
        self.inner = self.disc + cell.plug_resistance
        # The series circuit: a cubic in the current.
        r = self.inner + cell.r_oxide + cell.r_line
        p = r / (cell.r_line**2 * cell.alpha_line * cell.r_thermal_line)
        self.cubic_scale = 2 * (p / 3).sqrt()
        self.cubic_drop = 1.5 / r * (3 / p).sqrt()
        heating = cell.r_thermal * (cell.radius_nominal / cell.radius) ** 2
        self.r_th = heating * either(self.sets, 1.0, cell.reset_heating, voltage)
        # The contact.
        n = state.exp() * (cell.z * _UNIT)
        self.emission = math.pi * cell.radius**2 * cell.richardson  # A / K^2
        self.w00 = _H / (4 * math.pi) * (n / (cell.mass * _M_E * cell.eps_r * _EPS_0)).sqrt()  # volts
        self.image = n * (_Q**3 / (8 * math.pi**2)) / (cell.eps_barrier * _EPS_0) ** 3  # volts^3
        self.all_set, self.all_reset = everywhere(self.sets), everywhere(~self.sets)

    def series_current(self, drop: Tensor) -> Tensor:
        """Root of ``R I + c I^3 = drop``: ohmic parts, and a line that heats with ``I^2``."""
        return self.cubic_scale * torch.sinh(torch.asinh(self.cubic_drop * drop) / 3)

    def mismatch(self, share: Tensor) -> Tensor:
        """ln of the contact's current less ln of the current of the rest; rises through 0 at a root."""
        v_contact = self.v * torch.sigmoid(share)
        i = self.series_current(self.v * torch.sigmoid(-share))
        t = self.heat(v_contact, i)
        if self.all_set:
            contact = self.log_field_emission(v_contact, t)
        elif self.all_reset:
            contact = self.log_thermionic(v_contact, t)
        else:
            both = self.log_field_emission(v_contact, t), self.log_thermionic(v_contact, t)
            contact = torch.where(self.sets, *both)
        return contact - i.log()

    def heat(self, v_contact: Tensor, i: Tensor) -> Tensor:
        """Temperature, kelvin."""
        return self.cell.t_ambient + i * (v_contact + i * self.inner) * self.r_th

    def log_thermionic(self, v: Tensor, t: Tensor) -> Tensor:
        """ln of the thermionic current at a forward voltage ``v`` across the contact."""
        cell = self.cell
        bend = cell.phi_barrier - cell.phi_n - v
        phi = torch.where(bend > 0, cell.phi_barrier - self.lowering(bend), cell.phi_barrier).clamp(min=0)
        thermal = t * (_K / _Q)  # volts
        return (self.emission * t * t).log() - phi / thermal + _log_expm1(v / thermal)

    def log_field_emission(self, v: Tensor, t: Tensor) -> Tensor:
        """ln of the magnitude of the thermionic field emission at a backward voltage ``v``."""
        cell = self.cell
        phi = (cell.phi_barrier - self.lowering(cell.phi_barrier - cell.phi_n + v)).clamp(min=0)
        u = self.w00 / (t * (_K / _Q))
        tanh = torch.tanh(u)
        depth = (math.pi * self.w00 * (v + phi * (1 - tanh**2))).sqrt()  # volts; 1 / cosh^2 = 1 - tanh^2
        scale = self.emission * (_Q / _K) * t * depth
        return scale.log() - phi * tanh / self.w00 + _log_expm1(v * (u - tanh) / self.w00)

    def lowering(self, bend: Tensor) -> Tensor:
        """Lowering of the barrier by the image charge, volts, where the bands bend by ``bend`` > 0."""
        return (self.image * bend.clamp(min=1e-12)) ** 0.25

    def with_gradient(self, share: Tensor) -> Tensor:
        """The root with the gradient of the implicit function: one Newton step whose slope is a constant."""
        left = self.mismatch(share)
        if not left.requires_grad:
            return share
        at = share.detach().requires_grad_()
        with torch.enable_grad():
            slope = torch.autograd.grad(self.mismatch(at).sum(), at)[0]
        return share - left / slope

    def point(self, share: Tensor) -> _Point:
        """The operating point of a root; no current and no field at 0 V."""
        cell = self.cell
        v_contact = self.v * torch.sigmoid(share)
        i = self.series_current(self.v * torch.sigmoid(-share))
        t = self.heat(v_contact, i)
        v_disc, v_plug = i * self.disc, i * cell.plug_resistance
        field = torch.where(self.sets, v_disc / cell.l_disc, (v_contact + v_disc + v_plug) / cell.l_cell)
        return _Point(
            torch.where(self.alive, i, 0.0),
            torch.where(self.alive, t, cell.t_ambient),
            torch.where(self.alive, field, 0.0),
        )


def _log_expm1(x: Tensor) -> Tensor:
    """``ln(e^x - 1)`` for x > 0, without overflow."""
    return x + (-torch.expm1(-x)).log()

"""Data-driven models: closed-form resistance steps fitted to pulse measurements."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mho.config import Finite, Positive, config
from mho.devices.dynamics._numbers import Negative, Number, clip, either, polynomial
from mho.devices.dynamics.base import SwitchingModel

_Polynomial = Annotated[tuple[Finite, ...], Field(min_length=1)]


class _ResistanceState(SwitchingModel):
    """A state that is a resistance, with ``I = a sinh(b V) / R``."""

    r_on: Positive
    r_off: Positive
    current_p: Positive
    current_n: Positive
    b_p: Positive
    b_n: Positive

    ordered: ClassVar[tuple[tuple[str, str], ...]] = (("r_on", "r_off"),)
    state_label: ClassVar[str] = "resistance R"
    state_unit: ClassVar[str] = "Ω"

    @property
    def bounds(self) -> tuple[Number, Number]:
        """``r_on`` and ``r_off``, ohms."""
        return self.r_on, self.r_off

    @property
    def initial(self) -> Number:
        """``r_on``."""
        return self.r_on

    @property
    def has_exact(self) -> bool:
        """Always."""
        return True

    def current(self, voltage: Tensor, state: Tensor) -> Tensor:
        """Amperes."""
        positive = voltage >= 0
        a = either(positive, self.current_p, self.current_n, state)
        b = either(positive, self.b_p, self.b_n, state)
        return a * torch.sinh(b * voltage) / state

    def inverse(self, conductance: Tensor) -> Tensor:
        """The current is inverse to the state."""
        scale = self.conductance(torch.ones_like(conductance))  # of one ohm
        return clip(scale / conductance, *self.bounds)


@config
class DataDriven2018(_ResistanceState):
    """Messaris et al., IEEE Trans. Comput.-Aided Des. Integr. Circuits Syst. 37, 3151, 2018.

    For ``V > 0``, while ``R < r_p(V)``: ``dR/dt = s_p (exp(k_p (r_p(V) - R)) - 1)`` with
    ``s_p = a_p (exp(t_p V) - 1)``; for ``V < 0``, while ``R > r_n(V)``:
    ``dR/dt = s_n (exp(k_n (R - r_n(V))) - 1)`` with ``s_n = a_n (exp(t_n |V|) - 1)``. Exact at constant
    voltage. **Positive voltage raises the resistance.** The state ``R`` sets the current
    ``a sinh(b V) / R``; the resistance that a read sees is ``v_read / I``.

    The defaults are those of MemTorch 1.1.6 (Lammie et al., Neurocomputing 485, 124, 2022).

    Attributes:
        r_on: lowest state, ohms.
        r_off: highest state, ohms.
        a_p: speed scale for V > 0, ohms per second.
        a_n: speed scale for V < 0, ohms per second, negative.
        t_p: steepness of the speed for V > 0, 1/volts.
        t_n: steepness of the speed for V < 0, 1/volts.
        k_p: steepness of the approach for V > 0, 1/ohms.
        k_n: steepness of the approach for V < 0, 1/ohms.
        r_p: where the motion ends for V > 0, ohms: coefficients of a polynomial in V, lowest first.
        r_n: the same for V < 0.
        current_p: scale of the current for V >= 0, volts.
        current_n: scale of the current for V < 0, volts.
        b_p: steepness of the current for V >= 0, 1/volts.
        b_n: steepness of the current for V < 0, 1/volts.
        v_read: read voltage, volts.
    """

    r_on: Positive = 1280.0
    r_off: Positive = 17e3
    a_p: Positive = 743.47
    a_n: Negative = -68012.28374
    t_p: Positive = 6.51
    t_n: Positive = 0.31645
    k_p: Positive = 5.11e-4
    k_n: Positive = 1.17e-3
    r_p: _Polynomial = (16719.0, 0.0)
    r_n: _Polynomial = (29304.82557, 23692.77225)
    current_p: Positive = 0.24
    current_n: Positive = 0.24
    b_p: Positive = 3.0
    b_n: Positive = 3.0
    v_read: Positive = 0.1

    def rate(self, state: Tensor, voltage: Tensor) -> Tensor:
        """Ohms per second."""
        s_p, s_n, u_p, u_n = self._parts(state, voltage)
        return s_p * u_p.clamp(max=80).expm1() + s_n * u_n.clamp(max=80).expm1()

    def exact(self, state: Tensor, voltage: Tensor, dt: Number) -> Tensor:
        """Closed form at constant voltage."""
        s_p, s_n, u_p, u_n = self._parts(state, voltage)
        up = _approach(u_p, self.k_p * s_p * dt) / self.k_p
        down = _approach(u_n, -self.k_n * s_n * dt) / self.k_n
        return clip(state + up - down, *self.bounds)

    def _parts(self, state: Tensor, voltage: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Speeds and normalised distances to the end of motion, for both polarities; 0 for the other one."""
        s_p = self.a_p * (self.t_p * voltage.clamp(min=0)).expm1()
        s_n = self.a_n * (self.t_n * (-voltage).clamp(min=0)).expm1()
        u_p = self.k_p * (polynomial(self.r_p, voltage) - state).clamp(min=0)
        u_n = self.k_n * (state - polynomial(self.r_n, voltage)).clamp(min=0)
        return s_p, s_n, u_p, u_n


@config
class DataDriven2021(_ResistanceState):
    """The quadratic form of the data-driven model (arXiv:2012.02267, 2020).

    ``dR/dt = s (r - R)^2`` with ``s = a (exp(|V| / t) - 1)`` and ``r`` a polynomial in V, one set for each
    polarity, while the motion is towards ``r``. Exact at constant voltage. With the defaults ``t`` is
    negative: the speed saturates, and positive voltage lowers the resistance.

    The defaults are those of MemTorch 1.1.6 (Lammie et al., Neurocomputing 485, 124, 2022).

    Attributes:
        r_on: lowest state, ohms.
        r_off: highest state, ohms.
        a_p: speed scale for V > 0, 1/(ohm s).
        a_n: speed scale for V < 0, 1/(ohm s).
        t_p: voltage scale of the speed for V > 0, volts, of either sign.
        t_n: voltage scale of the speed for V < 0, volts, of either sign.
        r_p: where the motion ends for V > 0, ohms: coefficients of a polynomial in V, lowest first.
        r_n: the same for V < 0.
        current_p: scale of the current for V >= 0, volts.
        current_n: scale of the current for V < 0, volts.
        b_p: steepness of the current for V >= 0, 1/volts.
        b_n: steepness of the current for V < 0, 1/volts.
        v_read: read voltage, volts.
    """

    r_on: Positive = 1600.0
    r_off: Positive = 3000.0
    a_p: Finite = 600.10075
    a_n: Finite = -34.5988399
    t_p: Finite = -0.0212028
    t_n: Finite = -0.05343997
    r_p: _Polynomial = (2699.2336, -672.930205)
    r_n: _Polynomial = (649.413746, -1474.32358)
    current_p: Positive = 0.32046175
    current_n: Positive = 0.32046175
    b_p: Positive = 2.71689828
    b_n: Positive = 2.71689828
    v_read: Positive = 0.1

    def rate(self, state: Tensor, voltage: Tensor) -> Tensor:
        """Ohms per second."""
        s, distance = self._parts(state, voltage)
        return s * distance**2

    def exact(self, state: Tensor, voltage: Tensor, dt: Number) -> Tensor:
        """Closed form at constant voltage."""
        s, distance = self._parts(state, voltage)
        return clip(state + quadratic_approach(distance, s, dt), *self.bounds)

    def validate(self) -> None:
        """Also: no voltage scale of zero."""
        super().validate()
        for name in ("t_p", "t_n"):
            if bool((torch.as_tensor(getattr(self, name)) == 0).any()):
                raise ValueError(f"{name} = 0: a voltage scale is not zero, its sign is free")

    def _parts(self, state: Tensor, voltage: Tensor) -> tuple[Tensor, Tensor]:
        """Speed and signed distance to the end of motion, 0 where the motion would lead away from it."""
        s_p = self.a_p * (voltage.clamp(min=0) / self.t_p).expm1()
        s_n = self.a_n * ((-voltage).clamp(min=0) / self.t_n).expm1()
        s = s_p + s_n
        end = torch.where(voltage > 0, polynomial(self.r_p, voltage), polynomial(self.r_n, voltage))
        distance = end - state
        return s, torch.where(s * distance > 0, distance, 0.0)


def _approach(u: Tensor, a: Tensor) -> Tensor:
    """``ln(b + (1 - b) e^u)`` with ``b = exp(-a)``: how far a normalised distance ``u`` shrinks.

    Two forms of the same: the first keeps small steps exact, the second does not overflow.
    """
    done = -torch.expm1(-a)  # 1 - b
    small = torch.log1p(done * u.clamp(max=20).expm1())
    large = u + torch.log(done + (1 - done) * torch.exp(-u.clamp(min=20)))
    return torch.where(u < 20, small, large)


def quadratic_approach(distance: Tensor, s: Tensor, dt: Number) -> Tensor:
    """Change of ``R`` after ``dt`` seconds of ``dR/dt = s (r - R)^2``; ``distance = r - R`` at the start."""
    return s * distance**2 * dt / (1 + s * distance * dt)

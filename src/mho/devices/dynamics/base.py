"""A memristor that switches: the interface of all dynamic models.

A model is a frozen description of one state variable per cell and four pure functions::

    dx/dt = model.rate(x, v)          velocity of the state
    i     = model.current(v, x)       current at a voltage
    g     = model.conductance(x)      conductance at the read voltage: i(v_read) / v_read
    x     = model.state_of(g)         the inverse

:meth:`SwitchingModel.step` applies one pulse to any number of cells, :meth:`SwitchingModel.simulate` a
waveform. All of them take tensors of any shape, float32 or float64, and gradients go through them.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeVar, get_type_hints

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from mho.config import Positive, field_names, unknown_key
from mho.devices.dynamics._numbers import Number, clip, joint_shape, pick, tensor
from mho.devices.dynamics.integrate import Adaptive, Exact, Method
from mho.devices.dynamics.trace import Trace, run
from mho.errors import ConfigError

M = TypeVar("M", bound="SwitchingModel")


class SwitchingModel(ABC):
    """One memristive cell with a state that moves under voltage.

    Attributes:
        v_read: voltage at which the conductance is read, volts.
    """

    def belongs(self, owner: type, name: str) -> str:
        """What to write instead of ``owner(name=model)``, for the message of the error."""
        made = f"mho.devices.Switching(model={type(self).__name__}(...))"
        return f"this is a model of switching; {made} makes a device of it"

    v_read: Positive

    #: Pairs of parameters of which the first must be below the second, in every cell.
    ordered: ClassVar[tuple[tuple[str, str], ...]] = ()
    #: What the state is, and its unit (for axes and tables).
    state_label: ClassVar[str] = "state"
    state_unit: ClassVar[str] = ""

    @property
    @abstractmethod
    def bounds(self) -> tuple[Number, Number]:
        """Lowest and highest state."""

    def limits(self, state: Tensor, v0: Tensor, v1: Tensor) -> tuple[Number, Number]:
        """How far the motion during one interval can lead, for the integrators: the bounds or nearer.

        A model whose velocity drops to 0 at an edge tells the edge here; an integrator then rests on it.

        Args:
            state: state at the start.
            v0: voltage at the start, volts.
            v1: voltage at the end, volts.
        """
        return self.bounds

    @property
    @abstractmethod
    def initial(self) -> Number:
        """State of a cell when none is given."""

    @abstractmethod
    def rate(self, state: Tensor, voltage: Tensor) -> Tensor:
        """Velocity of the state.

        Args:
            state: any shape.
            voltage: volts, scalar or broadcast to the state.

        Returns:
            Unit of the state per second.
        """

    @abstractmethod
    def current(self, voltage: Tensor, state: Tensor) -> Tensor:
        """Current through the cell, amperes.

        Args:
            voltage: volts, scalar or broadcast to the state.
            state: any shape.
        """

    @abstractmethod
    def inverse(self, conductance: Tensor) -> Tensor:
        """State of a conductance at ``v_read``, as :meth:`state_of`, which has checked that there is one.

        Args:
            conductance: siemens, any shape, between :attr:`g_min` and :attr:`g_max`.
        """

    @property
    def has_exact(self) -> bool:
        """Whether the state after a pulse of constant voltage has a closed form."""
        return False

    def exact(self, state: Tensor, voltage: Tensor, dt: Number) -> Tensor:
        """State after ``dt`` seconds at a constant voltage, in closed form.

        Raises:
            TypeError: the model has none.
        """
        raise TypeError(f"{type(self).__name__} has no closed-form step; use Adaptive() or Implicit()")

    @property
    def method(self) -> Method:
        """The integrator used when none is named and the model has no closed form."""
        return Adaptive()

    def rate_std(self, state: Tensor, voltage: Tensor) -> Tensor:
        """Standard deviation of the velocity of a stochastic model, unit of the state per second.

        Raises:
            TypeError: the model is deterministic.
        """
        raise TypeError(f"{type(self).__name__} moves without noise; leave eps out")

    # ── pulses that scatter ──────────────────────────────────────────────────────────────────────

    def scatter(self, state: Tensor, voltage: Tensor, dt: Number) -> tuple[Tensor, Tensor] | None:
        """How the cell scatters around its law from pulse to pulse: its cycle-to-cycle noise.

        Each cell has a deviation from the law, which an interval changes to ``kept * deviation + std * eps``
        with eps a standard normal draw. The law itself, :meth:`step`, knows nothing of it.

        Args:
            state: before the interval, without the deviation; any shape.
            voltage: volts, scalar or broadcast to the state.
            dt: length of the interval, seconds, a number or a tensor that broadcasts to the state.

        Returns:
            ``kept``, from 0 to 1, and ``std``, in the unit of the state, in the joint shape of all three;
            None for a model whose pulses all do the same.
        """
        return None

    def deviated(self, state: Tensor, deviation: Tensor) -> Tensor:
        """State of a cell with its deviation from the law, kept between the bounds."""
        return clip(state + deviation, *self.bounds)

    def pulse_std(self, conductance: Tensor) -> Tensor | None:
        """Standard deviation of the conductance that one pulse leaves, siemens; None where it has none.

        Args:
            conductance: that the pulse aims at, siemens, any shape.
        """
        return None

    def conductance(self, state: Tensor, v_read: float | None = None) -> Tensor:
        """Conductance seen by a read, siemens: current over voltage at ``v_read`` (default: the model's).

        The read does not move the state.
        """
        v = tensor(self.v_read if v_read is None else v_read, state)
        return self.current(v, state) / v

    def state_of(self, conductance: Tensor) -> Tensor:
        """State whose conductance at ``v_read`` is given: the inverse of :meth:`conductance`.

        Args:
            conductance: siemens, any shape, between :attr:`g_min` and :attr:`g_max`.

        Raises:
            ValueError: a conductance that no state of the cell has.
        """
        low, high = tensor(self.g_min, conductance), tensor(self.g_max, conductance)
        slack = 1e-5 * (high - low)
        outside = ~((conductance >= low - slack) & (conductance <= high + slack))
        if bool(outside.any()):
            worst = float(conductance.detach()[outside].reshape(-1)[0])
            raise ValueError(
                f"conductance = {worst:g} S is outside {type(self).__name__}'s range of "
                f"{_text(self.g_min)} to {_text(self.g_max)} S at v_read = {_text(self.v_read)} V; "
                "clamp it to g_min and g_max, or change the model's bounds"
            )
        return self.inverse(torch.minimum(torch.maximum(conductance, low), high))

    @property
    def g_min(self) -> Number:
        """Lowest conductance at ``v_read``, siemens (one per cell if a parameter is)."""
        return self._g_bounds()[0]

    @property
    def g_max(self) -> Number:
        """Highest conductance at ``v_read``, siemens (one per cell if a parameter is)."""
        return self._g_bounds()[1]

    def _g_bounds(self) -> tuple[Number, Number]:
        shape = self.cells
        device = next((v.device for v in vars(self).values() if isinstance(v, Tensor)), None)
        ends = [torch.as_tensor(b, dtype=torch.float64, device=device).expand(shape) for b in self.bounds]
        g = torch.stack([self.conductance(x) for x in ends])
        low, high = g.amin(0), g.amax(0)
        return (low, high) if shape else (float(low), float(high))

    def step(
        self, state: Tensor, voltage: Tensor | float, dt: Number, method: Method | None = None
    ) -> Tensor:
        """State after one pulse of constant voltage, by the law: without what pulses scatter.

        Args:
            state: any shape.
            voltage: volts, a number or a tensor that broadcasts to the state.
            dt: length of the pulse, seconds, a number or a tensor that broadcasts to the state.
            method: default :class:`Exact` where the model has a closed form, else :attr:`method`.

        Raises:
            ValueError: a negative time.
            StepError: the integrator cannot meet its error bound.
        """
        if not isinstance(dt, Tensor) and not (0 <= dt < math.inf):
            raise ValueError(f"dt = {dt!r}: the length of a pulse is a finite number of seconds, 0 or more")
        v = tensor(voltage, state)
        method = method or (Exact() if self.has_exact else self.method)
        return method.advance(self, state, v, v, dt)

    def simulate(
        self,
        voltage: Tensor,
        time: Tensor,
        state: Tensor | None = None,
        method: Method | None = None,
        *,
        held: bool = False,
        every: int = 1,
        chunk: int = 2**18,
        eps: Tensor | None = None,
        seed: int | None = 0,
    ) -> Trace:
        """Response of any number of cells to a waveform.

        Args:
            voltage: volts, ``[time]`` for all cells or ``[time, *cells]``.
            time: seconds, ``[time]``, increasing from 0 or later.
            state: ``[*cells]`` at the first sample; default :attr:`initial`.
            method: default :class:`Exact` where the model has a closed form and the voltage is held, else
                :attr:`method`.
            held: True: a sample's voltage holds until the next sample (a pulse generator). False: straight
                lines between samples.
            every: keep samples 0, every, 2 every, ... and the last one; ``len(time)`` keeps the first and the
                last only.
            chunk: number of cells that go through the waveform together; bounds the memory.
            eps: standard normal draws ``[time - 1, *cells]`` for a model with :meth:`rate_std`: the noise
                of the velocity in each interval.
            seed: of the draws of a model whose pulses scatter (:meth:`scatter`); another seed, other draws.
                None: the law alone.

        Returns:
            The trace at the kept samples. ``state[n]`` is the state at ``time[n]``, before the voltage of
            sample ``n`` has moved it. The first one has no deviation from the law yet.

        Raises:
            ValueError: time that does not increase or is negative, a voltage that is not finite, shapes
                that do not fit.
            StepError: the integrator cannot follow the waveform within its error bound.

        Example:
            >>> from mho.devices.dynamics import VTEAM, sine
            >>> trace = VTEAM().simulate(*sine(amplitude=1.0, frequency=50e6))
            >>> tuple(trace.current.shape), bool(trace.state.max() > 1e-10)
            ((501,), True)
        """
        method = method or (Exact() if held and self.has_exact else self.method)
        return run(
            self, voltage, time, state, method, held=held, every=every, chunk=chunk, eps=eps, seed=seed
        )

    # ── cells that differ ────────────────────────────────────────────────────────────────────────

    @property
    def cells(self) -> torch.Size:
        """Shape of the parameters that differ from cell to cell; empty when all cells are alike."""
        shapes = [v.shape for v in vars(self).values() if isinstance(v, Tensor)]
        return joint_shape(*shapes)

    def with_values(self: M, **values: Tensor) -> M:
        """The same model with parameters that differ from cell to cell.

        The result computes like a description but is none: it is not for JSON.

        Args:
            values: a tensor for each parameter, of shape ``[*cells]``; gradients reach them.

        Raises:
            ConfigError: an unknown parameter, a value out of range, or a cell whose parameters contradict
                each other (``r_off`` below ``r_on``).
        """
        known = field_names(type(self))
        allowed = get_type_hints(type(self), include_extras=True)
        for name, value in values.items():
            if name not in known:
                raise ConfigError(unknown_key(name, known, type(self).__name__))
            _check_range(type(self).__name__, name, value, allowed[name])
        made = self.replaced(**values)
        made.validate()
        return made

    def replaced(self: M, **values: Any) -> M:
        """A copy with other values for some parameters, unchecked: see :meth:`with_values`."""
        made = copy.copy(self)
        for name, value in values.items():
            object.__setattr__(made, name, value)
        return made

    def like(self: M, x: Tensor) -> M:
        """The model with the parameters that differ by cell in the dtype and on the device of ``x``."""
        return self.replaced(**{k: v.to(x) for k, v in vars(self).items() if isinstance(v, Tensor)})

    def take(self: M, index: Tensor, shape: torch.Size) -> M:
        """The model of the cells ``index`` of a flattened array of ``shape``."""
        varied = {k: v for k, v in vars(self).items() if isinstance(v, Tensor)}
        return self.replaced(**{k: pick(v, index, shape) for k, v in varied.items()}) if varied else self

    def contradictions(self) -> list[tuple[str, str, Tensor]]:
        """The pairs of :attr:`ordered` with a mask of the cells where they are out of order."""
        pairs = []
        for low, high in self.ordered:
            wrong = ~torch.as_tensor(getattr(self, low) < getattr(self, high))
            pairs.append((low, high, wrong))
        return pairs

    def validate(self) -> None:
        """Checks across fields, run when the description is made."""
        for low, high, wrong in self.contradictions():
            if bool(wrong.any()):
                a, b = (_first(getattr(self, name), wrong) for name in (low, high))
                where = f" in {int(wrong.sum())} of {wrong.numel()} cells" if wrong.dim() else ""
                raise ConfigError(
                    f"{type(self).__name__}: {low} = {a:g} must be below {high} = {b:g}{where}; "
                    "did you swap them?"
                )


def _check_range(owner: str, name: str, value: Tensor, annotation: Any) -> None:
    """Raise ``ConfigError`` unless all values are in the range that the field allows."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise ConfigError(
            f"{owner}.{name}: one value for each cell is a float tensor, not {type(value).__name__}"
        )
    adapter = TypeAdapter(annotation)
    extremes = (float(value.detach().min()), float(value.detach().max())) if value.numel() else ()
    for extreme in extremes:
        reason = _refusal(adapter, extreme)
        if reason:
            raise ConfigError(f"{owner}.{name} = {extreme:g} in some cell: {reason}")


def _refusal(adapter: TypeAdapter[Any], value: float) -> str:
    """Why a field does not take a value; empty if it does."""
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        return error.errors()[0]["msg"].lower()
    return ""


def _first(value: Number, mask: Tensor) -> float:
    """The value of the first masked cell."""
    return float(torch.as_tensor(value).detach().expand(mask.shape)[mask].reshape(-1)[0])


def _text(value: Number) -> str:
    """A number, or the range of a tensor."""
    if not isinstance(value, Tensor):
        return f"{value:g}"
    return f"({float(value.detach().min()):g} to {float(value.detach().max()):g}, by cell)"

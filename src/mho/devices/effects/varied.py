"""Cells whose parameters differ, and parameters that differ from pulse to pulse."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import InstanceOf
from torch import Tensor

from mho.config import config
from mho.devices.base import FARTHEST, Device
from mho.devices.dynamics import SwitchingModel
from mho.devices.dynamics._numbers import clip
from mho.devices.effects.base import Effect, Tiles, effects, innermost, stream
from mho.devices.ideal import Ideal
from mho.devices.own_values import number_at, rebuilt, with_values
from mho.devices.spread import Spread
from mho.devices.switching import Switching

_FARTHEST = 6.0  # standard normal draws of float32 hardly go beyond
_LEAST = 1e-6  # of a law that must be in order with the others
_TURNS = 20  # draws of factors that would put two parameters out of order
_APART = 1e-6  # two values that must be in order differ by this part of the larger one
_SHARED = ("v_read", "program_scale", "drift_scale", "read_scale", "fastest", "slowest")


@config
class Varied(Effect):
    """A device of which each cell has its own parameters, and a new draw of some with each pulse.

    ``spreads`` are frozen: drawn once for each cell of a chip, they count at programming, at any age and in
    each read. Each cell behaves exactly as a chip made of such cells alone would. ``cycle`` is the variation
    from pulse to pulse of a switching model: with each voltage pulse (``programming.VoltagePulses``) the
    cell draws a new factor on its own parameter, which stays until its next pulse. A statistical device has
    that in its programming error.

    Two parameters that must be in order, such as ``r_on`` and ``r_off``, are in order in every cell: the
    first is drawn from its law, the second from the part of its law that lies above. Weights are mapped to
    the bounds of the device inside, which are the same for all cells; a cell that cannot reach its target
    stops at its own bound.

    The parameters are those of the device directly inside, or of its switching model; ``nu.mean`` leads
    into a part of it. Only single numbers differ; ``v_read`` belongs to the array and the scales to
    the whole chip. The streams are named by the parameters, so that one more moves no other's draws.

    Attributes:
        device: the device inside.
        spreads: law of each parameter that differs from cell to cell, by its name; from
            :func:`~mho.devices.Stochastic`.
        cycle: law of the factor on each parameter that differs from pulse to pulse.

    Example:
        >>> from torch.distributions import Normal
        >>> from mho.devices.dynamics import VTEAM, Stochastic
        >>> cells = Varied(
        ...     device=Switching(model=VTEAM()),
        ...     spreads={"r_off": Stochastic(Normal(1000.0, 50.0), low=0.0)},
        ...     cycle={"k_off": Stochastic(Normal(1.0, 0.1), low=0.0)},
        ... )
        >>> cells.own_state(torch.tensor([[-1.0, 0.0, 2.0]])).tolist()
        [[950.0, 1000.0, 1100.0]]
    """

    device: InstanceOf[Device] = Ideal()
    spreads: dict[str, Spread] = dataclasses.field(default_factory=dict)
    cycle: dict[str, Spread] = dataclasses.field(default_factory=dict)

    def __hash__(self) -> int:
        """Of all fields; the laws are in dictionaries, which have no hash of their own."""
        laws = (frozenset(self.spreads.items()), frozenset(self.cycle.items()))
        return hash((type(self), self.device, *laws))

    # --- what differs ----------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that differ from cell to cell, the lower one of a pair before the upper one."""
        above = [high for _, high in self._pairs()]
        return tuple(sorted(self.spreads, key=lambda name: (above.count(name), name)))

    @property
    def draws(self) -> int:  # type: ignore[override]
        """One for each parameter that differs."""
        return len(self.spreads)

    @property
    def parameters(self) -> int:
        """One for each parameter that differs."""
        return len(self.spreads)

    @property
    def streams(self) -> list[str]:
        """Named by the parameters."""
        return [f"{stream(self)}/{name}" for name in self.names]

    @property
    def shared(self) -> Device:
        """The device of which the cells differ, with the parameters that they share."""
        return self.device

    @property
    def _owner(self) -> Any:
        return self.device.model if isinstance(self.device, Switching) else self.device

    def _pairs(self) -> list[tuple[str, str]]:
        return list(getattr(self._owner, "ordered", ()))

    @property
    def own_bounds(self) -> bool:
        """Whether a parameter that differs is a bound, or makes one."""
        inside = self.of_cells(self.own_state(torch.zeros(self.draws, 1)))
        if isinstance(inside, Effect):
            return inside.own_bounds
        return inside.bounds_of(torch.empty(0, 1)) is not None

    def own_state(self, eps: Tensor, tiles: Tiles | None = None) -> Tensor:
        """The value of each parameter, in the order of :attr:`names`, in its own unit."""
        values: dict[str, Tensor] = {}
        for name, draw in zip(self.names, eps, strict=True):
            values[name] = self.spreads[name].of(draw, *self._limits(name, draw, values))
        return torch.stack(list(values.values())) if values else eps[:0]

    def _limits(self, name: str, eps: Tensor, values: Mapping[str, Tensor]) -> tuple[Tensor, float]:
        """Bounds that keep a parameter in order with those drawn before and those of all cells."""
        low, high = torch.tensor(-math.inf).to(eps), math.inf
        for first, second in self._pairs():
            if second == name:
                shared = first not in values
                floor = torch.tensor(number_at(self._owner, first)).to(eps) if shared else values[first]
                low = torch.maximum(low, floor + _APART * floor.abs())
            if first == name:
                ceiling = self._highest(second)
                high = min(high, ceiling - _APART * abs(ceiling))
        return low, high

    def _highest(self, name: str) -> float:
        """The largest value that a parameter has in any cell."""
        if name not in self.spreads:
            return number_at(self._owner, name)
        return float(self.spreads[name].of(torch.tensor(_FARTHEST, dtype=torch.float64)))

    # --- the cells -------------------------------------------------------------------------------

    def of_cells(self, own: Tensor) -> Device:
        """The device inside with these cells' own parameters.

        Args:
            own: what :meth:`own_state` gave.
        """
        return self._with(dict(zip(self.names, own, strict=True)))

    def _with(self, values: Mapping[str, Tensor]) -> Device:
        if isinstance(self.device, Switching):
            return self.device.of_model(with_values(self.device.model, values))
        return with_values(self.device, values)

    def drawn(self, draw: Callable[[str], Tensor]) -> DrawnCells:
        """The cells of a chip, as programming sees them.

        Args:
            draw: standard normal draws in the shape of the cells, by the name of a stream.
        """
        own = self.own_state(torch.stack([draw(s) for s in self.streams])) if self.spreads else None
        values = {} if own is None else dict(zip(self.names, own, strict=True))
        base = {name: values.get(name, number_at(self._owner, name)) for name in sorted(self.cycle)}
        return DrawnCells(self, values, base)

    def drift_state(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """The parameters and, after them, those of the device inside."""
        own, rest = self.own_state(eps[: self.draws]), eps[self.draws :]
        inside = self.of_cells(own)
        return torch.cat((own, inside.drift_state(g_target, rest if isinstance(inside, Effect) else rest[0])))

    def written_span(self) -> tuple[float, float]:
        """What cells hold that differ: see :meth:`written_spans`."""
        return (0.0, math.inf)

    def written_spans(self, g: Tensor, cells: Tensor) -> tuple[Tensor, Tensor] | None:
        """What writing can leave in each of the cells, from some targets and the farthest draws."""
        own, rest = self._split(cells)
        inside = self.of_cells(own)
        if isinstance(inside, Effect):  # programming does not see it
            return inside.written_spans(g, rest)
        both = inside.bounds_of(rest)
        low, high = (torch.full_like(g, b) for b in (self.g_min, self.g_max)) if both is None else both
        least, most = torch.minimum(low, high), torch.maximum(low, high)
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            target = low + share * (high - low)
            for eps in (-FARTHEST, FARTHEST):
                written = inside.programmed(target, torch.full_like(g, eps))
                least, most = torch.minimum(least, written), torch.maximum(most, written)
        return least, most

    @property
    def mechanism(self) -> str:
        """Parameters of an effect that differ go with that effect."""
        return self.device.mechanism if isinstance(self.device, Effect) else type(self).__name__

    # --- checks ----------------------------------------------------------------------------------

    def check_degrade(self) -> None:
        """Cells are what they are before they are programmed."""
        raise ValueError(
            f"{self!r}: what the cells are made of counts when they are programmed; give it in "
            "hardware.device and program, or degrade a model that is not programmed yet"
        )

    def check_inside(self) -> None:
        """The parameters are there, and all draws are values that they may have."""
        if not self.spreads and not self.cycle:
            raise ValueError("spreads = {}: name a parameter that differs from cell to cell, and its law")
        if isinstance(self.device, Varied):
            raise ValueError("device = Varied(...): name all parameters in one of them")
        for name in (*self.spreads, *self.cycle):
            self._check_name(name)
        if self.cycle and not isinstance(self.device, Switching):
            raise ValueError(
                f"cycle = {self.cycle!r}: pulses move a switching model, devices.Switching; the variation "
                f"from pulse to pulse of {type(self.device).__name__} is its programming error"
            )
        if self.chip_temperature is not None:
            self.check_one_temperature()
        self._check_order()
        self._check_values()
        self._check_cells()

    def check_one_temperature(self) -> None:
        """Raise ``ValueError`` if cells have temperatures of their own; asked where the chip has one."""
        for name in self.spreads:
            if isinstance(self.device, Effect) and name in self.device.temperatures:
                raise ValueError(
                    f"{name} differs from cell to cell, and a Temperature effect says that of the whole "
                    "chip: leave one of them out"
                )

    def _check_name(self, name: str) -> None:
        if name in _SHARED:
            raise ValueError(f"{name} is the same for all cells of an array: give another parameter")
        number_at(self._owner, name)

    def _check_order(self) -> None:
        """Laws hold values that are in order with the others."""
        middle = torch.zeros((), dtype=torch.float64)
        values: dict[str, Tensor] = {}
        for name in self.names:
            law, (low, high) = self.spreads[name], self._limits(name, middle, values)
            first = max(float(low), -math.inf if law.low is None else law.low)
            last = min(high, math.inf if law.high is None else law.high)
            point = law.std == 0 and first <= law.median <= last
            if not (point or law.clamped) and law.share(first, last) < _LEAST:
                raise ValueError(
                    f"{name} = {law!r}: less than a millionth of it lies between {first:g} and {last:g}, as "
                    f"{type(self._owner).__name__} needs; did you swap two parameters?"
                )
            values[name] = law.of(middle, low, high)

    def _check_values(self) -> None:
        """All draws are allowed: those in the middle and those at the far ends, of one and of all."""
        ends = (-_FARTHEST, 0.0, _FARTHEST)
        count = len(self.spreads)
        points = [(end,) * count for end in ends]
        points += [tuple(end * (i == k) for i in range(count)) for k in range(count) for end in ends[::2]]
        points += itertools.product(ends, repeat=count) if count <= 3 else []
        for point in points:
            own = self.own_state(torch.tensor(point, dtype=torch.float64))
            numbers = dict(zip(self.names, own.tolist(), strict=True))
            try:
                rebuilt(self._owner, numbers)
            except ValueError as error:
                drawn = ", ".join(f"{name} = {value:g}" for name, value in numbers.items())
                raise ValueError(
                    f"spreads = {self.spreads!r}: a cell with {drawn} would be drawn, but {error}; truncate "
                    "the laws with low and high"
                ) from None
        for name, law in self.cycle.items():
            if float(law.of(torch.tensor(-_FARTHEST, dtype=torch.float64))) <= 0:
                raise ValueError(f"cycle: factors on {name} are positive; truncate their law with low")

    def _check_cells(self) -> None:
        """The device computes with two cells that differ."""
        eps = torch.tensor([-0.5, 0.5], dtype=torch.float64)
        g = torch.full_like(eps, 0.5 * (self.g_min + self.g_max))
        seconds = max(self.times[0], 0.0)
        names = ", ".join(self.spreads)
        try:
            count = 1 + sum(effect.draws for effect in effects(self))
            cells = self.drift_state(g, eps.expand(count, 2))
            now = self.aged(g, cells, seconds)
            self.read_moments(g, cells, now, seconds)
            if not isinstance(self.device, Effect):
                self._with(dict(zip(self.names, cells, strict=False))).programmed(g, eps)
        except (TypeError, ValueError, IndexError, RuntimeError) as error:
            raise ValueError(
                f"{type(self.device).__name__} cannot compute with {names} that differ by cell: {error}"
            ) from None


class DrawnCells:
    """The cells of one chip while they are programmed: :class:`Varied` with its values drawn.

    Attributes:
        varied: the description.
        values: own parameters of the cells by name, each of the shape of the cells.
        base: parameters that change from pulse to pulse, before they do: a number, or one for each cell.
    """

    def __init__(
        self, varied: Varied, values: Mapping[str, Tensor], base: Mapping[str, float | Tensor]
    ) -> None:
        self.varied, self.values, self.base = varied, values, base
        self.device = varied._with(values)

    @property
    def g_min(self) -> float:
        """Lowest conductance that weights are mapped to, siemens; that of all cells alike."""
        return self.varied.g_min

    @property
    def g_max(self) -> float:
        """Highest conductance that weights are mapped to, siemens; that of all cells alike."""
        return self.varied.g_max

    @property
    def v_read(self) -> float:
        """Read voltage, volts."""
        return self.varied.v_read

    def __getattr__(self, name: str) -> Any:
        """What else a pulse asks of a device, such as the ``model`` of a switching one."""
        if name == "device" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.device, name)

    def part(self, pick: Callable[[Tensor], Tensor]) -> DrawnCells:
        """Some of the cells.

        Args:
            pick: from a tensor of all cells to one of those.
        """
        base = {name: pick(v) if isinstance(v, Tensor) else v for name, v in self.base.items()}
        return DrawnCells(self.varied, {name: pick(v) for name, v in self.values.items()}, base)

    def kept(self, g: Tensor) -> Tensor:
        """Conductances, kept between the cells' own bounds."""
        return clip(g, self.device.g_min, self.device.g_max)

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """One write towards the nearest conductance that the cell has."""
        return self.device.programmed(self.kept(g_target), eps)

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        """Standard deviation of one read, siemens."""
        return self.device.read_std(g, g_now, seconds)

    # --- from pulse to pulse ---------------------------------------------------------------------

    def before_pulses(self, like: Tensor) -> tuple[Tensor, ...]:
        """The parameters that change, before the first pulse; each of the shape of ``like``."""
        return tuple(torch.as_tensor(v).to(like).expand(like.shape).clone() for v in self.base.values())

    def cycled(self, draw: Callable[..., Tensor], like: Tensor) -> tuple[Tensor, ...]:
        """The parameters that change, drawn anew for one pulse.

        Args:
            draw: standard normal draws in the shape of the cells, by names.
            like: of the shape of the cells.

        Returns:
            Factors that would put two parameters out of order are drawn again.
        """
        before = dict(zip(self.base, self.before_pulses(like), strict=True))
        now, wrong = before, torch.ones_like(like, dtype=torch.bool)
        for turn in range(_TURNS):
            again = {n: v * self.varied.cycle[n].of(draw("cycle", n, str(turn))) for n, v in before.items()}
            now = {n: torch.where(wrong, v, now[n]) for n, v in again.items()}
            wrong = torch.zeros_like(wrong)
            for _, _, mask in self.model.replaced(**now).contradictions():
                wrong = wrong | mask
            if not bool(wrong.any()):
                break
        return tuple(torch.where(wrong, before[n], v) for n, v in now.items())

    def model_now(self, now: tuple[Tensor, ...]) -> SwitchingModel:
        """The switching model with the parameters that change as they are now."""
        model: SwitchingModel = self.model
        return model.replaced(**dict(zip(self.base, now, strict=True))) if now else model


def programmable(device: Device) -> Device:
    """What programming sees of a device: the innermost one, with its cells' own parameters."""
    around_it = list(effects(device))
    return around_it[-1] if around_it and isinstance(around_it[-1], Varied) else innermost(device)

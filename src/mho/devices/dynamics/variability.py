"""Cells that differ: parameters drawn for each cell, and again for each cycle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from mho import random
from mho.config import field_names, unknown_key
from mho.devices.dynamics.base import SwitchingModel
from mho.errors import ConfigError

M = TypeVar("M", bound=SwitchingModel)

_ROUNDS = 2000


@dataclass(frozen=True)
class Stochastic:
    """A random number: any distribution of ``torch.distributions``, truncated to [low, high].

    Draws outside are drawn again, so that the density inside keeps its form and no draws pile up at the
    bounds; with ``clamped`` they are moved to the nearer bound instead.

    Attributes:
        distribution: a distribution of single numbers.
        low: lower bound, in the unit of the parameter.
        high: upper bound.
        clamped: move draws outside to the bound.

    Example:
        >>> from torch.distributions import Normal
        >>> r_off = Stochastic(Normal(1000.0, 300.0), low=500.0)
        >>> bool((r_off.draw((1000,), 0, "r_off") >= 500).all())
        True
    """

    distribution: Distribution
    low: float = -math.inf
    high: float = math.inf
    clamped: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.distribution, Distribution):
            raise TypeError(
                f"distribution = {self.distribution!r}: one of torch.distributions, as Normal(1e3, 1e2)"
            )
        shape = tuple(self.distribution.batch_shape + self.distribution.event_shape)
        if shape:
            raise ValueError(
                f"distribution has shape {shape}: "
                "a parameter is one number; the shape of the cells is given where they are drawn"
            )
        if not self.low < self.high:
            raise ValueError(f"low = {self.low!r} must be below high = {self.high!r}")

    def draw(self, shape: Sequence[int], seed: int, *names: str) -> Tensor:
        """Draws from the stream (seed, names...): the same ones whatever ran before.

        Args:
            shape: of the cells.
            seed: the chip's seed.
            names: the stream, for example the layer and the parameter.

        Returns:
            On the CPU, in the dtype of the distribution.

        Raises:
            ValueError: the bounds hold next to nothing of the distribution.
        """
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(random.fork(seed, *names).get_state())
            values = self.distribution.sample(torch.Size(shape))
            if self.clamped:
                return values.clamp(self.low, self.high)
            for _ in range(_ROUNDS):
                outside = ~((values >= self.low) & (values <= self.high))
                count = int(outside.sum())
                if not count:
                    return values
                values[outside] = self.distribution.sample(torch.Size((count,)))
        raise ValueError(
            f"{count} of {values.numel()} draws of {self.distribution} are still outside [{self.low:g}, "
            f"{self.high:g}] after {_ROUNDS} rounds: widen the bounds, move the distribution, or clamp"
        )


def vary(
    model: M,
    spreads: Mapping[str, Stochastic],
    shape: Sequence[int],
    seed: int,
    *names: str,
    dtype: torch.dtype = torch.float32,
) -> M:
    """Cells whose parameters are drawn: device-to-device variability.

    The draws belong to the stream (seed, names..., parameter): the same chip has the same cells. Cells whose
    parameters contradict each other (``r_off`` not above ``r_on``) are drawn again.

    Args:
        model: where the other parameters come from.
        spreads: the distribution of each parameter that differs, by its name.
        shape: of the cells.
        seed: the chip's seed.
        names: which cells, for example the path of the layer and "d2d".
        dtype: of the drawn parameters.

    Raises:
        ConfigError: an unknown parameter, a value out of its range, or bounds that contradict each other.

    Example:
        >>> from torch.distributions import Normal
        >>> from mho.devices.dynamics import VTEAM
        >>> spreads = {"r_off": Stochastic(Normal(1000.0, 300.0), low=0.0)}
        >>> cells = vary(VTEAM(), spreads, (4, 5), 0, "fc", "d2d")
        >>> tuple(cells.cells), bool((cells.r_off > cells.r_on).all())
        ((4, 5), True)
    """
    return _drawn(model, spreads, shape, seed, names, dtype, relative=False)


def jitter(
    model: M,
    factors: Mapping[str, Stochastic],
    shape: Sequence[int],
    seed: int,
    *names: str,
    dtype: torch.dtype = torch.float32,
) -> M:
    """Cells whose parameters, their own ones, are multiplied by drawn factors: cycle-to-cycle variability.

    Name the cycle to get a fresh draw for each: ``jitter(cells, factors, shape, seed, "fc", "cycle", "17")``.

    Args:
        model: the cells, alike or from :func:`vary`.
        factors: the distribution of the factor on each parameter, by its name.
        shape: of the cells.
        seed: the chip's seed.
        names: which cells and which cycle.
        dtype: of the drawn parameters.

    Raises:
        ConfigError: as :func:`vary`.
    """
    return _drawn(model, factors, shape, seed, names, dtype, relative=True)


def _drawn(
    model: M,
    spreads: Mapping[str, Stochastic],
    shape: Sequence[int],
    seed: int,
    names: tuple[str, ...],
    dtype: torch.dtype,
    relative: bool,
) -> M:
    known = field_names(type(model))
    for name in spreads:
        if name not in known:
            raise ConfigError(unknown_key(name, known, type(model).__name__))

    def draw(name: str, count: Sequence[int], turn: int) -> Tensor:
        return spreads[name].draw(count, seed, *names, name, str(turn)).to(dtype)

    def values(draws: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: d * getattr(model, name) if relative else d for name, d in draws.items()}

    draws = {name: draw(name, shape, 0) for name in spreads}
    for turn in range(1, _ROUNDS):
        pairs = model.replaced(**values(draws)).contradictions()
        involved = {name for low, high, wrong in pairs if bool(wrong.any()) for name in (low, high)}
        redrawn = [name for name in spreads if name in involved]
        if not redrawn:
            return model.with_values(**values(draws))
        wrong = torch.zeros(tuple(shape), dtype=torch.bool)
        for _, _, mask in pairs:
            wrong |= mask
        for name in redrawn:
            draws[name][wrong] = draw(name, (int(wrong.sum()),), turn)
    return model.with_values(**values(draws))  # whose check says which cells contradict themselves

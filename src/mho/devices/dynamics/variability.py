"""Cells that differ: parameters drawn for each cell, and again for each cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from mho import random
from mho.config import field_names, unknown_key
from mho.devices.dynamics.base import SwitchingModel
from mho.devices.spread import Spread
from mho.errors import ConfigError

M = TypeVar("M", bound=SwitchingModel)

_ROUNDS = 2000


def vary(
    model: M,
    spreads: Mapping[str, Spread],
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
        spreads: the law of each parameter that differs, by its name, from :func:`Stochastic`.
        shape: of the cells.
        seed: the chip's seed.
        names: which cells, for example the path of the layer and "d2d".
        dtype: of the drawn parameters.

    Raises:
        ConfigError: an unknown parameter, a value out of its range, or bounds that contradict each other.

    Example:
        >>> from torch.distributions import Normal
        >>> from mho.devices.dynamics import VTEAM, Stochastic
        >>> spreads = {"r_off": Stochastic(Normal(1000.0, 300.0), low=0.0)}
        >>> cells = vary(VTEAM(), spreads, (4, 5), 0, "fc", "d2d")
        >>> tuple(cells.cells), bool((cells.r_off > cells.r_on).all())
        ((4, 5), True)
    """
    return _drawn(model, spreads, shape, seed, names, dtype, relative=False)


def jitter(
    model: M,
    factors: Mapping[str, Spread],
    shape: Sequence[int],
    seed: int,
    *names: str,
    dtype: torch.dtype = torch.float32,
) -> M:
    """Cells whose parameters, their own ones, are multiplied by drawn factors: cycle-to-cycle variability.

    Name the cycle to get a fresh draw for each: ``jitter(cells, factors, shape, seed, "fc", "cycle", "17")``.

    Args:
        model: the cells, alike or from :func:`vary`.
        factors: the law of the factor on each parameter, by its name, from :func:`Stochastic`.
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
    spreads: Mapping[str, Spread],
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
        return spreads[name].of(random.normal(count, seed, *names, name, str(turn)).to(dtype))

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

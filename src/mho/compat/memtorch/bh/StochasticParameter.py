"""Parameters that differ from cell to cell."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.distributions import Distribution, Normal

from mho import random
from mho.devices import Spread, Stochastic


class Sampler:
    """A parameter that is drawn anew each time that it is called."""

    def __init__(self, distribution: Distribution, law: Spread) -> None:
        self.law = law
        mean = float(distribution.mean)
        self.mean = mean if math.isfinite(mean) else law.median
        """Of the distribution before it is truncated; one that has none, as Cauchy's, gives its median."""

    def __call__(self) -> float:
        """One draw, by torch's global generator."""
        eps = random.normal((1,), fresh_seed()).double()
        return float(self.law.of(eps))


def StochasticParameter(
    distribution: type[Distribution] = Normal,
    min: float = 0.0,
    max: float = math.inf,
    function: bool = True,
    **parameters: float,
) -> Sampler | float:
    """A stochastic parameter of a memristor.

    Draws outside ``min`` and ``max`` are drawn again: the distribution is truncated, nothing piles up at
    its bounds.

    Args:
        distribution: a class of ``torch.distributions``.
        min: lowest value.
        max: highest value.
        function: True for a parameter that is drawn for each memristor; False for a single draw, a number.
        parameters: of the distribution, such as ``loc`` and ``scale``. A normal one with ``scale=0`` is the
            number ``loc``.

    >>> r_off = StochasticParameter(loc=1000.0, scale=200.0, min=2.0)
    >>> r_off() != r_off()
    True
    """
    if distribution is Normal and parameters.get("scale") == 0:
        return float(parameters.get("loc", 0.0))
    made = distribution(**{k: torch.tensor(float(v)) for k, v in parameters.items()})  # type: ignore[arg-type]
    low, high = (None if math.isinf(bound) else float(bound) for bound in (min, max))
    sampler = Sampler(made, Stochastic(made, low, high))
    return sampler if function else sampler()


StochaticParameter = StochasticParameter  # the tutorial's text has both spellings
setattr(StochasticParameter, "StochasticParameter", StochasticParameter)  # noqa: B010 (also as a module)


def fresh_seed() -> int:
    """A seed from torch's global generator: ``torch.manual_seed`` in a script repeats what follows."""
    return int(torch.randint(2**62, ()))


def means(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters with the mean of those that are drawn."""
    return {k: v.mean if isinstance(v, Sampler) else v for k, v in parameters.items()}

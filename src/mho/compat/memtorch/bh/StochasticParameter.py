"""Parameters that differ from cell to cell."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.distributions import Distribution, Normal

from mho.devices import Spread
from mho.devices.dynamics import Stochastic


class Sampler:
    """A parameter that is drawn anew each time that it is called."""

    def __init__(self, law: Stochastic) -> None:
        self.law = law

    @property
    def mean(self) -> float:
        """Of the distribution before it is truncated; one that has none, as Cauchy's, gives its median."""
        mean = float(self.law.distribution.mean)
        return mean if math.isfinite(mean) else self.spread().median

    def __call__(self) -> float:
        """One draw, by torch's global generator."""
        return float(self.law.draw((1,), fresh_seed()))

    def spread(self) -> Spread:
        """The law of the cells of an array.

        Raises:
            ConfigError: a discrete distribution, or one whose probabilities torch does not know.
        """
        low, high = (None if math.isinf(bound) else float(bound) for bound in (self.law.low, self.law.high))
        return Spread(distribution=self.law.distribution, low=low, high=high)


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
        parameters: of the distribution, such as ``loc`` and ``scale``.

    >>> r_off = StochasticParameter(loc=1000.0, scale=200.0, min=2.0)
    >>> r_off() != r_off()
    True
    """
    made = distribution(**{k: torch.tensor(float(v)) for k, v in parameters.items()})  # type: ignore[arg-type]
    sampler = Sampler(Stochastic(made, low=float(min), high=float(max)))
    return sampler if function else sampler()


StochaticParameter = StochasticParameter  # the tutorial's text has both spellings
setattr(StochasticParameter, "StochasticParameter", StochasticParameter)  # noqa: B010 (also as a module)


def fresh_seed() -> int:
    """A seed from torch's global generator: ``torch.manual_seed`` in a script repeats what follows."""
    return int(torch.randint(2**62, ()))


def means(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters with the mean of those that are drawn."""
    return {k: v.mean if isinstance(v, Sampler) else v for k, v in parameters.items()}

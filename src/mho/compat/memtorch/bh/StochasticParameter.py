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
        """Of the distribution before it is truncated."""
        return float(self.law.distribution.mean)

    def __call__(self) -> float:
        """One draw, by torch's global generator."""
        return float(self.law.draw((1,), fresh_seed()))

    def spread(self, name: str) -> Spread:
        """The law of the cells of an array."""
        law = self.law.distribution
        if not isinstance(law, Normal):
            raise ValueError(
                f"{name} is drawn from {type(law).__name__}: the cells of an array take a normal "
                "distribution, truncated to min and max; a single memristor takes any"
            )
        high = None if math.isinf(self.law.high) else float(self.law.high)
        return Spread(
            mean=float(law.mean), std=float(law.stddev), low=max(float(self.law.low), 0.0), high=high
        )


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

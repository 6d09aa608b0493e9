"""Every range keeps its contract; the check sees what it is there to see."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mho.config import config
from mho.converters import (
    AutoRange,
    Calibrated,
    Dynamic,
    EachSlice,
    Fixed,
    Learned,
    LeastSquares,
    Range,
    Widening,
)
from mho.testing import check_range

RANGES = [
    Fixed(limit=2.0),
    Fixed(limit=2.0, low=-0.5),
    EachSlice(limits=(1.0, 0.5)),
    Calibrated(),
    Calibrated(quantile=0.99, per_tile=True),
    Calibrated(per_slice=True, powers_of_two=True),
    LeastSquares(),
    LeastSquares(per_tile=True, powers_of_two=True),
    Learned(initial=2.0),
    Dynamic(),
    AutoRange(),
    AutoRange(overflow=0.2, powers_of_two=False),
    Widening(limit=0.5),
]


@pytest.mark.parametrize("how", RANGES, ids=str)
def test_contract(how: Range) -> None:
    check_range(how)


@config
class TwoWays(Calibrated):
    """It is known in advance and chosen from data."""

    def given(self) -> float:
        return 1.0


@config
class Keeps(Calibrated):
    """It forgets what was chosen."""

    def with_limits(self, limits: object) -> Range:
        return self


@config
class Elsewhere(Calibrated):
    """It says another shape than it chooses for."""

    def shape(self, tiles: int, channels: int | None) -> tuple[int, ...]:
        return (2,)


@config
class Halves(Learned):
    """It changes values in range."""

    def clip(self, values: Tensor, unit: float | Tensor, limit: Tensor) -> tuple[Tensor, float | Tensor]:
        return values / 2, unit


@config
class Attached(Dynamic):
    """It keeps the gradient."""

    def full_scale(self, values: Tensor, axes: tuple[int, ...], columns: object = ()) -> Tensor:
        return values.abs().amax(axes, keepdim=True)


@config
class Flat(Dynamic):
    """It does not broadcast."""

    def full_scale(self, values: Tensor, axes: tuple[int, ...], columns: object = ()) -> Tensor:
        return values.detach().abs().amax(axes)


@config
class Undecided(Dynamic):
    """It decides by the values."""

    def full_scale(self, values: Tensor, axes: tuple[int, ...], columns: object = ()) -> Tensor:
        found = values.detach().abs().amax(axes, keepdim=True)
        return found if float(found.max()) > 0 else torch.ones_like(found)


WRONG = {
    TwoWays: "in one way",
    Keeps: "starts with these full scales",
    Elsewhere: "as many full scales as it says",
    Halves: "leave values in range as they are",
    Attached: "no gradient",
    Flat: "broadcast",
    Undecided: "must not branch",
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_the_check_sees(kind: type[Range]) -> None:
    with pytest.raises(AssertionError, match=WRONG[kind]):
        check_range(kind())

"""Every correction keeps its contract; the check sees what it is there to see."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mho.config import config
from mho.periphery import Affine, ColumnDrift, Compensation, GlobalDrift, KnownDrift
from mho.testing import check_compensation


@pytest.mark.parametrize(
    "method", [GlobalDrift(), ColumnDrift(), Affine(), Affine(per_column=False), KnownDrift(nu=0.05)], ids=str
)
def test_contract(method: Compensation) -> None:
    check_compensation(method)


@config
class Scalar(GlobalDrift):
    """One gain, not one for each column."""

    def from_reference(self, before: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        return (before.mean() / now.mean().clamp(min=1e-4)), torch.zeros_like(before)


@config
class Shifting(ColumnDrift):
    """It shifts what needs no shift."""

    def from_reference(self, before: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        return super().from_reference(before, now)[0], before


@config
class InPlace(ColumnDrift):
    """It overwrites the read."""

    def from_reference(self, before: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        return before / now.clamp_(min=0.5), torch.zeros_like(before)


@config
class Wide(ColumnDrift):
    """It changes the dtype."""

    def from_reference(self, before: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        gain, shift = super().from_reference(before, now)
        return gain.double(), shift.double()


WRONG = {
    Scalar: r"gain must be \[column\]",
    Shifting: "must be left as it is",
    InPlace: "must not change its arguments",
    Wide: "must keep the dtype",
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_the_check_sees(kind: type[Compensation]) -> None:
    with pytest.raises(AssertionError, match=WRONG[kind]):
        check_compensation(kind())

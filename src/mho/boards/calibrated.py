"""Offset and gain of the channel of each column."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Calibration(NamedTuple):
    """What a channel makes of a current: ``gain * current + offset``.

    Attributes:
        gain: of each column, float64, ``[column]``.
        offset: of each column, amperes, float64, ``[column]``.
    """

    gain: Tensor
    offset: Tensor

    def applied(self, amperes: Tensor, columns: Tensor) -> Tensor:
        """The currents themselves; ``columns`` broadcasts to what was measured."""
        return (amperes - self.offset[columns]) / self.gain[columns]


def calibration_of(dark: Tensor, lit: Tensor, expected: Tensor) -> Calibration:
    """From reads of a known array.

    Args:
        dark: currents at 0 V, amperes, ``[row, column]``.
        lit: currents at the read voltage.
        expected: those that there should be.

    Raises:
        ValueError: a column with no current to compare.
    """
    offset = dark.mean(0)
    power = expected.square().sum(0)
    if bool((power <= 0).any()):
        column = int((power <= 0).nonzero()[0])
        raise ValueError(f"expected: column {column} has no current at all; give known cells in every column")
    gain = ((lit - offset) * expected).sum(0) / power
    if bool((gain.abs() < 1e-3).any()):
        column = int((gain.abs() < 1e-3).nonzero()[0])
        raise ValueError(f"column {column} gives no current for cells that conduct: run self_test first")
    return Calibration(gain, torch.as_tensor(offset))

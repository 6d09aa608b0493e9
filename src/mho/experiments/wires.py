"""What line resistance does to an array: a voltage map, the error of a product, and the size to choose.

>>> result = WireStudy(rows=32, columns=32, sizes=(8, 16), ohms=(1.0,)).run()
>>> result.device.shape, [(row.size, row.ohm) for row in result.sweep]
((32, 32), [(8, 1.0), (16, 1.0)])
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from mho import random
from mho.array import Wires
from mho.array._circuit import check_solvable
from mho.config import Count, Fraction, NonNegative, Positive, config
from mho.experiments.harness import Study, grid

if TYPE_CHECKING:
    import pandas as pd


class ErrorRow(NamedTuple):
    """Error of the products of square arrays of one size and resistance.

    Attributes:
        size: rows and columns.
        ohm: resistance of a segment, word lines and bit lines alike.
        loss: share of the voltage that the worst cell lacks when all inputs are at full scale.
        error: root mean square error of a signed product over its root mean square.
        after_gain: the same after one digital gain for the array.
        bits: resolution whose rounding makes as large an error as ``after_gain``.
    """

    size: int
    ohm: float
    loss: float
    error: float
    after_gain: float
    bits: float


class SizeRow(NamedTuple):
    """The largest square array within a tolerance.

    Attributes:
        ohm: resistance of a segment.
        size: largest size of the sweep whose error after gain is within the tolerance; 0 for none.
        estimate: ``2 sqrt(tolerance / (ohm * mean conductance))``, the rule of thumb: the worst cell
            lacks about ``ohm * mean * size^2`` of its voltage (first order), and a product is wrong by
            about a quarter of that after one gain for the array.
    """

    ohm: float
    size: int
    estimate: float


class WireResult(NamedTuple):
    """Tables of a wire study.

    Attributes:
        device: voltage across each cell over the applied one, all inputs at full scale, ``[row, column]``.
        share: current of each column over that without resistance, ``[column]``.
        sweep: error of products against size and resistance.
        choice: size to choose for each resistance.
        tolerance: that the choice is made for.
    """

    device: npt.NDArray[np.float64]
    share: npt.NDArray[np.float64]
    sweep: tuple[ErrorRow, ...]
    choice: tuple[SizeRow, ...]
    tolerance: float


@config
class WireStudy(Study):
    """Everything that decides the result.

    Attributes:
        rows, columns: size of the array whose voltages are shown.
        wires: its lines; None for 1 ohm for each segment.
        sizes: square arrays to sweep.
        ohms: segment resistances to sweep.
        g_min: smallest conductance of a cell, siemens. Weights are uniform in [-1, 1] on one-sided
            differential pairs.
        g_max: largest conductance of a cell, siemens.
        tolerance: error after gain that is taken as good enough.
        vectors: random inputs, uniform in [-1, 1], for each product.
        seed: of weights and inputs.
    """

    rows: Count = 128
    columns: Count = 128
    wires: Wires | None = None
    sizes: Annotated[tuple[Count, ...], Field(min_length=1)] = (16, 32, 64, 128, 256)
    ohms: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.5, 1.0, 2.0, 5.0, 10.0)
    g_min: NonNegative = 0.0
    g_max: Positive = 25e-6
    tolerance: Fraction = 0.01
    vectors: Count = 200
    seed: int = 0

    def validate(self) -> None:
        """Raise ``ValueError`` unless g_min < g_max."""
        if not self.g_min < self.g_max:
            raise ValueError(f"g_min = {self.g_min!r} S must be below g_max = {self.g_max!r} S")

    pieces = "arrays"
    cpu_only = True

    def places(self) -> list[dict[str, Any]]:
        """Each resistance with each size."""
        return grid(ohm=self.ohms, size=self.sizes)

    def measure(self, place: Mapping[str, Any], shared: Any) -> dict[str, Any]:
        """The errors of one array."""
        return self.errors(place["size"], place["ohm"])._asdict()

    def headline(self, table: pd.DataFrame) -> dict[str, float]:
        """Least voltage and current of the array; errors of products, and the size to choose."""
        rows = table[list(ErrorRow._fields)].itertuples(index=False)
        result = self.result(tuple(ErrorRow(*row) for row in rows))
        figures = {"least_voltage": float(result.device.min()), "least_current": float(result.share.min())}
        for row in result.sweep:
            name, found = f"{row.size}_rows_{row.ohm:g}_ohm", row._asdict()
            figures |= {f"{name}_{what}": found[what] for what in ("loss", "error", "after_gain", "bits")}
        return {**figures, **{f"largest_size_{row.ohm:g}_ohm": float(row.size) for row in result.choice}}

    def run(self) -> WireResult:
        """Solve all arrays of the study."""
        for rows, columns in ((self.rows, self.columns), *((size, size) for size in self.sizes)):
            check_solvable(rows, columns, 8)  # before an hour of computing, not after it
        return self.result(tuple(self.errors(place["size"], place["ohm"]) for place in self.places()))

    def result(self, sweep: tuple[ErrorRow, ...]) -> WireResult:
        """The tables of the study, whose errors are known: the voltages of its array, the sizes to choose."""
        wires = self.wires or Wires(row=1.0, column=1.0)
        plus, _ = self.pair(self.rows, self.columns)
        full = torch.ones(self.rows, dtype=plus.dtype)
        solution = wires.solve(plus, full)
        ideal = full @ plus
        share = torch.where(ideal > 0, solution.current / ideal, torch.ones_like(ideal))
        choice = tuple(self._choice(ohm, sweep) for ohm in self.ohms)
        return WireResult(solution.device.numpy(), share.numpy(), sweep, choice, self.tolerance)

    def pair(self, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Conductances of random weights, ``[row, column]`` for each sign."""
        check_solvable(rows, columns, 8)
        w = 2 * random.uniform((rows, columns), self.seed, "wires", "weights").double() - 1
        span = self.g_max - self.g_min
        return self.g_min + span * w.clamp(min=0), self.g_min + span * (-w).clamp(min=0)

    def errors(self, size: int, ohm: float) -> ErrorRow:
        """Products of square arrays."""
        wires, pair = Wires(row=ohm, column=ohm), torch.stack(self.pair(size, size))
        g_eff = wires.effective_conductance(pair)
        x = 2 * random.uniform((self.vectors, size), self.seed, "wires", "inputs").double() - 1
        ideal, real = x @ (pair[0] - pair[1]), x @ (g_eff[0] - g_eff[1])
        gain = (ideal * real).sum() / real.square().sum()
        power = ideal.square().mean()
        error = float(((real - ideal).square().mean() / power).sqrt())
        after = float(((gain * real - ideal).square().mean() / power).sqrt())
        worst = float(wires.solve(pair[0], torch.ones(size, dtype=pair.dtype)).device.min())
        return ErrorRow(size, ohm, 1 - worst, error, after, bits(after))

    def _choice(self, ohm: float, sweep: tuple[ErrorRow, ...]) -> SizeRow:
        good = [row.size for row in sweep if row.ohm == ohm and row.after_gain <= self.tolerance]
        mean = self.g_min + (self.g_max - self.g_min) / 4  # of one sign of a uniform weight
        return SizeRow(ohm, max(good, default=0), 2 * math.sqrt(self.tolerance / (ohm * mean)))


def bits(error: float) -> float:
    """Resolution whose rounding makes the relative error ``error``: ``(SNR in dB - 1.76) / 6.02``.

    >>> round(bits(0.01), 2)
    6.35
    """
    return (-20 * math.log10(error) - 1.76) / 6.02 if error > 0 else math.inf

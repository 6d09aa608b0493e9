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
    import matplotlib.axes
    import matplotlib.figure
    import pandas as pd

# Blue, green, orange and vermillion of M. Okabe and K. Ito's palette, then grey.
_COLOURS = ("#0072b2", "#009e73", "#e69f00", "#d55e00", "#5b6b7b", "#cc79a7", "#56b4e9")
_INK, _QUIET, _LINE = "#1d2733", "#5b6b7b", "#dde3ea"


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


def wires_text(result: WireResult) -> str:
    """The tables as text."""
    rows, columns = result.device.shape
    device, share = 100 * result.device, 100 * result.share
    lines = [
        f"{rows} x {columns} cells, all inputs at full scale",
        f"voltage across a cell: {device.min():.2f} % at worst, {device.mean():.2f} % on average",
        f"current of a column: {share.min():.2f} % at worst, {share.max():.2f} % at best",
        "",
        f"{'size':>6}{'ohm':>8}{'worst cell':>12}{'error':>10}{'after gain':>12}{'bits':>7}",
    ]
    lines += [
        f"{row.size:>6}{row.ohm:>8g}{-100 * row.loss:>10.2f} %{100 * row.error:>8.2f} %"
        f"{100 * row.after_gain:>10.2f} %{row.bits:>7.1f}"
        for row in result.sweep
    ]
    lines += [
        "",
        f"largest size of these within {100 * result.tolerance:g} % after gain, and the rule of thumb",
    ]
    lines += [f"{c.ohm:>8g} ohm{c.size or '-':>8}{c.estimate:>8.0f}" for c in result.choice]
    return "\n".join(lines)


def wires_figure(result: WireResult, title: str = "What line resistance takes") -> matplotlib.figure.Figure:
    """Voltage map of the array, and the error of products against size.

    Args:
        result: of :meth:`WireStudy.run`.
        title: head line.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.4, 4.6), dpi=160, facecolor="white", layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", color=_INK, fontsize=13, fontweight="bold")
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.1))
    _voltage_map(left, result, figure)
    _error_curves(right, result)
    return figure


def _voltage_map(axes: matplotlib.axes.Axes, result: WireResult, figure: matplotlib.figure.Figure) -> None:
    rows, columns = result.device.shape
    image = axes.imshow(100 * result.device, cmap="cividis", aspect="auto", interpolation="nearest")
    figure.colorbar(image, ax=axes, label="voltage across the cell, % of the applied")
    axes.set_title(f"{rows} x {columns} cells, all inputs on", loc="left", color=_INK, fontsize=10.5)
    axes.set_xlabel("column (drivers at the left)", color=_INK)
    axes.set_ylabel("row (sense amplifiers below)", color=_INK)


def _error_curves(axes: matplotlib.axes.Axes, result: WireResult) -> None:
    ohms = list(dict.fromkeys(row.ohm for row in result.sweep))
    for k, ohm in enumerate(ohms):
        rows = sorted((row.size, row) for row in result.sweep if row.ohm == ohm)
        sizes = [size for size, _ in rows]
        colour = _COLOURS[k % len(_COLOURS)]
        axes.plot(sizes, [100 * r.error for _, r in rows], color=colour, linewidth=1.2, linestyle=":")
        axes.plot(sizes, [100 * r.after_gain for _, r in rows], color=colour, marker="o", label=f"{ohm:g} Ω")
    axes.axhline(100 * result.tolerance, color=_QUIET, linewidth=0.9)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    every = sorted({row.size for row in result.sweep})
    axes.set_xticks(every, [str(size) for size in every])
    axes.set_xlabel("rows and columns", color=_INK)
    axes.set_ylabel("rms error of a product, %", color=_INK)
    axes.set_title(
        "dotted: as it is; solid: after one gain for the array", loc="left", color=_INK, fontsize=10.5
    )
    axes.grid(color=_LINE, linewidth=0.8)
    axes.legend(title="segment", frameon=False)

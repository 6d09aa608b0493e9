"""What the robustness test shows: means, areas under the curves, and paired tests between methods."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mho.experiments.statistics import estimate, holm, paired

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("levels", "method", "disturbance", "seconds", "repeat", "strength", "accuracy")


@dataclass(frozen=True)
class Point:
    """Accuracy under one disturbance, over repeats.

    Attributes:
        levels, method, disturbance: the network, and ``"noise"`` or the device.
        seconds: age of the chips; None for noise.
        strength: relative change of the weights (mean over repeats).
        mean, std: accuracy; std is None for one repeat.
        drop: accuracy without a disturbance minus ``mean``.
    """

    levels: str
    method: str
    disturbance: str
    seconds: float | None
    strength: float
    mean: float
    std: float | None
    drop: float


@dataclass(frozen=True)
class Area:
    """The area under one curve, divided by its width: the mean accuracy from the least to the most noise.

    Attributes:
        levels, method: the network.
        clean: accuracy without noise.
        area, std: mean and standard deviation over repeats; std is None for one repeat.
        drop: ``clean`` minus the mean accuracy with the most noise.
    """

    levels: str
    method: str
    clean: float
    area: float
    std: float | None
    drop: float


@dataclass(frozen=True)
class Comparison:
    """The method with the largest area against another one, paired by the draw of the noise.

    Attributes:
        levels: the level set.
        best, other: the methods.
        difference, low, high: of their areas, with the 95 % interval; ends are None without a test.
        t, p: Student's paired test over repeats; None for one repeat, or if the areas differ by the same in
            every repeat.
        p_holm: ``p`` corrected for the number of comparisons on this level set (Holm).
        repeats: number of pairs.
        tied: their mean areas are the same: ``best`` is not better than ``other``.
    """

    levels: str
    best: str
    other: str
    difference: float
    low: float | None
    high: float | None
    t: float | None
    p: float | None
    p_holm: float | None
    repeats: int
    tied: bool


@dataclass(frozen=True)
class Summary:
    """All of it.

    Attributes:
        points: accuracy for each disturbance.
        areas: one for each curve of the noise.
        comparisons: the most robust method of each level set against the others.
    """

    points: tuple[Point, ...]
    areas: tuple[Area, ...]
    comparisons: tuple[Comparison, ...]

    def document(self) -> dict[str, list[dict[str, Any]]]:
        """Plain values."""
        return {
            "points": [asdict(p) for p in self.points],
            "areas": [asdict(a) for a in self.areas],
            "comparisons": [asdict(c) for c in self.comparisons],
        }


def summarise(table: pd.DataFrame, clean: Mapping[tuple[str, str], float] | None = None) -> Summary:
    """The summary of a table with the columns ``COLUMNS``.

    Args:
        table: accuracies.
        clean: accuracy without a disturbance by level set and method; None if the table has strength 0.
    """
    points: list[Point] = []
    areas: list[Area] = []
    comparisons: list[Comparison] = []
    for levels, of_levels in table.groupby("levels", sort=False):
        each: dict[str, list[float]] = {}
        for method, rows in of_levels.groupby("method", sort=False):
            noise = rows[rows["disturbance"] == "noise"]
            wide = noise.pivot(index="repeat", columns="strength", values="accuracy").sort_index(axis=1)
            still = float(wide.iloc[:, 0].mean()) if clean is None else clean[str(levels), str(method)]
            each[str(method)] = [area_under(wide.columns.to_list(), row) for row in wide.to_numpy()]
            points += _points(str(levels), str(method), rows, still)
            e = estimate(each[str(method)])
            drop = still - float(wide.iloc[:, -1].mean())
            areas.append(Area(str(levels), str(method), still, e.mean, _known(e.std), drop))
        comparisons += compare(str(levels), each)
    return Summary(tuple(points), tuple(areas), tuple(comparisons))


def area_under(strengths: list[float], accuracies: Any) -> float:
    """Trapezoids under a curve, divided by its width; of one point the accuracy itself.

    >>> area_under([0.0, 0.1, 0.3], [1.0, 0.8, 0.4])
    0.7
    """
    x, y = np.asarray(strengths, dtype=np.float64), np.asarray(accuracies, dtype=np.float64)
    if len(x) == 1:
        return float(y[0])
    return round(float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / (x[-1] - x[0])), 15)


def compare(levels: str, areas: dict[str, list[float]]) -> list[Comparison]:
    """The method with the largest mean area against each other one.

    Args:
        levels: names the level set.
        areas: area of each repeat, by method, in the same order of repeats.
    """
    best = max(areas, key=lambda method: float(np.mean(areas[method])))  # of tied ones the first
    others = [method for method in areas if method != best]
    tests = [paired(areas[best], areas[other]) for other in others]
    corrected = holm([test.p for test in tests])
    return [
        Comparison(
            levels, best, other,
            test.difference.mean, _known(test.difference.low), _known(test.difference.high),
            _known(test.t), _known(test.p), _known(p), test.difference.n, test.tied,
        )
        for other, test, p in zip(others, tests, corrected, strict=True)
    ]  # fmt: skip


def _points(levels: str, method: str, rows: pd.DataFrame, clean: float) -> list[Point]:
    found = []
    noise = rows["disturbance"] == "noise"
    for strength, group in rows[noise].groupby("strength"):
        found.append(_point(levels, method, "noise", None, float(str(strength)), group, clean))
    for (device, seconds), group in rows[~noise].groupby(["disturbance", "seconds"], sort=False):
        strength = float(group["strength"].mean())
        found.append(_point(levels, method, str(device), float(seconds), strength, group, clean))
    return found


def _point(
    levels: str,
    method: str,
    disturbance: str,
    seconds: float | None,
    strength: float,
    group: pd.DataFrame,
    clean: float,
) -> Point:
    e = estimate(group["accuracy"].to_list())
    return Point(levels, method, disturbance, seconds, strength, e.mean, _known(e.std), clean - e.mean)


def _known(value: float) -> float | None:
    """None for what is not defined."""
    return None if math.isnan(value) else value

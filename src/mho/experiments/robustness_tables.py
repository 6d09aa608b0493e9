"""What the robustness test shows: means, areas under the curves, and paired tests between methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mho.experiments.statistics import estimate, holm, paired
from mho.experiments.tables import records_of

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("levels", "method", "disturbance", "seconds", "repeat", "strength", "accuracy")
Rows = list[dict[str, Any]]


def summarise(table: pd.DataFrame, clean: Mapping[tuple[str, str], float] | None = None) -> dict[str, Rows]:
    """The summary of a table with the columns ``COLUMNS``, as plain rows; None for what is not defined.

    Args:
        table: accuracies.
        clean: accuracy without a disturbance by level set and method; None if the table has strength 0.

    Returns:
        ``points``, accuracy under one disturbance, over repeats: ``levels, method, disturbance`` (the
        network, and ``"noise"`` or the device), ``seconds`` (age of the chips; None for noise), ``strength``
        (relative change of the weights, mean over repeats), ``mean, std`` of the accuracy (std is None for
        one repeat), ``drop`` (accuracy without a disturbance minus ``mean``).

        ``areas``, the area under each curve of the noise, divided by its width: the mean accuracy from the
        least to the most noise: ``levels, method``, ``clean`` (accuracy without noise), ``area, std`` (mean
        and standard deviation over repeats; std is None for one repeat), ``drop`` (``clean`` minus the mean
        accuracy with the most noise).

        ``comparisons``, the most robust method of each level set against the others: see :func:`compare`.
    """
    points: Rows = []
    areas: Rows = []
    comparisons: Rows = []
    for levels, of_levels in table.groupby("levels", sort=False):
        each: dict[str, list[float]] = {}
        for method, rows in of_levels.groupby("method", sort=False):
            key, noise = (str(levels), str(method)), rows[rows["disturbance"] == "noise"]
            wide = noise.pivot(index="repeat", columns="strength", values="accuracy").sort_index(axis=1)
            still = float(wide.iloc[:, 0].mean()) if clean is None else clean[key]
            each[key[1]] = [area_under(wide.columns.to_list(), row) for row in wide.to_numpy()]
            network = {"levels": key[0], "method": key[1]}
            points += [{**network, **point, "drop": still - point["mean"]} for point in _points(rows)]
            e, drop = estimate(each[key[1]]), still - float(wide.iloc[:, -1].mean())
            areas.append({**network, "clean": still, "area": e.mean, "std": e.std, "drop": drop})
        comparisons += compare(str(levels), each)
    return {"points": _plain(points), "areas": _plain(areas), "comparisons": comparisons}


def area_under(strengths: list[float], accuracies: Any) -> float:
    """Trapezoids under a curve, divided by its width; of one point the accuracy itself.

    >>> area_under([0.0, 0.1, 0.3], [1.0, 0.8, 0.4])
    0.7
    """
    x, y = np.asarray(strengths, dtype=np.float64), np.asarray(accuracies, dtype=np.float64)
    if len(x) == 1:
        return float(y[0])
    return round(float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / (x[-1] - x[0])), 15)


def compare(levels: str, areas: dict[str, list[float]]) -> Rows:
    """The method with the largest mean area against each other one, paired by the draw of the noise.

    Args:
        levels: names the level set.
        areas: area of each repeat, by method, in the same order of repeats.

    Returns:
        Rows with ``levels``; ``best, other``, the methods; ``difference, low, high`` of their areas, with the
        95 % interval (ends are None without a test); ``t, p``, Student's paired test over repeats (None for
        one repeat, or if the areas differ by the same in every repeat); ``p_holm``, ``p`` corrected for the
        number of comparisons on this level set (Holm); ``repeats``, number of pairs; and ``tied``: their mean
        areas are the same, ``best`` is not better than ``other``.
    """
    best = max(areas, key=lambda method: float(np.mean(areas[method])))  # of tied ones the first
    tests = {other: paired(areas[best], areas[other]) for other in areas if other != best}
    corrected = holm([test.p for test in tests.values()])
    return _plain(
        [
            {
                "levels": levels, "best": best, "other": other, "difference": test.difference.mean,
                "low": test.difference.low, "high": test.difference.high, "t": test.t, "p": test.p,
                "p_holm": p, "repeats": test.difference.n, "tied": test.tied,
            }
            for (other, test), p in zip(tests.items(), corrected, strict=True)
        ]
    )  # fmt: skip


def _points(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The estimate of each strength of the noise, and of each age of the chips."""
    place = rows["seconds"].fillna(rows["strength"])  # chips of one age differ in their strength
    for (disturbance, at), group in rows.groupby(["disturbance", place], sort=False):
        e, seconds = estimate(group["accuracy"].to_list(), share=True), float(group["seconds"].iloc[0])
        strength = float(group["strength"].mean()) if seconds == seconds else at
        yield {
            "disturbance": disturbance, "seconds": seconds, "strength": strength, "mean": e.mean, "std": e.std
        }  # fmt: skip


def _plain(rows: Rows) -> Rows:
    import pandas as pd

    return records_of(pd.DataFrame(rows))

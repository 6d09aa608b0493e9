"""The figure of an error budget shows the numbers of its table."""

from __future__ import annotations

import io
import math

import pytest

from mho.analysis.budget import Budget
from mho.analysis.losses import Interval, Part
from mho.report import budget_figure


def table(*parts: Part) -> Budget:
    return Budget(digital=0.9, ideal=0.9, chips=3, total=Interval(0.3, 0.2, 0.4), parts=parts)


DRIFT = Part("mechanism", "drift", Interval(0.1, 0.05, 0.15), Interval(0.2, 0.1, 0.3))
READS = Part("mechanism", "read noise", Interval(0.02, 0.01, 0.03), Interval(0.01, 0.0, 0.02))
FIRST = Part("layer", "0", Interval(0.05, math.nan, math.nan), Interval(0.07, math.nan, math.nan))


def test_bars_are_the_numbers() -> None:
    figure = budget_figure(table(DRIFT, READS, FIRST), factor=100.0)
    above, below = figure.axes
    assert [t.get_text() for t in above.get_yticklabels()] == ["read noise", "drift"]  # the largest on top
    widths = [bar.get_width() for container in above.containers[1::2] for bar in container]
    assert widths == pytest.approx([2.0, 10.0, 1.0, 20.0])
    (errors,) = above.containers[0].lines[2]
    assert [segment[:, 0].tolist() for segment in errors.get_segments()] == [
        pytest.approx([1.0, 3.0]),
        pytest.approx([5.0, 15.0]),
    ]
    assert [bar.get_width() for bar in below.containers[1]] == pytest.approx([5.0])
    figure.savefig(io.BytesIO(), format="png")


def test_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        budget_figure(table())

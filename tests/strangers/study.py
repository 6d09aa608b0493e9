"""A study of one's own: how the error of a sum falls with the number of its terms."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

import mho
from mho.config import Count, config
from mho.experiments.harness import Column, Study, grid


@config
class Averages(Study):
    """The error of the mean of normal numbers.

    Attributes:
        counts: how many are averaged.
        repeats: how often.
        seed: of the numbers.
    """

    counts: tuple[Count, ...] = (4, 64)
    repeats: Count = 100
    seed: int = 0
    measured = (Column("rms", "V", "rms error of a mean", low=0, high=10),)

    def places(self) -> Sequence[Mapping[str, Any]]:
        return grid(count=self.counts, kind=("own", "global"))

    def measure(self, place: Mapping[str, Any], shared: Any) -> Iterator[Mapping[str, Any]]:
        shape = (self.repeats, place["count"])
        own = place["kind"] == "own"
        values = mho.random.normal(shape, self.seed, "values") if own else torch.randn(shape)
        yield {"half": 1, "rms": values.mean(1).square().mean().sqrt()}
        yield {"half": 2, "rms": values.double().mean(1).square().mean().sqrt()}


def by_formula(count: int, repeats: int) -> tuple[float, float]:
    """The error that is expected, and the error of that."""
    return 1 / math.sqrt(count), 1 / math.sqrt(2 * repeats * count)


_CALLS = itertools.count()


@config
class Counting(Averages):
    """Wrong: what it finds depends on what was measured before."""

    def measure(self, place: Mapping[str, Any], shared: Any) -> Iterator[Mapping[str, Any]]:
        yield {"rms": next(_CALLS) / 1000}


@config
class Twice(Averages):
    """Wrong: a place is there twice."""

    def places(self) -> Sequence[Mapping[str, Any]]:
        return [*super().places(), *super().places()[:1]]


@config
class Nameless(Averages):
    """Wrong: what it says it measures is not there."""

    def measure(self, place: Mapping[str, Any], shared: Any) -> Iterator[Mapping[str, Any]]:
        yield {"deviation": 1.0}


@config
class Beyond(Averages):
    """Wrong: a figure that cannot be."""

    def measure(self, place: Mapping[str, Any], shared: Any) -> Iterator[Mapping[str, Any]]:
        yield {"rms": -1.0}


@config
class Speechless(Averages):
    """Wrong: a sweep is told nothing."""

    def headline(self, table: Any) -> dict[str, float]:
        return {}


WRONG = [Counting(), Twice(), Nameless(), Beyond(), Speechless()]

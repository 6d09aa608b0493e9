"""Listening to the arrays of a model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TypeVar

from mho.chip.events import Counter
from mho.chip.tap import Tap
from mho.nn.crossbar import Crossbar

C = TypeVar("C", bound=Counter)


@contextlib.contextmanager
def tapped(arrays: Mapping[str, Crossbar], taps: Mapping[str, Tap]) -> Iterator[None]:
    """Let a tap listen to each array; who listened before hears nothing meanwhile, and then goes on."""
    before = {path: array._tap for path, array in arrays.items()}
    try:
        for path, array in arrays.items():
            array._tap = taps[path]
        yield
    finally:
        for path, array in arrays.items():
            array._tap = before[path]


def counter(array: Crossbar, every: int = 0) -> Counter:
    """A counter of what an array does, which looks at each how manieth vector; 0 for none."""
    return counter_of(Counter, array, every)


def counter_of(kind: type[C], array: Crossbar, every: int) -> C:
    """A counter of some kind."""
    groups, _, columns = array.matrix(array.weight.detach()).shape
    return kind(array.hardware, array.layout, groups, columns, every, array.weight.device)

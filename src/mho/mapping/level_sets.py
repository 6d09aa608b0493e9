"""The weights that real cells can hold: level sets, and the nearest level.

A level set is a rising list of normalised weights in [-1, 1], made from measured conductance states or
by a rule. A weight goes to its nearest level by a search among the midpoints, O(log L) for each weight;
a weight exactly between two levels goes to the lower one.

>>> levels = DevicePair(states=(1e-6, 2e-6, 4e-6))
>>> [round(v, 4) for v in levels.values().tolist()]
[-1.0, -0.6667, -0.3333, 0.0, 0.3333, 0.6667, 1.0]
>>> nearest(torch.tensor([0.4, 0.9, 1.7]), table(levels, torch.float64)).tolist()
[0.3333333333333333, 1.0, 1.0]
"""

from __future__ import annotations

import csv
import functools
import math
import warnings
from abc import ABC, abstractmethod
from importlib.resources import files
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from mho.autograd import constant_in_graphs
from mho.config import NonNegative, Positive, config
from mho.mapping.scale import Maximum, Percentile, Scale, nothing

CONDUCTANCE = "conductance_S"  # the column of a states file
States = tuple[Positive, ...]


class LevelSet(ABC):
    """The normalised weights that a cell, or a pair of cells, can hold."""

    @abstractmethod
    def values(self) -> Tensor:
        """The levels, float64, rising, distinct, the outermost ones -1 and 1: shape ``[L]``."""


@config
class SingleDevice(LevelSet):
    """One cell, wired to add or to subtract: ``+s`` and ``-s`` for each state ``s``, over the largest.

    Zero is not among the levels: the smallest magnitude is ``min(states) / max(states)``, and a weight
    of exactly zero goes to the negative one.

    Attributes:
        states: conductances that a cell can hold, siemens, in any order; equal ones count once.
        tolerance: levels closer than this fraction of the largest are one level.

    >>> SingleDevice(states=(1e-6, 4e-6)).values().tolist()
    [-1.0, -0.25, 0.25, 1.0]
    """

    states: States
    tolerance: NonNegative = 1e-12

    def validate(self) -> None:
        """At least two states."""
        _two_states(self.states, self.tolerance)

    def values(self) -> Tensor:
        """Twice as many as there are states."""
        s = distinct(torch.tensor(self.states, dtype=torch.float64), self.tolerance)
        return torch.cat([-s.flip(0), s]) / s[-1]


@config
class DevicePair(LevelSet):
    """Two cells, subtracted: all differences of two states, over the largest difference.

    The levels are symmetric and zero is among them. Differences that are equal in exact arithmetic come
    out a few units of the last digit apart; ``tolerance`` makes one level of them.

    Attributes:
        states: conductances that a cell can hold, siemens, in any order; equal ones count once.
        tolerance: levels closer than this fraction of the largest state are one level.

    >>> len(DevicePair(states=measured_states()).values())
    9805
    """

    states: States
    tolerance: NonNegative = 1e-12

    def validate(self) -> None:
        """At least two states."""
        _two_states(self.states, self.tolerance)

    def values(self) -> Tensor:
        """At most ``n (n - 1) + 1`` levels for n states."""
        s = distinct(torch.tensor(self.states, dtype=torch.float64), self.tolerance)
        i, j = torch.tril_indices(len(s), len(s), offset=-1)
        d = distinct(s[i] - s[j], self.tolerance * float(s[-1] / (s[-1] - s[0])))
        return torch.cat([-d.flip(0), d.new_zeros(1), d]) / d[-1]


@config
class EvenLevels(LevelSet):
    """Levels at even distances from -1 to 1; an odd number has zero among them.

    >>> EvenLevels(count=3).values().tolist()
    [-1.0, 0.0, 1.0]
    """

    count: Annotated[int, Field(ge=2)]

    def values(self) -> Tensor:
        """``count`` levels."""
        return torch.linspace(-1, 1, self.count, dtype=torch.float64)


@config
class LogLevels(LevelSet):
    """Levels at even distances on a logarithmic scale, of both signs; zero is not among them.

    Attributes:
        per_sign: levels of each sign.
        ratio: largest over smallest magnitude.

    >>> LogLevels(per_sign=3, ratio=100.0).values().tolist()
    [-1.0, -0.1, -0.01, 0.01, 0.1, 1.0]
    """

    per_sign: Annotated[int, Field(ge=2)]
    ratio: Annotated[float, Field(gt=1, allow_inf_nan=False)]

    def values(self) -> Tensor:
        """Twice ``per_sign`` levels."""
        magnitude = torch.logspace(-math.log10(self.ratio), 0, self.per_sign, dtype=torch.float64)
        return torch.cat([-magnitude.flip(0), magnitude])


# --- the nearest level ---------------------------------------------------------------------------


class LevelTable(NamedTuple):
    """A level set made ready for the search.

    Attributes:
        values: the levels, rising, ``[L]``.
        midpoints: the largest number that goes to the lower one of two neighbours, ``[L - 1]``.
    """

    values: Tensor
    midpoints: Tensor


@constant_in_graphs
def table(levels: LevelSet, dtype: torch.dtype, device: torch.device | str = "cpu") -> LevelTable:
    """The levels in the dtype and on the device of the weights; made once and kept."""
    return _table(levels, dtype, torch.device(device))


@functools.lru_cache(maxsize=64)
def _table(levels: LevelSet, dtype: torch.dtype, device: torch.device) -> LevelTable:
    values = levels.values().to(dtype)
    exact = values.double()
    middle = (exact[1:] + exact[:-1]) / 2
    rounded = middle.to(dtype)
    lower = torch.nextafter(rounded, torch.full_like(rounded, -math.inf))
    rounded = torch.where(rounded.double() > middle, lower, rounded)
    return LevelTable(values.to(device), rounded.to(device))


def nearest(w: Tensor, levels: LevelTable) -> Tensor:
    """The nearest level of each normalised weight; between two levels, the lower one; NaN stays NaN.

    Args:
        w: normalised weights, any shape, in the dtype of the table; beyond [-1, 1] the outermost
            level is the nearest.
        levels: what :func:`table` made.
    """
    w = w.contiguous()
    return torch.where(w.isnan(), w, levels.values[torch.bucketize(w.contiguous(), levels.midpoints)])


def distinct(values: Tensor, tolerance: float) -> Tensor:
    """The values in rising order, each run of neighbours closer than the tolerance as its first.

    Args:
        values: ``[n]``.
        tolerance: as a fraction of the largest magnitude.

    >>> distinct(torch.tensor([3.0, 1.0, 1.0 + 1e-7, 2.0]), 1e-6).tolist()
    [1.0, 2.0, 3.0]
    """
    rising = values.sort().values
    apart = rising.diff() > tolerance * rising.abs().max()
    return rising[torch.cat([apart.new_ones(1), apart])]


# --- from the weights of a layer to normalised weights and back ----------------------------------


class Normalisation(ABC):
    """How the weights of a layer lie on the levels from -1 to 1."""

    @abstractmethod
    def fit(self, weight: Tensor) -> tuple[Tensor, Tensor | None]:
        """Factor and shift with ``weight = factor * normalised + shift``.

        Args:
            weight: ``weight[group, row, column]``.

        Returns:
            Tensors that broadcast over ``weight``; None for no shift.
        """


@config
class Symmetric(Normalisation):
    """Weights divided by a reference weight; zero stays zero.

    A layer of zeros, or a column of zeros with a reference of its own, keeps its zeros, also where zero is
    not among the levels: its reference is 1e-31 (in float32), as it would be for smaller and smaller weights.

    Attributes:
        scale: ``Maximum()`` gives the layer's largest weight the outermost level, and
            ``Maximum(per_column=True)`` that of each column; ``Fixed(weight=1.0)`` compares the weights
            themselves with the levels.
    """

    scale: InstanceOf[Scale] = Maximum()

    def fit(self, weight: Tensor) -> tuple[Tensor, Tensor | None]:
        """The reference weight, and no shift."""
        w = weight.detach()
        reference = self.scale.reference(w)
        if not isinstance(self.scale, (Maximum, Percentile)):
            return reference, None
        peak = w.abs().amax(dim=-2, keepdim=True)
        if reference.numel() == 1:
            peak = peak.amax().reshape(1, 1, 1)
        return torch.where(peak > 0, reference, nothing(w.dtype)), None


@config
class Affine(Normalisation):
    """Weights from the smallest to the largest spread over all levels (minimum to -1, maximum to 1).

    Where all weights are equal they stay what they are: all levels lie on them.

    Attributes:
        per_column: the range of each column (output) instead of that of the layer.
    """

    per_column: bool = False

    def fit(self, weight: Tensor) -> tuple[Tensor, Tensor | None]:
        """Half the span (1e-31 in float32 where all weights are equal), and the middle."""
        w = weight.detach()
        if self.per_column:
            low, high = w.amin(dim=-2, keepdim=True), w.amax(dim=-2, keepdim=True)
        else:
            low, high = w.amin().reshape(1, 1, 1), w.amax().reshape(1, 1, 1)
        half = (high - low) / 2
        return half.clamp(min=nothing(w.dtype)), (high + low) / 2


# --- measured states -----------------------------------------------------------------------------


def measured_states() -> tuple[float, ...]:
    """The 100 conductance states of a real memristor under 100 identical pulses, siemens, rising.

    They are public data of a study of memristor-based quantisation; near the top the pulses do not
    raise the conductance any more, so the states are sorted here.

    >>> states = measured_states()
    >>> len(states), f"{states[0]:.3g} to {states[-1]:.3g} S"
    (100, '2.52e-06 to 0.00014 S')
    """
    with (files("mho.mapping") / "data" / "memristor_states.csv").open(encoding="utf-8") as file:
        return tuple(sorted(float(row[CONDUCTANCE]) for row in csv.DictReader(file)))


def read_states(path: str | Path) -> tuple[float, ...]:
    """Measured conductance states from a CSV file, siemens, rising.

    Args:
        path: a file in UTF-8 with a column ``conductance_S``, or with one column of numbers; a head line is
            optional then. Columns are separated by commas, numbers have a decimal point.

    Returns:
        The states in rising order. Repeated ones count once, with a warning that says how many.

    Raises:
        ValueError: a number is missing, not finite or not positive, or a line has more cells than there
            are columns (the line is named); there are fewer than two states; or this is no text file.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            lines = [(number, row) for number, row in enumerate(csv.reader(file), 1) if any(row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: this is no CSV file in UTF-8 ({error}); save it as one") from None
    states = [_state(cell, number, path) for number, cell in _column(lines, path)]
    rising = sorted(set(states))
    if len(rising) < 2:
        raise ValueError(
            f"{path}: {len(rising)} distinct state{'s' * (len(rising) != 1)}; a level set needs at least "
            f"two conductances, in siemens, in a column {CONDUCTANCE!r}"
        )
    if len(rising) < len(states):
        warnings.warn(
            f"{path}: {len(states) - len(rising)} of {len(states)} states repeat another one; "
            f"each of the {len(rising)} distinct ones counts once",
            stacklevel=2,
        )
    return tuple(rising)


def _column(lines: list[tuple[int, list[str]]], path: str | Path) -> list[tuple[int, str]]:
    """Line number and text of each state."""
    head = [cell.strip() for cell in lines[0][1]] if lines else []
    for number, row in lines:
        if any(cell.strip() for cell in row[len(head) :]):
            raise ValueError(
                f"{path}, line {number}: {','.join(row)!r} has {len(row)} cells, and the first line has "
                f"{len(head)}; commas separate columns, so write numbers with a decimal point (1.5e-6)"
            )
    if CONDUCTANCE in head:
        place = head.index(CONDUCTANCE)
        return [(number, row[place] if place < len(row) else "") for number, row in lines[1:]]
    if len(head) > 1:
        raise ValueError(
            f"{path}: its columns are {', '.join(head)}; name the one with the conductances, in "
            f"siemens, {CONDUCTANCE!r}; commas separate columns, numbers have a decimal point"
        )
    body = lines[1:] if head and not _is_number(head[0]) else lines
    return [(number, row[0]) for number, row in body]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _state(text: str, line: int, path: str | Path) -> float:
    value = float(text) if _is_number(text) else math.nan
    if not (0 < value < math.inf):
        raise ValueError(
            f"{path}, line {line}: {text!r} is not a conductance; each state is a positive, finite "
            "number of siemens; mend or remove the line"
        )
    return value


def _two_states(states: tuple[float, ...], tolerance: float) -> None:
    count = len(distinct(torch.tensor(states, dtype=torch.float64), tolerance)) if states else 0
    if count < 2:
        raise ValueError(
            f"states = {states!r}: {count} distinct state{'s' * (count != 1)}; a level set needs at least "
            "two conductances, in siemens"
        )

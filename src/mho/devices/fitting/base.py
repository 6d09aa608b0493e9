"""What was measured, and what a fit of it gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from mho.config import Finite, NonNegative, config
from mho.devices.base import Device
from mho.devices.dynamics.base import SwitchingModel
from mho.devices.fitting.tables import Array, Table, read_table

Points = dict[str, Array]


@config
class Estimate:
    """A fitted parameter.

    Attributes:
        name: of the parameter.
        value: the best one.
        error: its standard error (one standard deviation).
        unit: SI unit; empty for a pure number.
    """

    name: str
    value: Finite
    error: NonNegative
    unit: str = ""


@config
class Span:
    """A range that was measured: the fit knows nothing outside.

    Attributes:
        name: of the quantity.
        low: smallest value.
        high: largest value.
        unit: SI unit.
    """

    name: str
    low: Finite
    high: Finite
    unit: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a measurement becomes.

    Attributes:
        device: the fitted description.
        parameters: what was fitted.
        spans: what was measured.
        points: one column for each of ``x``, ``measured``, ``fitted``, ``residual`` and what else there is.
        noise: standard deviation of the residuals, in the unit of ``measured``.
        r_squared: share of the variance that the fit explains.
        reduced_chi2: None where the error of the points is not known.
        correlation: of neighbouring residuals.
        notes: sentences about what the numbers do not say.
    """

    device: Device | SwitchingModel
    parameters: tuple[Estimate, ...]
    spans: tuple[Span, ...]
    points: Points
    noise: float
    r_squared: float
    reduced_chi2: float | None
    correlation: float
    notes: tuple[str, ...] = field(default=())


class Measurement(ABC):
    """What a table holds and how to fit it: :class:`PulseTrain`, :class:`States` and their neighbours."""

    def read(self, source: Any) -> Table:
        """The table of a source: what :func:`fit` takes.

        Raises:
            TypeError: no table.
            ValueError: a file that holds something else.
        """
        return read_table(source)

    @abstractmethod
    def evaluate(self, table: Table) -> Outcome:
        """Read the table and fit it.

        Raises:
            ValueError: a column is missing, a cell is no number, or there are too few points.
        """

    @property
    @abstractmethod
    def labels(self) -> tuple[str, str]:
        """What ``x`` and ``measured`` of the points are, with units, for a picture."""


def span(name: str, values: Array, unit: str = "") -> Span:
    """The range of measured values."""
    return Span(name=name, low=float(values.min()), high=float(values.max()), unit=unit)

"""What was measured, and what a fit of it gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mho.config import Finite, NonNegative, config
from mho.devices.base import Device
from mho.devices.dynamics.base import SwitchingModel
from mho.devices.fitting.naming import Columns
from mho.devices.fitting.tables import Array, MeasuredTable, read_table

Points = dict[str, Array]
_BY_CHANCE = 0.05  # chance of an explained share of the variance where there is nothing to explain
_LEAST = 0.1  # share of the variance below which a law explains nothing


@config
class Estimate:
    """A fitted parameter.

    Attributes:
        name: of the parameter.
        value: the best one.
        error: its standard error (one standard deviation).
        unit: SI unit; empty for a pure number.
        scale: the largest standard error with which the measurement still tells the parameter, such as the
            range that was measured; None: the magnitude of the value.
    """

    name: str
    value: Finite
    error: NonNegative
    unit: str = ""
    scale: NonNegative | None = None

    @property
    def determined(self) -> bool:
        """Whether the error is small enough for the value to say something."""
        return self.error <= (abs(self.value) if self.scale is None else self.scale)


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
        left_out: what the measurement shows and the device does not have, in a few words each.
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
    left_out: tuple[str, ...] = field(default=())


class Measurement(ABC):
    """What a table holds and how to fit it: :class:`PulseTrain`, :class:`States` and their neighbours.

    Attributes:
        columns: what columns of the table hold, by their heads or numbers; a field of each measurement.
        remedy: what to do where a measurement does not determine a parameter.
    """

    columns: Columns = ()
    remedy: ClassVar[str] = "measure more, or fit fewer parameters"

    def read(self, source: Any) -> MeasuredTable:
        """The table of a source: what :func:`fit` takes.

        Raises:
            TypeError: no table.
            ValueError: a file that holds something else.
        """
        return read_table(source)

    @abstractmethod
    def evaluate(self, table: MeasuredTable) -> Outcome:
        """Read the table and fit it.

        Raises:
            ValueError: a column is missing, a cell is no number, or there are too few points.
        """

    @property
    @abstractmethod
    def labels(self) -> tuple[str, str]:
        """What ``x`` and ``measured`` of the points are, with units, for a picture."""


def check_determined(source: str, parameters: Sequence[Estimate], remedy: str) -> None:
    """Raise ``ValueError`` unless the measurement determines all parameters: see :attr:`Estimate.scale`.

    Args:
        source: what was fitted, for the message.
        parameters: with their standard errors.
        remedy: what to do.
    """
    loose = [e for e in parameters if not e.determined]
    if loose:
        each = ", ".join(f"{e.name} = {e.value:.4g} ± {e.error:.2g} {e.unit}".rstrip() for e in loose)
        names = " and ".join(e.name for e in loose)
        raise ValueError(
            f"{source}: the measurement does not determine {names}: {each} (value ± standard error); {remedy}"
        )


def check_explained(source: str, names: Sequence[str], explained: float, points: int, remedy: str) -> None:
    """Raise ``ValueError`` where a constant describes the points as well as the law.

    The law must explain a tenth of the variance of the points, and more than noise does by chance (an F-test
    at 5 %).

    Args:
        source: what was fitted, for the message.
        names: of the fitted parameters.
        explained: share of the variance of the points that the law explains.
        points: number of independent points.
        remedy: what to do.
    """
    from scipy import stats

    free, count = points - len(names), max(1, len(names) - 1)
    ratio = explained / max(1 - explained, 1e-300) * free / count
    if explained < _LEAST or float(stats.f.sf(ratio, count, free)) > _BY_CHANCE:
        raise ValueError(
            f"{source}: the measurement does not determine {', '.join(names)}: the law explains "
            f"{100 * max(explained, 0.0):.2g} % of the variance, as noise alone may; {remedy}"
        )


def span(name: str, values: Array, unit: str = "") -> Span:
    """The range of measured values."""
    return Span(name=name, low=float(values.min()), high=float(values.max()), unit=unit)

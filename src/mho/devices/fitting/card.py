"""A fitted device with the card that says where it comes from."""

from __future__ import annotations

import csv
import datetime
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import InstanceOf

from mho.config import Count, Finite, NonNegative, config, digest, load, save, write_whole
from mho.devices.base import Device
from mho.devices.dynamics.base import SwitchingModel
from mho.devices.fitting.base import Estimate, Measurement, Points, Span, check_determined
from mho.devices.fitting.naming import named
from mho.devices.fitting.recognise import recognised
from mho.devices.fitting.tables import read_table
from mho.errors import ConfigError

_MAKERS: list[Callable[..., Any]] = []
M = TypeVar("M", bound=Callable[..., Any])


def makes_hardware(function: M) -> M:
    """Register what makes hardware of fits: it lives above the devices, which know no hardware."""
    _MAKERS.append(function)
    return function


@config
class Card:
    """Where a fitted device comes from, how well it fits, and where it is valid.

    Attributes:
        source: the file that was fitted.
        sha256: of its content.
        date: when it was fitted, UTC.
        rows: rows of the table.
        measurement: what was measured, with all settings of the fit.
        parameters: what was fitted, with standard errors.
        spans: what was measured: the fit knows nothing outside.
        noise: standard deviation of the residuals, in the unit of what was fitted.
        r_squared: share of the variance that the fit explains.
        reduced_chi2: sum of squared residuals in standard deviations, for each degree of freedom: about 1
            for a law that holds; None where the table does not tell the errors of its points.
        correlation: of neighbouring residuals: about 0 for a law that holds.
        notes: what the numbers do not say.
        left_out: what the measurement shows and the device does not have.
        device_digest: fingerprint of the description that the card belongs to.
        software: names and versions.
    """

    source: str
    sha256: str
    date: str
    rows: Count
    measurement: InstanceOf[Measurement]
    parameters: tuple[InstanceOf[Estimate], ...]
    spans: tuple[InstanceOf[Span], ...]
    noise: NonNegative
    r_squared: Finite
    reduced_chi2: NonNegative | None = None
    correlation: Finite = 0.0
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    device_digest: int
    software: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Fit:
    """A device fitted to a measurement.

    Attributes:
        device: the description; it goes into :class:`mho.Hardware`, or simulates pulses.
        card: where it comes from.
        points: the residual table: ``x``, ``measured``, ``fitted``, ``residual`` and what else there is.
    """

    device: Device | SwitchingModel
    card: Card
    points: Points

    def __getitem__(self, name: str) -> Estimate:
        """The fitted parameter of a name.

        Raises:
            KeyError: no such parameter.
        """
        for estimate in self.card.parameters:
            if estimate.name == name:
                return estimate
        raise KeyError(f"{name!r}: the fit has {', '.join(e.name for e in self.card.parameters)}")

    def belongs(self, owner: type, name: str) -> str:
        """What to write instead of ``owner(name=fit)``, for the message of the error."""
        return f"this is a fit; write {name}=fit.device, or fit.hardware() for a chip programmed as measured"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the device to ``path``; beside it its card (``*.card.json``) and points (``*.points.csv``).

        Args:
            path: ``mine.json``; :func:`mho.config.load` reads it like any description.

        Raises:
            ConfigError: the name does not end in .json.
        """
        path = _checked(path)
        save(self.device, path)
        save(self.card, path.with_suffix(".card.json"))
        write_whole(path.with_suffix(".points.csv"), self._write_points)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Fit:
        """Read what :meth:`save` wrote.

        Raises:
            ConfigError: the card belongs to another description than the one in ``path``.
        """
        path = _checked(path)
        device, card = load(path), load(path.with_suffix(".card.json"))
        if not isinstance(device, (Device, SwitchingModel)) or not isinstance(card, Card):
            raise ConfigError(f"{path}: not a fitted device with its card")
        if card.device_digest != digest(device):
            raise ConfigError(
                f"{path}: the device is not the one that its card describes; one of the two was changed. "
                "Load the device alone with mho.config.load, or fit again"
            )
        table = read_table(path.with_suffix(".points.csv"))
        return Fit(device, card, {n: table.numbers(k) for k, n in enumerate(table.columns)})

    def hardware(self, *others: Fit, **parts: Any) -> Any:
        """A chip of the cells that were measured, programmed as they were.

        A train of pulses programs them by its own pulses, a table of jumps by its jumps, another switching
        model by pulses that are chosen for it; states are reached in one shot, with their error.

        Args:
            others: fits of the same technology, of what this one does not say: retention, endurance.
            parts: the other parts of :class:`mho.Hardware`, such as ``dac=mho.DAC(bits=8)``; ``programming``
                too.

        Returns:
            A :class:`mho.Hardware`.

        Raises:
            ValueError: two fits say the same, or have nothing in common.

        Example:
            >>> from mho.devices import PulseTrain
            >>> train = {"conductance_uS": [1.0, 2.1, 2.9, 4.2, 5.0, 5.9, 7.1, 8.0]}
            >>> type(fit(train, PulseTrain()).hardware().programming).__name__
            'CountedPulses'
        """
        return _MAKERS[-1](self, *others, **parts)

    def __str__(self) -> str:
        """What the device leaves out, in the first line; parameters with errors, and how well they fit."""
        width = max(len(e.name) for e in self.card.parameters)
        without = f", without {' and without '.join(self.card.left_out)}" if self.card.left_out else ""
        lines = [f"{type(self.device).__name__} fitted to {self.card.source}{without}"]
        lines += [
            f"  {e.name:<{width}}  {e.value:.6g} ± {e.error:.2g} {e.unit}".rstrip()
            for e in self.card.parameters
        ]
        chi2 = self.card.reduced_chi2
        lines.append(
            f"  R² = {self.card.r_squared:.6f}, noise = {self.card.noise:.3g}"
            + ("" if chi2 is None else f", reduced χ² = {chi2:.3g}")
            + f", {len(self.points['x'])} points"
        )
        return "\n".join([*lines, *(f"  note: {note}" for note in self.card.notes)])

    def _write_points(self, path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(self.points)
            writer.writerows(
                zip(*(map(repr, column.tolist()) for column in self.points.values()), strict=True)
            )


def fit(source: Any, measurement: Measurement | None = None) -> Fit:
    """A device from your own measurement.

    Args:
        source: the path of a CSV file, a data frame, a mapping of names to columns, or an array; for some
            measurements several files, see there.
        measurement: what it holds: :class:`PulseTrain`, :class:`States`, :class:`JumpTable`, :class:`Fusion`,
            :class:`Retention` or :class:`Loop`, with its settings; None where the table tells by its heads.

    Returns:
        The device, its card and the residual table; print it, ``save`` it, put its ``device`` into
        :class:`mho.Hardware`.

    Raises:
        TypeError: ``measurement`` is none, or ``source`` is no table.
        ValueError: a column is missing, a cell is no number, a conductance has the wrong unit, or there
            are too few points; the message names file, line and column. Or the measurement does not
            determine a parameter; the message names it, with its standard error.

    Example:
        >>> from mho.devices import States
        >>> table = {"mean_uS": [2.0, 5.0, 10.0, 20.0], "std_uS": [0.3, 0.45, 0.7, 1.2]}
        >>> made = fit(table, States(degree=1))
        >>> [round(c, 6) for c in made.device.program.coefficients]
        [0.01, 0.05]
    """
    if measurement is None:
        measurement = recognised(source)
    if not isinstance(measurement, Measurement):
        raise TypeError(
            f"measurement = {measurement!r}: say what the table holds: PulseTrain(), States(), JumpTable(), "
            "Fusion(), Retention() or Loop(model=..., free=(...))"
        )
    table = named(measurement.read(source), measurement.columns)
    outcome = measurement.evaluate(table)
    check_determined(Path(table.name).name, outcome.parameters, measurement.remedy)
    card = Card(
        source=Path(table.name).name,
        sha256=table.sha256,
        date=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        rows=len(table.rows),
        measurement=measurement,
        parameters=outcome.parameters,
        spans=outcome.spans,
        noise=outcome.noise,
        r_squared=outcome.r_squared,
        reduced_chi2=outcome.reduced_chi2,
        correlation=outcome.correlation,
        notes=outcome.notes,
        left_out=outcome.left_out,
        device_digest=digest(outcome.device),
        software=_software(),
    )
    return Fit(outcome.device, card, outcome.points)


@functools.cache  # reading the metadata takes longer than many a fit
def _software() -> tuple[str, ...]:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    def known(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:  # run from a source tree that was never installed
            return "not installed"

    names = ("mho", "torch", "numpy", "scipy")
    return (*(f"{name} {known(name)}" for name in names), f"python {platform.python_version()}")


def _checked(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix != ".json":
        raise ConfigError(f"path = {str(path)!r}: a fitted device is kept in a file that ends in .json")
    return path

"""Laws of wear and loss."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from enum import Enum, auto

from mho.devices import Failure, GradualFailure, RetentionLoss, SuddenFailure, at_stop_voltage


class OperationMode(Enum):
    """How a cell fails."""

    sudden = auto()
    gradual = auto()


def model_endurance_retention(
    operation_mode: OperationMode,
    p_lrs: Sequence[float] | None = None,
    stable_resistance_lrs: float | None = None,
    p_hrs: Sequence[float] | None = None,
    stable_resistance_hrs: float | None = None,
    cell_size: float | None = 10.0,
    temperature: float | None = None,
    temperature_threshold: float = 298.0,
) -> Failure:
    """The law of sudden or gradual failure, ``mho.devices.SuddenFailure`` or ``GradualFailure``.

    Args:
        operation_mode: which of them.
        p_lrs: four parameters of low-resistance cells; None for cells that last.
        stable_resistance_lrs: of failed low-resistance cells, ohms. Cells that fail gradually have none:
            with ``gradual``, where MemTorch demands a number that it does not use, a number warns.
        p_hrs: four parameters of high-resistance cells; None for cells that last.
        stable_resistance_hrs: of failed high-resistance cells, likewise.
        cell_size: nanometres; None leaves the size out (0 in the law's exponent).
        temperature: kelvin; None leaves the temperature out.
        temperature_threshold: kelvin.

    Raises:
        ValueError: a threshold without a temperature, a class of cells with parameters and no stable
            resistance or the other way round, a resistance that is none.
        TypeError: an operation mode that is none.
    """
    if temperature is None and temperature_threshold != 298.0:
        raise ValueError(f"temperature_threshold = {temperature_threshold!r}: it belongs to a temperature")
    fours = [
        None if p is None else (p[0], p[1] * (cell_size is not None), p[2] * (temperature is not None), p[3])
        for p in (p_lrs, p_hrs)
    ]
    low, high = (None if p is None else tuple(float(x) for x in p) for p in fours)
    shared = {
        "p_lrs": low,
        "p_hrs": high,
        "cell_size": (10.0 if cell_size is None else float(cell_size)) * 1e-9,
        "temperature": 298.0 if temperature is None else float(temperature),
        "threshold": float(temperature_threshold),
    }
    stable = (stable_resistance_lrs, stable_resistance_hrs)
    if operation_mode is OperationMode.gradual:
        _without_use(stable)
        return GradualFailure(**shared)  # type: ignore[arg-type]
    if operation_mode is not OperationMode.sudden:
        raise TypeError(f"operation_mode = {operation_mode!r}: give OperationMode.sudden or .gradual")
    for name, p, r in zip(("lrs", "hrs"), (low, high), stable, strict=True):
        if (p is None) != (r is None):
            raise ValueError(f"p_{name} = {p!r}, stable_resistance_{name} = {r!r}: give both or neither")
    held = [1 / float(r) for r in stable if r is not None] or [0.0]  # a class that lasts takes neither
    return SuddenFailure(g_lrs=held[0], g_hrs=held[-1], **shared)  # type: ignore[arg-type]


def _without_use(stable: tuple[float | None, float | None]) -> None:
    """Say that gradual failure ends at no resistance of its own."""
    given = {f"stable_resistance_{kind}": r for kind, r in zip(("lrs", "hrs"), stable, strict=True)}
    given = {name: r for name, r in given.items() if r is not None}
    for name, r in given.items():
        if isinstance(r, bool) or not isinstance(r, (int, float)) or not 0 < r < float("inf"):
            raise ValueError(f"{name} = {r!r}: give a resistance in ohms above 0, or None")
    if given:
        said = ", ".join(f"{name} = {r:g}" for name, r in given.items())
        warnings.warn(
            f"{said}: cells that fail gradually end at no resistance of their own; MemTorch demands the "
            "number and does not use it either. Give None",
            stacklevel=3,
        )


def model_conductance_drift(initial_time: float = 1e-12, drift_coefficient: float = 0.1) -> RetentionLoss:
    """``G (t / initial_time)^-drift_coefficient``, ``mho.devices.RetentionLoss``.

    Args:
        initial_time: seconds.
        drift_coefficient: from 0 to 1.
    """
    if not 0 <= drift_coefficient <= 1:
        raise ValueError(f"drift_coefficient = {drift_coefficient!r}: give a number from 0 to 1")
    return RetentionLoss(nu=float(drift_coefficient), t0=float(initial_time) or 1e-12)


def scale_p_0(
    p_0: float, p_1: float, v_stop: float, v_min: float, v_max: float, v_opt: float, cell_size: float = 10.0
) -> float:
    """``p_0`` of cells that are reset up to another stop voltage, ``mho.devices.at_stop_voltage``."""
    p = (float(p_0), float(p_1), 0.0, 0.0)
    size = cell_size * 1e-9
    return at_stop_voltage(p, v_stop, v_min=v_min, v_max=v_max, v_optimal=v_opt, cell_size=size)[0]

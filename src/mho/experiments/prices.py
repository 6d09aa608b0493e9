"""The columns of studies that say what chips cost: counts of one inference, and prices of a technology.

Prices go by the voltages on the rows of arrays (:func:`mho.cost`), which are known where a DAC makes them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator, InstanceOf
from torch import Tensor, nn

import mho
from mho.analysis.cost_report import CostReport
from mho.config import unknown_key
from mho.costs import TECHNOLOGIES, Technology
from mho.experiments.harness import Column
from mho.nn import crossbars

PRICED = 16  # samples that are looked at for the price of one, where a study has more to do
NO_DAC = (
    "Energy, latency and area are empty where the hardware has no DAC, for nobody knows the voltages of its "
    "inputs, which the energy goes by (mho.DAC(bits=None) rounds nothing), and where a converter has neither "
    "bits nor steps."
)
COUNTED = (
    Column("cells", "", "that hold weights", low=0),
    Column("adc_conversions", "", "of one inference", low=0),
    Column("dac_conversions", "", "of one inference", low=0),
)
PAID = (
    Column("energy", "J", "of one inference, without programming", low=0),
    Column("latency", "s", "of one inference", low=0),
    Column("area", "m2", "of the chips", low=0),
    Column("energy_with_programming", "J", "of one inference, with its share of the programming", low=0),
)


def technology_of(value: Any) -> Any:
    """The technology of a name; anything else as it is.

    Raises:
        ValueError: no technology of ``mho.costs.TECHNOLOGIES`` has the name.

    >>> technology_of("isaac").name
    'ISAAC'
    """
    if isinstance(value, str) and value not in TECHNOLOGIES:
        raise ValueError(unknown_key(value, list(TECHNOLOGIES), "mho.costs.TECHNOLOGIES"))
    return TECHNOLOGIES[value] if isinstance(value, str) else value


Priced = Annotated[InstanceOf[Technology], BeforeValidator(technology_of)]


def counts(model: nn.Module, x: Tensor) -> dict[str, float]:
    """Cells, and conversions of one inference as they are made: :data:`COUNTED`.

    A vector is driven into each array that holds its rows: those beside another, and those of other slices,
    have drivers and ADCs of their own. Inputs that are driven bit by bit are one conversion for each group
    of bits; the ADC converts each group too, unless their charges are added before. A look-up reads one
    array of rows and drives nothing. A converter that is absent or ideal makes no conversions.

    Args:
        model: what ``mho.convert`` made, programmed.
        x: inputs, ``[inference, ...]``.

    >>> hardware = mho.Hardware(tile=mho.Tile(rows=4, columns=None), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8))
    >>> analog = mho.convert(nn.Linear(8, 3), hardware)
    >>> mho.calibrate(analog, [torch.ones(2, 8)])
    >>> mho.program(analog, seed=0)
    >>> counts(analog, torch.ones(1, 8))
    {'cells': 48.0, 'adc_conversions': 6.0, 'dac_conversions': 8.0}
    """
    with torch.no_grad(), mho.trace(model.eval()) as seen:
        model(x)
    return {
        "cells": float(cells(model)),
        "adc_conversions": seen.total["conversions"] / len(x),
        "dac_conversions": seen.total["driven"] / len(x),
    }


def cells(model: nn.Module) -> int:
    """That hold the weights of a programmed model, whether or not they are read."""
    return sum(array.require_chip("cost").g.numel() for array in crossbars(model).values())


def priceable(hardware: mho.Hardware) -> bool:
    """Whether the voltages of inputs are known, and the resolution of converters, which have a price."""
    return hardware.dac is not None and all(
        converter is None
        or converter.ideal
        or any(getattr(converter, name, None) is not None for name in ("bits", "steps"))
        for converter in (hardware.dac, hardware.adc)
    )


def prices(
    model: nn.Module,
    x: Tensor,
    technology: Technology,
    inferences: float = math.inf,
    pulses: float | None = None,
) -> dict[str, float]:
    """What one inference costs on the model's chip at its age: :data:`PAID`; NaN where nobody knows.

    Args:
        model: what ``mho.convert`` made, calibrated and programmed.
        x: inputs, ``[inference, ...]``.
        technology: prices.
        inferences: that share one programming.
        pulses: of a cell; None for those that programming counted, or what the technology takes for usual.

    >>> analog = mho.convert(nn.Linear(8, 3), mho.Hardware())
    >>> mho.program(analog, seed=0)
    >>> prices(analog, torch.ones(1, 8), mho.costs.GENERIC_22)["energy"]
    nan
    """
    if not all(priceable(array.hardware) for array in crossbars(model).values()):
        return dict.fromkeys((column.name for column in PAID), math.nan)
    report = mho.cost(model, [x], technology)
    return paid(report, inferences, None if pulses is None else _writing(model, technology, pulses))


def paid(report: CostReport, inferences: float, writing: float | None = None) -> dict[str, float]:
    """The figures of a report under the names of :data:`PAID`.

    Args:
        report: what ``mho.cost`` gave.
        inferences: that share one programming.
        writing: joules of the programming; None for those of the report.
    """
    once = report.programming if writing is None else writing
    return {
        "energy": report.joules,
        "latency": report.seconds,
        "area": report.square_metres,
        "energy_with_programming": report.joules + once / inferences,
    }


def _writing(model: nn.Module, technology: Technology, pulses: float) -> float:
    """Joules of programming each cell with so many pulses."""
    chips = [array.require_chip("cost").g for array in crossbars(model).values()]
    return sum(technology.writing.joules(float(g.mean()), pulses * g.numel()) for g in chips)


def finite(figures: Mapping[str, float]) -> dict[str, float | None]:
    """None for what is not defined: JSON has no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}

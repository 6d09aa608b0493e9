"""Chips whose outputs no order of additions changes."""

from __future__ import annotations

from typing import Any

from torch import nn

from mho.chip.layouts import ExactLayout, exact
from mho.export.rounded_once import round_once
from mho.nn import Crossbar, crossbars


def exact_sums(model: nn.Module, on: bool = True) -> None:
    """Let the sums of a model be exact: the same bits on every processor and runtime.

    By default a product is one operation of torch, whose order of additions differs between processors
    and from that of other runtimes: a current within rounding of the middle between two codes may become
    either. With exact sums the currents of a matrix are added in float64, without rounding; a convolution
    is read in three to five parts whose products are not rounded. It takes as many times the arithmetic, and
    the currents are as near to the true ones.

    Digital functions before a DAC, such as ``softmax``, a mean or a normalisation, are worked out in float64
    and rounded once, so that runtimes differ in none of them but by a chance of about 1e-8 for each value.
    Digital convolutions and pools of windows stay each runtime's own.

    Args:
        model: what ``mho.convert`` made; changed in place. It is no part of a ``state_dict``.
        on: False for the plain products again.

    Raises:
        ValueError: no analog layer, or an array that has no uniform, noiseless DAC with its inputs at
        once and
            an ADC, or a convolution with too many rows for its codes; then nothing is changed.

    >>> import mho, torch
    >>> analog = mho.convert(nn.Linear(8, 4), mho.Hardware(dac=mho.DAC(bits=8), adc=mho.ADC(bits=8)))
    >>> exact_sums(analog)
    """
    arrays = crossbars(model)
    made = {path: _plain(array) for path, array in arrays.items()}
    if on:
        made = {path: _exact(path, arrays[path], layout) for path, layout in made.items()}
    for path, layout in made.items():
        arrays[path].layout = layout
    round_once(model, on)


def _plain(array: Crossbar) -> Any:
    layout: Any = array.layout
    return layout.plain() if isinstance(layout, ExactLayout) else layout


def _exact(path: str, array: Crossbar, layout: Any) -> Any:
    if layout.one_hot:
        return layout  # one row is read: there is no sum
    dac, adc = array.hardware.dac, array.hardware.adc
    if dac is None or adc is None or dac.ideal or dac.noise or dac.stream is not None:
        raise ValueError(
            f"{path or 'the layer'!r} has dac = {dac!r} and adc = {adc!r}: sums are exact of whole codes; "
            "give it a DAC with bits, without noise and stream, and an ADC"
        )
    try:
        return exact(layout, dac.peak)
    except ValueError as error:
        raise ValueError(f"{path or 'the layer'!r}: {error}") from None

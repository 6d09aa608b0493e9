"""The contract of converters."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mho.converters import Circuit, ColumnConverter, Fixed, Range, Uniform
from mho.testing.circuit import check_circuit
from mho.testing.family import check_family
from mho.testing.promise import check_description, check_place, demand, near, promises, same

_LIMITS = (1.0, 0.3, 7.0)


def check_adc(converter: Uniform | ColumnConverter) -> None:
    """Check that an ADC or a DAC keeps the contract of all converters.

    The converter must: travel through JSON; give for each value the nearest level it has, within half
    a step, between its lowest and its highest level; give a level back as it is; not depend on other
    values or on the unit; have zero as a level where it says so, and be odd there; pass gradients
    straight through its steps and stop them where it clips. An ideal one changes nothing. It must keep
    the dtype, leave its arguments as they are and decide nothing by their values.

    An ADC as a circuit must: give whole codes and read them as the levels of circuits, half a step beside
    full scale; need as many draws as it says, the same for the same seed and path, shared by neighbouring
    columns; without errors be the converter of draws of zero; convert with each converter of a chip alone;
    and give the same codes from packed tables. How far a value may move is the circuit's own business.

    An ADC of another family must do what is said of levels, values and gradients above, wherever its levels
    lie within full scale; where its converters differ, they must need as many draws as it says, each must
    read alone, and one without errors as all would. Every ADC must say of currents whether they clip.

    Args:
        converter: any instance; check one for each setting that changes its behaviour.

    Raises:
        AssertionError: naming the converter and the broken promise.

    Example:
        >>> from mho import ADC, DAC
        >>> check_adc(ADC(bits=6))
        >>> check_adc(DAC(steps=254))
        >>> from mho.converters import SAR
        >>> check_adc(SAR(bits=4, capacitor=0.02))
    """
    known = isinstance(converter, (Uniform, ColumnConverter))
    demand(known, converter, "must derive from mho.converters.Uniform or mho.converters.ColumnConverter")
    check_description(converter, Uniform if isinstance(converter, Uniform) else ColumnConverter)
    demand(isinstance(converter.range, Range), converter, "range must be a mho.converters.Range")
    demand(0 <= converter.noise < math.inf, converter, "noise must be finite and not negative")
    if isinstance(converter, ColumnConverter) and not converter.ideal:
        _check_clips(converter)
    if isinstance(converter, Circuit):
        check_circuit(converter)
        return
    for dtype in (torch.float32, torch.float64):
        _check_tensors(converter, dtype)
    if converter.ideal:
        x = _values(torch.float64)
        demand(same(converter.quantise(x, 0.5), x), converter, "an ideal converter must change nothing")
        return
    if not isinstance(converter, Uniform):
        check_family(converter)
        return
    for limit in _LIMITS:
        _check_levels(converter, limit)
    _check_gradient(converter)


def _values(dtype: torch.dtype) -> Tensor:
    """From twice below to twice above a full scale of 1, no multiple of a level."""
    return torch.linspace(-2, 2, 4003, dtype=dtype) * 0.99991


def _check_tensors(converter: Uniform | ColumnConverter, dtype: torch.dtype) -> None:
    must = promises(converter)
    x = _values(dtype)
    kept = x.clone()
    y = converter.quantise(x, 1.0)
    must(same(x, kept), "must not change its arguments in place")
    must(y.shape == x.shape and y.dtype == dtype, "must keep shape and dtype")
    again = converter.quantise(x, 1.0)
    must(same(again, y), "must give the same for the same values: noise is added outside")
    alone = torch.stack([converter.quantise(v, 1.0) for v in x[::97]])
    must(near(alone, y[::97], 1.0, 1e-6), "a value must not depend on the other values")
    each = converter.quantise(x.view(-1, 1), torch.ones(1, 1, dtype=dtype)).view(-1)
    must(near(each, y, 1.0, 1e-6), "a full scale given as a tensor must do the same")
    must(converter.quantise(x[:0], 1.0).numel() == 0, "no values must give no values")
    check_place(converter, lambda: converter.quantise(x.to("meta"), 1.0))


def _check_clips(converter: ColumnConverter) -> None:
    must = promises(converter)
    z, high = 2 * _values(torch.float64) * converter.high, converter.high
    beyond = converter.clips(z.clone())
    told = beyond.dtype == torch.bool and beyond.shape == z.shape
    must(told, "clips must be true or false for each current")
    must(bool(beyond[z > 3 * high].all()), "clips must be true far beyond full scale")
    near_full = (z > 0.9 * high) & (z < high)
    must(not bool(beyond[near_full].any()), "clips must be false just within full scale")


def _check_levels(converter: Uniform, limit: float) -> None:
    must = promises(converter)
    grid = converter.grid()
    steps = round(grid.high - grid.low)
    step = limit / grid.high
    low = grid.low * step
    must(steps >= 1 and abs(grid.high - grid.low - steps) < 1e-9, "the codes must be whole steps apart")
    own = isinstance(converter.range, Fixed) and converter.range.low is not None
    lowest = -limit if converter.signed else 0.0
    must(own or math.isclose(low, lowest, abs_tol=1e-9), f"the lowest level must be {lowest} for {limit}")

    def converted(values: Tensor) -> Tensor:
        return converter.quantise(values, limit)

    def are(values: Tensor, wanted: Tensor | float) -> bool:
        return near(values, torch.as_tensor(wanted, dtype=values.dtype), limit, 1e-9)

    x = _values(torch.float64) * limit
    y = converted(x)
    inside = (x > low) & (x < limit)
    far = float(((y - x) * inside).abs().max())
    must(far <= step / 2 * (1 + 1e-9), f"a value in range may move by half a step, {step / 2}; moved {far}")
    must(are(y[x >= limit], limit), "values above must give full scale")
    must(are(y[x <= low], low), "values below must give the lowest level")
    must(bool((y.diff() >= -1e-9 * limit).all()), "a larger value must not become smaller")
    levels = low + step * torch.arange(min(steps, 1024) + 1, dtype=torch.float64)
    must(are(converted(levels), levels), "a level must stay as it is")
    must(are(converter.quantise(x / limit, 1.0) * limit, y), "must not depend on the unit")
    zero = float(converted(torch.zeros((), dtype=torch.float64)))
    level = converter.zero or not converter.signed
    must(zero == 0 or own or not level, f"zero must be a level; it gives {zero}")
    odd = converter.zero and math.isclose(low, -limit)
    must(not odd or are(converted(-x), -y), "must be odd")


def _check_gradient(converter: Uniform) -> None:
    must = promises(converter)
    grid = converter.grid()
    low = grid.low / grid.high
    x = _values(torch.float64).requires_grad_()
    (grad,) = torch.autograd.grad(converter.quantise(x, 1.0).sum(), x)
    inside, outside = (x > low) & (x < 1), (x < low - 1e-9) | (x > 1 + 1e-9)
    must(bool((grad[inside] == 1).all()), "gradients must pass straight through in range")
    must(not bool(grad[outside].any()), "gradients must stop where values are clipped")

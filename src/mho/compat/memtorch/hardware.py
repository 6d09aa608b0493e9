"""The arguments of ``patch_model`` as mho's description of a chip."""

from __future__ import annotations

import dataclasses
from typing import Any

from mho import DAC, Hardware, Tile
from mho import array as arrays
from mho.array import Array, Wires
from mho.compat.memtorch.bh.crossbar.Program import naive_program, write_verify
from mho.compat.memtorch.bh.crossbar.scheme import Scheme
from mho.compat.memtorch.bh.memristor.Memristor import Memristor, check_means
from mho.compat.memtorch.bh.StochasticParameter import Sampler, means
from mho.compat.memtorch.map.Input import naive_scale
from mho.compat.memtorch.map.Parameter import mapping, naive_map
from mho.config import field_names
from mho.converters import AutoRange, Dynamic, TwosComplement
from mho.devices import Device, Switching, Varied
from mho.devices.dynamics import SwitchingModel
from mho.errors import ConfigError
from mho.mapping import Mapping
from mho.programming import Programming, SingleShot


def described(
    memristor_model: type[Memristor], memristor_model_params: dict[str, Any], *, mapping_routine: Any,
    transistor: bool, programming_routine: Any, programming_routine_params: dict[str, Any] | None,
    p_l: float | None, scheme: Scheme, tile_shape: tuple[int, int] | None, max_input_voltage: float | None,
    scaling_routine: Any, scaling_routine_params: dict[str, Any] | None, source_resistance: float | None,
    line_resistance: float | None, ADC_resolution: int | None, ADC_overflow_rate: float,
    quant_method: str | None,
) -> tuple[Hardware, Memristor]:  # fmt: skip
    """The chip, and a memristor with the mean parameters; see ``patch_model``."""
    memristor = _mean_memristor(memristor_model, memristor_model_params)
    model = memristor.model
    if max_input_voltage is not None:
        model = dataclasses.replace(model, v_read=float(max_input_voltage))  # type: ignore[type-var]
    device = _device(model, memristor_model, memristor_model_params)
    made = Hardware(
        device=device,
        mapping=_mapping(mapping_routine, scheme, p_l),
        tile=_tile(tile_shape),
        array=_array(transistor, source_resistance, line_resistance),
        programming=_programming(programming_routine, programming_routine_params, model, transistor),
        dac=_dac(scaling_routine, scaling_routine_params, max_input_voltage),
        adc=_adc(ADC_resolution, ADC_overflow_rate, quant_method, device),
    )
    return made, memristor


def _mean_memristor(kind: type[Memristor], parameters: dict[str, Any]) -> Memristor:
    if not (isinstance(kind, type) and issubclass(kind, Memristor)):
        raise TypeError(f"memristor_model = {kind!r}: give a class of memtorch.bh.memristor, such as VTEAM")
    drawn = {k for k, v in parameters.items() if isinstance(v, Sampler)}
    if unknown := sorted(drawn - set(kind.defaults)):
        kind(**parameters)  # which says what is wrong with it
        raise TypeError(f"stochastic {', '.join(unknown)}: give a number")
    check_means(kind, {k: v for k, v in parameters.items() if k in kind.defaults})
    return kind(**means(parameters))


def _device(model: SwitchingModel, kind: type[Memristor], parameters: dict[str, Any]) -> Device:
    """The cells; with parameters of their own where these are stochastic."""
    drawn = {k: v.law for k, v in parameters.items() if isinstance(v, Sampler)}
    device = Switching(model=model)
    if not drawn:
        return device
    names = {_field(kind, means(parameters), k): law for k, law in drawn.items()}
    try:
        return Varied(device=device, spreads=names)
    except ConfigError as error:
        raise ValueError(
            f"stochastic {', '.join(sorted(drawn))}: {error} (low and high are min and max here)"
        ) from None


def _field(kind: type[Memristor], numbers: dict[str, Any], name: str) -> str:
    """What the model calls a parameter: the number that moves with it."""
    here = numbers[name]
    there = here * 1.001 if here else 1e-12
    values = {**kind.defaults, **{k: v for k, v in numbers.items() if k in kind.defaults}}
    given = frozenset(values) & frozenset(numbers)
    one, other = (kind.translated({**values, name: x}, given) for x in (here, there))
    for field in field_names(type(one)):
        if getattr(one, field) == here and getattr(other, field) == there:
            return field
    raise ValueError(
        f"stochastic {name}: it is no number of its own in mho's {type(one).__name__}; give a number for it"
    )


def _mapping(routine: Any, scheme: Scheme, p_l: float | None) -> Mapping:
    if isinstance(routine, Mapping):
        if scheme is not Scheme.DoubleColumn or p_l is not None:
            raise ValueError(f"scheme = {scheme!r}, p_l = {p_l!r}: they belong to naive_map; leave them out")
        return routine
    if routine is not naive_map:
        raise TypeError(f"mapping_routine = {routine!r}: give naive_map, or a mho.mapping.Mapping")
    return mapping(scheme, p_l)


def _tile(shape: tuple[int, int] | None) -> Tile:
    if shape is None:
        return Tile(rows=None, columns=None)
    rows, columns = shape
    return Tile(rows=rows, columns=columns, full=True)


def _array(transistor: bool, source: float | None, line: float | None) -> Array:
    if source is None and line is None:
        return arrays.Ideal()
    if transistor:
        raise ValueError(
            f"source_resistance = {source!r}, line_resistance = {line!r}: they belong to transistor=False; "
            "for arrays with transistors and wires give a mho.Hardware to mho.convert"
        )
    ohms, end = float(line or 0.0), float(source or 0.0)
    return Wires(row=ohms, column=ohms, driver=end, sense=end)


def _programming(
    routine: Any, parameters: dict[str, Any] | None, model: SwitchingModel, transistor: bool
) -> Programming:
    if routine is naive_program:
        return write_verify(model, transistor, **(parameters or {}))
    if parameters:
        raise ValueError(f"programming_routine_params = {parameters!r}: they belong to naive_program")
    if isinstance(routine, Programming):
        return routine
    if routine is not None:
        raise TypeError(
            f"programming_routine = {routine!r}: give None, naive_program, or a mho.programming.Programming"
        )
    if not transistor:
        raise ValueError(
            "transistor = False, programming_routine = None: without transistors the pulses on one cell "
            "disturb the others, so that cells cannot be set one by one; "
            "give programming_routine=naive_program"
        )
    return SingleShot()


def _dac(routine: Any, parameters: dict[str, Any] | None, top: float | None) -> DAC | None:
    if isinstance(routine, DAC):
        if parameters:
            raise ValueError(f"scaling_routine_params = {parameters!r}: they belong to naive_scale")
        return routine
    if routine is not naive_scale:
        raise TypeError(f"scaling_routine = {routine!r}: give naive_scale, or a mho.DAC")
    if (parameters or {}) not in ({}, {"force_scale": True}):
        raise ValueError(
            f"scaling_routine_params = {parameters!r}: each input vector is scaled to max_input_voltage, "
            "also a small one; give a mho.DAC with a Fixed range as scaling_routine for another rule"
        )
    return None if top is None else DAC(bits=None, range=Dynamic())


def _adc(bits: int | None, overflow: float, method: str | None, device: Device) -> TwosComplement | None:
    if method not in (None, "linear"):
        raise ValueError(
            f"quant_method = {method!r}: give 'linear'. MemTorch's 'log' turns every current below one "
            "ampere into one ampere, and its other names switch the ADC off in silence"
        )
    if bits is None:
        if method is not None or overflow:
            raise ValueError(
                f"quant_method = {method!r}, ADC_overflow_rate = {overflow!r} without ADC_resolution: there "
                "is no ADC; give its bits"
            )
        return None
    ampere = 1 / (device.v_read * device.g_max)  # in cell currents
    return TwosComplement(bits=bits, range=AutoRange(overflow=float(overflow), unit=ampere))

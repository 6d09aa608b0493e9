"""DACs and ADCs."""

from __future__ import annotations

import math
from typing import Any

from mho import converters
from mho.compat.crosssim._reader import Reader, instead
from mho.compat.crosssim.simulator.parameters.core_parameters import BitSlicedCoreStyle, CoreStyle
from mho.compat.crosssim.simulator.parameters.xbar_parameters import ADCRangeLimits
from mho.converters import ADC, DAC, ColumnConverter, EachSlice, Fixed, Range, Stream
from mho.mapping import BitSlicing, Mapping

_INPUTS, _DAC, _ADC = "core.mapping.inputs.mvm", "xbar.dac.mvm", "xbar.adc.mvm"
_CIRCUITS = ["RampADC", "SarADC", "PipelineADC", "CyclicADC"]


def dac(p: Reader, curved: bool) -> DAC | None:
    """The DAC; ``curved``: cells need to know the voltage of an input."""
    model = p.one_of(f"{_DAC}.model", ["IdealDAC", "QuantizerDAC", "SignMagnitudeDAC"])
    low, high = p[f"{_INPUTS}.min"], p[f"{_INPUTS}.max"]
    if (low is None or high is None) and p[f"{_INPUTS}.percentile"] is not None:
        if p[f"{_INPUTS}.percentile"] == 1 and not curved and (model == "IdealDAC" or not _bits(p, _DAC)):
            return None  # the largest input is the range: nothing is clipped, and nothing rounded
        raise p.refused(f"{_INPUTS}.percentile", instead(f"{_INPUTS}.percentile"))
    if low is None or high is None:
        which = "min" if low is None else "max"
        raise p.refused(f"{_INPUTS}.{which}", "give the range of the inputs: min and max")
    signed = True if model == "IdealDAC" else bool(p[f"{_DAC}.signed"])
    free = model != "IdealDAC" and not _bits(p, _DAC)  # no codes: nothing is clipped
    if high <= 0 or low not in ((-high, 0.0) if free else (-high if signed else 0.0,)):
        raise p.refused(
            f"{_INPUTS}.min", f"with max = {high!r} the range is [{-high if signed else 0.0}, {high}]; for a "
            "lopsided one use mho.DAC(zero=False, range=mho.converters.Fixed(limit=..., low=...))"
        )  # fmt: skip
    limit = Fixed(limit=float(high))
    if model == "SignMagnitudeDAC" and not signed:
        raise p.refused(f"{_DAC}.signed", "a sign and a magnitude are signed; use QuantizerDAC")
    if model == "IdealDAC" or not _bits(p, _DAC):
        return DAC(bits=None, range=limit) if curved or high != 1 else None
    return DAC(
        bits=_bits(p, _DAC), signed=signed, zero=model == "SignMagnitudeDAC", range=limit, stream=_stream(p)
    )


def _stream(p: Reader) -> Stream | None:
    if not p[f"{_DAC}.input_bitslicing"]:
        return None
    each = has_adc(p) and p[f"{_ADC}.adc_per_ibit"]
    return Stream(bits=p[f"{_DAC}.slice_size"], each=bool(each))


def adc(p: Reader, mapping: Mapping, inputs: int) -> ColumnConverter | None:
    """The ADC of arrays with so many inputs."""
    model = p.one_of(f"{_ADC}.model", ["IdealADC", "QuantizerADC", "SignMagnitudeADC", *_CIRCUITS])
    if not has_adc(p):
        return None
    bits, signed, limit = _bits(p, _ADC), bool(p[f"{_ADC}.signed"]), _range(p, mapping, inputs)
    if model in _CIRCUITS:
        return _circuit(p, model, {"bits": bits, "signed": signed, "range": _around_zero(limit)})
    if model == "SignMagnitudeADC" and not signed:
        raise p.refused(f"{_ADC}.signed", "a sign and a magnitude are signed; use QuantizerADC")
    if model == "SignMagnitudeADC" and isinstance(limit, Fixed) and limit.low is not None:
        raise p.refused(f"{_ADC}.calibrated_range", "a sign and a magnitude need a range around zero")
    return ADC(bits=bits, signed=signed, zero=model == "SignMagnitudeADC", range=limit)


def has_adc(p: Reader) -> bool:
    """Whether outputs are quantised."""
    return p[f"{_ADC}.model"] != "IdealADC" and _bits(p, _ADC) > 0


def _bits(p: Reader, path: str) -> int:
    """The resolution; 0 for no quantisation."""
    bits = int(p[f"{path}.bits"])
    if bits < 0:
        raise p.refused(f"{path}.bits", f"give the resolution of the {p[path + '.model']}, 0 for none")
    return bits


def _circuit(p: Reader, model: str, shared: dict[str, Any]) -> ColumnConverter:
    """ADCs with mismatch."""
    given = {name: p[f"{_ADC}.{name}"] for name in ("gain_db", "sigma_comparator")}
    shared = {**shared, "gain_db": float(given["gain_db"]), "comparator": float(given["sigma_comparator"])}
    if model == "RampADC":
        symmetric, sigma = p[f"{_ADC}.symmetric_cdac"], float(p[f"{_ADC}.sigma_capacitor"])
        return converters.Ramp(**shared, symmetric=symmetric, capacitor=sigma)
    shared["columns"] = p[f"{_ADC}.group_size"]
    if model == "SarADC":
        split, sigma = p[f"{_ADC}.split_cdac"], float(p[f"{_ADC}.sigma_capacitor"])
        return converters.SAR(**shared, split=split, capacitor=sigma)
    first, second = float(p[f"{_ADC}.sigma_C1"]), float(p[f"{_ADC}.sigma_C2"])
    if first != second:
        raise p.refused(f"{_ADC}.sigma_C2", f"both capacitors of a stage spread alike; give {first!r}")
    kind = converters.Pipeline if model == "PipelineADC" else converters.Cyclic
    return kind(**shared, capacitor=first, parasitic=float(p[f"{_ADC}.sigma_Cpar"]))


def _around_zero(limit: Range) -> Range:
    """The reference of a circuit is the larger end of a lopsided range."""
    if isinstance(limit, Fixed) and limit.low is not None:
        return Fixed(limit=max(abs(limit.low), abs(limit.limit)))
    return limit


def _range(p: Reader, mapping: Mapping, inputs: int) -> Range:
    option = p[f"{_ADC}.adc_range_option"]
    if option == ADCRangeLimits.CALIBRATED:
        return _calibrated(p, mapping)
    both = _both_signs(p)
    if bool(p[f"{_ADC}.signed"]) is not both:
        raise p.refused(
            f"{_ADC}.signed",
            f"{'currents have both signs' if both else 'no current is negative'} here; set it {both}",
        )
    if option == ADCRangeLimits.MAX:
        return Fixed(limit=_largest(p, mapping, inputs))
    return Fixed(limit=_granular(p, mapping, both))


def _both_signs(p: Reader) -> bool:
    """Whether currents of both signs are digitised."""
    style = p["core.style"]
    if style == CoreStyle.BITSLICED:
        return _signed_inputs(p) or not is_offset_style(p)
    pairs = style == CoreStyle.BALANCED and bool(p["core.balanced.subtract_current_in_xbar"])
    return _signed_inputs(p) or pairs


def _signed_inputs(p: Reader) -> bool:
    return p[f"{_DAC}.model"] == "IdealDAC" or bool(p[f"{_DAC}.signed"])


def _largest(p: Reader, mapping: Mapping, inputs: int) -> float:
    """The current of all cells at once."""
    if not isinstance(mapping, BitSlicing) or not mapping.offset:
        return float(inputs)
    # levels at multiples of the current of the lowest bits of weight and input
    codes, digit = 2 ** int(p[f"{_ADC}.bits"]), 2**mapping.bits_per_slice
    used = (codes - (2 if _signed_inputs(p) else 1)) / codes
    return float(2.0 ** round(math.log2(inputs)) * used * digit / (digit - 1) * _lowest_input(p))


def _granular(p: Reader, mapping: Mapping, both: bool) -> float:
    """Levels at multiples of the current of the lowest bits of weight and input."""
    path = f"{_ADC}.adc_range_option"
    if not p[f"{_DAC}.input_bitslicing"] or not p[f"{_ADC}.adc_per_ibit"]:
        raise p.refused(path, "GRANULAR needs dac.mvm.input_bitslicing and adc.mvm.adc_per_ibit")
    steps: float = 2 ** (int(p[f"{_ADC}.bits"]) - both) - 1
    if isinstance(mapping, BitSlicing):
        return float(steps / (2**mapping.bits_per_slice - 1) * _lowest_input(p))
    if p["core.weight_bits"] <= 0:
        raise p.refused("core.weight_bits", "GRANULAR needs the bits of a weight")
    return float(steps / 2 ** p["core.weight_bits"] * _lowest_input(p))


def _lowest_input(p: Reader) -> float:
    """What the sum of all groups of bits of an input is short of its full scale, inverted."""
    if p[f"{_DAC}.model"] == "IdealDAC" or not _bits(p, _DAC):
        raise p.refused(f"{_ADC}.adc_range_option", "this range follows from the bits of a DAC; give a DAC")
    top: float = 2 ** (int(p[f"{_DAC}.bits"]) - _signed_inputs(p))
    return top / (top - 1)


def _calibrated(p: Reader, mapping: Mapping) -> Range:
    path = f"{_ADC}.calibrated_range"
    given = p[path]
    sliced = p["core.style"] == CoreStyle.BITSLICED and isinstance(mapping, BitSlicing)
    pairs = list(given) if given and isinstance(given[0], tuple) else [given]
    if any(len(pair) != 2 or not pair[0] < pair[1] or pair[1] <= 0 for pair in pairs):
        raise p.refused(path, "give [min, max], in currents of a cell at 1 / Rmin; one for each slice of a "
                        "BITSLICED core")  # fmt: skip
    if not sliced or not isinstance(mapping, BitSlicing):
        if len(pairs) > 1:
            raise p.refused(path, "one range for each slice, and the core is not BITSLICED")
        low, high = (float(end) for end in pairs[0])
        if low < 0 and not p[f"{_ADC}.signed"]:
            raise p.refused(
                f"{_ADC}.signed", f"calibrated_range begins at {low:g}; leave it True, or begin at 0"
            )
        zero = 0.0 if not p[f"{_ADC}.signed"] else -high
        return Fixed(limit=high, low=None if low == zero else low)
    pairs = pairs * mapping.slices if len(pairs) == 1 else pairs
    signed = bool(p[f"{_ADC}.signed"])
    if any(low != (-high if signed else 0) for low, high in pairs):
        raise p.refused(path, "the range of a slice is [-max, max], or [0, max] if it is not signed")
    return EachSlice(limits=tuple(float(high) for _, high in pairs))


def is_offset_style(p: Reader) -> bool:
    """Whether slices are single cells."""
    return bool(p["core.bit_sliced.style"] == BitSlicedCoreStyle.OFFSET)

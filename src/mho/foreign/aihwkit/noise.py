"""Noise models and conductance converters as devices and mappings (theirs count in microsiemens)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mho import devices, mapping
from mho.devices import Device
from mho.errors import ConfigError
from mho.mapping import Mapping, Scale

MILLION = 1e6  # microsiemens in a siemens: dividing rounds once
Note = Callable[[str], None]
_JOSHI = [0.26348, 1.9650, -1.1731]
_HERMES_MOST = {1: 10.35, 2: 20.7}  # microsiemens: the cells that were measured


def device(model: Any, note: Note) -> Device:
    """The device of a noise model; an ideal one for None.

    Args:
        model: by its class name and attributes.
        note: told in a sentence what is held differently.

    Raises:
        ConfigError: a model that mho does not have.
    """
    if model is None:
        return devices.Ideal()
    name = type(model).__name__
    made = _DEVICES.get(name)
    if made is None:
        raise ConfigError(
            f"noise_model = {name}(...): mho knows {', '.join(_DEVICES)}; describe yours as a "
            "mho.devices.Device, and replace it in the Hardware"
        )
    return made(model, note)


def _common(model: Any) -> dict[str, float]:
    """Bounds and scales."""
    low = getattr(getattr(model, "g_converter", None), "g_min", getattr(model, "g_min", 0.0))
    scales = ("program_scale", "prog_noise_scale"), ("read_scale", "read_noise_scale")
    found = {ours: float(getattr(model, theirs, 1.0)) for ours, theirs in scales}
    found["drift_scale"] = float(getattr(model, "drift_scale", 1.0))
    return {"g_min": float(low) / MILLION, "g_max": float(model.g_max) / MILLION, **found}


def _times(model: Any) -> dict[str, float]:
    return {"t0": float(model.t_0), "t_read": float(model.t_read)}


def _table(model: Any) -> dict[str, Any]:
    """The law of drift exponents, where it is a table."""
    held = getattr(model, "custom_drift_model", None)
    if held is None:
        return {}
    g, mean, std = (tuple(map(float, held[key])) for key in ("g_lst", "nu_mean_lst", "nu_std_lst"))
    return {"nu": devices.TableNu(g=tuple(value / MILLION for value in g), mean=mean, std=std)}


def _pcm(model: Any, note: Note) -> Device:
    named = {**_common(model), **_times(model), **_table(model)}
    reference = float(getattr(model, "prog_coeff_g_max_reference", model.g_max))
    if [float(c) for c in model.prog_coeff] == _JOSHI and reference == 25.0:
        return devices.PCM(**named)
    own = tuple(map(float, model.prog_coeff))
    return devices.CustomPCM(**named, program=own, g_reference=reference / MILLION)


def _hermes(model: Any, note: Note) -> Device:
    count = int(model.num_devices)
    kind = devices.HermesPCM if count == 2 else devices.HermesPCMSingle
    given = getattr(model, "prog_coeff", None)
    published = kind._program
    if given is not None and tuple(map(float, given)) != published:
        raise ConfigError(
            f"noise_model.prog_coeff = {given!r}: the HERMES fit has {published}; take mho.devices.CustomPCM "
            "for coefficients of your own"
        )
    return kind(**_common(model), **_times(model))


def _flat(model: Any, note: Note) -> Device:
    exponent = devices.ConstantNu(mean=float(model.drift_nu_mean), std=float(model.drift_nu_std))
    own = tuple(map(float, model.prog_coeff))
    named = {**_common(model), **_times(model)}
    # its coefficients are microsiemens whatever g_max is, and its read noise is g/g_max microsiemens
    reference, read = named["g_max"], 1.0 / float(model.g_max)
    return devices.CustomPCM(
        **named, program=own, g_reference=reference, nu=exponent, read=read, read_power=0.0, read_most=read
    )


def _wan(model: Any, note: Note) -> Device:
    if getattr(model, "coeff_dic", None) is not None and not _published(model.coeff_dic):
        raise ConfigError(
            "noise_model.coeff_dic: mho.devices.ReRAMWan2022 has the published coefficients; describe a "
            "device of your own"
        )
    if float(model.g_max) != 40.0:
        note(
            "noise_model.g_max: the spread was measured at 40 uS and scales with g_max here; in aihwkit it "
            "stays that of 40 uS"
        )
    low = float(getattr(model.g_converter, "g_min", 0.0))
    scale = float(getattr(model, "noise_scale", 1.0))
    return devices.ReRAMWan2022(
        g_min=low / MILLION, g_max=float(model.g_max) / MILLION, program_scale=scale, drift_scale=scale
    )


def _published(table: dict[float, list[float]]) -> bool:
    from mho.devices.wan import _QUARTIC

    held = {time: list(values) for time, values in _QUARTIC}
    return {float(t): [float(v) for v in c] for t, c in table.items()} == held


def _cmo(model: Any, note: Note) -> Device:
    wide = float(model.acceptance_range) == 2
    if float(model.acceptance_range) not in (0.2, 2):
        note(
            f"noise_model.acceptance_range = {model.acceptance_range!r}: the measured ones are 0.2 and 2 "
            "(per cent); 0.2 is taken, as aihwkit does in silence"
        )
    named = _common(model)
    named["g_max"] = min(named["g_max"], 88.2e-6)
    return devices.ReRAMCMO(**named, acceptance="2%" if wide else "0.2%")


_DEVICES: dict[str, Callable[[Any, Note], Device]] = {
    "PCMLikeNoiseModel": _pcm,
    "CustomDriftPCMLikeNoiseModel": _pcm,
    "HermesNoiseModel": _hermes,
    "StateIndependentNoiseModel": _flat,
    "ReRamWan2022NoiseModel": _wan,
    "ReRamCMONoiseModel": _cmo,
}


def pairs(model: Any, scale: Scale, note: Note) -> Mapping:
    """How weights become conductances, by the converter of a noise model."""
    converter: Any = getattr(model, "g_converter", None)
    name = "SinglePairConductanceConverter" if converter is None else type(converter).__name__
    if name == "SinglePairConductanceConverter":
        return mapping.DifferentialPair(scale=scale)
    if name in ("DualPairConductanceConverter", "NPairConductanceConverter"):
        factors = tuple(map(float, converter.f_lst))
        return mapping.SignificancePairs(factors=factors, scale=scale)
    if name == "SingleDeviceConductanceConverter":
        note(
            "noise_model.g_converter = SingleDeviceConductanceConverter: zero lies in the middle of the "
            "range here; in aihwkit the smallest weight lies at g_min, and equal weights are no number"
        )
        return mapping.Offset(scale=scale)
    raise ConfigError(
        f"noise_model.g_converter = {name}(...): mho has SinglePair, DualPair, NPair and "
        "SingleDevice converters; describe others as a mho.mapping.Mapping"
    )

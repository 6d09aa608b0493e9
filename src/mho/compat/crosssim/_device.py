"""Cells: resistances, errors, drift, laws."""

from __future__ import annotations

from mho import array as arrays
from mho import devices
from mho.compat.crosssim._laws import ProgrammedLike, ReadLike
from mho.compat.crosssim._reader import Reader
from mho.compat.crosssim.simulator.parameters.xbar_parameters import DeviceParameters
from mho.devices import Device, Error
from mho.errors import ConfigError

DAY = 86_400.0
_LAWS: dict[str, type[Error]] = {
    "Independent": devices.Independent,
    "Proportional": devices.Proportional,
    "InverseProportional": devices.Inverse,
}
_GENERIC = [f"{shape}{law}Device" for shape in ("Normal", "Uniform") for law in _LAWS]
_MEASURED = ["PCMJoshi", "RRAMMilo", "RRAMWan", "SONOS"]
_WAN_MOST = 39.26e-6  # siemens, W. Wan et al., Nature 608, 504 (2022): the highest conductance of the fit
_SONOS_DRIFT_MOST = 18e-6  # siemens, V. Agrawal et al., IEEE IEDM 2022, figure 10: drift up to there
_JOSHI_MOST = 25e-6  # siemens, V. Joshi et al., Nat. Commun. 11, 2473 (2020), figure 3b


def cell(p: Reader) -> tuple[Device, float]:
    """The device, and the time after programming in seconds."""
    g_max = 1 / _positive(p, "Rmin")
    highest = _positive(p, "Rmax")  # scripts give it with an infinite ratio, too, which sets it aside
    g_min = 0.0 if p["xbar.device.infinite_on_off_ratio"] else 1 / highest
    names = {"g_min": g_min, "g_max": g_max, "v_read": _volts(p)}
    programmed, read, drifts = (
        _model(p, kind) for kind in ("programming_error", "read_noise", "drift_error")
    )
    if drifts is not None:
        return _drifting(p, drifts, programmed, read, names), float(p["xbar.device.time"]) * DAY
    if programmed is None and read is None:
        return devices.Ideal(**names), 0.0
    laws = {}
    if programmed is not None:
        laws["program"] = _law(p, "programming_error", programmed, names)
        if p["xbar.device.clip_conductance"] and read is not None:
            raise p.refused(
                "xbar.device.clip_conductance", "only programmed conductances are clipped here, not those "
                "of a read; leave out read_noise"
            )  # fmt: skip
    if read is not None:
        laws["read"] = _law(p, "read_noise", read, names)
    clip = programmed is not None and bool(p["xbar.device.clip_conductance"])
    return devices.Generic(**names, **laws, clip=clip), 0.0  # type: ignore[arg-type]


def law_of_cells(p: Reader) -> arrays.Law | None:
    """The current-voltage law; None for Ohm's."""
    path = "xbar.device.nonlinear_IV"
    if not p[f"{path}.enable"]:
        return None
    model = p.one_of(f"{path}.model", ["CubicDevice", "RRAMMilo"])
    if model == "CubicDevice":
        return arrays.Polynomial(coefficients=(0.0, -0.25))
    raise p.refused(
        f"{path}.model", "there is no such law here; write it as a mho.array.Law and give it to "
        "mho.array.Nonlinear(law=...)"
    )  # fmt: skip


def _volts(p: Reader) -> float:
    """The read voltage, where anything depends on it; the default everywhere else."""
    curved = p["xbar.device.nonlinear_IV.enable"]
    return _positive(p, "Vread") if curved else float(DeviceParameters.FIELDS["Vread"])


def _positive(p: Reader, name: str) -> float:
    value = float(p[f"xbar.device.{name}"])
    if value <= 0:
        raise p.refused(f"xbar.device.{name}", "give a positive number")
    return value


def _model(p: Reader, kind: str) -> str | None:
    """The name of the model of an error; None if it is off."""
    path = f"xbar.device.{kind}"
    if not p[f"{path}.enable"]:
        return None
    if p[f"{path}.model"] == "IdealDevice":
        raise p.refused(f"{path}.enable", f"the model is IdealDevice, which has no error; set {path}.model")
    known = {"drift_error": ["SONOS"], "read_noise": [*_GENERIC, "SONOS"]}
    if kind == "drift_error" and p[f"{path}.model"] in _MEASURED:
        p.one_of(f"{path}.model", _MEASURED)
        if p[f"{path}.model"] != "SONOS":
            raise p.refused(
                f"{path}.model", "this fit has no drift; devices that drift: SONOS, and in mho PCM, "
                "HermesPCM, ReRAMWan2022, ReRAMCMO, ConstantDrift"
            )  # fmt: skip
    return p.one_of(f"{path}.model", known.get(kind, [*_GENERIC, *_MEASURED]))


def _drifting(
    p: Reader, model: str, programmed: str | None, read: str | None, names: dict[str, float]
) -> Device:
    """SONOS: its spread on the day of programming is part of the drift, as one trajectory of each cell."""
    for kind, other in (("programming_error", programmed), ("read_noise", read)):
        if other not in (None, model):
            raise p.refused(
                f"xbar.device.{kind}.model", f"the cells drift as {model}, which has its own errors; choose "
                f"{model} here too, or leave it out"
            )  # fmt: skip
    _at_its_voltage(p)
    still = not p["xbar.device.time"] and names["g_max"] > _SONOS_DRIFT_MOST  # nothing drifts at time 0
    scales = {"read_scale": float(read is not None), "drift_scale": 0.0 if still else 1.0}
    return _measured(p, devices.SONOS, **names, **scales)


def _law(p: Reader, kind: str, model: str, names: dict[str, float]) -> Error:
    """The error of a model as a law of the conductance."""
    if model in _GENERIC:
        normal = model.startswith("Normal")
        name = model.removeprefix("Normal").removeprefix("Uniform").removesuffix("Device")
        law = _LAWS[name](sigma=_magnitude(p, kind))  # type: ignore[call-arg]
        return law if normal else devices.Uniform(width=law)
    bounds = {name: names[name] for name in ("g_min", "g_max")}
    if model == "PCMJoshi":
        _at_most(p, kind, bounds["g_max"], _JOSHI_MOST)
        most = bounds["g_max"] * 1e6
        return devices.Polynomial(coefficients=(0.28638599 / most, 0.07585724, -0.00178767 * most))
    if model == "RRAMMilo":
        return ProgrammedLike(device=_measured(p, devices.ReRAMMilo2021, **bounds))
    if model == "RRAMWan":
        _at_most(p, kind, bounds["g_max"], _WAN_MOST)
        return ProgrammedLike(device=devices.ReRAMWan2022(g_max=_WAN_MOST, fit="cubic"))
    _at_its_voltage(p)
    device = _measured(p, devices.SONOS, **bounds, drift_scale=0.0)
    return ReadLike(device=device) if kind == "read_noise" else ProgrammedLike(device=device)


def _measured(p: Reader, kind: type[Device], **values: float) -> Device:
    """A device that was measured between bounds; the parameters that break them are named."""
    try:
        return kind(**values)
    except ConfigError as error:
        raise p.refused(
            "xbar.device.Rmin", f"1 / Rmin is g_max, 1 / xbar.device.Rmax is g_min. {error}"
        ) from error


def _magnitude(p: Reader, kind: str) -> float:
    path = f"xbar.device.{kind}.magnitude"
    value = float(p[path])
    if value < 0:
        raise p.refused(path, "a spread is not negative")
    return value


def _at_most(p: Reader, kind: str, g_max: float, most: float) -> None:
    if g_max > most * (1 + 1e-6):
        raise p.refused(
            f"xbar.device.{kind}.model", f"it was measured up to {most:g} S, and 1 / Rmin is {g_max:g} S; "
            "choose a larger Rmin"
        )  # fmt: skip


def _at_its_voltage(p: Reader) -> None:
    if p["xbar.device.Vread"] != 0.1:
        raise p.refused("xbar.device.Vread", "the currents of SONOS cells were measured at 0.1 V; give 0.1")

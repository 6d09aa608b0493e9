"""Hardware of cells that you measured: several fits of one technology as one device, and its programming."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mho.config import load
from mho.devices import Device, Drifting, Error, Fit, Generic, Independent, JumpCell, Switching, Unbiased
from mho.devices.dynamics import LinearStep, SwitchingModel
from mho.devices.effects.base import Effect, innermost
from mho.devices.exponents import ConstantNu
from mho.devices.fitting.card import makes_hardware
from mho.errors import ConfigError
from mho.hardware import Hardware
from mho.programming import CountedPulses, Programming, SingleShot, Train, WriteVerify, suited_pulses
from mho.programming.jumps import JumpPulses

Described = Fit | Device | SwitchingModel
_NO_ERROR, _NO_DRIFT = Independent(sigma=0.0), ConstantNu()
_HOW = (
    "give one fit each of how cells are written (pulses, jumps, a loop or states), of how they drift, of how "
    "they wear"
)


def measured_device(*fits: Described) -> Device:
    """One device of several fits of one technology.

    Pulses, jumps or a loop say how a cell is written, or states do; a retention fit says how it drifts and
    what a read scatters; an endurance fit, how it wears.

    Args:
        fits: what :func:`mho.devices.fit` gave, or their devices.

    Raises:
        TypeError: something else.
        ValueError: two of them say the same, or of conductances that have nothing in common.

    Example:
        >>> from mho.devices import ConstantNu, Polynomial
        >>> states = Generic(g_max=20e-6, program=Polynomial(coefficients=(0.01, 0.02)))
        >>> drift = Generic(g_max=20e-6, nu=ConstantNu(mean=0.05, std=0.01), t0=20.0)
        >>> both = measured_device(states, drift)
        >>> both.program == states.program, both.nu == drift.nu, both.t0
        (True, True, 20.0)
    """
    if not fits:
        raise ValueError(f"no fit: {_HOW}")
    devices = [_device(one) for one in fits]
    if len(devices) == 1:
        return devices[0]
    written, drifting, worn = _sorted(devices)
    made = _drifting(written, drifting)
    for effect in worn:
        made = replace(effect, device=made)  # type: ignore[type-var]
    return made


def programming_of(device: Device) -> Programming:
    """How a fitted cell is programmed: by its own pulses where it has some, in one shot where it has none.

    A train of pulses is counted (:class:`~mho.programming.CountedPulses`), jumps of both directions are
    verified, the pulses of another switching model are chosen for it and verified
    (:func:`~mho.programming.suited_pulses`).

    Args:
        device: the cell.
    """
    inside = innermost(device)
    if isinstance(inside, Switching):
        return _pulses(inside.model)
    if isinstance(inside, JumpCell) and inside.up is not None and inside.down is not None:
        return WriteVerify(pulse=JumpPulses(), max_pulses=300)
    return SingleShot()


@makes_hardware
def measured_hardware(*fits: Described, **parts: Any) -> Hardware:
    """A chip of cells that you measured, programmed as :func:`programming_of` says.

    Args:
        fits: as in :func:`measured_device`.
        parts: the others of :class:`mho.Hardware`: ``dac=mho.DAC(bits=8)``; ``programming`` too.

    Raises:
        TypeError: a fit that is none.
        ValueError: as :func:`measured_device`.

    Example:
        >>> from mho.devices.dynamics import LinearStep
        >>> chip = measured_hardware(LinearStep())
        >>> type(chip.device).__name__, type(chip.programming).__name__
        ('Switching', 'CountedPulses')
    """
    device = measured_device(*fits)
    chosen = {"programming": programming_of(device), **parts}
    return Hardware(device=device, **chosen)


def load_hardware(path: str) -> Hardware:
    """The hardware in a file: a whole one, or one of the fitted device that the file describes.

    Raises:
        ConfigError: it describes something else.
    """
    described = load(path)
    if isinstance(described, Hardware):
        return described
    if isinstance(described, (Device, SwitchingModel)):
        return measured_hardware(described)
    raise ConfigError(
        f"{path}: this describes a {type(described).__name__}, no Hardware, no device and no switching model"
    )


def described(path: str) -> Device | SwitchingModel:
    """The device, or the model, in a file.

    Raises:
        ConfigError: it describes something else.
    """
    found = load(path)
    if not isinstance(found, (Device, SwitchingModel)):
        raise ConfigError(
            f"{path}: this describes a {type(found).__name__}, no device and no switching model"
        )
    return found


# --- what a fit says -----------------------------------------------------------------------------


def _device(one: Any) -> Device:
    found = one.device if isinstance(one, Fit) else one
    if isinstance(found, SwitchingModel):
        return Switching(model=found)
    if not isinstance(found, Device):
        raise TypeError(f"{one!r:.80}: a {type(one).__name__} is no fit and no device; {_HOW}")
    return found


def _sorted(devices: list[Device]) -> tuple[Device | None, Generic | Drifting | None, list[Effect]]:
    """What says how cells are written, what says how they drift, and effects around a cell to come."""
    written: Device | None = None
    drifting: Generic | Drifting | None = None
    worn: list[Effect] = []
    for device in devices:
        if isinstance(device, Drifting):
            _refuse_twice(drifting, device, "how cells drift")
            drifting = device
            continue
        if isinstance(device, Effect):
            worn.append(device)
            continue
        if _is_written(device) or not isinstance(device, Generic):
            _refuse_twice(written, device, "how cells are written")
            written = device
        if isinstance(device, Generic) and _drifts(device):
            _refuse_twice(drifting, device, "how cells drift")
            drifting = device
    return written, drifting, worn


def _is_written(device: Device) -> bool:
    return isinstance(device, Generic) and (device.program != _NO_ERROR or device.bias != Unbiased())


def _drifts(device: Generic) -> bool:
    return device.nu != _NO_DRIFT or device.read != _NO_ERROR


def _refuse_twice(before: Device | None, device: Device, what: str) -> None:
    if before is not None:
        raise ValueError(f"two fits say {what}: {type(before).__name__} and {type(device).__name__}; {_HOW}")


def _drifting(written: Device | None, drifting: Generic | Drifting | None) -> Device:
    """A cell that is written as one fit says and drifts as the other one."""
    if written is None or drifting is None or written is drifting:
        return written or drifting or Generic()
    _check_common(written, drifting)
    read = _read_noise(drifting)
    if isinstance(drifting, Drifting):
        inside = replace(written, read=read) if hasattr(written, "read") else written  # type: ignore[type-var]
        return replace(drifting, device=inside)
    if isinstance(written, Generic):
        return replace(written, nu=drifting.nu, t0=drifting.t0, read=drifting.read)
    if isinstance(written, (Switching, JumpCell)):
        written = replace(written, read=read)
    return Drifting(device=written, nu=drifting.nu, t0=drifting.t0)


def _read_noise(drifting: Generic | Drifting) -> Error:
    inside = drifting.device if isinstance(drifting, Drifting) else drifting
    return inside.read if isinstance(inside, Generic) else _NO_ERROR


def _check_common(written: Device, drifting: Device) -> None:
    if drifting.g_max < max(written.g_min, written.g_max / 100) or drifting.g_max > 10 * written.g_max:
        raise ValueError(
            f"the cells that are written have {written.g_min:.3g} to {written.g_max:.3g} S, those that drift "
            f"up to {drifting.g_max:.3g} S: are they of one technology, and are the units right?"
        )


def _pulses(model: SwitchingModel) -> Programming:
    if not isinstance(model, LinearStep):
        return WriteVerify(pulse=suited_pulses(model))
    volts = model.v_up if model.step_up > 0 else model.v_down
    return CountedPulses(train=Train(voltage=volts, width=model.width))

"""Programming by voltage pulses."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mho.array import HalfVoltage
from mho.compat.memtorch.bh.memristor.Memristor import Memristor
from mho.config import unknown_key
from mho.devices import Switching
from mho.devices.dynamics import SwitchingModel
from mho.programming import Train, WriteVerify, set_polarity, suited_pulses


class Signal(NamedTuple):
    """A voltage over time: seconds and volts, ``[time]``."""

    time: Tensor
    voltage: Tensor


def gen_programming_signal(
    number_of_pulses: int,
    pulse_duration: float,
    refactory_period: float,
    voltage_level: float,
    time_series_resolution: float,
) -> Signal:
    """Rectangular pulses, each followed by a pause, as samples of a signal.

    Args:
        number_of_pulses: how many.
        pulse_duration: seconds.
        refactory_period: pause after each pulse, seconds.
        voltage_level: volts.
        time_series_resolution: seconds for which a sample lasts.

    >>> gen_programming_signal(2, 2e-9, 1e-9, 0.5, 1e-9).voltage.tolist()
    [0.5, 0.5, 0.0, 0.5, 0.5, 0.0]
    """
    on, off = round(pulse_duration / time_series_resolution), round(refactory_period / time_series_resolution)
    if number_of_pulses < 1 or on < 1:
        raise ValueError(
            f"number_of_pulses = {number_of_pulses!r}, pulse_duration = {pulse_duration!r}: a signal has one "
            f"pulse at least, of one sample of {time_series_resolution!r} s at least"
        )
    one = torch.cat([torch.full((on,), float(voltage_level)), torch.zeros(off)]).double()
    voltage = one.repeat(number_of_pulses)
    return Signal(torch.arange(len(voltage), dtype=torch.float64) * time_series_resolution, voltage)


def naive_program(memristor: Memristor, conductance: float, **parameters: Any) -> int:
    """Bring one memristor from a fresh state to a conductance by pulses and reads.

    As ``programming_routine`` of ``patch_model`` it does so for all cells of all arrays, with disturbed
    neighbours where there are no transistors.

    Args:
        memristor: it is left in the state that the pulses found.
        conductance: as a read at the model's read voltage sees it, siemens.
        parameters: see :func:`write_verify`.

    Returns:
        Number of pulses.

    Raises:
        ValueError: the conductance was not reached.
    """
    routine = write_verify(memristor.model, transistor=True, **{"rel_tol": 0.01, **parameters})
    target = torch.full((1, 1, 1, 1), float(conductance), dtype=torch.float64)
    done = routine.write(Switching(model=memristor.model), target, seed=0)
    if bool(done.failed.any()):
        raise ValueError(
            f"conductance = {conductance!r} S was not reached in {routine.max_pulses} pulses; the cell has "
            f"{float(done.g):g} S"
        )
    memristor.state = memristor.model.state_of(done.g[0, 0, 0, 0])
    return int(done.pulses)


def write_verify(
    model: SwitchingModel,
    transistor: bool,
    *,
    rel_tol: float = 0.1,
    pulse_duration: float | None = None,
    pos_voltage_level: float | None = None,
    neg_voltage_level: float | None = None,
    failure_iteration_threshold: int = 200,
    simulate_neighbours: bool = True,
    **others: Any,
) -> WriteVerify:
    """The description of ``naive_program`` for a model.

    Args:
        model: of the cells; its polarity decides which pulses raise the conductance.
        transistor: whether transistors protect the neighbours of a cell.
        rel_tol: largest error, as a fraction of the target.
        pulse_duration: of the first pulses, seconds; None for what suits the model. Pulses bisect.
        pos_voltage_level, neg_voltage_level: volts; None for what suits the model.
        failure_iteration_threshold: most pulses for a cell.
        simulate_neighbours: without transistors: half of each pulse disturbs the cells on the same lines.
        others: refused with a reason.
    """
    for name in others:
        raise TypeError(_REFUSED.get(name) or unknown_key(name, [*_KNOWN], "naive_program"))
    levels = {1.0: pos_voltage_level, -1.0: neg_voltage_level}
    for sign, level in levels.items():
        if level is not None and not level * sign > 0:
            name = "pos_voltage_level" if sign > 0 else "neg_voltage_level"
            raise ValueError(f"{name} = {level!r}: give volts of that sign")
    way = set_polarity(model)
    up, down = (None if v is None else abs(v) for v in (levels[way], levels[-way]))
    scheme = None if transistor or not simulate_neighbours else HalfVoltage()
    pulses = suited_pulses(model, scheme, up=up, down=down)
    if pulse_duration is not None:
        width = float(pulse_duration)
        pulses = dataclasses.replace(
            pulses,
            up=Train(voltage=pulses.up.voltage, width=width),
            down=Train(voltage=pulses.down.voltage, width=width),
        )
    return WriteVerify(pulse=pulses, tolerance=rel_tol, relative=True, max_pulses=failure_iteration_threshold)


_KNOWN = (
    "rel_tol", "pulse_duration", "pos_voltage_level", "neg_voltage_level", "failure_iteration_threshold",
    "simulate_neighbours",
)  # fmt: skip
_NUDGE = "{}: MemTorch nudges the state of a cell that pulses do not move, which no circuit can; leave it out"
_REFUSED = {
    "refactory_period": "refactory_period: a cell holds its state between pulses; leave it out",
    "timeout": "timeout: a limit in seconds of computing makes the chip depend on the machine; "
    "give failure_iteration_threshold",
    **{
        name: _NUDGE.format(name)
        for name in (
            "force_adjustment", "force_adjustment_rel_tol", "force_adjustment_pos_voltage_threshold",
            "force_adjustment_neg_voltage_threshold",
        )
    },
}  # fmt: skip

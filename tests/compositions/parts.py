"""The parts that exist, found by walking mho, and an example of each.

A part is made without arguments, or as ``EXAMPLES`` says: functions of the device that it meets, since the
states, the models and the bounds of cells have to fit it. Where a part has several examples, the
compositions take them in turn.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import mho
from mho import array, converters, devices, mapping, programming
from mho.devices import Device, Spread
from mho.devices.dynamics import VTEAM
from mho.devices.effects.base import innermost
from mho.devices.own_values import number_at
from mho.errors import ConfigError

Example = Callable[[Device], Any]

FOUR = (10.0, 0.1, 0.2, 0.3)  # fails after some seconds or cycles
JUMPS = devices.Jumps(
    g=(1e-6, 5e-6, 20e-6), change=(-1e-6, 0.0, 2e-6), cdf=((0.0, 0.3, 1.0), (0.1, 0.4, 0.9), (0.3, 0.8, 1.0))
)


# --- discovery -----------------------------------------------------------------------------------


@functools.cache
def _imported() -> None:
    for module in pkgutil.walk_packages(mho.__path__, "mho."):
        importlib.import_module(module.name)


def below(base: type) -> Iterator[type]:
    """A class and all that derive from it."""
    yield base
    for kind in base.__subclasses__():
        yield from below(kind)


@functools.cache
def kinds(base: type, *but: type) -> list[type]:
    """The descriptions of mho that derive from ``base`` and can be made, by name; none that are ``but``."""
    _imported()
    found = {
        kind
        for kind in below(base)
        if "__dataclass_fields__" in vars(kind)
        and not inspect.isabstract(kind)
        and kind.__module__.startswith("mho.")
        and not issubclass(kind, but)
    }
    return sorted(found, key=lambda kind: (kind.__name__, kind.__module__))


# --- examples that fit a device ------------------------------------------------------------------


def lowest(device: Device) -> float:
    """The lowest conductance of a device, above zero."""
    return device.g_min or device.g_max / 100


def model(device: Device) -> VTEAM:
    """A switching model with the conductances of a device."""
    return VTEAM(r_on=0.99 / device.g_max, r_off=1.01 / lowest(device), v_read=device.v_read)


def varied(device: Device) -> devices.Varied:
    """The first parameter of the device that can differ from cell to cell does."""
    owner = device.model if isinstance(device, devices.Switching) else device
    for field in dataclasses.fields(owner):
        try:
            value = number_at(owner, field.name)
            law = Spread(mean=value, std=0.03 * abs(value), low=0.9 * value, high=value)
            devices.Varied(device=device, spreads={field.name: law})
        except ValueError:
            continue
        return devices.Varied(spreads={field.name: law})
    raise ValueError(f"no parameter of {type(device).__name__} is one float that can differ by cell")


class Each(NamedTuple):
    """An example with each kind of an inner part."""

    base: type
    make: Callable[[Any], Any]
    but: tuple[type, ...] = ()

    def examples(self) -> list[Example]:
        """One for each example of each kind."""
        inner = [one for kind in kinds(self.base, *self.but) for one in examples(kind)]
        return [lambda device, one=one: self.make(one(device)) for one in inner]


def even(make: Callable[[], devices.StateSet]) -> Example:
    """States that need a conductance above zero, where there is one."""
    return lambda device: make() if device.g_min > 0 else devices.UniformG(count=5)


d, a = devices, array
# What cannot be made without arguments, or does nothing then.
EXAMPLES: dict[type, tuple[Example | Each, ...]] = {
    # devices
    d.ConstantDrift: (lambda _: d.ConstantDrift(nu=0.1, nu_std=0.05, read=(0.01, 0.05)),),
    d.Generic: (
        Each(d.Error, lambda law: d.Generic(program=law, read=law, nu=d.ConstantNu(mean=0.1, std=0.05))),
        Each(d.Exponent, lambda nu: d.Generic(nu=nu, clip=True)),
    ),
    d.Switching: (
        lambda _: d.Switching(model=VTEAM(r_on=1e4, r_off=1e6, v_read=0.2), read=d.Proportional(sigma=0.02)),
    ),
    d.JumpCell: (lambda _: d.JumpCell(up=JUMPS, down=JUMPS, read=d.Proportional(sigma=0.02)),),
    # laws of devices
    d.ConstantNu: (lambda _: d.ConstantNu(mean=0.1, std=0.05),),
    d.Independent: (lambda _: d.Independent(sigma=0.05),),
    d.Inverse: (lambda _: d.Inverse(sigma=1e-3),),
    d.LogNormal: (lambda _: d.LogNormal(sigma=0.3),),
    d.Polynomial: (lambda _: d.Polynomial(coefficients=(0.01, 0.05, -0.02)),),
    d.Proportional: (lambda _: d.Proportional(sigma=0.1),),
    d.Table: (lambda _: d.Table(g=(0.0, 10e-6, 25e-6), sigma=(0.2e-6, 1e-6, 0.5e-6)),),
    d.TableNu: (lambda _: d.TableNu(g=(0.0, 25e-6), mean=(0.1, 0.05), std=(0.0, 0.01)),),
    d.Uniform: (lambda _: d.Uniform(width=d.Proportional(sigma=0.3)),),
    # effects
    d.Accelerated: (lambda _: d.Accelerated(activation=0.2, kelvin=310.0),),
    d.Drifting: (lambda _: d.Drifting(nu=d.ConstantNu(mean=0.1, std=0.05)),),
    d.Endurance: (Each(d.Failure, lambda law: d.Endurance(cycles=1e4, law=law)),),
    d.FiniteStates: (Each(d.StateSet, lambda states: d.FiniteStates(states=states)),),
    d.OwnBounds: (
        lambda at: d.OwnBounds(
            r_on=Spread(mean=1.1 / at.g_max, std=0.1 / at.g_max),
            r_off=Spread(mean=0.9 / lowest(at), std=0.1 / lowest(at)),
        ),
        lambda at: d.OwnBounds(r_on=Spread(mean=1 / at.g_max, std=0.1 / at.g_max)),
    ),
    d.RandomTelegraphNoise: (
        Each(d.Error, lambda law: d.RandomTelegraphNoise(step=law, spread=0.5, occupancy=0.3, share=0.6)),
    ),
    d.ReadDisturb: (lambda at: d.ReadDisturb(model=model(at), reads=10.0, pulse=1e-9, voltage=0.1),),
    d.RetentionFailure: (Each(d.Failure, lambda law: d.RetentionFailure(law=law)),),
    d.RetentionLoss: (lambda _: d.RetentionLoss(nu=0.1, nu_std=0.05), lambda _: d.RetentionLoss(nu=0.1)),
    d.ShotNoise: (lambda _: d.ShotNoise(bandwidth=1e8),),
    mho.periphery.KnownDrift: (lambda _: mho.periphery.KnownDrift(nu=0.05),),
    d.StuckAt: (
        lambda _: d.StuckAt(lrs=0.2, hrs=0.1, unformed=0.1),
        lambda _: d.StuckAt(lrs=1, hrs=1),
        lambda _: d.StuckAt(hrs=0.4, of="rows"),
    ),
    d.Temperature: (lambda _: d.Temperature(kelvin=350.0, activation=0.1, alpha=1e-3),),
    d.ThermalNoise: (lambda _: d.ThermalNoise(bandwidth=1e8),),
    d.Varied: (varied,),
    d.Worn: (
        lambda _: d.Worn(cycles=1e4, set_slope=-0.05, reset_slope=0.05, lifetime=2e4, shape=1.5, stuck=1e-6),
    ),
    # laws of effects
    d.GradualFailure: (lambda _: d.GradualFailure(p_lrs=FOUR, p_hrs=(5.0, 0.1, 0.2, -0.1)),),
    d.SuddenFailure: (
        lambda at: d.SuddenFailure(g_lrs=at.g_max, g_hrs=at.g_min, p_lrs=FOUR, p_hrs=(5.0, 0.1, 0.2, 0.3)),
    ),
    d.UniformG: (lambda _: d.UniformG(count=5),),
    d.UniformR: (even(lambda: d.UniformR(count=5)),),
    d.Logarithmic: (even(lambda: d.Logarithmic(count=5)),),
    d.Measured: (lambda at: d.Measured(g=(at.g_min, at.g_max / 3, at.g_max)),),
    # arrays
    a.AlternateColumns: (lambda _: a.AlternateColumns(wires=a.Wires(row=50.0, column=70.0)),),
    a.Approximate: (lambda _: a.Approximate(row=50.0, column=70.0, driver=200.0),),
    a.Nonlinear: (Each(a.Law, lambda law: a.Nonlinear(law=law, points=3)),),
    a.SharedColumns: (lambda _: a.SharedColumns(wires=a.Wires(row=50.0, column=70.0)),),
    a.Simulated: (
        lambda at: a.Simulated(model=model(at), points=3),
        lambda at: a.Simulated(model=model(at), pulse=1e-9, points=2),
    ),
    a.Swept: (lambda at: a.Swept(model=model(at), amplitude=1.0, frequency=1e8, points=3),),
    a.Wires: (
        lambda _: a.Wires(row=50.0, column=70.0),
        lambda _: a.Wires(row=50.0, column=70.0, driver=500.0, sense=200.0, far_driver=500.0),
    ),
    # laws of arrays
    a.Polynomial: (lambda _: a.Polynomial(coefficients=(0.2, 0.3)),),
    a.Series: (lambda _: a.Series(cell=a.Ohmic(), selector=a.Sinh(v_c=0.2), selector_g=1e-3),),
    a.Sinh: (lambda _: a.Sinh(v_c=0.1),),
    a.Table: (lambda _: a.Table(v=(0.0, 0.1, 0.3), h=(0.0, 0.1, 0.5)),),
    # mappings
    mapping.BitSlicing: (
        lambda _: mapping.BitSlicing(bits=4, slices=3),
        lambda _: mapping.BitSlicing(bits=4, slices=2, offset=True),
        lambda _: mapping.BitSlicing(bits=4, slices=2, offset=True, unit_column=True),
    ),
    mapping.DifferentialPair: (
        Each(mapping.Scale, lambda scale: mapping.DifferentialPair(scale=scale)),
        lambda _: mapping.DifferentialPair(two_sided=True, digital_subtraction=True),
        lambda _: mapping.DifferentialPair(levels=5),
    ),
    mapping.Offset: (lambda _: mapping.Offset(), lambda _: mapping.Offset(unit_column=True)),
    mapping.Maximum: (lambda _: mapping.Maximum(), lambda _: mapping.Maximum(per_column=True)),
    mapping.Percentile: (lambda _: mapping.Percentile(fraction=0.9, per_column=True),),
    # converters
    converters.ADC: (
        Each(converters.Range, lambda r: converters.ADC(bits=6, range=r)),
        lambda _: converters.ADC(bits=1, zero=False),
        lambda _: converters.ADC(bits=None),
    ),
    converters.DAC: (
        Each(
            converters.Range,
            lambda r: converters.DAC(bits=6, range=r),
            (converters.EachSlice, converters.AutoRange, converters.Widening),
        ),
        lambda _: converters.DAC(bits=1, zero=False),
        lambda _: converters.DAC(bits=5, stream=converters.Stream(bits=2)),
        lambda _: converters.DAC(bits=5, stream=converters.Stream(bits=1, each=False)),
        lambda _: converters.DAC(bits=6, gain=0.02, offset=0.01),
    ),
    converters.EachSlice: (lambda _: converters.EachSlice(limits=(4.0,)),),
    converters.Fixed: (lambda _: converters.Fixed(limit=4.0),),
    converters.Widening: (lambda _: converters.Widening(limit=2.0),),
    converters.Flash: (lambda _: converters.Flash(resistor=0.1, comparator=0.02),),
    converters.OutputErrors: (
        lambda _: converters.OutputErrors(
            bits=6, levels=(-1.0, 0.0, 1.0), mean=(-0.95, 0.01, 0.9), std=(0.02, 0.01, 0.03)
        ),
    ),
    converters.Measured: (lambda _: converters.Measured(bits=6, gain=0.02, offset=0.5, dnl=0.1, inl=0.5),),
    converters.SAR: (lambda _: converters.SAR(bits=6, capacitor=0.05, comparator=0.01, noise=0.01),),
    # programming
    programming.CountedPulses: (lambda at: programming.CountedPulses(train=counted(at)),),
    programming.GradientProgramming: (
        lambda at: programming.GradientProgramming(
            first=programming.WriteVerify(pulse=pulse(at), max_pulses=2), rounds=4, batch=8
        ),
    ),
    programming.WriteVerify: (lambda at: programming.WriteVerify(pulse=pulse(at), max_pulses=5),),
}


def pulse(device: Device) -> programming.Pulse:
    """Pulses that move the cells of a device."""
    inside = innermost(device)
    if isinstance(inside, devices.JumpCell):
        return programming.JumpPulses()
    if isinstance(inside, devices.Switching):
        return programming.suited_pulses(inside.model)
    return programming.Correction()


def counted(device: Device) -> programming.Train:
    """A pulse that raises a switching cell by a small part of its way; others have none that moves them."""
    inside = innermost(device)
    if not isinstance(inside, devices.Switching):
        return programming.Train(voltage=1.0, width=1e-9)
    up = programming.suited_pulses(inside.model).up
    return programming.Train(voltage=up.voltage, width=up.width / 8)


@functools.cache
def examples(kind: type) -> tuple[Example, ...]:
    """How to make parts of a kind; none where it needs arguments and ``EXAMPLES`` does not give them."""
    if kind in EXAMPLES:
        given = [g.examples() if isinstance(g, Each) else [g] for g in EXAMPLES[kind]]
        return tuple(one for some in given for one in some)
    try:
        made = kind()
    except (ConfigError, TypeError):
        return ()
    return (lambda _: made,)


def all_examples(base: type, *but: type) -> list[Example]:
    """Those of all kinds that derive from ``base``."""
    return [one for kind in kinds(base, *but) for one in examples(kind)]

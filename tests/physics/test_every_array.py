"""Every effect on every array: a noisy read is a current that is added, whatever the cells are made of."""

from __future__ import annotations

import dataclasses
import inspect

import pytest
import torch
from torch import nn

import mho
from mho import array as arrays
from mho.array import Array, Wires
from mho.chip.tile import reference_read
from mho.devices import PCM, SONOS, Device, Effect, Generic, Ideal, Proportional, ShotNoise, ThermalNoise
from mho.devices.dynamics import VTEAM
from mho.devices.effects.base import around

from . import parts
from .parts import WHOLE

WIRES = Wires(row=5.0, column=5.0, driver=500.0, sense=200.0)
MODEL = VTEAM(r_on=1e4, r_off=1e8, v_read=0.2)
EXAMPLES: dict[type[Array], list[Array]] = {
    arrays.Ideal: [arrays.Ideal()],
    Wires: [WIRES, Wires(row=1.0, column=1.0, far_driver=0.0, far_sense=10.0)],
    arrays.AlternateColumns: [arrays.AlternateColumns(wires=WIRES)],
    arrays.SharedColumns: [arrays.SharedColumns(wires=WIRES)],
    arrays.Approximate: [arrays.Approximate(row=1.0, column=1.0)],
    arrays.Nonlinear: [arrays.Nonlinear(law=arrays.Sinh(v_c=0.1))],
    arrays.Simulated: [arrays.Simulated(model=MODEL, points=3)],
    arrays.Swept: [arrays.Swept(model=MODEL, amplitude=0.2, frequency=1e9, points=3)],
}
NEEDS_A_MODEL = {arrays.Simulated, arrays.Swept}  # whose read voltage is that of the device
LOUD = [
    ThermalNoise(bandwidth=1e10),
    ShotNoise(bandwidth=1e10),
    ThermalNoise(bandwidth=1e10, device=ShotNoise(bandwidth=1e10)),
]
DAC = mho.DAC(bits=8, range=mho.converters.Fixed(limit=1.0))


def exported() -> list[type[Array]]:
    found = {c for c in vars(arrays).values() if inspect.isclass(c) and issubclass(c, Array)}
    return sorted((c for c in found if dataclasses.is_dataclass(c)), key=lambda c: c.__name__)


def every_array() -> list[Array]:
    return [example for kind in exported() for example in EXAMPLES[kind]]


def test_every_array_has_an_example() -> None:
    assert set(exported()) == set(EXAMPLES)


def lives(device: Device, array: Array, seeds: int = 1) -> bool:
    """Program, age, compensate and read some chips; False where the parts do not go together."""
    torch.manual_seed(0)
    try:
        hardware = mho.Hardware(device=device, array=array, dac=DAC, tile=mho.Tile(rows=8, columns=4))
    except ValueError:
        return False
    analog = mho.convert(nn.Linear(11, 6), hardware).eval()
    for seed in range(seeds):
        mho.program(analog, seed=seed)
        mho.age(analog, max(device.times[0], min(86_400.0, device.times[1])))
        mho.compensate(analog)
        with torch.no_grad():
            y = analog(torch.rand(3, 11))
        assert bool(y.isfinite().all())
        assert bool(analog.chip_baseline.isfinite().all()) and bool((analog.chip_gain > 0).all())
    return True


EFFECTS = parts.by_kind(parts.bare_effects())


@WHOLE
@pytest.mark.parametrize("kind", EFFECTS)
def test_every_effect_lives_on_every_array(kind: str, whole: bool) -> None:
    """And in every device that it goes around; where there is a choice, with what it met least so far."""
    start = list(EFFECTS).index(kind) % len(every_array())
    all_arrays = every_array()[start:] + every_array()[:start]
    met: list[object] = []

    def meet(device: Device, some: list[Array]) -> bool:
        for effect in sorted(EFFECTS[kind], key=met.count):
            fitted = parts.fits(effect, device)
            array = fitted and next((a for a in sorted(some, key=met.count) if lives(fitted, a)), None)
            if array is not None:
                met.extend([effect, array])
                return True
        return False

    around_it, chosen = [], parts.some_devices(kind)
    for device in parts.devices_for(kind):
        missing = any(effect not in met for effect in EFFECTS[kind])
        if (missing or whole or device in chosen) and meet(device, all_arrays):
            around_it.append(device)
    for array in all_arrays:
        assert (
            array in met or any(meet(device, [array]) for device in around_it) or type(array) in NEEDS_A_MODEL
        ), f"{kind} does not live on {array}"
    assert all(effect in met for effect in EFFECTS[kind]), f"{kind}: an example lives on no array"


@pytest.mark.parametrize("array", every_array(), ids=parts.name_of)
@pytest.mark.parametrize(
    "device", [PCM(), Generic(read=Proportional(sigma=0.02)), SONOS()], ids=parts.name_of
)
def test_loud_currents_never_reach_a_solver_as_conductances(device: Device, array: Array) -> None:
    """Heat and charge in cells of next to no conductance: a read is below zero as often as above."""
    for noise in LOUD:
        inside = device if not isinstance(noise.device, Effect) else around(noise.device, device)
        whole = around(noise, inside)
        if lives(whole, array, seeds=2):
            continue
        assert type(array) in NEEDS_A_MODEL


def test_a_compensation_reads_heat_as_any_read_does() -> None:
    """Of all cells of the column, driven or not; here many reads of one row each."""
    noise = ThermalNoise(bandwidth=1e10, device=Ideal(g_min=1e-6))
    analog = mho.convert(nn.Linear(16, 4, bias=False), mho.Hardware(device=noise))
    with torch.no_grad():  # far from zero, so that magnitudes have the noise of the read
        analog.weight.copy_(torch.where(torch.rand(4, 16) < 0.5, -1.0, 1.0))
    mho.program(analog, seed=0)
    g, n = mho.conductances(analog)[""], 800
    eps = torch.randn(n, *g.shape)
    reads = torch.stack([reference_read(analog.hardware, analog.chip, analog.layout, e) for e in eps])
    of_row = (4 * 1.380649e-23 * 300 * 1e10 * g.sum((0, 1, 2))).sqrt() / 0.2 / 24e-6
    torch.testing.assert_close(reads.std(0), of_row / 16**0.5, rtol=5 / (2 * n) ** 0.5, atol=0)

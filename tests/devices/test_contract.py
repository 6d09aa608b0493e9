"""Every exported device keeps the contract; one without an example here fails."""

from __future__ import annotations

import dataclasses
import inspect

import pytest
import torch

from mho import devices
from mho.devices import Device
from mho.testing import check_device

SUDDEN = devices.SuddenFailure(
    g_lrs=50e-6, g_hrs=1e-6, p_lrs=(1e3, 0.1, 0.2, 0.3), p_hrs=(1e2, 0.1, 0.2, 0.3), temperature=350.0
)
GRADUAL = devices.GradualFailure(p_lrs=(1e3, 0.1, 0.2, 0.3), p_hrs=(1e2, 0.1, 0.2, -0.3), temperature=350.0)
JUMPS = devices.Jumps(
    g=(1e-6, 5e-6, 20e-6), change=(-1e-6, 0.0, 2e-6), cdf=((0.0, 0.3, 1.0), (0.1, 0.4, 0.9), (0.3, 0.8, 1.0))
)
EXAMPLES: dict[type[Device], list[Device]] = {
    devices.Drifting: [
        devices.Drifting(device=devices.Ideal(g_min=1e-6)),
        devices.Drifting(nu=devices.ConstantNu(mean=0.05, std=0.01), device=devices.ReRAMWan2022()),
    ],
    devices.Accelerated: [
        devices.Accelerated(activation=0.5, kelvin=350.0, device=devices.RetentionLoss(nu=0.02)),
        devices.Accelerated(activation=0.3, device=devices.PCM()),
    ],
    devices.FlickerNoise: [
        devices.FlickerNoise(device=devices.PCM()),
        devices.FlickerNoise(
            fastest=60.0, slowest=1e6, device=devices.Generic(read=devices.Proportional(sigma=0.02))
        ),
    ],
    devices.Pulsed: [
        devices.Pulsed(device=devices.Ideal(g_min=20e-6, g_max=30e-6)),
        devices.Pulsed(cell=devices.pulsed.ReRamArrayOM(), device=devices.Ideal(g_min=20e-6, g_max=30e-6)),
        devices.Pulsed(cell=devices.pulsed.PCM(), one_sided=True, device=devices.PCM(g_min=1e-6)),
    ],
    devices.Worn: [
        devices.Worn(cycles=1e4, set_slope=-0.05, reset_slope=0.1, device=devices.Ideal(g_min=1e-6)),
        devices.Worn(cycles=1e5, lifetime=1e6, shape=1.4, stuck=1e-6, device=devices.Ideal(g_min=1e-6)),
    ],
    devices.Ideal: [devices.Ideal(), devices.Ideal(g_min=1e-6, g_max=100e-6)],
    devices.PCM: [
        devices.PCM(),
        devices.PCM(g_min=0.25e-6, g_max=100e-6, t0=1.0),
        devices.PCM(nu=devices.TableNu(g=(0.0, 25e-6), mean=(0.1, 0.04), std=(0.02, 0.01))),
    ],
    devices.CustomPCM: [
        devices.CustomPCM(),
        devices.CustomPCM(
            program=(0.2,), nu=devices.ConstantNu(mean=0.1, std=0.05), read=0.04, read_power=0.0
        ),
    ],
    devices.HermesPCM: [devices.HermesPCM(), devices.HermesPCM(g_max=41.4e-6)],
    devices.HermesPCMSingle: [devices.HermesPCMSingle()],
    devices.ConstantDrift: [
        devices.ConstantDrift(),
        devices.ConstantDrift(nu=0.1, nu_std=0.05, t0=20.0, program=(0.01,), read=(0.0, 0.05)),
    ],
    devices.ReRAMWan2022: [
        devices.ReRAMWan2022(),
        devices.ReRAMWan2022(g_min=0.0, g_max=25e-6),
        devices.ReRAMWan2022(fit="cubic"),
    ],
    devices.ReRAMMilo2021: [devices.ReRAMMilo2021()],
    devices.ReRAMCMO: [devices.ReRAMCMO(), devices.ReRAMCMO(acceptance="2%", g_max=50e-6)],
    devices.SONOS: [devices.SONOS(), devices.SONOS(g_max=18e-6)],
    devices.NORFlash: [devices.NORFlash(), devices.NORFlash(precision=0.05, g_min=1e-6)],
    devices.ChargeSRAM: [devices.ChargeSRAM(), devices.ChargeSRAM(capacitance=0.3e-15)],
    devices.Switching: [
        devices.Switching(),
        devices.Switching(model=devices.dynamics.StanfordPKU(), read=devices.Proportional(sigma=0.02)),
        devices.Switching(model=devices.dynamics.LinearStep(noise_up=1e-7, noise_down=3e-7, memory_up=0.5)),
    ],
    devices.JumpCell: [
        devices.JumpCell(up=JUMPS),
        devices.JumpCell(up=JUMPS, down=JUMPS, read=devices.Proportional(sigma=0.02)),
    ],
    devices.Generic: [
        devices.Generic(),
        devices.Generic(program=devices.Independent(sigma=0.05), clip=True, g_min=1e-6),
        devices.Generic(program=devices.Inverse(sigma=1e-3), read=devices.Inverse(sigma=1e-3)),
        devices.Generic(program=devices.LogNormal(sigma=0.5), read=devices.LogNormal(sigma=0.1)),
        devices.Generic(
            program=devices.Uniform(width=devices.Proportional(sigma=0.3)),
            read=devices.Uniform(width=devices.Independent(sigma=0.02)),
        ),
        devices.Generic(
            program=devices.Table(g=(0.0, 10e-6, 25e-6), sigma=(0.2e-6, 1e-6, 0.5e-6)),
            nu=devices.ConstantNu(mean=0.1, std=0.05),
            read=devices.Polynomial(coefficients=(0.01, 0.05, -0.02)),
        ),
        devices.Generic(nu=devices.JoshiNu(), t0=20.0),
        devices.Generic(
            program=devices.Proportional(sigma=0.05),
            bias=devices.PolynomialBias(coefficients=(0.01, 0.3)),
            nu=devices.SignedNu(law=devices.ConstantNu(mean=0.01, std=0.02)),
        ),
        devices.Generic(bias=devices.TableBias(g=(0.0, 10e-6, 25e-6), mean=(1e-6, 8e-6, 20e-6)), clip=True),
    ],
    devices.OwnBounds: [
        devices.OwnBounds(r_on=devices.Spread(mean=5e4, std=1e4), r_off=devices.Spread(mean=5e5, std=2e5)),
    ],
    devices.Varied: [
        devices.Varied(
            device=devices.PCM(),
            spreads={
                "g_max": devices.Spread(mean=25e-6, std=1e-6, low=10e-6),
                "t0": devices.Spread(mean=20.0, std=1.0, low=5.0),
            },
        ),
        devices.Varied(
            device=devices.Switching(),
            spreads={"r_off": devices.Spread(mean=1e3, std=1e2)},
            cycle={"k_off": devices.Spread(mean=1.0, std=0.1, low=0.1)},
        ),
        devices.Varied(
            device=devices.RetentionLoss(nu=0.1, device=devices.ReRAMWan2022()),
            spreads={"nu": devices.Spread(mean=0.1, std=0.02)},
        ),
    ],
    devices.StuckAt: [
        devices.StuckAt(),
        devices.StuckAt(lrs=0.2, hrs=0.1, unformed=0.05, device=devices.PCM()),
        devices.StuckAt(lrs=0.2, hrs=0.1, device=devices.ReRAMWan2022()),
        devices.StuckAt(lrs=3, hrs=2, device=devices.SONOS()),
        devices.StuckAt(lrs=0.3, of="columns", device=devices.ReRAMCMO()),
        devices.StuckAt(lrs=0.3, device=devices.StuckAt(hrs=0.3, of="rows", device=devices.PCM())),
    ],
    devices.FiniteStates: [
        devices.FiniteStates(states=devices.UniformG(count=8), device=devices.PCM()),
        devices.FiniteStates(states=devices.UniformR(count=8), device=devices.ReRAMWan2022()),
        devices.FiniteStates(states=devices.Logarithmic(count=8), device=devices.ReRAMCMO()),
        devices.FiniteStates(states=devices.Measured(g=(1e-6, 3e-6)), device=devices.StuckAt(lrs=0.3)),
    ],
    devices.Endurance: [
        devices.Endurance(cycles=1e4, law=law, device=device)
        for law in (SUDDEN, GRADUAL)
        for device in (devices.PCM(), devices.ReRAMWan2022(), devices.StuckAt(lrs=0.3))
    ],
    devices.RetentionFailure: [
        devices.RetentionFailure(law=law, device=device)
        for law in (SUDDEN, GRADUAL)
        for device in (devices.PCM(), devices.ReRAMWan2022(), devices.StuckAt(lrs=0.3))
    ],
    devices.RetentionLoss: [
        devices.RetentionLoss(nu=0.1),
        devices.RetentionLoss(nu=0.1, nu_std=0.05, t0=30.0, device=devices.ReRAMWan2022()),
        devices.RetentionLoss(nu=0.1, nu_std=0.05, device=devices.StuckAt(hrs=0.5, device=devices.PCM())),
    ],
    devices.Temperature: [
        devices.Temperature(kelvin=350.0, activation=0.1, alpha=1e-3),
        devices.Temperature(kelvin=250.0, activation=0.2, alpha=1e-3, device=devices.ReRAMWan2022()),
        devices.Temperature(kelvin=350.0, activation=0.1, alpha=-1e-3, g_hrs=2e-6, device=devices.PCM()),
    ],
    devices.ReadDisturb: [
        devices.ReadDisturb(
            model=devices.dynamics.VTEAM(r_on=1e4, r_off=1e6),
            reads=10.0,
            pulse=1e-9,
            voltage=0.1,
            device=device,
        )
        for device in (
            devices.Ideal(g_min=1e-6),
            devices.PCM(g_min=1e-6),
            devices.StuckAt(lrs=0.3, device=devices.ReRAMWan2022()),
        )
    ],
    devices.RandomTelegraphNoise: [
        devices.RandomTelegraphNoise(step=devices.Proportional(sigma=0.1)),
        devices.RandomTelegraphNoise(
            step=devices.Independent(sigma=0.05), spread=0.5, occupancy=0.3, share=0.6, device=devices.PCM()
        ),
        devices.RandomTelegraphNoise(
            step=devices.Inverse(sigma=0.01), device=devices.StuckAt(lrs=0.3, device=devices.ReRAMCMO())
        ),
    ],
    devices.ThermalNoise: [
        devices.ThermalNoise(bandwidth=1e6),
        devices.ThermalNoise(bandwidth=1e9, temperature=400.0, device=devices.PCM()),
    ],
    devices.ShotNoise: [
        devices.ShotNoise(bandwidth=1e6),
        devices.ShotNoise(bandwidth=1e9, fano=0.3, device=devices.ThermalNoise(bandwidth=1e9)),
    ],
}


def exported() -> list[type[Device]]:
    found = {c for c in vars(devices).values() if inspect.isclass(c) and issubclass(c, Device)}
    return sorted((c for c in found if dataclasses.is_dataclass(c)), key=lambda c: c.__name__)


def test_the_search_finds_devices() -> None:
    assert {devices.Ideal, devices.PCM} <= set(exported())


@pytest.mark.parametrize("kind", exported(), ids=lambda c: c.__name__)
def test_contract(kind: type[Device]) -> None:
    assert kind in EXAMPLES, f"give {kind.__name__} an example in EXAMPLES"
    for device in EXAMPLES[kind]:
        assert type(device) is kind
        check_device(device)


@pytest.mark.parametrize(
    "device",
    [
        devices.PCM(),
        devices.Generic(
            program=devices.Uniform(width=devices.Table(g=(0.0, 25e-6), sigma=(1e-6, 2e-6))),
            nu=devices.TableNu(g=(0.0, 25e-6), mean=(0.1, 0.05), std=(0.01, 0.01)),
        ),
    ],
    ids=lambda d: type(d).__name__,
)
def test_compiles_without_a_break(device: Device) -> None:
    def life(
        target: torch.Tensor, program: torch.Tensor, drift: torch.Tensor, seconds: float
    ) -> torch.Tensor:
        g = device.programmed(target, program)
        now = device.aged(g, device.drift_state(target, drift), seconds)
        return torch.stack(devices.rectified_moments(now, device.read_std(g, now, seconds)))

    compiled = torch.compile(life, fullgraph=True, backend="aot_eager")
    inputs = torch.linspace(0, 25e-6, 6), torch.randn(6), torch.randn(6)
    for seconds in (0.0, 1.0, 86_400.0):
        torch.testing.assert_close(compiled(*inputs, seconds), life(*inputs, seconds))

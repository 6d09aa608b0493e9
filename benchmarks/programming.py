"""Speed of programming: a million switching cells by pulses, statistical cells, gradient descent.

python -m benchmarks.programming [cells]
"""

import os
import sys
import time

import torch

from mho.array import HalfVoltage
from mho.devices import PCM, Device, Generic, Independent, Switching
from mho.devices.dynamics import VTEAM, LinearIonDrift, StanfordPKU, Yakopcic
from mho.mapping import DifferentialPair
from mho.programming import (
    GradientProgramming,
    Programming,
    SingleShot,
    Site,
    Train,
    VoltagePulses,
    WriteVerify,
)

CELLS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
ROWS = 1000


def trains(up: float, width_up: float, down: float, width_down: float) -> VoltagePulses:
    return VoltagePulses(up=Train(voltage=up, width=width_up), down=Train(voltage=down, width=width_down))


VTEAM_PULSES = trains(-0.3, 1e-10, 0.1, 1e-8)
PASSIVE = VoltagePulses(
    up=Train(voltage=-0.3, width=1e-10), down=Train(voltage=0.03, width=1e-8), scheme=HalfVoltage()
)

# name, device, programming, fraction of the cells
CASES: list[tuple[str, Device, Programming, float]] = [
    ("VTEAM, pulses", Switching(model=VTEAM()), WriteVerify(pulse=VTEAM_PULSES), 1.0),
    (
        "VTEAM, 1 % of the target",
        Switching(model=VTEAM()),
        WriteVerify(pulse=VTEAM_PULSES, relative=True),
        1.0,
    ),
    ("VTEAM, no transistors, V/2", Switching(model=VTEAM()), WriteVerify(pulse=PASSIVE), 1.0),
    (
        "LinearIonDrift, pulses",
        Switching(model=LinearIonDrift()),
        WriteVerify(pulse=trains(1.0, 1e-3, -1.0, 1e-6), max_pulses=120),
        1.0,
    ),
    (
        "Yakopcic, pulses",
        Switching(model=Yakopcic()),
        WriteVerify(pulse=trains(0.45, 1e-5, -0.45, 1e-5)),
        0.1,
    ),
    (
        "StanfordPKU, pulses",
        Switching(model=StanfordPKU()),
        WriteVerify(pulse=trains(1.5, 1e-10, -1.5, 1e-10)),
        0.1,
    ),
    ("PCM, single shot", PCM(), SingleShot(), 1.0),
    ("PCM, write-verify", PCM(), WriteVerify(tolerance=0.02), 1.0),
]


def site(g: torch.Tensor) -> Site:
    """Arrays of 250 x 250 at most."""
    rows, columns = (
        tuple((a, min(a + 250, n)) for a in range(0, n, 250)) for n in (g.shape[-2], g.shape[-1])
    )
    return Site(rows, columns, ((1.0,),), lambda g: g)


def cells() -> None:
    print(f"{'':28} {'cells':>10} {'s':>7} {'pulses per cell':>16} {'failed':>7} {'largest error':>14}")
    for name, device, programming, part in CASES:
        columns = max(1, int(CELLS * part) // ROWS)
        generator = torch.Generator().manual_seed(0)
        unit = torch.rand(1, 1, ROWS, columns, generator=generator)
        g = device.g_min + (device.g_max - device.g_min) * unit
        start = time.perf_counter()
        done = programming.write(device, g, 0, "", site(g))
        used = time.perf_counter() - start
        error = float((done.g - g).abs()[~done.failed].max()) / device.g_max
        mean = float(done.pulses.double().mean())
        failed = int(done.failed.sum())
        print(f"{name:28} {g.numel():10,} {used:7.2f} {mean:16.2f} {failed:7} {100 * error:12.2f} %")


def products() -> None:
    """Error of products after write-verify and after gradient descent, with the same noise."""
    device = Generic(program=Independent(sigma=0.05), read=Independent(sigma=0.05))
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(1, 256, 256, generator=generator)
    g = DifferentialPair().targets(w / w.abs().max(), device.g_min, device.g_max)
    place = Site(((0, 256),), ((0, 256),), ((1.0, -1.0),), lambda g: g)
    x = torch.rand(1000, 256, generator=generator) * 2 - 1
    wanted = x @ (g[0, 0] - g[1, 0])
    print("\n256 x 256 pairs, programming and reads of a cell with 5 % of g_max: error of products")
    for programming in (
        SingleShot(),
        WriteVerify(),
        *(GradientProgramming(rounds=n) for n in (50, 200, 1000)),
    ):
        start = time.perf_counter()
        done = programming.write(device, g, 0, "", place)
        used = time.perf_counter() - start
        error = float((x @ (done.g[0, 0] - done.g[1, 0]) - wanted).norm() / wanted.norm())
        rounds = f", {programming.rounds} rounds" if isinstance(programming, GradientProgramming) else ""
        print(f"{type(programming).__name__ + rounds:36} {100 * error:6.2f} % {used:7.2f} s")


if __name__ == "__main__":
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    cells()
    products()

"""A device from measurements: pulse trains, states, retention and a loop, each fitted, saved and drawn.

python examples/measured_device.py [--quick] [--output folder]

The pulse train is a real one: 100 states of a memristor. The other three tables are made here, by cells
whose parameters are known, so that the fits can be compared with the truth.
"""

import argparse
import dataclasses
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

import mho
from mho.devices import PCM, Fit, Loop, PulseTrain, Retention, States, fit
from mho.devices.dynamics import LinearIonDrift, sine
from mho.report import fit_figure

REAL = str(files("mho.mapping") / "data" / "memristor_states.csv")
HIDDEN = PCM()  # the "chip" of states.csv and retention.csv
DRIFTING = LinearIonDrift(r_off=14e3, mobility=1.4e-14)  # the cell of loop.csv


def measure(folder: Path, cells: int) -> None:
    """Three tables, as a probe station writes them."""
    rng = np.random.default_rng(0)
    normal = lambda *shape: torch.as_tensor(rng.normal(size=shape))  # noqa: E731

    target = torch.linspace(2e-6, 25e-6, 10, dtype=torch.float64)[:, None].expand(-1, cells)
    g = HIDDEN.programmed(target, normal(10, cells))
    rows = np.stack([target[:, 0] * 1e6, g.mean(1) * 1e6, g.std(1) * 1e6, np.full(10, cells)], 1)
    np.savetxt(folder / "states.csv", rows, delimiter=",", header="states,mean_uS,std_uS,count", comments="")

    start = torch.full((cells,), 20e-6, dtype=torch.float64)
    state = HIDDEN.drift_state(start, normal(cells))
    time = np.geomspace(HIDDEN.t0, 1e6, 16)  # since the pulse; the device counts from t0 on
    now = torch.stack([HIDDEN.aged(start, state, float(t - HIDDEN.t0)) for t in time])
    read = now * (1 + 0.005 * normal(*now.shape))
    head = ",".join(["time_s", *(f"cell{n}_uS" for n in range(cells))])
    np.savetxt(folder / "retention.csv", np.c_[time, 1e6 * read], delimiter=",", header=head, comments="")

    trace = DRIFTING.simulate(*sine(1.0, 1.0, 1, 100))
    current = trace.current + 0.01 * trace.current.abs().max() * normal(len(trace.time))
    rows = np.stack([trace.time, trace.voltage, 1e6 * current], 1)
    np.savetxt(folder / "loop.csv", rows, delimiter=",", header="time_s,voltage_V,current_uA", comments="")


def keep(made: Fit, folder: Path, name: str) -> Fit:
    """Print, save with the card, draw."""
    print(made, end="\n\n")
    made.save(folder / f"{name}.json")
    fit_figure(made).savefig(folder / f"{name}.png")
    return made


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few cells")
    parser.add_argument("--output", type=Path, default=Path("runs/measured-device"))
    options = parser.parse_args(words)
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    measure(folder, cells=30 if options.quick else 300)

    keep(fit(REAL, PulseTrain(width=1e-6)), folder, "pulses")
    states = keep(fit(folder / "states.csv", States()), folder, "states")
    retention = keep(fit(folder / "retention.csv", Retention(t0=HIDDEN.t0)), folder, "retention")
    start = LinearIonDrift()  # the fit begins here
    loop = keep(fit(folder / "loop.csv", Loop(model=start, free=("r_off", "mobility"))), folder, "loop")

    print("fitted and true")
    mean, std = (float(m) for m in HIDDEN.nu.moments(torch.tensor(20e-6), HIDDEN.g_max))
    truth = [
        (states, "c0", 0.26348 / 25),
        (states, "c1", 1.9650 / 25),
        (states, "c2", -1.1731 / 25),
        (retention, "nu", mean),
        (retention, "nu_std", std),
        (loop, "r_off", DRIFTING.r_off),
        (loop, "mobility", DRIFTING.mobility),
    ]
    for made, name, true in truth:
        found = made[name]
        print(f"  {name:9} {found.value:10.4g} ± {found.error:8.2g}   true {true:10.4g}")

    # One device of two measurements: the programming error of the one, the drift of the other.
    device = dataclasses.replace(retention.device, g_max=states.device.g_max, program=states.device.program)
    hardware = mho.Hardware(device=device)
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(128, 64), torch.randn(256, 128)
    chip = mho.convert(layer, hardware).eval()
    mho.program(chip, seed=0)
    print("error of a 128 x 64 layer on that device")
    with torch.no_grad():
        for seconds in (0.0, 3_600.0, 86_400.0):
            mho.age(chip, seconds)
            error = (chip(x) - layer(x)).norm() / layer(x).norm()
            print(f"  {seconds:8.0f} s  {float(error):.3f}")
    print(f"devices with their cards, and pictures, in {folder}")


if __name__ == "__main__":
    main()

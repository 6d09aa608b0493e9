"""Loops of all switching models, and one of each picture, as PNG files.

python examples/hysteresis.py [folder]
"""

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure

from mho.devices.dynamics import (
    JART,
    VTEAM,
    Biolek,
    DataDriven2018,
    DataDriven2021,
    LinearIonDrift,
    StanfordPKU,
    SwitchingModel,
    Waveform,
    Yakopcic,
    sine,
    triangle,
)
from mho.report.device_figures import bipolar_switching, hysteresis_loop, iv_family, time_trace

LOOPS: list[tuple[SwitchingModel, Waveform]] = [
    (LinearIonDrift(window=Biolek(p=2)), sine(1.0, 1.0, 2, 400)),
    (VTEAM(), sine(1.0, 50e6, 2, 400)),
    (Yakopcic(), sine(0.45, 100.0, 2, 400)),
    (StanfordPKU(), sine(1.5, 10.0, 1, 400)),
    (DataDriven2018(), sine(1.5, 10e3, 2, 400)),
    (DataDriven2021(), sine(1.5, 100e3, 2, 400)),
    (JART(), triangle(-1.5, 1 / 6, 1, 200)),
]

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
folder.mkdir(parents=True, exist_ok=True)

figure = Figure(figsize=(15, 7.5), dpi=110, layout="constrained")
for axes, (model, wave) in zip(figure.subplots(2, 4).flat, LOOPS, strict=False):
    trace = model.simulate(*wave)
    hysteresis_loop(trace, axes).set_title(type(model).__name__, loc="left")
    g = trace.conductance
    print(f"{type(model).__name__:15} {float(g.min()):10.3g} S to {float(g.max()):10.3g} S")
figure.axes[-1].set_axis_off()
figure.savefig(folder / "loops.png")

# 100 cells that start alike and differ in their resistances: one waveform, one call.
torch.manual_seed(0)
spread = 1 + 0.1 * torch.randn(100, dtype=torch.float64)
cells = VTEAM().with_values(r_on=50 * spread, r_off=1000 * spread)
trace = cells.simulate(*sine(1.0, 50e6, 2, 400))
for name, axes in {
    "cells": hysteresis_loop(trace),
    "time": time_trace(trace),
    "switching": bipolar_switching(JART().simulate(*triangle(-1.5, 1 / 6, 1, 200))),
    "states": iv_family(StanfordPKU(), 0.4),
}.items():
    axes.figure.savefig(folder / f"{name}.png")
print(f"pictures in {folder.resolve()}")

"""The chip and the run folder beside this file.

``PYTHONPATH=src python tests/reference/data/format1/make.py``

They were made once, by the version that the README names, and are never made again: that is their point.
A later format gets a folder of its own. The test imports :func:`network` and :data:`STUDY` from here.
"""

import shutil
from pathlib import Path

import numpy as np
import torch
from torch import nn

import mho
from mho.calibration import save_hardware
from mho.experiments.drift import DriftStudy
from mho.experiments.fitting import Schedule
from mho.experiments.harness import run
from mho.experiments.models import SmallCNN

HERE = Path(__file__).parent
CHIP, HARDWARE, WEIGHTS, RUN = "chip.pt", "hardware.json", "weights.npz", "drift"
SHORT = Schedule(epochs=1, learning_rate=0.1)
STUDY = DriftStudy(
    model=SmallCNN(first=2, second=2, hidden=8),
    training=SHORT,
    fine_tuning=SHORT,
    chips=2,
    times=(1.0, 31_536_000.0),
)


def network() -> nn.Module:
    """A network of two layers without a chip; its weights come with the file of the chip."""
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 5)).eval()


def chip() -> None:
    """Program a network, age it by a day, compensate it, and save it with what it holds."""
    torch.manual_seed(1)
    device = mho.devices.StuckAt(device=mho.devices.PCM(), hrs=0.02)
    hardware = mho.Hardware(device=device, tile=mho.Tile(rows=8, columns=8), dac=mho.DAC(), adc=mho.ADC())
    analog = mho.convert(network(), hardware)
    mho.calibrate(analog, [torch.randn(16, 2, 4, 4)])
    mho.program(analog, seed=7)
    mho.age(analog, 86_400.0)
    mho.compensate(analog)
    torch.save(analog.state_dict(), HERE / CHIP)
    layers = mho.analog_modules(analog).items()
    save_hardware({path: layer.hardware for path, layer in layers}, HERE / HARDWARE)
    held = {name: weight.detach().numpy() for name, weight in mho.effective_weights(analog).items()}
    np.savez_compressed(HERE / WEIGHTS, **held)


def drift() -> None:
    """A finished run in a folder, without what its process left there."""
    run(STUDY, HERE / RUN)
    for hidden in (HERE / RUN).glob(".*"):
        hidden.unlink()


if __name__ == "__main__":
    shutil.rmtree(HERE / RUN, ignore_errors=True)
    chip()
    drift()

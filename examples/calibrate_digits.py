"""Profile a small ResNet, choose the full scales of its ADCs, and correct a chip that is a year old.

Writes a figure of what every converter sees, and the calibrated hardware as JSON.

    python examples/calibrate_digits.py [--quick] [--output FOLDER]
"""

import argparse
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

import mho
from mho.calibration import before_after, calibrated_hardware, load_hardware, save_hardware
from mho.converters import Calibrated, LeastSquares
from mho.experiments.data import Digits
from mho.experiments.models import SmallResNet
from mho.periphery import Affine
from mho.report import profile_figure
from mho.training import re_estimate_batch_norm

YEAR = 31_536_000
RANGES = {
    "maximum": Calibrated(),
    "99.9 %": Calibrated(quantile=0.999),
    "least squares": LeastSquares(),
}

parser = argparse.ArgumentParser()
parser.add_argument("--quick", action="store_true")
parser.add_argument("--output", type=Path, default=Path("calibration"))
options = parser.parse_args()
epochs, all_bits, chips = (2, (4, 8), 1) if options.quick else (15, (4, 5, 6, 7, 8), 5)
data = Digits().load()
images, labels = data.train.tensors
loader = images.split(100)  # ranges, affine correction and batch normalisation: training images alone


def trained() -> torch.nn.Module:
    torch.manual_seed(0)
    network = SmallResNet().build(data.channels, data.size, data.classes)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(50):
            optimizer.zero_grad()
            cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
    return network.eval()


def accuracy(model: torch.nn.Module) -> float:
    inputs, wanted = data.test.tensors
    with torch.no_grad():
        return 100 * float((model.eval()(inputs).argmax(1) == wanted).float().mean())


network = trained()
print(f"digital: {accuracy(network):.2f} % of {len(data.test)} test images")

# 1. What the converters see, and the accuracy with each way to choose the full scale of the ADCs.
print(f"\n{'ADC bits':>8}" + "".join(f"{name:>15}" for name in RANGES))
lines: dict[str, dict[str, mho.Hardware]] = {}
for bits in all_bits:
    cells = []
    for name, how in RANGES.items():
        hardware = mho.Hardware(dac=mho.DAC(bits=8), adc=mho.ADC(bits=bits, range=how))
        analog = mho.convert(network, hardware)
        mho.calibrate(analog, loader)
        cells.append(accuracy(analog))
        if bits == all_bits[0]:
            lines[name] = calibrated_hardware(analog)
    print(f"{bits:>8}" + "".join(f"{cell:>13.2f} %" for cell in cells))

profile = mho.profile(analog, loader)
options.output.mkdir(parents=True, exist_ok=True)
profile_figure(profile, lines).savefig(options.output / "profile.png")
print("\n" + "\n".join(str(profile).splitlines()[:5]) + "\n...")

# 2. A chip of phase-change memory after a year: what each step brings.
hardware = mho.Hardware(
    device=mho.devices.PCM(), dac=mho.DAC(bits=8), adc=mho.ADC(bits=6, range=LeastSquares())
)
for seed in range(chips):
    analog = mho.convert(network, hardware)
    mho.program(analog, seed=seed)
    mho.age(analog, YEAR)
    table = before_after(
        analog,
        accuracy,
        {
            "ranges": lambda m: mho.calibrate(m, loader),
            "drift compensation": mho.compensate,
            "ranges again": lambda m: mho.calibrate(m, loader),
            "affine": lambda m: mho.compensate(m, Affine(), data=loader),
            "batch norm": lambda m: re_estimate_batch_norm(m, loader),
        },
    )
    print(f"\nchip {seed}, one year old: test accuracy in %\n{table}")

# 3. The calibrated hardware as a file, and the model made from it without calibrating.
analog = mho.convert(network, hardware)
mho.calibrate(analog, loader)
save_hardware(calibrated_hardware(analog), options.output / "hardware.json")
again = mho.convert(network, load_hardware(options.output / "hardware.json"))
with torch.no_grad():
    same = torch.equal(again.eval()(data.test.tensors[0]), analog.eval()(data.test.tensors[0]))
print(f"\nmade from hardware.json: outputs equal bit for bit: {same}")

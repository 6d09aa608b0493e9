"""A trained network spends a year on one phase-change-memory chip.

Trains a small CNN on scikit-learn's digits, puts it on arrays, and prints what one chip makes of it
as its cells drift: uncompensated, and with the gain that a reference read of each array suggests.
The full study, with many chips and hardware-aware training, is the command `mho drift`.

    python examples/drift_year.py
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import mho
from mho.experiments.data import Digits
from mho.experiments.models import SmallCNN


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int = 20) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(50):
            optimizer.zero_grad()
            cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()


@torch.no_grad()
def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    return (model.eval()(images).argmax(1) == labels).float().mean().item()


torch.manual_seed(0)
data = Digits().load()
model = SmallCNN().build(data.channels, data.size, data.classes)
train(model, *data.train.tensors)
print(f"digital            {accuracy(model, *data.test.tensors):.1%}")

hardware = mho.Hardware(
    device=mho.devices.PCM(), tile=mho.Tile(rows=128, columns=128), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8)
)
analog = mho.convert(model, hardware)
mho.calibrate(analog, data.train.tensors[0].split(250))
mho.program(analog, seed=0)
print(analog.report)

for name, seconds in {"1 s": 1, "1 hour": 3_600, "1 day": 86_400, "1 year": 31_536_000}.items():
    mho.age(analog, seconds)
    drifted = accuracy(analog, *data.test.tensors)
    mho.compensate(analog)
    print(f"{name:<10} drifted {drifted:.1%}   compensated {accuracy(analog, *data.test.tensors):.1%}")

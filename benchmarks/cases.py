"""The layers and networks that are timed, and their analog copies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

import mho
from mho.training import Recipe, WeightNoise, attach


class Case(NamedTuple):
    """One model and its input, and which rows it has."""

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    train: bool = False
    compiled: bool = True


def resnet() -> nn.Module:
    """The network of the studies, for small images."""
    from mho.experiments.models.resnet import ResNet18  # here, since layers need no studies

    model: nn.Module = ResNet18().build(channels=3, size=32, classes=10)
    return model


RESNET = Case("ResNet-18 32x32 b32", resnet, (32, 3, 32, 32))
CASES = (
    Case("linear 512x512 b128", lambda: nn.Linear(512, 512), (128, 512), train=True),
    Case("linear 1024x4096 b256", lambda: nn.Linear(1024, 4096), (256, 1024), train=True),
    Case("conv 64-64 3x3 16x16 b32", lambda: nn.Conv2d(64, 64, 3, padding=1), (32, 64, 16, 16), train=True),
    RESNET,
    # Small calls, in which the work around the product counts.
    Case("linear 32x32 b1", lambda: nn.Linear(32, 32), (1, 32)),
    Case("linear 512x512 b1", lambda: nn.Linear(512, 512), (1, 512)),
    Case("LSTM 32-32 T32 b1", lambda: nn.LSTM(32, 32), (32, 1, 32), compiled=False),  # no graph of an nn.LSTM
)


def hardware(read_scale: float) -> mho.Hardware:
    """PCM on 256-row tiles, 8-bit calibrated converters."""
    return mho.Hardware(
        device=mho.devices.PCM(read_scale=read_scale),
        tile=mho.Tile(rows=256, columns=256),
        dac=mho.DAC(bits=8),
        adc=mho.ADC(bits=8),
    )


def chip(model: nn.Module, x: torch.Tensor, read_scale: float) -> nn.Module:
    """A calibrated, programmed chip in evaluation mode."""
    analog = mho.convert(model, hardware(read_scale))
    mho.calibrate(analog, [x])
    mho.program(analog, seed=0)
    return analog.eval()


def streamed(model: nn.Module, x: torch.Tensor) -> nn.Module:
    """A chip with four slices of each weight and eight bits of magnitude of each input, one by one."""
    described = dataclasses.replace(
        hardware(0.0),
        mapping=mho.mapping.BitSlicing(bits=8, slices=4),
        dac=mho.DAC(bits=9, stream=mho.converters.Stream(bits=1)),
    )
    analog = mho.convert(model, described)
    mho.calibrate(analog, [x])
    mho.program(analog, seed=0)
    return analog.eval()


def student(model: nn.Module, x: torch.Tensor) -> nn.Module:
    """A calibrated model in training mode, with fresh weight noise in each step."""
    analog = mho.convert(model, hardware(1.0))
    mho.calibrate(analog, [x])
    attach(analog, Recipe(modifiers=(WeightNoise(std=0.05),)))
    return analog.train()


def training_step(model: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    """Forward, backward (also to the input) and an SGD step."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    x = x.clone().requires_grad_()
    grad: list[torch.Tensor] = []

    def step() -> None:
        optimizer.zero_grad()
        y = model(x)
        if not grad:
            grad.append(torch.ones_like(y))
        y.backward(grad[0])
        optimizer.step()

    return step

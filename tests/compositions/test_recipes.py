"""Every modifier of a recipe meets every effect of cells: a step runs, with finite gradients."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
import torch
from torch import nn

import mho
from mho import training as tr
from mho.devices import Effect
from mho.devices.effects.base import around
from mho.training import Modifier, Recipe, attach

from .parts import below, examples, kinds

DEVICE = mho.devices.Generic(
    g_min=1e-6,
    g_max=25e-6,
    program=mho.devices.Proportional(sigma=0.05),
    nu=mho.devices.ConstantNu(mean=0.05, std=0.02),
    clip=True,
)
OTHERS = {tr.DriftNoise: tr.DriftNoise(first=10.0, last=1e5)}


def modifiers() -> Iterator[type[Modifier]]:
    """Those that are made without arguments."""
    for kind in dict.fromkeys(below(Modifier)):
        made = "__dataclass_fields__" in vars(kind) and not inspect.isabstract(kind)
        if made and kind.__module__.startswith("mho."):
            try:
                kind()
            except ValueError:
                continue
            yield kind


@pytest.mark.parametrize("effect", kinds(Effect), ids=lambda kind: kind.__name__)
def test_a_step_with_each_modifier(effect: type[Effect]) -> None:
    torch.manual_seed(0)
    x = torch.randn(7, 6)
    for kind in modifiers():
        for example in examples(effect)[:2]:
            hardware = mho.Hardware(device=around(example(DEVICE), DEVICE), tile=mho.Tile(rows=4, columns=3))
            model = mho.convert(nn.Linear(6, 5), hardware, bias_rows=1)
            attach(model, Recipe(modifiers=(OTHERS.get(kind, kind()),)))
            y = model.train()(x)
            y.square().sum().backward()
            gradients = [p.grad for p in model.parameters() if p.grad is not None]
            finite = all(bool(values.isfinite().all()) for values in (y, *gradients))
            assert finite and len(gradients) >= 2, kind.__name__


def test_the_recipes_are_found() -> None:
    assert {tr.DriftNoise, tr.WeightNoise, tr.DropConnect} <= set(modifiers())


def test_drift_noise_around_effects_compiles() -> None:
    device = mho.devices.StuckAt(device=mho.devices.PCM(), hrs=0.2, of="rows")
    model = mho.convert(nn.Linear(6, 5), mho.Hardware(device=device, tile=mho.Tile(rows=4)))
    attach(model, Recipe(modifiers=(tr.DriftNoise(),)))
    compiled, x = torch.compile(model.train(), fullgraph=True, backend="aot_eager"), torch.randn(7, 6)
    found = []
    for run in (compiled, model):
        torch.manual_seed(1)
        found.append(run(x))
    torch.testing.assert_close(*found)

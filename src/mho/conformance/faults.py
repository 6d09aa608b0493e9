"""Silent errors of other simulators, found by measurement, and what mho does instead: checked each time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

import mho
from mho.compat.aihwkit.inference import ReRamCMONoiseModel
from mho.compat.aihwkit.simulator.configs import InferenceRPUConfig
from mho.conformance.rows import Row, Verdict
from mho.errors import ConfigError, StaleChipWarning
from mho.foreign.aihwkit import HeldDifferently

CROSSSIM, AIHWKIT, LIGHTNING, MEMTORCH = (
    "CrossSim 3.2.0", "aihwkit 1.2.0", "aihwkit-lightning 2.1.0", "MemTorch 1.1.6",
)  # fmt: skip
PCM = mho.Hardware(device=mho.devices.PCM())


class Fault(NamedTuple):
    """What a peer does in silence, what mho does, and whether it did it just now."""

    case: str
    peer: str
    theirs: str
    ours: str
    holds: Callable[[], bool]


def rows(folder: Path) -> Iterator[Row]:
    """One row for each."""
    for fault in FAULTS:
        verdict = Verdict.EXPLAINED if fault.holds() else Verdict.UNEXPLAINED
        why = f"{fault.theirs}, in silence; here {fault.ours}"
        yield Row(fault.case, fault.peer, fault.theirs, fault.ours, None, None, verdict, "mho", why)


def _chip(model: nn.Module, hardware: mho.Hardware = PCM) -> nn.Module:
    made = mho.convert(model, hardware).eval()
    mho.program(made, seed=0)
    return made


def _differs(model: nn.Module, *inputs: torch.Tensor) -> bool:
    """Whether the chip's outputs are not the digital ones."""
    with torch.no_grad():
        chip, digital = _chip(model)(*inputs), model.eval()(*inputs)
    first = chip[0] if isinstance(chip, tuple) else chip
    return not torch.allclose(first, digital[0] if isinstance(digital, tuple) else digital, atol=1e-6)


def _encoder() -> bool:
    return _differs(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), torch.randn(1, 3, 8))


def _attention() -> bool:
    x = torch.randn(1, 3, 8)
    return _differs(nn.MultiheadAttention(8, 2, batch_first=True), x, x, x)


def _stale() -> bool:
    layer: Any = _chip(nn.Linear(4, 2))
    with torch.no_grad():
        layer.weight.add_(1.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layer(torch.ones(1, 4))
    return any(issubclass(one.category, StaleChipWarning) for one in caught)


def _programmed_when_aged() -> bool:
    weight = nn.Linear(8, 8, bias=False)
    found = []
    for scale in (0.0, 1.0):
        chip = _chip(weight, mho.Hardware(device=mho.devices.PCM(program_scale=scale)))
        mho.age(chip, 86_400.0)
        found.append(mho.effective_weights(chip)[""])
    return not torch.allclose(found[0], found[1], rtol=1e-3)


def _bias() -> bool:
    layer = nn.Linear(4, 2)
    nn.init.constant_(layer.bias, 50.0)
    made: Any = mho.convert(layer, mho.Hardware(), bias_rows=1).eval()
    mho.program(made, seed=0)
    return torch.allclose(made.crossbar.effective_bias(), layer.bias.detach(), rtol=1e-5)


def _misspelt() -> bool:
    from mho.compat.crosssim import CrossSimParameters

    misspelt: Any = {"bitz": 8}
    return _refused(lambda: mho.DAC(**misspelt)) and _refused(
        lambda: CrossSimParameters().update({"xbar.device.Rmim": 1.0})
    )


def _refused(make: Callable[[], object]) -> bool:
    try:
        make()
    except (ConfigError, ValueError, TypeError, AttributeError):
        return True
    return False


def _tied() -> bool:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    first, second = mho.convert(model, mho.Hardware()).children()
    return first.weight is second.weight


def _wan() -> bool:
    half, whole = (mho.devices.ReRAMWan2022(g_min=0.0, g_max=g) for g in (20e-6, 40e-6))
    ratio = half.std(torch.tensor([10e-6])) / whole.std(torch.tensor([20e-6]))
    return abs(float(ratio) - 0.5) < 1e-6


def _acceptance() -> bool:
    config = InferenceRPUConfig(noise_model=ReRamCMONoiseModel())
    config.forward.is_perfect = True
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mho.Hardware.from_aihwkit(config)
    return any(
        issubclass(one.category, HeldDifferently) and "acceptance_range" in str(one.message) for one in caught
    )


def _output_noise() -> bool:
    layer = _chip(nn.Linear(4, 2), mho.Hardware(adc=mho.ADC(bits=None, noise=0.1)))
    x = torch.ones(1, 4)
    with torch.no_grad():
        return not torch.equal(layer(x), layer(x))


def _states() -> bool:
    device = mho.devices.FiniteStates(
        states=mho.devices.UniformG(count=4), device=mho.devices.Ideal(g_min=1e-6)
    )
    g = mho.conductances(_chip(nn.Linear(32, 32), mho.Hardware(device=device)))[""]
    return len(g.unique()) <= 4


def _curved() -> bool:
    law = mho.array.Nonlinear(law=mho.array.Sinh(v_c=0.1))
    dac = mho.DAC(bits=8, range=mho.converters.Fixed(limit=1.0))
    x = torch.full((1, 8), 0.5)
    layer = nn.Linear(8, 4, bias=False)
    with torch.no_grad():
        plain, curved = (_chip(layer, mho.Hardware(dac=dac, array=a))(x) for a in (mho.array.Ideal(), law))
    return not torch.allclose(plain, curved, rtol=1e-3)


def _scaled_back() -> bool:
    dac = mho.DAC(bits=None, range=mho.converters.Dynamic())
    layer = _chip(nn.Linear(8, 4, bias=False), mho.Hardware(dac=dac))
    x = torch.randn(3, 8)
    with torch.no_grad():
        return torch.allclose(layer(100 * x), 100 * layer(x), rtol=1e-5)


def _batch_mates() -> bool:
    quiet = mho.Hardware(
        dac=mho.DAC(bits=6, range=mho.converters.Dynamic()),
        adc=mho.ADC(bits=6, range=mho.converters.AutoRange()),
    )
    layer, x = _chip(nn.Linear(8, 4), quiet), torch.randn(5, 8)
    x[0] *= 100
    with torch.no_grad():
        return torch.equal(layer(x)[1:], layer(x[1:]))


def _reading() -> bool:
    layer = _chip(nn.Linear(8, 4))
    before = mho.conductances(layer)[""].clone()
    with torch.no_grad():
        layer(torch.randn(100, 8))
    return torch.equal(before, mho.conductances(layer)[""])


def _single_column() -> bool:
    layer = nn.Linear(8, 4, bias=False)
    held = mho.effective_weights(_chip(layer, mho.Hardware(mapping=mho.mapping.Offset())))[""]
    return torch.allclose(held, layer.weight.detach(), atol=1e-6) and bool((held < 0).any())


FAULTS = (
    Fault(
        "encoder layer in evaluation", CROSSSIM, "a TransformerEncoderLayer is digital", "it is analog",
        _encoder,
    ),
    Fault("attention", f"{CROSSSIM}, {AIHWKIT}, {LIGHTNING}", "it is digital", "it is analog", _attention),
    Fault(
        "weights changed after programming", CROSSSIM,
        "steps of optimizers and loaded weights do nothing until synchronize()",
        "the chip warns that it is stale", _stale,
    ),
    Fault(
        "programming error of an aged chip", CROSSSIM, "it is dropped when time is not 0", "it stays",
        _programmed_when_aged,
    ),
    Fault(
        "bias on the array", CROSSSIM, "a bias above the largest weight is clipped",
        "it takes part in the scale", _bias,
    ),
    Fault("misspelt parameters", CROSSSIM, "they are accepted", "they are refused", _misspelt),
    Fault("tied weights", f"{AIHWKIT}, {LIGHTNING}", "they are untied", "they stay one Parameter", _tied),
    Fault("Wan 2022 at another g_max", AIHWKIT, "its 40 uS are not used", "the spread scales", _wan),
    Fault(
        "CMO acceptance range", AIHWKIT, "the default is no key of the table, and another one is taken",
        "the same one is taken with a warning", _acceptance,
    ),
    Fault("output noise in evaluation", LIGHTNING, "it does nothing", "every read has it", _output_noise),
    Fault(
        "finite states", MEMTORCH, "they do nothing", "cells have no more conductances than states", _states
    ),
    Fault("nonlinear cells", MEMTORCH, "the sweep is never used", "the law bends every read", _curved),
    Fault("input scaling", MEMTORCH, "it is not undone", "outputs are scaled back", _scaled_back),
    Fault(
        "vectors of a batch", MEMTORCH, "outputs depend on the other vectors",
        "each vector is converted by itself", _batch_mates,
    ),
    Fault(
        "reading", MEMTORCH, "it moves the states of cells", "it moves none, unless ReadDisturb is asked for",
        _reading,
    ),
    Fault(
        "one column for each output", MEMTORCH, "negative weights are lost", "an offset holds both signs",
        _single_column,
    ),
)  # fmt: skip

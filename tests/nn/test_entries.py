"""Each entry of a saved chip acts when it is given alone to ``functional_call``, as if it had been loaded."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

import mho
from mho.converters import SAR, Calibrated
from mho.errors import DamagedChipError, StaleChipWarning
from mho.nn import analog_layers

from ..test_visible import CASES, sequence

DEVICE = mho.devices.RetentionLoss(nu=0.1, nu_std=0.05, device=mho.devices.PCM(read_scale=0.0))
FORWARD = ("g", "cells", "scale", "seconds", "gain", "shift", "converters")
"""The others: ``chip_baseline`` is read by ``mho.compensate`` alone, ``chip_weights`` by ``is_stale()``."""
LAYERS = {name: case for name, case in CASES.items() if not name.startswith("Transformer")}  # not one layer
LAYERS["RNN"] = lambda: sequence(nn.RNN, bidirectional=True)
LAYERS["LSTM"] = lambda: sequence(nn.LSTM, proj_size=3)


def hardware(name: str) -> mho.Hardware:
    dac = None if "Embedding" in name or name == "tied" else mho.DAC(gain=0.05, bits=10, range=Calibrated())
    adc = SAR(bits=12, capacitor=0.02, range=Calibrated())
    return mho.Hardware(device=DEVICE, tile=mho.Tile(rows=5, columns=4), dac=dac, adc=adc)


def chip(analog: nn.Module, seed: int) -> nn.Module:
    """Another seed is another chip in every entry."""
    model = copy.deepcopy(analog)
    mho.program(model, seed)
    mho.age(model, 3600.0 * (1 + 100 * seed))
    generator = torch.Generator().manual_seed(seed)
    for layer in analog_layers(model).values():
        state = layer.chip
        shift = 0.1 * torch.randn(state.shift.shape, generator=generator)
        layer.set_chip(state._replace(gain=state.gain * (1.1 + 0.2 * seed), shift=shift, scale=state.scale))
        for limit, converter in (("input_range", layer.hardware.dac), ("output_range", layer.hardware.adc)):
            if converter is not None:
                layer.set_range(limit, torch.tensor(2.0 + 0.7 * seed))
    return model.eval()


def run(model: nn.Module, example: Any, given: dict[str, Tensor] | None = None) -> Tensor:
    names = example if isinstance(example, dict) else {}
    args = () if names else example if isinstance(example, tuple) else (example,)
    out = functional_call(model, given or {}, args, names)
    while isinstance(out, tuple):
        out = out[0]
    return out


def near(a: Tensor, b: Tensor) -> None:
    difference = (a - b).abs()
    assert float(difference.median()) < 1e-5 and float(difference.max()) < 0.05  # a code on an edge, at most


def of_a_stack(model: nn.Module, example: Any, entry: str, values: tuple[Tensor, ...]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)  # torch's
        return vmap(lambda value: run(model, example, {entry: value}))(torch.stack(values))


def stale(caught: list[warnings.WarningMessage]) -> bool:
    return any(issubclass(w.category, StaleChipWarning) for w in caught)


@pytest.mark.parametrize("name", LAYERS)
def test_an_entry_given_alone_is_the_entry_loaded(name: str) -> None:
    torch.manual_seed(5)
    layer, example = LAYERS[name]()
    analog = mho.convert(layer, hardware(name)).eval()
    here, there = chip(analog, 0), chip(analog, 1)
    scales = {k: 1.3 * v for k, v in here.state_dict().items() if k.endswith("chip_scale")}
    other = {**there.state_dict(), **scales}
    acting, stacked = set(), set()
    with torch.no_grad():
        before = run(here, example)
        kept = {k: v for k, v in here.state_dict().items() if not k.endswith("chip_checksum")}
        for entry, own in kept.items():
            kind = entry.rpartition(".")[2]
            if kind == "chip_format":
                continue  # of files
            given = other[entry] + (kind == "chip_hardware" or kind == "chip_weights")
            loaded = copy.deepcopy(here)
            if kind == "chip_hardware":
                with pytest.raises(DamagedChipError, match="another hardware description"):
                    run(here, example, {entry: given})
                continue
            if torch.equal(given, own) and not kind.startswith("chip_"):
                given = own + 0.1  # weights and biases
            loaded.load_state_dict({**kept, entry: given})
            with warnings.catch_warnings(record=True) as wanted:
                warnings.simplefilter("always")
                after = run(loaded, example)
                loaded.eval()
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                y = run(here, example, {entry: given})
            near(y, after)
            if kind.startswith("chip_"):
                assert stale(wanted) == stale(found) == (kind == "chip_weights"), entry
                if kind not in stacked:
                    stacked.add(kind)
                    near(of_a_stack(here, example, entry, (own, given))[1], after)
            if kind.startswith(("chip_", "input_", "output_")):
                acting |= {kind} if float((y - before).abs().max()) > 1e-4 else set()
        assert torch.equal(run(here, example), before), "nothing of it stays"
    # Softmax hides some entries of some arrays of an attention layer: all act, each in an array at least.
    drivers = {"chip_drivers", "input_range"} if hardware(name).dac is not None else set()
    assert acting == {f"chip_{n}" for n in FORWARD} | drivers | {"output_range"}

"""Combinations that no row has: networks, several chips at once, other states, steps of learning, physics."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import digest_parts as parts
import torch
from digest_rows import Record, as_batches, chip_of, read, rows, saved, seeded, step, tensors, weighed
from digest_rows import life as life_of_row
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

import mho
from mho import array, converters, devices, mapping, programming

Case = Callable[[], Record]

FIXED = {
    "dac": mho.DAC(bits=6, range=converters.Fixed(limit=3.0)),
    "adc": mho.ADC(bits=6, range=converters.Fixed(limit=4.0)),
}
LEARNED = {
    "dac": mho.DAC(bits=6, range=converters.Learned(initial=1.0)),
    "adc": mho.ADC(bits=6, range=converters.Learned(initial=1.5)),
}
TILE = mho.Tile(rows=4, columns=3)
PCM, QUIET = devices.PCM(), devices.PCM(read_scale=0.0)
ALL = {**parts.LAYERS, **parts.MORE_LAYERS}


def made(name: str, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A digital layer with its inputs."""
    torch.manual_seed(1)
    return ALL[name].make().to(dtype), ALL[name].inputs(dtype)


def chip(digital: nn.Module, hardware: mho.Hardware, seed: int = 0, seconds: float = 60.0, **how: Any) -> Any:
    """Programmed and aged."""
    analog = mho.convert(digital, hardware, **how).eval()
    mho.program(analog, seed)
    mho.age(analog, seconds)
    return analog


# --- layers --------------------------------------------------------------------------------------


def layer(name: str, device: Any, stages: dict[str, Any], bias_rows: int, dtype: torch.dtype) -> Record:
    """Evaluation, training in the loop, and a correction, of layers and networks."""
    found = Record()
    digital, x = made(name, dtype)
    analog = chip(digital, mho.Hardware(device=device, tile=TILE, **stages), bias_rows=bias_rows)
    mho.calibrate(analog, as_batches(digital, x))
    own = [n for n, _ in digital.named_parameters()]
    chip_of(found, "aged", analog)
    found.add("aged, without gradients: output", read(analog, x))
    step(found, "aged", analog, x, own)
    seeded()
    mho.compensate(analog)
    found.add("corrected: output", read(analog, x))
    found.add("reverted: output", read(mho.revert(analog, weights="programmed"), x))
    found.add("copied: output", read(copy.deepcopy(analog), x))
    mho.train_on_chip(analog)
    step(found, "on chip", analog.train(), x, own)
    return found


def moved(name: str, dtype: torch.dtype) -> Record:
    """To another type and back."""
    found = Record()
    digital, x = made(name)
    analog = chip(digital, mho.Hardware(device=QUIET, tile=TILE, **FIXED))
    found.add(
        "moved: output", read(analog.to(dtype), [v.to(dtype) if v.is_floating_point() else v for v in x])
    )
    found.add("moved back: output", read(analog.to(torch.float32), x))
    chip_of(found, "moved back", analog)
    return found


def learned(name: str, bias_rows: int) -> Record:
    """Learned ranges and weights, three steps of Adam, then a chip."""
    found = Record()
    digital, x = made(name)
    analog = mho.convert(digital, mho.Hardware(device=PCM, tile=TILE, **LEARNED), bias_rows=bias_rows)
    optimizer = torch.optim.Adam(analog.parameters(), lr=1e-2)
    own = [n for n, _ in digital.named_parameters()]
    for k in range(3):
        step(found, f"step {k}", analog.train(), x, own)
        optimizer.step()
    kept = dict(analog.named_parameters())
    found.add("learned: parameters", [kept[n] for n in sorted(own)])
    found.add_unordered("learned: ranges", [p for n, p in kept.items() if n not in own])
    mho.program(analog, seed=0)
    chip_of(found, "programmed", analog)
    found.add("programmed: output", read(analog, x))
    return found


# --- several chips and other states ---------------------------------------------------------------


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """What is saved of a chip, without Parameters."""
    held = {n for n, _ in model.named_buffers()}
    return {k: v for k, v in model.state_dict().items() if k in held}


def stacked(name: str, device: Any, stages: dict[str, Any], how: str) -> Record:
    """Three chips at once, without and with gradients."""
    found = Record()
    digital, x = made(name)
    hardware = mho.Hardware(device=device, tile=TILE, **stages)
    chips = [chip(digital, hardware, seed, seconds) for seed, seconds in ((0, 0.0), (1, 60.0), (2, 1e6))]
    base = copy.deepcopy(chips[0])
    if how == "packed":
        given, held = stack_module_state(chips)
    else:
        states = [state_of(c) for c in chips]
        given, held = {}, {k: torch.stack([state[k] for state in states]) for k in states[0]}
    run = vmap(lambda p, b: functional_call(base, {**p, **b}, x), randomness="different")
    seeded()
    with torch.no_grad():
        found.add("stacked: output", run(given, held))
    seeded()
    weighed(run(given, held)).backward()
    learn = given or dict(base.named_parameters())
    own = {n for n, _ in digital.named_parameters()}
    found.add("stacked: gradient", [learn[n].grad for n in sorted(own & learn.keys())])
    return found


def other_state(name: str, stages: dict[str, Any], bias_rows: int) -> Record:
    """A functional call with the state of another chip, and gradients through one in training."""
    found = Record()
    digital, x = made(name)
    hardware = mho.Hardware(device=PCM, tile=TILE, **stages)
    one = chip(digital, hardware, 0, bias_rows=bias_rows)
    other = chip(digital, hardware, 1, 1e5, bias_rows=bias_rows)
    seeded()
    with torch.no_grad():
        found.add("state of another: output", functional_call(one, state_of(other), x))
    seeded()
    with torch.no_grad():
        found.add("buffers of another: output", functional_call(one, dict(other.named_buffers()), x))
    found.add("its own: output", read(one, x))
    weights = {n: (1.1 * p).detach().requires_grad_() for n, p in digital.named_parameters()}
    seeded()
    output = functional_call(one.train(), weights, x)
    found.add("other weights: output", output)
    weighed(output).backward()
    found.add("other weights: gradient", [weights[n].grad for n in sorted(weights)])
    found.add("loaded: output", read(saved(other, one), x))
    return found


# --- networks ------------------------------------------------------------------------------------


def folded() -> Record:
    """Batch norm in the weights before the chip."""
    found = Record()
    digital, x = made("network")
    found.add("folded: output", read(chip(mho.fold_batch_norm(digital.eval()), mho.Hardware(device=PCM)), x))
    return found


def by_layer() -> Record:
    """Layers with hardware of their own, and one that stays digital."""
    found = Record()
    torch.manual_seed(1)
    digital = nn.Sequential(nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 7), nn.Tanh(), nn.Linear(7, 3))
    x = (torch.randn(4, 9),)
    per = {
        "0": mho.Hardware(device=PCM, tile=TILE, **FIXED),
        "2": mho.Hardware(device=devices.SONOS(), mapping=mapping.Offset(), array=parts.WIRES),
    }
    analog = chip(digital, per, bias_rows={"0": 2})
    chip_of(found, "aged", analog)
    step(found, "aged", analog, x, [n for n, _ in digital.named_parameters()])
    mho.degrade(analog, devices.StuckAt(lrs=0.2), seed=3, select=lambda path: path == "2")
    chip_of(found, "degraded", analog)
    return found


def tied() -> Record:
    """One Parameter in two layers, and one layer in two places."""
    found = Record()
    torch.manual_seed(1)
    digital = nn.ModuleDict({"in": nn.Linear(6, 6), "out": nn.Linear(6, 6, bias=False)})
    digital["out"].weight = digital["in"].weight
    x = torch.randn(3, 6)
    analog = chip(digital, mho.Hardware(device=PCM, tile=TILE, **FIXED))
    chip_of(found, "aged", analog)
    seeded()
    y = analog["out"](analog["in"](analog["in"](x)))
    found.add("aged: output", y)
    weighed(y).backward()
    found.add("aged: gradient", analog["in"].weight.grad)
    return found


def degraded(*effects: Any, stages: dict[str, Any]) -> Record:
    """Several effects at once, before and after programming, and cells with another law."""
    found = Record()
    digital, x = made("Linear")
    hardware = mho.Hardware(device=PCM, tile=TILE, **stages)
    late = chip(digital, hardware)
    mho.degrade(late, *effects, seed=5)
    chip_of(found, "degraded", late)
    found.add("degraded: output", read(late, x))
    early = mho.convert(digital, hardware)
    mho.degrade(early, *effects, seed=5)
    mho.program(early, seed=0)
    mho.age(early, 1e4)
    chip_of(found, "degraded before", early)
    seeded()
    mho.compensate(early)
    found.add("corrected: output", read(early, x))
    return found


def hugging_face(name: str, stages: dict[str, Any]) -> Record:
    """A small language model, its transposed linear layers or look-ups on arrays."""
    import transformers

    found = Record()
    torch.manual_seed(1)
    if name == "GPT-2":
        config = transformers.GPT2Config(
            vocab_size=20, n_embd=8, n_layer=1, n_head=2, n_positions=8, bos_token_id=1, eos_token_id=2
        )
        digital = transformers.GPT2LMHeadModel(config)
    else:
        config = transformers.BertConfig(
            vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12,
            max_position_embeddings=8,
        )  # fmt: skip
        digital = transformers.BertModel(config)
    given = {"input_ids": torch.arange(12).view(2, 6)}
    analog = chip(digital, mho.Hardware(device=PCM, tile=mho.Tile(rows=5, columns=7), **stages))
    mho.calibrate(analog, [given])
    chip_of(found, "aged", analog)
    seeded()
    output = analog.eval()(**given)[0]
    found.add("aged: output", output)
    weighed(output).backward()
    found.add("aged: gradient", [p.grad for _, p in sorted(digital_parameters(analog, digital))])
    return found


def digital_parameters(analog: nn.Module, digital: nn.Module) -> list[tuple[str, nn.Parameter]]:
    names = {n for n, _ in digital.named_parameters()}
    return [(n, p) for n, p in analog.named_parameters() if n in names and p.grad is not None]


# --- programming and physics ---------------------------------------------------------------------


def switched(name: str, scheme: Any) -> Record:
    """A switching model that pulses of voltage program, also those that disturb other cells."""
    found = Record()
    model = parts.MODELS[name]
    pulse = programming.suited_pulses(model, scheme)
    hardware = mho.Hardware(
        device=devices.Switching(model=model),
        programming=programming.WriteVerify(pulse=pulse, max_pulses=4),
        tile=TILE,
    )
    digital, x = made("Linear")
    analog = mho.convert(digital, hardware)
    mho.program(analog, seed=0)
    chip_of(found, "programmed", analog)
    report = mho.programming_report(analog)
    found.add("programmed: pulses, failures, energy", [report.pulses, report.failures, report.energy])
    found.add("programmed: output", read(analog, x))
    return found


def physics() -> Record:
    """Circuits and laws that are called without a layer."""
    found = Record()
    draw = torch.Generator().manual_seed(4)
    g = 1e-6 + 2e-5 * torch.rand(2, 6, 4, generator=draw, dtype=torch.float64)
    v = torch.rand(2, 6, generator=draw, dtype=torch.float64)
    found.add("gated: currents", array.GatedWires(source=50.0, column=70.0, driver=9.0).currents(g[0], v))
    found.add("wires: conductances", array.effective_conductance(g, 50.0, 70.0, driver=9.0, far_sense=5.0))
    found.add("wires: column drop", array.column_drop(g[0] * 1e4, v))
    found.add(
        "wires: nonlinear", tensors(array.solve_nonlinear(array.Sinh(v_c=0.1), g[0], parts.WIRES, 0.2 * v[0]))
    )
    for scheme in (array.Grounded(), array.Floating(), array.HalfVoltage(), array.ThirdVoltage()):
        name = type(scheme).__name__
        if not isinstance(scheme, array.Floating):
            found.add(f"passive {name}: voltages", array.selected_voltages(g[0], parts.WIRES, scheme, 0.2))
        found.add(f"passive {name}: access", tensors(array.access(g[0], parts.WIRES, scheme, 2, 1, 0.2)))
    return found


# --- all of them ---------------------------------------------------------------------------------


STAGES: dict[str, dict[str, Any]] = {
    "bare": {},
    "fixed": FIXED,
    "learned": LEARNED,
    "calibrated": {"dac": mho.DAC(bits=6), "adc": mho.ADC(bits=6)},
    "wires": {**FIXED, "array": parts.WIRES},
    "SAR": {"adc": converters.SAR(bits=6, capacitor=0.02, range=converters.Fixed(limit=4.0))},
    "drivers": {"dac": mho.DAC(bits=6, gain=0.05, offset=0.02, range=converters.Fixed(limit=3.0))},
    "slices": {**FIXED, "mapping": mapping.BitSlicing(bits=4, slices=2)},
    "cells": {**FIXED, "array": array.Nonlinear(law=array.Sinh(v_c=0.1), points=3)},
}


def all_cases() -> dict[str, Case]:
    """Every combination by name, in a fixed order."""
    found: dict[str, Case] = {}
    for k, row in enumerate(rows()):
        found[f"row {k:03d} | {' | '.join(map(str, row))}"] = lambda row=row: life_of_row(row)
    for name in parts.MORE_LAYERS:
        for which, device, bias_rows, dtype in (
            ("bare", PCM, 0, torch.float32),
            ("calibrated", devices.ReRAMCMO(), 2, torch.float64),
            ("wires", QUIET, 1, torch.float32),
        ):
            key = f"layer {name} | {which} | bias rows {bias_rows}"
            found[key] = lambda n=name, w=which, d=device, b=bias_rows, t=dtype: layer(n, d, STAGES[w], b, t)
    for name in ("Linear", "Conv2d", "LSTM"):
        for dtype in (torch.float64, torch.bfloat16, torch.float16):
            found[f"moved {name} | {str(dtype)[6:]}"] = lambda n=name, t=dtype: moved(n, t)
    for name in ("Linear", "Conv2d grouped", "ConvTranspose2d", "LSTM", "MultiheadAttention", "Bilinear"):
        found[f"learned {name}"] = lambda n=name: learned(n, 0 if n == "Bilinear" else 2)
    several(found)
    networks(found)
    return found


def several(found: dict[str, Case]) -> None:
    """Several chips and other states, in layers and stages."""
    names = ("Linear", "Conv2d", "ConvTranspose2d", "LSTM", "MultiheadAttention", "Bilinear", "Embedding")
    for name in names:
        for how in ("packed", "saved"):
            for which, device in (("bare", PCM), ("fixed", QUIET), ("learned", QUIET)):
                if name == "Embedding" and which != "bare":
                    continue
                key = f"stacked {how} {name} | {which}"
                found[key] = lambda n=name, h=how, w=which, d=device: stacked(n, d, STAGES[w], h)
    for which in ("wires", "SAR", "drivers", "slices", "cells"):
        for how in ("packed", "saved"):
            found[f"stacked {how} Linear | {which}"] = lambda w=which, h=how: stacked(
                "Linear", PCM, STAGES[w], h
            )
    for name in names[:-1]:
        for which in ("bare", "fixed", "wires"):
            rows = 0 if name == "Bilinear" else 1
            key = f"other state {name} | {which}"
            found[key] = lambda n=name, w=which, b=rows: other_state(n, STAGES[w], b)


def networks(found: dict[str, Case]) -> None:
    """Networks, effects, programming, and what needs no layer."""
    found["network folded"] = folded
    found["network by layer"] = by_layer
    found["network tied"] = tied
    stuck, states = devices.StuckAt(lrs=0.2, hrs=0.1), devices.FiniteStates(states=devices.UniformG(count=5))
    warm = devices.Temperature(kelvin=350.0, activation=0.1, alpha=1e-3)
    sinh = array.Nonlinear(law=array.Sinh(v_c=0.1), points=3)
    for which in ("bare", "calibrated"):
        stages = FIXED if which == "calibrated" else {}
        found[f"degraded stuck, states | {which}"] = lambda s=stages: degraded(stuck, states, stages=s)
        found[f"degraded states, warm | {which}"] = lambda s=stages: degraded(states, warm, stages=s)
        found[f"degraded stuck, three | {which}"] = lambda s=stages: degraded(stuck, states, warm, stages=s)
    found["degraded cells"] = lambda: degraded(stuck, sinh, stages=FIXED)
    for name in ("GPT-2", "BERT"):
        for which in ("bare", "calibrated"):
            found[f"Hugging Face {name} | {which}"] = lambda n=name, w=which: hugging_face(n, STAGES[w])
    for name in parts.MODELS:
        for scheme in (None, array.HalfVoltage()):
            how = "alone" if scheme is None else "disturbing"
            found[f"switched {name} | {how}"] = lambda n=name, s=scheme: switched(n, s)
    found["physics"] = physics


def run(case: Case) -> Record:
    """One combination, without the warnings of mho."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return case()

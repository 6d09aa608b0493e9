"""Combinations in which every two parts meet, and the life that each of them is led through."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import io
import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import digest_parts as parts
import torch
from torch import Tensor, nn

import mho
from mho import training

SEEDED = 7
T_EARLY, T_LATE = 60.0, 3600.0


# --- what is recorded ----------------------------------------------------------------------------


def tensors(value: Any) -> list[Tensor]:
    """All tensors of a result, in order; numbers become tensors of float64."""
    if value is None:
        return []
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (int, float)):
        return [torch.tensor(float(value), dtype=torch.float64)]
    if isinstance(value, Mapping):
        return [t for key in value for t in tensors(value[key])]
    return [t for item in value for t in tensors(item)]


def digest(value: Tensor) -> str:
    """Type, shape and SHA-256 of the bits; the norm is there for the reader."""
    held = value.detach().cpu().contiguous()
    bits = held.reshape(-1).view(torch.uint8).numpy().tobytes()
    shape = "x".join(map(str, held.shape)) or "scalar"
    norm = torch.linalg.vector_norm(held.double()).item()
    return f"{str(held.dtype)[6:]} {shape} {hashlib.sha256(bits).hexdigest()[:32]} norm {norm:.12g}"


class Record(dict[str, str]):
    """Digests of one combination by quantity."""

    def add(self, quantity: str, value: Any) -> None:
        """Tensors, in any nesting; several are numbered in their order."""
        found = tensors(value)
        for k, one in enumerate(found):
            name = quantity if len(found) == 1 else f"{quantity} {k}"
            if name in self:
                raise KeyError(f"{name!r} is recorded twice")
            self[name] = digest(one)

    def add_unordered(self, quantity: str, value: Any) -> None:
        """Tensors whose names and order say nothing."""
        for k, text in enumerate(sorted(map(digest, tensors(value)))):
            self[f"{quantity} {k}"] = text


def seeded() -> None:
    """The same random numbers in every read."""
    torch.manual_seed(SEEDED)


@torch.no_grad()
def read(model: nn.Module, inputs: Sequence[Tensor]) -> Any:
    """The output in evaluation mode."""
    seeded()
    return model.eval()(*inputs)


def weighed(output: Any) -> Tensor:
    """One number of an output, in which all of it counts differently."""
    flat = torch.cat([t.flatten() for t in tensors(output)])
    return (flat * torch.linspace(-1, 1, flat.numel()).to(flat.dtype)).sum()


def step(found: Record, name: str, model: nn.Module, inputs: Sequence[Tensor], own: Iterable[str]) -> None:
    """Output and gradients: of inputs, of the Parameters of the digital model, of what mho learns."""
    model.zero_grad()
    given = [v.clone().requires_grad_() if v.is_floating_point() else v for v in inputs]
    seeded()
    output = model(*given)
    found.add(f"{name}: output", output)
    weighed(output).backward()
    found.add(f"{name}: gradient of inputs", [v.grad for v in given if v.is_floating_point()])
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    own = set(own)
    for n in sorted(gradients.keys() & own):
        found.add(f"{name}: gradient of {n}", gradients[n])
    found.add_unordered(f"{name}: gradient of a learned", [gradients[n] for n in gradients.keys() - own])


def chip_of(found: Record, name: str, model: nn.Module) -> None:
    """What lies in the cells, and what it amounts to."""
    found.add(f"{name}: conductances", mho.conductances(model))
    found.add(f"{name}: weights", mho.effective_weights(model))


def as_batches(digital: nn.Module, inputs: Sequence[Tensor]) -> list[dict[str, Tensor]]:
    """One batch for ``calibrate`` and ``compensate``."""
    return [dict(zip(inspect.signature(digital.forward).parameters, inputs, strict=False))]


def saved(model: nn.Module, into: nn.Module) -> nn.Module:
    """The state of one model in another one, through a file."""
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    into.load_state_dict(torch.load(file, weights_only=True))
    return into


# --- rows in which every two parts meet ----------------------------------------------------------


class Row(NamedTuple):
    """What meets in one chip, by name."""

    device: str
    effect: str
    array: str
    mapping: str
    dac: str
    adc: str
    layer: str
    programming: str
    compensation: str
    recipe: str
    dtype: str
    tile: str
    later: str  # an effect that comes when the chip has an age
    bias_rows: int
    seed: int


LATER = ("none", "StuckAt", "RetentionLoss", "Temperature", "ThermalNoise", "UniformG")
AXES: list[Sequence[Any]] = [
    list(parts.DEVICES),
    ["none", *parts.EFFECTS],
    list(parts.ARRAYS),
    list(parts.MAPPINGS),
    list(parts.DACS),
    list(parts.ADCS),
    list(parts.LAYERS),
    list(parts.PROGRAMMINGS),
    list(parts.COMPENSATIONS),
    list(parts.RECIPES),
    list(parts.DTYPES),
    list(parts.TILES),
    LATER,
    (0, 1, 3),
    (0, 1),
]


ALWAYS_ON = ("dynamic", "auto range", "TwosComplement")  # no schedule switches them off
SLOW = (None, "Linear", "Conv1d dilated", "LSTMCell", "Bilinear", "Embedding")


def allowed(row: Row) -> bool:
    """What mho does not refuse, in a short time; None: not chosen yet."""
    if row.recipe == "OutputNoise" and (row.dac == "dynamic" or row.adc in ALWAYS_ON):
        return False
    if row.recipe == "DriftNoise" and (row.effect not in (None, "none") or row.later not in (None, "none")):
        return False
    if row.adc == "each slice" and row.mapping == "pair, two-sided":
        return False
    if row.array == "Nonlinear Series" and row.layer not in SLOW:
        return False
    if row.array in parts.NONLINEAR and row.dac in parts.MISMATCHED:
        return False
    if row.layer == "Bilinear" and row.bias_rows:
        return False
    return not (row.effect == "Varied" and row.device in parts.CANNOT_VARY)


def rows() -> list[Row]:
    """Few rows in which every two values of different axes that may meet do."""
    rng = random.Random(0)

    def fits(chosen: dict[int, int]) -> bool:
        return allowed(Row(*(AXES[k][chosen[k]] if k in chosen else None for k in range(len(AXES)))))

    missing = {
        ((i, a), (j, b)): None
        for i, j in itertools.combinations(range(len(AXES)), 2)
        for a in range(len(AXES[i]))
        for b in range(len(AXES[j]))
        if fits({i: a, j: b})
    }
    found = []
    while missing:
        row = dict(next(iter(missing)))
        for k in rng.sample([k for k in range(len(AXES)) if k not in row], len(AXES) - 2):
            among = [v for v in range(len(AXES[k])) if fits({**row, k: v})]
            rng.shuffle(among)
            met = {v: sum(pair((k, v), p) in missing for p in row.items()) for v in among}
            row[k] = max(among, key=met.__getitem__)
        for p, q in itertools.combinations(row.items(), 2):
            missing.pop(pair(p, q), None)
        found.append(Row(*(AXES[k][row[k]] for k in range(len(AXES)))))
    return found


def pair(p: tuple[int, int], q: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    return (p, q) if p < q else (q, p)


def hardware(row: Row) -> mho.Hardware:
    """The description of a row's chip."""
    device = parts.DEVICES[row.device](None)
    if not device.g_min and {row.effect, row.array} & set(parts.ABOVE_ZERO):
        if hasattr(device, "model") or not hasattr(device, "g_min"):
            raise ValueError(f"{row.device} has no bound of its own")
        device = dataclasses.replace(device, g_min=parts.lowest(device))
    adc = parts.ADCS[row.adc](device)
    if adc is mho.converters.EachSlice:
        limits = (4.0,) * parts.CHANNELS.get(row.mapping, 1)
        adc = mho.ADC(bits=6, range=mho.converters.EachSlice(limits=limits))
    outer = device
    if row.effect != "none":
        outer = dataclasses.replace(parts.EFFECTS[row.effect](device), device=device)
    return mho.Hardware(
        device=outer,
        array=parts.ARRAYS[row.array](device),
        mapping=parts.MAPPINGS[row.mapping](device),
        programming=parts.PROGRAMMINGS[row.programming](device),
        dac=parts.DACS[row.dac](device),
        adc=adc,
        tile=parts.TILES[row.tile],
    )


# --- the life of a row ---------------------------------------------------------------------------


def life(row: Row) -> Record:
    """Converted, calibrated, programmed, aged, corrected, degraded, saved and loaded, trained."""
    found, layer = Record(), parts.LAYERS[row.layer]
    dtype = parts.DTYPES[row.dtype]
    torch.manual_seed(1)
    digital, x = layer.make().to(dtype), layer.inputs(dtype)
    described = hardware(row)
    chip = mho.convert(digital, described, bias_rows=row.bias_rows)
    data = as_batches(digital, x)
    seeded()
    mho.calibrate(chip, data)
    found.add("not programmed: output", read(chip, x))

    mho.program(chip, seed=row.seed)
    chip_of(found, "programmed", chip)
    report = mho.programming_report(chip)
    found.add("programmed: pulses, failures, energy", [report.pulses, report.failures, report.energy])
    own = [n for n, _ in digital.named_parameters()]
    step(found, "programmed", chip.eval(), x, own)

    mho.age(chip, at(described, T_LATE))
    chip_of(found, "aged", chip)
    found.add("aged: output", read(chip, x))
    correct(found, row, chip, data, x)
    if row.later != "none":
        mho.degrade(chip, parts.EFFECTS[row.later](parts.DEVICES[row.device](None)), seed=row.seed + 1)
        chip_of(found, "degraded", chip)
        found.add("degraded: output", read(chip, x))
    mho.age(chip, at(described, T_EARLY))
    chip_of(found, "younger", chip)
    fresh = mho.convert(digital, described, bias_rows=row.bias_rows)
    if row.later == "none":
        found.add("loaded: output", read(saved(chip, fresh), x))
    train(found, row, chip, x, own)
    return found


def at(described: mho.Hardware, seconds: float) -> float:
    """A time at which the device is known."""
    first, last = described.device.times
    return float(min(max(seconds, first), last))


def correct(found: Record, row: Row, chip: nn.Module, data: list[Any], x: Sequence[Tensor]) -> None:
    """Compensated at its present age."""
    method = parts.COMPENSATIONS[row.compensation](None)
    if method is None:
        return
    seeded()
    mho.compensate(chip, method, data if method.needs_data else None)
    found.add("corrected: weights", mho.effective_weights(chip))
    found.add("corrected: output", read(chip, x))


def train(found: Record, row: Row, chip: nn.Module, x: Sequence[Tensor], own: list[str]) -> None:
    """In the loop on the chip; then with a recipe, one step of an optimizer, and a new chip."""
    mho.train_on_chip(chip)
    step(found, "on chip", chip.train(), x, own)
    mho.train_on_chip(chip, on=False)
    training.attach(chip, training.Recipe(modifiers=parts.RECIPES[row.recipe]))
    optimizer = torch.optim.SGD(chip.parameters(), lr=1e-3)
    step(found, "trained", chip.train(), x, own)
    optimizer.step()
    step(found, "trained again", chip.train(), x, own)
    training.detach(chip)
    mho.program(chip, seed=row.seed)
    chip_of(found, "programmed again", chip)
    found.add("programmed again: output", read(chip, x))

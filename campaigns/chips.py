"""Chips of random parts, layers, dtypes and operations, and five things that hold for each of them.

What is read is finite; an ideal chip equals torch; a chip that is loaded equals the one that was saved,
bit for bit; a seed names one chip, in whatever order its ages were asked for; and a converter with more bits
is never worse, on average over hundreds of outputs.

The parts are those of ``tests/compositions``: a new one joins by existing.
"""

from __future__ import annotations

import copy
import inspect
import pickle
import random
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from tests.compositions.compositions import (
    Composition,
    dacs,
    differences,
    may_drive,
    saved_and_loaded,
    times,
    with_effects,
    without_scales,
)
from tests.compositions.layers import LAYERS
from tests.compositions.parts import all_examples, examples, kinds
from torch import Tensor, nn

import mho
from campaigns.outcomes import NAMED, SURVIVED, Outcome, Setting
from mho.array import Array
from mho.converters import ADC, DAC, AutoRange, EachSlice, Range
from mho.devices import Device, Effect, Switching, Varied
from mho.devices.effects.base import innermost
from mho.errors import NotCalibratedError
from mho.mapping import DifferentialPair, Offset
from mho.periphery import Compensation
from mho.programming import CountedPulses, Programming

LIMIT, CHUNK = 60.0, 25
T = TypeVar("T")
# The largest error of an ideal chip, in parts of the largest output; cells have the dtype of the layer.
CLOSE = {torch.float64: 1e-6, torch.float32: 1e-4, torch.float16: 0.03, torch.bfloat16: 0.2}
WORSE = 1.1  # how much larger the error with more bits may be found to be
MORE = 3  # bits
SOURCES = str(Path(mho.__file__).parent)


class Broken(Exception):
    """One of the five things does not hold."""


class Drawn(Composition):
    """A composition whose parts are drawn by a number, and not by its name."""

    chance: random.Random
    held: dict[str, Any]

    @classmethod
    def by(cls, chance: random.Random) -> Drawn:
        """One that mho does not refuse."""
        while True:
            effects = chance.sample(kinds(Effect), chance.choice((0, 0, 1, 1, 2)))
            made = cls(chance.choice(kinds(Device, Effect)), tuple(effects), chance.choice(kinds(Array)))
            if not made.refused:
                made.chance, made.held = chance, {}
                return made

    def choose(self, what: str, among: Sequence[T]) -> T:
        """One of several, the same one each time."""
        if what not in self.held:
            self.held[what] = self.chance.choice(among)
        found: T = self.held[what]
        return found


def cases(setting: Setting) -> list[str]:
    """``chip/00017``: the chips by their number."""
    kinds(Device)  # imports all of mho, and the frameworks beside it: once, and not in each fork
    return [f"chip/{k:05}" for k in range(setting.count(3000, 300, 3))]


def tried(setting: Setting, case: str) -> Outcome:
    """Draw a chip and look at it."""
    chance = random.Random(f"{setting.seed}/{case}")
    torch.default_generator.manual_seed(chance.randrange(2**31))
    chip = Chip(chance)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for look in (finite, ideal, same_seed, saved, more_bits):
                chip.doing = look.__name__
                look(chip)
    except Broken as error:
        return Outcome(f"not {chip.doing}", f"{error}\n{chip}")
    except Unable as error:
        return Outcome(SURVIVED, str(error))
    except Exception as error:
        if refused(error):
            return Outcome(NAMED, f"{type(error).__name__}: {error}")
        return Outcome(f"an error in {chip.doing}", f"{traceback.format_exc()}\n{chip}")
    return Outcome(SURVIVED)


class Unable(Exception):
    """torch cannot do this either."""


def refused(error: Exception) -> bool:
    """Whether mho itself says in a sentence why it does not do this."""
    if not isinstance(error, (ValueError, TypeError, NotCalibratedError)) or not str(error):
        return False
    last = traceback.extract_tb(error.__traceback__)[-1]
    return last.filename.startswith(SOURCES) and (last.line or "raise").lstrip().startswith("raise")


# --- a chip --------------------------------------------------------------------------------------


def _suited(device: Device) -> list[Any]:
    """Ways to program the device: pulses are counted on switching models alone."""
    switching = isinstance(innermost(device), Switching)
    return all_examples(Programming, *(() if switching else (CountedPulses,)))


class Chip:
    """What was drawn: a layer, its inputs, its hardware, its programming and its life."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.doing = "drawn"
        self.case = Drawn.by(chance)
        self.kind = chance.choice(list(LAYERS))
        self.dtype = chance.choice((torch.float32,) * 3 + (torch.float64, torch.bfloat16, torch.float16))
        self.bias_rows = 0 if self.kind is nn.Bilinear else chance.choice((0, 0, 1))
        self.seed = chance.randrange(2**31)
        self.life: list[str] = []
        self.device = with_effects(self.case.bare_device(), self.case.bare_effects())
        array = self.case.choose("array", examples(self.case.array))(self.device)
        self.hardware = self.case.hardware(
            self.device,
            dac=chance.choice([dac for dac in dacs(self.device) if may_drive(dac, array)]),
            programming=chance.choice(_suited(self.device))(self.device),
            tile=mho.Tile(rows=chance.choice((1, 2, 3, 5, 64)), columns=chance.choice((1, 2, 3, 64))),
        )
        layer = LAYERS[self.kind]
        self.digital = layer.make().to(self.dtype).eval()
        size = chance.choice((0.0, 1e-3, 1.0, 1.0, 1.0, 30.0))
        self.x = tuple(size * v.to(self.dtype) if v.is_floating_point() else v for v in layer.inputs())

    def __str__(self) -> str:
        what = f"{self.kind.__name__} in {self.dtype}, bias rows {self.bias_rows}, seed {self.seed}"
        return f"{self.case} {what}\nlife: {', '.join(self.life)}\n{self.hardware}"

    def converted(self, hardware: mho.Hardware | None = None) -> nn.Module:
        """The analog layer, without a chip."""
        made = mho.convert(
            self.digital, self.hardware if hardware is None else hardware, bias_rows=self.bias_rows
        )
        return made.eval()

    def programmed(self) -> nn.Module:
        """A new chip of this seed."""
        made = self.converted()
        mho.program(made, seed=self.seed)
        return made

    @property
    def data(self) -> list[dict[str, Tensor]]:
        """The inputs by the names of the layer's arguments."""
        return [dict(zip(inspect.signature(self.digital.forward).parameters, self.x, strict=False))]


@torch.no_grad()
def outputs(model: nn.Module, x: Sequence[Tensor], seed: int = 7) -> Tensor:
    """All numbers of an output, with one certain noise."""
    torch.default_generator.manual_seed(seed)
    return flat(model(*x))


def flat(output: Any) -> Tensor:
    """All numbers of an output."""
    if isinstance(output, Tensor):
        return output.flatten()
    return torch.cat([flat(part) for part in output if part is not None])


def hardware_of(model: nn.Module) -> mho.Hardware:
    """The description that a chip has now."""
    found: mho.Hardware = next(iter(mho.nn.analog_layers(model).values())).hardware
    return found


# --- what may befall it --------------------------------------------------------------------------


def _age(chip: Chip, model: nn.Module) -> nn.Module:
    mho.age(model, chip.chance.choice(times(chip.device)))
    return model


def _calibrate(chip: Chip, model: nn.Module) -> nn.Module:
    mho.calibrate(model, chip.data)
    return model


def _compensate(chip: Chip, model: nn.Module) -> nn.Module:
    method = chip.chance.choice(all_examples(Compensation))(chip.device)
    mho.compensate(model, method, chip.data if method.needs_data else None)
    return model


def _degrade(chip: Chip, model: nn.Module) -> nn.Module:
    kind = chip.chance.choice(kinds(Effect, Varied))
    effect = chip.chance.choice(examples(kind))(hardware_of(model).device)
    mho.degrade(model, effect, seed=chip.seed)
    return model


def _copy(chip: Chip, model: nn.Module) -> nn.Module:
    return copy.deepcopy(model)


def _pickle(chip: Chip, model: nn.Module) -> nn.Module:
    made: nn.Module = pickle.loads(pickle.dumps(model))
    return made


def _train(chip: Chip, model: nn.Module) -> nn.Module:
    model.train()
    y = flat(model(*chip.x))
    if y.requires_grad:
        y.float().sum().backward()
    model.zero_grad()
    return model.eval()


def _on_chip(chip: Chip, model: nn.Module) -> nn.Module:
    mho.train_on_chip(model)
    flat(model.train()(*chip.x)).float().sum().backward()
    model.zero_grad()
    return model.eval()


def _again(chip: Chip, model: nn.Module) -> nn.Module:
    mho.program(model, seed=chip.seed)
    return model


LIFE: dict[str, Callable[[Chip, nn.Module], nn.Module]] = {
    "age": _age, "calibrate": _calibrate, "compensate": _compensate, "degrade": _degrade, "copy": _copy,
    "pickle": _pickle, "train": _train, "train on chip": _on_chip, "program again": _again,
}  # fmt: skip


def lived(chip: Chip) -> nn.Module:
    """The chip after whatever befell it; what mho refuses does not befall it."""
    model = chip.programmed()
    chip.life = []
    first = ["calibrate"] * (chip.chance.random() < 0.95)  # without, most are refused
    for name in [*first, *chip.chance.choices(list(LIFE), k=chip.chance.randrange(6))]:
        chip.life.append(name)
        try:
            model = LIFE[name](chip, model)
        except Exception as error:
            if not refused(error):
                raise
            chip.life[-1] += f" (refused: {str(error)[:60]})"
    return model.eval()


# --- the five ------------------------------------------------------------------------------------


def finite(chip: Chip) -> None:
    """What torch can compute, a chip does, and what it gives is finite."""
    try:
        wanted = outputs(chip.digital, chip.x)
    except (RuntimeError, NotImplementedError) as error:
        raise Unable(f"torch cannot: {error}") from None
    if mho.Hardware.from_json(chip.hardware.to_json()) != chip.hardware:
        raise Broken("its description is another one after a trip through JSON")
    chip.model = lived(chip)
    y = outputs(chip.model, chip.x)
    if y.shape != wanted.shape or y.dtype != wanted.dtype:
        raise Broken(f"{y.shape} in {y.dtype}, where torch gives {wanted.shape} in {wanted.dtype}")
    if not y.isfinite().all() and wanted.isfinite().all():
        raise Broken(f"{int((~y.isfinite()).sum())} of {y.numel()} outputs are not finite")


def ideal(chip: Chip) -> None:
    """Without noise, wires and converters the layer is that of torch."""
    mapping = chip.chance.choice(
        (DifferentialPair(), Offset(), DifferentialPair(two_sided=True, digital_subtraction=True))
    )
    device = without_scales(Drawn.by(chip.chance).bare_device())
    if chip.dtype in (torch.float16, torch.bfloat16) or isinstance(mapping, Offset):
        device = mho.devices.Ideal()  # cells that begin high above zero have few steps of such a dtype left
    made = chip.converted(mho.Hardware(device=device, mapping=mapping, tile=chip.hardware.tile))
    if chip.chance.random() < 0.7:
        mho.program(made, seed=chip.seed)
    y, wanted = outputs(made, chip.x).double(), outputs(chip.digital, chip.x).double()
    scale = max(float(wanted.abs().max()), 0.1)
    error = float((y - wanted).abs().max()) / scale
    if not error <= CLOSE[chip.dtype]:
        raise Broken(f"off by {error:.3g} of the largest output: {device} with {mapping}")


def same_seed(chip: Chip) -> None:
    """A seed and an age name one chip, whatever came before."""
    early, late = times(chip.device)
    one, other = chip.programmed(), chip.programmed()
    mho.age(one, early)
    mho.age(other, late)
    mho.age(other, early)
    found = differences(one, other)
    if found:
        raise Broken(f"two chips of one seed differ in {', '.join(found)}")


def saved(chip: Chip) -> None:
    """A chip that is loaded has the bits of the one that was saved, and reads the same."""
    back = saved_and_loaded(chip.model, chip.converted(hardware_of(chip.model)))
    found = differences(chip.model, back)
    if found:
        raise Broken(f"the loaded chip differs in {', '.join(found)}")
    if not torch.equal(outputs(chip.model, chip.x).nan_to_num(), outputs(back.eval(), chip.x).nan_to_num()):
        raise Broken("the loaded chip reads otherwise")


def more_bits(chip: Chip) -> None:
    """The error of converters, over hundreds of outputs, does not grow with their bits."""
    draw = torch.Generator().manual_seed(chip.seed)
    digital, x = nn.Linear(12, 8), torch.randn(100, 12, generator=draw)
    with torch.no_grad():
        for parameter in digital.parameters():
            parameter.uniform_(-0.5, 0.5, generator=draw)
    which = chip.chance.choice(("adc", "dac"))
    among = all_examples(Range, *((EachSlice,) if which == "adc" else (EachSlice, AutoRange)))
    reach, bits = chip.chance.choice(among)(chip.device), chip.chance.randint(2, 6)
    tile, mapping = chip.hardware.tile, chip.chance.choice((DifferentialPair(), Offset()))

    def error(count: int | None) -> float:
        converter = (ADC if which == "adc" else DAC)(bits=count, range=reach)
        given = mho.Hardware(mapping=mapping, tile=tile, **{which: converter})
        model = mho.convert(digital, given).eval()
        mho.program(model, seed=chip.seed)
        mho.calibrate(model, [x])
        return float((outputs(model, (x,)) - outputs(digital, (x,))).square().mean().sqrt())

    few, many = error(bits), error(bits + MORE)
    if not many <= WORSE * few + 1e-5:
        raise Broken(f"{which} over {reach}: {few:.4g} with {bits} bits, {many:.4g} with {bits + MORE}")

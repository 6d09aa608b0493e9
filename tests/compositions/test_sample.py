"""Every two parts in one chip that is compiled and trained, in a sample that leaves no pair out."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import mho
from mho.array import Array, NonlinearCells
from mho.convert import TWINS
from mho.converters import ColumnConverter
from mho.devices import Device, Effect
from mho.mapping import Mapping
from mho.periphery import Compensation
from mho.programming import CountedPulses, Programming

from .compositions import SEEDED, Composition, dacs, may_drive, times, with_effects, without_scales
from .covering import covering, some
from .layers import LAYERS
from .parts import examples, kinds

DACS = dacs(mho.devices.Ideal())


class Row(NamedTuple):
    """What meets in one chip."""

    device: type[Device]
    first: type[Effect] | None
    second: type[Effect] | None
    array: type[Array]
    mapping: type[Mapping]
    dac: int
    adc: type[ColumnConverter] | None
    layer: type[nn.Module]
    programming: type[Programming]
    compensation: type[Compensation]
    mode: str
    quiet: bool
    bias_rows: int

    def __str__(self) -> str:
        return "-".join(getattr(value, "__name__", str(value)) for value in self)

    @property
    def case(self) -> Composition:
        """The parts of the cells."""
        return Composition(self.device, tuple(e for e in (self.first, self.second) if e), self.array)

    def hardware(self, **parts: Any) -> mho.Hardware:
        """The description of the chip."""
        case = self.case
        device = with_effects(case.bare_device(), case.bare_effects())
        own = {
            name: case.choose(name, examples(kind))(device)
            for name, kind in (("mapping", self.mapping), ("programming", self.programming))
        }
        adc = self.adc and case.choose("adc", examples(self.adc))(device)
        given = {**own, "dac": DACS[self.dac], "adc": adc, "tile": mho.Tile(rows=3, columns=2), **parts}
        if self.quiet:
            device = without_scales(device)
            given["dac"] = given["dac"] and dataclasses.replace(given["dac"], noise=0.0)
            given["adc"] = given["adc"] and given["adc"].quiet()
        return case.hardware(device, **given)


CELLS = ("device", "first", "second")
EFFECTS = [None, *kinds(Effect)]
AXES: list[list[Any]] = [
    kinds(Device, Effect),
    EFFECTS,
    EFFECTS,
    kinds(Array),
    kinds(Mapping),
    list(range(len(DACS))),
    [None, *kinds(ColumnConverter)],
    list(LAYERS),
    kinds(Programming),
    kinds(Compensation),
    ["evaluated", "trained", "on chip"],
    [True, False],
    [0, 1],
]


def allowed(values: list[Any]) -> bool:
    """What mho does not refuse; None: not chosen yet, or no such part."""
    row = Row(*values)
    if row.array and row.dac is not None and not may_drive(DACS[row.dac], row.array):
        return False
    if row.layer is nn.Bilinear and row.bias_rows:
        return False  # its bias comes after a digital product
    if row.programming is CountedPulses and row.device not in (None, mho.devices.Switching):
        return False  # it counts the pulses of a switching model
    inside = [kind for kind in (row.device, row.first, row.second) if kind]
    return not inside or not Composition(inside[0], tuple(inside[1:]), row.array).refused


# What a cell is does not matter to a layer: the array, the mapping and the converters are between them.
STRANGERS = [(k, Row._fields.index("layer")) for k, name in enumerate(Row._fields) if name in CELLS]
ROWS = [Row(*values) for values in covering(AXES, allowed, STRANGERS)]


GRAPH = ("array", "mapping")  # the graph of a forward takes other weights from them in each mode


def is_one_graph(row: Row) -> bool:
    """A training that simulates cells at each step looks at their numbers, which a graph cannot."""
    simulated = row.array in (mho.array.Simulated, mho.array.Swept)
    return not (simulated and row.mode == "trained" and not row.hardware().mapping.smooth)


def compiled() -> set[Row]:
    """Rows that are compiled: all parts, in each mode those that weights come from.

    Layers of several products are left to test_visible.py, as far as possible: it compiles every layer.
    """

    def items(row: Row) -> set[tuple[Any, ...]]:
        found = {(row.mode if k in GRAPH else "any", k, value) for k, value in row._asdict().items()}
        return found if LAYERS[row.layer].one_product else {item for item in found if item[1] != "layer"}

    chosen: set[Row] = set()
    among = [row for row in ROWS if is_one_graph(row)]
    missing = {item for row in among for item in items(row)}
    while missing:
        row = max(among, key=lambda r: len(items(r) & missing) * (1 if LAYERS[r.layer].one_product else 0.4))
        chosen.add(row)
        missing -= items(row)
    return chosen


COMPILED = compiled()


def flat(output: Any) -> Tensor:
    """All numbers of an output."""
    if isinstance(output, Tensor):
        return output.flatten()
    return torch.cat([flat(part) for part in output if part is not None])


def prepared(row: Row, digital: nn.Module, x: tuple[Tensor, ...], **parts: Any) -> nn.Module:
    """The chip of a row in the mode that it is used in."""
    chip = mho.convert(digital, row.hardware(**parts), bias_rows=row.bias_rows)
    mho.program(chip, seed=0)
    data = [dict(zip(inspect.signature(digital.forward).parameters, x, strict=False))]
    mho.calibrate(chip, data)
    mho.age(chip, times(next(iter(mho.nn.analog_layers(chip).values())).hardware.device)[1])
    (make, *_) = examples(row.compensation)
    method = make(None)
    mho.compensate(chip, method, data if method.needs_data else None)
    if row.mode == "on chip":
        mho.train_on_chip(chip)
    return chip.train(row.mode != "evaluated")


def step(model: Any, chip: nn.Module, x: tuple[Tensor, ...]) -> tuple[Tensor, dict[str, Tensor]]:
    """Output and gradients of one step."""
    chip.zero_grad()
    given = tuple(v.clone().requires_grad_() if v.is_floating_point() else v for v in x)
    torch.default_generator.manual_seed(SEEDED)
    y = flat(model(*given))
    (y * torch.linspace(-1, 1, y.numel())).sum().backward()
    found = {f"input {k}": v.grad for k, v in enumerate(given) if v.is_floating_point()}
    found |= {name: p.grad for name, p in chip.named_parameters()}
    return y.detach(), {name: g.clone() for name, g in found.items() if g is not None}


@pytest.mark.parametrize("row", some(ROWS, COMPILED), ids=str)
def test_compiled_and_trained(row: Row) -> None:
    torch.manual_seed(1)
    layer = LAYERS[row.layer]
    digital, x = layer.make(), layer.inputs()
    chip = prepared(row, digital, x)
    y, gradients = step(chip, chip, x)
    assert y.isfinite().all()
    assert gradients.keys() >= {name for name, _ in digital.named_parameters()}
    assert all(g.isfinite().all() for g in gradients.values())

    if row in COMPILED:
        torch._dynamo.reset()
        with torch._dynamo.config.patch(allow_rnn=True):
            z, traced = step(torch.compile(chip, backend="eager", fullgraph=True), chip, x)
        assert z.isfinite().all() and traced.keys() == gradients.keys()
        if row.quiet:
            torch.testing.assert_close(z, y)
            torch.testing.assert_close(traced, gradients)
    if layer.one_product and row.quiet:
        check_gradients(row, digital, x)


def check_gradients(row: Row, digital: nn.Module, x: tuple[Tensor, ...]) -> None:
    """Without converters: through the matrix that was used, and straight through to the Parameters."""
    if issubclass(row.array, NonlinearCells):
        return
    chip = prepared(row, digital, x, dac=None, adc=None)
    y, gradients = step(chip, chip, x)
    d = torch.randn_like(x[0])
    moved, _ = step(chip, chip, (x[0] + d,))
    along = ((moved - y) * torch.linspace(-1, 1, y.numel())).sum()
    torch.testing.assert_close((gradients["input 0"] * d).sum(), along, rtol=1e-4, atol=1e-4)
    if row.mode != "trained":
        _, wanted = step(digital, digital, x)
        for name in ("weight", "bias"):
            torch.testing.assert_close(gradients[name], wanted[name], rtol=1e-4, atol=1e-5)


def test_every_layer_is_there() -> None:
    own = {kind for kind in TWINS if isinstance(kind, type) and kind.__module__.startswith("torch.")}
    assert not own - LAYERS.keys(), "give these an example in LAYERS"

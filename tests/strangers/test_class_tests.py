"""The core asks a stage, not for its class: where it does ask for one is counted, each with its reason."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import mho
from mho.array import Array
from mho.converters import DAC, ColumnConverter, Range, Stream, Uniform
from mho.devices import Device
from mho.mapping import Mapping, Scale
from mho.periphery import Compensation
from mho.programming import Programming

STAGES = (
    Array,
    ColumnConverter,
    DAC,
    Device,
    Mapping,
    Programming,
    Compensation,
    Range,
    Scale,
    Stream,
    Uniform,
)
ROOT = Path(mho.__file__).parent
APART = (
    "analysis",
    "array",
    "commands",
    "compat",
    "conformance",
    "converters",
    "devices",
    "experiments",
    "export",
    "foreign",
    "keras",
    "mapping",
)
APART += ("periphery", "programming", "report", "testing", "training", "cli.py", "measured.py")
"""The stages themselves, and what is made of the core."""
ALLOWED = {
    "chip.cells.is_cell_by_cell": 1,  # other programming solves arrays, or draws as often as it must
    "chip.cells.in_blocks": 2,  # effects may look at a whole array; an offset's sums round otherwise by rows
    "chip.state.is_plain": 1,  # ideal wires: packed in blocks of cells, which rounds otherwise
    "lifecycle._sorted": 2,  # mho.degrade takes effects and laws of cells in one list
    "lifecycle.compensate": 1,  # its argument is a correction at all
}


def core() -> Iterator[tuple[str, ModuleType]]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).parts
        if parts[0] not in APART:
            name = ".".join((*parts[:-1], path.stem)).removesuffix(".__init__")
            if name != "__init__":
                yield name, importlib.import_module(f"mho.{name}")


def named(node: ast.expr, module: ModuleType) -> Iterator[object]:
    """The classes that an expression names."""
    if isinstance(node, ast.Name):
        yield getattr(module, node.id, None)
    elif isinstance(node, ast.Attribute):
        for owner in named(node.value, module):
            yield getattr(owner, node.attr, None)
    elif isinstance(node, (ast.Tuple, ast.BinOp)):
        for part in node.elts if isinstance(node, ast.Tuple) else (node.left, node.right):
            yield from named(part, module)


def class_tests(name: str, module: ModuleType) -> Iterator[str]:
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for call in ast.walk(function):
            asks = isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
            if asks and call.func.id in ("isinstance", "issubclass"):
                asked = call.args[1]
            elif isinstance(call, ast.Compare) and ast.unparse(call.left).startswith("type("):
                asked = call.comparators[0]
            else:
                continue
            found = [c for c in named(asked, module) if isinstance(c, type)]
            if any(issubclass(c, STAGES) for c in found):
                yield f"{name}.{function.name}"


def test_the_core_asks_for_no_class_of_a_stage() -> None:
    found = [where for name, module in core() for where in class_tests(name, module)]
    assert {where: found.count(where) for where in found} == ALLOWED

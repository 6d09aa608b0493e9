"""``python -m benchmarks.layer_table``: every module case, from conversion to the gradient of a chip.

A table with a row for each case of ``layer_cases.py``:

- on arrays: the fraction of its multiply-accumulates with weights that arrays do (all: nothing is left);
- ideal error: largest difference from torch on ideal arrays, relative to the largest output;
- noise visible: ``mho.testing.check_visible``;
- state_dict: a chip saved and loaded with ``weights_only`` gives the same bits, and the torch layer's own
  dict loads with ``strict``;
- compiled: ``torch.compile(fullgraph=True)`` gives what the chip gives;
- backward in eval: gradients through a programmed, aged chip are those of the torch layer that holds the
  chip's weights.

With ``--write`` the table goes into ``docs/layers.md``.
"""

from __future__ import annotations

import argparse
import copy
import io
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import mho
from benchmarks.layer_cases import CASES, HUB, Case
from mho.testing import check_visible

PCM = mho.Hardware(device=mho.devices.PCM(read_scale=0.0), tile=mho.Tile(rows=16, columns=16))
NOISY = mho.Hardware(device=mho.devices.PCM(), tile=mho.Tile(rows=16, columns=16))
PAGE = Path(__file__).parents[1] / "docs" / "layers.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"


class Row(NamedTuple):
    """What was found for a case; an exception is a failure with its message."""

    case: str
    mapped: str
    ideal: str
    visible: str
    saved: str
    compiled: str
    backward: str


def call(model: nn.Module, example: Any) -> Any:
    """Run a model."""
    if isinstance(example, dict):
        return model(**example)
    return model(*example) if isinstance(example, tuple) else model(example)


def floats(value: Any) -> list[Tensor]:
    """All floating-point tensors of an input or output."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    value = value.values() if isinstance(value, dict) else value
    return [t for v in value for t in floats(v)] if hasattr(value, "__iter__") else []


def flat(value: Any) -> Tensor:
    """All outputs, one after the other."""
    return torch.cat([t.flatten() for t in floats(value)])


def chip(model: nn.Module) -> nn.Module:
    """A programmed chip, one day old."""
    analog = mho.convert(model, PCM)
    mho.program(analog, seed=1)
    mho.age(analog, 86_400)
    return analog.eval()


def mapped(model: nn.Module, example: Any) -> str:
    """Fraction of the multiply-accumulates by weights that arrays do."""
    analog = mho.convert(model, PCM, strict=True)
    report = analog.report
    report.measure(example if isinstance(example, (dict, Tensor)) else Arguments(analog, example))
    counted = report.macs.analog + report.macs.weights
    if report.macs.weights:
        raise AssertionError(f"{report.macs.weights} of {counted} stay digital")
    return "all"


def ideal(model: nn.Module, example: Any) -> str:
    """Largest relative difference, not programmed and programmed."""
    analog, worst = mho.convert(model, mho.Hardware(tile=PCM.tile)).eval(), 0.0
    torch.backends.mha.set_fastpath_enabled(False)  # it fills the places of the padding with zeros
    with torch.no_grad():
        wanted = flat(call(model, example))
        for _ in range(2):
            got = flat(call(analog, example))
            worst = max(worst, float((got - wanted).abs().max() / wanted.abs().max()))
            mho.program(analog, seed=0)
    if worst > 1e-5:
        raise AssertionError(f"error {worst:.1e}")
    return f"{worst:.0e}"


def visible(model: nn.Module, example: Any) -> str:
    """``check_visible``."""
    check_visible(mho.convert(model, NOISY), example)
    return "yes"


def saved(model: nn.Module, example: Any) -> str:
    """A chip through a file, and the plain dict."""
    analog, other, file = chip(model), mho.convert(model, PCM), io.BytesIO()
    torch.save(analog.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True), strict=True)
    with torch.no_grad():
        if not torch.equal(flat(call(other.eval(), example)), flat(call(analog, example))):
            raise AssertionError("the loaded chip gives other outputs")
    analog.load_state_dict(model.state_dict(), strict=True)
    return "yes"


def compiled(model: nn.Module, example: Any) -> str:
    """One graph that gives what the eager chip gives."""
    analog = chip(model)
    torch._dynamo.reset()
    with torch.no_grad(), torch._dynamo.config.patch(allow_rnn=True):
        got = flat(call(torch.compile(analog, fullgraph=True), example))
        wanted = flat(call(analog, example))
    if not torch.allclose(got, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max())):
        raise AssertionError("other outputs")
    return "yes"


def backward(model: nn.Module, example: Any) -> str:
    """Gradients to inputs and Parameters through the chip."""
    analog = chip(model)
    truth, found = mho.revert(analog, weights="programmed").eval(), []
    untied = {n for n, _ in truth.named_parameters()} & {n for n, _ in analog.named_parameters()}
    for each in (analog, truth):
        inputs = copy.deepcopy(example)
        leaves = [x.requires_grad_() for x in floats(inputs)]
        y = flat(call(each, inputs))
        (y * torch.linspace(-1, 1, y.numel())).sum().backward()
        named = dict(each.named_parameters())
        shared = {n for n in untied if "embed" not in n and "wte" not in n}  # of a tie, the truth has two
        grads = {n: named[n].grad for n in sorted(shared)}
        found.append([*(x.grad for x in leaves), *grads.values()])
    for ours, theirs in zip(*found, strict=True):
        if (ours is None) != (theirs is None):
            raise AssertionError("a gradient is missing")
        if ours is not None and not torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4):
            raise AssertionError("other gradients")
    return "yes"


class Arguments(dict[str, Any]):
    """Positional arguments as the dict that ``report.measure`` takes."""

    def __init__(self, model: nn.Module, example: tuple[Any, ...]) -> None:
        import inspect

        super().__init__(zip(inspect.signature(model.forward).parameters, example, strict=False))


CHECKS: tuple[Callable[[nn.Module, Any], str], ...] = (mapped, ideal, visible, saved, compiled, backward)


def row(name: str, case: Case, skip: set[str]) -> Row:
    """All checks of one case; what fails says why."""
    found = []
    for check in CHECKS:
        torch.manual_seed(0)
        model, example = case()
        if check.__name__ in skip:
            found.append("")
            continue
        try:
            found.append(check(model.eval(), example))
        except Exception as error:
            message = str(error).strip().splitlines() or [type(error).__name__]
            found.append(f"FAILS: {message[0][:150]}")
    return Row(name, *found)


def markdown(rows: list[Row]) -> str:
    """The table of the documentation."""
    head = "| case | on arrays | ideal error | noise visible | state_dict | compiled | backward in eval |"
    lines = [head, "|---|---|---|---|---|---|---|", *("| " + " | ".join(r) + " |" for r in rows)]
    passed = sum(not any("FAILS" in cell for cell in r) for r in rows)
    return "\n".join(lines) + f"\n\n{passed} of {len(rows)} cases pass in every column.\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--quick", action="store_true", help="do not compile")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    cases = {k: v for k, v in {**CASES, **HUB}.items() if options.only.lower() in k.lower()}
    rows = []
    for name, case in cases.items():
        rows.append(row(name, case, {"compiled"} if options.quick else set()))
        print(" | ".join(rows[-1]), flush=True)
    table = markdown(rows)
    print(f"\n{table}")
    if options.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(before + BEGIN + "\n" + table + "\n" + END + rest.partition(END)[2])
    sys.exit(any("FAILS" in cell for r in rows for cell in r))


if __name__ == "__main__":
    main()

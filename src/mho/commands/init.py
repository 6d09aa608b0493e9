"""``mho init``: a hardware description to begin with, each field with what it means."""

from __future__ import annotations

import inspect
import re
import textwrap
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import mho
from mho.commands.common import fail, typer, write_text
from mho.commands.options import Given, Option, device, flag
from mho.config import FORMAT, accepted, kind_of, kinds, to_dict
from mho.config.documents import yaml_text
from mho.report.docstrings import words

WITHOUT = ("sklearn", "pandas", "matplotlib", "rich", "jinja2")  # packages that this command does not use
WIDTH = 100
OPTIONS = (
    Option("FILE", "The file to write, .yaml or .yml; hardware.yaml if not given.", Path),
    Option(
        "device",
        "A device by name, as mho devices lists them, or files of fitted ones with commas between.",
        parse=device,
        paths=("device",),
    ),
    flag("force", "Write over a file that is there."),
)


def init(given: Given) -> None:
    """Write a hardware description with a comment on each field, to edit and to give to --hardware.

    Phase-change memory with 8-bit converters unless you name another device.
    """
    path = given.file or Path("hardware.yaml")
    if path.suffix not in (".yaml", ".yml"):
        fail(f"FILE = {str(path)!r}: comments need YAML; let the name end in .yaml or .yml")
    if path.exists() and not given.force:
        fail(f"{path} is there already; name another file, or write over it with --force")
    usual = mho.Hardware(device=mho.devices.PCM(), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8))
    write_text(commented(given.study(usual)), path)
    typer.echo(f"{path}  (mho drift --hardware {path}, or mho.Hardware.load({str(path)!r}))")


def commented(hardware: mho.Hardware) -> str:
    r"""A description as YAML with comments.

    >>> lines = commented(mho.Hardware()).splitlines()
    >>> print("\n".join(lines[lines.index("tile:") - 1 :][:4]))
    # how large an array is.
    tile:
      kind: Tile
      # word lines (inputs) of an array; null for as many as the layer has.
    """
    head = _comment("A chip as mho simulates it. Leave out a line and its default is taken.", 0)
    return "\n".join([*head, f"format: {FORMAT}", *_described(hardware, 0)]) + "\n"


def _described(value: Any, depth: int) -> list[str]:
    """The lines of a description."""
    known, types = words(type(value)).meanings, accepted(type(value))
    lines = [f"{' ' * depth}kind: {kind_of(type(value))}"]
    kept = to_dict(value)
    for field in fields(value):
        if field.name not in kept:
            continue  # came later, and is at its default
        inner = getattr(value, field.name)
        lines += _comment(f"{known.get(field.name, '')}{_others(types.get(field.name, ()))}", depth)
        if is_dataclass(inner):
            lines += [f"{' ' * depth}{field.name}:", *_described(inner, depth + 2)]
        else:
            text = yaml_text({field.name: kept[field.name]})
            lines += textwrap.indent(text.rstrip(), " " * depth).splitlines()
    return lines


def _others(types: tuple[type, ...]) -> str:
    """The descriptions that may stand in a place, in words."""
    every = {kind: c for each in types for kind, c in kinds(each).items() if not inspect.isabstract(c)}
    known = sorted(kind for kind in every if not kind.startswith("compat."))  # of other libraries' names
    return f" (one of {', '.join(known)})" if len(known) > 1 else ""


def _comment(text: str, depth: int) -> list[str]:
    """A sentence as lines of comment."""
    words_ = re.sub(r"\bNone\b", "null", " ".join(text.split()))
    wrapped = textwrap.wrap(words_, WIDTH - depth - 2, break_on_hyphens=False)
    return [f"{' ' * depth}# {line}" for line in wrapped]

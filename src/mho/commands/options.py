"""Options of a command: made from the fields of a description and their docstrings, parsed by typer."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import shlex
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from mho.commands.common import chosen, clean_errors, need_study, needs, typer
from mho.config import kinds, load
from mho.config.durations import parse_durations, written
from mho.costs import TECHNOLOGIES, Technology
from mho.devices import Device
from mho.experiments.prices import technology_of
from mho.hardware import Hardware
from mho.measured import described, load_hardware, measured_device, programming_of
from mho.report.docstrings import plain, words

T = TypeVar("T")
_STYLE = re.compile(r"\[(?=[a-z#/@])")
WHOLE, NUMBERS = "whole numbers", "numbers"
EXAMPLES = {WHOLE: "16,32,64", NUMBERS: "0.5,1,2"}


class Option(NamedTuple):
    """One option of a command, or one argument.

    Attributes:
        name: of the option without its dashes; in upper case for an argument.
        help: what it is.
        kind: what typer reads: ``str``, ``int``, ``float``, ``bool`` or ``Path``.
        default: the value if it is not given.
        parse: makes a value of (flag, text).
        paths: the fields of a description that it replaces, nested ones with dots.
        also: other names that it has.
    """

    name: str
    help: str
    kind: Any = str
    default: Any = None
    parse: Callable[[str, Any], Any] | None = None
    paths: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """As it is written."""
        return self.name if self.name.isupper() else f"--{self.name}"

    @property
    def key(self) -> str:
        """As Python names it."""
        return self.name.lower().replace("-", "_")

    def parameter(self) -> inspect.Parameter:
        """As typer reads it."""
        needed = self.default is ...
        if self.name.isupper():
            shown = self.name.partition("-")[0]
            metavar = shown if needed else f"[{shown}]"
            info: Any = typer.Argument(metavar=metavar, help=literal(self.help), show_default=False)
        else:
            info = typer.Option(self.flag, *(f"--{name}" for name in self.also), help=literal(self.help))
        kind = self.kind if self.default is not None else self.kind | None
        default = inspect.Parameter.empty if needed else self.default
        return inspect.Parameter(
            self.key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
        )


OUTPUT = Option("output", "Folder for the results; in runs/ if not given.", Path)
DATA = Option("data", "Folder with the published files of the data set.", Path)
ON = Option("on", "The torch device that computes, for example cuda.", str, "cpu")
THREADS = Option("threads", "Threads on the CPU; more help large networks only.", int, 1)
WORKERS = Option("workers", "Processes on this machine; the results do not depend on it.", int, 1)


def flag(name: str, help: str) -> Option:
    """An option without a value."""
    return Option(name, help, bool, False)


# --- from the fields of a description ------------------------------------------------------------


def fields(usual: Any, names: str | None = None) -> list[Option]:
    """Options that replace fields of a description.

    Args:
        usual: the description with the values that stand for what is not given.
        names: words ``option=field``, or ``option`` for the field of that name; nested fields with dots, and
            several that take one value with commas. None for each field that one word can say; ``data`` is
            said by ``--data-set``, for ``--data`` is the folder of its files.
    """
    if names is None:
        own = [f.name for f in dataclasses.fields(usual) if getattr(usual, f.name) is not True]
        said = [name for name in own if _reading(_annotation(usual, name), name) is not None]
        names = " ".join("data-set=data" if name == "data" else name for name in said)
    return [_field(usual, *word.partition("=")[::2]) for word in names.split()]


def _field(usual: Any, name: str, path: str) -> Option:
    paths = (path or name.replace("-", "_")).split(",")
    above, _, last = paths[0].rpartition(".")
    owner = functools.reduce(getattr, above.split(".") if above else (), usual)
    default = getattr(owner, last)
    meaning = words(type(owner)).meanings.get(last, last.replace("_", " ")).rstrip(".")
    reading = _reading(_annotation(owner, last), f"{last}, {meaning}")
    assert reading is not None, f"{type(owner).__name__}.{last}: no option can say this"
    kind, parse, choices = reading
    part = above.rpartition(".")[2].replace("_", " ")
    part = part.upper() if part in ("dac", "adc") else part
    told = f"{f'Of the {part}: ' if part not in ('', 'base', 'study') else ''}{meaning}{choices}"
    usually = "" if kind in (bool, Path) or default is None else f"; {_shown(default, parse)} if not given"
    told = f"{told[0].upper()}{told[1:]}{usually}."
    return Option(name.replace("_", "-"), told, kind, False if kind is bool else None, parse, tuple(paths))


def _annotation(owner: Any, name: str) -> Any:
    """The type of a field, without what may be left out."""
    found = type(owner).__pydantic_fields__[name].annotation
    while typing.get_origin(found) in (Annotated, typing.Union, types.UnionType):
        found = next(kind for kind in typing.get_args(found) if kind is not type(None))
    return found


def _reading(kind: Any, about: str) -> tuple[Any, Callable[[str, Any], Any] | None, str] | None:
    """What typer reads, what makes a value of it, and the choices in words; None if no word can say it."""
    if kind in (bool, int, float, str):
        return kind, None, ""
    if typing.get_origin(kind) is Literal:
        choices = [str(value) for value in typing.get_args(kind)]
        return str, one_of(*choices), f": {', '.join(choices)}"
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        inner = typing.get_args(inner)[0] if typing.get_origin(inner) is Annotated else inner
        if inner in (int, float):
            timed = inner is float and "seconds" in about
            return str, durations if timed else numbers(inner), " (s, min, h, d, y)" if timed else ""
        return None
    if kind is Hardware:
        return Path, lambda option, path: load_hardware(str(path)), ", also of a fitted device (.json, .yaml)"
    if kind is Device:
        return str, device, ", or files of fitted devices with commas between: pulses.json,retention.json"
    if kind is Technology:
        return str, technology, f": {', '.join(TECHNOLOGIES)}, or a description (.json, .yaml)"
    known = kinds(kind).values() if isinstance(kind, type) else ()
    names = [cls.__name__ for cls in known if not needs(cls)]
    if len(names) < 2:
        return None
    listed = "" if len(names) > 12 else f": {', '.join(names)}"
    return str, lambda option, text: chosen(option, text, kind), listed


def _shown(value: Any, parse: Any) -> str:
    if isinstance(value, tuple):
        each = [written(v) if parse is durations else f"{v:g}" for v in value]
        return ",".join(each) if len(each) < 12 else f"{each[0]},{each[1]} ... {each[-1]}"
    if parse is technology:
        return next((name for name, one in TECHNOLOGIES.items() if one == value), value.name)
    return (
        type(value).__name__
        if dataclasses.is_dataclass(value)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def one_of(*choices: str) -> Callable[[str, str], str]:
    """Reads one of several words."""

    def parse(option: str, text: str) -> str:
        if text not in choices:
            raise ValueError(f"{option} {text}: choose one of {', '.join(choices)}")
        return text

    return parse


def numbers(kind: type) -> Callable[[str, str], tuple[Any, ...]]:
    """Reads numbers with commas between."""

    def parse(option: str, text: str) -> tuple[Any, ...]:
        try:
            return tuple(kind(part) for part in text.split(","))
        except ValueError:
            what = WHOLE if kind is int else NUMBERS
            raise ValueError(
                f"{option} = {text!r}: give {what} with commas between, such as {EXAMPLES[what]}"
            ) from None

    return parse


def technology(option: str, text: str) -> Technology:
    """Reads the name of a technology, or the name of its file."""
    found = load(text) if Path(text).suffix in (".json", ".yaml", ".yml") else technology_of(text)
    if not isinstance(found, Technology):
        raise ValueError(
            f"{option} {text}: a {type(found).__name__}, not a technology (kind: costs.Chip, or your own)"
        )
    return found


class Parts(dict[str, Any]):
    """What an option says of several fields of one description, by their names."""


def device(option: str, text: str) -> Any:
    """Reads the name of a device, or files of fitted ones, which also say how they are programmed."""
    files = [part.strip() for part in text.split(",")]
    if not all(Path(file).suffix in (".json", ".yaml", ".yml") for file in files):
        return chosen(option, text, Device)
    made = measured_device(*(described(file) for file in files))
    return Parts(device=made, programming=programming_of(made))


def durations(option: str, text: str) -> tuple[float, ...]:
    """Reads times with commas between."""
    return parse_durations(text)


def duration(option: str, text: str) -> float:
    """Reads one time."""
    times = parse_durations(text)
    if len(times) != 1:
        raise ValueError(f"{option} = {text!r}: give one time, such as 30d")
    return times[0]


# --- a command -----------------------------------------------------------------------------------


class Given:
    """What was given to a command: the values by name, None for what was not given.

    Args:
        context: of click.
        options: of the command.
        values: as typer read them.

    Raises:
        ValueError: a text that says nothing, or an option that another one says already.
    """

    def __init__(self, context: typer.Context, options: Sequence[Option], values: Mapping[str, Any]) -> None:
        self._context, self._options = context, options
        self._values = dict(values)
        self._refuse_twice()
        for option in options:
            if option.parse is not None and self._values[option.key] is not None:
                self._values[option.key] = option.parse(option.flag, self._values[option.key])

    def __getattr__(self, name: str) -> Any:
        return self._values[name]

    def get(self, name: str, default: Any = None) -> Any:
        """A value, or the default where the command has no such option."""
        return self._values.get(name, default)

    def names(self, *among: str) -> list[str]:
        """The options of these names that were given, as they are written."""
        return [o.flag for o in self._options if o.name in among and self._values[o.key] is not None]

    def _replacing(self) -> dict[str, Option]:
        """The options that were given, by the field that each replaces."""
        given = [
            o for o in self._options if self._values[o.key] is not None and self._values[o.key] is not False
        ]
        return {path: option for option in given for path in option.paths}

    def _refuse_twice(self) -> None:
        """Raise ``ValueError`` for a field within a description that another option gives whole."""
        given = self._replacing()
        for path, option in given.items():
            for above in _above(path):
                if above in given:
                    whole = given[above].flag
                    raise ValueError(
                        f"{option.flag}: the file given with {whole} says that already; leave one out"
                    )

    def study(self, usual: T, quick: Mapping[str, Any] | None = None, **also: Any) -> T:
        """A description with the fields replaced that were given.

        Args:
            usual: what stands for what was not given.
            quick: fields by path that ``--quick`` replaces if nothing else does.
            also: further fields by path, dots as two underscores; None for what stays.
        """
        changes = dict(quick or {}) if self._values.get("quick") else {}
        for path, option in self._replacing().items():
            changes |= _spread(path, self._values[option.key])
        changes |= {name.replace("__", "."): value for name, value in also.items() if value is not None}
        return changed(usual, changes)

    @property
    def line(self) -> str:
        """The command with the options that were given, to run it again."""
        told = (
            ["mho", str(self._context.info_name)] if self._context.parent else [str(self._context.info_name)]
        )
        for parameter in self._context.command.params:
            source = self._context.get_parameter_source(str(parameter.name))
            if source is not None and source.name == "COMMANDLINE":
                value = self._context.params[str(parameter.name)]
                name = [parameter.opts[0]] if parameter.opts[0].startswith("-") else []
                told += name if value is True else [*name, str(value)]
        return shlex.join(told)


def _spread(path: str, value: Any) -> dict[str, Any]:
    """A value by the path of its field; the parts of one that says several by their own paths."""
    if not isinstance(value, Parts):
        return {path: value}
    above = path.rpartition(".")[0]
    return {f"{above}.{name}" if above else name: part for name, part in value.items()}


def _above(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:k]) for k in range(1, len(parts))]


def changed(description: T, changes: Mapping[str, Any]) -> T:
    """A copy with fields replaced, those of nested descriptions by a path with dots."""
    here: dict[str, Any] = {}
    below: dict[str, dict[str, Any]] = {}
    for path, value in changes.items():
        name, _, rest = path.partition(".")
        if rest:
            below.setdefault(name, {})[rest] = value
        else:
            here[name] = value
    for name, inside in below.items():
        here[name] = changed(here.get(name, getattr(description, name)), inside)
    made: T = dataclasses.replace(description, **here) if here else description  # type: ignore[type-var]
    return made


def command(
    app: typer.Typer,
    name: str,
    options: Sequence[Option],
    do: Callable[[Given], None],
    without: tuple[str, ...] | None = (),
    doc: str | None = None,
) -> None:
    """Add a command to a program.

    Args:
        app: the program.
        name: of the command.
        options: in the order in which the help lists them.
        do: does it; what it raises for bad input is said in a sentence.
        without: packages of the extra ``study`` that it does not use; None if it uses none.
        doc: the help; default the docstring of ``do``.
    """

    def call(context: typer.Context, **values: Any) -> None:
        with clean_errors():
            if without is not None:
                need_study(without)
            do(Given(context, options, values))

    first = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = [first, *(option.parameter() for option in options)]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    paragraphs = inspect.cleandoc(do.__doc__ or "" if doc is None else doc).split("\n\n")
    app.command(name, help=literal("\n\n".join(plain(" ".join(p.split())) for p in paragraphs)))(call)


def literal(text: str) -> str:
    r"""A text of which typer shows every bracket: with rich it takes ``[real]`` for a style, and drops it.

    As ``rich.markup.escape``, whose import costs each command 35 ms.

    >>> print(literal("mho[real], of [-1, 1]"))
    mho\[real], of [-1, 1]
    """
    from typer.core import HAS_RICH

    return _STYLE.sub(r"\\[", text) if HAS_RICH else text

"""Frozen, validated descriptions that travel through JSON and YAML.

A description is a frozen dataclass made with :func:`config`. It knows its ``kind`` (its stage and
class name, ``devices.PCM``), so that any subclass, also a user's own, survives the round trip
through JSON.

>>> from mho.devices import PCM
>>> from_dict(to_dict(PCM(g_max=20e-6))) == PCM(g_max=20e-6)
True
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import inspect
import json
import os
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import numpy as np
import torch
from pydantic import AfterValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as _pydantic_dataclass
from torch import Tensor
from typing_extensions import dataclass_transform

from mho.config.documents import DEEPEST, TOO_DEEP, yaml_text
from mho.config.documents import parse_json as parse_json
from mho.config.documents import read_plain as read_plain
from mho.config.writing import append_line as append_line
from mho.config.writing import write_whole as write_whole
from mho.errors import ConfigError

T = TypeVar("T")

FORMAT = 1  # version of the JSON layout written by `to_json`

# Numbers that hardware is described with. NaN and infinity are never allowed.
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]

MOST_SIEMENS = 1.0
"""No memory cell conducts more."""


def too_large(siemens: float) -> str | None:
    """What to give instead of more siemens than any cell conducts, in words; None for other numbers."""
    if siemens <= MOST_SIEMENS:
        return None
    return (
        f"no memory cell conducts more than {MOST_SIEMENS:g} S; give siemens: {siemens:g}e-6 for "
        f"{siemens:g} microsiemens"
    )


def _siemens(value: float) -> float:
    found = too_large(value)
    if found is not None:
        raise ValueError(found)
    return value


Siemens = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_siemens)]

_MOST = 60  # names that a message lists

_KINDS: dict[str, type] = {}


def later(*, default: T) -> T:
    """A field that a description gets after files of it were written: at its default no digest knows it.

    Chips and folders of before then belong to the description as it is now, which reads them as it did.

    Args:
        default: under which the description means what it meant without the field.
    """
    made: T = dataclasses.field(default=default, metadata=_LATER)
    return made


_LATER = {"later": True}


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(dataclasses.field, later))
def config(cls: type[T]) -> type[T]:
    """Turn a class into a frozen, keyword-only, validated description and register its kind.

    The class may define ``validate(self) -> None`` for checks across fields; it raises
    ``ValueError`` and the message reaches the user with the class's name in front. It may define
    ``complete(given) -> dict``, a static method that adds what follows from the fields that were given.
    """
    made = _pydantic_dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))(cls)
    original = made.__init__

    @functools.wraps(original)
    def __init__(self: Any, /, **values: Any) -> None:
        for name in values:
            if name.startswith("__"):  # pydantic's own name of self is among them
                raise ConfigError(unknown_key(name, field_names(made), made.__name__))
        values = {name: python_number(value) for name, value in values.items()}
        complete = getattr(self, "complete", None)
        if complete is not None:
            values = complete(values)
        try:
            original(self, **values)
        except ValidationError as error:
            raise ConfigError(_explain(made, error)) from None
        check = getattr(self, "validate", None)
        if check is not None:
            try:
                check()
            except ConfigError:
                raise
            except ValueError as error:
                raise ConfigError(f"{made.__name__}: {error}") from None

    made.__init__ = __init__  # type: ignore[method-assign, assignment]
    previous = _KINDS.get(kind_of(made))
    if previous is not None and previous.__module__ != made.__module__:
        raise ConfigError(
            f"two descriptions are of kind {kind_of(made)!r}: one in {previous.__module__}, one in "
            f"{made.__module__}; rename yours, JSON files name it by its kind"
        )
    _KINDS[kind_of(made)] = made
    return cast("type[T]", made)


def python_number(value: Any) -> Any:
    """A number of numpy, also in an array of no axes, as Python's own; anything else as it is.

    The numbers within a tuple, a list or a dict are looked at one by one.

    >>> import numpy as np
    >>> python_number(np.int64(8)), python_number(np.array(0.5)), python_number((np.True_, "text"))
    (8, 0.5, (True, 'text'))
    """
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        found = value.item()
        return float(found) if isinstance(found, np.floating) else found  # longdouble gives itself
    if isinstance(value, Tensor) and value.dtype == torch.bool and value.dim() == 0:
        return bool(value)  # which is no number, and must not pass for one
    if type(value) in (tuple, list):
        return type(value)(python_number(v) for v in value)
    if type(value) is dict:
        return {name: python_number(v) for name, v in value.items()}
    return value


def kind_of(cls: type) -> str:
    """The name of a description class in JSON: its stage (a folder of mho) and its class name."""
    for parent in cls.__mro__:
        parts = parent.__module__.split(".")
        if parts[0] == "mho":
            return ".".join((*parts[1:2], cls.__name__)) if len(parts) > 2 else cls.__name__
    return cls.__name__


def field_names(cls: type) -> list[str]:
    """Names of the fields of a description class."""
    return [f.name for f in dataclasses.fields(cls)]


def _explain(cls: type, error: ValidationError) -> str:
    lines = []
    for item in error.errors():
        name = ".".join(str(part) for part in item["loc"]) or "value"
        if item["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            lines.append(unknown_key(name, field_names(cls), cls.__name__))
        elif item["type"] == "missing":
            lines.append(f"{cls.__name__} needs {name} = ...")
        elif isinstance(item["input"], type) and item["input"] in _KINDS.values():
            lines.append(f"{cls.__name__}.{name} = {item['input']!r}: {_no_instance(item['input'])}")
        elif hasattr(item["input"], "belongs"):  # a value that knows where it is allowed
            lines.append(
                f"{cls.__name__}.{name} = {shortened(item['input'])}: {item['input'].belongs(cls, name)}"
            )
        elif "an instance of" in item["msg"]:
            wanted = item["msg"].rpartition(" ")[2]
            said = _instance_of(cls, wanted, item["input"])
            lines.append(f"{cls.__name__}.{name} = {shortened(item['input'])}: {said}")
        elif item["type"] == "value_error":  # a sentence of mho's own
            lines.append(f"{cls.__name__}.{name} = {shortened(item['input'])}: {item['ctx']['error']}")
        else:
            lines.append(f"{cls.__name__}.{name} = {shortened(item['input'])}: {item['msg'].lower()}")
    return "; ".join(lines)


def _no_instance(given: type) -> str:
    return f"this is a class; give an instance, {given.__name__}(...)"


def _instance_of(cls: type, wanted: str, given: Any) -> str:
    """What to give where a description of the class named ``wanted`` belongs, in ``cls``."""
    known = [
        kind for kind, c in sorted(_KINDS.items()) if wanted in (parent.__name__ for parent in c.__mro__)
    ]
    if isinstance(given, str) and (near := _nearest(given, known)):
        return f"this is a name; give the description itself, {near}(...)"
    if isinstance(given, dict) and "kind" in given:
        return "this is a description as a file has it; mho.config.from_dict(...) makes one of it"
    place = next((name for name, accepted in accepted(cls).items() if isinstance(given, accepted)), None)
    if place is not None:
        return f"this belongs to {place}; write {cls.__name__}({place}=...)"
    return f"give {'one of ' if len(known) > 1 else ''}{', '.join(f'{kind}(...)' for kind in known)}"


def _nearest(name: str, known: list[str]) -> str | None:
    """The kind that a name, however it is written, means; None for none."""
    plain = {kind.rpartition(".")[2].lower(): kind for kind in known}
    near = difflib.get_close_matches(name.rpartition(".")[2].strip("()").lower(), plain, n=1, cutoff=0.75)
    return plain[near[0]] if near else None


def accepted(cls: type) -> dict[str, tuple[type, ...]]:
    """The descriptions that each field of a description takes."""
    hints = typing.get_type_hints(cls)
    parts = {name: (hint, *typing.get_args(hint)) for name, hint in hints.items()}
    own = {
        name: tuple(p for p in some if isinstance(p, type) and not _any_class(p))
        for name, some in parts.items()
    }
    return {name: some for name, some in own.items() if any(kinds(c) for c in some)}


def _any_class(cls: type) -> bool:
    """Whether classes are no test of what it accepts: an interface, anything, nothing."""
    return cls in (object, type(None)) or getattr(cls, "_is_protocol", False)


def unknown_key(name: str, known: list[str], owner: str) -> str:
    """The sentence for a misspelt name, with the nearest known one."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    listed = sorted(known)[:_MOST] + ["..."] * (len(known) > _MOST)
    return f"{owner} has no {name!r}{hint} (it has: {', '.join(listed) or 'no fields'})"


def kinds(base: type | None = None) -> dict[str, type]:
    """All registered descriptions by kind, or those that are a ``base``."""
    return {k: c for k, c in sorted(_KINDS.items()) if base is None or issubclass(c, base)}


def to_dict(value: Any) -> Any:
    """A description as plain dicts, lists, numbers and strings, each level with its ``kind``."""
    return _plain(value, lambda field, held: True)


def _counts(field: dataclasses.Field[Any], held: Any) -> bool:
    """Whether a field is part of a digest."""
    return not (field.metadata.get("later") and held == field.default)


def _plain(value: Any, wanted: Callable[[dataclasses.Field[Any], Any], bool]) -> Any:
    """A description as plain values, with those of its fields that are wanted."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        held = {f: getattr(value, f.name) for f in dataclasses.fields(value)}
        kept = {f.name: _plain(v, wanted) for f, v in held.items() if wanted(f, v)}
        return {"kind": kind_of(type(value)), **kept}
    if isinstance(value, (list, tuple)):
        return [_plain(v, wanted) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _plain(v, wanted) for k, v in value.items()}
    return value + 0.0 if isinstance(value, float) else value  # -0.0 equals 0.0 and is written as that


def from_dict(value: Any) -> Any:
    """The description that :func:`to_dict` wrote.

    Raises:
        ConfigError: an unknown kind or key (with the nearest known one), a value out of range, a key that is
            no text, or lists and objects more than 100 levels deep.
    """
    return _made(value, 0)


def _made(value: Any, depth: int) -> Any:
    """A value at this depth, descriptions for what has a kind."""
    if depth > DEEPEST:
        raise ConfigError(TOO_DEEP)
    if isinstance(value, list):
        return tuple(_made(v, depth + 1) for v in value)
    if not isinstance(value, Mapping):
        return value
    for key in value:
        if not isinstance(key, str):
            raise ConfigError(f"the key {shortened(key)} is a {type(key).__name__}: keys are texts")
    if "kind" not in value:
        return {k: _made(v, depth + 1) for k, v in value.items()}
    cls = _described(value["kind"])
    return cls(**{k: _made(v, depth + 1) for k, v in value.items() if k != "kind"})


def _described(kind: Any) -> type:
    """The class of a kind."""
    if not isinstance(kind, str):
        raise ConfigError(f"kind = {shortened(kind)}: give the name of a description, such as 'devices.PCM'")
    kind = _kind_named(kind)
    if inspect.isabstract(_KINDS[kind]):
        under = [k for k in kinds(_KINDS[kind]) if k != kind and not inspect.isabstract(_KINDS[k])]
        raise ConfigError(
            f"kind = {kind!r}: this is what others have in common; give one of {', '.join(under)}"
        )
    return _KINDS[kind]


def _kind_named(name: str) -> str:
    """The kind of this name; names that Python has, ``ADC`` or ``mho.converters.ADC``, mean it too."""
    bare = name.removeprefix("mho.")
    found = [bare] if bare in _KINDS else [k for k in _KINDS if k.rpartition(".")[2] == bare]
    if len(found) > 1:
        raise ConfigError(f"kind = {name!r} may be any of {', '.join(sorted(found))}: write which one")
    if not found:
        raise ConfigError(
            unknown_key(name, list(_KINDS), "mho")
            + "; a description of your own must be imported before it is loaded"
        )
    return found[0]


def shortened(value: Any, most: int = 200) -> str:
    """A value as a message shows it: the beginning of its ``repr``."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


def to_json(value: Any) -> str:
    """A description as indented JSON, with the version of the layout."""
    return json.dumps({"format": FORMAT, **to_dict(value)}, indent=2)


def from_json(text: str) -> Any:
    """The description written by :func:`to_json`."""
    return _from_document(parse_json(text))


def _from_document(data: Any) -> Any:
    if not isinstance(data, dict) or "kind" not in data:
        raise ConfigError("a hardware description is an object with a 'kind'; this is none")
    version = data.pop("format", FORMAT)
    if isinstance(version, bool) or version != FORMAT:
        raise ConfigError(f"format = {version!r}: this mho reads format {FORMAT}; update mho")
    return from_dict(data)


def save(value: Any, path: str | os.PathLike[str]) -> None:
    """Write a description to ``.json``, ``.yaml`` or ``.yml``; the file is whole or not there."""
    path = Path(path)
    if path.suffix == ".json":
        text = to_json(value)
    elif path.suffix in (".yaml", ".yml"):
        text = yaml_text({"format": FORMAT, **to_dict(value)})
    else:
        raise ConfigError(f"path = {str(path)!r}: the name must end in .json, .yaml or .yml")
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def load(path: str | os.PathLike[str]) -> Any:
    """Read a description from ``.json``, ``.yaml`` or ``.yml``."""
    data = read_plain(path)
    try:
        return _from_document(data)
    except ConfigError as error:
        raise ConfigError(f"{os.fspath(path)}: {error}") from None


def digest(value: Any) -> int:
    """A 63-bit fingerprint of a description: equal descriptions, equal number, on any machine.

    A field that came :func:`later` counts where it is not at its default.
    """
    text = json.dumps(_plain(value, _counts), sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

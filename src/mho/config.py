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
import json
import os
import re
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import numpy as np
import torch
from pydantic import AfterValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as _pydantic_dataclass
from torch import Tensor
from typing_extensions import dataclass_transform

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


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(dataclasses.field,))
def config(cls: type[T]) -> type[T]:
    """Turn a class into a frozen, keyword-only, validated description and register its kind.

    The class may define ``validate(self) -> None`` for checks across fields; it raises
    ``ValueError`` and the message reaches the user with the class's name in front. It may define
    ``complete(given) -> dict``, a static method that adds what follows from the fields that were given.
    """
    made = _pydantic_dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))(cls)
    original = made.__init__

    @functools.wraps(original)
    def __init__(self: Any, **values: Any) -> None:
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

    made.__init__ = __init__  # type: ignore[method-assign]
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
        elif "an instance of" in item["msg"]:
            wanted = item["msg"].rpartition(" ")[2]
            lines.append(f"{cls.__name__}.{name} = {item['input']!r}: {_instance_of(wanted, item['input'])}")
        elif hasattr(item["input"], "belongs"):  # a value that knows where it is allowed
            lines.append(f"{cls.__name__}.{name} = {item['input']!r}: {item['input'].belongs(cls, name)}")
        elif item["type"] == "value_error":  # a sentence of mho's own
            lines.append(f"{cls.__name__}.{name} = {item['input']!r}: {item['ctx']['error']}")
        else:
            lines.append(f"{cls.__name__}.{name} = {item['input']!r}: {item['msg'].lower()}")
    return "; ".join(lines)


def _instance_of(wanted: str, given: Any) -> str:
    """What to give where a description of the class named ``wanted`` belongs."""
    if isinstance(given, type):
        return f"this is a class; give an instance, {given.__name__}(...)"
    known = [
        kind for kind, c in sorted(_KINDS.items()) if wanted in (parent.__name__ for parent in c.__mro__)
    ]
    return f"give {'one of ' if len(known) > 1 else ''}{', '.join(f'{kind}(...)' for kind in known)}"


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
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to_dict(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": kind_of(type(value)), **fields}
    if isinstance(value, (list, tuple)):
        return [to_dict(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): to_dict(v) for k, v in value.items()}
    return value + 0.0 if isinstance(value, float) else value  # -0.0 equals 0.0 and is written as that


def from_dict(value: Any) -> Any:
    """The description that :func:`to_dict` wrote.

    Raises:
        ConfigError: an unknown kind or key (with the nearest known one), or a value out of range.
    """
    if isinstance(value, list):
        return tuple(from_dict(v) for v in value)
    if not isinstance(value, Mapping):
        return value
    if "kind" not in value:
        return {k: from_dict(v) for k, v in value.items()}
    kind = value["kind"]
    if kind not in _KINDS:
        raise ConfigError(
            unknown_key(str(kind), list(_KINDS), "mho")
            + "; a description of your own must be imported before it is loaded"
        )
    return _KINDS[kind](**{k: from_dict(v) for k, v in value.items() if k != "kind"})


def to_json(value: Any) -> str:
    """A description as indented JSON, with the version of the layout."""
    return json.dumps({"format": FORMAT, **to_dict(value)}, indent=2)


def from_json(text: str) -> Any:
    """The description written by :func:`to_json`."""
    return _from_document(parse_json(text))


def parse_json(text: str) -> Any:
    """The plain dicts, lists, numbers and strings of a JSON text; all JSON that mho reads comes through here.

    Raises:
        ConfigError: it is no JSON, or an object has a key twice (JSON itself would keep the last value).

    >>> parse_json('{"rows": 8}')
    {'rows': 8}
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            raise ConfigError(_twice(text))
        return made

    try:
        return json.loads(text, object_pairs_hook=unique)  # noqa: TID251
    except json.JSONDecodeError as error:
        raise ConfigError(f"not JSON: {error}") from None


_TOKEN = re.compile(
    r'("(?:[^"\\]|\\.)*")(\s*:)?|[{}]'
)  # a string, with a colon if it is a key; an object's ends


def _twice(text: str) -> str:
    """The sentence about the first key that an object of this JSON has a second time."""
    objects: list[dict[str, int]] = []  # line of each key of the objects around a place
    for token in _TOKEN.finditer(text):
        if token[0] == "{":
            objects.append({})
        elif token[0] == "}":
            objects.pop()
        elif token[2] is not None:
            key: str = json.loads(token[1])  # noqa: TID251
            line = text.count("\n", 0, token.start()) + 1
            if key in objects[-1]:
                path = ".".join([*(list(around)[-1] for around in objects[:-1]), key])
                return _twice_sentence(path, line, objects[-1][key])
            objects[-1][key] = line
    raise AssertionError("no key is there twice")


def _twice_sentence(key: str, line: int, first: int) -> str:
    where = "the same line" if line == first else f"line {first}"
    return f"line {line}: {key!r} is there twice, the first time in {where}; remove one of them"


def _from_document(data: Any) -> Any:
    if not isinstance(data, dict) or "kind" not in data:
        raise ConfigError("a hardware description is an object with a 'kind'; this is none")
    version = data.pop("format", FORMAT)
    if version != FORMAT:
        raise ConfigError(f"format = {version!r}: this mho reads format {FORMAT}; update mho")
    return from_dict(data)


def save(value: Any, path: str | os.PathLike[str]) -> None:
    """Write a description to ``.json``, ``.yaml`` or ``.yml``; the file is whole or not there."""
    path = Path(path)
    if path.suffix == ".json":
        text = to_json(value)
    elif path.suffix in (".yaml", ".yml"):
        import yaml

        text = yaml.safe_dump({"format": FORMAT, **to_dict(value)}, sort_keys=False)
    else:
        raise ConfigError(f"path = {str(path)!r}: the name must end in .json, .yaml or .yml")
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def load(path: str | os.PathLike[str]) -> Any:
    """Read a description from ``.json``, ``.yaml`` or ``.yml``."""
    return _from_document(read_plain(path))


def read_plain(path: str | os.PathLike[str]) -> Any:
    """The plain dicts, lists, numbers and strings of a ``.json``, ``.yaml`` or ``.yml`` file."""
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    if path.suffix not in (".json", ".yaml", ".yml"):
        raise ConfigError(f"path = {str(path)!r}: the name must end in .json, .yaml or .yml")
    try:
        return parse_json(text) if path.suffix == ".json" else _from_yaml(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _from_yaml(text: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML 1.1 takes 25e-6, without a dot, for text; here it is a number, as in YAML 1.2.

        A mapping has no key twice; keys that a merge (``<<``) brings give way, as YAML says.
        """

        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            lines: dict[str, int] = {}
            for name, _ in node.value:
                merge = name.tag == "tag:yaml.org,2002:merge"
                key = "<<" if merge else str(self.construct_object(name, deep=True))
                line = name.start_mark.line + 1
                if key in lines:
                    raise ConfigError(_twice_sentence(key, line, lines[key]))
                lines[key] = line
            return node

    number = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    try:
        return yaml.load(text, Loader=Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"not YAML: {error}") from None


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Call ``write`` on a temporary file beside ``path``, then rename: never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{path.suffix}")
    try:
        write(temporary)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp's files are the owner's alone
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def digest(value: Any) -> int:
    """A 63-bit fingerprint of a description: equal descriptions, equal number, on any machine."""
    text = json.dumps(to_dict(value), sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

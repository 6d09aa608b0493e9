"""A tree of parameters that can be edited in place, with known names and checked types."""

from __future__ import annotations

import copy
import json
import math
import os
from collections.abc import Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from pprint import pformat
from typing import IO, Any, ClassVar

from typing_extensions import Self

from mho.config import parse_json, unknown_key
from mho.config.documents import MOST_JSON, named
from mho.errors import ConfigError


class Parameters:
    """A node: leaves and further nodes by name. Lists are kept as tuples: assign a new one to change them.

    Class attributes:
        FIELDS: default of each leaf, and the class of each node, by name.
        OPTIONAL: names of the leaves that may be None.
        RETIRED: names of older versions: the one value that still holds, and what to do instead of others.
    """

    FIELDS: ClassVar[Mapping[str, Any]] = {}
    OPTIONAL: ClassVar[frozenset[str]] = frozenset()
    RETIRED: ClassVar[Mapping[str, tuple[Any, str]]] = {}

    _last: ClassVar[object] = object()

    @staticmethod
    def last_edit() -> object:
        """A token that is another one after each edit of any parameters."""
        return Parameters._last

    def __init__(self, **values: Any) -> None:
        fields = {name: _initial(default) for name, default in self.FIELDS.items()}
        self.__dict__["_fields"] = fields
        for name, value in values.items():
            setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__.get("_fields", {})
        if name in fields:
            return fields[name]
        if name in self.RETIRED:
            return self.RETIRED[name][0]
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(unknown_key(name, list(fields), type(self).__name__))

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self.__dict__["_fields"]
        if name in self.RETIRED:
            holds, why = self.RETIRED[name]
            if _plain(value) is not holds:
                raise ConfigError(f"{type(self).__name__}.{name} = {value!r}: {why}")
            return
        if name not in fields:
            raise AttributeError(unknown_key(name, list(fields), type(self).__name__))
        here = fields[name]
        Parameters._last = object()
        if isinstance(here, Parameters):
            fields[name] = _node(name, value, type(here))
        else:
            fields[name] = self._leaf(name, value)

    def _leaf(self, name: str, value: Any) -> Any:
        """A value of a leaf, of the type of its default."""
        default = self.default(name)
        what, value = f"{type(self).__name__}.{name} = {value!r}", _plain(value)
        if value is None and name in self.OPTIONAL:
            return None
        if isinstance(default, IntEnum):
            return _member(what, value, type(default))
        if isinstance(default, list):
            if value is None:  # so CrossSim's files have it
                return ()
            if not hasattr(value, "__iter__") or isinstance(value, (str, Mapping)):
                raise TypeError(f"{what}: give a list")
            return _frozen(value.tolist() if hasattr(value, "tolist") else list(value))
        kind = type(default)
        if isinstance(value, bool) is not (kind is bool) or (
            not isinstance(value, kind) and not (kind is float and isinstance(value, int))
        ):
            given = "a number" if kind is float else f"a value of type {kind.__name__}"
            raise TypeError(f"{what}: give {given}{', or None' if name in self.OPTIONAL else ''}")
        if kind is float and not math.isfinite(value):
            raise ValueError(f"{what}: give a finite number")
        return value

    def default(self, name: str) -> Any:
        """The default of a leaf."""
        return self.FIELDS[name]

    def flat(self, prefix: str = "") -> dict[str, Any]:
        """All leaves by their dotted path; what two names share stands under the first."""
        return dict(self._leaves(prefix))

    def _leaves(self, prefix: str) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for name, value in self._fields.items():
            if not isinstance(value, Parameters):
                yield prefix + name, value
            elif id(value) not in seen:
                seen.add(id(value))
                yield from value._leaves(f"{prefix}{name}.")

    def as_dict(self) -> dict[str, Any]:
        """Nested plain dicts."""
        return {
            name: value.as_dict() if isinstance(value, Parameters) else _thawed(value)
            for name, value in self._fields.items()
        }

    def update(self, update: Mapping[str, Any]) -> None:
        """Set several values; names may be dotted paths.

        >>> from mho.compat.crosssim import CrossSimParameters
        >>> params = CrossSimParameters()
        >>> params.update({"xbar.device.cell_bits": 4})
        >>> params.xbar.device.cell_bits
        4
        """
        for path, value in update.items():
            node: Any = self
            *above, name = path.split(".")
            for step in above:
                node = getattr(node, step)
            setattr(node, name, value)

    def copy(self) -> Self:
        """A deep copy."""
        return copy.deepcopy(self)

    def to_json(self, filepath: str | os.PathLike[str], **kwargs: Any) -> None:
        """Write to a file; ``kwargs`` go to ``open``."""
        with Path(filepath).open("w", **kwargs) as file:
            json.dump(self.as_dict(), file, indent=4)

    @classmethod
    def from_json(cls, filepath: str | os.PathLike[str], **kwargs: Any) -> Self:
        """Read what :meth:`to_json` wrote, here or in CrossSim; ``kwargs`` go to ``open``."""
        if not Path(filepath).is_file():
            raise FileNotFoundError(
                f"{os.fspath(filepath)!r}: no such file. A configuration with a name, such as ISAAC, is a "
                "file of CrossSim: give the path of simulator/configs/ISAAC.json"
            )
        with Path(filepath).open(**kwargs) as file:
            data = _read(os.fspath(filepath), file)
        if not isinstance(data, dict):
            raise ConfigError(f"{filepath}: {cls.__name__} are an object, this is a {type(data).__name__}")
        try:
            return cls(**data)
        except (ValueError, TypeError, AttributeError) as error:
            raise type(error)(f"{os.fspath(filepath)}: {error}") from None

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.flat() == self.flat()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}:\n{pformat(self.as_dict())}"

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._fields]


class Paired(Parameters):
    """Of matrix-vector (``mvm``) and vector-matrix products (``vmm``); one object if they match."""

    def __init__(self, **values: Any) -> None:
        super().__init__()
        self._fields["vmm"] = self.mvm
        both = [values.get(name) for name in ("mvm", "vmm")]
        for name, value in values.items():
            setattr(self, name, value)
        kind = type(self.mvm)
        if self._match and None not in both and _node("mvm", both[0], kind) != _node("vmm", both[1], kind):
            raise ConfigError(f"{type(self).__name__}: _match = True, and mvm and vmm differ")

    @property
    def match(self) -> bool:
        """Whether both are one object."""
        return bool(self._match)

    def __setattr__(self, name: str, value: Any) -> None:
        name = "_match" if name == "match" else name
        super().__setattr__(name, value)
        if name == "_match":
            self._fields["vmm"] = self.mvm if value else self.mvm.copy()
        elif self._match:
            self._fields["mvm"] = self._fields["vmm"] = self._fields[name]


def _read(name: str, file: IO[Any]) -> Any:
    """The plain values of an open file; errors begin with its name."""
    try:
        return named(name, parse_json, file.read(MOST_JSON + 1))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not a text in {error.encoding.upper()} ({error.reason})") from None


def _initial(default: Any) -> Any:
    if isinstance(default, type):
        return default()
    return () if isinstance(default, list) else default


def _node(name: str, value: Any, kind: type[Parameters]) -> Parameters:
    if value is None:
        return kind()
    if isinstance(value, Mapping):
        return kind(**value)
    if not isinstance(value, kind):
        raise TypeError(f"{name} = {value!r}: give {kind.__name__} or a dict of them")
    return value


def _plain(value: Any) -> Any:
    """A number of NumPy or torch as one of Python."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value


def _member(what: str, value: Any, kind: type[IntEnum]) -> IntEnum:
    known = list(kind.__members__)
    if isinstance(value, str):
        if value not in known:
            raise ValueError(f"{what}: " + unknown_key(value, known, kind.__name__))
        return kind[value]
    if value not in list(kind):
        raise ValueError(f"{what}: give one of {', '.join(known)}")
    return kind(value)


def _thawed(value: Any) -> Any:
    return [_thawed(v) for v in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, (list, tuple)) else value

"""Options of a configuration, read so that none is left out in silence."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from enum import Enum
from typing import Any

from mho.errors import ConfigError


class HeldDifferently(UserWarning):
    """An option that mho holds with another meaning than the program it was written for."""


def name_of(choice: Any) -> str:
    """The name of a choice, of whichever enumeration: ``ABS_MAX``."""
    return str(choice.name if isinstance(choice, Enum) else choice)


class Reader:
    """One table of a configuration, such as ``forward``.

    Args:
        table: the object with the options as attributes; None takes the defaults.
        path: of it, for messages.
        defaults: the same table with its defaults.
        ignored: paths of options that may be left out.
    """

    def __init__(self, table: Any, path: str, defaults: Any, ignored: Collection[str]) -> None:
        self.table, self.path, self.defaults, self.ignored = table, path, defaults, ignored
        self.seen: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        """An option; its default where the table does not have it."""
        self.seen.add(name)
        default = getattr(self.defaults, name)
        return getattr(self.table, name, default)

    def changed(self, name: str) -> bool:
        """Whether an option differs from its default."""
        given, default = getattr(self.table, name, None), getattr(self.defaults, name)
        if given is None:
            return False
        return name_of(given) != name_of(default) if isinstance(default, Enum) else bool(given != default)

    def refused(self, name: str, instead: str) -> ConfigError:
        """The error for an option that has no counterpart."""
        value = self[name]
        shown = name_of(value) if isinstance(value, Enum) else repr(value)
        where = f"{self.path}.{name}"
        return ConfigError(f"{where} = {shown}: {instead}; or leave it out with ignore=[{where!r}]")

    def is_ignored(self, name: str) -> bool:
        """Whether the user said that an option may be left out."""
        return f"{self.path}.{name}" in self.ignored

    def refuse(self, **sentences: str) -> None:
        """Raise ``ConfigError`` for the first of these options that was changed and not left out."""
        for name, instead in sentences.items():
            self.seen.add(name)
            if self.changed(name) and not self.is_ignored(name):
                raise self.refused(name, instead)

    def without_effect(self, *names: str) -> None:
        """Options that say nothing of a chip, whatever their value."""
        self.seen.update(names)

    def finish(self) -> None:
        """Raise ``ConfigError`` for an option that was changed and that nobody asked for."""
        for name in self._names():
            if name in self.seen or self.is_ignored(name):
                continue
            if not hasattr(self.defaults, name):
                raise ConfigError(
                    f"{self.path}.{name}: mho does not know this option; leave it out with "
                    f"ignore=['{self.path}.{name}']"
                )
            if self.changed(name):
                raise self.refused(name, "it has no counterpart in mho")

    def _names(self) -> list[str]:
        if dataclasses.is_dataclass(self.table):
            return [field.name for field in dataclasses.fields(self.table)]
        return [name for name in getattr(self.table, "__dict__", {}) if not name.startswith("_")]

"""Texts from outside, JSON and YAML, as plain values: how large, how deep and of which words they may be.

All JSON and YAML that mho reads comes through here. A text is refused with its file and its line where it is
too large, too deep, stands for too many values by its aliases, or says one thing in YAML 1.1 and another one
in YAML 1.2.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mho.errors import ConfigError

MEGABYTE = 2**20
MOST_JSON, MOST_YAML = 64 * MEGABYTE, 4 * MEGABYTE  # a second of reading each
DEEPEST = 100  # levels; descriptions of mho have ten
MOST_VALUES = 1_000_000  # of a YAML text, what aliases stand for counted each time


def read_plain(path: str | os.PathLike[str]) -> Any:
    """The plain dicts, lists, numbers and strings of a ``.json``, ``.yaml`` or ``.yml`` file.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: another name, a text that is no JSON or YAML, one that is too large or too deep, a key
            twice, a key that is no text, or a word of YAML that its versions read differently.
    """
    path = Path(path)
    if path.suffix not in (".json", ".yaml", ".yml"):
        raise ConfigError(f"path = {str(path)!r}: the name must end in .json, .yaml or .yml")
    read = parse_json if path.suffix == ".json" else parse_yaml
    text = read_text(path, most=MOST_JSON if path.suffix == ".json" else MOST_YAML)
    return named(path, read, text)


def read_text(path: str | os.PathLike[str], most: int | None = None) -> str:
    """The text of a file in UTF-8.

    Args:
        path: the file.
        most: bytes; None for any size.

    Raises:
        OSError: it cannot be read; the message begins with its name.
        ConfigError: it is too large, or not UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            raw = file.read(-1 if most is None else most + 1)
    except OSError as error:
        raise type(error)(in_words(error)) from None
    if most is not None and len(raw) > most:
        raise ConfigError(f"{os.fspath(path)}: {_too_large(most)}")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{os.fspath(path)}: line {line}: not a text in UTF-8 (byte 0x{raw[error.start]:02x}); "
            "save it as UTF-8"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def in_words(error: OSError) -> str:
    """Why a file cannot be read or written, without the number of the error; with its name if it knows it."""
    if error.strerror is None:
        return str(error)
    why = error.strerror if isinstance(error, FileNotFoundError) else error.strerror.lower()
    return why if error.filename is None else f"{os.fspath(error.filename)}: {why}"


def named(path: str | os.PathLike[str], read: Callable[[str], Any], text: str) -> Any:
    """What ``read`` makes of a file's text; its errors begin with the name of the file."""
    try:
        return read(text)
    except ConfigError as error:
        raise ConfigError(f"{os.fspath(path)}: {error}") from None


def _too_large(most: int) -> str:
    return (
        f"larger than {most // MEGABYTE} MB, which no description or record of mho is; is it the right file?"
    )


TOO_DEEP = f"lists and objects lie in each other more than {DEEPEST} levels deep; no description of mho does"


# --- JSON ----------------------------------------------------------------------------------------


def parse_json(text: str) -> Any:
    """The plain dicts, lists, numbers and strings of a JSON text; all JSON that mho reads comes through here.

    Raises:
        ConfigError: it is no JSON, is larger than 64 MB or deeper than 100 levels, or an object has a key
            twice (JSON itself would keep the last value).

    >>> parse_json('{"rows": 8}')
    {'rows': 8}
    """
    if len(text) > MOST_JSON:
        raise ConfigError(_too_large(MOST_JSON))

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            raise ConfigError(_twice(text))
        return made

    try:
        value = json.loads(text, object_pairs_hook=unique)  # noqa: TID251
    except RecursionError:
        raise ConfigError(TOO_DEEP) from None
    except ConfigError:
        raise
    except ValueError as error:  # JSONDecodeError, and numbers with thousands of digits
        raise ConfigError(f"not JSON: {error}") from None
    if _depth_beyond(value):
        raise ConfigError(TOO_DEEP)
    return value


def _depth_beyond(value: Any) -> bool:
    """Whether a value is deeper than what is allowed."""
    level = [value]
    for _ in range(DEEPEST + 1):
        inside = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, (dict, list))]
        level = [v for values in inside for v in values if isinstance(v, (dict, list))]
        if not inside:
            return False
    return True


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


# --- YAML ----------------------------------------------------------------------------------------

_TAG = "tag:yaml.org,2002:"
_TAGS = {_TAG + name for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge", "value")}
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_FIRST = list("-+.0123456789")  # characters that numbers begin with
_WORDS = re.compile(r"(yes|no|on|off)$", re.IGNORECASE)
_OLD = re.compile(
    r"[-+]?([0-9][0-9_]*(:[0-9_]+)+(\.[0-9_]*)?"  # 1:30
    r"|0[0-9_]+|0b[01_]+|0x[0-9a-fA-F_]*_[0-9a-fA-F_]*"  # 0100
    r"|(?=[0-9.]*_)[0-9.][0-9_]*\.?[0-9_]*([eE][-+]?[0-9]+)?)$"  # 1_000
)


def parse_yaml(text: str) -> Any:
    """The plain dicts, lists, numbers and strings of a YAML text; all YAML that mho reads comes through here.

    Numbers are those of YAML 1.2: ``25e-6`` is one. What YAML 1.1 reads otherwise (``0100``, ``1_000``,
    ``1:30``, ``yes``) is refused: a reader may mean either. Keys that a merge (``<<``) brings give way.

    Raises:
        ConfigError: it is no YAML, is larger than 4 MB, deeper than 100 levels or by its aliases of more
            than a million values, or has a key twice, a key that is no text, or a date.

    >>> parse_yaml("{rows: 8, g_max: 25e-6}")
    {'rows': 8, 'g_max': 2.5e-05}
    """
    import yaml

    if len(text) > MOST_YAML:
        raise ConfigError(_too_large(MOST_YAML))
    try:
        return yaml.load(text, Loader=_loader())
    except ConfigError:
        raise
    except (yaml.YAMLError, ValueError, LookupError) as error:
        raise ConfigError(f"not YAML: {error}") from None


def _loader() -> Any:
    """A loader of PyYAML that refuses what is said above; the package is imported where YAML is read."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Counts levels and values while it composes; nothing is made of a text that is refused."""

        def __init__(self, text: str) -> None:
            super().__init__(text)
            self.depth = 0
            self.values: dict[int, int] = {}  # of each list and object, with what its aliases stand for

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.depth += 1
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            if self.depth > DEEPEST + 1:
                raise ConfigError(f"line {line}: {TOO_DEEP}")
            alias = self.check_event(yaml.AliasEvent)
            node: Any = super().compose_node(parent, index)
            self.depth -= 1
            if node.tag not in _TAGS:
                raise ConfigError(f"line {line}: {_shown(node)}: {_other(node.tag)}")
            if node.id != "scalar" and not alias:
                self.values[id(node)] = _counted(node, self.values, line)
            elif node.id != "scalar" and id(node) not in self.values:
                raise ConfigError(f"line {line}: an alias stands within what it names; write it out")
            return node

        def compose_scalar_node(self, anchor: Any) -> Any:
            plain = self.peek_event().implicit[0]  # type: ignore[no-untyped-call]
            node = super().compose_scalar_node(anchor)
            if plain:
                _refuse_two_meanings(node.value, node.start_mark.line + 1)
            return node

        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            _check_keys([name for name, _ in node.value], self)
            return node

    Loader.add_implicit_resolver(_TAG + "float", _NUMBER, _FIRST)
    return Loader


def _counted(node: Any, known: dict[int, int], line: int) -> int:
    """The values in a list or an object, those of an alias each time that it stands there."""
    inside = node.value if node.id == "sequence" else [v for pair in node.value for v in pair]
    count = 1 + sum(known.get(id(v), 1) for v in inside)
    if count > MOST_VALUES:
        raise ConfigError(
            f"line {line}: with what its aliases stand for, this has more than {MOST_VALUES:,} values; "
            "write out what you mean, without aliases"
        )
    return count


def _check_keys(names: list[Any], loader: Any) -> None:
    """Raise ``ConfigError`` for a key that an object has twice, and for one that is no text."""
    lines: dict[str, int] = {}
    for name in names:
        key = "<<" if name.tag == _TAG + "merge" else str(loader.construct_object(name, deep=True))
        line = name.start_mark.line + 1
        if key in lines:
            raise ConfigError(_twice_sentence(key, line, lines[key]))
        lines[key] = line
    for name in names:
        if name.tag not in (_TAG + "str", _TAG + "merge", _TAG + "value"):
            line, key = name.start_mark.line + 1, _shown(name)
            raise ConfigError(f"line {line}: the key {key} is no text; put it into quotes, '{key}'")


def _shown(node: Any) -> str:
    return {"sequence": "[...]", "mapping": "{...}"}.get(node.id) or str(node.value)[:80]


def yaml_text(value: Any) -> str:
    """Plain values as a YAML text that :func:`parse_yaml` reads back as they are."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Knows the numbers and the words of the loader."""

    Dumper.add_implicit_resolver(_TAG + "float", _NUMBER, _FIRST)
    Dumper.add_implicit_resolver("refused", _OLD, _FIRST)
    text: str = yaml.dump(value, Dumper=Dumper, sort_keys=False)
    return text


def _other(tag: str) -> str:
    """Why a value of this tag is refused."""
    kind = tag.removeprefix(_TAG)
    what = (
        "a date or a time" if kind == "timestamp" else f"tagged !!{kind}" if kind != tag else f"tagged {tag}"
    )
    return f"{what}; descriptions hold numbers, texts, lists and objects: put a text into quotes"


def _refuse_two_meanings(word: str, line: int) -> None:
    """Raise ``ConfigError`` for a plain word that YAML 1.1 and 1.2 read differently."""
    if _WORDS.match(word):
        meant = "true" if word.lower() in ("yes", "on") else "false"
        told = f"write {meant}, or '{word}' in quotes for the word"
    elif _OLD.match(word):
        told = f"write the number in plain digits, or '{word}' in quotes for a text"
    else:
        return
    raise ConfigError(f"line {line}: {word} is one thing in YAML 1.1 and another one in YAML 1.2; {told}")

"""Files that mho writes and reads again, with a checksum: one flipped bit is named, never computed with.

Two kinds of files hold all that is read again. A JSON document, and each line of a file of records, has a
``check``: a digest of all its other fields (:func:`sealed`). A file of tensors is a zip archive with a
checksum for each of its parts, which ``torch.load`` does not compare; :func:`load_tensors` does, whoever
wrote the file.

Whoever changes a JSON document on purpose drops its ``check``. Documents of before, without one, are read.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mho.config import digest, parse_json, write_whole
from mho.config.documents import MOST_JSON, read_text
from mho.errors import ConfigError

CHECK = "check"
NO_CHECK = "it has no checksum"


class DamagedFileError(ValueError):
    """A stored file cannot be read, is not as it was written, or holds something else."""


# --- JSON ----------------------------------------------------------------------------------------


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON document with a checksum of all the rest, as it is read again.

    Args:
        document: plain values by name, without a ``check``.

    Example:
        >>> kept = sealed({"chip": 3, "accuracy": 0.5})
        >>> broken(kept), broken({**kept, "accuracy": 0.75})
        (None, 'its checksum is not that of its content')
    """
    plain = parse_json(json.dumps(document))
    return {**plain, CHECK: digest(plain)}


def broken(document: Mapping[str, Any]) -> str | None:
    """What is wrong with the checksum of a document, in words; None if it fits."""
    if CHECK not in document:
        return NO_CHECK
    rest = {name: value for name, value in document.items() if name != CHECK}
    return None if document[CHECK] == digest(rest) else "its checksum is not that of its content"


def read_sealed(path: Path, remedy: str) -> dict[str, Any]:
    """The document of a JSON file without its checksum, which is compared if there is one.

    Args:
        path: the file.
        remedy: what to do about a damaged file.

    Raises:
        DamagedFileError: it is no JSON object, or not as it was written.
        OSError: it is not there, or may not be read.
    """
    try:
        document = parse_json(read_text(path, most=MOST_JSON))
    except ConfigError as error:
        reason = str(error).removeprefix(f"{os.fspath(path)}: ")
        raise DamagedFileError(f"{path}: damaged ({reason}); {remedy}") from None
    wrong = broken(document) if isinstance(document, dict) else "it is no object"
    if wrong not in (None, NO_CHECK):
        raise DamagedFileError(f"{path}: damaged ({wrong}); {remedy}")
    document.pop(CHECK, None)
    found: dict[str, Any] = document
    return found


def checksum_of(content: bytes) -> str:
    """SHA-256 of a file, such as a table that a document vouches for."""
    return hashlib.sha256(content).hexdigest()


# --- tensors -------------------------------------------------------------------------------------


def save_tensors(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write tensors and plain values, whole or not at all; ``torch.load(weights_only=True)`` reads them.

    Args:
        path: the file, ``chip.pt``.
        content: such as a ``state_dict``.

    Raises:
        OSError: it cannot be written; the message begins with ``path``.
    """
    kept = content if isinstance(content, dict) else dict(content)  # a state_dict knows its versions
    write_whole(Path(path), lambda temporary: torch.save(kept, temporary))


def load_tensors(
    path: str | os.PathLike[str],
    wanted: Mapping[str, type] | None = None,
    remedy: str = "load a copy that is whole, or make it anew",
) -> dict[str, Any]:
    """The content of a file that ``torch.save`` or :func:`save_tensors` wrote, on the CPU.

    Args:
        path: the file. Its checksums are compared first, since torch does not: a flipped bit would
            otherwise be another network, or another chip.
        wanted: names that it must hold, with the type of each.
        remedy: what to do about a damaged file.

    Raises:
        DamagedFileError: it is not whole, not of tensors and plain values, or lacks a name. A tensor that is
            damaged is named.
        OSError: it is not there, or may not be read.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_tensors(f"{folder}/layer.pt", torch.nn.Linear(3, 2).state_dict())
        ...     sorted(load_tensors(f"{folder}/layer.pt"))
        ['bias', 'weight']
    """
    return _loaded(Path(path), wanted or {}, remedy, _compare)


def load_published(path: str | os.PathLike[str], wanted: Mapping[str, type] | None = None) -> dict[str, Any]:
    """Weights that somebody else published, as :func:`load_tensors` reads them.

    A file in the form that torch wrote before 1.6, which is no zip archive and has no checksums, is read too:
    a flipped bit in it is not noticed here.

    Args:
        path: the file.
        wanted: names that it must hold, with the type of each.

    Raises:
        DamagedFileError: it is not whole, not of tensors and plain values, or lacks a name.
        OSError: it is not there, or may not be read.
    """

    def compare(file: Any) -> None:
        if zipfile.is_zipfile(file):
            _compare(file)

    return _loaded(Path(path), wanted or {}, "install the package that it came with anew", compare)


def _loaded(
    path: Path, wanted: Mapping[str, type], remedy: str, compare: Callable[[Any], None]
) -> dict[str, Any]:
    with path.open("rb") as file:
        try:
            compare(file)
            content = _content(file)
            _check(content, wanted)
        except Exception as error:  # a damaged pickle may raise anything
            reason = (str(error) or type(error).__name__).partition("\n")[0][:120]
            raise DamagedFileError(f"{path}: damaged or not of this program ({reason}); {remedy}") from None
    loaded: dict[str, Any] = content
    return loaded


def _content(file: Any) -> Any:
    file.seek(0)
    return torch.load(file, weights_only=True, map_location="cpu")


def _compare(file: Any) -> None:
    """Raise ``ValueError`` for a part whose checksum does not fit."""
    with zipfile.ZipFile(file) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("its tensors are packed, which torch never does")
        part = archive.testzip()
    if part is not None:
        raise ValueError(f"the checksum of {_tensor_in(file, part) or part} does not fit")


def _tensor_in(file: Any, part: str) -> str | None:
    """Which tensor a part of the archive holds; None if that cannot be told.

    torch numbers the storages, ``archive/data/0`` and so on, as it comes to them.
    """
    folder, _, number = part.rpartition("/")
    if not folder.endswith("/data") or not number.isdecimal():
        return None
    names: dict[int, str] = {}
    try:
        for name, tensor in _named(_content(file)):
            names.setdefault(tensor.untyped_storage()._cdata, name)
        return list(names.values())[int(number)]
    except Exception:  # it is damaged
        return None


def _named(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """All tensors of a content with their names, in the order in which they were written."""
    if isinstance(value, Tensor):
        yield name, value
    inside = value.items() if isinstance(value, Mapping) else enumerate(value if _is_row(value) else ())
    for key, part in inside:
        yield from _named(part, f"{name}.{key}" if name else str(key))


def _is_row(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _check(content: Any, wanted: Mapping[str, type]) -> None:
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}")
    for name, kind in wanted.items():
        if not isinstance(content.get(name), kind):
            raise ValueError(f"it has no {name!r} of type {kind.__name__}")

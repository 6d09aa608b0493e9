"""Tensors by name and one JSON document, in a safetensors file or in several with an index.

The document is the entry ``mho`` of the metadata. It has a checksum of itself (:mod:`mho.config.sealed`) and,
as ``checksums``, the SHA-256 of the bytes of each tensor. Of several files none has the document: it lies in
the index, ``NAME.safetensors.index.json``, beside the map from tensors to files that other programs use.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mho.config import parse_json, write_whole
from mho.config.documents import MOST_JSON, read_text
from mho.config.sealed import DamagedFileError, broken, sealed
from mho.errors import ConfigError

SUFFIX = ".safetensors"
ENTRY = "mho"
REMEDY = "copy it again from where it is whole, or save the chip again"

Tensors = Mapping[str, Tensor]


def write(path: Path, document: Mapping[str, Any], tensors: Tensors, most: int) -> None:
    """Write whole or not at all; what lay there before is gone once the new one is whole.

    Args:
        path: the file, ``chip.safetensors``.
        document: plain values, without ``checksums`` and ``check``.
        tensors: by name.
        most: bytes of one file; beyond, there are several and an index.
    """
    plain = {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
    kept = sealed({**document, "checksums": {name: _checksum(value) for name, value in plain.items()}})
    before = _belonging(path)
    if sum(value.nbytes for value in plain.values()) <= most:
        _write_part(path, plain, {ENTRY: json.dumps(kept)})
        left = [_index(path), *before]
    else:
        parts = _written_parts(path, plain, kept["check"], most)
        _write_index(path, kept, parts)
        left = [path, *(part for part in before if part.name not in parts)]
    for part in left:
        part.unlink(missing_ok=True)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The document and the tensors of what :func:`write` wrote, all checksums compared.

    Args:
        path: the file, whether it is whole or there are parts and an index.

    Raises:
        DamagedFileError: it is not as it was written, or no such file.
        OSError: it is not there, or may not be read.
    """
    try:
        document, parts = _of_index(path) if _index(path).exists() else _of_one(path)
        tensors = {name: value for part in parts for name, value in _tensors(path.with_name(part))}
        _compare(document, tensors)
    except OSError:
        raise
    except Exception as error:  # a damaged header may raise anything
        reason = (str(error) or type(error).__name__).partition("\n")[0][:200]
        raise DamagedFileError(f"{path}: damaged, or no chip file ({reason}); {REMEDY}") from None
    return document, tensors


# --- one file ------------------------------------------------------------------------------------


def _write_part(path: Path, tensors: Tensors, metadata: dict[str, str]) -> None:
    from safetensors.torch import save_file  # not needed to import mho

    own = {name: value.clone() for name, value in tensors.items()}  # none shares its memory with another
    write_whole(path, lambda temporary: save_file(own, temporary, metadata))


def _tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    from safetensors import safe_open

    path.stat()  # an OSError that says which file is missing
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            yield name, file.get_tensor(name)


def _of_one(path: Path) -> tuple[dict[str, Any], list[str]]:
    from safetensors import safe_open

    path.stat()
    with safe_open(path, framework="pt") as file:
        held = (file.metadata() or {}).get(ENTRY)
    if held is None:
        raise ValueError(f"its metadata has no entry {ENTRY!r}")
    return _sound(parse_json(held)), [path.name]


def _checksum(value: Tensor) -> str:
    content: Any = value.reshape(-1).view(torch.uint8).numpy()  # read in place
    return hashlib.sha256(content).hexdigest()


def _compare(document: Mapping[str, Any], tensors: Tensors) -> None:
    """Raise ``ValueError`` for a tensor that is missing, not known, or not as it was written."""
    wanted = document.get("checksums")
    if not isinstance(wanted, dict) or set(wanted) != set(tensors):
        raise ValueError("its tensors are not those that its document names")
    for name, value in tensors.items():
        if _checksum(value) != wanted[name]:
            raise ValueError(f"the checksum of {name} does not fit")


def _sound(document: Any) -> dict[str, Any]:
    """A document whose own checksum fits; ``ValueError`` for another."""
    wrong = broken(document) if isinstance(document, dict) else "it is no object"
    if wrong is not None:
        raise ValueError(f"of its document, {wrong}")
    return dict(document)


# --- several files -------------------------------------------------------------------------------


def _index(path: Path) -> Path:
    return path.with_name(path.name + ".index.json")


def _written_parts(path: Path, tensors: Tensors, check: int, most: int) -> dict[str, list[str]]:
    """The names of the tensors in each file that was written; files of other chips stay as they are."""
    groups = _groups(tensors, most)
    stem = f"{path.name.removesuffix(SUFFIX)}-{check & 0xFFFFFFFF:08x}"
    parts = {f"{stem}-{k:05d}-of-{len(groups):05d}{SUFFIX}": names for k, names in enumerate(groups, 1)}
    for file, names in parts.items():
        _write_part(path.with_name(file), {name: tensors[name] for name in names}, {})
    return parts


def _groups(tensors: Tensors, most: int) -> list[list[str]]:
    """Tensors in order, as many together as fit in ``most`` bytes; a larger one is alone."""
    groups: list[list[str]] = [[]]
    size = 0
    for name, value in tensors.items():
        if groups[-1] and size + value.nbytes > most:
            groups.append([])
            size = 0
        groups[-1].append(name)
        size += value.nbytes
    return groups


def _write_index(path: Path, document: Mapping[str, Any], parts: Mapping[str, list[str]]) -> None:
    places = {name: file for file, names in parts.items() for name in names}
    text = json.dumps({"metadata": {ENTRY: document}, "weight_map": places}, indent=1)
    write_whole(_index(path), lambda temporary: temporary.write_text(text))


def _of_index(path: Path) -> tuple[dict[str, Any], list[str]]:
    held = parse_json(read_text(_index(path), most=MOST_JSON))
    files = sorted(set(held["weight_map"].values()))
    if any(Path(file).name != file or not file.endswith(SUFFIX) for file in files):
        raise ValueError("its index names a file that does not lie beside it")
    return _sound(held["metadata"][ENTRY]), files


def _belonging(path: Path) -> list[Path]:
    """The parts of a chip that lies at ``path`` already; none that cannot be told."""
    try:
        return [path.with_name(file) for file in _of_index(path)[1]]
    except (OSError, ConfigError, ValueError, KeyError, TypeError, AttributeError):
        return []  # there is no index, or one that says nothing

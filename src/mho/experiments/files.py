"""Files of tensors that an experiment reads again: whole, checked, or refused by name."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mho.config import write_whole


class DamagedFileError(ValueError):
    """A stored file cannot be read, or holds something else."""


def save_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain values, whole or not at all; ``torch.load(weights_only=True)`` reads them."""
    write_whole(path, lambda temporary: torch.save(dict(content), temporary))


def load_tensors(
    path: Path, wanted: Mapping[str, type], remedy: str = "remove it and run again"
) -> dict[str, Any]:
    """The content of a file that :func:`save_tensors` wrote, on the CPU.

    Args:
        path: the file. Its checksums are compared first, since torch does not: a flipped bit would
            otherwise be another network.
        wanted: names that it must hold, with the type of each.
        remedy: what to do about a damaged file.

    Raises:
        DamagedFileError: it is not whole, not of tensors and plain values, or lacks a name.
        OSError: it is not there, or may not be read.
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                    raise ValueError("its tensors are packed, which torch never does")
                broken = archive.testzip()
            if broken is not None:
                raise ValueError(f"the checksum of {broken} does not fit")
            file.seek(0)
            content = torch.load(file, weights_only=True, map_location="cpu")
            _check(content, wanted)
        except Exception as error:  # a damaged pickle may raise anything
            reason = (str(error) or type(error).__name__).partition("\n")[0][:120]
            raise DamagedFileError(f"{path}: damaged or not of this program ({reason}); {remedy}") from None
    loaded: dict[str, Any] = content
    return loaded


def _check(content: Any, wanted: Mapping[str, type]) -> None:
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}")
    for name, kind in wanted.items():
        if not isinstance(content.get(name), kind):
            raise ValueError(f"it has no {name!r} of type {kind.__name__}")

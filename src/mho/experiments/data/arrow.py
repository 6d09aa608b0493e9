"""Parts of a data set as the package ``datasets`` keeps them on disk."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any


def arrow_parts(folder: Path, names: tuple[str, ...]) -> list[Any] | None:
    """The parts of one data set under a folder, or None if they are not all there.

    Both layouts are found: the folder written by ``save_to_disk`` and the cache of ``load_dataset``.
    The files are opened where they lie; nothing is fetched.

    Args:
        folder: looked through, with all folders in it.
        names: the parts, such as ``("train", "validation", "test")``.

    Raises:
        ValueError: the files are there, the package ``datasets`` is not; or several data sets are there.
    """
    found = []
    for name in names:
        files = sorted({*folder.rglob(f"{name}/data-*.arrow"), *folder.rglob(f"*-{name}*.arrow")})
        files = [file for file in files if not file.name.startswith("cache-")]
        if not files:
            return None
        if len({file.parent for file in files}) > 1:
            listed = ", ".join(sorted({str(file.parent) for file in files}))
            raise ValueError(
                f"--data {folder}: more than one data set lies there ({listed}); name one of them"
            )
        found.append(files)
    try:
        datasets = import_module("datasets")
    except ImportError:
        raise ValueError(
            f"--data {folder}: these are Arrow files; reading them needs: pip install datasets"
        ) from None
    return [
        datasets.concatenate_datasets([datasets.Dataset.from_file(str(file)) for file in files])
        for files in found
    ]

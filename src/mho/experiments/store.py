"""The output folder of a study: one configuration, finished pieces of work, nothing half written.

::

    study.json      the configuration that the folder belongs to, and the version of mho
    chips.jsonl     one line for each finished chip, appended as it ends
    *.pt            trained networks

A run that was stopped finds its finished pieces here and goes on with the others. A folder that
holds results of another configuration is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

import mho
from mho.config import digest, to_dict, write_whole
from mho.experiments.files import load_tensors, save_tensors

CONFIGURATION = "study.json"
LOG = "chips.jsonl"


class OtherStudyError(ValueError):
    """The output folder holds the results of another configuration."""


class Store:
    """The output folder of one study.

    Args:
        folder: made if it is not there.
        study: a description; its JSON names the folder's configuration.
        log: name of the file with one line for each finished piece of work.
        images: fingerprint of the data, where the description does not say which they are.

    Raises:
        OtherStudyError: the folder holds results of another configuration; the message names the fields.
        ValueError: the folder's files are damaged.
    """

    def __init__(self, folder: Path, study: object, log: str = LOG, images: str | None = None) -> None:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"output = {folder}: this is a file; give the name of a folder")
        configuration = {"mho": mho.__version__, "study": to_dict(study)}
        if images is not None:
            configuration["images"] = images
        claim(folder, configuration)
        self.folder, self.log = folder, folder / log
        self.digest = digest(configuration)
        self.records = self._read()

    def append(self, record: Mapping[str, Any]) -> None:
        """Add the record of a finished piece of work; when this returns, it is on the disk."""
        line = json.dumps({"study": self.digest, **record})
        with self.log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.records.append(json.loads(line))

    def _read(self) -> list[dict[str, Any]]:
        """The finished pieces; a last line that was cut short is dropped, from the file too."""
        path = self.log
        if not path.exists():
            return []
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        records = []
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                record = json.loads(line)
                mine = record["study"] == self.digest
            except (json.JSONDecodeError, KeyError, TypeError):
                raise ValueError(f"{path}, line {number}: damaged; remove this line and run again") from None
            if not mine:
                raise OtherStudyError(
                    f"{path}, line {number}: written by another configuration than {CONFIGURATION} says; "
                    "choose another output folder"
                )
            records.append(record)
        if whole != text:
            write_whole(path, lambda temporary: temporary.write_text(whole, encoding="utf-8"))
        return records

    def has(self, name: str) -> bool:
        """Whether a trained network of this name is stored."""
        return (self.folder / f"{name}.pt").is_file()

    def save_network(self, name: str, state: Mapping[str, Tensor], facts: Mapping[str, float]) -> None:
        """Store a trained network's tensors with figures about it, whole or not at all."""
        content = {"study": self.digest, "state": dict(state), "facts": dict(facts)}
        save_tensors(self.folder / f"{name}.pt", content)

    def load_network(self, name: str) -> tuple[dict[str, Tensor], dict[str, float]]:
        """The tensors and figures of a stored network.

        Raises:
            DamagedFileError: it cannot be read.
            OtherStudyError: it was trained for another configuration.
        """
        path = self.folder / f"{name}.pt"
        content = load_tensors(path, {"study": int, "state": dict, "facts": dict})
        if content["study"] != self.digest:
            raise OtherStudyError(f"{path}: trained for another configuration; choose another output folder")
        return content["state"], content["facts"]

    def write_json(self, name: str, value: Any) -> Path:
        """Write a JSON file, whole or not at all."""
        return self.write_text(name, json.dumps(value, indent=2, allow_nan=False) + "\n")

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file, whole or not at all."""
        path = self.folder / name
        write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline=""))
        return path


def claim(folder: Path, configuration: Mapping[str, Any]) -> None:
    """Make a folder belong to a configuration, or check that it does.

    A folder in which nothing was stored yet belongs to whoever asks next: a run that failed at its
    start must not keep the folder from the run that does better.

    Raises:
        OtherStudyError: it holds results of another one; the message names the first fields that differ.
    """
    wanted = json.loads(json.dumps(configuration))
    path = folder / CONFIGURATION
    if not path.exists() or not _holds_results(folder):
        text = json.dumps(wanted, indent=2) + "\n"
        write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        return
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: damaged ({error}); choose another output folder") from None
    found = differences(held, wanted)
    if found:
        listed = "\n".join(f"  {line}" for line in found[:5])
        more = f"\n  and {len(found) - 5} more" if len(found) > 5 else ""
        raise OtherStudyError(
            f"output = {folder}: this folder holds the results of another configuration:\n{listed}{more}\n"
            "Choose another output folder, or remove this one."
        )


def _holds_results(folder: Path) -> bool:
    """Whether there is anything but the configuration (and files that are being written)."""
    return any(p.name != CONFIGURATION and not p.name.startswith(".") for p in folder.iterdir())


def differences(held: Any, wanted: Any, path: str = "") -> list[str]:
    """The fields in which two plain JSON values differ, one line each."""
    if isinstance(held, dict) and isinstance(wanted, dict):
        lines = []
        for key in [*held, *(key for key in wanted if key not in held)]:
            name = f"{path}.{key}" if path else key
            lines += differences(held.get(key, "nothing"), wanted.get(key, "nothing"), name)
        return lines
    if held == wanted:
        return []
    return [f"{path}: it has {_short(held)}, this run has {_short(wanted)}"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."

"""The output folder of a study: one configuration, one process at a time, nothing half written.

::

    study.json      the configuration that the folder belongs to, and the version of mho
    chips.jsonl     one line for each finished chip, appended as it ends
    *.pt            trained networks
    results.json    what came out, with the checksums of the tables beside it
    .lock           held by the process that works here (see mho.experiments.lock)

All of them have checksums (:mod:`mho.config.sealed`), which are compared before anything is read.

A run that was stopped finds its finished pieces here and goes on with the others. A folder that
holds results of another configuration is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from torch import Tensor
from typing_extensions import Self

import mho
from mho.config import append_line, digest, from_dict, parse_json, to_dict, write_whole
from mho.config.sealed import (
    CHECK,
    DamagedFileError,
    broken,
    checksum_of,
    load_tensors,
    read_sealed,
    save_tensors,
    sealed,
)
from mho.errors import ConfigError
from mho.experiments.lock import FolderLock

CONFIGURATION, RESULTS = "study.json", "results.json"
SEVERAL = "folders of studies"
AGAIN = "remove it and run again"
UNCLAIMED = "remove it and run the same command again: every other file says itself whose it is"
REWRITTEN = "run the same command again: it is written anew from the records"
Limits = tuple[float, float]


class OtherStudyError(ValueError):
    """The output folder holds the results of another configuration."""


class DamagedRecordError(ValueError):
    """A line of the finished pieces of work is not as it was written."""


@dataclass(frozen=True)
class Log:
    """The file of the finished pieces of work of a study.

    Attributes:
        name: of the file.
        key: the fields of a record that say which piece of work it is. Of two records of the same piece the
            last one counts: a piece that was done twice does no harm.
        bounds: the least and the greatest value that a figure can have, by its name, for all numbers under
            that name; each must be finite.
        needs: further fields that each record has.
    """

    name: str
    key: tuple[str, ...]
    bounds: Mapping[str, Limits] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    def piece(self, record: Mapping[str, Any]) -> str:
        """Which piece of work a record is of."""
        return json.dumps([record.get(name) for name in self.key])

    def impossible(self, record: Mapping[str, Any]) -> str | None:
        """The first figure beyond its bounds, in words; None if all are possible."""
        return _beyond(record, self.bounds, "", None)


def _beyond(value: Any, bounds: Mapping[str, Limits], name: str, limits: Limits | None) -> str | None:
    if isinstance(value, Mapping):
        parts = [(str(key), inside, bounds.get(str(key), limits)) for key, inside in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(name, inside, limits) for inside in value]
    elif limits is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    else:
        possible = math.isfinite(value) and limits[0] <= value <= limits[1]
        return (
            None if possible else f"{name} = {value!r}, which is not within {limits[0]:g} and {limits[1]:g}"
        )
    return next((found for k, v, b in parts if (found := _beyond(v, bounds, k, b)) is not None), None)


class Store:
    """The output folder of one study, locked until :meth:`close`, or until its ``with`` block ends.

    Args:
        folder: made if it is not there.
        study: a description; its JSON names the folder's configuration.
        log: the file of finished pieces of work; None for a study that keeps none.
        images: fingerprint of the data, where the description does not say which they are.
        helps: this process works for the one that holds the folder: it takes no lock.

    Raises:
        FolderInUseError: another process works in this folder.
        OtherStudyError: the folder holds results of another configuration; the message names the fields.
        DamagedRecordError: a finished piece of work is not as it was written; the message names the line.
        ValueError: the folder's files are damaged, or one is a link.
    """

    def __init__(
        self,
        folder: Path,
        study: object,
        log: Log | None = None,
        images: str | None = None,
        *,
        helps: bool = False,
    ) -> None:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"output = {folder}: this is a file; give the name of a folder")
        _refuse_links(folder)
        configuration = {"mho": mho.__version__, "study": to_dict(study)}
        if images is not None:
            configuration["images"] = images
        self.folder, self.log = folder, log
        self._records: dict[str, dict[str, Any]] = {}
        self._sums: dict[str, str] = {}  # of the tables that were written
        self._lock = None if helps else FolderLock(folder)
        try:
            self.digest = digest(claim(folder, configuration))
            if log is not None:
                self._read(folder / log.name, log)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let other processes into the folder."""
        if self._lock is not None:
            self._lock.release()

    @property
    def records(self) -> list[dict[str, Any]]:
        """The finished pieces of work, one record each, in the order in which they were first finished."""
        return list(self._records.values())

    def piece(self, record: Mapping[str, Any]) -> str:
        """Which piece of work a record is of."""
        return "" if self.log is None else self.log.piece(record)

    def append(self, record: Mapping[str, Any]) -> None:
        """Add the record of a finished piece of work; when this returns, it is on the disk.

        Raises:
            ValueError: a figure is not finite, or beyond its bounds.
        """
        if self.log is None:
            raise ValueError(f"{self.folder}: this study keeps no records; give it a Log")
        kept = parse_json(json.dumps({"study": self.digest, **record}))
        wrong = self.log.impossible(kept)
        if wrong is not None:
            raise ValueError(f"{self.log.piece(kept)}: {wrong}: this piece of work gave an impossible figure")
        append_line(self.folder / self.log.name, json.dumps(sealed(kept)) + "\n")
        self._records[self.log.piece(kept)] = kept

    def _read(self, path: Path, log: Log) -> None:
        """The finished pieces; a last line that was cut short is dropped, from the file too."""
        if not path.exists():
            return
        text = path.read_text(encoding="utf-8", errors="replace")
        whole = text[: text.rfind("\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            record = self._checked(line, f"{path}, line {number}", log)
            self._records[log.piece(record)] = record
        if whole != text:
            write_whole(path, lambda temporary: temporary.write_text(whole, encoding="utf-8", newline=""))

    def _checked(self, line: str, where: str, log: Log) -> dict[str, Any]:
        """The record of one line, if it is as it was written."""
        remedy = "remove this line and run again: that piece of work is done anew"
        try:
            record: dict[str, Any] = parse_json(line)
            mine, changed = record["study"] == self.digest, broken(record)
            record.pop(CHECK, None)
        except ConfigError as error:
            reason = str(error).removeprefix("line 1: ")
            raise DamagedRecordError(f"{where}: damaged ({reason}); {remedy}") from None
        except (KeyError, TypeError, AttributeError):
            raise DamagedRecordError(f"{where}: damaged (it is no record); {remedy}") from None
        if not mine and changed is None:
            raise OtherStudyError(
                f"{where}: written by another configuration than {CONFIGURATION} says; "
                "choose another output folder"
            )
        absent = [name for name in log.needs if name not in record]
        if absent:
            raise DamagedRecordError(f"{where}: it has no {absent[0]!r}, another mho wrote it; {remedy}")
        wrong = log.impossible(record) or changed
        if wrong is not None:
            raise DamagedRecordError(f"{where}: changed since it was written ({wrong}); {remedy}")
        return record

    def has(self, name: str) -> bool:
        """Whether a trained network of this name is stored."""
        return (self.folder / f"{name}.pt").is_file()

    def save_network(self, name: str, state: Mapping[str, Tensor], facts: Mapping[str, float]) -> None:
        """Store a trained network's tensors with figures about it, whole or not at all."""
        content = {"study": self.digest, "name": name, "state": dict(state), "facts": dict(facts)}
        save_tensors(self.folder / f"{name}.pt", content)

    def load_network(self, name: str) -> tuple[dict[str, Tensor], dict[str, float]]:
        """The tensors and figures of a stored network.

        Raises:
            DamagedFileError: it cannot be read, or is another network of this folder.
            OtherStudyError: it was trained for another configuration.
        """
        path = self.folder / f"{name}.pt"
        content = load_tensors(path, {"study": int, "state": dict, "facts": dict}, AGAIN)
        if content["study"] != self.digest:
            raise OtherStudyError(f"{path}: trained for another configuration; choose another output folder")
        if content.get("name", name) != name:  # files of earlier versions have none
            raise DamagedFileError(f"{path}: this is the network {content['name']!r}; {AGAIN}")
        return content["state"], content["facts"]

    def write_json(self, name: str, value: Mapping[str, Any]) -> Path:
        """Write a JSON file, whole or not at all, with its checksum and those of the tables of the folder."""
        return self.write_text(name, document_text(value, {**self._earlier_sums(name), **self._sums}))

    def _earlier_sums(self, name: str) -> dict[str, str]:
        """What the file of this name says of tables that an earlier run wrote; nothing if it is damaged."""
        try:
            said = read_sealed(self.folder / name, REWRITTEN).get("checksums", {})
        except (DamagedFileError, OSError):
            return {}
        return {table: found for table, found in said.items() if (self.folder / table).is_file()}

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file, whole or not at all."""
        path = self.folder / name
        if path.suffix == ".csv":
            self._sums[name] = checksum_of(text.encode())
        write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline=""))
        return path


def document_text(value: Mapping[str, Any], sums: Mapping[str, str]) -> str:
    """The text of a ``results.json``: its checksum, and those of the tables beside it by their names."""
    whole = {**value, "checksums": dict(sums)} if sums else value
    return json.dumps(sealed(whole), indent=2, allow_nan=False) + "\n"


def claim(folder: Path, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Make a folder belong to a configuration, or check that it does.

    A folder in which nothing was stored yet belongs to whoever asks next: a run that failed at its
    start must not keep the folder from the run that does better.

    Returns:
        The configuration as the folder holds it: fields that descriptions have got since are not in it.

    Raises:
        OtherStudyError: it holds results of another one; the message names the first fields that differ.
        DamagedFileError: its configuration is damaged.
    """
    wanted: dict[str, Any] = parse_json(json.dumps(configuration))
    path = folder / CONFIGURATION
    if not path.exists() or not _holds_results(folder):
        text = json.dumps(sealed(wanted), indent=2) + "\n"
        write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        return wanted
    held = read_sealed(path, UNCLAIMED)
    found = differences(_of_today(held), wanted)
    if found:
        listed = "\n".join(f"  {line}" for line in found[:5])
        more = f"\n  and {len(found) - 5} more" if len(found) > 5 else ""
        raise OtherStudyError(
            f"output = {folder}: this folder holds the results of another configuration "
            f"({CONFIGURATION}):\n{listed}{more}\nChoose another output folder, or remove this one."
        )
    return held


def claim_for_several(folder: Path, command: str) -> None:
    """Make a folder that of several studies, each in a folder of its own, or check that it is.

    Args:
        folder: made if it is not there.
        command: whose studies they are.

    Raises:
        FolderInUseError: another process works in this folder.
        OtherStudyError: it holds results of a study, or of another command.
        DamagedFileError: its configuration is damaged.
    """
    lock = FolderLock(folder)
    try:
        claim(folder, {"mho": mho.__version__, "study": f"{SEVERAL} of {command}"})
    finally:
        lock.release()


def _of_today(held: dict[str, Any]) -> dict[str, Any]:
    """A configuration with the fields that its descriptions have got since, at their defaults."""
    try:
        return {**held, "study": parse_json(json.dumps(to_dict(from_dict(held["study"]))))}
    except (ConfigError, KeyError):  # as it is it differs
        return held


T = TypeVar("T")


def held_study(folder: Path, kind: type[T], option: str) -> T | None:
    """The configuration of a folder of results; None for a folder without one.

    Args:
        folder: of an earlier run.
        kind: of its study.
        option: that names another folder, for the errors.

    Raises:
        ValueError: it is damaged, or holds another kind of study.
    """
    path = folder / CONFIGURATION
    if not path.is_file():
        return None
    held = read_sealed(path, f"choose another {option}")
    if isinstance(held.get("study"), str):
        raise ValueError(f"{folder} has {held['study']}: name one of them, or choose another {option}")
    try:
        study = from_dict(held["study"])
    except (KeyError, ConfigError) as error:
        raise ValueError(f"{path}: damaged ({error}); choose another {option}") from None
    if not isinstance(study, kind):
        raise ValueError(f"{folder} holds the results of a {type(study).__name__}; choose another {option}")
    return study


def _refuse_links(folder: Path) -> None:
    """Raise ``ValueError`` for a link in the folder: records and locks would be written to where it leads."""
    link = next((path for path in folder.glob("*") if path.is_symlink()), None)
    if link is not None:
        raise ValueError(
            f"{link}: this is a link, and mho writes into the files of its folder; put the file itself "
            "there, or choose another output folder"
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

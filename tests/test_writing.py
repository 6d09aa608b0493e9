"""What is written outlasts a loss of power: on the disk first, then under its name."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from mho.config import append_line, write_whole


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was brought to the disk and what was renamed, in order."""
    told: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        told.append(f"sync {Path(os.readlink(f'/proc/self/fd/{handle}')).suffix or 'folder'}")
        fsync(handle)

    def renamed(old: Path, new: Path) -> None:
        told.append(f"rename to {Path(new).name}")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    return told


linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs names of open files")


@linux
def test_a_file_is_on_the_disk_before_its_name_is(events: list[str], tmp_path: Path) -> None:
    write_whole(tmp_path / "a.json", lambda temporary: temporary.write_text("{}"))
    assert events == ["sync .json", "rename to a.json", "sync folder"]


@linux
def test_a_line_is_on_the_disk_and_the_name_of_a_new_file_too(events: list[str], tmp_path: Path) -> None:
    append_line(tmp_path / "a.jsonl", "1\n")
    append_line(tmp_path / "a.jsonl", "2\n")
    assert events == ["sync .jsonl", "sync folder", "sync .jsonl"]
    assert (tmp_path / "a.jsonl").read_text() == "1\n2\n"


@pytest.mark.parametrize("full", [False, True])
def test_a_disk_that_takes_a_part_of_a_line(full: bool, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """It takes what fits and says how much: the rest is written, or the line is taken back."""
    path, taken = tmp_path / "a.jsonl", []
    append_line(path, "first\n")

    class Disk(io.FileIO):
        def write(self, content) -> int:
            if full and taken:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            taken.append(super().write(bytes(content)[:3]))
            return taken[-1]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, mode, buffering: Disk(path, mode))
        if full:
            with pytest.raises(OSError, match=r"^.*a.jsonl: cannot be written: no space left on device$"):
                append_line(path, "second\n")
        else:
            append_line(path, "second\n")
    assert path.read_bytes() == (b"first\n" if full else b"first\nsecond\n")


def test_a_folder_that_cannot_be_brought_to_the_disk_is_none_of_ours(monkeypatch, tmp_path) -> None:
    fsync = os.fsync

    def refused(handle: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", refused)
    write_whole(tmp_path / "a", lambda temporary: temporary.write_text("whole"))
    assert (tmp_path / "a").read_text() == "whole"

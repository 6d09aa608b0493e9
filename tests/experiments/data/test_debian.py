import shutil

import pytest
import torch

from mho.experiments.data import DebianPackages, MissingDataError, debian
from mho.experiments.data.debian import SECTIONS, packages

WORDS = tuple("abcdefghijkl")


def paragraph(name, section, description):
    return (
        f"Package: {name}\nVersion: 1.0-1\nMaintainer: Someone <a@b.example>\nDescription: {description}\n"
        f"Description-md5: d943033bedada21853d2ae54a2578a7b\nTag: role::program,\n use::x\n"
        f"Section: {section}\nPriority: optional\n"
    )


def listing(each=12):
    return "\n".join(
        paragraph(
            f"{section}-{k}", section if k % 2 else f"contrib/{section}", f"{WORDS[k]} of {section} for you"
        )
        for section in SECTIONS
        for k in range(each)
    )


def test_descriptions_are_labelled_by_section():
    data = packages(listing(), 0, "here")
    assert data.classes == SECTIONS
    assert len(data.train) == 8 * 10
    for text, label in zip(data.train.texts, data.train.labels.tolist(), strict=True):
        assert SECTIONS[label] in text.split()


def test_a_family_of_packages_is_one_text():
    more = [paragraph(f"x{k}", "games", f"a of games for you ({part})") for k, part in enumerate("abcdef")]
    more += [paragraph("y", "games", "a of games for you - documentation")]
    data = packages("\n".join([listing(), *more]), 0, "here")
    texts = [t for p in (data.train, data.validation, data.test) for t in p.texts]
    assert sum(t.startswith("a of games") for t in texts) == 1
    assert "a of games for you" in texts


def test_the_file_that_apt_printed_elsewhere_is_read(tmp_path):
    (tmp_path / "dumpavail.txt").write_text(listing())
    data = DebianPackages().load(tmp_path)
    assert data.digest == packages(listing(), 0, "here").digest
    assert data.origin == "Debian packages, dumpavail.txt"


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    with pytest.raises(MissingDataError, match=r"apt-cache dumpavail > .*dumpavail\.txt"):
        DebianPackages().load(tmp_path)
    monkeypatch.setattr(debian.shutil, "which", lambda name: None)
    with pytest.raises(MissingDataError, match="no apt-cache on this machine"):
        DebianPackages().load()


def test_empty_lists_are_named(monkeypatch):
    monkeypatch.setattr(debian, "_COMMAND", ("true",))
    with pytest.raises(MissingDataError, match="printed no package .*apt-get update"):
        DebianPackages().load()


def test_a_section_without_packages_is_named(tmp_path):
    (tmp_path / "dumpavail.txt").write_text(paragraph("a", "games", "a of games for you"))
    with pytest.raises(ValueError, match=r"dumpavail\.txt: only 0 texts of 'sound'"):
        DebianPackages().load(tmp_path)


@pytest.mark.skipif(shutil.which("apt-cache") is None, reason="no apt on this machine")
def test_this_machine_has_balanced_texts():
    try:
        data = DebianPackages().load()
    except (MissingDataError, ValueError) as error:
        pytest.skip(f"apt has no full lists here: {error}")
    assert torch.bincount(data.train.labels, minlength=8).unique().numel() == 1
    everything = [t.casefold() for p in (data.train, data.validation, data.test) for t in p.texts]
    assert len(everything) == len(set(everything))
    assert len({tuple(t.split()[:4]) for t in everything}) > 0.98 * len(everything)

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mho.experiments.data import MissingDataError, PythonProse, PythonSubjects, python_text
from mho.experiments.data.python_text import SUBJECTS, library, prose, split_words


@pytest.fixture(scope="module")
def subjects():
    return PythonSubjects().load()


@pytest.fixture(scope="module")
def words():
    return PythonProse().load()


def test_there_are_enough_texts_of_every_subject(subjects):
    assert subjects.classes == tuple(SUBJECTS)
    assert len(subjects.train) >= 8 * 240
    assert len(subjects.validation) == len(subjects.test) >= 8 * 30
    for part in (subjects.train, subjects.validation, subjects.test):
        assert torch.bincount(part.labels, minlength=8).unique().numel() == 1


def test_texts_are_clean_and_labelled_as_their_module(subjects):
    """Each text is found again, spaces aside, in a module of its subject."""
    homes = {name: subject for subject, names in SUBJECTS.items() for name in names.split()}
    found = {}
    for module, paragraphs in library().items():
        for paragraph in paragraphs:
            found.setdefault(paragraph, set()).add(homes[module.split(".")[0]])
    for text, label in zip(subjects.test.texts, subjects.test.labels.tolist(), strict=True):
        assert found[text] == {subjects.classes[label]}
        assert text == " ".join(text.split())
        assert 10 <= len(text.split()) <= 60


def test_no_module_has_two_subjects():
    names = " ".join(SUBJECTS.values()).split()
    assert len(names) == len(set(names))


def test_words_are_all_there_and_documents_are_not_cut(words):
    total = len(words.train) + len(words.validation) + len(words.test)
    assert total > 100_000
    assert len(words.vocabulary) == 4000
    end = words.vocabulary.index("<eos>")
    for part in (words.train, words.validation, words.test):
        assert int(part[-1]) == end
        assert int(part.max()) < 4000
        assert float((part == 0).double().mean()) < 0.08
    for part in (words.validation, words.test):
        assert 0.1 * total <= len(part) < 0.14 * total


def test_no_paragraph_is_in_two_parts():
    whole = PythonProse(vocabulary=1_000_000).load()
    end = whole.vocabulary.index("<eos>")

    def paragraphs(part):
        cuts = (part == end).nonzero().flatten().tolist()
        return {
            tuple(part[a + 1 : b].tolist())
            for a, b in zip([-1, *cuts[:-1]], cuts, strict=True)
            if 0 not in part[a + 1 : b]
        }

    assert not paragraphs(whole.train) & paragraphs(whole.test)
    assert not paragraphs(whole.validation) & paragraphs(whole.test)


def test_the_text_is_english(words):
    """The most frequent words of English are among the first of the vocabulary."""
    assert {"the", "a", "of", "is", "to", "in", "and", "it"} <= set(words.vocabulary[:40])


@pytest.mark.exhaustive
def test_the_seed_names_the_split_and_the_data_are_the_same_in_another_process(subjects):
    assert set(PythonSubjects(seed=1).load().test.texts) != set(subjects.test.texts)
    code = "from mho.experiments.data import PythonSubjects; print(PythonSubjects().load().digest)"
    done = subprocess.run(
        [sys.executable, "-OO", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(python_text.__file__).parents[4])},
    )
    assert done.stdout.strip() == subjects.digest


def test_the_origin_names_the_version(subjects, words):
    for data in (subjects, words):
        assert ".".join(map(str, sys.version_info[:3])) in data.origin


@pytest.mark.parametrize("source", [PythonSubjects(), PythonProse()])
def test_a_folder_is_refused(source, tmp_path):
    with pytest.raises(ValueError, match="comes with Python; leave --data out"):
        source.load(tmp_path)


def test_a_python_without_sources_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(python_text.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(MissingDataError, match="without the sources of its library"):
        PythonSubjects().load()


def test_a_python_without_reference_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(MissingDataError, match=r"pydoc_data\.topics"):
        PythonProse().load()


def test_code_signatures_tables_and_lists_are_left_out():
    text = """Return the sum of the numbers
    and of nothing else.

    >>> total([1, 2]) # the sum of the two numbers

       an indented block of words that is not prose

    copy(src, dst[, follow]) -> None and nothing else at all

    stmt ::= target of the list and of the rest

    Too short."""
    assert list(prose(text)) == ["Return the sum of the numbers and of nothing else."]


def test_words_signs_and_numbers_are_told_apart():
    assert split_words("It isn't __init__(self, 42)!") == [
        "it", "isn't", "__init__", "(", "self", ",", "42", ")", "!",
    ]  # fmt: skip

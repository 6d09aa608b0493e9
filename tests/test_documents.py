"""Descriptions from strangers: none hangs, fills the memory, or says another thing than it seems to say."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mho
from mho import config as cfg
from mho.compat.crosssim.simulator import CrossSimParameters
from mho.config import documents
from mho.errors import ConfigError
from mho.experiments.plan import make_plan, read_plan


def bomb(levels: int, wide: int = 9) -> str:
    """Lists of aliases of lists: ``wide`` to the power of ``levels`` values in a few hundred bytes."""
    lines = ["a0: &a0 [x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * wide)}]" for k in range(1, levels)]
    return "\n".join(lines)


MERGES = "a: &b0 {x: 1}\n" + "\n".join(f"b{k}: &b{k} {{<<: [*b{k - 1}, *b{k - 1}]}}" for k in range(1, 40))


@pytest.mark.parametrize("text", [bomb(9), MERGES], ids=["lists", "merges"])
def test_aliases_of_aliases_are_refused_at_once(text: str, tmp_path: Path) -> None:
    path = tmp_path / "hardware.yaml"
    path.write_text(text)
    start = time.perf_counter()
    with pytest.raises(ConfigError, match=r"hardware.yaml: line \d+: .*aliases.*1,000,000 values"):
        mho.Hardware.load(path)
    assert time.perf_counter() - start < 5


def test_aliases_that_stand_for_little_stay() -> None:
    assert documents.parse_yaml("a: &a [1, 2]\nb: [*a, *a]") == {"a": [1, 2], "b": [[1, 2], [1, 2]]}


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: [*a]}"])
def test_an_alias_within_what_it_names(text: str) -> None:
    with pytest.raises(ConfigError, match="line 1: an alias stands within what it names"):
        documents.parse_yaml(text)


@pytest.mark.parametrize("kind", ["json", "yaml"])
@pytest.mark.parametrize("depth", [200, 100_000])
def test_depth(kind: str, depth: int, tmp_path: Path) -> None:
    path = tmp_path / f"deep.{kind}"
    path.write_text("[" * depth + "]" * depth)
    with pytest.raises(ConfigError, match=rf"deep.{kind}: .*more than 100 levels deep"):
        cfg.read_plain(path)


def test_a_description_that_holds_itself() -> None:
    value: dict[str, Any] = {}
    value["a"] = value
    with pytest.raises(ConfigError, match="100 levels"):
        cfg.from_dict(value)


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_size(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cfg.read_plain.__globals__, f"MOST_{kind.upper()}", documents.MEGABYTE)
    path = tmp_path / f"large.{kind}"
    path.write_text('["' + "x" * documents.MEGABYTE + '"]')
    with pytest.raises(ConfigError, match=rf"large.{kind}: larger than 1 MB"):
        cfg.read_plain(path)


@pytest.mark.parametrize(
    "word",
    ["0100", "08", "-010", "1_000", "1.5_0", "0x_ff", "0b11", "1:30", "1:30:00.5", "yes", "No", "ON", "off"],
)
@pytest.mark.parametrize("text", ["a: [2, {word}]", "{word}: 2"])
def test_words_that_mean_two_things(word: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text.format(word=word))
    with pytest.raises(
        ConfigError, match=rf"a.yaml: line 1: {word} is one thing in YAML 1.1 .*'{word}' in quotes"
    ):
        cfg.read_plain(path)
    path.write_text(text.format(word=f"'{word}'"))
    cfg.read_plain(path)  # in quotes it is a text


@pytest.mark.parametrize(
    "word, value",
    [
        ("25e-6", 25e-6), ("1.5e3", 1500.0), (".5", 0.5), ("-.5E+1", -5.0), ("1.", 1.0), ("7", 7), ("0", 0),
        ("0x1F", 31), ("true", True), ("~", None), ("y", "y"), ("http://a:80", "http://a:80"), ("0.5", 0.5),
    ],
)  # fmt: skip
def test_numbers_are_those_of_yaml_1_2(word: str, value: object) -> None:
    found = documents.parse_yaml(f"a: {word}")["a"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("a: 2020-01-01", "line 1: 2020-01-01: a date or a time"),
        ("a: !!binary aGk=", "tagged !!binary"),
        ("a: !!set {b}", "tagged !!set"),
        ("a: !!python/object:os.system x", "tagged !!python/object:os.system"),
        ("1: a", "line 1: the key 1 is no text; put it into quotes, '1'"),
        ("\n~: a", "line 2: the key ~ is no text"),
        ("[1]: a", r"the key \[...\] is no text"),
        ("a: !!int x", "not YAML: invalid literal"),
        ("a: " + "9" * 5000, "not YAML: .*digits"),
    ],
)
def test_what_is_neither_number_nor_text(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        documents.parse_yaml(text)


def test_numbers_of_thousands_of_digits() -> None:
    with pytest.raises(ConfigError, match="not JSON: .*digits"):
        cfg.parse_json("9" * 5000)


@pytest.mark.parametrize("kind", [[], ["devices.PCM"], None, {}, 7, True, datetime.date(2020, 1, 1)])
def test_kinds_that_are_no_texts(kind: object) -> None:
    with pytest.raises(ConfigError, match="kind = .*: give the name of a description"):
        cfg.from_dict({"kind": kind})
    with pytest.raises(ConfigError, match="study has no "):
        make_plan({"study": {"kind": kind}})


@pytest.mark.parametrize("key", ["self", "__dataclass_self__", "cls", "values", "made"])
def test_keys_that_python_uses_itself(key: str) -> None:
    with pytest.raises(ConfigError, match=f"Tile has no '{key}'"):
        cfg.from_dict({"kind": "Tile", key: 1})


def test_keys_that_are_no_texts() -> None:
    for value in ({1: 2}, {"kind": "Tile", 1: 2}, {"a": [{None: 1}]}):
        with pytest.raises(ConfigError, match="keys are texts"):
            cfg.from_dict(value)


BAD = (None, [], {}, "x", "", 1, True, -1, 1e400, [1], [[1]], 10**400, {"a": 1}, {"kind": "Tile"}, [{}])


@pytest.mark.parametrize("kind", cfg.kinds())
def test_every_field_refuses_in_a_sentence(kind: str) -> None:
    """Whatever a file gives for whichever field: a description, or a ConfigError."""
    for name, bad in itertools.product(cfg.field_names(cfg.kinds()[kind]), BAD):
        with contextlib.suppress(ConfigError):
            cfg.from_dict({"kind": kind, name: bad})


def test_a_message_shows_the_beginning_of_a_long_value() -> None:
    with pytest.raises(ConfigError) as error:
        cfg.from_dict({"kind": "Tile", "rows": "x" * 100_000})
    assert "100,002 characters" in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
def test_the_file_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(FileNotFoundError, match=rf"^.*{name}: No such file or directory"):
        mho.Hardware.load(path)
    path.write_bytes(b"{\n\xff}")
    with pytest.raises(ConfigError, match=rf"{name}: line 2: not a text in UTF-8"):
        mho.Hardware.load(path)
    path.write_text(json.dumps({"kind": "Hardware", "tile": {"kind": "Tile", "rows": -1}}))
    with pytest.raises(ConfigError, match=rf"{name}: Tile.rows = -1"):
        mho.Hardware.load(path)
    path.write_text(json.dumps({"kind": "Hardware", "format": 9}))
    with pytest.raises(ConfigError, match=rf"{name}: format = 9"):
        mho.Hardware.load(path)


def test_files_of_crosssim_are_read_within_the_same_limits(tmp_path: Path) -> None:
    path = tmp_path / "params.json"
    for content, sentence in (
        (b"\xff", "not a text in UTF-8"),
        (b"[" * 500 + b"]" * 500, "100 levels"),
        (b'{"core": {"rows_max": "x"}}', "rows_max"),
        (b'{"self": 1}', "self"),
    ):
        path.write_bytes(content)
        with pytest.raises((ValueError, TypeError, AttributeError), match=rf"params.json: .*{sentence}"):
            CrossSimParameters.from_json(path, encoding="utf-8")


def test_a_grid_of_a_billion_cells_is_refused_before_it_is_made(tmp_path: Path) -> None:
    path = tmp_path / "sweep.json"
    axes = {"seed": list(range(1000)), "chips": list(range(1, 1001)), "model.width": list(range(1, 1001))}
    path.write_text(json.dumps({"study": {"kind": "experiments.ChipStudy"}, "grid": axes}))
    start = time.perf_counter()
    sizes = r"1000 \(seed\) x 1000 \(chips\) x 1000 \(model.width\) = 1,000,000,000 cells"
    with pytest.raises(ConfigError, match=f"sweep.json: grid: {sizes}; a sweep has 100,000 at most"):
        read_plan(path)
    assert time.perf_counter() - start < 5


texts = st.text(max_size=8) | st.from_regex(r"\A[-+0-9._:exbXEyYnNoOfF]{1,6}\Z")


@given(st.dictionaries(texts, texts | st.floats(allow_nan=False) | st.integers() | st.booleans() | st.none()))
def test_what_is_written_is_read_back(value: dict[str, Any]) -> None:
    assert documents.parse_yaml(documents.yaml_text(value)) == value

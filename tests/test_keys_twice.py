"""A key that is there twice is refused by every reader of JSON and YAML, with its name and its line."""

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mho
from mho import config as cfg
from mho.compat.crosssim.simulator import CrossSimParameters
from mho.errors import ConfigError
from mho.experiments import hwa
from mho.experiments.drift import DriftStudy
from mho.experiments.fitting import Schedule
from mho.experiments.hwa import HWAStudy
from mho.experiments.plan import read_plan
from mho.experiments.quantization import QuantizationStudy
from mho.experiments.store import CONFIGURATION, Log, Store, held_study

HARDWARE = mho.Hardware(device=mho.devices.PCM(), dac=mho.DAC(), adc=mho.ADC(bits=6))
PLAN = {"study": {"kind": "experiments.ChipStudy", "chips": 3}, "grid": {"seed": [0, 1]}, "report": {}}
LOG = Log("pieces.jsonl", key=("chip",))


def held(study):
    return {"mho": mho.__version__, "study": cfg.to_dict(study)}


def opened(path):
    Store(path.parent, Schedule(epochs=3, learning_rate=0.1), LOG).close()


def recorded(path):
    """A folder with one record; the text of its log."""
    with Store(path.parent, Schedule(epochs=3, learning_rate=0.1), LOG) as store:
        store.append({"chip": 0, "found": {"accuracy": 0.5}})


def of_study(kind):
    """Of what a folder holds, as mho quantize --skip-training and mho hwa --eval-only read it."""
    return lambda path: held_study(path.parent, kind, "--output")


@dataclass(frozen=True)
class Reader:
    """A file, its content (None: ``make`` writes it), and the function of mho that reads it."""

    name: str
    content: object
    read: object
    make: object = None

    def __repr__(self):
        return self.name


READERS = [
    Reader("hardware.json", {"format": 1, **cfg.to_dict(HARDWARE)}, mho.Hardware.load),
    Reader("hardware.yaml", {"format": 1, **cfg.to_dict(HARDWARE)}, mho.Hardware.load),
    Reader("text.json", cfg.to_dict(DriftStudy()), lambda path: cfg.from_json(path.read_text())),
    Reader("study.yml", cfg.to_dict(DriftStudy()), cfg.load),
    Reader("sweep.json", PLAN, read_plan),
    Reader("sweep.yaml", PLAN, read_plan),
    Reader(CONFIGURATION, held(Schedule(epochs=3, learning_rate=0.1)), opened, recorded),
    Reader(LOG.name, None, opened, recorded),
    Reader(f"quantize/{CONFIGURATION}", held(QuantizationStudy()), of_study(QuantizationStudy)),
    Reader(f"hwa/{CONFIGURATION}", held(HWAStudy()), of_study(HWAStudy)),
    Reader("vision/results.json", {"modality": "vision"}, lambda path: hwa.finished(path.parent.parent)),
    Reader("crosssim.json", None, CrossSimParameters.from_json, CrossSimParameters().to_json),
]


def written(reader, folder):
    path = folder / reader.name
    path.parent.mkdir(parents=True, exist_ok=True)
    if reader.make is not None:
        reader.make(path)
    if reader.content is None:
        return path
    if path.suffix == ".json":
        path.write_text(json.dumps(reader.content, indent=2))
    else:
        import yaml

        path.write_text(yaml.safe_dump(reader.content, sort_keys=False))
    return path


def keys(path):
    """Where each key of a file begins, the key, and how it is written with its colon."""
    pattern = r'"(\w+)": ' if "json" in path.suffix else r"^ *(\w+):(?: |$)"
    return [(m.start(1), m[1]) for m in re.finditer(pattern, path.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("reader", READERS, ids=repr)
def test_every_reader_refuses_every_key_twice(reader, tmp_path):
    path = written(reader, tmp_path)
    reader.read(path)  # as it is it can be read
    text = path.read_text()
    found = keys(path)
    assert found
    for place, key in found[:: max(1, len(found) // 20)]:
        if "json" in path.suffix:
            more = f'{key}": 0, "'
        else:
            more = f"{key}: 0\n{' ' * (place - text.rfind(chr(10), 0, place) - 1)}"
        path.write_text(text[:place] + more + text[place:])
        with pytest.raises(
            ValueError, match=rf"line \d+: (damaged \()?'(\w+\.)*{key}' is there twice"
        ) as error:
            reader.read(path)
        line = text.count("\n", 0, place) + 1 + more.count("\n")
        assert f"line {line}: " in str(error.value)


def test_the_sentence_names_path_and_both_lines():
    text = '{"tile": {"rows": 8,\n "columns": [{"rows": 1}],\n "\\u0072ows": 4096}}'
    with pytest.raises(ConfigError, match="line 3: 'tile.rows' is there twice, the first time in line 1"):
        cfg.parse_json(text)
    with pytest.raises(ConfigError, match="line 1: 'a' is there twice, the first time in the same line"):
        cfg.parse_json('[{"a": "{\\"a\\": 1}", "a": 2}]')


@pytest.mark.parametrize(
    "text, key",
    [
        ("rows: 8\nrows: 4096", "rows"),
        ("a: {b: 1, 'b': 2}", "b"),
        ("1: a\n'1': b", "1"),
        ("- {TRUE: 1, true: 2}", "True"),
    ],
)
def test_yaml_keys_that_are_written_differently(text, key, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"a.yaml: line \d: '{key}' is there twice"):
        cfg.read_plain(path)


def test_yaml_merges_stay(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: [*b, *a], y: 4}\n")
    assert cfg.read_plain(path)["c"] == {"x": 3, "y": 4}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(), inside, max_size=4),
    max_leaves=20,
)


@given(values)
def test_what_has_no_key_twice_is_read_as_json_reads_it(value):
    for indent in (None, 2):
        assert cfg.parse_json(json.dumps(value, indent=indent)) == value


def test_nothing_reads_json_or_yaml_past_these_readers():
    """One function for each: a new reader cannot forget the check."""
    reading = {("json", "load"), ("json", "loads"), ("yaml", "load"), ("yaml", "safe_load")}
    found = set()
    for path in Path(mho.__file__).parent.rglob("*.py"):
        if path.parent.name == "peers":  # they run where other simulators are, and mho is not
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if (node.value.id, node.attr) in reading:
                    found.add(path.name)
            if isinstance(node, ast.ImportFrom) and node.module in ("json", "yaml"):
                found.add(path.name)
    assert found == {"documents.py"}

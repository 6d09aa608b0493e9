"""A study of one's own: its table, going on, workers, bounds, and its part in a sweep."""

from __future__ import annotations

import json
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch

from mho.config import _KINDS, Count, config, kind_of
from mho.experiments.engines import LocalEngine
from mho.experiments.experiment import Place, measure
from mho.experiments.harness import Column, Study, grid, run
from mho.experiments.plan import make_plan
from mho.experiments.progress import Progress
from mho.experiments.store import DamagedRecordError, Log, OtherStudyError
from mho.experiments.sweep import run as sweep

MODULE = '''
import torch
from mho.config import Count, config
from mho.experiments.harness import Column, Study, grid

@config
class Draws(Study):
    """What torch draws.

    Attributes:
        count: places.
        seed: of the draws.
    """

    count: Count = 3
    seed: int = 0
    measured = (Column("value", "V", "a draw", low=0, high=1),)

    def places(self):
        return grid(letter=("a", "b"), number=range(self.count))

    def measure(self, place, shared):
        return [{"half": half, "value": float(torch.rand(()))} for half in (1, 2)]
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module that workers can import."""
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "own_draws.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path / "module")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "module"), prepend=":")
    import own_draws

    yield own_draws
    _KINDS.pop("experiments.Draws")
    del __import__("sys").modules["own_draws"]


class Stop(Progress):
    def __init__(self, steps):
        self.steps, self.said = steps, []

    @contextmanager
    def stage(self, title, total, done=0):
        self.said.append((title, total, done))
        yield self

    def advance(self, detail=""):
        self.steps -= 1
        if self.steps == 0:
            raise KeyboardInterrupt

    def note(self, text):
        self.said.append(text)


def test_the_table_has_places_and_rows_in_the_order_of_the_grid(module, tmp_path):
    result = run(module.Draws(count=2), tmp_path / "out")
    assert list(result.table.columns) == ["letter", "number", "half", "value"]
    assert result.table["letter"].tolist() == ["a"] * 4 + ["b"] * 4
    assert result.table["value"].nunique() == 8
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "out" / "results.csv"), result.table)
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["study"] == {"kind": "experiments.Draws", "count": 2, "seed": 0} and document["seed"] == 0
    other = run(module.Draws(count=2, seed=1), tmp_path / "other").table
    assert not set(other["value"]) & set(result.table["value"])


def test_a_stopped_run_goes_on_to_the_same_table(module, tmp_path):
    whole, watch = run(module.Draws(), tmp_path / "whole").table, Stop(99)
    with pytest.raises(KeyboardInterrupt):
        run(module.Draws(), tmp_path / "out", progress=Stop(2))
    pd.testing.assert_frame_equal(run(module.Draws(), tmp_path / "out", progress=watch).table, whole)
    assert watch.said == ["2 of 6 places were finished by an earlier run", ("places", 6, 2)]
    with pytest.raises(OtherStudyError, match="count: it has 3, this run has 2"):
        run(module.Draws(count=2), tmp_path / "out")


def test_workers_give_the_same_table(module, tmp_path):
    alone = run(module.Draws(), tmp_path / "alone").table
    pd.testing.assert_frame_equal(run(module.Draws(), tmp_path / "out", workers=2).table, alone)


def test_a_worker_that_fails_says_where(module, tmp_path):
    (tmp_path / "module" / "own_draws.py").write_text(MODULE.replace("torch.rand(())", "1 / 0"))
    with pytest.raises(ValueError, match=r"letter=., number=.: ZeroDivisionError: division by zero"):
        run(module.Draws(), tmp_path / "out", workers=2)


def test_an_impossible_figure_is_refused_and_noticed(module, tmp_path, monkeypatch):
    run(module.Draws(), tmp_path / "out")
    path = tmp_path / "out" / "places.jsonl"
    path.write_text(path.read_text().replace('"value": 0.', '"value": 1.', 1))
    with pytest.raises(DamagedRecordError, match="value = 1"):
        run(module.Draws(), tmp_path / "out")
    monkeypatch.setattr(torch, "rand", lambda *_: torch.tensor(1.5))
    with pytest.raises(ValueError, match=r"value = 1.5, which is not within 0 and 1"):
        run(module.Draws(), tmp_path / "new")


def test_a_sweep_takes_it(module, tmp_path):
    plan = make_plan(
        {"imports": ["own_draws"], "study": {"kind": "experiments.Draws"}, "grid": {"count": [1, 2]}}
    )
    table = sweep(plan, tmp_path / "out", LocalEngine(workers=1))
    assert table["error"].tolist() == ["", ""]
    alone = run(module.Draws(count=2), tmp_path / "alone").table
    assert table["value"][1] == alone["value"].mean()


def test_data_are_read_before_a_folder_is_made_and_shared(tmp_path):
    @config
    class Reads(Study):
        count: Count = 1

        def places(self):
            return grid(number=range(self.count))

        def load(self, folder):
            if folder is None:
                raise ValueError("no data")
            return folder.name

        def prepare(self, work, data):
            return f"{data} on {work.device}"

        def measure(self, place, shared):
            return {"said": shared}

        def headline(self, table):
            return {"rows": float(len(table))}

    with pytest.raises(ValueError, match="no data"):
        run(Reads(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert run(Reads(), tmp_path / "out", tmp_path / "digits").table["said"].tolist() == ["digits on cpu"]
    place = Place(tmp_path / "cell", tmp_path, tmp_path / "digits")
    assert measure(Reads(count=2), place) == {"rows": 2.0}
    del _KINDS[kind_of(Reads)]


def test_a_place_may_grow_its_data_have_a_name_and_its_files_be_its_own(tmp_path):
    asked = []

    @config
    class Grows(Study):
        repeats: Count = 2

        def identity(self):
            return Grows()  # whatever the number of repeats is

        def places(self):
            return [{"letter": "a", "repeats": list(range(self.repeats))}]

        def log(self, data):
            return Log("grown.jsonl", key=("letter",))

        def load(self, folder):
            return folder

        def fingerprint(self, data):
            return data and data.name

        def left(self, place, rows):
            return {**place, "repeats": place["repeats"][len(rows) :]} if len(rows) < self.repeats else None

        def measure(self, place, shared):
            asked.append(place["repeats"])
            return [{"repeat": repeat} for repeat in place["repeats"]]

        def write(self, result, shared, work):
            work.store.write_text("own.csv", result.table.to_csv())

    assert run(Grows(), tmp_path / "out").table["repeat"].tolist() == [0, 1]
    assert run(Grows(repeats=4), tmp_path / "out").table["repeat"].tolist() == [0, 1, 2, 3]
    assert run(Grows(repeats=4), tmp_path / "out").table["repeat"].tolist() == [0, 1, 2, 3]
    assert asked == [[0, 1], [2, 3]]
    assert (tmp_path / "out" / "own.csv").exists() and not (tmp_path / "out" / "results.csv").exists()
    with pytest.raises(OtherStudyError, match="images"):
        run(Grows(), tmp_path / "out", tmp_path / "other")
    del _KINDS[kind_of(Grows)]


def test_the_callers_random_numbers_are_untouched(module, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(module.Draws(), tmp_path / "out")
    assert torch.equal(torch.rand(3), expected)


def test_numbers_of_numpy_and_tensors_are_numbers(tmp_path):
    @config
    class Numbers(Study):
        def places(self):
            return grid(size=np.arange(2), scale=torch.linspace(0, 1, 2))

        def measure(self, place, shared):
            return {"a": np.float32(0.5), "b": torch.tensor(3), "c": np.int64(place["size"])}

    table = run(Numbers(), tmp_path).table
    assert table["a"].tolist() == [0.5] * 4 and table["c"].tolist() == [0, 0, 1, 1]
    assert table["scale"].tolist() == [0.0, 1.0] * 2 and table["b"].dtype == int
    del _KINDS[kind_of(Numbers)]


@pytest.mark.parametrize(
    ("places", "found", "sentence"),
    [
        ([], {"a": 1}, "Wrong.places gave none"),
        (
            [{"x": 1}, {"y": 1}],
            {"a": 1},
            r"gave \{'y': 1\} beside \{'x': 1\}: give all places the same",
        ),
        ([{"x": 1}, {"x": 1}], {"a": 1}, r"gave \{'x': 1\} twice; remove one"),
        ([{"x": 1}], [], r"Wrong.measure gave no row at \{'x': 1\}: give figures by name"),
        ([{"x": 1}], [3.0], r"Wrong.measure gave \[3.0\] at \{'x': 1\}"),
        ([{"x": 1}], {}, r"Wrong.measure gave \[\{\}\] at"),
    ],
)
def test_a_study_that_is_wrong_says_so(places, found, sentence, tmp_path):
    @config
    class Wrong(Study):
        def places(self):
            return places

        def measure(self, place, shared):
            return found

    with pytest.raises(ValueError, match=sentence):
        run(Wrong(), tmp_path)
    del _KINDS[kind_of(Wrong)]


def test_columns_have_units():
    assert Column("u", "V", "volts") == ("u", "V", "volts", float("-inf"), float("inf"))

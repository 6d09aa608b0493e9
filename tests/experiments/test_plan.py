import json

import pytest

from mho.config import _KINDS, config, kind_of
from mho.devices import Generic, Independent
from mho.errors import ConfigError
from mho.experiments.chips import ChipStudy
from mho.experiments.experiment import Place, experiments, measure
from mho.experiments.plan import description, make_plan, plain, read_plan

BASE = {"kind": "experiments.ChipStudy", "chips": 2, "training": {"epochs": 3}}


def test_a_grid_is_every_combination_in_order():
    plan = make_plan({"study": BASE, "grid": {"hardware.adc.bits": [4, 6], "seed": [0, 1, 2]}})
    assert plan.kind == "experiments.ChipStudy"
    assert [tuple(c.fields.values()) for c in plan.cells] == [(b, s) for b in (4, 6) for s in (0, 1, 2)]
    assert [c.number for c in plan.cells] == list(range(6))
    study = description(plan.cells[5])
    assert isinstance(study, ChipStudy)
    assert (study.hardware.adc.bits, study.seed, study.chips, study.training.epochs) == (6, 2, 2, 3)
    assert study.hardware.dac.bits == 8 and study.training.learning_rate == 0.05  # untouched defaults


def test_a_list_is_its_rows_with_every_combination_of_the_grid():
    plan = make_plan(
        {
            "study": BASE,
            "list": [{"chips": 1, "seed": 5}, {"chips": 3}],
            "grid": {"hardware.tile.rows": [8, 16]},
        }
    )
    assert [c.fields for c in plan.cells] == [
        {"chips": 1, "seed": 5, "hardware.tile.rows": 8},
        {"chips": 1, "seed": 5, "hardware.tile.rows": 16},
        {"chips": 3, "hardware.tile.rows": 8},
        {"chips": 3, "hardware.tile.rows": 16},
    ]


def test_without_grid_and_list_there_is_one_cell():
    (cell,) = make_plan({"study": BASE}).cells
    assert cell.label == "" and description(cell).chips == 2


def test_whole_descriptions_are_values():
    devices = [{"kind": "devices.PCM", "g_max": 2e-5}, {"kind": "devices.Generic"}]
    plan = make_plan({"study": BASE, "grid": {"hardware.device": devices}})
    one, two = (description(c).hardware.device for c in plan.cells)
    assert (type(one).__name__, one.g_max, type(two)) == ("PCM", 2e-5, Generic)
    assert plan.cells[0].label == "device=PCM(g_max=2e-05)"
    error = {"kind": "devices.Independent", "sigma": 0.1}
    nested = {**BASE, "hardware": {"device": {"kind": "devices.Generic", "program": error}}}
    (cell,) = make_plan({"study": nested}).cells
    assert description(cell).hardware.device.program == Independent(sigma=0.1)


def test_keys_name_the_experiment_whatever_the_sweep():
    small = make_plan({"study": BASE, "grid": {"seed": [1]}})
    large = make_plan({"study": BASE, "grid": {"chips": [2, 3], "seed": [0, 1]}})
    assert small.cells[0].key in {c.key for c in large.cells}
    assert len({c.key for c in large.cells}) == 4


def test_files(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "study:\n  kind: experiments.ChipStudy\n  training: {learning_rate: 1e-2}\n"
        "grid:\n  hardware.device.g_max: [1e-5, 25e-6]\nreport: {metric: accuracy}\n"
    )
    plan = read_plan(path)
    assert [description(c).hardware.device.g_max for c in plan.cells] == [1e-5, 25e-6]
    assert description(plan.cells[0]).training.learning_rate == 0.01
    assert plan.report == {"metric": "accuracy"}
    as_json = tmp_path / "sweep.json"
    as_json.write_text(json.dumps({"study": BASE, "grid": {"seed": [0]}}))
    assert len(read_plan(as_json).cells) == 1


def test_a_file_imports_nothing_unless_it_is_allowed_to(tmp_path, monkeypatch):
    (tmp_path / "rogue.py").write_text("from pathlib import Path\nPath('executed').touch()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps({"imports": ["rogue"], "study": BASE, "grid": {"seed": [0]}}))
    with pytest.raises(ConfigError, match="sweep.json: imports = .*rogue.*say --allow-imports"):
        read_plan(path)
    assert not (tmp_path / "executed").exists()
    assert read_plan(path, allow_imports=True).imports == ("rogue",) and (tmp_path / "executed").exists()


@pytest.mark.parametrize("cls", experiments())
def test_every_experiment_can_be_swept_from_its_defaults(cls):
    from mho.config import kind_of

    (cell,) = make_plan({"study": {"kind": kind_of(cls)}}).cells
    assert description(cell) == cls()


def test_an_unknown_value_is_found_only_in_its_cell():
    plan = make_plan({"study": BASE, "grid": {"hardware.adc.bits": [4, -1]}})
    description(plan.cells[0])
    with pytest.raises(ConfigError, match="bits = -1"):
        description(plan.cells[1])


@pytest.mark.parametrize(
    "document, sentence",
    [
        (None, "a mapping with a 'study'"),
        ([], "a mapping with a 'study'"),
        ({"study": BASE, "grids": {}}, "a sweep has no 'grids'; did you mean 'grid'"),
        ({"study": {}}, "study needs a 'kind', one of .*experiments.BudgetStudy, experiments.ChipStudy"),
        ({"study": {"kind": "experiments.ChipStdy"}}, "did you mean 'experiments.ChipStudy'"),
        ({"study": {"kind": "devices.PCM"}}, "study has no 'devices.PCM'"),
        ({"study": {**BASE, "chip": 1}}, "study has no 'chip'; did you mean 'chips'"),
        (
            {"study": {**BASE, "training": {"epoch": 1}}},
            "study.training has no 'epoch'; did you mean 'epochs'",
        ),
        (
            {"study": BASE, "grid": {"hardware.adc.bit": [1]}},
            "hardware.adc has no 'bit'; did you mean 'bits'",
        ),
        ({"study": BASE, "grid": {"hardware.adc.kind": ["x"]}}, "hardware.adc has no 'kind'"),
        ({"study": BASE, "grid": {"seed.x": [1]}}, "seed.x: seed is 0, which has no 'x'; sweep seed itself"),
        ({"study": BASE, "grid": {"seed": []}}, "grid.seed = .*: give a list of at least one value"),
        ({"study": BASE, "grid": {"seed": 3}}, "grid.seed = 3: give a list"),
        ({"study": BASE, "grid": [1]}, "grid: give fields with lists of values"),
        ({"study": BASE, "list": {}}, "list: give rows of fields"),
        ({"study": BASE, "list": [{}]}, "list: give rows of fields"),
        ({"study": BASE, "grid": {"seed": [1, 1]}}, "cells 0 and 1 are the same experiment"),
        ({"study": BASE, "imports": ["no_such_module"]}, "imports: no_such_module: .* on PYTHONPATH"),
        ({"study": BASE, "imports": "toyexp"}, "imports = 'toyexp': give a list of modules"),
        ({"study": BASE, "imports": [3]}, "imports = .*: give a list of modules"),
        ({"study": BASE, "imports": [".near"]}, "imports = .*: give a list of modules"),
        ({"study": BASE, "report": "accuracy"}, "report = 'accuracy': give what to compare"),
        ({"study": BASE, "report": {"metrics": "a"}}, "report has no 'metrics'; did you mean 'metric'"),
        ({"study": BASE, "report": {"metric": ["a"]}}, "report.metric = .*: give the name of a figure"),
        ({"study": BASE, "report": {"cost": 3}}, "report.cost = 3: give the name of a figure"),
        ({"study": BASE, "report": {"fields": "seed"}}, "report.fields = 'seed': give a list"),
    ],
)
def test_sweeps_that_do_not_hold_together(document, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make_plan(document)


def test_a_field_cannot_have_the_name_of_a_column_of_every_table():
    @config
    class Named:
        error: int = 0

    measure.register(Named, lambda study, place: {"accuracy": 1.0})
    with pytest.raises(ConfigError, match="error: every table has a column of that name"):
        make_plan({"study": {"kind": kind_of(Named)}, "grid": {"error": [1, 2]}})
    del _KINDS[kind_of(Named)]


def test_values_in_words():
    assert plain({"kind": "devices.PCM"}) == "PCM"
    assert plain({"kind": "devices.Independent", "sigma": 0.5}) == "Independent(sigma=0.5)"
    assert plain([1, 2]) == "[1, 2]" and plain(None) == "null" and plain("a") == "a"


def test_an_experiment_that_is_not_registered(tmp_path):
    @config
    class Loose:
        seed: int = 0

    with pytest.raises(TypeError, match=r"Loose is no experiment: register .*measure.register"):
        measure(Loose(), Place(tmp_path, tmp_path))

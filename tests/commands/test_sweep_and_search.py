import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from mho.cli import app
from mho.config import save
from mho.experiments.chips import ChipStudy
from mho.experiments.fitting import Schedule
from mho.experiments.models import SmallCNN
from mho.experiments.search import SearchSpace, SearchStudy
from mho.report.sweep import figures, view

RUNNER = CliRunner()
PLAN = """
study:
  kind: experiments.ChipStudy
  chips: 1
  model: {kind: experiments.SmallCNN, first: 2, second: 2, hidden: 8}
  training: {epochs: 1}
grid:
  hardware.adc.bits: [3, 8, -1]
  hardware.tile.rows: [16, 64]
"""


def call(*words):
    return RUNNER.invoke(app, [str(word) for word in words], catch_exceptions=False)


def one_line(result, *parts):
    assert result.exit_code == 2, result.output
    flat = " ".join(result.output.split())
    for part in parts:
        assert part in flat, result.output
    assert "Traceback" not in result.output


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    plan = folder / "plan.yaml"
    plan.write_text(PLAN)
    return call("sweep", plan, "--output", folder / "out", "--workers", 1), folder


def test_sweep_writes_table_figures_and_page_and_tells_failed_cells(swept):
    result, folder = swept
    assert result.exit_code == 1, result.output
    assert "6 cells of experiments.ChipStudy" in result.output
    assert "cells: 6/6" in result.output
    assert "2 of 6 cells failed: see the column error; --retry runs them again" in result.output
    for name in ("curves.png", "heat_maps.png", "pareto.png"):
        assert (folder / "out" / name).read_bytes().startswith(b"\x89PNG")
    html = (folder / "out/report.html").read_text()
    assert html.count("data:image/svg+xml") == 3 and "mho sweep" in html and "ConfigError" in html
    assert len((folder / "out/results.csv").read_text().splitlines()) == 7


@pytest.mark.parametrize("cost", ["energy", "latency", "area", "energy_with_programming"])
def test_the_front_of_a_sweep_may_be_over_any_cost(swept, cost):
    table = pd.read_csv(swept[1] / "out/results.csv").fillna({"error": ""})
    what = view(table, ["hardware.adc.bits", "hardware.tile.rows"], {"cost": cost})
    unit = {"latency": "s", "area": "m2"}.get(cost, "J")
    axis = figures(what)["pareto.png"].axes[0].xaxis
    assert axis.get_label_text() == (f"{cost} ({unit})" if cost == "area" else cost)
    assert axis.get_major_formatter()(3e-9).endswith(f"n{unit}") == (cost != "area")
    assert table[cost].nunique() >= 2 and table[cost].notna().sum() == 4


def test_a_sweep_tells_why_costs_are_empty(tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        PLAN.partition("grid")[0]
        + "grid: {hardware.dac: [null, {kind: converters.DAC}], technology: [generic-32nm]}"
    )
    result = call("sweep", plan, "--output", tmp_path / "out", "--workers", 1)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "out/results.csv")
    assert table["energy"].notna().tolist() == [False, True] and set(table["technology"]) == {"generic-32nm"}
    assert "nobody knows the voltages of its inputs" in (tmp_path / "out/report.html").read_text()


@pytest.mark.usefixtures("sketches")
def test_sweep_again_runs_nothing(swept):
    _, folder = swept
    before = (folder / "out/results.csv").read_bytes()
    result = call("sweep", folder / "plan.yaml", "--output", folder / "out")
    assert result.exit_code == 1 and "cells: " not in result.output
    assert (folder / "out/results.csv").read_bytes() == before


@pytest.mark.parametrize(
    "text, words, parts",
    [
        (PLAN, ["--engine", "spark"], ["--engine spark: choose one of local, ray"]),
        (PLAN, ["--address", "auto"], ["--address is for --engine ray"]),
        (PLAN, ["--workers", "0"], ["workers = 0: at least 1"]),
        (PLAN.replace("adc.bits", "adc.bit"), [], ["hardware.adc has no 'bit'; did you mean 'bits'"]),
        ("study: [", [], ["not YAML"]),
        ("", [], ["a sweep is a mapping with a 'study'"]),
    ],
)
def test_bad_sweeps(tmp_path, text, words, parts):
    plan = tmp_path / "plan.yaml"
    plan.write_text(text)
    one_line(call("sweep", plan, "--output", tmp_path / "out", *words), *parts)


def test_a_plan_that_is_not_there(tmp_path):
    one_line(call("sweep", tmp_path / "none.yaml"), "none.yaml")


@pytest.mark.usefixtures("sketches")
def test_a_report_of_unknown_columns(swept, tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN + "report: {metric: speed}\n")
    _, folder = swept
    one_line(call("sweep", plan, "--output", folder / "out"), "report.metric: 'speed' is no column")


def test_without_ray_one_sentence(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    one_line(
        call("sweep", plan, "--engine", "ray", "--output", tmp_path / "out"),
        'ray is missing: pip install "mho[ray]"',
    )


# --- search --------------------------------------------------------------------------------------

SPACE = [
    "--adc-bits",
    "3,8",
    "--dac-bits",
    "8",
    "--tile-rows",
    "64",
    "--slices",
    "1",
    "--tolerance",
    "0.01,0.2",
]


def test_search_writes_front_hardware_and_page(tmp_path):
    pytest.importorskip("optuna", reason='optuna is not installed: pip install "mho[search]"')
    study = SearchStudy(
        base=ChipStudy(
            model=SmallCNN(first=2, second=4, hidden=16),
            training=Schedule(epochs=6, learning_rate=0.1),
            chips=1,
        ),
        space=SearchSpace(slices=(2,)),
    )
    save(study, tmp_path / "study.yaml")
    words = ["search", tmp_path / "study.yaml", *SPACE, "--target", "0.3", "--output", tmp_path / "out"]
    result = call(*words)
    assert result.exit_code == 0, result.output
    assert "4 of 4 descriptions" in result.output
    assert "Cheapest hardware that keeps 30.00 % of the validation images" in result.output
    for name in ("front.png", "report.html", "results.csv", "results.json", "hardware.yaml"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert found["study"]["space"]["slices"] == [1] and found["study"]["base"]["chips"] == 1
    drift = ["drift", "--hardware", tmp_path / "out/hardware.yaml", "--model", "small-cnn", "--chips", 1]
    small = ["--epochs", 1, "--tuning-epochs", 1, "--times", "1s", "--output", tmp_path / "drift"]
    assert call(*drift, *small).exit_code == 0  # the hardware it found is a description like any other
    other = ["--minimise", "area", "--technology", "generic-32nm", "--output", tmp_path / "area"]
    small = call("search", tmp_path / "study.yaml", *SPACE, "--target", "0.3", *other)
    assert small.exit_code == 0 and "Smallest hardware that keeps 30.00 %" in small.output
    assert "generic, 32 nm" in (tmp_path / "area/report.html").read_text()
    nothing = call("search", tmp_path / "study.yaml", *SPACE, "--target", "1", "--output", tmp_path / "high")
    assert nothing.exit_code == 0 and "No trial keeps 100.00 %" in nothing.output


@pytest.mark.parametrize(
    "words, parts",
    [
        (["--adc-bits", "4,many"], ["--adc-bits = '4,many': give whole numbers"]),
        (["--adc-bits", "4,4"], ["a value is there twice"]),
        (["--tolerance", "0"], ["tolerance.0 = 0"]),
        (["--minimise", "power"], ["--minimise power: choose one of energy, latency, area"]),
        (["--technology", "isac"], ["no 'isac'; did you mean 'isaac'"]),
        (["--target", "2"], ["SearchStudy.target = 2"]),
        (["--model", "cnn"], ["--model has no 'cnn'"]),
    ],
)
def test_bad_searches(words, parts, tmp_path):
    one_line(call("search", *words, "--output", tmp_path), *parts)


def test_a_file_that_is_no_search(tmp_path):
    save(ChipStudy(), tmp_path / "chips.yaml")
    one_line(call("search", tmp_path / "chips.yaml"), "a ChipStudy, not a SearchStudy")

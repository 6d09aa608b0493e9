import contextlib
import hashlib
import io
import json
import pickle
import sys
import tarfile

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from mho.cli import app
from mho.commands import quantize as command
from mho.experiments.data import download
from mho.experiments.progress import Progress
from mho.experiments.quantization import cifar_study
from mho.report.quantization import METHODS

RUNNER = CliRunner()
TINY = ["--epochs", "1", "--robustness-repeats", "2", "--times", "1d", "--noise", "0,5,20"]
HALF_ONE = (
    "ste_model.pth", "alpha_blend_model.pth", "baseline_model.pth", "ptq_model.pth", "experiment_results.pth",
    "training_curves.png", "test_accuracy_comparison.png", "training.csv", "results.json", "report.html",
)  # fmt: skip
HALF_TWO = (
    "robustness_experiment_results.pth", "combined_experiment_results.pth", "robustness_analysis.png",
    "robustness_metrics.png", "robustness.csv",
)  # fmt: skip


def call(*words):
    return RUNNER.invoke(app, ["quantize", *(str(word) for word in words)], catch_exceptions=False)


def one_line(result, *parts):
    """Status 2, one sentence with these parts, no traceback."""
    assert result.exit_code == 2, result.output
    flat = " ".join(result.output.split())
    for part in parts:
        assert part in flat, result.output
    assert "Traceback" not in result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "out"
    result = call(*TINY, "--output-dir", folder)
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_everything_is_written_and_loads_safely(folder):
    path, _ = folder
    for name in (*HALF_ONE, *HALF_TWO):
        assert (path / name).stat().st_size > 0
        if name.endswith(".png"):
            assert (path / name).read_bytes().startswith(b"\x89PNG")
        if name.endswith(".pth"):
            assert torch.load(path / name, weights_only=True)


def test_the_terminal_shows_all_methods_under_noise(folder):
    _, output = folder
    assert "No --data: the study runs on scikit-learn's digits with a SmallResNet" in output
    for method in ("full precision", "straight-through", "alpha blending", "post-training"):
        assert any(line.startswith(method) for line in output.splitlines())
    assert "20 % noise" in output
    assert "paired t-test" in output


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ("SingleDevice-200", "single devices (200 levels)"),
        ("DevicePair-9805", "device pairs (9,805 levels)"),
    ],
)
def test_the_terminal_names_the_most_robust_method_or_those_that_are_tied(folder, levels, words):
    """Rounding to thousands of levels may change no prediction: then two methods have one accuracy."""
    path, output = folder
    robustness = json.loads((path / "results.json").read_text())["robustness"]
    areas = {a["method"]: a["area"] for a in robustness["areas"] if a["levels"] in (levels, "none")}
    assert set(areas) == set(METHODS)
    first = [METHODS[m] for m, area in areas.items() if area == pytest.approx(max(areas.values()), abs=1e-9)]
    lines = [line for line in output.splitlines() if f" on {words}: " in line]
    assert len(lines) == 1
    if len(first) == 1:
        assert lines[0].startswith(f"Most robust on {words}: {first[0]}, mean accuracy ")
    else:
        together = " and ".join([", ".join(first[:-1]), first[-1]])
        assert lines[0].startswith(
            f"No method is the most robust on {words}: {together} are tied, mean accuracy "
        )


def test_the_page_holds_figures_and_the_command(folder):
    path, _ = folder
    html = (path / "report.html").read_text()
    assert html.count("data:image/svg+xml") == 4
    assert f"mho quantize --output-dir {path}" in html.replace("&#39;", "'")
    assert "http://" not in html.replace("http://www.w3.org", "") and "<script" not in html


def test_numbers_in_the_table_are_those_of_the_run(folder):
    path, output = folder
    document = json.loads((path / "results.json").read_text())
    for area in document["robustness"]["areas"]:
        assert f"{100 * area['area']:.2f}" in output
    assert document["images"]["test"] == 600


@pytest.mark.exhaustive
@pytest.mark.usefixtures("sketches")
def test_skip_robustness_trains_only(folder, tmp_path):
    result = call(*TINY, "--skip-robustness", "--output-dir", tmp_path / "half")
    assert result.exit_code == 0, result.output
    for name in HALF_ONE:
        assert (tmp_path / "half" / name).is_file()
    for name in HALF_TWO:
        assert not (tmp_path / "half" / name).exists()
    assert "noise" not in result.output
    again = call("--skip-training", "--output-dir", tmp_path / "half", *TINY[2:])
    assert again.exit_code == 0, again.output
    ours, theirs = (p / "robustness.csv" for p in (tmp_path / "half", folder[0]))
    assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.usefixtures("sketches")
def test_skip_training_takes_the_configuration_of_the_folder_and_trains_nothing(folder):
    path, _ = folder
    before = (path / "ste_model.pth").stat().st_mtime_ns
    result = call("--skip-training", *TINY[2:], "--output-dir", path)
    assert result.exit_code == 0, result.output
    assert "train " not in result.output
    assert (path / "ste_model.pth").stat().st_mtime_ns == before
    one_line(call("--skip-training", "--epochs", 3, "--output-dir", path), "epochs: it has 1, this run has 3")


def test_both_skips_draw_again(folder, tmp_path):
    path, _ = folder
    (path / "training_curves.png").unlink()
    result = call("--skip-training", "--skip-robustness", "--output-dir", path)
    assert result.exit_code == 0, result.output
    assert (path / "training_curves.png").is_file()


def test_missing_networks_name_the_command_that_makes_them(tmp_path):
    result = call("--skip-training", "--output-dir", tmp_path / "none")
    one_line(result, "baseline_model.pth is missing", "mho quantize --skip-robustness --output-dir")


@pytest.mark.usefixtures("sketches")
def test_a_command_that_failed_does_not_keep_the_folder(tmp_path):
    one_line(call("--skip-training", "--output-dir", tmp_path), "baseline_model.pth is missing")
    result = call(*TINY, "--skip-robustness", "--output-dir", tmp_path)
    assert result.exit_code == 0, result.output


@pytest.mark.exhaustive
@pytest.mark.usefixtures("sketches")
def test_the_second_half_takes_the_states_of_the_first(tmp_path):
    path = tmp_path / "states.csv"
    path.write_text("conductance_S\n1e-6\n2e-6\n5e-6\n")
    out = ["--output-dir", tmp_path / "out"]
    assert call(*TINY, "--skip-robustness", "--states", path, *out).exit_code == 0
    result = call("--skip-training", *TINY[2:], *out)
    assert result.exit_code == 0, result.output
    assert set(pd.read_csv(tmp_path / "out/robustness.csv")["levels"]) == {"SingleDevice-6", "DevicePair-7"}


@pytest.mark.usefixtures("sketches")
def test_training_alone_in_a_finished_folder_keeps_the_noise(folder):
    path, _ = folder
    before = json.loads((path / "results.json").read_text())["robustness"]
    result = call(*TINY, "--skip-robustness", "--output-dir", path)
    assert result.exit_code == 0, result.output
    assert json.loads((path / "results.json").read_text())["robustness"] == before
    assert "20 % noise" in result.output
    assert (path / "report.html").read_text().count("data:image/svg+xml") == 4


def test_out_of_memory_anywhere_is_a_sentence(tmp_path, monkeypatch):
    def short(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB\nmore")

    monkeypatch.setattr("mho.commands.quantize.run", short)
    result = call("--output-dir", tmp_path)
    one_line(
        result, "not enough memory (CUDA out of memory. Tried to allocate 20 MiB); choose a smaller model"
    )


def test_other_errors_of_torch_are_not_hidden(tmp_path, monkeypatch):
    def wrong(*arguments, **options):
        raise RuntimeError("a bug")

    monkeypatch.setattr("mho.commands.quantize.run", wrong)
    with pytest.raises(RuntimeError, match="a bug"):
        call("--output-dir", tmp_path)


def test_a_folder_of_another_configuration_is_refused(folder):
    path, _ = folder
    one_line(call(*TINY, "--lr", 0.2, "--output-dir", path), "learning_rate: it has 0.1, this run has 0.2")


@pytest.mark.usefixtures("sketches")
def test_quick_is_fewer_epochs_and_repeats(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "QUICK_EPOCHS", 1)
    monkeypatch.setattr(command, "QUICK_REPEATS", 1)
    result = call("--quick", *TINY[4:], "--output-dir", tmp_path)
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["study"]["training"]["epochs"] == 1
    assert document["robustness"]["test"]["repeats"] == 1
    assert "With one repeat there is no test" in result.output


def stop():
    raise KeyboardInterrupt


def test_options_reach_the_study(tmp_path, monkeypatch):
    path = tmp_path / "states.csv"
    path.write_text("conductance_S\n1e-6\n2e-6\n")
    seen = []
    monkeypatch.setattr(
        "mho.commands.quantize.run", lambda experiment, *_, **__: seen.append(experiment.study) or stop()
    )
    options = {
        "model": "small-cnn", "states": path, "normalisation": "affine-column", "epochs": 7,
        "annealing": "cosine-step", "batch-size": 32, "seed": 9, "lr": 0.03,
    }  # fmt: skip
    call("--quick", "--re-estimate", *(word for k, v in options.items() for word in (f"--{k}", v)))
    (study,) = seen
    assert type(study.model).__name__ == "SmallCNN"
    assert study.levels.states == (1e-6, 2e-6)
    assert study.normalisation.per_column
    assert (study.annealing, study.alpha_changes, study.re_estimate) == ("cosine", "step", True)
    t = study.training
    assert (t.epochs, t.learning_rate, t.batch, study.seed) == (7, 0.03, 32, 9)


@pytest.mark.parametrize(
    "words, parts",
    [
        (["--annealing", "square"], ["--annealing square: choose one of linear, cosine"]),
        (["--normalisation", "row"], ["--normalisation row: choose one of layer"]),
        (["--model", "ResNet19"], ["did you mean 'resnet1"]),
        (["--device", "diamond"], ["--device has no 'diamond'"]),
        (["--times", "soon"], ["'soon' is not a time"]),
        (["--robustness-repeats", "0"], ["RobustnessTest.repeats = 0"]),
        (["--noise", "5,much"], ["--noise 5,much: write percentages"]),
        (["--noise", "5,1"], ["they must rise"]),
        (["--epochs", "0"], ["Schedule.epochs = 0"]),
        (["--on", "cuda:99"], ["torch cannot compute there"]),
        (["--data", "nowhere"], ["there is no such folder", "cifar-10-batches-py"]),
        (["--states", "nowhere.csv"], ["nowhere.csv"]),
    ],
)
def test_bad_options(words, parts, tmp_path):
    one_line(call(*words, "--output-dir", tmp_path), *parts)


@pytest.mark.usefixtures("sketches")
def test_a_states_file_of_ones_own(tmp_path):
    path = tmp_path / "states.csv"
    path.write_text("conductance_S\n3e-6\n1e-6\n2e-6\n3e-6\n")
    result = call(*TINY, "--skip-robustness", "--states", path, "--output-dir", tmp_path / "out")
    assert result.exit_code == 0
    assert "1 of 4 states repeat another one" in result.output
    assert json.loads((tmp_path / "out/results.json").read_text())["study"]["levels"]["states"] == [
        1e-6,
        2e-6,
        3e-6,
    ]
    path.write_text("conductance_S\n3e-6\nnan\n")
    one_line(call("--states", path, "--output-dir", tmp_path / "other"), "line 3: 'nan' is not a conductance")


@pytest.mark.usefixtures("sketches")
def test_a_damaged_network_is_named_and_made_again_on_request(folder):
    path, _ = folder
    whole = (path / "ptq_model.pth").read_bytes()
    (path / "ptq_model.pth").write_bytes(whole[:1000])
    words = [*TINY, "--skip-robustness", "--output-dir", path]
    one_line(call(*words), "ptq_model.pth: damaged", "--recompute")
    result = call(*words, "--recompute")
    assert result.exit_code == 0, result.output
    made = torch.load(path / "ptq_model.pth", weights_only=True)["state"]
    truth = torch.load(io.BytesIO(whole), weights_only=True)["state"]
    assert all(torch.equal(made[k], v) for k, v in truth.items())


def test_without_matplotlib_the_results_are_kept(folder, tmp_path, monkeypatch):
    for method in ("baseline", "ste", "alpha_blend", "ptq"):
        (tmp_path / f"{method}_model.pth").write_bytes((folder[0] / f"{method}_model.pth").read_bytes())
    for name in ("matplotlib", "matplotlib.figure", "matplotlib.ticker"):
        monkeypatch.setitem(sys.modules, name, None)
    result = call(*TINY, "--skip-robustness", "--output-dir", tmp_path)
    assert result.exit_code == 0, result.output
    assert "matplotlib is missing: the figures are left out, the results are whole" in result.output
    assert (tmp_path / "experiment_results.pth").is_file() and (tmp_path / "report.html").is_file()
    assert not list(tmp_path.glob("*.png"))


# --- CIFAR-10 ------------------------------------------------------------------------------------


def cifar_archive(folder):
    """A tiny archive in the published layout: five batches of 4 images, a test batch of 6."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz") as tar:
        for name, n in [*((f"data_batch_{i}", 4) for i in range(1, 6)), ("test_batch", 6)]:
            content = {
                b"data": rng.integers(0, 256, (n, 3072)).astype(np.uint8),
                b"labels": rng.integers(0, 10, n).tolist(),
            }
            raw = pickle.dumps(content, protocol=2)
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
    return folder


class StopAfterOneEpoch(Progress):
    """Presses Ctrl-C after the first epoch of this run; remembers the stages."""

    def __init__(self):
        self.stages = []

    def stage(self, title, total, done=0):
        self.stages.append((title, total, done))
        return contextlib.nullcontext(self)

    def advance(self, detail=""):
        raise KeyboardInterrupt


def test_the_default_command_on_cifar_10_parses_trains_saves_and_resumes(tmp_path, monkeypatch):
    data, output = cifar_archive(tmp_path / "data"), tmp_path / "experiment_results"
    watch = StopAfterOneEpoch()
    monkeypatch.setattr(command, "for_terminal", lambda: watch)
    monkeypatch.chdir(tmp_path)
    for epoch in (1, 2):
        result = call("--data", data)
        assert result.exit_code == 130, result.output
        assert "ResNet18, 50 epochs" in result.output
        assert "Stopped. What is finished is kept in experiment_results" in result.output
        held = torch.load(output / "baseline_training.pth", weights_only=True)
        assert held["position"]["epoch"] == len(held["position"]["history"]) == epoch
    assert watch.stages == [("train baseline", 50, 0), ("train baseline", 50, 1)]
    study = json.loads((output / "study.json").read_text())["study"]
    from mho.config import from_dict

    assert from_dict(study) == cifar_study()


def test_download_fetches_checks_and_keeps(tmp_path):
    archive = cifar_archive(tmp_path / "published") / "cifar-10-python.tar.gz"
    md5 = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    path = download.fetch_cifar10(tmp_path / "data", archive.as_uri(), md5)
    assert path.read_bytes() == archive.read_bytes()
    assert download.fetch_cifar10(tmp_path / "data", "nonsense://", md5) == path
    with pytest.raises(ValueError, match="not the published archive"):
        download.fetch_cifar10(tmp_path / "other", archive.as_uri())
    assert not (tmp_path / "other").exists()


def test_download_where_the_network_does_not_allow_it(tmp_path, monkeypatch):
    monkeypatch.setattr(download.fetch_cifar10, "__defaults__", ("http://127.0.0.1:9/", "0"))
    result = call("--download", "--data", tmp_path / "data", "--output-dir", tmp_path / "out")
    one_line(
        result, "--download: http://127.0.0.1:9/ cannot be fetched from here", f"--data {tmp_path / 'data'}"
    )

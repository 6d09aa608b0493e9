"""``mho hwa``: files, table, options, and a run that is stopped."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

import mho
from mho.cli import app
from mho.experiments import hwa as experiment
from mho.experiments.data import DebianPackages, PythonProse, PythonSubjects
from mho.experiments.hwa import ChipTest, Course, HWAStudy, Sequence, Vision, study_for
from mho.experiments.models import LSTM, SmallResNet

RUNNER = CliRunner()
TINY = {
    "vision": HWAStudy(
        task=Vision(network=SmallResNet(width=4), test=100),
        teaching=Course(epochs=3, learning_rate=0.1),
        tuning=Course(epochs=1, learning_rate=0.02),
        calibration=64,
    ),
    "sequence": HWAStudy(
        task=Sequence(
            data=PythonProse(vocabulary=50),
            network=LSTM(embedding=8, hidden=8, layers=1, tied=True),
            length=8,
            train=1001,
            validation=201,
            test=201,
        ),
        teaching=Course(epochs=1, learning_rate=1.0),
        tuning=Course(epochs=1, learning_rate=0.5),
        calibration=32,
    ),
}
OPTIONS = ("--chips", "2", "--times", "1s,1y", "--workers", "1")
FILES = ("results.csv", "results.json", "report.html", "dashboard.png", "vision.png", "sequence.png")


def call(*words):
    return RUNNER.invoke(app, ["hwa", *(str(word) for word in words)], catch_exceptions=False)


def one_line(result, *parts):
    """Status 2, one sentence with these parts, no traceback."""
    assert result.exit_code == 2, result.output
    flat = " ".join(result.output.split())
    for part in parts:
        assert part in flat, result.output
    assert "Traceback" not in result.output


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(experiment, "study_for", lambda modality, *rest: TINY[modality])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hwa") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "study_for", lambda modality, *rest: TINY[modality])
        result = call("--modality", "vision,sequence", "--output", folder, *OPTIONS)
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_everything_is_written(finished):
    folder, _ = finished
    for name in FILES:
        assert (folder / name).stat().st_size > 0
        if name.endswith(".png"):
            assert (folder / name).read_bytes().startswith(b"\x89PNG")
    table = pd.read_csv(folder / "results.csv")
    assert list(table["modality"].unique()) == ["vision", "sequence"]
    assert set(table["chip"]) == {0, 1}
    parts = [pd.read_csv(folder / name / "results.csv") for name in ("vision", "sequence")]
    pd.testing.assert_frame_equal(table, pd.concat(parts, ignore_index=True))
    document = json.loads((folder / "results.json").read_text())
    assert set(document["modalities"]) == {"vision", "sequence"}
    assert document["command"].startswith("mho hwa --modality vision,sequence")


def test_the_terminal_shows_the_table_with_the_rule_and_the_verdicts(finished):
    _, output = finished
    lines = output.splitlines()
    assert any("digital" in line and "at 1 s" in line and "at 1 year" in line for line in lines)
    for name in ("SmallResNet on Digits, plain", "LSTM on PythonProse, hardware-aware"):
        assert sum(line.startswith(name) for line in lines) == 2
    assert sum("zero by construction" in line for line in lines) == 4
    assert "Status. iso-accurate:" in output
    assert "vision: after 1 year, compensated, the plain network is" in output
    assert "sequence: after 1 year, compensated, the plain network's log-perplexity is" in output


def test_the_page_is_whole_and_self_contained(finished):
    html = (finished[0] / "report.html").read_text()
    assert html.count("data:image/svg+xml") == 3
    assert "says nothing about chips" in html
    assert "mho hwa --modality vision,sequence" in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "<script" not in html


def test_plot_draws_the_dashboard_again(finished, tmp_path):
    folder, _ = finished
    result = RUNNER.invoke(
        app, ["plot", str(folder / "results.csv"), "--output", str(tmp_path / "again.svg")]
    )
    assert result.exit_code == 0, result.output
    assert "<svg" in (tmp_path / "again.svg").read_text()


@pytest.mark.usefixtures("sketches")
def test_evaluation_alone_trains_nothing_and_may_ask_for_other_times(finished, monkeypatch):
    folder, _ = finished
    networks = {path: path.read_bytes() for path in folder.glob("*/*.pt")}
    monkeypatch.setattr(
        experiment.networks.HWANetworks, "train", lambda *_: pytest.fail("a network was trained")
    )
    result = call(
        "--modality", "vision", "--output", folder, "--eval-only", "--chips", "1", "--times", "1h",
        "--workers", "1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "at the last time" in result.output  # those of the two modalities differ now
    assert set(pd.read_csv(folder / "vision" / "results.csv")["seconds"]) == {3600.0}
    assert all(path.read_bytes() == content for path, content in networks.items())


def test_evaluation_alone_needs_networks(tmp_path):
    one_line(
        call("--modality", "text", "--output", tmp_path, "--eval-only"), "holds no networks", "run without it"
    )


@pytest.mark.usefixtures("sketches")
def test_ctrl_c_keeps_what_is_finished(tiny, tmp_path, monkeypatch):
    from mho.experiments.hwa import networks as module

    original = module.HWANetworks.train

    def stopped(self, name):
        if name == module.AWARE:
            raise KeyboardInterrupt
        original(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(module.HWANetworks, "train", stopped)
        result = call("--modality", "vision", "--output", tmp_path, *OPTIONS)
    assert result.exit_code == 130
    assert "the same command goes on from there" in result.output
    kept = (tmp_path / "vision" / "teacher.pt").read_bytes()
    assert call("--modality", "vision", "--output", tmp_path, *OPTIONS).exit_code == 0
    assert (tmp_path / "vision" / "teacher.pt").read_bytes() == kept


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--modality", "speech"), ("--modality speech", "choose among vision, text, sequence")),
        (("--quick", "--paper"), ("choose one",)),
        (("--texts", "Digits", "--modality", "text"), ("--texts", "digits")),
        (("--chips", "0"), ("chips",)),
        (("--times", "1y,1s"), ("times", "rise")),
        (("--times", "never"), ("never",)),
        (("--hardware", "absent.yaml"), ("absent.yaml",)),
    ],
)
def test_bad_options_are_said_in_a_sentence(words, parts, tmp_path):
    one_line(call(*words, "--output", tmp_path), *parts)


def test_missing_data_names_the_files(tmp_path):
    one_line(
        call("--modality", "vision", "--data", tmp_path, "--output", tmp_path / "out"), "cifar-100-python"
    )
    one_line(
        call("--modality", "sequence", "--data", tmp_path, "--output", tmp_path / "out"), "wiki.train.tokens"
    )
    one_line(call("--modality", "text", "--data", tmp_path, "--output", tmp_path / "out"), "train.tsv")


def test_options_become_studies(tmp_path, monkeypatch):
    def asked(*words):
        """The studies and the test that a command line asks for."""
        seen = []

        def stop(studies, *_, **__):
            seen.extend(studies.values())
            raise KeyboardInterrupt

        monkeypatch.setattr("mho.commands.hwa.run_together", stop)
        assert call(*words, "--seed", 5, "--output", tmp_path / "out").exit_code == 130
        return [one.study for one in seen], seen[0].test

    hardware = mho.Hardware(device=mho.devices.HermesPCM())
    hardware.save(str(tmp_path / "chip.yaml"))
    own = ("--texts", "python-subjects", "--hardware", tmp_path / "chip.yaml")
    (study,), test = asked("--quick", "--modality", "text", *own)
    assert study.task.data == PythonSubjects()
    (usual,), _ = asked("--quick", "--modality", "text")
    (debian,), _ = asked("--quick", "--modality", "text", "--texts", "debian-packages")
    assert usual.task.data == PythonSubjects() and debian.task.data == DebianPackages()
    assert study.hardware == hardware
    assert study.seed == 5
    assert test == ChipTest()
    assert asked("--quick", "--modality", "vision")[0] == [study_for("vision", "quick", seed=5)]
    published = [study_for(name, "published", seed=5) for name in ("vision", "sequence")]
    assert asked("--paper", "--modality", "vision,sequence")[0] == published
    (real,), test = asked("--paper", "--modality", "sequence", "--data", tmp_path, "--times", "1s,1y")
    assert real == study_for("sequence", "published", True, seed=5)
    assert test.chips == 25 and test.times == (1.0, 31_536_000.0)

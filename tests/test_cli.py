import json
import re

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import mho
from mho.cli import app

from .forks import run_each

RUNNER = CliRunner()
TINY = ["--chips", "2", "--epochs", "1", "--tuning-epochs", "1", "--times", "1s,1y"]


def call(*words):
    return RUNNER.invoke(app, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "out"
    result = call("drift", *TINY, "--output", folder)
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_drift_writes_everything_and_says_where(folder):
    path, output = folder
    for name in ("results.json", "results.csv", "drift.png", "report.html"):
        assert (path / name).stat().st_size > 0
    assert (path / "drift.png").read_bytes().startswith(b"\x89PNG")
    assert f"{path}/report.html" in output
    assert "95 % interval" in output
    assert "chips: 4/4" in output


def test_the_page_tells_the_command(folder):
    path, _ = folder
    html = (path / "report.html").read_text()
    command = html.partition("<pre><code>")[2].partition("\n")[0]
    assert command.split()[:2] == ["mho", "drift"]
    assert sorted(command.split()[2:]) == sorted([*TINY, "--output", str(path)])


def test_the_same_command_finds_everything_done(folder):
    path, first = folder
    before = (path / "results.csv").read_bytes()
    result = call("drift", *TINY, "--output", path)
    assert result.exit_code == 0
    assert "4 of 4 chips were finished by an earlier run" in result.output
    assert (path / "results.csv").read_bytes() == before


@pytest.mark.usefixtures("sketches")
def test_options_reach_the_study(tmp_path):
    options = ["--bits", 6, "--tile-rows", 64, "--device", "hermes-pcm", "--seed", 3, "--weight-noise", 0.03]
    training = ["--learning-rate", 0.1, "--batch", 100, "--model", "small_cnn", "--data-set", "Digits"]
    times = ["--times", "1h,1d", "--chips", 1, "--epochs", 1]
    result = call("drift", *options, *training, *times, "--output", tmp_path)
    assert result.exit_code == 0, result.output
    study = json.loads((tmp_path / "results.json").read_text())["study"]
    hardware = study["hardware"]
    assert (hardware["dac"]["bits"], hardware["adc"]["bits"]) == (6, 6)
    assert (hardware["tile"]["rows"], hardware["tile"]["columns"]) == (64, 128)
    assert hardware["device"]["kind"] == "devices.HermesPCM"
    assert (study["seed"], study["chips"], study["times"]) == (3, 1, [3600.0, 86_400.0])
    assert study["hardware_aware"]["weight_noise"] == 0.03
    assert (study["training"]["learning_rate"], study["training"]["batch"]) == (0.1, 100)
    assert (study["fine_tuning"]["epochs"], study["fine_tuning"]["batch"]) == (1, 100)


@pytest.mark.usefixtures("sketches")
def test_a_hardware_file_is_the_chip(tmp_path):
    hardware = mho.Hardware(device=mho.devices.PCM(g_max=20e-6), tile=mho.Tile(rows=32, columns=32))
    hardware.save(str(tmp_path / "chip.yaml"))
    result = call("drift", *TINY, "--hardware", tmp_path / "chip.yaml", "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    study = json.loads((tmp_path / "out" / "results.json").read_text())["study"]
    assert mho.config.from_dict(study["hardware"]) == hardware


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--data-set", "digit"], "--data-set has no 'digit'; did you mean 'digits'?"),
        (["--model", "resnet19"], "did you mean 'resnet18'?"),
        (["--device", "PMC"], "did you mean 'pcm'?"),
        (["--data-set", "mnist"], "train-images-idx3-ubyte"),
        (["--data-set", "mnist", "--data", "absent"], "there is no such folder"),
        (["--data", "somewhere"], "come with scikit-learn"),
        (["--times", "1s,soon"], "'soon' is not a time"),
        (["--times", "1y,1s"], "must rise"),
        (["--device", "SONOS", "--times", "1s,100y"], "SONOS is known"),
        (["--bits", "0"], "bits = 0"),
        (["--chips", "0"], "chips = 0"),
        (["--epochs", "0"], "epochs = 0"),
        (["--tile-rows", "0"], "rows = 0"),
        (["--weight-noise", "-1"], "weight_noise = -1.0"),
        (["--learning-rate", "nan"], "learning_rate = nan"),
        (["--hardware", "absent.json"], "absent.json"),
        (
            ["--hardware", "chip.json", "--bits", "4"],
            "--bits: the file given with --hardware says that already",
        ),
        (["--on", "abacus"], "torch cannot compute there"),
    ],
)
def test_bad_input_is_one_clear_message_and_status_2(tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    result = call("drift", *words)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.startswith("mho: ")
    assert "Traceback" not in result.output


def test_a_folder_of_another_study_is_refused(folder):
    result = call("drift", *TINY, "--seed", 9, "--output", folder[0])
    assert result.exit_code == 2
    assert "study.seed: it has 0, this run has 9" in result.stderr


@pytest.mark.usefixtures("sketches")
def test_ctrl_c_keeps_and_tells(tmp_path, monkeypatch):
    from mho.experiments import drift

    real, calls = drift.one_chip, []

    def stops(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(drift, "one_chip", stops)
    result = call("drift", *TINY, "--output", tmp_path)
    assert result.exit_code == 130
    assert "the same command goes on from there" in result.output
    monkeypatch.setattr(drift, "one_chip", real)
    result = call("drift", *TINY, "--output", tmp_path)
    assert result.exit_code == 0
    assert "2 of 4 chips were finished by an earlier run" in result.output


@pytest.mark.usefixtures("sketches")
def test_quick_and_the_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("drift", "--quick", "--times", "1s").exit_code == 0
    (made,) = (tmp_path / "runs").iterdir()
    assert made.name.startswith("drift-digits-smallcnn-pcm-")
    study = json.loads((made / "results.json").read_text())["study"]
    assert (study["chips"], study["training"]["epochs"]) == (3, 3)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_plot_draws_again(folder, tmp_path, suffix):
    picture = tmp_path / f"again.{suffix}"
    result = call("plot", folder[0] / "results.csv", "--output", picture)
    assert result.exit_code == 0, result.output
    assert picture.stat().st_size > 1000


def test_plot_refuses_what_it_cannot_draw(folder, tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    assert "needs rows and the columns" in call("plot", tmp_path / "a.csv").stderr
    assert "absent.csv" in call("plot", tmp_path / "absent.csv").stderr
    result = call("plot", folder[0] / "results.csv", "--output", tmp_path / "a.txt")
    assert result.exit_code == 2
    assert "ends in .png, .svg or .pdf" in result.stderr


def test_devices_are_listed():
    result = call("devices")
    assert result.exit_code == 0
    for name in ("PCM", "Ideal", "ReRAMWan2022"):
        assert any(line.startswith(name + " ") for line in result.output.splitlines())


MISSING, SHELLS = ("typer", "pandas", "sklearn"), ("bash", "zsh", "fish")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """What the command line does where it is imported for the first time."""
    folder = tmp_path_factory.mktemp("fresh")
    words = ["drift", *TINY, "--output", str(folder / "out")]
    start = "import os, sys; from mho.cli import app; "
    programs = {
        name: f"import sys; sys.modules[{name!r}] = None; sys.argv[1:] = {words!r}; {start} app()"
        for name in MISSING
    }
    programs["loaded"] = f"{start} print(*sorted({{'pandas', 'matplotlib'}} & set(sys.modules)))"
    for shell in SHELLS:
        programs[shell] = f"{start} os.environ['_MHO_COMPLETE'] = 'source_{shell}'; app(prog_name='mho')"
    return run_each(programs, folder)


@pytest.mark.parametrize("missing", MISSING)
def test_a_missing_extra_is_one_sentence(missing, fresh):
    done = fresh[missing]
    assert done.status != 0
    assert 'pip install "mho[study]"' in done.err
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) == 1


def test_the_command_line_starts_without_pandas_and_matplotlib(fresh):
    assert fresh["loaded"] == (0, "\n", "")


def test_the_version():
    result = call("--version")
    assert (result.exit_code, result.output) == (0, f"mho {mho.__version__}\n")


@pytest.mark.parametrize("shell", SHELLS)
def test_shells_are_told_how_to_complete(shell, fresh):
    assert fresh[shell].status == 0 and "mho" in fresh[shell].out
    assert "--show-completion" in call("--help").output


def test_every_option_of_a_description_has_its_words_and_its_default():
    """Help comes from the docstrings of the fields: what each is, and what stands if it is not given."""
    for name, words in {
        "drift": ("Word lines (inputs) of an array", "128 if not given", "1s,1h,1d,30d,1y if not given"),
        "wires": ("Largest conductance of a cell", "2.5e-05 if not given"),
        "search": ("Of the space: largest error of a programmed", "0.01,0.02,0.05,0.1,0.2 if not given"),
        "quantize": ("--output-dir", "--robustness-repeats", "10 if not given"),
    }.items():
        flat = " ".join(call(name, "--help").output.replace("│", " ").split())
        for word in words:
            assert word.lower() in flat.lower(), (name, word)


def _programs(command, words=()):
    yield words, command
    for name, inside in getattr(command, "commands", {}).items():
        yield from _programs(inside, (*words, name))


@pytest.mark.parametrize("words", [words for words, _ in _programs(get_command(app))], ids=" ".join)
def test_help_shows_every_bracket(words):
    """Rich takes ``[real]`` for a style and drops it."""
    command = dict(_programs(get_command(app)))[words]
    written = [command.help or "", *(getattr(option, "help", None) or "" for option in command.params)]
    wanted = re.findall(r"\[[^\]]*\]", "".join(written).replace("\\[", "["))
    shown = RUNNER.invoke(app, [*words, "--help"], env={"COLUMNS": "500", "NO_COLOR": "1"}).output
    for text in wanted:
        assert text in shown and f"\\{text}" not in shown


def test_help_of_real_says_which_extra():
    shown = RUNNER.invoke(app, ["real", "--help"], env={"COLUMNS": "500", "NO_COLOR": "1"}).output
    assert 'pip install "mho[real]"' in shown

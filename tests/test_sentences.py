"""Where a sentence is due: what is wrong is said with the argument, the value and what to do."""

from __future__ import annotations

import errno
import json
import math
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import mho
from mho import array
from mho.array import _memory as memory
from mho.cli import app
from mho.config import write_whole
from mho.errors import DamagedChipError
from mho.experiments.drift import COLUMNS as DRIFT
from mho.experiments.fitting import Schedule, limited_threads, most_threads
from mho.experiments.hwa.tables import COLUMNS as HWA
from mho.experiments.store import DamagedRecordError, Log, Store
from mho.training import checkpoint

HARDWARE = mho.Hardware(device=mho.devices.PCM(read_scale=0.0), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8))
X = torch.linspace(-1, 1, 8).view(2, 4)
BATCH = (X, torch.tensor([0, 1]))


def on_chip(inputs: int = 4, outputs: int = 3) -> Any:
    analog: Any = mho.convert(nn.Sequential(nn.Linear(inputs, outputs)), HARDWARE)
    mho.calibrate(analog, [torch.ones(2, inputs)])
    mho.program(analog, seed=0)
    return analog.eval()


def said(*words: str) -> str:
    """What the command says, on one line; it ends with status 2."""
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 2, result.output
    return " ".join(result.output.split())


# --- networks of another shape -------------------------------------------------------------------


def other_weight(model: Any) -> str:
    model[0].weight = nn.Parameter(torch.zeros(3, 5))
    return r"weight has shape \(3, 5\): the array of '0' was made for \(3, 4\)"


def other_rank(model: Any) -> str:
    model[0].weight = nn.Parameter(torch.zeros(3))
    return r"weight has shape \(3,\): the array of '0' was made for \(3, 4\)"


def other_data(model: Any) -> str:
    model[0].weight.data = torch.zeros(5, 4)
    return r"weight has shape \(5, 4\): the array of '0' was made for \(3, 4\)"


@pytest.mark.parametrize("change", [other_weight, other_rank, other_data])
def test_weights_of_another_shape(change: Callable[[Any], str]) -> None:
    model = mho.convert(nn.Sequential(nn.Linear(4, 3)), HARDWARE)
    sentence = change(model)
    for verb in (lambda: model(X), lambda: mho.calibrate(model, [X]), lambda: mho.program(model, seed=0)):
        with pytest.raises(ValueError, match=sentence):
            verb()


def test_the_array_of_another_layer() -> None:
    model = on_chip()
    model[0].crossbar = on_chip(5, 2)[0].crossbar
    with pytest.raises(ValueError, match=r"x has shape \(2, 4\): its last size must be in_features = 5"):
        model(X)
    with pytest.raises(
        ValueError, match=r"weight has shape \(3, 4\): the array of '0' was made for \(2, 5\)"
    ):
        mho.program(model, seed=0)


@pytest.mark.parametrize("verb", [lambda m: m(X), lambda m: mho.calibrate(m, [X])])
def test_a_bias_of_another_shape(verb: Callable[[Any], object]) -> None:
    model = on_chip()
    model[0].bias = nn.Parameter(torch.zeros(7))
    with pytest.raises(ValueError, match=r"bias has shape \(7,\): the array of '0' was made for \(3,\)"):
        verb(model)


LAYERS: dict[str, tuple[nn.Module, int]] = {
    "linear": (nn.Linear(4, 3), 1),
    "conv1d": (nn.Conv1d(4, 3, 2), 1),
    "transposed": (nn.ConvTranspose2d(4, 3, 2), 1),
    "lstm": (nn.LSTM(4, 3), 1),
    "gru cell": (nn.GRUCell(4, 3), 1),
    "attention": (nn.MultiheadAttention(4, 2), 3),
    "bilinear": (nn.Bilinear(4, 5, 3), 2),
    "embedding": (nn.Embedding(4, 3), 1),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("x", [None, [1.0, 2.0], "x", np.ones((2, 4))], ids=["None", "list", "str", "numpy"])
def test_inputs_that_are_no_tensors(name: str, x: object) -> None:
    layer, count = LAYERS[name]
    analog = mho.convert(layer, mho.Hardware())
    with pytest.raises(TypeError, match=f"x is a {type(x).__name__}: .* takes a tensor"):
        analog(*[x] * count)


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "embedding"])
def test_inputs_without_axes(name: str) -> None:
    layer, count = LAYERS[name]
    analog = mho.convert(layer, mho.Hardware())
    with pytest.raises(ValueError, match="shape|axes"):
        analog(*[torch.tensor(1.0)] * count)


# --- nothing analog ------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["program", "calibrate", "age", "compensate", "conductances", "degrade"])
def test_a_conversion_in_which_nothing_became_analog(verb: str) -> None:
    arguments: dict[str, tuple[Any, ...]] = {"program": (0,), "calibrate": ([X],), "age": (1.0,)}
    layers = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2), nn.Linear(2, 2))
    left = mho.convert(layers, mho.Hardware(), select=lambda path, module: False)
    effect = ((mho.devices.StuckAt(lrs=0.1),), {"seed": 0}) if verb == "degrade" else ((), {})
    call = getattr(mho, verb)
    why = r"'0' \(Linear\): not selected; '1' .*; '3' .*; and 1 more"
    with pytest.raises(ValueError, match=rf"left all of it digital \({why}\); print\(model.report\)"):
        call(left, *arguments.get(verb, ()), *effect[0], **effect[1])
    none = mho.convert(nn.Sequential(nn.ReLU()), mho.Hardware())
    with pytest.raises(ValueError, match="it has no weights"):
        call(none, *arguments.get(verb, ()), *effect[0], **effect[1])
    with pytest.raises(ValueError, match="call mho.convert"):
        call(nn.Linear(4, 3), *arguments.get(verb, ()), *effect[0], **effect[1])


def test_the_reason_of_a_layer_that_cannot_be_mapped() -> None:
    class Mine(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    left = mho.convert(nn.Sequential(Mine(4, 3)), mho.Hardware())
    with pytest.raises(ValueError, match=r"'0' \(Mine\): Mine has a forward of its own"):
        mho.program(left, seed=0)


# --- chips that effects befell -------------------------------------------------------------------


def test_the_chip_of_a_degraded_model_says_how_it_is_loaded() -> None:
    degraded = on_chip()
    mho.degrade(degraded, mho.devices.StuckAt(lrs=0.3), seed=1)
    state = degraded.state_dict()
    with pytest.raises(DamagedChipError, match=r"mho.degrade puts .* convert with \{path: layer.hardware"):
        on_chip().load_state_dict(state)
    described = {path: layer.hardware for path, layer in mho.analog_modules(degraded).items()}
    again = mho.convert(nn.Sequential(nn.Linear(4, 3)), described).eval()
    again.load_state_dict(state)
    assert torch.equal(again(X), degraded(X))


# --- budgets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"compensation": 3}, "compensation = 3: give a mho.periphery.Compensation"),
        ({"compensation": mho.periphery.GlobalDrift}, "compensation = <class"),
        ({"seconds": "x"}, "seconds = 'x': give a number"),
        ({"progress": 3}, "progress = 3: give a function"),
        ({"metric": lambda model: "x"}, "metric gave 'x': it must be a number"),
        ({"metric": lambda model: torch.ones(2)}, "metric gave tensor"),
        ({"metric": [(X, torch.zeros(3))]}, r"labels \[3\], and the model gives \[2\] classes"),
        ({"metric": [(X, torch.zeros(2, 1))]}, r"labels \[2, 1\]"),
        ({"metric": [(X, [0, 1])]}, "labels list"),
        ({"metric": [(X[0], torch.tensor(0))]}, r"output is \[3\]: an accuracy needs \[batch, class\]"),
    ],
)
def test_budgets(given: dict[str, Any], sentence: str) -> None:
    given = {"metric": [BATCH], "data": [X], "chips": 1, "layers": False, **given}
    with pytest.raises((TypeError, ValueError), match=sentence):
        mho.budget(nn.Linear(4, 3), HARDWARE, **given)


# --- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, sentence",
    [("nan", "nan: it must be a time since"), ("inf", "inf"), ("-1", "-1"), ("soon", "soon"), ("", "nan")],
)
@pytest.mark.parametrize("columns", [DRIFT, HWA], ids=["drift", "hwa"])
def test_plots_of_impossible_times(
    tmp_path: Path, columns: tuple[str, ...], value: str, sentence: str
) -> None:
    path = table(tmp_path, columns, "seconds", value)
    assert f"results.csv, line 3: seconds = {sentence}" in said("plot", path)


@pytest.mark.parametrize("value, shown", [("x", "x"), ("", "nan"), ("-inf", "-inf")])
@pytest.mark.parametrize(
    "columns, name",
    [
        (DRIFT, "accuracy"),
        (DRIFT, "digital_accuracy"),
        (HWA, "value"),
        (HWA, "error"),
        (HWA, "digital_value"),
    ],
)
def test_plots_of_impossible_figures(
    tmp_path: Path, columns: tuple[str, ...], name: str, value: str, shown: str
) -> None:
    path = table(tmp_path, columns, name, value)
    assert f"results.csv, line 3: {name} = {shown}: it must be a finite number" in said("plot", path)


def table(folder: Path, columns: tuple[str, ...], name: str, value: str) -> str:
    """A table whose second row has another value."""
    row = dict.fromkeys(columns, "0.5")
    path = folder / "results.csv"
    path.write_text(
        "\n".join(",".join(line) for line in (columns, row.values(), {**row, name: value}.values()))
    )
    return str(path)


@pytest.mark.parametrize(
    "content, sentence", [(b"\xff\x00", "line 1: not a text in UTF-8"), (b"", "not a table")]
)
def test_plots_of_no_tables(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "results.csv"
    path.write_bytes(content)
    assert f"results.csv: {sentence}" in said("plot", str(path))


@pytest.mark.parametrize(
    "words",
    [("plot", "gone.csv"), ("sweep", "gone.yaml"), ("device", "fit", "gone.csv", "--layout", "states")],
)
def test_files_that_are_not_there(words: tuple[str, ...]) -> None:
    output = said(*words)
    assert f"{words[-1] if words[0] != 'device' else 'gone.csv'}: No such file or directory" in output
    assert "Errno" not in output


def test_a_record_without_rows_is_named(tmp_path: Path) -> None:
    study = Schedule(epochs=3, learning_rate=0.1)
    with Store(tmp_path, study, Log("chips.jsonl", key=("chip",))) as store:
        store.append({"chip": 0, "found": 1.0})
    log = Log("chips.jsonl", key=("chip",), needs=("rows",))
    with pytest.raises(DamagedRecordError, match="chips.jsonl, line 1: it has no 'rows', another mho"):
        Store(tmp_path, study, log)


# --- what does not fit ---------------------------------------------------------------------------


def test_wires_that_do_not_fit_into_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "machine_memory", lambda: 1e6)
    wires = array.Wires(row=1.0, column=1.0)
    with pytest.raises(ValueError, match=r"wires of 64 x 64 cells takes about .*mho.Tile\("):
        wires.effective_conductance(torch.full((64, 64), 1e-5, dtype=torch.float64))
    wires.effective_conductance(torch.full((16, 16), 1e-5, dtype=torch.float64))
    assert "wires of 64 x 64 cells" in said("wires", "--rows", "8", "--columns", "8", "--sizes", "8,64")


@pytest.mark.parametrize("number", [0, -1, 100_000, 1.5, True])
def test_threads_have_a_maximum(number: Any) -> None:
    with (
        pytest.raises(ValueError, match=f"threads = {number!r}: a whole number from 1 to {most_threads()}"),
        limited_threads(number),
    ):
        pass


def test_threads_of_commands(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep.json"
    sweep.write_text(json.dumps({"study": {"kind": "experiments.ChipStudy"}, "grid": {"seed": [0]}}))
    for words in (["wires"], ["sweep", str(sweep)], ["drift", "--quick"]):
        output = said(*words, "--threads", "100000", "--output", str(tmp_path / "out.png"))
        assert f"threads = 100000: a whole number from 1 to {most_threads()}" in output


# --- files that cannot be written ----------------------------------------------------------------


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Files of this process end at 4096 bytes, as on a full disk."""
    import signal

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk(tmp_path: Path) -> None:
    path, state = tmp_path / "network.pt", {"w": torch.zeros(10_000)}
    for write in (lambda p: torch.save(state, p), lambda p: p.write_bytes(bytes(10_000))):
        with pytest.raises(OSError, match=r"^.*network.pt: cannot be written") as error:
            write_whole(path, write)
        assert "unexpected pos" not in str(error.value) and "Errno" not in str(error.value)
        assert list(tmp_path.iterdir()) == []
    model = nn.Linear(100, 100)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(OSError, match=r"network.pt: cannot be written"):
        checkpoint.save(path, model, optimizer, None, [], checkpoint.Position())


def test_no_space_is_said_without_numbers_of_errors(tmp_path: Path) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with pytest.raises(OSError, match=r"^.*a.json: cannot be written: no space left on device$"):
        write_whole(tmp_path / "a.json", full)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"^.*b.json: cannot be written: "):
        write_whole(tmp_path / "file" / "b.json", full)


def test_errors_of_the_writer_itself_pass(tmp_path: Path) -> None:
    def broken(path: Path) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="^mine$"):
        write_whole(tmp_path / "a", broken)


def test_memory_that_is_full_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (MemoryError("1 GB"), RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 GB")):

        def full(*_: Any, error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr("mho.experiments.wires.WireStudy.run", full)
        assert "not enough memory" in said("wires")


def test_memory_of_the_machine_is_known() -> None:
    assert 1e8 < memory.machine_memory() < math.inf

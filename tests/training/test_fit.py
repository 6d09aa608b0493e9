"""The loop: what it computes, and that a training that was stopped goes on bit for bit."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import mho
from mho.training import Distillation, Epoch, Recipe, WeightNoise, attach, fit, supervised

SCRIPT = Path(__file__).with_name("resumable.py")
_spec = importlib.util.spec_from_file_location("resumable", SCRIPT)
assert _spec is not None and _spec.loader is not None
resumable = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(resumable)


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit, at any depth."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


class Stop(Exception):
    """The process is gone."""


def stopping(at: int) -> Any:
    def told(step: int) -> None:
        if step == at:
            raise Stop

    return told


@pytest.mark.parametrize(
    ("stops", "options"),
    [
        *(((2,), {}), ((8, 9, 20), {}), ((7, 14, 21), {})),
        *(((8, 9, 20), options) for options in ({"own_generator": False}, {"workers": 2})),
    ],
    ids=str,
)
def test_a_stopped_training_goes_on_bit_for_bit(
    stops: tuple[int, ...], options: dict[str, Any], tmp_path: Path
) -> None:
    """Before the first checkpoint, within epochs (they have 7 steps), and between two."""
    whole = resumable.everything(resumable.train(None, **options))
    path = tmp_path / "training.pt"
    for at in stops:
        with pytest.raises(Stop):
            resumable.train(path, told=stopping(at), **options)
    assert same(resumable.everything(resumable.train(path, **options)), whole)
    assert os.listdir(tmp_path) == ["training.pt"]


@pytest.mark.slow
def test_a_killed_process_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """SIGKILL at random steps, the second one after going on."""
    result = tmp_path / "result.pt"

    first, second = random.randint(1, 14), random.randint(1, 12)
    arguments = [sys.executable, str(SCRIPT), str(tmp_path / "training.pt"), str(result)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(
        arguments, env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True, **pipes
    ) as server:

        def run(kill_after: int | None) -> int:
            assert server.stdin is not None and server.stdout is not None
            print(file=server.stdin, flush=True)
            process = int(server.stdout.readline())
            for count, line in enumerate(server.stdout, 1):
                if line.startswith("ended"):
                    return int(line.split()[1])
                if count == kill_after:
                    time.sleep(random.uniform(0, 0.1))  # anywhere in a step, a write of the checkpoint too
                    os.kill(process, signal.SIGKILL)
            raise AssertionError("the program that starts processes ended")

        assert run(first) == -signal.SIGKILL
        assert run(second) == -signal.SIGKILL
        assert not result.exists()
        assert run(None) == 0
    found = torch.load(result)
    assert same(found["stopped"], found["whole"]), f"killed after {first}, then after {second} steps"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C stops: a shell has it ignored in what it runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_leaves_a_checkpoint(tmp_path: Path) -> None:
    """The step is finished, the checkpoint written, and the handler is as before."""
    path, handler = tmp_path / "training.pt", signal.getsignal(signal.SIGINT)

    def interrupt(step: int) -> None:
        if step == 10:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        resumable.train(path, told=interrupt, save_every=None)
    assert signal.getsignal(signal.SIGINT) is handler
    assert torch.load(path)["position"]["step"] == 11
    steps: list[int] = []
    out = resumable.everything(resumable.train(path, told=steps.append))
    assert steps[0] == 11 and same(out, resumable.everything(resumable.train(None)))
    with pytest.raises(KeyboardInterrupt):  # without a checkpoint Ctrl-C is Ctrl-C
        resumable.train(None, told=interrupt)


def test_a_finished_training_is_loaded_and_can_be_longer(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    _, _, history = resumable.train(path, epochs=2)
    steps: list[int] = []
    model, _, again = resumable.train(path, epochs=2, told=steps.append)
    assert again == history and not steps
    _, _, longer = resumable.train(path, epochs=3, told=steps.append)
    assert longer[:2] == history and len(longer) == 3 and len(steps) == 7
    assert same(longer, resumable.train(None, epochs=3)[2])


def data() -> tuple[Tensor, Tensor]:
    torch.manual_seed(2)
    x = torch.randn(40, 5)
    return x, (x[:, 0] > 0).long()


def test_it_is_the_plain_loop() -> None:
    """Autocast, clipping and a scheduler for each step, against the loop written out."""
    x, y = data()
    batches = list(zip(x.split(8), y.split(8), strict=True))
    ours, theirs = (nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 2)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.5, momentum=0.9) for m in (ours, theirs)]
    schedulers = [torch.optim.lr_scheduler.ExponentialLR(o, 0.97) for o in optimizers]
    seen: list[Epoch] = []
    history = fit(
        ours, batches, supervised(F.cross_entropy), optimizers[0], 3, scheduler=schedulers[0], bfloat16=True,
        clip_norm=0.1, on_epoch=seen.append,
    )  # fmt: skip
    means = []
    for _ in range(3):
        losses = []
        for a, b in batches:
            with torch.autocast("cpu", torch.bfloat16):
                loss = F.cross_entropy(theirs(a), b)
            optimizers[1].zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(theirs.parameters(), 0.1)
            optimizers[1].step()
            schedulers[1].step()
            losses.append(loss.item())
        means.append(sum(losses) / len(losses))
    assert same(dict(ours.state_dict()), dict(theirs.state_dict()))
    assert [epoch.loss for epoch in history] == pytest.approx(means, rel=1e-6) and seen == history
    assert [epoch.number for epoch in history] == [1, 2, 3]
    assert history[-1].rate == pytest.approx(0.5 * 0.97**15)


def test_early_stop_keeps_the_best() -> None:
    x, y = data()
    model = nn.Linear(5, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    values, states = [3.0, 2.0, 2.5, 2.0, 2.2, 1.0], []

    def validate(model: nn.Module) -> float:
        states.append({k: v.clone() for k, v in model.state_dict().items()})
        return values[len(states) - 1]

    loss = supervised(F.cross_entropy)
    history = fit(model, [(x, y)], loss, optimizer, 6, validate=validate, patience=3)
    assert [epoch.validation for epoch in history] == values[:5]
    assert same(dict(model.state_dict()), states[1])


@pytest.mark.parametrize("kind", ["plateau", "epoch"])
def test_schedulers_for_epochs(kind: str) -> None:
    x, y = data()
    model = nn.Linear(5, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler: Any = (
        torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=1)
        if kind == "plateau"
        else torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.1)
    )
    loader = DataLoader(TensorDataset(x, y), batch_size=10)
    history = fit(
        model, loader, supervised(F.cross_entropy), optimizer, 4, scheduler=scheduler, schedule_each="epoch",
        validate=lambda model: 1.0,
    )  # fmt: skip
    assert [epoch.rate for epoch in history] == pytest.approx([1, 1, 1, 0.1])


def test_a_recipe_with_a_teacher() -> None:
    """Distillation, dict batches and a model on arrays."""
    x, y = data()
    teacher = nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 2)).eval()
    student = mho.convert(teacher, mho.Hardware())
    attach(student, Recipe(modifiers=(WeightNoise(std=0.05, ramp_steps=5),), distillation=Distillation()))
    loss = Distillation().taught(F.cross_entropy, teacher)
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-3)
    history = fit(student, [(x, y)] * 4, loss, optimizer, 5)
    assert int(student[0].training_step) == 20 and history[-1].loss < history[0].loss

    def of_dicts(model: nn.Module, batch: dict[str, Any]) -> Tensor:
        assert batch["note"] == "kept" and isinstance(batch["more"], tuple)
        assert isinstance(batch["packed"], nn.utils.rnn.PackedSequence)
        return F.cross_entropy(model(batch["input"]), batch["labels"])

    packed = nn.utils.rnn.pack_sequence([x[0], x[1]])
    batch = {"input": x, "labels": y, "note": "kept", "more": (x, [y]), "packed": packed}
    fit(student, [batch], of_dicts, optimizer, 1)


def test_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    path, folder = tmp_path / "training.pt", tmp_path / "log"
    with pytest.raises(Stop):
        resumable.train(path, told=stopping(10), log=folder)
    _, _, history = resumable.train(path, log=folder)
    events = EventAccumulator(str(folder))
    events.Reload()
    losses = events.Scalars("step/loss")
    assert [e.step for e in losses] == list(range(1, 29))  # each step once, those done twice too
    for k, epoch in enumerate(history):
        assert sum(e.value for e in losses[7 * k : 7 * k + 7]) / 7 == pytest.approx(epoch.loss, rel=1e-5)
    for name, wanted in (
        ("loss", [e.loss for e in history]),
        ("validation", [e.validation for e in history]),
        ("rate", [e.rate for e in history]),
    ):
        assert [e.value for e in events.Scalars(f"epoch/{name}")] == pytest.approx(wanted)


def test_without_tensorboard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r"log = \.\.\. needs TensorBoard: pip install 'mho\[train\]'"):
        resumable.train(None, log=tmp_path)


def test_wrong_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    resumable.train(path, epochs=1)
    with pytest.raises(ValueError, match="had another recipe on '0'"):
        resumable.train(path, recipe=Recipe(modifiers=(WeightNoise(),)))
    with pytest.raises(ValueError, match="had a scheduler"):
        resumable.train(path, scheduler=None)
    x, y = data()
    other = nn.Linear(5, 2)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    loss = supervised(F.cross_entropy)
    bare = tmp_path / "bare.pt"
    fit(other, [(x, y)], loss, optimizer, 1, checkpoint=bare)
    with pytest.raises(ValueError, match="of another model or optimizer"):
        fit(nn.Linear(5, 3), [(x, y)], loss, optimizer, 1, checkpoint=bare)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="cannot be read .* delete it to begin anew"):
        resumable.train(path)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no epochs": ({"epochs": 0}, "epochs = 0: a whole number of at least 1"),
    "no patience": ({"patience": 0}, "patience = 0"),
    "nothing to wait for": ({"patience": 2}, "patience = 2 waits for a better validation"),
    "nowhere to save": ({"save_every": 5}, "save_every = 5: give the file too"),
    "no norm": ({"clip_norm": 0.0}, "clip_norm = 0.0"),
    "no such schedule": ({"schedule_each": "steps"}, "schedule_each = 'steps': choose 'step' or 'epoch'"),
    "no data": ({"loader": iter([])}, "loader gave no batch"),
    "diverged": ({"loss": lambda model, batch: model(batch[0]).sum() * float("nan")}, "diverged in epoch 1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_named(name: str) -> None:
    options, message = WRONG[name]
    x, y = data()
    model = nn.Linear(5, 2)
    given: dict[str, Any] = {
        "loader": [(x, y)],
        "loss": supervised(F.cross_entropy),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "epochs": 1,
        **options,
    }
    with pytest.raises(ValueError, match=message):
        fit(model, **given)

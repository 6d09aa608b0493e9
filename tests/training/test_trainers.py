"""The training loops of others: Trainer, Lightning and accelerate, unchanged but for convert and attach."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import mho
from mho.nn import AnalogLayer
from mho.training import OutputScale, Recipe, WeightClip, WeightNoise, attach, detach

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
SCRIPT = Path(__file__).with_name("trainer.py")
PCM = mho.Hardware(device=mho.devices.PCM())
RECIPE = Recipe(modifiers=(WeightClip(), OutputScale(), WeightNoise(std=0.05, ramp_steps=5)))
STEPS = 12


@pytest.fixture
def program() -> types.ModuleType:
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    spec = importlib.util.spec_from_file_location("trainer", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_trainer(program: types.ModuleType, tmp_path: Path) -> None:
    """A training that is killed and goes on is one that was not; the chip is there in another process."""

    tasks = ("killed", "resume", "load, and train a whole one")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), *tasks],
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ended = json.loads(done.stdout.splitlines()[-1])
    assert ended[tasks[0]] == [-signal.SIGKILL, ["checkpoint-2", "checkpoint-4"]]
    assert [ended[task][0] for task in tasks[1:]] == [0, 0], done.stderr[-3000:]
    resumed, whole, loaded = (torch.load(tmp_path / f"{name}.pt") for name in ("resume", "whole", "load"))
    assert len(whole["losses"]) == program.STEPS and resumed["losses"] == whole["losses"]
    assert torch.equal(resumed["logits"], whole["logits"])
    assert torch.equal(loaded["logits"], whole["logits"])
    scale = whole["logits"].std()
    assert (loaded["programmed"] - whole["logits"]).std() < 0.2 * scale  # read noise is left
    assert not torch.equal(loaded["programmed"], loaded["ideal"])


def data() -> TensorDataset:
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(48, 6, generator=generator)
    return TensorDataset(x, (x[:, 0] > 0).long())


def network() -> nn.Module:
    torch.manual_seed(0)
    return mho.convert(nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 2)), PCM)


def by_hand() -> nn.Module:
    """The loop that all others must be."""
    model = network()
    attach(model, RECIPE)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    torch.manual_seed(9)
    for _ in range(STEPS // 6):
        for x, y in DataLoader(data(), batch_size=8):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    detach(model)
    return model


def check(model: nn.Module) -> None:
    """The same weights to the last bit, and the same chip, as by hand."""
    wanted = by_hand()
    detach(model)
    for name, value in wanted.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)
    for one in (model, wanted):
        mho.program(one.eval(), seed=1)
    for path, g in mho.conductances(wanted).items():
        assert torch.equal(mho.conductances(model)[path], g)
    assert type(mho.revert(model)[0]) is nn.Linear


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_lightning(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = network()
            attach(self.model, RECIPE)

        def training_step(self, batch: list[Tensor], number: int) -> Tensor:
            x, y = batch
            return F.cross_entropy(self.model(x), y)

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=0.02)

    def trainer() -> Any:
        return lightning.Trainer(
            max_epochs=STEPS // 6, accelerator="cpu", logger=False, enable_progress_bar=False,
            enable_model_summary=False, enable_checkpointing=False, default_root_dir=str(tmp_path),
        )  # fmt: skip

    module, done = Module(), trainer()
    torch.manual_seed(9)
    done.fit(module, DataLoader(data(), batch_size=8))
    assert int(module.model[0].training_step) == STEPS
    done.save_checkpoint(tmp_path / "module.ckpt")
    again = Module.load_from_checkpoint(tmp_path / "module.ckpt")
    assert int(again.model[0].training_step) == STEPS
    check(again.model)
    check(module.model)


def test_accelerate(tmp_path: Path) -> None:
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    model = network()
    attach(model, RECIPE)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    loader = DataLoader(data(), batch_size=8)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    torch.manual_seed(9)
    for _ in range(STEPS // 6):
        for x, y in loader:
            optimizer.zero_grad()
            accelerator.backward(F.cross_entropy(model(x), y))
            optimizer.step()
    accelerator.save_state(str(tmp_path / "state"))
    step = int(accelerator.unwrap_model(model)[0].training_step)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    accelerator.load_state(str(tmp_path / "state"))
    inner = accelerator.unwrap_model(model)
    assert isinstance(inner[0], AnalogLayer) and step == STEPS
    check(inner)
    accelerator.save_model(model, str(tmp_path / "model"))
    other = network()
    accelerate.load_checkpoint_in_model(other, str(tmp_path / "model"), strict=False)
    x = torch.randn(3, 6)
    assert torch.equal(mho.revert(other)(x), mho.revert(inner)(x))

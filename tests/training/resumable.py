"""A training with every kind of randomness, as a program: python resumable.py checkpoint result.

It goes on from the checkpoint, and is done once more from the start, for comparison.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import mho
from mho.training import (
    DriftNoise,
    DropConnect,
    Epoch,
    OutputScale,
    Recipe,
    WeightClip,
    WeightNoise,
    attach,
    fit,
)

RECIPE = Recipe(
    modifiers=(WeightClip(), OutputScale(), WeightNoise(ramp_steps=17), DriftNoise(), DropConnect())
)


class Varied(Dataset[Any]):
    """Examples that numpy, Python and torch each vary anew."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(50, 6, generator=generator)
        self.y = (self.x.sum(1) > 0).long()

    def __len__(self) -> int:
        return 50

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        shift = 0.1 * (np.random.randn() + random.random() + float(torch.randn(())))  # noqa: NPY002
        return self.x[index] + shift, self.y[index]


def train(
    checkpoint: Path | None,
    epochs: int = 4,
    told: Callable[[int], None] = lambda step: None,
    recipe: Recipe = RECIPE,
    own_generator: bool = True,
    workers: int = 0,
    **options: Any,
) -> tuple[nn.Module, torch.optim.Optimizer, list[Epoch]]:
    """Train; ``told`` hears the number of each step before it is done."""
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))
    model = mho.convert(model, mho.Hardware(device=mho.devices.PCM()))
    attach(model, recipe)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    generator = torch.Generator().manual_seed(9) if own_generator else None
    data = Varied()
    loader = DataLoader(data, batch_size=8, shuffle=True, generator=generator, num_workers=workers)

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        told(int(model[0].training_step))
        return F.cross_entropy(model(batch[0]), batch[1])

    def validate(model: nn.Module) -> float:
        assert not model.training
        with torch.no_grad():
            return float(F.cross_entropy(model(data.x), data.y)) + 0.001 * float(torch.rand(()))

    options = {
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=100),
        "validate": validate,
        "clip_norm": 0.5,
        "save_every": 3 if checkpoint is not None else None,
        **options,
    }
    history = fit(model, loader, loss, optimizer, epochs, checkpoint=checkpoint, **options)
    return model, optimizer, history


def everything(result: tuple[nn.Module, torch.optim.Optimizer, list[Epoch]]) -> dict[str, Any]:
    """All that a training left."""
    model, optimizer, history = result
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "history": [tuple(epoch) for epoch in history],
        "next": (torch.rand(3), torch.tensor(np.random.rand(3)), random.random()),  # noqa: NPY002
    }


def main(checkpoint: Path, result: Path) -> None:
    """Say the number of this process and each step, and leave what came out."""

    def told(step: int) -> None:
        print(step, flush=True)
        time.sleep(0.03)  # for the one who kills

    print(os.getpid(), flush=True)
    found = {"stopped": everything(train(checkpoint, epochs=8, told=told))}
    found["whole"] = everything(train(result.with_name("whole.pt"), epochs=8))
    torch.save(found, result)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for _ in sys.stdin:  # each line is a process, which need not import torch again
        process = os.fork()
        if process == 0:
            np.random.seed()  # noqa: NPY002  # as in a process that imports it
            main(Path(sys.argv[1]), Path(sys.argv[2]))
            os._exit(0)
        print("ended", os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)

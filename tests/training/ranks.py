"""Trainings in several processes, as a program: torchrun --nproc-per-node 2 ranks.py <folder> <what>...."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

import mho
from mho.training import (
    DropConnect,
    FixedClip,
    LearnedClip,
    Modifier,
    OutputScale,
    Recipe,
    WeightClip,
    WeightNoise,
    WeightRange,
    attach,
    detach,
)

PCM = mho.Hardware(device=mho.devices.PCM(), tile=mho.Tile(rows=8, columns=8))
QUIET: tuple[Modifier, ...] = (
    WeightRange(every=3),
    FixedClip(limit=0.9, relative_to="range"),
    WeightClip(sigmas=1.2),
    OutputScale(),
    LearnedClip(),
)
RECIPES = {
    "quiet": Recipe(modifiers=QUIET),
    "clipped": Recipe(modifiers=(WeightClip(sigmas=1.2, relative_to="column"),)),
    "noisy": Recipe(modifiers=(WeightNoise(std=0.2), DropConnect(p=0.1))),
}
STEPS = 6


class Network(nn.Module):
    """Layers with one array and with several, and sizes that do not divide by two."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 6, 3)
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.fc = nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 3))

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.lstm(self.conv(x).transpose(1, 2))
        return self.fc(y[:, -1])


def network(bias_rows: int = 1) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return mho.convert(Network(), PCM, bias_rows=bias_rows)


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(STEPS, 8, 3, 7, generator=generator)
    return x, (x.sum((2, 3)) > 0).long()


def train(model: nn.Module, seed: int | None = None) -> list[float]:
    """Each rank takes its part of every batch; returns the mean losses over the ranks."""
    ranks, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
    if seed is not None:
        torch.manual_seed(seed + rank)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    losses = []
    for x, y in zip(*data(), strict=True):
        part = slice(rank * len(x) // ranks, (rank + 1) * len(x) // ranks)
        loss = F.cross_entropy(model(x[part]), y[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean = loss.detach().clone()
        if ranks > 1:
            dist.all_reduce(mean)
        losses.append(float(mean) / ranks)
    return losses


def sharded(model: nn.Module) -> nn.Module:
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for child in (model.conv, model.lstm, model.fc):
        fully_shard(child, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def whole_state(model: nn.Module) -> dict[str, Any]:
    return get_model_state_dict(model, options=StateDictOptions(full_state_dict=True))


def outcome(model: nn.Module, losses: list[float]) -> dict[str, Any]:
    """What this rank has after training: losses, a chip of a year, and what it computes."""
    model.eval()
    state = {name: value.clone() for name, value in whole_state(model).items()}
    mho.program(model, seed=7)
    mho.age(model, 31_536_000)
    torch.manual_seed(11)
    with torch.no_grad():
        y = model(data()[0][0])
    return {"losses": losses, "state": state, "g": mho.conductances(model), "y": y}


def curves(folder: Path, wrap: Any) -> dict[str, Any]:
    found = {}
    for name, recipe in RECIPES.items():
        model = network()
        attach(model, recipe)
        model = wrap(model)
        found[name] = outcome(model, train(model, seed=20))
    return found


def ddp(folder: Path) -> dict[str, Any]:
    return curves(folder, nn.parallel.DistributedDataParallel)


def fsdp(folder: Path) -> dict[str, Any]:
    """The sharded checkpoint has the chip, too."""
    found = curves(folder, sharded)
    model = sharded(network())
    train(model)
    dcp.save({"model": model.state_dict()}, checkpoint_id=str(folder / "weights"))
    before = outcome(model, [])
    dcp.save({"model": model.state_dict()}, checkpoint_id=str(folder / "chip"))
    return {**found, "checkpoint": before}


def one(folder: Path) -> dict[str, Any]:
    return curves(folder, lambda model: model)


def seeds(folder: Path) -> dict[str, Any]:
    """The noise that each rank draws, all seeded alike and each with its own seed."""
    model = nn.parallel.DistributedDataParallel(network())
    attach(model, RECIPES["noisy"])
    x = data()[0][0]
    found = {}
    for name, seed in (("alike", 5), ("apart", 5 + dist.get_rank())):
        torch.manual_seed(seed)
        found[name] = [model(x).detach() for _ in range(3)]
    return found


def chips(folder: Path) -> dict[str, Tensor]:
    """What each rank trains on, having programmed a chip of its own."""
    found = {}
    for broadcast in (True, False):
        model = network()
        attach(model, Recipe())  # with a buffer: DDP that meets none sends none later
        model = nn.parallel.DistributedDataParallel(model, broadcast_buffers=broadcast)
        mho.program(model, seed=dist.get_rank())
        mho.train_on_chip(model)
        F.cross_entropy(model(data()[0][0]), data()[1][0]).backward()
        found["shared" if broadcast else "own"] = mho.conductances(model)["fc.0"]
    return found


def late(folder: Path) -> dict[str, str]:
    """What is said to learned things that come, or go, after sharding."""
    scaled, plain = (mho.convert(nn.Sequential(nn.Linear(6, 4)), mho.Hardware()) for _ in range(2))
    attach(scaled, Recipe(modifiers=(OutputScale(),)))
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    found = {}

    def told(name: str, verb: Callable[..., None], *arguments: Any) -> None:
        try:
            verb(*arguments)
        except ValueError as error:
            found[name] = str(error)

    for model in (scaled, plain):
        fully_shard(model, mesh=mesh)
    told("attach", attach, plain, Recipe(modifiers=(WeightClip(), OutputScale())))
    assert plain[0].modifiers == () and plain(torch.ones(2, 6)).shape == (2, 4)
    told("detach", detach, scaled)
    scaled(torch.ones(2, 6))  # the Parameters of the outermost module stay gathered
    told("detach, gathered", detach, scaled)
    return found


def low(folder: Path) -> Tensor:
    """A Parameter in float32 that is clipped in a forward in bfloat16."""
    torch.manual_seed(0)
    model = mho.convert(nn.Linear(40, 31), mho.Hardware())
    attach(model, Recipe(modifiers=(WeightClip(sigmas=1.0),)))
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    fully_shard(model, mesh=mesh, mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16))
    model(torch.ones(2, 40)).sum().backward()
    return model.weight.full_tensor().detach()


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    dist.init_process_group("gloo")
    for what in sys.argv[2:]:
        torch.save(globals()[what](folder), folder / f"{what}{dist.get_rank()}.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

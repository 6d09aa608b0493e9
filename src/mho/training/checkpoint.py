"""A training put down and taken up again, bit for bit.

A checkpoint holds everything that the next step depends on: Parameters and buffers (the count of steps of
a recipe's ramps is one), optimizer and scheduler, all random streams (torch on the CPU and on every CUDA
device, numpy, Python, the generators of the loader), and the place in the data: the streams as they were
when the epoch began, from which the loader gives the same order again, and the batches that are done.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mho import config
from mho.config.sealed import load_tensors, save_tensors
from mho.nn import Crossbar
from mho.nn.walk import walk

FORMAT = 1
Streams = dict[str, Any]


@dataclasses.dataclass
class Position:
    """How far a training is.

    Attributes:
        epoch: epochs that are done.
        batch: batches of the next epoch that are done.
        step: steps that are done, of all epochs.
        losses: the losses of those batches.
        epoch_start: the random streams when that epoch began; None between two epochs.
        history: one entry for each epoch that is done (see ``mho.training.Epoch``).
        best: the lowest validation so far.
        best_epoch: the epoch that gave it, from 1; 0 for none yet.
        best_state: the model's state after it.
        finished: whether the training stopped early.
        seconds: wall time that it took so far, over all runs.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    losses: list[Tensor] = dataclasses.field(default_factory=list)
    epoch_start: Streams | None = None
    history: list[tuple[Any, ...]] = dataclasses.field(default_factory=list)
    best: float | None = None
    best_epoch: int = 0
    best_state: dict[str, Any] | None = None
    finished: bool = False
    seconds: float = 0.0


def random_streams(loader: Iterable[Any]) -> Streams:
    """The present states of all random streams."""
    numpys: Any = np.random.get_state()  # noqa: NPY002
    name, keys, place, has, cached = numpys
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), int(place), int(has), float(cached)),
        "python": random.getstate(),
        "loader": [generator.get_state() for generator in _generators(loader)],
    }


def set_random_streams(streams: Streams, loader: Iterable[Any]) -> None:
    """Put the states of all random streams back."""
    torch.set_rng_state(streams["torch"])
    if streams["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(streams["cuda"])
    name, keys, *rest = streams["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    random.setstate(streams["python"])
    for generator, state in zip(_generators(loader), streams["loader"], strict=True):
        generator.set_state(state)


def _generators(loader: Iterable[Any]) -> list[torch.Generator]:
    """The generators of a loader, of its samplers and of its data set."""
    places = [loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)]
    places += [getattr(places[2], "sampler", None), getattr(loader, "dataset", None)]
    found = [getattr(place, "generator", None) for place in places]
    return list({id(g): g for g in found if isinstance(g, torch.Generator)}.values())


def save(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    loader: Iterable[Any],
    position: Position,
) -> None:
    """Write a checkpoint; the file is whole or not there."""
    values = {f.name: getattr(position, f.name) for f in dataclasses.fields(position)}
    values["losses"] = torch.stack(position.losses) if position.losses else torch.zeros(0)
    state = {
        "format": FORMAT,
        "model": model.state_dict(),
        "recipe": recipes(model),
        "optimizer": optimizer.state_dict(),
        "scheduler": None if scheduler is None else scheduler.state_dict(),
        "streams": random_streams(loader),
        "position": values,
    }
    save_tensors(path, state)


def load(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, scheduler: Any
) -> tuple[Position, Streams]:
    """Put the state of a checkpoint into a model, its optimizer and its scheduler.

    Returns:
        How far the training was, and the random streams at that point.

    Raises:
        ValueError: the file is damaged, no checkpoint, or of another model, recipe, optimizer or scheduler.
    """
    try:
        state = load_tensors(path, remedy="delete it to begin anew")
    except (ValueError, OSError) as error:
        raise ValueError(f"checkpoint = {str(path)!r} cannot be read ({error})") from None
    if state.get("format") != FORMAT:
        raise ValueError(f"checkpoint = {str(path)!r} is none of this mho: delete it, or give another path")
    here, there = recipes(model), state["recipe"]
    for name in sorted({*here, *there}):
        if here.get(name) != there.get(name):
            raise ValueError(
                f"checkpoint = {str(path)!r}: its training had another recipe on {name or 'the layer'!r} "
                f"({there.get(name)}; here {here.get(name)}): attach that one first, or give another path"
            )
    if (state["scheduler"] is None) != (scheduler is None):
        raise ValueError(
            f"checkpoint = {str(path)!r}: its training had {'no' if scheduler else 'a'} scheduler: give the "
            "same arguments, or another path"
        )
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise ValueError(
            f"checkpoint = {str(path)!r} is of another model or optimizer ({error}): give another path"
        ) from None
    if scheduler is not None:
        scheduler.load_state_dict(state["scheduler"])
    position = Position(**state["position"])
    place = optimizer.param_groups[0]["params"][0].device
    position.losses = list(state["position"]["losses"].to(place).unbind())
    return position, state["streams"]


def recipes(model: nn.Module) -> dict[str, list[Any]]:
    """The modifiers of each analog layer as plain dicts; of classes without description, their names."""
    return {
        path: [
            config.to_dict(m) if dataclasses.is_dataclass(m) else type(m).__name__ for m in layer.modifiers
        ]
        for path, layer in walk(model)
        if isinstance(layer, Crossbar)
    }

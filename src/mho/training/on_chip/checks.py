"""What an optimizer of pulses is given, looked at before anything is done with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mho.config import to_dict
from mho.nn import Crossbar, crossbars
from mho.training.on_chip.learner import Learner
from mho.training.on_chip.rules import Rule, Work
from mho.training.on_chip.weights import PulsedWeights

FORMAT = 1
"""Of the states of optimizers."""


def arrays_of(groups: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Crossbar]]]:
    """The groups without their models, and the arrays of each by path."""
    found, seen = [], set()
    for group in groups:
        if not isinstance(group.get("model"), nn.Module):
            raise TypeError('params: give a model, or dicts such as {"model": model.head, "lr": 0.1}')
        arrays = {array.path: array for array in crossbars(group.pop("model")).values()}
        for path, array in arrays.items():
            if id(array) in seen:
                raise ValueError(
                    f"params: the array {path!r} is in two groups; give each part of a model once"
                )
            seen.add(id(array))
            array.require_chip("PulsedOptimizer")
        found.append((group, arrays))
    return found


def parameters_on(arrays: dict[str, Crossbar]) -> list[nn.Parameter]:
    """The Parameters that lie on the arrays, each once."""
    return list({id(p): p for array in arrays.values() for p in array.sources()}.values())


def one_process() -> None:
    """Raise ``ValueError`` where several processes train copies: each would send its own pulses."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
        raise ValueError(
            f"there are {distributed.get_world_size()} processes: each would pulse a chip of its own, and "
            "these would come apart; train on the chip in one process"
        )


def whole_steps(name: str, value: int) -> int:
    """A number of steps; ``ValueError`` if it is none."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} = {value!r}: a whole number of steps, at least 1")
    return value


def rate(lr: float) -> float:
    """A learning rate; ``ValueError`` if it is none."""
    if isinstance(lr, bool) or not 0 <= float(lr) < math.inf:
        raise ValueError(f"lr = {lr!r}: a learning rate is 0 or more")
    return float(lr)


def check_work(path: str, learner: Learner, work: Work) -> None:
    """Raise ``ValueError`` unless these vectors can be sent to this chip."""
    seconds = learner.seconds
    if seconds > 0:
        raise ValueError(
            f"the chip of {path!r} is {seconds:g} s old: pulses move cells that have just been programmed; "
            "call mho.age(model, 0) before training goes on"
        )
    if math.isfinite(float(work.x.sum()) + float(work.d.sum())):
        return
    for name, values in (("inputs", work.x), ("errors", work.d)):
        if not bool(torch.isfinite(values).all()):
            raise ValueError(
                f"{name} of {path!r} are NaN or infinite: no pulse was sent; lower the learning rate, or "
                "look at the loss"
            )


def checked_state(
    state_dict: Mapping[str, Any], rule: Rule, seed: int, digital: Any, arrays: Mapping[str, PulsedWeights]
) -> dict[str, Any]:
    """The part of a state that is this optimizer's, if it belongs to it."""
    mine = state_dict.get("on_chip")
    if not isinstance(mine, dict) or mine.get("format") != FORMAT:
        raise ValueError(
            f"state_dict is none of a PulsedOptimizer of format {FORMAT}: give what its state_dict() returned"
        )
    wanted = {"rule": to_dict(rule), "seed": seed}
    if (mine["digital"] is None) != (digital is None):
        state, here = ("without" if value is None else "with" for value in (mine["digital"], digital))
        raise ValueError(f"state_dict is of an optimizer {state} digital = ..., and this one is {here} it")
    for name, value in wanted.items():
        if mine[name] != value:
            raise ValueError(
                f"state_dict has {name} = {mine[name]!r} and the optimizer {value!r}: make it alike"
            )
    if set(arrays) != set(mine["arrays"]):
        raise ValueError(
            f"state_dict is of the arrays {sorted(mine['arrays'])} and the model has {sorted(arrays)}: "
            "load it into the same network"
        )
    for name, array in arrays.items():
        shape = tuple(mine["arrays"][name]["weight"].shape)
        if shape != tuple(array.shown().shape):
            raise ValueError(
                f"state_dict has cells {shape} for {name!r}, and the model {tuple(array.shown().shape)}"
            )
    return mine

"""Non-idealities of a patched network, one after the other."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from torch import nn

from mho.compat.memtorch.bh.nonideality.DeviceFaults import apply_device_faults
from mho.compat.memtorch.bh.nonideality.Endurance import apply_endurance_model
from mho.compat.memtorch.bh.nonideality.FiniteConductanceStates import apply_finite_conductance_states
from mho.compat.memtorch.bh.nonideality.NonLinear import apply_non_linear
from mho.compat.memtorch.bh.nonideality.Retention import apply_retention_model
from mho.compat.memtorch.bh.StochasticParameter import fresh_seed
from mho.config import unknown_key


class NonIdeality(Enum):
    """What can befall the cells."""

    FiniteConductanceStates = 1
    DeviceFaults = 2
    NonLinear = 3
    Endurance = 4
    Retention = 5


_APPLY: dict[NonIdeality, Callable[..., None]] = {
    NonIdeality.FiniteConductanceStates: apply_finite_conductance_states,
    NonIdeality.DeviceFaults: apply_device_faults,
    NonIdeality.NonLinear: apply_non_linear,
    NonIdeality.Endurance: apply_endurance_model,
    NonIdeality.Retention: apply_retention_model,
}


def apply_nonidealities(
    model: nn.Module, non_idealities: Sequence[NonIdeality], *, seed: int | None = None, **arguments: Any
) -> nn.Module:
    """Let non-idealities befall a patched network, in their order.

    Args:
        model: what ``patch_model`` made; it is changed.
        non_idealities: which.
        seed: of all draws; None to draw one by torch's global generator.
        arguments: of all of them; see the ``apply_`` function of each.

    Returns:
        The model.

    Raises:
        TypeError: an argument that none of them has.
    """
    if not non_idealities:
        raise ValueError(f"non_idealities = {non_idealities!r}: give one at least")
    names = {which: _arguments(which) for which in non_idealities}
    known = sorted(set().union(*names.values()))
    for name in arguments:
        if name not in known:
            listed = ", ".join(which.name for which in names)
            raise TypeError(unknown_key(name, known, f"apply_nonidealities with {listed}"))
    seed = fresh_seed() if seed is None else seed
    for number, which in enumerate(non_idealities):
        own = {name: value for name, value in arguments.items() if name in names[which]}
        if "seed" in inspect.signature(_APPLY[which]).parameters:
            own["seed"] = seed + number
        _APPLY[which](model, **own)
    return model


def _arguments(which: Any) -> set[str]:
    if not isinstance(which, NonIdeality):
        raise TypeError(f"non_idealities: {which!r} is none; give such as NonIdeality.DeviceFaults")
    return set(inspect.signature(_APPLY[which]).parameters) - {"layer", "seed"}

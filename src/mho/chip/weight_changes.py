"""Whether a tensor may have changed, told without reading it.

torch counts changes in place in ``_version``. Fused optimizers and those with kernels of their own do not
count theirs, so the steps of every optimizer are counted here, for the Parameters of programmed layers.
An assignment to ``.data`` (``vector_to_parameters`` makes one) moves the tensor to another place in memory.
A change through an alias, as in ``weight.data.add_(1)``, leaves no trace but in the values.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

STEPS: dict[int, int] = {}  # of the Parameters asked for, by id
_HOOKS: list[Any] = []


def sight(tensor: Tensor) -> tuple[int, ...]:
    """Which tensor it is, where, and how often it was changed; another tuple after a change.

    >>> weight = nn.Parameter(torch.ones(3))
    >>> before = sight(weight)
    >>> optimizer = torch.optim.SGD([weight], lr=0.1, fused=True)
    >>> weight.sum().backward()
    >>> optimizer.step()
    >>> sight(weight) == before
    False
    """
    version = -1 if tensor.is_inference() else tensor._version
    steps = STEPS.get(id(tensor))
    if steps is None:
        if not isinstance(tensor, nn.Parameter):
            return id(tensor), version
        steps = _watch(tensor)
    place = tensor.data_ptr() if type(tensor) is nn.Parameter else 0  # a sharded one has no single place
    return id(tensor), version, steps, place


def _watch(parameter: nn.Parameter) -> int:
    """Count the steps of optimizers from here on."""
    if not _HOOKS:
        _HOOKS.append(register_optimizer_step_post_hook(_count))
    STEPS[id(parameter)] = 0
    weakref.finalize(parameter, STEPS.pop, id(parameter), None).atexit = False
    return 0


def _count(optimizer: torch.optim.Optimizer, args: Any, names: Any) -> None:
    """Runs after each step of any optimizer; a compiled step counts its changes in ``_version``."""
    if torch.compiler.is_compiling():
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if id(parameter) in STEPS:
                STEPS[id(parameter)] += 1

"""Weights that are computed: pruned, weight-normed, or parametrised layers.

A parametrisation computes ``weight`` at each access. Pruning and the older norms of torch compute it in
a hook before each forward, and leave it in the module until the next one; here it is computed when a
chip needs it, so that a chip never gets the weights from before the last step of the optimizer.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from mho.nn.sharded import gathered, whole

M = TypeVar("M", bound=nn.Module)

_HOOKS = (prune.BasePruningMethod, WeightNorm, SpectralNorm)


def _hooks(module: nn.Module, name: str) -> list[int]:
    """Keys of the forward pre-hooks that compute a tensor of a module."""
    hooks = module._forward_pre_hooks
    names = {k: getattr(h, "_tensor_name", None) or getattr(h, "name", None) for k, h in hooks.items()}
    return [key for key, hook in hooks.items() if isinstance(hook, _HOOKS) and names[key] == name]


def is_computed(module: nn.Module, name: str = "weight") -> bool:
    """Whether a tensor of a module is computed from other Parameters."""
    return parametrize.is_parametrized(module, name) or bool(_hooks(module, name))


def compute(module: nn.Module, name: str = "weight") -> Tensor:
    """A tensor of a module as it is now, whole; spectral norms keep their state.

    >>> layer = torch.nn.utils.prune.random_unstructured(nn.Linear(3, 2), "weight", amount=1.0)
    >>> compute(layer).abs().sum().item()
    0.0
    """
    own = module._parameters.get(name)
    if own is not None:
        with torch.no_grad():
            return whole(own)
    with torch.no_grad(), _still(module), gathered(module):
        for key in _hooks(module, name):
            module._forward_pre_hooks[key](module, None)
        return getattr(module, name)  # type: ignore[no-any-return]


def parameters_of(module: nn.Module, names: Sequence[str]) -> list[nn.Parameter]:
    """The Parameters of these names; all of the module if one of them is computed."""
    own = module._parameters
    found = [own[name] for name in names if own.get(name) is not None]
    return found if len(found) == len(names) else list(module.parameters())  # type: ignore[return-value]


def buffers_of(module: nn.Module, names: Sequence[str]) -> list[Tensor]:
    """The masks and states that tensors of these names are computed with; none if none is computed.

    >>> layer = torch.nn.utils.prune.random_unstructured(nn.Linear(3, 2), "weight", amount=0.5)
    >>> len(buffers_of(layer, ["weight"])), len(buffers_of(layer, ["bias"]))
    (1, 0)
    """
    if all(module._parameters.get(name) is not None for name in names):
        return []
    found = []
    for part in module.modules():
        arrays: set[str] = getattr(part, "array_state", set)()
        if part is module or not arrays:
            found += [v for name, v in part._buffers.items() if v is not None and name not in arrays]
    return found


@contextlib.contextmanager
def _still(module: nn.Module) -> Iterator[None]:
    modes = {m: m.training for m in module.modules()}
    try:
        for m in modes:
            m.training = False
        yield
    finally:
        for m, mode in modes.items():
            m.training = mode


def make_plain(module: nn.Module, value: Tensor, name: str = "weight") -> None:
    """Give a module a plain Parameter in place of a tensor that is computed, or of its own Parameter.

    It is trained if what it takes the place of was: one of the Parameters that the tensor was computed
    from or, where there was none, one of the module's. Copies of the module stay as they are.

    >>> layer = nn.Linear(3, 2)
    >>> make_plain(layer, torch.ones(2), "bias")
    >>> layer.bias.tolist(), layer.bias.requires_grad
    ([1.0, 1.0], True)
    """
    trained = any(p.requires_grad for p in _made_from(module, name))
    if parametrize.is_parametrized(module, name):
        with_own_class(module)
        parametrize.remove_parametrizations(module, name)
    for key in _hooks(module, name):
        kind = type(module._forward_pre_hooks[key])
        remove = {WeightNorm: remove_weight_norm, SpectralNorm: remove_spectral_norm}.get(kind, prune.remove)
        remove(module, name)
    setattr(module, name, nn.Parameter(value.detach(), requires_grad=trained))


def _made_from(module: nn.Module, name: str) -> list[nn.Parameter]:
    """A Parameter, or those that a tensor is computed from; of an absent one all Parameters of the module."""
    own = module._parameters.get(name)
    if own is not None:
        return [own]
    origins = (f"parametrizations.{name}.", *(f"{name}_{end}" for end in ("orig", "g", "v")))
    return [p for path, p in module.named_parameters() if path.startswith(origins)] or list(
        module.parameters()
    )


def with_own_class(module: nn.Module) -> None:
    """Give a parametrised module a class of its own: torch changes the class, which copies share."""
    module.__class__ = type(module).__bases__[0]
    inject_parametrizations(module)


def inject_parametrizations(module: nn.Module) -> None:
    """Give a module that has a table of parametrisations the class that computes with them."""
    parametrize._inject_new_class(module)
    for name in module.parametrizations:  # type: ignore[union-attr]
        parametrize._inject_property(module, name)


def copied(model: M) -> M:
    """A deep copy, also of modules that keep a computed tensor, which torch refuses to copy."""
    kept = [v for m in model.modules() for v in vars(m).values() if isinstance(v, Tensor) and not v.is_leaf]
    return copy.deepcopy(model, {id(v): v.detach().clone() for v in kept})

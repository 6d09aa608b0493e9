"""Weights that are in no Parameter: packed by torch's quantisation, or constants of a frozen graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from torch.utils._pytree import tree_leaves

_OWN_TABLES = ("_parameters", "_buffers", "_modules")


def packed_weights(model: nn.Module) -> dict[str, list[Tensor]]:
    """Weights and biases that the modules of a model keep in no Parameter, by the path of the layer.

    A quantised layer of torch keeps them in objects of its own, partly in modules inside it; these
    count for the layer.

    >>> packed_weights(nn.Sequential(nn.Linear(6, 4)))
    {}
    """
    modules = dict(model.named_modules())
    found: dict[str, list[Tensor]] = {}
    for path, module in modules.items():
        tensors = [t for leaf in _objects(module) for t in unpacked(leaf)] + list(constants(module))
        own = found.setdefault(_layer(path, modules), [])
        known = {id(t) for t in own}
        own += [t for t in tensors if id(t) not in known]
    return {path: tensors for path, tensors in found.items() if tensors}


def unpacked(value: Any) -> list[Tensor]:
    """The weights and biases in an object of torch's quantisation, each once."""
    found: dict[tuple[int, ...], Tensor] = {}
    waiting = [value]
    while waiting:
        for leaf in tree_leaves(waiting.pop()):
            packed: Any = leaf if isinstance(leaf, torch.ScriptObject) else None
            if packed is not None and packed._has_method("__getstate__"):
                waiting.append(packed.__getstate__())
            elif isinstance(leaf, Tensor) and (leaf.is_floating_point() or leaf.is_quantized):
                found.setdefault((leaf.data_ptr(), *leaf.shape), leaf.detach())
    return list(found.values())


def subclassed(module: nn.Module) -> str | None:
    """Name of the class of a Parameter that holds its numbers in tensors of its own; None without one.

    Quantised weights are such Parameters; sharded ones (``DTensor``) are plain weights.
    """
    for parameter in module.parameters():
        if is_traceable_wrapper_subclass(parameter) and not hasattr(parameter, "full_tensor"):
            return type(parameter).__name__
    return None


def multiplications(name: str, args: Any, out: Any) -> int:
    """Multiply-accumulates of an operation by packed weights; 0 for another operation.

    Args:
        name: of the operation, such as ``quantized.linear_dynamic``.
        args: what it was called with, the input first.
        out: what it gave.
    """
    objects = [leaf for leaf in tree_leaves(args) if isinstance(leaf, torch.ScriptObject)]
    inputs = next((leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor)), None)
    made = next((leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)), None)
    kind = name.rpartition(".")[2]
    if not objects or inputs is None or made is None or "embedding" in kind or "prepack" in kind:
        return 0
    matrices = [t for t in unpacked(objects) if t.dim() >= 2]
    size = sum(t.numel() for t in matrices)
    if kind.startswith("conv_transpose"):
        return inputs.numel() // matrices[0].shape[0] * size
    if kind.startswith("conv"):
        return made.numel() // matrices[0].shape[0] * size
    if any(layer in kind for layer in ("linear", "lstm", "gru", "rnn")):
        return inputs.numel() // inputs.shape[-1] * size
    return 0


def constants(module: nn.Module) -> Iterator[Tensor]:
    """The tensors of more than one number in the code of a scripted module; freezing puts weights there."""
    script: Any = module if isinstance(module, torch.jit.ScriptModule) else None
    if script is None or not script._c._has_method("forward"):
        return
    for node in script.graph.findAllNodes("prim::Constant"):
        if node.hasAttribute("value") and node.kindOf("value") == "t":
            value = node.t("value")
            if value.is_floating_point() and value.numel() > 1:
                yield value


def _objects(module: nn.Module) -> Iterator[torch.ScriptObject]:
    """The packed objects that a module holds itself."""
    if isinstance(module, torch.jit.ScriptModule):
        return
    for name, value in vars(module).items():
        if name not in _OWN_TABLES:
            yield from (leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.ScriptObject))


def _layer(path: str, modules: dict[str, nn.Module]) -> str:
    """The outermost quantised layer of torch that a module belongs to; its own path if there is none."""
    above = path
    while path:
        path = path.rpartition(".")[0]
        if type(modules[path]).__module__.startswith("torch.ao.nn."):
            above = path
    return above

"""Batch normalisation folded into the layer before it.

In evaluation a batch normalisation is one factor and one addend for each channel; after a convolution or a
linear layer both go into its weights and its bias, so that a chip computes them with the rest::

    s = gamma / sqrt(var + eps)        weight' = s weight        bias' = s (bias - mean) + beta
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvTransposeNd

from mho.nn import AnalogLayer
from mho.nn.computed_weights import copied, is_computed

_LAYERS = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@dataclass
class Folding:
    """What :func:`fold_batch_norm` did.

    Attributes:
        folded: path of each normalisation that is gone, and the layer that holds it now.
        left: path of each one that stayed, and why.
    """

    folded: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)


class Folded(nn.Identity):
    """In place of a folded normalisation: gives its input back.

    Args:
        axes: number of axes of the inputs; with others the normalisation would take other channels.
    """

    def __init__(self, axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        """``x``."""
        if x.dim() != self.axes:
            raise ValueError(
                f"x has {x.dim()} axes: the batch normalisation that was folded here normalises axis 1, and "
                f"that is the layer's outputs with {self.axes} axes only; leave this model unfolded"
            )
        return x


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """A copy of ``model`` with its batch normalisations folded into the layers before them.

    Before ``mho.convert``. The copy computes in evaluation what ``model`` computes in evaluation, to
    rounding; in training it no longer normalises by the batch. A normalisation is folded if its input is
    the output of a linear layer or a convolution (also a transposed one) that goes nowhere else: that is
    read from the model's graph (``torch.fx``), module by module where the whole model has none (there,
    code outside of a module that reaches for the layers in it is not seen).

    Args:
        model: a plain torch model with running statistics; it is not changed.

    Returns:
        The copy. Its attribute ``folding`` names the normalisations that were folded and those that were
        left, and why.

    Raises:
        TypeError: not a module.
        ValueError: a model with analog layers; fold first, then convert.

    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    >>> folded = fold_batch_norm(model)
    >>> folded.folding.folded, folded[0].bias.shape
    ({'1': '0'}, torch.Size([8]))
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}: give a torch.nn.Module")
    if any(isinstance(m, AnalogLayer) for m in model.modules()):
        raise ValueError("the model has analog layers: call fold_batch_norm first, then mho.convert")
    model = copied(model)
    found = dict(_pairs(copied(model).eval(), ""))  # tracing runs the model's own code: on a copy
    folding = Folding()
    modules = dict(model.named_modules())
    for path, norm in modules.items():
        if not isinstance(norm, nn.modules.batchnorm._BatchNorm):
            continue
        layer, why = found.get(path, (None, "tracing the forward does not reach it"))
        why = why or _obstacle(model, norm, modules[str(layer)])
        if why:
            folding.left[path] = why
            continue
        folding.folded[path] = str(layer)
        _fold(modules[str(layer)], norm)
        above, _, name = path.rpartition(".")
        placed = Folded(_axes(norm, modules[str(layer)]))
        setattr(modules[above], name, placed.train(norm.training))
    model.folding = folding  # type: ignore[assignment]
    return model


def _pairs(module: nn.Module, prefix: str) -> Iterator[tuple[str, tuple[str | None, str]]]:
    """Path of each normalisation, the path of the layer before it or None, and what speaks against it."""
    if not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in module.modules()):
        return
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        yield prefix, (None, "the forward of the module around it cannot be traced")
        return
    try:
        graph = fx.Tracer().trace(module)
    except Exception:
        for name, child in module.named_children():
            yield from _pairs(child, f"{prefix}.{name}" if prefix else name)
        return
    modules = dict(module.named_modules(remove_duplicate=False))
    calls = Counter(id(modules[str(n.target)]) for n in graph.nodes if n.op == "call_module")
    read = [str(n.target) for n in graph.nodes if n.op == "get_attr"]
    for node in graph.nodes:
        if node.op != "call_module" or not isinstance(modules[node.target], nn.modules.batchnorm._BatchNorm):
            continue
        path = f"{prefix}.{node.target}" if prefix else str(node.target)
        before = node.args[0] if node.args and isinstance(node.args[0], fx.Node) else None
        layer = modules.get(str(before.target)) if before is not None and before.op == "call_module" else None
        if before is None or not isinstance(layer, _LAYERS):
            yield path, (None, "its input is not the output of a linear layer or a convolution")
        elif len(before.users) > 1:
            yield path, (None, f"the output of {before.target!r} goes elsewhere too")
        elif calls[id(layer)] > 1 or calls[id(modules[node.target])] > 1:
            yield path, (None, "it or the layer before it is called more than once")
        elif any(name.startswith(f"{before.target}.") for name in read):
            yield path, (None, f"the weights of {before.target!r} are used elsewhere too")
        else:
            yield path, (f"{prefix}.{before.target}" if prefix else str(before.target), "")


def _obstacle(model: nn.Module, norm: nn.Module, layer: nn.Module) -> str:
    """Why a normalisation cannot go into the layer before it; empty if it can."""
    if not isinstance(norm, _NORMS) or type(norm).forward not in {t.forward for t in _NORMS}:
        return f"a {type(norm).__name__} has a forward of its own"
    if type(layer).forward not in {t.forward for t in _LAYERS}:
        return f"a {type(layer).__name__} has a forward of its own"
    if norm.running_mean is None or norm.running_var is None:
        return "it keeps no running statistics"
    if norm.num_features != _outputs(layer):
        return f"it normalises {norm.num_features} channels, and the layer before it gives {_outputs(layer)}"
    if is_computed(layer) or is_computed(layer, "bias") or is_computed(norm) or is_computed(norm, "bias"):
        return "weights are computed (parametrised or pruned)"
    if any(getattr(m, name) for m in (norm, layer) for name in _HOOKS):
        return "it or the layer before it has hooks"
    places = Counter(id(m) for _, m in model.named_modules(remove_duplicate=False))
    holders = Counter(id(p) for m in model.modules() for p in m._parameters.values() if p is not None)
    shared = [p for m in (layer, norm) for p in m.parameters() if holders[id(p)] > 1]
    if shared or places[id(norm)] > 1 or places[id(layer)] > 1:
        return "it or the layer before it is shared or tied"
    return ""


def _outputs(layer: nn.Module) -> int:
    size: int = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels  # type: ignore[assignment]
    return size


def _axes(norm: nn.Module, layer: nn.Module) -> int:
    """Axes of the inputs of the normalisation: batch, channel and space."""
    return 2 if isinstance(layer, nn.Linear) else 2 + len(layer.kernel_size)  # type: ignore[arg-type]


@torch.no_grad()
def _fold(layer: Any, norm: Any) -> None:
    """Put the factor and the addend of a normalisation into a layer, computed in float64."""
    weight, bias = layer.weight, layer.bias
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() if bias is None else bias.double() - norm.running_mean.double()
    shift = shift * scale
    if norm.bias is not None:
        shift = shift + norm.bias.double()
    if isinstance(layer, _ConvTransposeNd):  # [input, output of a group, *taps]
        inputs, outputs, *taps = weight.shape
        groups = layer.groups
        by_group = weight.double().view(groups, inputs // groups, outputs, -1)
        scaled = (by_group * scale.view(groups, 1, outputs, 1)).view(weight.shape)
    else:
        scaled = weight.double() * scale.view(-1, *[1] * (weight.dim() - 1))
    weight.copy_(scaled)
    if bias is None:
        layer.bias = nn.Parameter(shift.to(weight), requires_grad=weight.requires_grad)
    else:
        bias.copy_(shift)

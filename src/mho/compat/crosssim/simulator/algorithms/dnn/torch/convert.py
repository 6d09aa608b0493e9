"""Whole models: conversion to analog layers and back."""

from __future__ import annotations

from typing import Any

from torch import nn

import mho
from mho.compat.crosssim.simulator.algorithms.dnn.torch.conv import AnalogConv1d, AnalogConv2d, AnalogConv3d
from mho.compat.crosssim.simulator.algorithms.dnn.torch.layer import AnalogLayer, checked, place_for
from mho.compat.crosssim.simulator.algorithms.dnn.torch.linear import AnalogLinear
from mho.compat.crosssim.simulator.algorithms.dnn.torch.recurrent import RECURRENT, AnalogRecurrent
from mho.compat.crosssim.simulator.parameters import CrossSimParameters

_KINDS: dict[type[nn.Module], Any] = {
    nn.Linear: AnalogLinear,
    nn.Conv1d: AnalogConv1d,
    nn.Conv2d: AnalogConv2d,
    nn.Conv3d: AnalogConv3d,
    **RECURRENT,
}


_OTHERS = "the CrossSim face has no such layer: use mho.convert"
"""Why a layer that mho can put on arrays stays digital."""


def from_torch(
    model: nn.Module,
    params: CrossSimParameters | list[CrossSimParameters],
    bias_rows: int | list[int] = 0,
    fuse_batchnorm: bool = False,
) -> nn.Module:
    """A copy of ``model`` with its linear, convolutional and recurrent layers on arrays, programmed.

    Args:
        model: any module; it is not changed.
        params: for all layers, or a list with one for each of :func:`convertible_modules`, in their order.
        bias_rows: rows that hold the bias, likewise; without a bias there are none.
        fuse_batchnorm: fold batch normalisations into the layers before them first.

    Returns:
        The copy, in the mode of the model; ``.report`` says what became analog and why the rest did not.
        With ``simulation.useGPU`` it lies on that GPU; layers on different ones stay apart.

    Raises:
        ValueError: a list of another length, or a parameter that mho refuses (see ``hardware``).
    """
    if fuse_batchnorm:
        model = mho.fold_batch_norm(model)
    found = _convertible(model)
    chosen = dict(zip(found, _each("params", params, len(found)), strict=True))
    rows = dict(zip(found, _each("bias_rows", bias_rows, len(found)), strict=True))
    for one in chosen.values():
        checked(one)
    wanted = {id(module) for path, module in model.named_modules() if path in found}
    every = dict(model.named_modules(remove_duplicate=False))  # a shared layer stays shared
    analog = mho.convert(model, {path: mho.Hardware() for path, m in every.items() if id(m) in wanted})
    report: Any = analog.report
    report.reasons.update({p: _OTHERS for p in mho.convertible_modules(model) if p in report.reasons})
    modules = dict(analog.named_modules())
    for path, kind in found.items():
        kind.taken(modules[path], chosen[path], rows[path])
    gpus = {(p.simulation.useGPU, p.simulation.gpu_id) for p in chosen.values()}
    if len(gpus) == 1 and next(iter(gpus))[0]:  # the layers are there already
        analog.to(place_for(next(iter(chosen.values())), None))
    return analog


def to_torch(model: nn.Module, physical_weights: bool | list[bool] = False) -> nn.Module:
    """A copy of an analog model with plain torch layers.

    Args:
        model: what :func:`from_torch` made.
        physical_weights: whether a layer gets the weights that its array holds instead of the ideal ones;
            for all layers, or a list with one for each of :func:`analog_modules`, in their order.
    """
    found = _analog(model)
    wanted = dict(zip(found, _each("physical_weights", physical_weights, len(found)), strict=True))
    for layer in found.values():
        layer._settle()
    return mho.revert(model, {path: "programmed" if held else "ideal" for path, held in wanted.items()})


def convertible_modules(model: nn.Module) -> list[nn.Module]:
    """The layers that :func:`from_torch` puts on arrays, in the order of its lists."""
    modules = dict(model.named_modules())
    return [modules[path] for path in _convertible(model)]


def analog_modules(model: nn.Module) -> list[nn.Module]:
    """The analog layers of a model, in the order of :func:`convertible_modules` of the torch model."""
    return list(_analog(model).values())


def inconvertible_modules(model: nn.Module) -> list[nn.Module]:
    """All other modules of a model, containers and the model itself too."""
    able = _convertible(model)
    return [module for path, module in model.named_modules() if path not in able]


def synchronize(model: nn.Module) -> None:
    """Program the arrays of all analog layers again from their weights, with new errors."""
    for layer in _analog(model).values():
        layer.synchronize()


def reinitialize(model: nn.Module) -> None:
    """Make the arrays of all analog layers again from their ``params``, with new errors."""
    for layer in _analog(model).values():
        layer.reinitialize()


def _convertible(model: nn.Module) -> dict[str, Any]:
    """The class of each layer that becomes analog, by path."""
    modules = dict(model.named_modules())
    found = {}
    for path, module in mho.convertible_modules(model).items():
        kind = next((analog for torch, analog in _KINDS.items() if isinstance(module, torch)), None)
        parent = modules.get(path.rpartition(".")[0]) if path else None
        if kind is not None and not isinstance(parent, nn.MultiheadAttention):  # it reads the weight itself
            found[path] = kind
    return found


def _analog(model: nn.Module) -> dict[str, Any]:
    return {path: m for path, m in model.named_modules() if isinstance(m, (AnalogLayer, AnalogRecurrent))}


def _each(name: str, given: Any, count: int) -> list[Any]:
    """One value for each layer."""
    if not isinstance(given, (list, tuple)):
        return [given] * count
    if len(given) != count:
        raise ValueError(
            f"{name} has {len(given)} values and the model {count} such layers: give one for each, in the "
            "order of convertible_modules(model)"
        )
    return list(given)

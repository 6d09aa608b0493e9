"""Whole Keras models: conversion to analog layers and back."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import torch

import mho.keras
from mho.compat.crosssim._translate import described
from mho.compat.crosssim.simulator.parameters import CrossSimParameters
from mho.errors import ConfigError
from mho.keras.walk import Place, places

_KINDS: tuple[type, ...] = (
    keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D, keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D, keras.layers.Dense,
)  # fmt: skip


def from_keras(
    model: Any,
    params: CrossSimParameters | list[CrossSimParameters],
    bias_rows: int | list[int] = 0,
    fuse_batchnorm: bool = False,
) -> Any:
    """A copy of a Keras model with its dense layers and convolutions on arrays, programmed.

    The copy always computes with its chip. It is a model of ``mho.keras``, whose verbs take it; weights that
    change are on the chip after :func:`reinitialize`.

    Args:
        model: built; it is not changed.
        params: for all layers, or a list with one for each of :func:`convertible_layers`, in their order.
        bias_rows: 0: a bias is digital.
        fuse_batchnorm: False.

    Raises:
        ValueError: a list of another length, a parameter that mho refuses, bias rows, or normalisations to
            be fused.
    """
    if fuse_batchnorm or np.any(bias_rows):
        raise ValueError(
            f"bias_rows = {bias_rows!r}, fuse_batchnorm = {fuse_batchnorm!r}: Keras' layers have a digital "
            "bias, and normalisations stay as they are; leave them 0 and False, or take from_torch"
        )
    found = _convertible(model)
    given = params if isinstance(params, (list, tuple)) else [params] * len(found)
    if len(given) != len(found):
        raise ValueError(
            f"params has {len(given)} values and the model {len(found)} such layers: give one for each, in "
            "the order of convertible_layers(model)"
        )
    chosen = {place.path: _hardware(one, place.layer) for place, one in zip(found, given, strict=True)}
    analog = mho.keras.convert(model, mho.Hardware(), chosen)
    reinitialize(analog)
    mho.keras.train_on_chip(analog)
    return analog


def to_keras(model: Any, physical_weights: bool = False) -> Any:
    """A copy of an analog model with plain Keras layers.

    Args:
        model: what :func:`from_keras` made.
        physical_weights: take the weights that the arrays hold instead of the ideal ones.
    """
    return mho.keras.revert(model, "programmed" if physical_weights else "ideal")


def convertible_layers(model: Any, expand_nested: bool = True) -> list[Any]:
    """The layers that :func:`from_keras` puts on arrays, in the order of its lists, also in models inside."""
    return [place.layer for place in _convertible(model)]


def analog_layers(model: Any, expand_nested: bool = True) -> list[Any]:
    """The analog layers of a model."""
    return [place.layer for place in places(model) if isinstance(place.layer, mho.keras.AnalogLayer)]


def reinitialize(model: Any) -> None:
    """Program all arrays again from the present weights, with new errors, by torch's generator."""
    mho.keras.program(model, int(torch.randint(2**62, ())))


def _convertible(model: Any) -> list[Place]:
    return [place for place in places(model) if type(place.layer) in _KINDS]


def _hardware(params: CrossSimParameters, layer: Any) -> mho.Hardware:
    """The arrays of a layer."""
    made, seconds = described(params, int(np.prod(layer.kernel.shape[:-1])))
    if seconds:
        raise ConfigError(
            f"xbar.device.time = {params.xbar.device.time!r}: leave it 0; mho.keras.age(model, seconds) ages"
        )
    return made

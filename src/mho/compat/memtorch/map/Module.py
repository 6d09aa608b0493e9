"""The tuning of a layer."""

from __future__ import annotations

from typing import Any

import torch

import mho
from mho.compat.memtorch.bh.StochasticParameter import fresh_seed
from mho.nn import AnalogLayer
from mho.periphery import Affine
from mho.random import fork

_ROWS = 4098  # vectors of a linear layer


def naive_tune(
    module: AnalogLayer, input_shape: int | None = None, verbose: bool = False, *, seed: int | None = None
) -> None:
    """Fit one line for all outputs of a layer to those of the digital one, on uniform inputs from -1 to 1.

    The digital bias is left out of the fit.

    Args:
        module: a patched layer.
        input_shape: vectors of a linear layer (4098), or size of the 8 images of a convolution (32; 8
            in three dimensions).
        verbose: print coefficient and intercept.
        seed: of the inputs; None to draw one by torch's global generator.
    """
    weight, space = module.weight, len(getattr(module, "kernel_size", ()))
    if space:
        edge = input_shape or (8 if space == 3 else 32)
        shape = (8, int(getattr(module, "in_channels")), *(edge,) * space)  # noqa: B009
    else:
        shape = (input_shape or _ROWS, weight.shape[-1])
    generator = fork(fresh_seed() if seed is None else seed, "tune", module.path)
    inputs = (2 * torch.rand(shape, generator=generator) - 1).to(weight)
    mho.compensate(module, Affine(per_column=False), data=[inputs])
    if verbose:
        gain, shift = transform(module)
        print(f"{module.path}: output = {gain:.6g} * output + {shift:.6g}")  # noqa: T201


def transform(module: Any) -> tuple[float, float]:
    """Coefficient and intercept that the layer applies to its output, those of the first column."""
    chip = module.require_chip("transform_output")
    return float(chip.gain[0]), float(chip.shift[0])

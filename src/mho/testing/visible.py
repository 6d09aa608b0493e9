"""Is every array seen? Noise on the conductances of each layer must change the output of the model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from mho import lifecycle, random
from mho.errors import StaleChipWarning
from mho.nn import AnalogLayer, Crossbar, crossbars
from mho.nn.computed_weights import copied

_GRADIENTS: dict[str, Callable[[], Any]] = {
    "with gradients": nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}


def check_visible(
    model: nn.Module, example: Any, compiler: Callable[[nn.Module], Callable[..., Any]] | None = None
) -> None:
    """Check that no array of a model is bypassed.

    For each analog layer, other conductances in its array must change the output, in ``eval()`` and in
    ``train()`` on the chip, with gradients, under ``no_grad`` and in ``inference_mode``; and in
    ``eval()`` other digital weights of the layer must not. A module that reads the weight of an analog
    layer instead of calling it fails this, and so do fused paths of torch and layers that the example
    does not use.

    Args:
        model: a converted model; it is not changed. Without a chip, seed 0 is programmed on a copy.
        example: what the model is called with: a tensor, a tuple of arguments, or a dict of keyword
            arguments; rich enough that each layer matters to the output.
        compiler: for example ``torch.compile``; the compiled model is checked as well.

    Raises:
        AssertionError: naming the layers, and where their arrays do not show.

    Example:
        >>> import mho
        >>> analog = mho.convert(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), mho.Hardware())
        >>> check_visible(analog, torch.randn(2, 5, 8))
    """
    model = copied(model)
    layers = crossbars(model)
    if any(not layer.is_programmed for layer in layers.values()):
        lifecycle.program(model, seed=0)
    hidden: dict[str, list[str]] = {}
    for mode in ("eval()", "train() on the chip"):
        lifecycle.train_on_chip(model)
        model.train(mode != "eval()")
        runs: list[tuple[str, Callable[..., Any], Callable[[], Any]]] = [
            (f"{mode}, {name}", model, context) for name, context in _GRADIENTS.items()
        ]
        if compiler is not None:
            runs.append((f"{mode}, compiled", compiler(model), torch.no_grad))
        for name, call, context in runs:
            for path in _unseen(layers, call, example, context):
                hidden.setdefault(path, []).append(name)
    if hidden:
        where = "; ".join(f"{path or 'the model'!r} in {', '.join(names)}" for path, names in hidden.items())
        raise AssertionError(
            f"other conductances of these layers do not change the output: {where}. Does something read "
            "their weights instead of calling them, or does the example not reach them?"
        )
    _check_digital_weights(model.eval(), layers, example)


def _unseen(
    layers: dict[str, Crossbar], call: Callable[..., Any], example: Any, context: Callable[[], Any]
) -> list[str]:
    """The layers whose conductances make no difference."""
    found = []
    before = _output(call, example, context)
    for path, layer in layers.items():
        chip = layer.require_chip("check_visible")
        noise = random.normal(chip.g.shape, 0, path, "visible").to(chip.g)
        device = layer.hardware.device
        other = (chip.g + 0.3 * device.g_max * noise).clamp(device.g_min, device.g_max)
        layer.set_chip(chip._replace(g=other))
        if torch.equal(_output(call, example, context), before):
            found.append(path)
        layer.set_chip(chip)
    return found


def _check_digital_weights(model: nn.Module, layers: dict[str, Crossbar], example: Any) -> None:
    """In evaluation the Parameters of analog layers take no part."""
    digital = {
        id(p)
        for module in model.modules()
        if not isinstance(module, (AnalogLayer, Crossbar))
        for p in module.parameters(recurse=False)
    }
    before = _output(model, example, torch.no_grad)
    for path, layer in layers.items():
        weight = layer.stored_weight()
        if id(weight) in digital or not isinstance(weight, nn.Parameter):
            continue  # tied to a digital module, which may use it; or computed
        kept = weight.detach().clone()
        weight.data.neg_()
        after = _output(model, example, torch.no_grad)
        weight.data.copy_(kept)
        if not torch.equal(after, before):
            raise AssertionError(
                f"in eval() the digital weights of {path or 'the model'!r} change the output: something "
                "reads them instead of calling the layer"
            )


def _output(call: Callable[..., Any], example: Any, context: Callable[[], Any]) -> Tensor:
    """All floats that a model gives, with the same random numbers each time."""
    with torch.random.fork_rng(), context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", StaleChipWarning)
        torch.random.manual_seed(0)
        if isinstance(example, dict):
            out = call(**example)
        else:
            out = call(*example) if isinstance(example, tuple) else call(example)
    with torch.no_grad():
        flat = torch.cat([t.detach().double().flatten() for t in _floats(out)])
    if not bool(torch.isfinite(flat).all()):
        raise ValueError("the model gives NaN or infinite values for this example: give another one")
    return flat


def _floats(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (tuple, list)):
        return []  # a cache, a number, None
    return [t for item in value for t in _floats(item)]

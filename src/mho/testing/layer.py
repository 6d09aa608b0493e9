"""The contract of layers."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import torch
from torch import Tensor, nn

from mho import lifecycle
from mho.convert import revert
from mho.converters import ADC
from mho.devices import PCM
from mho.hardware import Hardware, Tile
from mho.nn import AnalogLayer, Crossbar, crossbars
from mho.nn.computed_weights import copied
from mho.nn.unprogrammed import on_purpose
from mho.testing.promise import demand, promises, same


def check_layer(layer: nn.Module, *example: Any) -> None:
    """Check that a layer keeps the contract of all analog layers.

    On ideal arrays, whole and cut into tiles, the layer must compute what its digital layer computes,
    in training and evaluation, with the same gradients. On a chip it must: be the same for the same
    seed and another one for another seed; come back bit for bit from ``state_dict`` and ``deepcopy``;
    read each array (other conductances, other outputs) with fresh noise; keep its Parameters as they
    are; and give its weights back through ``effective_weights`` and ``revert``.

    Args:
        layer: an analog layer with float32 weights, on any hardware; it is not changed.
        example: its inputs: several different vectors, float32.

    Raises:
        AssertionError: naming the layer and the broken promise.

    Example:
        >>> from mho import Hardware
        >>> from mho.nn import AnalogLinear
        >>> check_layer(AnalogLinear(6, 3, hardware=Hardware()), torch.randn(5, 6))
    """
    demand(isinstance(layer, AnalogLayer), layer, "must derive from mho.nn.AnalogLayer")
    try:
        digital = revert(layer)
    except StopIteration:
        name = type(layer).__name__
        raise AssertionError(f"{name}: its digital layer needs an entry in mho.convert.TWINS") from None
    inputs = tuple(x.double() if _floats(x) else x for x in example)
    whole = Hardware(tile=Tile(rows=None, columns=None))
    cut = Hardware(tile=Tile(rows=3, columns=2), adc=ADC(bits=None))
    for hardware in (whole, cut):
        _check_ideal(_on(layer, hardware).double(), copy.deepcopy(digital).double(), inputs)
    _check_arrays(layer)
    _check_chip(_on(layer, Hardware(device=PCM(read_scale=0.0), tile=Tile(rows=3, columns=2))), example)
    _check_noise(_on(layer, Hardware(device=PCM())), example)


def _floats(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point()


def _on(layer: nn.Module, hardware: Hardware) -> Any:
    """A copy of the layer on other hardware, not programmed."""
    fresh: Any = copied(layer)
    fresh.setup(hardware, layer.bias_rows)
    fresh.path = "layer"
    return fresh


def _tensors(output: Any) -> list[Tensor]:
    """The tensors of an output: itself, or those of a tuple."""
    if isinstance(output, Tensor):
        return [output]
    parts = output if isinstance(output, (tuple, list)) else []
    return [t for part in parts for t in _tensors(part)]


def _flat(output: Any) -> Tensor:
    return torch.cat([t.flatten() for t in _tensors(output)])


def _gradients(layer: nn.Module, example: tuple[Any, ...]) -> tuple[Tensor, dict[str, Tensor]]:
    """Output and gradients, to inputs and Parameters, of a weighted sum of the outputs."""
    inputs = tuple(x.clone().requires_grad_() if _floats(x) else x for x in example)
    layer.zero_grad()
    y = _flat(layer(*inputs))
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype)).sum().backward()
    found = {f"input {k}": x.grad for k, x in enumerate(inputs) if _floats(x)}
    found |= {name: p.grad for name, p in layer.named_parameters()}
    return y.detach(), {name: g for name, g in found.items() if g is not None}


def _check_ideal(layer: Any, digital: nn.Module, example: tuple[Any, ...]) -> None:
    must = promises(layer)
    names = [name for name, _ in digital.named_parameters()]
    must([name for name, _ in layer.named_parameters()] == names, f"its Parameters must be torch's: {names}")
    for programmed in (False, True):
        if programmed:
            lifecycle.program(layer, seed=0)
        for training in (False, True):
            mode = f"ideal, {'' if programmed else 'not '}programmed, {'train' if training else 'eval'}()"
            wanted, gradients = _gradients(digital.train(training), example)
            got, found = _gradients(layer.train(training), example)
            must(got.shape == wanted.shape, f"{mode}: must have the shape of the digital output")
            equal = bool(((got - wanted).abs() <= 1e-9 * (1 + wanted.abs().max())).all())
            must(equal, f"{mode}: must compute what the digital layer does")
            for name, g in gradients.items():
                equal = name in found and torch.allclose(found[name], g, rtol=1e-7, atol=1e-7)
                must(equal, f"{mode}: gradient of {name} must be that of the digital layer")


def _check_arrays(layer: nn.Module) -> None:
    must = promises(layer)
    for array in crossbars(layer).values():
        weight = array.weight.detach()
        matrix = array.matrix(weight)
        must(matrix.dim() == 3, "matrix must be [group, row, column]")
        must(same(array.from_matrix(matrix), weight), "from_matrix must undo matrix")
        for name, size in (("rows", matrix.shape[1] + array.bias_rows), ("columns", matrix.shape[2])):
            spans = getattr(array.layout, name)
            edges = [0, *(b for _, b in spans)]
            whole = list(spans) == list(itertools.pairwise(edges)) and edges[-1] == size
            must(whole, f"the tiles must cover all {size} {name}, once: {spans}")


def _check_chip(layer: Any, example: tuple[Any, ...]) -> None:
    must = promises(layer)
    empty = copied(layer)
    parameters = {n: p.detach().clone() for n, p in layer.named_parameters()}
    lifecycle.program(layer, seed=1)
    lifecycle.age(layer, 3600.0)
    lifecycle.compensate(layer)
    layer.eval()
    y = _read(layer, example)
    must(same(_read(layer, example), y), "a chip without read noise must repeat itself")
    twin = copied(layer)
    must(same(_read(twin, example), y), "a deep copy must be the same chip")
    for seed, equal in ((1, True), (2, False)):
        lifecycle.program(twin, seed=seed)
        must(_same_chips(layer, twin) == equal, "one seed must give one chip, another seed another")
    empty.load_state_dict(layer.state_dict())
    must(same(_read(empty.eval(), example), y), "must come back bit for bit from state_dict")
    _check_effects(layer, example, y)
    held = lifecycle.effective_weights(layer)
    for path, array in crossbars(layer).items():
        must(held[path].shape == array.weight.shape, "effective weights must have the shape of the weights")
    plain = _read(revert(layer, weights="programmed").eval(), example)
    close = torch.allclose(plain, y, rtol=1e-3, atol=1e-3 * float(y.abs().max()))
    must(close, "revert must keep what the chip computes")
    kept = all(same(p.detach(), parameters[n]) for n, p in layer.named_parameters())
    must(kept, "programming and reading must not change the Parameters")


@torch.no_grad()
def _read(layer: nn.Module, example: tuple[Any, ...]) -> Tensor:
    with on_purpose(layer):  # one that lost its chip is found by what it computes
        return _flat(layer(*example))


def _conductances(array: Crossbar) -> Tensor:
    return array.require_chip("check_layer").g


def _same_chips(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(crossbars(a).values(), crossbars(b).values(), strict=True)
    return all(same(_conductances(one), _conductances(other)) for one, other in pairs)


def _check_effects(layer: Any, example: tuple[Any, ...], y: Tensor) -> None:
    """Each array takes part in the output."""
    must = promises(layer)
    for path, array in crossbars(layer).items():
        g = _conductances(array).clone()
        _conductances(array).mul_(0.5)
        must(not same(_read(layer, example), y), f"other conductances in {path!r} must change the output")
        _conductances(array).copy_(g)
    must(same(_read(layer, example), y), "the old conductances must give the old output back")


def _check_noise(layer: Any, example: tuple[Any, ...]) -> None:
    lifecycle.program(layer, seed=1)
    layer.eval()
    demand(not same(_read(layer, example), _read(layer, example)), layer, "each read must have fresh noise")

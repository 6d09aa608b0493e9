"""Counting multiply-accumulates: which are done by arrays, which stay digital, and where."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from mho.calibration.batches import run
from mho.cut import Read
from mho.nn import AnalogLayer, Array, SeveralArrays


@dataclass
class Count:
    """Multiply-accumulates of one module.

    Attributes:
        analog: done by arrays.
        weights: products with digital weights.
        activations: products of activations with each other.
    """

    analog: int = 0
    weights: int = 0
    activations: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.analog + self.weights + self.activations


@dataclass
class Macs:
    """Multiply-accumulates of one run of a model, by the module whose own operations they are."""

    modules: dict[str, Count] = field(default_factory=dict)

    def of(self, path: str) -> Count:
        """The count of one module, its children left out."""
        return self.modules.get(path, Count())

    @property
    def analog(self) -> int:
        """Done by arrays."""
        return sum(c.analog for c in self.modules.values())

    @property
    def weights(self) -> int:
        """Products with digital weights."""
        return sum(c.weights for c in self.modules.values())

    @property
    def activations(self) -> int:
        """Products of activations with each other."""
        return sum(c.activations for c in self.modules.values())

    @property
    def total(self) -> int:
        """All of them."""
        return self.analog + self.weights + self.activations


class _Ledger(TorchDispatchMode):
    """Adds up the products that run outside the arrays, under the path of the running module."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = Macs()
        self.names = {_storage(p): n for n, p in model.named_parameters(remove_duplicate=False)}
        arrays = [m for m in model.modules() if isinstance(m, AnalogLayer)]
        self.held = {_storage(a.stored_weight()) for a in arrays}
        self.digital = {  # a tied weight may lie on one array and be digital in another module
            path: {_storage(p) for p in m.parameters(recurse=False)}
            for path, m in model.named_modules()
            if not isinstance(m, (AnalogLayer, SeveralArrays))
        }
        self.stack: list[str] = [""]
        self.inside = 0
        self.bypassed: dict[str, str] = {}

    def count(self, path: str) -> Count:
        return self.macs.modules.setdefault(path, Count())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = None if self.inside else flop_registry.get(func._overloadpacket)
        if formula is None:
            return out
        here = self.stack[-1]
        count, macs = self.count(here), formula(*args, **(kwargs or {}), out_val=out) // 2
        weights = {_storage(a) for a in args if isinstance(a, Tensor)} & self.names.keys()
        if weights:
            count.weights += macs
        else:
            count.activations += macs
        for weight in (weights & self.held) - self.digital.get(here, set()):
            self.bypassed[self.names[weight]] = here
        return out


def count_macs(model: nn.Module, example: Any) -> Macs:
    """Run a model once, in evaluation mode, and count its multiply-accumulates.

    Args:
        model: any model; its modes come back.
        example: a tensor, a tuple whose first item is the input, or a dict of keyword arguments.

    Returns:
        The counts, an array's under the path of its layer.

    Raises:
        ValueError: a module multiplied by the digital weight of an analog layer instead of calling it.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    >>> count_macs(model, torch.ones(2, 4)).of("0")
    Count(analog=0, weights=24, activations=0)
    """
    ledger = _Ledger(model)
    modes = {module: module.training for module in model.modules()}
    handles: list[Any] = []
    for path, module in model.named_modules():
        handles += _watch(module, path, ledger)
    try:
        model.eval()
        with torch.no_grad(), _unfused(), ledger:
            run(model, example)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    if ledger.bypassed:
        where = "; ".join(f"{by or 'the model'!r} reads {name!r}" for name, by in ledger.bypassed.items())
        raise ValueError(
            f"the arrays of these weights are bypassed: {where}. Let it call the layer, or leave that layer "
            "out with convert(..., select=...)"
        )
    return ledger.macs


class _Inside:
    """Lets the ledger know when an array makes ready the matrix of several products; ``remove`` ends it."""

    def __init__(self, array: Array, ledger: _Ledger) -> None:
        self.array = array
        read = array.read

        def watched() -> Read:
            ledger.inside += 1
            try:
                return read()
            finally:
                ledger.inside -= 1

        array.__dict__["read"] = watched

    def remove(self) -> None:
        del self.array.__dict__["read"]


def _watch(module: nn.Module, path: str, ledger: _Ledger) -> Iterator[Any]:
    """Hooks that keep the ledger's place; what runs inside an array is counted as one product."""
    owner = path
    if isinstance(module, Array):
        owner = path.rpartition("arrays.")[0].removesuffix(".")
        yield _Inside(module, ledger)

    def enter(_module: nn.Module, _args: Any, _names: Any) -> None:
        ledger.stack.append(path)
        ledger.inside += isinstance(module, AnalogLayer)

    def leave(_module: nn.Module, args: Any, names: Any, _output: Any) -> None:
        if isinstance(module, AnalogLayer):
            with FlopCounterMode(display=False) as counter:
                module.digital_forward(*args, **names)
            ledger.count(owner).analog += counter.get_total_flops() // 2
            ledger.inside -= 1
        ledger.stack.pop()

    yield module.register_forward_pre_hook(enter, with_kwargs=True)
    yield module.register_forward_hook(leave, with_kwargs=True)


@contextlib.contextmanager
def _unfused() -> Iterator[None]:
    """Let attention and recurrent layers that stayed digital run as plain products, which can be counted."""
    fused = torch.backends.mha.get_fastpath_enabled()
    (mkldnn, *_) = torch.backends.mkldnn.set_flags(_enabled=False)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        torch.backends.mkldnn.set_flags(_enabled=mkldnn)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()

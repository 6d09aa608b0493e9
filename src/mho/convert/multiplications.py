"""Counting multiply-accumulates: which are done by arrays, which stay digital, and where."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode, is_traceable_wrapper_subclass
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from mho.calibration.batches import run
from mho.chip.reads import Limit, Read
from mho.convert.packed_weights import constants, multiplications, unpacked
from mho.converters import DAC, ColumnConverter
from mho.errors import NotCalibratedError
from mho.nn import AnalogLayer, Crossbar
from mho.nn.tapping import counter, tapped
from mho.nn.unprogrammed import on_purpose

_aten = torch.ops.aten
_BY_A_VECTOR: dict[Any, Callable[..., int]] = {  # multiply-accumulates that torch does not count
    _aten.mv: lambda matrix, vector, **_: matrix.numel(),
    _aten.addmv: lambda added, matrix, vector, **_: matrix.numel(),
    _aten.dot: lambda one, other, **_: one.numel(),
    _aten.vdot: lambda one, other, **_: one.numel(),
}


@dataclass
class Count:
    """Multiply-accumulates of one module.

    Attributes:
        analog: done by arrays.
        weights: products with digital weights, frozen ones in buffers too.
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
    """Multiply-accumulates of one run of a model, by the module whose own operations they are.

    Attributes:
        modules: the counts, by path.
        multiplied: what a module holds and something multiplied by, digitally: names and shapes, by the
            path of the module that holds it.
    """

    modules: dict[str, Count] = field(default_factory=dict)
    multiplied: dict[str, list[str]] = field(default_factory=dict)

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


class _Origins:
    """Which tensors of a run come from the tensors of the model alone, not from the data, and from which.

    A tensor is known by its storage; one that is not known is data. What an operation makes of known
    tensors is known: a weight that was transposed, cast or merged with another is still a weight.
    """

    def __init__(self, given: Iterable[Tensor]) -> None:
        self.kept = [t for t in given if _storage(t)]  # alive: their places are not taken by others
        self.of = {_storage(t): frozenset((_storage(t),)) for t in self.kept}
        self.parameters = {_storage(t) for t in self.kept if isinstance(t, nn.Parameter)}

    def follow(self, func: Any, given: list[Tensor], made: list[Tensor]) -> None:
        """Note what an operation made of what it was given."""
        random = torch.Tag.nondeterministic_seeded in func.tags
        fresh = func is _aten.lift_fresh.default  # a number in the code
        known = [frozenset() if fresh else self.of.get(_storage(t)) for t in given]
        for tensor in made:
            place = _storage(tensor)
            if place and not random and None not in known:
                self.of[place] = frozenset().union(*(o for o in known if o is not None))
                self.kept.append(tensor)
            elif place not in self.parameters:  # data was written into it
                self.of.pop(place, None)


class _Ledger(TorchDispatchMode):
    """Adds up the products that run outside the arrays, under the path of the running module."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = Macs()
        arrays = {path: m for path, m in model.named_modules() if isinstance(m, (AnalogLayer, Crossbar))}
        self.owners: dict[int, list[tuple[str, str, Tensor]]] = {}
        for path, module in model.named_modules(remove_duplicate=False):
            owner = path.partition("parametrizations.")[0].removesuffix(".")
            for name, tensor in _own(module):
                self.owners.setdefault(_storage(tensor), []).append((owner, name, tensor))
        self.origins = _Origins(t for owned in self.owners.values() for *_, t in owned)
        sources = [p for m in arrays.values() if isinstance(m, Crossbar) for p in m.sources()]
        self.held = {_storage(p) for p in sources if p.dim() >= 2}
        self.arrays = set(arrays)
        self.stack: list[str] = [""]
        self.inside = 0
        self.bypassed: dict[str, str] = {}

    def count(self, path: str) -> Count:
        return self.macs.modules.setdefault(path, Count())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        names = kwargs or {}
        out = func(*args, **names)
        if self.inside:
            return out
        given = [t for t in tree_leaves((args, names)) if isinstance(t, Tensor)]
        made = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        macs = _multiplications(func, args, names, out)
        packed = 0 if macs else multiplications(str(func._overloadpacket), (args, names), out)
        if packed:
            here = self.stack[-1]
            self.count(here).weights += packed
            objects = [leaf for leaf in tree_leaves((args, names)) if isinstance(leaf, torch.ScriptObject)]
            for tensor in unpacked(objects):
                if tensor.dim() >= 2:
                    self._list(here, "packed weight", tensor)
        if macs:
            weights = self._weights(given, macs // max(made[0].numel(), 1))
            count = self.count(self.stack[-1])
            if weights:
                count.weights += macs
            else:
                count.activations += macs
            for weight in weights:
                self._note(weight)
        self.origins.follow(func, given, made)
        return out

    def _weights(self, given: list[Tensor], depth: int) -> set[int]:
        """The model's tensors among the operands; ``depth`` products are added for each number.

        An outer product with a vector, such as the frequencies of rotary positions, is no matrix.
        """
        found = {place for t in given for place in self.origins.of.get(_storage(t), ())}
        return {p for p in found if depth > 1 or any(t.dim() > 1 for *_, t in self.owners[p])}

    def _note(self, weight: int) -> None:
        """A product by a tensor of the model: it is a digital matrix, or its array is bypassed."""
        here, owned = self.stack[-1], self.owners[weight]
        own = [entry for entry in owned if entry[0] == here and here not in self.arrays]
        digital = own or [entry for entry in owned if entry[0] not in self.arrays]
        if weight in self.held and not own:
            path, name, _ = owned[-1]
            self.bypassed[f"{path}.{name}" if path else name] = here
        for path, name, tensor in digital:
            self._list(path, name, tensor)

    def _list(self, path: str, name: str, tensor: Tensor) -> None:
        """Note what was multiplied by."""
        line = f"{name} ({' x '.join(map(str, tensor.shape))})"
        lines = self.macs.multiplied.setdefault(path, [])
        if line not in lines:
            lines.append(line)


def _own(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The tensors that a module holds itself; of an array its Parameters only."""
    yield from module.named_parameters(recurse=False)
    if isinstance(module, (AnalogLayer, Crossbar)):
        return
    yield from module.named_buffers(recurse=False)
    yield from (("constant", value) for value in constants(module))
    yield from ((name, value) for name, value in vars(module).items() if isinstance(value, Tensor))


def _multiplications(func: Any, args: Any, names: Any, out: Any) -> int:
    """The multiply-accumulates of an operation; 0 if it is no product."""
    packet = func._overloadpacket
    if packet in _BY_A_VECTOR:
        return _BY_A_VECTOR[packet](*args, **names)
    formula = flop_registry.get(packet)
    return 0 if formula is None else formula(*args, **names, out_val=out) // 2


def count_macs(model: nn.Module, example: Any) -> Macs:
    """Run a model once, in evaluation mode, and count its multiply-accumulates.

    Products that torch does not compute as such, as ``(x * w).sum(-1)``, are not counted.

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
    modes = {module: module.training for module in model.modules() if hasattr(module, "training")}
    handles: list[Any] = []
    arrays = {path: module for path, module in model.named_modules() if isinstance(module, Crossbar)}
    counters = {path: counter(array) for path, array in arrays.items()}
    for path, module in model.named_modules():
        handles += _watch(module, path, ledger)
    try:
        model.eval()
        with torch.no_grad(), _unfused(), on_purpose(model), tapped(arrays, counters), ledger:
            run(model, example)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    for path, heard in counters.items():
        ledger.count(_layer_of(path)).analog += heard.products
    if ledger.bypassed:
        where = "; ".join(f"{by or 'the model'!r} reads {name!r}" for name, by in ledger.bypassed.items())
        raise ValueError(
            f"the arrays of these weights are bypassed: {where}. Let it call the layer, or leave that layer "
            "out with convert(..., select=...)"
        )
    return ledger.macs


class _Inside:
    """Lets the ledger know when an array makes ready the matrix of several products; ``remove`` ends it."""

    def __init__(self, array: Crossbar, ledger: _Ledger) -> None:
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


class _Uncalibrated:
    """Lets an array without ranges run, its converters left out; ``remove`` ends it."""

    def __init__(self, array: Crossbar) -> None:
        self.array = array
        limit = array._limit

        def tolerant(converter: DAC | ColumnConverter | None, stored: Tensor | None, name: str) -> Limit:
            try:
                return limit(converter, stored, name)
            except NotCalibratedError:
                return None

        array.__dict__["_limit"] = tolerant

    def remove(self) -> None:
        del self.array.__dict__["_limit"]


def _watch(module: nn.Module, path: str, ledger: _Ledger) -> Iterator[Any]:
    """Hooks that keep the ledger's place; what runs inside an array is counted as one product."""
    if isinstance(module, torch.jit.ScriptModule):
        return  # it takes no hooks: what it does counts for the module that calls it
    if isinstance(module, Crossbar):
        yield _Uncalibrated(module)
        yield _Inside(module, ledger)

    def enter(_module: nn.Module, _args: Any, _names: Any) -> None:
        ledger.stack.append(path)
        ledger.inside += isinstance(module, Crossbar)

    def leave(_module: nn.Module, _args: Any, _names: Any, _output: Any) -> None:
        ledger.inside -= isinstance(module, Crossbar)
        ledger.stack.pop()

    yield module.register_forward_pre_hook(enter, with_kwargs=True)
    yield module.register_forward_hook(leave, with_kwargs=True)


def _layer_of(path: str) -> str:
    """The path of the layer whose array lies there."""
    place = "arrays." if path.rpartition(".")[2] != "crossbar" else "crossbar"
    return path.rpartition(place)[0].removesuffix(".")


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
    """Where a tensor lies; 0 for one without a place of its own."""
    if is_traceable_wrapper_subclass(tensor):  # quantised: numbers in tensors of its own
        return _storage(getattr(tensor, tensor.__tensor_flatten__()[0][0]))
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else 0

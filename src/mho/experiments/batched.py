"""Many noisy copies of one network, evaluated together.

The results are those of a loop over the copies, bit for bit, whatever the number run at once: products,
convolutions, group norms and attention use the kernel of a single copy (``exact=True``), everything else is
element by element or sums along the same axes. A network with a recurrent, an attention or a transformer
layer of torch, whose fused kernels know no copies, runs copy by copy.

>>> from mho.experiments.copies import noisy_weights
>>> network = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
>>> copies = noisy_weights(network, [0.0, 0.1], repeats=[0, 0], seed=0)
>>> y = outputs(network, copies, torch.ones(5, 8))
>>> y.shape, torch.equal(y[0], network(torch.ones(5, 8)))
(torch.Size([2, 5, 2]), True)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils.data import TensorDataset

from mho.experiments.copies import parameters
from mho.experiments.fitting import PIXELS_AT_ONCE, limited_threads

CACHE = 4 << 20  # bytes of activations that one thread of a CPU should keep close


# --- evaluating copies ---------------------------------------------------------------------------


def outputs(
    network: nn.Module, copies: Mapping[str, Tensor], x: Tensor, chunk: int | None = None, exact: bool = True
) -> Tensor:
    """The outputs of all copies for the same inputs, in evaluation mode.

    Args:
        network: a plain torch network; gives everything that ``copies`` does not.
        copies: stacked weights by name, ``[copy, *weight.shape]``. A tied weight under one of its names
            counts for all that are not given.
        x: the inputs, ``[batch, ...]``, on the device of the network.
        chunk: copies run at once; None for as many as fit: on a CPU those whose activations stay in the
            cache, elsewhere those that fit in a quarter of the free memory.
        exact: use the kernels of a single copy for products and convolutions, so that the result has
            the bits of the loop; False for torch's grouped kernels (sums in another order, and on
            an accelerator fewer launches).

    Returns:
        ``[copy, batch, ...]``.

    Raises:
        ValueError: a name that the network does not have, or no copy.
    """
    count = _count(network, copies)
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            copies = _under_all_names(network, copies)
            if any(isinstance(module, _FUSED) for module in network.modules()):
                chunk = 1
            size = chunk if chunk is not None else _fitting(network, copies, x)
            run = _runner(network, x, exact)
            return torch.cat([_chunk(run, copies, start, size) for start in range(0, count, size)])
    finally:
        network.train(training)


def accuracies(
    network: nn.Module,
    copies: Mapping[str, Tensor],
    data: TensorDataset,
    chunk: int | None = None,
    exact: bool = True,
    workers: int = 1,
) -> list[float]:
    """Fraction of the images that each copy gives their label.

    Args:
        network: a plain torch network.
        copies: stacked weights by name.
        data: images and labels.
        chunk, exact: as in :func:`outputs`.
        workers: threads that share the copies, each computing with one core: the way to use several
            cores with a network that is too small to share out itself. With 1, torch's own threads.

    Raises:
        ValueError: as in :func:`outputs`.
    """
    count = _count(network, copies)
    shares = [s for s in torch.arange(count).tensor_split(max(1, workers)) if len(s)]
    if len(shares) == 1:
        return _right(network, copies, data, chunk, exact)
    # functional_call changes the module while it runs: each thread has its own.
    networks = [copy.deepcopy(network) for _ in shares]

    def work(own: nn.Module, share: Tensor) -> list[float]:
        first, last = int(share[0]), int(share[-1])
        return _right(own, {k: v[first : last + 1] for k, v in copies.items()}, data, chunk, exact)

    with limited_threads(1), ThreadPoolExecutor(len(shares)) as pool:
        return [value for part in pool.map(work, networks, shares) for value in part]


def _right(
    network: nn.Module, copies: Mapping[str, Tensor], data: TensorDataset, chunk: int | None, exact: bool
) -> list[float]:
    images, labels = data.tensors
    device = next(network.parameters()).device
    right = torch.zeros(_count(network, copies), dtype=torch.int64, device=device)
    batch = max(1, PIXELS_AT_ONCE // images[0, 0].numel())
    for x, y in zip(images.split(batch), labels.split(batch), strict=True):
        scores = outputs(network, copies, x.to(device), chunk, exact)
        right += (scores.argmax(-1) == y.to(device)).sum(-1)
    return [hits / len(images) for hits in right.tolist()]


def _count(network: nn.Module, copies: Mapping[str, Tensor]) -> int:
    known = parameters(network)
    for name, stack in copies.items():
        if name not in known or stack.shape[1:] != known[name].shape:
            wanted = (
                f"[copy, {', '.join(map(str, known[name].shape))}]" if name in known else "no such weight"
            )
            raise ValueError(f"copies[{name!r}] has shape {tuple(stack.shape)}; the network has {wanted}")
    counts = {len(stack) for stack in copies.values()}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(
            f"copies hold {sorted(counts)} copies: all weights need the same number, at least one"
        )
    return counts.pop()


def _under_all_names(network: nn.Module, copies: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The copies, those of tied weights under all names: torch shares out none that has several values."""
    given = dict(copies)
    known = parameters(network)
    first = {known[name]: stack for name, stack in reversed(list(copies.items()))}
    return {name: given.get(name, first[p]) for name, p in known.items() if p in first}


Run = Callable[[Mapping[str, Tensor], int], Tensor]


def _runner(network: nn.Module, x: Tensor, exact: bool) -> Run:
    """A function from a chunk of copies and its size to their outputs."""

    def one(weights: Mapping[str, Tensor]) -> Any:
        return torch.func.functional_call(network, dict(weights), (x,), tie_weights=False)

    def run(part: Mapping[str, Tensor], size: int) -> Tensor:
        if size == 1:
            alone: Tensor = one({name: stack[0] for name, stack in part.items()})
            return alone.unsqueeze(0)
        with _kernels(exact):
            together: Tensor = torch.func.vmap(one)(part)
        return together

    return run


def _chunk(run: Run, copies: Mapping[str, Tensor], start: int, size: int) -> Tensor:
    """One chunk; in smaller ones if the memory of the accelerator does not hold it."""
    part = {name: stack[start : start + size] for name, stack in copies.items()}
    count = len(next(iter(part.values())))
    try:
        return run(part, count)
    except torch.OutOfMemoryError:
        if count == 1:
            raise
    half = -(-count // 2)
    return torch.cat([_chunk(run, part, first, half) for first in range(0, count, half)])


def _fitting(network: nn.Module, copies: Mapping[str, Tensor], x: Tensor) -> int:
    """Copies to run at once: from the largest activation that one input makes, three times over."""
    largest = 0

    def see(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal largest
        if isinstance(output, Tensor):
            largest = max(largest, output.numel() * output.element_size())

    handles = [module.register_forward_hook(see) for module in network.modules()]
    alone = {name: stack[0] for name, stack in copies.items()}
    try:
        torch.func.functional_call(network, alone, (x[:1],), tie_weights=False)
    finally:
        for handle in handles:
            handle.remove()
    room = CACHE
    if x.device.type == "cuda":
        room = torch.cuda.mem_get_info(x.device)[0] // 4
    return max(1, min(len(next(iter(copies.values()))), room // max(1, 3 * largest * len(x))))


# --- the kernels of a single copy under vmap -----------------------------------------------------

# Functions that torch computes with other kernels, or sums in another order, for a batch of copies.
_BY_COPY = (
    F.linear, F.bilinear, F.conv1d, F.conv2d, F.conv3d,
    F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d,
    F.group_norm, F.scaled_dot_product_attention, F.multi_head_attention_forward,
    torch.matmul, torch.mm, torch.bmm, torch.mv, torch.addmm, torch.baddbmm, torch.einsum, torch.tensordot,
    Tensor.matmul, Tensor.mm, Tensor.bmm, Tensor.mv, Tensor.__matmul__, Tensor.__rmatmul__,
)  # fmt: skip
# Modules with fused kernels that they choose by what their inputs are.
_FUSED = (
    nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder
)  # fmt: skip


class _Call:
    """A call of a function, as a function of the tensors among its arguments, giving tensors only."""

    def __init__(self, function: Any, args: Any, kwargs: Any) -> None:
        self.function = function
        self.leaves, self.spec = pytree.tree_flatten((args, kwargs))
        self.places = [k for k, leaf in enumerate(self.leaves) if isinstance(leaf, Tensor)]
        self.tensors = [self.leaves[k] for k in self.places]

    def __call__(self, tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
        leaves = list(self.leaves)
        for k, tensor in zip(self.places, tensors, strict=True):
            leaves[k] = tensor
        args, kwargs = pytree.tree_unflatten(leaves, self.spec)
        self.found, self.found_spec = pytree.tree_flatten(self.function(*args, **kwargs))
        return tuple(leaf for leaf in self.found if isinstance(leaf, Tensor))

    def result(self, tensors: tuple[Tensor, ...]) -> Any:
        """What the function returns, with these tensors in it."""
        rest = iter(tensors)
        leaves = [next(rest) if isinstance(leaf, Tensor) else leaf for leaf in self.found]
        return pytree.tree_unflatten(leaves, self.found_spec)


class _ByCopy(torch.autograd.Function):
    """A call; for a batch of copies it runs once for each."""

    generate_vmap_rule = False

    @staticmethod
    def forward(call: _Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        return call(tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept: there is no gradient."""

    @staticmethod
    def vmap(info: Any, dims: Any, call: _Call, *tensors: Tensor) -> tuple[tuple[Tensor, ...], Any]:
        found = [
            call(t if dim is None else t.select(dim, k) for t, dim in zip(tensors, dims[1:], strict=True))
            for k in range(info.batch_size)
        ]
        stacked = tuple(torch.stack(copies) for copies in zip(*found, strict=True))
        return stacked, (0,) * len(stacked)


class _SingleKernels(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function not in _BY_COPY:
            return function(*args, **(kwargs or {}))
        call = _Call(function, args, kwargs or {})
        return call.result(_ByCopy.apply(call, *call.tensors))  # type: ignore[no-untyped-call]


@contextmanager
def _kernels(exact: bool) -> Iterator[None]:
    if not exact:
        yield
        return
    with _SingleKernels():
        yield

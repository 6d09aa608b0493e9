"""Many noisy copies of one network, evaluated together.

The results are those of a loop over the copies, bit for bit, whatever the number run at once: products
and convolutions use the kernel of a single copy (``exact=True``), everything else is element by element.

>>> from mho.experiments.copies import noisy_weights
>>> network = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
>>> copies = noisy_weights(network, [0.0, 0.1], repeats=[0, 0], seed=0)
>>> y = outputs(network, copies, torch.ones(5, 8))
>>> y.shape, torch.equal(y[0], network(torch.ones(5, 8)))
(torch.Size([2, 5, 2]), True)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.data import TensorDataset

from mho.experiments.fitting import PIXELS_AT_ONCE, limited_threads

CACHE = 4 << 20  # bytes of activations that one thread of a CPU should keep close


# --- evaluating copies ---------------------------------------------------------------------------


def outputs(
    network: nn.Module, copies: Mapping[str, Tensor], x: Tensor, chunk: int | None = None, exact: bool = True
) -> Tensor:
    """The outputs of all copies for the same inputs, in evaluation mode.

    Args:
        network: a plain torch network; gives everything that ``copies`` does not.
        copies: stacked weights by name, ``[copy, *weight.shape]``.
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
    known = dict(network.named_parameters())
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


Run = Callable[[Mapping[str, Tensor], int], Tensor]


def _runner(network: nn.Module, x: Tensor, exact: bool) -> Run:
    """A function from a chunk of copies and its size to their outputs."""

    def one(weights: Mapping[str, Tensor]) -> Any:
        return torch.func.functional_call(network, dict(weights), (x,))

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
    try:
        torch.func.functional_call(network, {name: stack[0] for name, stack in copies.items()}, (x[:1],))
    finally:
        for handle in handles:
            handle.remove()
    room = CACHE
    if x.device.type == "cuda":
        room = torch.cuda.mem_get_info(x.device)[0] // 4
    return max(1, min(len(next(iter(copies.values()))), room // max(1, 3 * largest * len(x))))


# --- the kernels of a single copy under vmap -----------------------------------------------------

_LAYERS = (F.linear, F.conv1d, F.conv2d, F.conv3d, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


class _ByCopy(torch.autograd.Function):
    """A layer's function; for a batch of copies it runs once for each."""

    generate_vmap_rule = False

    @staticmethod
    def forward(function: Any, rest: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        result: Tensor = function(x, weight, bias, *rest[0], **rest[1])
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept: there is no gradient."""

    @staticmethod
    def vmap(info: Any, dims: Any, function: Any, rest: Any, *tensors: Any) -> tuple[Tensor, int]:
        def one(number: int) -> Tensor:
            each = [
                t if dim is None else t.select(dim, number) for t, dim in zip(tensors, dims[2:], strict=True)
            ]
            result: Tensor = function(*each, *rest[0], **rest[1])
            return result

        return torch.stack([one(number) for number in range(info.batch_size)]), 0


class _SingleKernels(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function not in _LAYERS:
            return function(*args, **(kwargs or {}))
        named = dict(zip(("input", "weight", "bias"), args, strict=False)) | (kwargs or {})
        tensors = [named.pop(name, None) for name in ("input", "weight", "bias")]
        return _ByCopy.apply(function, (args[3:], named), *tensors)  # type: ignore[no-untyped-call]


@contextmanager
def _kernels(exact: bool) -> Iterator[None]:
    if not exact:
        yield
        return
    with _SingleKernels():
        yield

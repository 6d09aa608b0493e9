"""Many noisy copies of one network, evaluated together.

The results are those of a loop over the copies, bit for bit, on any processor: each copy is run by the very
calls, with operands in the memory layouts, that it would be run by alone. Threads share the copies
(:func:`accuracies`). Where rounding does not matter, ``exact=False`` runs many at once with torch's grouped
kernels, which on an accelerator are fewer launches. A network with a recurrent, an attention or a
transformer layer of torch, whose fused kernels know no copies, runs copy by copy in any case.

>>> from mho.experiments.copies import noisy_weights
>>> network = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
>>> copies = noisy_weights(network, [0.0, 0.1], repeats=[0, 0], seed=0)
>>> y = outputs(network, copies, torch.ones(5, 8))
>>> y.shape, torch.equal(y[0], network(torch.ones(5, 8)))
(torch.Size([2, 5, 2]), True)
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from mho.experiments.copies import parameters
from mho.experiments.fitting import PIXELS_AT_ONCE, limited_threads

CACHE = 4 << 20  # bytes of activations that one thread of a CPU should keep close
# Modules with fused kernels that they choose by what their inputs are.
FUSED = (
    nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder
)  # fmt: skip


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
        chunk: copies in one call of the grouped kernels; None for as many as fit: on a CPU those whose
            activations stay in the cache, elsewhere those that fit in a quarter of the free memory.
        exact: run each copy as it would run alone, so that the result has the bits of the loop; False for
            torch's grouped kernels (sums in another order, and on an accelerator fewer launches).

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
            if exact or any(isinstance(module, FUSED) for module in network.modules()):
                return torch.stack([_alone(network, copies, x, number) for number in range(count)])
            size = chunk if chunk is not None else _fitting(network, copies, x)
            return torch.cat([_chunk(network, copies, x, start, size) for start in range(0, count, size)])
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


def _called(network: nn.Module, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """The outputs of the network with other weights."""
    y: Tensor = torch.func.functional_call(network, dict(weights), (x,), tie_weights=False)
    return y


def _alone(network: nn.Module, copies: Mapping[str, Tensor], x: Tensor, number: int) -> Tensor:
    """One copy, its weights as the network's own are: torch chooses its kernels by layouts and gradients."""
    known = parameters(network)
    weights = {
        name: torch.empty_like(known[name]).copy_(stack[number]).requires_grad_(known[name].requires_grad)
        for name, stack in copies.items()
    }
    return _called(network, weights, x)


def _chunk(network: nn.Module, copies: Mapping[str, Tensor], x: Tensor, start: int, size: int) -> Tensor:
    """One chunk; in smaller ones if the memory of the accelerator does not hold it."""
    part = {name: stack[start : start + size] for name, stack in copies.items()}
    count = len(next(iter(part.values())))
    try:
        found: Tensor = torch.func.vmap(lambda weights: _called(network, weights, x))(part)
        return found
    except torch.OutOfMemoryError:
        if count == 1:
            raise
    half = -(-count // 2)
    return torch.cat([_chunk(network, part, x, first, half) for first in range(0, count, half)])


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

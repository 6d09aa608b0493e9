"""Running the batches of a data loader through a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mho.nn.unprogrammed import on_purpose

Progress = Callable[[int], object]


def run(model: nn.Module, batch: Any) -> Any:
    """Run a model on a batch: a tensor, a tuple or list (input first), or a dict of keyword arguments."""
    place = next((p.device for p in model.parameters()), torch.device("cpu"))
    if isinstance(batch, Mapping):  # a batch of Hugging Face is no dict
        return model(**{k: v.to(place) if isinstance(v, Tensor) else v for k, v in batch.items()})
    if isinstance(batch, (tuple, list)) and batch:
        batch = batch[0]
    if not isinstance(batch, Tensor):
        raise TypeError(
            f"a batch is a {type(batch).__name__}: give a tensor, a tuple whose first item is the input, "
            "or a dict of keyword arguments"
        )
    return model(batch.to(place))


def run_all(
    model: nn.Module,
    data: Iterable[Any],
    training: Iterable[nn.Module] = (),
    progress: Progress | None = None,
) -> None:
    """Run all batches through the model in evaluation mode, without gradients; modes are restored.

    Args:
        model: any module.
        data: batches, as for :func:`run`.
        training: modules that are in training mode meanwhile.
        progress: called after each batch with the number of batches so far.

    Raises:
        TypeError: ``data`` is no sequence of batches.
        ValueError: no batch came.
    """
    if isinstance(data, (Tensor, Mapping)) or not isinstance(data, Iterable):
        raise TypeError(
            f"data is a {type(data).__name__}: give batches, such as a DataLoader; [x] for a single one"
        )
    modes = {module: module.training for module in model.modules() if hasattr(module, "training")}
    count = 0
    try:
        model.eval()
        for module in training:
            module.training = True
        with torch.no_grad(), on_purpose(model):
            for batch in data:
                run(model, batch)
                count += 1
                if progress is not None:
                    progress(count)
        if count == 0:
            raise ValueError("data gave no batch: at least one is needed (an iterator runs only once)")
    finally:
        for module, mode in modes.items():
            module.training = mode

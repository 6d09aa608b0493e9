"""Batch normalisation for weights that moved: its statistics measured again.

Source: V. Joshi et al., Nat. Commun. 11, 2473 (2020), adaptive batch normalisation statistics.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from mho.lifecycle import run


def re_estimate_batch_norm(model: nn.Module, data: Iterable[Any]) -> None:
    """Measure the running mean and variance of every batch normalisation again, in place.

    The data runs once through the model in evaluation mode (an analog layer reads its chip), the batch
    normalisations alone normalise by the batch; each statistic is the mean over the batches. Weights,
    scales and shifts stay, no label is needed. Use training data, never the test images.

    Args:
        model: any module; without batch normalisation nothing happens.
        data: batches: a tensor, a tuple or list whose first item is the input, or a dict of keyword
            arguments.

    Raises:
        ValueError: no batch came.

    >>> model = nn.BatchNorm1d(1)
    >>> re_estimate_batch_norm(model, [torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [7.0]])])
    >>> model.running_mean.item(), model.running_var.item()
    (4.0, 2.0)
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    norms = [norm for norm in norms if norm.track_running_stats]
    if not norms:
        return
    modes = {module: module.training for module in model.modules()}
    momenta = [norm.momentum for norm in norms]
    count = 0
    try:
        model.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
            norm.training = True
        with torch.no_grad():
            for batch in data:
                run(model, batch)
                count += 1
        if count == 0:
            raise ValueError("data gave no batch: at least one is needed (an iterator runs only once)")
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, mode in modes.items():
            module.training = mode

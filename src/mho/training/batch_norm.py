"""Batch normalisation for weights that moved: its statistics measured again.

Source: V. Joshi et al., Nat. Commun. 11, 2473 (2020), adaptive batch normalisation statistics.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from mho.calibration.batches import run_all


def re_estimate_batch_norm(model: nn.Module, data: Iterable[Any]) -> None:
    """Measure the running mean and variance of every batch normalisation again, in place.

    The data runs once through the model in evaluation mode (an analog layer reads its chip, at its present
    age and with its corrections), the batch normalisations alone normalise by the batch; each statistic is
    the mean over the batches. Weights, scales and shifts stay, no label is needed. Use training data, never
    the test images; measure again at each age, after ``mho.compensate``.

    Args:
        model: any module; without batch normalisation nothing happens.
        data: batches: a tensor, a tuple or list whose first item is the input, or a dict of keyword
            arguments.

    Raises:
        ValueError: no batch came, or the values are not finite; then no statistic is changed.

    >>> import torch
    >>> model = nn.BatchNorm1d(1)
    >>> re_estimate_batch_norm(model, [torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [7.0]])])
    >>> model.running_mean.item(), model.running_var.item()
    (4.0, 2.0)
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    norms = [norm for norm in norms if norm.track_running_stats]
    if not norms:
        return
    before = [(norm, norm.momentum, [b.clone() for b in norm.buffers()]) for norm in norms]
    done = False
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
        run_all(model, data, training=norms)
        _check(model, norms)
        done = True
    finally:
        for norm, momentum, statistics in before:
            norm.momentum = momentum
            if not done or norm.num_batches_tracked == 0:  # this one did not run on this data
                for buffer, value in zip(norm.buffers(), statistics, strict=True):
                    buffer.copy_(value)


def _check(model: nn.Module, norms: list[nn.modules.batchnorm._NormBase]) -> None:
    paths = {id(module): path for path, module in model.named_modules()}
    for norm in norms:
        if not all(bool(b.isfinite().all()) for b in norm.buffers()):
            raise ValueError(
                f"the batch normalisation {paths[id(norm)]!r} met NaN or infinite values; check the data and "
                "the weights"
            )

"""Loaders of data sets, from folders: nothing is downloaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

from mho.experiments.data import CIFAR10, MNIST, Data

Loaders = tuple["DataLoader[Any]", "DataLoader[Any] | None", "DataLoader[Any]"]


def LoadMNIST(
    batch_size: int = 32, validation: bool = True, num_workers: int = 0,
    root: str | os.PathLike[str] = "data", *, shuffle: bool = True,
) -> Loaders:  # fmt: skip
    """MNIST in batches: of training, of validation (None without it) and of the test, normalised.

    Args:
        batch_size: images in a batch.
        validation: keep 5,000 training images back.
        num_workers: processes that load.
        root: folder with the published files, there or in ``MNIST/raw``.
        shuffle: the training images.

    Raises:
        ValueError: the files are not there; the message says which and where they come from.
    """
    data = MNIST().load(Path(root))
    return _loaders(data, batch_size, validation, num_workers, shuffle)


def LoadCIFAR10(
    batch_size: int = 32, validation: bool = True, num_workers: int = 0,
    root: str | os.PathLike[str] = "data", *, shuffle: bool = True,
) -> Loaders:  # fmt: skip
    """CIFAR-10 in batches; arguments and errors as of :func:`LoadMNIST`."""
    return _loaders(CIFAR10().load(Path(root)), batch_size, validation, num_workers, shuffle)


def _loaders(data: Data, batch_size: int, validation: bool, workers: int, shuffle: bool) -> Loaders:
    def loader(part: TensorDataset, mixed: bool = False) -> DataLoader[Any]:
        return DataLoader(part, batch_size, shuffle=mixed, num_workers=workers)

    train, kept = data.train, data.validation
    if not validation:
        pairs = zip(train.tensors, kept.tensors, strict=True)
        train = TensorDataset(*(torch.cat(pair) for pair in pairs))
    return loader(train, shuffle), loader(kept) if validation else None, loader(data.test)

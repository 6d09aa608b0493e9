"""What an experiment learns from: images with labels, in three parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.data import TensorDataset


@dataclass(frozen=True)
class Data:
    """Labelled images, normalised, in three parts that share no image.

    Attributes:
        train: images ``[n, channels, size, size]`` (float32) and labels ``[n]`` (int64) to learn from.
        validation: the same, to choose settings with.
        test: the same, for the figures that are reported; nothing is chosen with it.
        channels: colours of an image.
        size: height and width of an image, pixels.
        classes: number of labels.
        mean: mean of each channel over the training part, before normalisation (pixels from 0 to 1).
        std: standard deviation of each channel over the training part.
    """

    train: TensorDataset
    validation: TensorDataset
    test: TensorDataset
    channels: int
    size: int
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


T = TypeVar("T")


class AnySource(ABC, Generic[T]):
    """A data set by description; it is read when it is asked for.

    A source of your own subclasses the one for images, texts or rows of words, is decorated with
    :func:`mho.config.config`, and can then be given to a study.
    """

    @abstractmethod
    def load(self, folder: Path | None = None) -> T:
        """Read the images, the texts or the words.

        Args:
            folder: where the published files lie; None for data that needs no files.

        Raises:
            MissingDataError: a file is not there; the message says which files are expected where.
            ValueError: a file is damaged.
        """


class Source(AnySource[Data]):
    """Labelled images by description."""

    def augmented(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The images of one training batch, varied at random; as they are by default.

        Args:
            images: ``[n, channels, size, size]``.
            generator: CPU generator of all draws.
        """
        return images


class MissingDataError(ValueError):
    """The files of a data set are not where they were said to be."""


def missing(name: str, folder: Path | None, expected: Iterable[str], origin: str) -> MissingDataError:
    """The error for absent files: what is expected where, and where it comes from."""
    listed = "\n".join(f"  {line}" for line in expected)
    if folder is None:
        start = f"{name} is read from files: give the folder that holds them (--data FOLDER)."
    elif not folder.exists():
        start = f"--data {folder}: there is no such folder."
    else:
        start = f"--data {folder}: {name} is not there, or not whole."
    where = "FOLDER" if folder is None else str(folder)
    return MissingDataError(f"{start}\nExpected in {where}:\n{listed}\nThe files are published at {origin}")


def kept_back(total: int, kept: int | None, what: str) -> int:
    """How many of the training items stay for training: the last ones are the validation part.

    Args:
        total: training items.
        kept: for validation; None for a tenth of them.
        what: they are, for the error.

    Raises:
        ValueError: none stays, or none is kept.
    """
    kept = kept if kept is not None else max(1, total // 10)
    if not 0 < kept < total:
        raise ValueError(f"validation = {kept}: it must leave some of the {total} training {what}")
    return total - kept


def normalised(parts: list[tuple[Tensor, Tensor]], classes: int) -> Data:
    """Data from ``(images, labels)`` of the training, validation and test part.

    Args:
        parts: three pairs; images uint8 or float ``[n, channels, size, size]`` with pixels from 0 to
            255 (uint8) or 0 to 1 (float); labels ``[n]``, integers from 0 to ``classes - 1``.
        classes: number of labels.

    Raises:
        ValueError: a part is empty, images and labels differ in number, or a label is out of range.
    """
    for title, (images, labels) in zip(("training", "validation", "test"), parts, strict=True):
        if len(images) == 0 or len(images) != len(labels):
            raise ValueError(
                f"the {title} part has {len(images)} images and {len(labels)} labels: "
                "there must be as many of both, and at least one; are the files whole?"
            )
        if int(labels.min()) < 0 or int(labels.max()) >= classes:
            raise ValueError(
                f"the {title} part has labels from {int(labels.min())} to {int(labels.max())}; "
                f"they must lie between 0 and {classes - 1}"
            )
    pixels = _pixels(parts[0][0])
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3)).clamp_min(1e-6)
    datasets = [
        TensorDataset(
            _pixels(images).sub_(mean[:, None, None]).div_(std[:, None, None]), labels.to(torch.int64)
        )
        for images, labels in parts
    ]
    return Data(
        train=datasets[0],
        validation=datasets[1],
        test=datasets[2],
        channels=pixels.shape[1],
        size=pixels.shape[2],
        classes=classes,
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
    )


def _pixels(images: Tensor) -> Tensor:
    """A new float32 tensor with pixels from 0 to 1."""
    if images.dtype == torch.uint8:
        return images.to(torch.float32).div_(255.0)
    return images.to(torch.float32, copy=True)

"""A network by description: of images, of texts, of rows of words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn


class Network(ABC):
    """A network by description; `build` makes it for the images at hand.

    A network of your own subclasses this one, is decorated with :func:`mho.config.config`, and can
    then be given to a study.
    """

    @abstractmethod
    def build(self, channels: int, size: int, classes: int) -> nn.Module:
        """A new network in plain torch, with random weights from torch's global stream.

        Args:
            channels: colours of an image.
            size: height and width of an image, pixels.
            classes: number of labels; the network returns one score for each.

        Raises:
            ValueError: the images are too small for this network.
        """


class TextNetwork(ABC):
    """A classifier of texts by description, with the tokens that it takes.

    A network of your own subclasses this one, and is decorated with :func:`mho.config.config`.
    """

    @abstractmethod
    def encode(self, texts: Sequence[str], folder: Path | None = None) -> Tensor:
        """What the network takes for these texts: int64 ``[n, length]``.

        Args:
            texts: plain text.
            folder: where the pretrained files lie; None for a network that comes with its files.

        Raises:
            MissingModelError: pretrained files are not there; the message says what is expected.
        """

    @abstractmethod
    def build(self, classes: int, folder: Path | None = None) -> nn.Module:
        """A new network; what is not pretrained has random weights from torch's global stream.

        Args:
            classes: number of labels; the network takes ``[n, length]`` and returns ``[n, classes]``.
            folder: as for :meth:`encode`.

        Raises:
            MissingModelError: pretrained files are not there; the message says what is expected.
        """


class WordNetwork(ABC):
    """A language model by description; a model of your own subclasses this one."""

    @abstractmethod
    def build(self, words: int) -> nn.Module:
        """A new network in plain torch, with random weights from torch's global stream.

        Args:
            words: size of the vocabulary; the network takes ``[n, length]`` and returns a score of each
                word for each next place, ``[n, words, length]``.
        """


class MissingModelError(ValueError):
    """Pretrained weights, or the package that reads them, are not there."""


def at_least(size: int, least: int, network: Network) -> None:
    """Raise ``ValueError`` unless the images are ``least`` pixels high and wide."""
    if size < least:
        raise ValueError(
            f"size = {size}: {type(network).__name__} needs images of at least {least}x{least} pixels; "
            "choose another network or data set"
        )

"""A network by description."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn


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


def at_least(size: int, least: int, network: Network) -> None:
    """Raise ``ValueError`` unless the images are ``least`` pixels high and wide."""
    if size < least:
        raise ValueError(
            f"size = {size}: {type(network).__name__} needs images of at least {least}x{least} pixels; "
            "choose another network or data set"
        )

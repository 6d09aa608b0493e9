"""What listens to an array while it is read: the seam of calibration, traces and costs."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from mho.chip.layout import Layout
from mho.chip.reads import Limit
from mho.programming import Summary


class Tap:
    """Listens to one array; this one hears nothing.

    A tap changes no number of a read and draws none. Copies of an array have none.

    Attributes:
        holds_back: whether the array is read without its converters while the tap listens.
    """

    holds_back: bool = False

    def converted(self, layout: Layout, z: Tensor, channels: int, first: int) -> None:
        """Currents are about to be converted.

        Args:
            layout: of the product, perhaps of a single tile.
            z: in digits of the ADC, not rounded, as the product gives them or as a partial.
            channels: that are converted one by one.
            first: the tile of rows with which ``layout`` begins.
        """

    def read(self, x: Tensor, y: Tensor, limit: Callable[[], Limit]) -> None:
        """A forward gave the outputs ``y`` for the inputs ``x``.

        Args:
            x: as the layout takes them.
            y: without what a layer makes of them.
            limit: gives the full scale of the DAC; None where it is left out, or measures its own.
        """

    def programmed(self, written: Summary | None) -> None:
        """The array was programmed; None: with single shots, which are not counted."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _none, ()


def _none() -> None:
    return None

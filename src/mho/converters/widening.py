"""A full scale that widens for the vectors that would not fit."""

from __future__ import annotations

from torch import Tensor

from mho.config import Positive, config
from mho.converters.auto_range import AutoRange
from mho.converters.ranges import Dynamic, Spans

_POWERS = AutoRange()  # made here: no graph can make it


@config
class Widening(Dynamic):
    """A full scale that doubles until all columns of an array fit in it, for each vector; for an ADC.

    It stands for bound management, where a vector whose outputs clip is read again with half its inputs, and
    the outputs are doubled. Here the ADC widens instead: the inputs are not rounded a second time.

    Attributes:
        limit: full scale of vectors that fit, in cell currents.

    Source: T. Gokmen et al., Front. Neurosci. 11, 538 (2017), bound management.

    >>> import torch
    >>> currents = torch.tensor([0.3, 0.7, 1.5, 2.5])
    >>> Widening(limit=1.0).full_scale(currents, (0,), ((0, 2), (2, 4))).tolist()
    [1.0, 1.0, 4.0, 4.0]
    """

    limit: Positive

    def full_scale(self, values: Tensor, axes: tuple[int, ...], columns: Spans = ()) -> Tensor:
        """The limit times a power of two (see :meth:`mho.converters.Range.full_scale`)."""
        return self.limit * _POWERS.full_scale(values / self.limit, axes, columns).clamp_min(1.0)

    def check(self, channels: int | None) -> None:
        """It measures what arrays give."""
        if channels is None:
            raise ValueError("dac.range = Widening(...): it measures currents; use Dynamic() for inputs")

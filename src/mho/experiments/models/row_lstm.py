"""A recurrent network that reads an image row by row."""

from __future__ import annotations

from torch import Tensor, nn

from mho.config import Count, config
from mho.experiments.models.base import Network


@config
class RowLSTM(Network):
    """One layer of LSTM over the rows of an image, from top to bottom, and scores from its last state.

    Attributes:
        hidden: units of the layer.
    """

    hidden: Count = 64

    def build(self, channels: int, size: int, classes: int) -> nn.Module:
        """A row of all channels is one input."""
        return RowReader(channels * size, self.hidden, classes)


class RowReader(nn.Module):
    """See :class:`RowLSTM`.

    Args:
        inputs: pixels of a row, all channels.
        hidden: units.
        classes: scores.
    """

    def __init__(self, inputs: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)
        self.scores = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[n, channels, size, size]`` to ``[n, classes]``."""
        rows = x.transpose(1, 2).flatten(2)
        states, _ = self.lstm(rows)
        y: Tensor = self.scores(states[:, -1])
        return y

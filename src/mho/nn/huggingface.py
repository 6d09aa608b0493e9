"""Layers of Hugging Face's transformers that torch has not, on arrays; transformers is not imported."""

from __future__ import annotations

import torch
from torch import Tensor

from mho.nn.embedding import AnalogEmbedding


class AnalogPositions(AnalogEmbedding):
    """A table of positions: the rows from a start on, or those that are named.

    ``mho.convert`` makes it from Whisper's ``WhisperPositionalEmbedding``.
    """

    def forward(
        self, input_ids: Tensor, past_key_values_length: int = 0, position_ids: Tensor | None = None
    ) -> Tensor:
        """A row for each column of ``input_ids`` (not its numbers), or the rows ``position_ids``."""
        return super().forward(self._rows(input_ids, past_key_values_length, position_ids))

    def digital_forward(
        self, input_ids: Tensor, past_key_values_length: int = 0, position_ids: Tensor | None = None
    ) -> Tensor:
        """The rows of the Parameter."""
        return super().digital_forward(self._rows(input_ids, past_key_values_length, position_ids))

    def _rows(self, like: Tensor, start: int, named: Tensor | None) -> Tensor:
        return torch.arange(start, start + like.shape[1], device=like.device) if named is None else named

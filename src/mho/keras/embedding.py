"""Embeddings on arrays: a look-up is a read of one row."""

from __future__ import annotations

from typing import Any

import keras

from mho.keras.geometry import LookUpGeometry
from mho.keras.layer import AnalogLayer, OnArray, same

Tensor = Any  # of the backend


@keras.saving.register_keras_serializable(package="mho")
class AnalogEmbedding(AnalogLayer, keras.layers.Embedding):
    """``keras.layers.Embedding`` on an array; its rows are on or off, whatever the DAC.

    Args:
        input_dim, output_dim, mask_zero, ...: as in ``keras.layers.Embedding``.
        hardware, recipe, path: as in :class:`~mho.keras.AnalogLayer`.

    >>> import mho, numpy
    >>> layer = AnalogEmbedding(10, 4, hardware=mho.Hardware())
    >>> layer(numpy.array([[1, 2], [3, 4]])).shape == (2, 2, 4)
    True
    """

    def build(self, input_shape: Any = None) -> None:
        """The table, and its array."""
        super().build(input_shape)
        self.array.lay_out(LookUpGeometry(self.input_dim, self.output_dim), False)

    def on_arrays(self) -> dict[str, OnArray]:
        """The table."""
        return {"": OnArray(self.array, self._embeddings, same, same)}

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Read the rows ``inputs[...]``, whole numbers; returns ``[..., output_dim]``."""
        y = self.array.read(inputs, self._embeddings, None, bool(training))
        return keras.ops.cast(y, self.compute_dtype)

"""Multi-head attention on arrays.

The projections of queries, keys and values and the one of the output are four arrays. The products of
activations (``Q K^T`` and ``P V``) stay digital: nothing in them is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from mho.hardware import Hardware
from mho.keras.array import CrossbarArray
from mho.keras.dense import AnalogEinsumDense
from mho.keras.internals import replace_layer
from mho.keras.layer import AnalogLayer, OnArray

_PARTS = ("_query_dense", "_key_dense", "_value_dense", "_gate_dense", "_output_dense")


@keras.saving.register_keras_serializable(package="mho")
class AnalogMultiHeadAttention(AnalogLayer, keras.layers.MultiHeadAttention):
    """``keras.layers.MultiHeadAttention`` on four arrays (five with a gate).

    Args:
        num_heads, key_dim, value_dim, ...: as in ``keras.layers.MultiHeadAttention``.
        hardware, recipe, path: as in :class:`~mho.keras.AnalogLayer`.

    >>> import mho, numpy
    >>> layer, x = AnalogMultiHeadAttention(2, 4, hardware=mho.Hardware()), numpy.ones((2, 5, 8), "float32")
    >>> layer(x, x).shape == (2, 5, 8)
    True
    """

    def array_names(self) -> tuple[str, ...]:
        """None of its own: they belong to its projections."""
        return ()

    def on_arrays(self) -> dict[str, OnArray]:
        """None of its own."""
        return {}

    def arrays(self) -> list[CrossbarArray]:
        """The arrays of its projections."""
        return [part.array for part in self._parts().values()]

    def _parts(self) -> dict[str, AnalogEinsumDense]:
        """The projections that there are already."""
        found = {name: getattr(self, name, None) for name in _PARTS}
        return {name: part for name, part in found.items() if isinstance(part, AnalogEinsumDense)}

    @property
    def recipe(self) -> Any:
        """What training does to the weights."""
        return self._recipe

    @recipe.setter
    def recipe(self, recipe: Any) -> None:
        for part in self._parts().values():
            part.recipe = recipe
        self._recipe = recipe

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """The projections, each on an array."""
        super().build(query_shape, value_shape, key_shape)
        for name in _PARTS:
            if getattr(self, name, None) is not None:
                replace_layer(self, name, self._on_array(name))

    def _on_array(self, name: str) -> AnalogEinsumDense:
        """The analog twin of a projection, built."""
        plain = getattr(self, name)
        config = {**plain.get_config(), "recipe": self._recipe}
        each: Mapping[str, str] = self.__dict__.get("_described_each", {})
        hardware = Hardware.from_json(each[name]) if name in each else self._given
        made: AnalogEinsumDense = AnalogEinsumDense.from_config({**config, "hardware": hardware})
        made.build(plain.get_build_config()["input_shape"])
        return made

    def describe(self, each: Mapping[str, str]) -> None:
        """Give single projections a description of their own, JSON by name."""
        object.__setattr__(self, "_described_each", dict(each))

    def get_config(self) -> dict[str, Any]:
        """The configuration, plain JSON."""
        config = super().get_config()
        parts = self._parts()
        if len({part.hardware for part in parts.values()}) > 1:
            config["each"] = {name: part.hardware.to_json() for name, part in parts.items()}
        return config

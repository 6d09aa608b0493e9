"""What all analog Keras layers share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from mho.hardware import Hardware
from mho.keras import recipes
from mho.keras.array import CrossbarArray
from mho.training import Recipe

Tensor = Any  # of the backend


class OnArray(NamedTuple):
    """A kernel of a layer that lies on an array.

    Attributes:
        array: the array.
        kernel: the variable.
        canonical: makes the canonical kernel of it, in the graph and in numpy.
        stored: makes the kernel of a canonical one, in numpy.
        bias: the variable that holds the bias of its columns; None without one.
        row: which row of that variable; None if it has no rows.
    """

    array: CrossbarArray
    kernel: Any
    canonical: Callable[[Any], Any]
    stored: Callable[[Any], Any]
    bias: Any = None
    row: int | None = None

    def values(self) -> tuple[Any, Any]:
        """Kernel, canonical, and bias in numpy, at least float32."""
        return wide(self.canonical(numpy_of(self.kernel))), wide(self._bias_values())

    def _bias_values(self) -> Any:
        if self.bias is None:
            return None
        values = numpy_of(self.bias)
        return (values if self.row is None else values[self.row]).reshape(-1)


def numpy_of(variable: Any) -> Any:
    """A variable as numpy's array, whatever it is cast to where it is used."""
    return np.asarray(ops.convert_to_numpy(variable))


def wide(values: Any) -> Any:
    """At least float32, for the torch side."""
    return None if values is None else np.array(values, "float32")


class AnalogLayer:
    """Mixin of the analog layers; comes before the Keras layer in the bases.

    The weights stay where Keras has them, under Keras' names.

    Args:
        hardware: the description of the arrays, a ``mho.Hardware`` or its JSON.
        recipe: what training does to the weights, a ``mho.training.Recipe`` or its JSON; None for nothing.
        path: where the layer is in its model, for the random streams of its chip; None for what
            ``mho.keras.program`` finds.
    """

    built: bool
    name: str
    array: CrossbarArray
    build: Any  # of the Keras layer

    def __init__(
        self, *args: Any, hardware: Hardware | str, recipe: Recipe | str | None = None,
        path: str | None = None, **names: Any,
    ) -> None:  # fmt: skip
        self._refuse(names)
        super().__init__(*args, **names)
        self.chip_path = path
        self._given = _described(hardware)
        self._recipe = _recipe(recipe)
        for name in self.array_names():
            setattr(self, name, CrossbarArray(self._given, self._recipe, name=name))

    def array_names(self) -> tuple[str, ...]:
        """The attributes that hold arrays."""
        return ("array",)

    def on_arrays(self) -> dict[str, OnArray]:
        """The kernels on arrays, by the name that an array has within the layer; empty for a single one."""
        raise NotImplementedError(f"{type(self).__name__} puts no kernel on an array: write on_arrays")

    @staticmethod
    def _refuse(names: Mapping[str, Any]) -> None:
        """What of a Keras layer lies on no array."""
        for name, instead in _WITHOUT.items():
            if names.get(name) is not None:
                raise ValueError(f"{name} = {names[name]!r}: an array has no {name}; {instead}")
        if names.get("data_format") == "channels_first":
            raise ValueError(
                "data_format = 'channels_first': analog layers take channels last; transpose the input"
            )

    # --- description ------------------------------------------------------------------------------

    def arrays(self) -> list[CrossbarArray]:
        """The arrays."""
        return [getattr(self, name) for name in self.array_names()]

    @property
    def hardware(self) -> Hardware:
        """The description that all arrays share; where they differ, the one that the layer was given."""
        own = {array.hardware for array in self.arrays()}
        return own.pop() if len(own) == 1 else self._given

    @property
    def recipe(self) -> Recipe | None:
        """What training does to the weights."""
        return self._recipe

    @recipe.setter
    def recipe(self, recipe: Recipe | None) -> None:
        self._recipe = None if recipe is None else recipes.check(recipe)
        for array in self.arrays():
            array.recipe = self._recipe

    def get_config(self) -> dict[str, Any]:
        """The configuration, plain JSON; what ``mho.keras.degrade`` did to a description is in it."""
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        for name in _WITHOUT:
            config.pop(name, None)
        if len({getattr(self, name).hardware for name in self.array_names()}) > 1:
            config["each"] = {name: getattr(self, name).hardware.to_json() for name in self.array_names()}
        recipe = None if self._recipe is None else self._recipe.to_json()
        return {**config, "hardware": self.hardware.to_json(), "recipe": recipe, "path": self.chip_path}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The layer of :meth:`get_config`, without a chip."""
        config = dict(config)
        each = config.pop("each", {})
        layer = super().from_config(config)  # type: ignore[misc]
        layer.describe(each)
        return layer

    def describe(self, each: Mapping[str, str]) -> None:
        """Give single arrays a description of their own, JSON by name, before the layer is built."""
        for name, text in each.items():
            getattr(self, name).hardware = Hardware.from_json(text)

    # --- what Keras would do to a kernel ----------------------------------------------------------

    def quantize(self, mode: Any = None, *args: Any, **names: Any) -> None:
        """Refused: cells hold no integers."""
        raise ValueError(
            f"quantize({mode!r}): the kernel of {self.name!r} lies on an array; give its hardware levels, "
            "such as mho.devices.FiniteStates, or convert digital layers only"
        )

    def enable_lora(self, *args: Any, **names: Any) -> None:
        """Refused: a low-rank addition would bypass the array."""
        raise ValueError(
            f"enable_lora: the kernel of {self.name!r} lies on an array; add the low-rank product as layers "
            "of its own beside it"
        )


_WITHOUT = {
    "lora_rank": "add the low-rank product as layers of its own",
    "lora_alpha": "add the low-rank product as layers of its own",
    "quantization_config": "the hardware says what cells hold",
}


def _described(given: Hardware | str) -> Hardware:
    if isinstance(given, Hardware):
        return given
    if isinstance(given, str):
        return Hardware.from_json(given)
    raise TypeError(f"hardware = {given!r}: give a mho.Hardware, or its JSON")


def _recipe(given: Recipe | str | None) -> Recipe | None:
    if given is None:
        return None
    return recipes.check(Recipe.from_json(given) if isinstance(given, str) else given)


def activated(layer: Any, y: Tensor) -> Tensor:
    """What an array gives, in the layer's dtype, through its activation."""
    y = ops.cast(y, layer.compute_dtype)
    return y if layer.activation is None else layer.activation(y)


def same(kernel: Any) -> Any:
    """A kernel that is stored as it lies."""
    return kernel

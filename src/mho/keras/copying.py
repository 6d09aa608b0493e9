"""Copies of Keras models in which some layers are others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from mho.keras.internals import exchange
from mho.keras.recurrent import AnalogCell, AnalogRNN
from mho.keras.walk import AROUND, Place, attributes, children, is_graph, layers_in


class Copier:
    """Copies models, with other layers in the place of some.

    Args:
        plan: makes the layer that takes the place of another, by the identity of that one.

    Attributes:
        pairs: each layer whose weights were taken, and its copy.
    """

    def __init__(self, plan: Mapping[int, Callable[[], Any]]) -> None:
        self._plan = plan
        self._made: dict[int, Any] = {}
        self.pairs: list[tuple[Any, Any]] = []

    def copy(self, model: Any) -> Any:
        """The copy, with the weights of the model if it has some."""
        made = self._copied(model)
        if model.built and not made.built:
            made.build_from_config(model.get_build_config() or {})
            made.built = True  # Keras builds what is inside and leaves it at that
        if model.built:
            self._take_weights(model, made)
        return made

    # --- structure --------------------------------------------------------------------------------

    def _copied(self, layer: Any) -> Any:
        """The copy of a layer, made once: a layer that is used twice stays one."""
        if id(layer) not in self._made:
            self._made[id(layer)] = self._new(layer)
        return self._made[id(layer)]

    def _new(self, layer: Any) -> Any:
        if id(layer) in self._plan:
            return self._plan[id(layer)]()
        if is_graph(layer):
            return keras.models.clone_model(layer, clone_function=self._copied)
        if isinstance(layer, AROUND):
            return self._wrapper(layer) if self._holds_some(layer) else _rebuilt(layer)
        made = _rebuilt(layer)
        if self._holds_some(layer):
            self._exchange(layer, made)
        return made

    def _holds_some(self, layer: Any) -> bool:
        """Whether something inside a layer is to be exchanged."""
        return any(id(child) in self._plan or self._holds_some(child) for *_, child in inside(layer))

    def _wrapper(self, layer: Any) -> Any:
        """A layer around layers, which its constructor takes."""
        config = layer.get_config()
        if isinstance(layer, keras.layers.StackedRNNCells):
            return type(layer)([self._copied(cell) for cell in layer.cells], name=layer.name)
        if isinstance(layer, keras.layers.RNN):
            config["cell"] = self._copied(layer.cell)
            path = config.pop("path", None)
            if _has_analog_cells(config["cell"]):
                return AnalogRNN(**config, path=path)
            return keras.layers.RNN(**config)
        if isinstance(layer, keras.layers.Bidirectional):
            return self._bidirectional(layer, config)
        config["layer"] = self._copied(layer.layer)
        return type(layer)(**config)

    def _bidirectional(self, layer: Any, config: dict[str, Any]) -> Any:
        """Keras makes both directions from configurations, under longer names."""
        forward, backward = (_renamed(self._new(one)) for one in (layer.forward_layer, layer.backward_layer))
        del config["layer"]
        config.pop("backward_layer", None)
        return type(layer)(forward, backward_layer=backward, **config)

    def _exchange(self, layer: Any, made: Any) -> None:
        """Exchange what the attributes of a copy hold."""
        for name, value in attributes(layer).items():
            held = [child for _, child in layers_in(value)]
            if any(id(child) in self._plan or self._holds_some(child) for child in held):
                exchange(made, name, self._in(value))
        made.get_config = _not_of_a_configuration
        if isinstance(made, keras.Model):
            made.save = _not_of_a_configuration  # before Keras has written a part of it
        for child in getattr(layer, "_layers", ()):
            if id(child) in self._plan and id(child) not in self._made:
                raise ValueError(
                    f"{type(layer).__name__} holds {child.name!r} in none of its attributes, lists "
                    "and dicts: hold it in an attribute, leave it out with select, or build the model of "
                    "analog layers"
                )

    def _in(self, value: Any) -> Any:
        """A value with copies in the place of its layers."""
        if isinstance(value, keras.layers.Layer):
            return self._copied(value)
        if isinstance(value, Mapping):
            return {name: self._in(inner) for name, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._in(inner) for inner in value]
        return value

    # --- weights ----------------------------------------------------------------------------------

    def _take_weights(self, old: Any, new: Any) -> None:
        """The weights of a layer and of all in it."""
        self.pairs.append((old, new))
        mine, its = (inside(layer) for layer in (old, new))
        if [place[:2] for place in mine] != [place[:2] for place in its]:
            raise ValueError(
                f"{type(old).__name__} {old.name!r} holds other layers than its copy: {mine}, {its}"
            )
        for variable, value in zip(own_variables(new), own_variables(old), strict=True):
            variable.assign(ops.convert_to_numpy(value))
        for one, other in zip(mine, its, strict=True):
            self._take_weights(one.layer, other.layer)


def inside(layer: Any) -> list[Place]:
    """The layers that a layer holds itself, in an order that its copy has too."""
    return sorted(children(Place("", "", layer)), key=lambda place: place[:2])


def own_variables(layer: Any) -> list[Any]:
    """The weights of a layer that no layer inside it has, those of arrays left out."""
    others = {id(v) for place in inside(layer) for v in place.layer.weights}
    if hasattr(layer, "arrays"):
        others |= {id(v) for array in layer.arrays() for v in array.weights}
    return [v for v in layer.weights if id(v) not in others]


def _has_analog_cells(cell: Any) -> bool:
    cells = cell.cells if isinstance(cell, keras.layers.StackedRNNCells) else [cell]
    return any(isinstance(one, AnalogCell) for one in cells)


def _renamed(layer: Any) -> Any:
    """A direction of a bidirectional layer under the name that the layer had before it was one."""
    config = layer.get_config()
    for prefix in ("forward_", "backward_"):
        config["name"] = config["name"].removeprefix(prefix)
    return type(layer).from_config(config)


def _not_of_a_configuration(*given: Any, **named: Any) -> dict[str, Any]:
    """Refused: the class of a layer whose attributes were exchanged makes the digital layers again."""
    raise NotImplementedError(
        "a model whose layers were exchanged in its attributes is no file of its own, for its class makes "
        "digital layers: save_weights, and in another process convert the digital model and load_weights; or "
        "let the class make analog layers"
    )


def _rebuilt(layer: Any) -> Any:
    """A layer from its configuration."""
    kind = type(layer)
    try:
        return kind.from_config(kind.get_config(layer))
    except (NotImplementedError, TypeError) as error:
        raise ValueError(
            f"{type(layer).__name__} cannot be made from its configuration ({error}): give it get_config and "
            "from_config, or build it of analog layers"
        ) from error

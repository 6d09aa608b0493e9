"""The layers of a Keras model and their paths, which name the random streams of a chip.

Names that Keras makes up count the layers of a session (``dense_7``), so a path is made as torch makes it:

- in a ``Sequential`` or functional model, the place of the layer among those that are no ``InputLayer``:
``"0"``,
  ``"1.2"`` for a layer of a model inside;
- in everything else, the name of the attribute that holds the layer, with a place or a key for one in a
list or a
  dict: ``"encoder.blocks.0.query"``;
- ``Bidirectional``, ``TimeDistributed`` and ``RNN`` add nothing; the arrays of a cell have torch's names:
  ``"2.arrays.weight_ih_l0"``, ``"2.arrays.weight_hh_l0_reverse"``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras

from mho.keras.array import CrossbarArray
from mho.keras.layer import AnalogLayer, OnArray

_OWN = {"_layers", "_metrics", "_functional", "_saved_model_inputs_spec", "_loss_tracker", "_modules"}
_NAMED = {  # Keras' own attributes, with the names that torch's layers have for their weights
    "_query_dense": "arrays.q_proj_weight",
    "_key_dense": "arrays.k_proj_weight",
    "_value_dense": "arrays.v_proj_weight",
    "_output_dense": "out_proj",
    "_gate_dense": "arrays.gate",
}

AROUND = (keras.layers.RNN, keras.layers.StackedRNNCells, keras.layers.Bidirectional, keras.layers.Wrapper)
"""Layers around other layers, which their constructors take."""


class Place(NamedTuple):
    """Where a layer is.

    Attributes:
        path: its path.
        suffix: what the names of its arrays end with, for the cells of a recurrent layer.
        layer: the layer.
    """

    path: str
    suffix: str
    layer: Any


def places(model: Any) -> Iterator[Place]:
    """All layers of a model, itself first, each once.

    Raises:
        TypeError: no Keras layer.
    """
    if not isinstance(model, keras.layers.Layer):
        raise TypeError(f"model is a {type(model).__name__}: give a keras.Model")
    yield from _walk(Place("0" if isinstance(model, AnalogLayer) else "", "", model), set())


def _walk(place: Place, seen: set[int]) -> Iterator[Place]:
    if id(place.layer) in seen:
        return
    seen.add(id(place.layer))
    given = getattr(place.layer, "chip_path", None)
    place = place if given is None else place._replace(path=given)
    yield place
    for child in children(place):
        yield from _walk(child, seen)


def children(place: Place) -> Iterator[Place]:
    """The layers that a layer holds itself."""
    layer = place.layer
    if isinstance(layer, AROUND):
        yield from _wrapped(place)
        return
    for name, child in held(layer):
        yield Place(".".join(part for part in (place.path, name) if part), "", child)


def held(layer: Any) -> Iterator[tuple[str, Any]]:
    """The layers that a layer holds itself, by the names that they have in it."""
    if is_graph(layer):
        inside = [child for child in layer.layers if not isinstance(child, keras.layers.InputLayer)]
        yield from ((str(k), child) for k, child in enumerate(inside))
        return
    found = _attributes(layer)
    yield from found
    known = {id(child) for _, child in found}
    yield from (
        (child.name, child)
        for child in getattr(layer, "_layers", ())
        if not (id(child) in known or isinstance(child, CrossbarArray))
    )


def is_graph(layer: Any) -> bool:
    """Whether a model is a graph of its layers: sequential, or functional."""
    return isinstance(layer, keras.Sequential) or (
        isinstance(layer, keras.Model) and hasattr(layer, "operations")
    )


def attributes(layer: Any) -> dict[str, Any]:
    """What a layer holds in its attributes; with torch, layers lie in ``_modules``.

    What TensorFlow tracks lies in attributes ``_self_...`` once more.
    """
    own = {**vars(layer), **vars(layer).get("_modules", {})}
    return {name: value for name, value in own.items() if name not in _OWN and not name.startswith("_self_")}


def _attributes(layer: Any) -> list[tuple[str, Any]]:
    """Layers in the attributes, in the order in which the layer got them."""
    found = [
        (".".join(part for part in (_NAMED.get(name, name), inside) if part), child)
        for name, value in attributes(layer).items()
        for inside, child in layers_in(value)
    ]
    order = {id(child): k for k, child in enumerate(getattr(layer, "_layers", ()))}
    return sorted(found, key=lambda one: order.get(id(one[1]), len(order)))


def layers_in(value: Any) -> Iterator[tuple[str, Any]]:
    """Layers in a value: itself, or in lists and dicts of them."""
    if isinstance(value, keras.layers.Layer):
        if not isinstance(value, (keras.metrics.Metric, CrossbarArray)):
            yield "", value
        return
    items: Any = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    for name, inner in items:
        for inside, child in layers_in(inner):
            yield ".".join(part for part in (str(name), inside) if part), child


def _wrapped(place: Place) -> Iterator[Place]:
    """What a layer only wraps: it has the wrapper's path."""
    layer, suffix = place.layer, place.suffix
    if isinstance(layer, keras.layers.StackedRNNCells):
        for k, cell in enumerate(layer.cells):
            yield Place(place.path, f"_l{k}{suffix.removeprefix('_l0')}", cell)
    elif isinstance(layer, keras.layers.RNN):
        yield Place(place.path, f"_l0{suffix}", layer.cell)
    elif isinstance(layer, keras.layers.Bidirectional):
        yield Place(place.path, "", layer.forward_layer)
        yield Place(place.path, "_reverse", layer.backward_layer)
    else:
        yield Place(place.path, suffix, layer.layer)


def arrays(model: Any) -> dict[str, OnArray]:
    """The arrays of a model by path."""
    found: dict[str, OnArray] = {}
    for path, suffix, layer in places(model):
        if not isinstance(layer, AnalogLayer):
            continue
        if not layer.built:
            raise ValueError(f"{path!r} is not built yet: call the model once, or build it, and then this")
        for name, on_array in layer.on_arrays().items():
            where = ".".join(part for part in (path, name and name + suffix) if part)
            if where in found:
                raise ValueError(f"two layers have the path {where!r}: give one of them another, with path=")
            found[where] = on_array
    return found

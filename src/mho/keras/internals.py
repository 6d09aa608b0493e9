"""What mho uses of Keras that is not part of its public interface, in one place.

Tried with Keras 3.15.
"""

from __future__ import annotations

from typing import Any

from keras.src import backend
from keras.src.backend.common.symbolic_scope import in_symbolic_scope


def is_symbolic() -> bool:
    """Whether a call has shapes and no numbers: nothing is evaluated then, and nothing need be said."""
    return bool(in_symbolic_scope())


def loop(step: Any, inputs: Any, states: Any, **names: Any) -> Any:
    """The loop over time steps of the backend, which ``keras.layers.RNN`` runs too."""
    return backend.rnn(step, inputs, states, **names)


def replace_layer(owner: Any, name: str, layer: Any) -> None:
    """Put a layer in the place of one that another layer holds, before its state is locked."""
    exchange(owner, name, layer)


def exchange(owner: Any, name: str, value: Any) -> None:
    """Give an attribute of a layer a new value with other layers in it, whether the layer is locked or not.

    The layers take the places of the old ones, so that weights keep their order.
    """
    locked, held = owner._tracker.locked, list(owner._layers)
    owner._tracker.unlock()
    old = _layers_of(getattr(owner, name))
    for layer in old:
        owner._tracker.untrack(layer)
    setattr(owner, name, value)
    new = {id(one): other for one, other in zip(old, _layers_of(value), strict=True)}
    owner._layers[:] = [new.get(id(layer), layer) for layer in held]
    if locked:
        owner._lock_state()


def _layers_of(value: Any) -> list[Any]:
    if hasattr(value, "_tracker") and hasattr(value, "call"):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [layer for one in inner for layer in _layers_of(one)]

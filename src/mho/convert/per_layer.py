"""Options for each layer: one value for all, a list in module order, or a mapping from path to value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from torch import nn

from mho.config import unknown_key

T = TypeVar("T")
PerLayer: TypeAlias = T | Sequence[T] | Mapping[str, T]


def given_values(given: Any) -> list[Any]:
    """The values of an option, whichever way they are given."""
    if isinstance(given, Mapping):
        return list(given.values())
    return list(given) if isinstance(given, (list, tuple)) else [given]


def for_each(
    name: str, given: Any, model: nn.Module, layers: Callable[[nn.Module], Mapping[str, Any]]
) -> Callable[[str, nn.Module], Any]:
    """The value of a layer, from its path and the module itself; None for one that a mapping leaves out.

    Args:
        name: of the option, for messages.
        given: the option, a :data:`PerLayer`.
        model: the model.
        layers: gives the layers of the model that have such a value, by path, in module order; only
            asked if the option is not one value.

    Raises:
        ValueError: a list of another length, or a path of no such layer.
    """
    if isinstance(given, Mapping):
        _check(name, given, model, layers)
        return lambda path, _: given.get(path)
    if not isinstance(given, (list, tuple)):
        return lambda *_: given
    known = layers(model)
    if len(given) != len(known):
        raise ValueError(
            f"{name} has {len(given)} values, and mho.{layers.__name__}(model) {len(known)} layers: give one "
            f"value for each, in this order: {', '.join(map(repr, known))}; or a mapping from path to value"
        )
    by_module = {id(module): value for module, value in zip(known.values(), given, strict=True)}
    return lambda _, module: by_module.get(id(module))


def _check(
    name: str, given: Mapping[str, Any], model: nn.Module, layers: Callable[[nn.Module], Mapping[str, Any]]
) -> None:
    modules = dict(model.named_modules(remove_duplicate=False))
    known = {id(module) for module in layers(model).values()}
    for path in given:
        if path not in modules:
            raise ValueError(
                f"{name}[{path!r}]: " + unknown_key(path, [p for p in modules if p], "the model")
            )
        if id(modules[path]) not in known:
            raise ValueError(
                f"{name}[{path!r}]: a {type(modules[path]).__name__} takes no such value; "
                f"mho.{layers.__name__}(model) lists the layers that do"
            )

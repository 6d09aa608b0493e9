"""Loading chips: all of a model or nothing; weights that only the load rounds make no chip stale."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from mho.nn.each import each_layer

if TYPE_CHECKING:
    from mho.nn.crossbar import Crossbar


def carry_over(owner: nn.Module, state: dict[str, Any], prefix: str, layers: Mapping[str, Crossbar]) -> None:
    """Let saved fingerprints stand for the weights as this model will hold them.

    A chip that was fresh when it was saved is fresh after the load; one that was stale stays stale. A lean
    chip cannot be drawn from rounded weights, and stays as it is saved.

    Args:
        owner: the module that holds the weights.
        state: the state dict that is being loaded; fingerprints of chips in it are replaced.
        prefix: of the owner in it.
        layers: the arrays of ``owner``, by their own prefix.
    """
    whole = {at: layer for at, layer in layers.items() if at + "chip_stream" not in state}
    names = {at + "chip_weights": layer for at, layer in whole.items() if at + "chip_weights" in state}
    saved = {key: state[key] for key in _tensors(owner, prefix) if key in state}
    held = {key: table[name] for key, (table, name) in _tensors(owner, prefix).items() if key in saved}
    if not names or all(saved[key].dtype == own.dtype for key, own in held.items()):
        return
    if any(saved[key].shape != own.shape for key, own in held.items()):
        return  # torch refuses it and says so
    if any(own.is_meta for own in held.values()):
        return
    with _holding(owner, prefix, {key: value.to(held[key].device) for key, value in saved.items()}):
        fresh = [key for key, layer in names.items() if int(layer.fingerprint()) == int(state[key])]
    with _holding(owner, prefix, {key: value.to(held[key]) for key, value in saved.items()}):
        state.update({key: names[key].fingerprint() for key in fresh})


def guard(model: nn.Module) -> None:
    """Let a model refuse damaged chips before it loads anything, wherever in it they are."""
    if not any(_is_ours(hook) for hook in model._load_state_dict_pre_hooks.values()):
        model.register_load_state_dict_pre_hook(_look)
        model.register_load_state_dict_post_hook(_draw)


def unguard(model: nn.Module) -> None:
    """Undo :func:`guard`."""
    for hooks in (model._load_state_dict_pre_hooks, model._load_state_dict_post_hooks):
        for key in [key for key, hook in hooks.items() if _is_ours(hook)]:
            del hooks[key]


def _is_ours(hook: Any) -> bool:
    return getattr(hook, "hook", None) is _look or hook is _draw  # torch wraps those before a load


def _look(model: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for path, layer in model.named_modules():
        check = getattr(layer, "refuse_state", None)
        if check is not None:
            check(state, f"{prefix}{path}." if path else prefix)


def _draw(model: nn.Module, _: Any) -> None:
    """Pack the lean chips that were loaded, once all weights are there; nothing is drawn from others."""
    found: Iterator[tuple[str, Any]] = model.named_modules()
    loaded = {path: module for path, module in found if getattr(module, "is_to_be_drawn", False)}
    fresh = {path: array for path, array in loaded.items() if not array.is_stale()}
    each_layer(fresh, lambda path, layer: layer.repack(), lean=True)


def _tensors(owner: nn.Module, prefix: str) -> dict[str, tuple[dict[str, Any], str]]:
    """Where the tensors lie that make the weights, by their key in a state dict; those of arrays do not."""
    found = {}
    for path, module in owner.named_modules():
        own: set[str] = getattr(module, "array_state", set)()
        if module is not owner and own:
            continue
        for table in (module._parameters, module._buffers):
            for name, value in table.items():
                if value is not None and name not in own:
                    found[prefix + (path and path + ".") + name] = table, name
    return found


@contextlib.contextmanager
def _holding(owner: nn.Module, prefix: str, values: Mapping[str, Tensor]) -> Iterator[None]:
    """The owner holds these tensors instead of its own."""
    places = {key: place for key, place in _tensors(owner, prefix).items() if key in values}
    own = {key: table[name] for key, (table, name) in places.items()}
    try:
        for key, (table, name) in places.items():
            table[name] = values[key].detach()
        yield
    finally:
        for key, (table, name) in places.items():
            table[name] = own[key]

"""Finding the analog layers of a model."""

from __future__ import annotations

from torch import nn

from mho.nn.base import AnalogLayer


def analog_layers(model: nn.Module) -> dict[str, AnalogLayer]:
    """The analog layers of a model by path; a module used twice counts once.

    Wrappers leave no trace in a path: those of ``torch.compile``, DDP, FSDP and checkpointing.

    Raises:
        TypeError: not a module.
        ValueError: no analog layer in it.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}: give a torch.nn.Module")
    found = {clean_path(path): m for path, m in model.named_modules() if isinstance(m, AnalogLayer)}
    if not found:
        raise ValueError("the model has no analog layer: call mho.convert(model, hardware) first")
    return found


_WRAPPERS = {"_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}


def clean_path(path: str) -> str:
    """A module's path without the names that wrappers add."""
    return ".".join(part for part in path.split(".") if part not in _WRAPPERS)

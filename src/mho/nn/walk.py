"""Finding the analog layers of a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from mho.nn.crossbar import Crossbar
from mho.nn.layer import AnalogLayer


def crossbars(model: nn.Module) -> dict[str, Crossbar]:
    """The arrays of a model; a module used twice counts once.

    A layer of one matrix has its array under its own path, the arrays of others lie under theirs
    (``lstm.arrays.weight_hh_l0``).

    Wrappers leave no trace in a path, so that a chip is the same with and without them: those of
    ``torch.compile``, DDP, FSDP, checkpointing and averaging, and those of low-rank adapters (``peft``).

    Raises:
        TypeError: not a module.
        ValueError: no analog layer in it.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}: give a torch.nn.Module")
    found = {path: module for path, module in walk(model) if isinstance(module, Crossbar)}
    if not found:
        raise ValueError(_nothing_analog(model))
    return found


def _nothing_analog(model: nn.Module) -> str:
    """Why a model has no array: it was not converted, or nothing in it could be."""
    report: Any = getattr(model, "report", None)
    if not hasattr(report, "left_digital"):
        return "the model has no analog layer: call mho.convert(model, hardware) first"
    rows = [*report.left_digital] or [*report.rows]
    each = [f"{row.path or 'the model'!r} ({row.layer}): {row.note}" for row in rows[:3]]
    more = [f"and {len(rows) - 3} more"] if len(rows) > 3 else []
    why = "; ".join(each + more) or "it has no weights"
    told = f"mho.convert left all of it digital ({why}); print(model.report) says why for each layer"
    return f"the model has no analog layer: {told}"


def walk(model: nn.Module, repeated: bool = False) -> Iterator[tuple[str, nn.Module]]:
    """The modules of a model with their paths, which wrappers do not lengthen.

    Args:
        model: any module.
        repeated: give a module that is used twice under each of its paths.
    """
    return _walk(model, "", None if repeated else set())


def _walk(module: nn.Module, path: str, seen: set[nn.Module] | None) -> Iterator[tuple[str, nn.Module]]:
    if seen is not None:
        if module in seen:
            return
        seen.add(module)
    yield path, module
    hidden = _hidden(type(module))
    for name, child in module._modules.items():
        if child is not None:
            inner = path if name in hidden else f"{path}.{name}" if path else name
            yield from _walk(child, inner, seen)


# The attribute in which a wrapper holds what it wraps, and the classes that do so, by their full names.
_WRAPPERS = {
    "_orig_mod": ("torch._dynamo.eval_frame.OptimizedModule",),
    "module": (
        "torch.nn.parallel.distributed.DistributedDataParallel",
        "torch.nn.parallel.data_parallel.DataParallel",
        "torch.optim.swa_utils.AveragedModel",
        "deepspeed.runtime.engine.DeepSpeedEngine",
    ),
    "_fsdp_wrapped_module": ("torch.distributed.fsdp.fully_sharded_data_parallel.FullyShardedDataParallel",),
    "_checkpoint_wrapped_module": (
        "torch.distributed.algorithms._checkpoint.checkpoint_wrapper.CheckpointWrapper",
    ),
    "base_model": ("peft.peft_model.PeftModel", "peft.mixed_model.PeftMixedModel"),
    "model": ("peft.tuners.tuners_utils.BaseTuner",),
    "base_layer": ("peft.tuners.tuners_utils.BaseTunerLayer",),
    "original_module": ("peft.utils.other.AuxiliaryTrainingWrapper",),
}


def _hidden(kind: type[nn.Module]) -> frozenset[str]:
    """Names of the children that a class of modules only wraps."""
    if issubclass(kind, AnalogLayer):
        return frozenset(("crossbar",))
    names = {f"{c.__module__}.{c.__qualname__}" for c in kind.__mro__}
    return frozenset(attribute for attribute, classes in _WRAPPERS.items() if names.intersection(classes))

"""From a torch model to an analog one and back.

``convert`` copies the model; in the copy, each layer for which a conversion exists becomes its analog
twin, with the same Parameter objects (ties stay ties), hooks, buffers and mode. Nothing is left digital
in silence: ``analog.report`` lists every module that owns parameters.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Literal

from torch import nn
from torch.nn.utils import parametrize

from mho.conversion_report import Report
from mho.errors import NotMappableError
from mho.hardware import Hardware
from mho.nn import (
    AnalogConv1d,
    AnalogConv2d,
    AnalogConv3d,
    AnalogConvTranspose1d,
    AnalogConvTranspose2d,
    AnalogConvTranspose3d,
    AnalogLayer,
    AnalogLinear,
)
from mho.tile import check_finite

Select = Callable[[str, nn.Module], bool] | Mapping[str, Hardware] | None

TWINS: dict[type[nn.Module], type[AnalogLayer]] = {
    nn.Linear: AnalogLinear,
    nn.Conv1d: AnalogConv1d,
    nn.Conv2d: AnalogConv2d,
    nn.Conv3d: AnalogConv3d,
    nn.ConvTranspose1d: AnalogConvTranspose1d,
    nn.ConvTranspose2d: AnalogConvTranspose2d,
    nn.ConvTranspose3d: AnalogConvTranspose3d,
}
"""Torch layer to analog layer; add an entry for a layer of your own."""

# Modules whose own forward reads the weight of a child instead of calling the child.
_READ_CHILDREN = (nn.MultiheadAttention,)

# Parameters that form no matrix: scales, shifts and slopes of single channels.
_ELEMENTWISE = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.PReLU)


def convert(model: nn.Module, hardware: Hardware, select: Select = None, strict: bool = False) -> nn.Module:
    """A copy of ``model`` with its layers on arrays.

    Args:
        model: any module; it is not changed.
        hardware: the description of the arrays.
        select: which layers: None for all that can be mapped; a predicate ``(path, module) -> bool``;
            or a mapping from path to the ``Hardware`` of that layer (only these become analog).
        strict: raise if a layer with a weight matrix stays digital.

    Returns:
        The analog copy, an ordinary module, with the conversion report as ``.report``.

    Raises:
        TypeError: ``model`` or ``hardware`` is of another type.
        ValueError: ``select`` names a path that cannot be mapped, or a weight is not finite.
        NotMappableError: with ``strict``, naming the layers that stayed digital.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> analog = convert(model, Hardware())
    >>> type(analog[0]).__name__, analog.report.rows[0].note
    ('AnalogLinear', '4 x 3 on Ideal, DifferentialPair')
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}: give a torch.nn.Module")
    if not isinstance(hardware, Hardware):
        raise TypeError(f"hardware is a {type(hardware).__name__}: give a mho.Hardware")
    model = copy.deepcopy(model)
    modules = dict(model.named_modules(remove_duplicate=False))
    if isinstance(select, Mapping):
        _check_paths(select, modules)
    kinds = {path: type(module).__name__ for path, module in modules.items()}
    reasons: dict[str, str] = {}
    made: dict[int, AnalogLayer] = {}
    for path, module in modules.items():
        twin, why = _twin(path, module, modules)
        chosen = _choose(path, module, hardware, select) if twin else None
        if twin is None or chosen is None:
            reasons[path] = why if twin is None else "not selected"
            continue
        if id(module) not in made:
            made[id(module)] = _to_analog(module, twin, chosen, path)
        if path == "":
            model = made[id(module)]
        else:
            parent, _, name = path.rpartition(".")
            setattr(modules[parent], name, made[id(module)])
    _close_fast_paths(model)
    report = Report(model, kinds, reasons)
    model.report = report  # type: ignore[assignment]
    if strict:
        _refuse_digital(report, modules)
    return model


def revert(model: nn.Module, weights: Literal["ideal", "programmed"] = "ideal") -> nn.Module:
    """A copy of an analog model with plain torch layers.

    Args:
        model: what :func:`convert` made.
        weights: ``"ideal"`` for the Parameters as they are; ``"programmed"`` for what the chip holds
            now (aged, with its gain, without read noise); ties are broken then, each array has its own.

    Raises:
        NotProgrammedError: ``"programmed"`` without a chip.
        ValueError: another value of ``weights``.
    """
    if weights not in ("ideal", "programmed"):
        raise ValueError(f"weights = {weights!r}: choose 'ideal' or 'programmed'")
    model = copy.deepcopy(model)
    model.__dict__.pop("report", None)
    modules = dict(model.named_modules(remove_duplicate=False))
    made: dict[int, nn.Module] = {}
    for path, module in modules.items():
        if not isinstance(module, AnalogLayer):
            continue
        if id(module) not in made:
            made[id(module)] = _to_digital(module, weights)
        if path == "":
            return made[id(module)]
        parent, _, name = path.rpartition(".")
        setattr(modules[parent], name, made[id(module)])
    return model


def _check_paths(select: Mapping[str, Hardware], modules: dict[str, nn.Module]) -> None:
    for path, hardware in select.items():
        if path not in modules:
            raise ValueError(f"select[{path!r}]: the model has no module of that path; it has {', '.join(modules)}")
        if not isinstance(hardware, Hardware):
            raise TypeError(f"select[{path!r}] is a {type(hardware).__name__}: give the mho.Hardware of that layer")
        twin, why = _twin(path, modules[path], modules)
        if twin is None:
            raise ValueError(f"select[{path!r}]: {type(modules[path]).__name__} cannot be mapped: {why}")


def _choose(path: str, module: nn.Module, hardware: Hardware, select: Select) -> Hardware | None:
    if select is None:
        return hardware
    if isinstance(select, Mapping):
        return select.get(path)
    return hardware if select(path, module) else None


def _twin(path: str, module: nn.Module, modules: dict[str, nn.Module]) -> tuple[type[AnalogLayer] | None, str]:
    """The analog class for a module, or None and the reason."""
    if isinstance(module, AnalogLayer):
        return None, "analog already"
    if isinstance(module, _ELEMENTWISE):
        return None, "acts on single channels: no matrix"
    parent = modules.get(path.rpartition(".")[0]) if path else None
    if isinstance(parent, _READ_CHILDREN):
        return None, f"{type(parent).__name__} reads its weight instead of calling it"
    base = next((t for t in TWINS if isinstance(module, t)), None)
    if base is None:
        return None, "no mapping onto arrays"
    if isinstance(module, nn.modules.lazy.LazyModuleMixin):
        return None, "its shape is not known yet: run the model once, then convert"
    if type(module).forward is not base.forward:
        return None, f"{type(module).__name__} has a forward of its own"
    return TWINS[base], ""


def _to_analog(module: nn.Module, twin: type[AnalogLayer], hardware: Hardware, path: str) -> AnalogLayer:
    """The analog twin: everything of the module, and an array."""
    check_finite(module.weight.detach(), path)  # type: ignore[union-attr, operator]
    layer = twin.__new__(twin)
    layer.__dict__.update(module.__dict__)
    for table in ("_buffers", "_non_persistent_buffers_set", "_parameters"):
        layer.__dict__[table] = copy.copy(module.__dict__[table])
    if parametrize.is_parametrized(module):
        parametrize._inject_new_class(layer)  # type: ignore[attr-defined]
        for name in module.parametrizations:  # type: ignore[union-attr]
            parametrize._inject_property(layer, name)  # type: ignore[attr-defined]
    layer.setup(hardware)
    layer.path = path
    return layer


def _to_digital(layer: AnalogLayer, weights: str) -> nn.Module:
    base = next(t for t, twin in TWINS.items() if isinstance(layer, twin))
    module = base.__new__(base)
    module.__dict__.update(layer.__dict__)
    own = layer.array_state()
    for table in ("_buffers", "_parameters"):
        kept = {k: v for k, v in layer.__dict__[table].items() if k not in own}
        module.__dict__[table] = kept
    module.__dict__["_non_persistent_buffers_set"] = {
        k for k in layer._non_persistent_buffers_set if k not in own
    }
    for name in layer.ARRAY_ATTRIBUTES:
        module.__dict__.pop(name, None)
    if parametrize.is_parametrized(layer):
        parametrize._inject_new_class(module)  # type: ignore[attr-defined]
        for name in layer.parametrizations:  # type: ignore[union-attr]
            parametrize._inject_property(module, name)  # type: ignore[attr-defined]
    if weights == "programmed":
        value = layer.effective_weight().to(layer.weight.dtype)
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
        module.weight = nn.Parameter(value, requires_grad=layer.weight.requires_grad)
        shift = layer.chip_shift
        if bool(shift.any()):
            bias = shift if layer.bias is None else layer.bias.detach() + shift
            module.bias = nn.Parameter(bias.to(layer.weight.dtype))
    return module


def _close_fast_paths(model: nn.Module) -> None:
    """Make torch's fused transformer layers call their children."""
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoderLayer) and any(
            isinstance(child, AnalogLayer) for child in module.modules()
        ):
            module.activation_relu_or_gelu = 0  # the flag that torch's fused path asks for


def _refuse_digital(report: Report, before: dict[str, nn.Module]) -> None:
    left = [
        f"{row.path or '(model)'} ({row.layer}: {row.note})"
        for row in report.rows
        if not row.analog and not isinstance(before.get(row.path), _ELEMENTWISE)
    ]
    if left:
        raise NotMappableError(
            "strict = True, and these keep their weights digital: " + "; ".join(left)
            + ". Replace them, give them a conversion, or drop strict"
        )

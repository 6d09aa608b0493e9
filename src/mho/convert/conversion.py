"""From a torch model to an analog one and back.

``convert`` copies the model; in the copy, each layer for which a conversion exists becomes its analog
twin, with the same Parameter objects (ties stay ties), hooks, buffers and mode. Nothing is left digital
in silence: ``analog.report`` lists every module that owns parameters.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import nn
from torch.nn.utils import parametrize

from mho.chip.tile import check_finite
from mho.config import unknown_key
from mho.convert.bypassed import reads_weight_of
from mho.convert.packed_weights import packed_weights, subclassed
from mho.convert.per_layer import PerLayer, for_each, given_values
from mho.convert.report import NO_MATRIX, Report, holds_no_matrix, own_parameters
from mho.errors import NotMappableError
from mho.hardware import Hardware
from mho.nn import (
    AnalogBilinear,
    AnalogConv1d,
    AnalogConv2d,
    AnalogConv3d,
    AnalogConvTranspose1d,
    AnalogConvTranspose2d,
    AnalogConvTranspose3d,
    AnalogEmbedding,
    AnalogEmbeddingBag,
    AnalogGRU,
    AnalogGRUCell,
    AnalogLayer,
    AnalogLinear,
    AnalogLSTM,
    AnalogLSTMCell,
    AnalogMultiheadAttention,
    AnalogPositions,
    AnalogRNN,
    AnalogRNNCell,
    AnalogTransposedLinear,
    Crossbar,
)
from mho.nn.computed_weights import compute, copied, inject_parametrizations, make_plain
from mho.nn.crossbar import check_bias_rows
from mho.nn.huggingface import announce, unannounce
from mho.nn.loading import guard, unguard
from mho.nn.unprogrammed import share_notice

Select = Callable[[str, nn.Module], bool] | Mapping[str, Hardware] | None
Weights = Literal["ideal", "programmed"]

TWINS: dict[type[nn.Module] | str, type[AnalogLayer]] = {
    nn.Linear: AnalogLinear,
    nn.Conv1d: AnalogConv1d,
    nn.Conv2d: AnalogConv2d,
    nn.Conv3d: AnalogConv3d,
    nn.ConvTranspose1d: AnalogConvTranspose1d,
    nn.ConvTranspose2d: AnalogConvTranspose2d,
    nn.ConvTranspose3d: AnalogConvTranspose3d,
    nn.RNN: AnalogRNN,
    nn.LSTM: AnalogLSTM,
    nn.GRU: AnalogGRU,
    nn.RNNCell: AnalogRNNCell,
    nn.LSTMCell: AnalogLSTMCell,
    nn.GRUCell: AnalogGRUCell,
    nn.MultiheadAttention: AnalogMultiheadAttention,
    nn.Bilinear: AnalogBilinear,
    nn.Embedding: AnalogEmbedding,
    nn.EmbeddingBag: AnalogEmbeddingBag,
    "transformers.pytorch_utils.Conv1D": AnalogTransposedLinear,
    "transformers.models.whisper.modeling_whisper.WhisperPositionalEmbedding": AnalogPositions,
}
"""Digital layer to analog layer; add an entry for a layer of your own. A class of a package that mho
does not import stands here by its full name."""

# Methods that a subclass may not change without a twin of its own: they say what the layer computes.
_COMPUTES = ("forward", "_conv_forward", "__call__")

# torch's fused paths read the weights of children: the attribute that they ask for, and how to say no.
_FAST_PATHS: dict[type[nn.Module], tuple[str, int]] = {
    nn.TransformerEncoderLayer: ("activation_relu_or_gelu", 0),
    nn.TransformerEncoder: ("use_nested_tensor", False),
}
_CLOSED = "_closed_fast_path"


def convertible_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The modules that :func:`convert` can put on arrays, by path, in the order of a list given to it.

    >>> list(convertible_modules(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))))
    ['0', '2']
    """
    modules = _modules(model)
    found: dict[str, nn.Module] = {}
    for path, module in modules.items():
        if _twin(path, module, modules, chosen=found)[0] is not None:
            found[path] = module
    return found


def analog_modules(model: nn.Module) -> dict[str, AnalogLayer]:
    """The analog layers of a model by path, in the order of a list given to :func:`revert`.

    A layer with several arrays (recurrent, attention) is one entry.
    """
    return {path: module for path, module in _modules(model).items() if isinstance(module, AnalogLayer)}


def inconvertible_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The modules that own weights and stay digital whatever :func:`convert` is told, by path.

    ``convert(model, hardware).report`` says why.
    """
    able, packed = convertible_modules(model), packed_weights(model)
    return {
        path: module
        for path, module in _modules(model).items()
        if path not in able
        and not isinstance(module, (AnalogLayer, Crossbar, parametrize.ParametrizationList))
        and (own_parameters(module) or path in packed)
    }


def _modules(model: nn.Module) -> dict[str, nn.Module]:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}: give a torch.nn.Module")
    return dict(model.named_modules())


def convert(
    model: nn.Module,
    hardware: PerLayer[Hardware],
    select: Select = None,
    strict: bool = False,
    bias_rows: PerLayer[int] = 0,
    example: Any = None,
) -> nn.Module:
    """A copy of ``model`` with its layers on arrays.

    ``hardware`` and ``bias_rows`` take one value for all layers, a list with one for each of
    :func:`convertible_modules`, in their order, or a mapping from path to the value of that layer.

    Args:
        model: any module; it is not changed.
        hardware: the description of the arrays. Of a mapping only the named layers become analog; a layer
            with several arrays stands under its own path, or each array under its own, as in
            ``mho.conductances``.
        select: which layers: None for all that can be mapped, or a predicate ``(path, module) -> bool``.
            A mapping here is a mapping of hardware, and takes the place of ``hardware``.
        strict: raise if a layer with a weight matrix stays digital. Without ``example`` shapes decide what
            is a matrix: one with a single column, one with a leading axis of one, and one in a buffer pass.
        bias_rows: rows of the array that hold the bias; 0 for a digital bias, also of layers that a
            mapping does not name. A layer without a bias has no such rows, whatever is given.
        example: one batch, as for ``mho.calibrate``. The report is measured with it, and ``strict`` then
            refuses every module that multiplied by a tensor of its own, also through ``matmul`` or
            ``einsum``.

    Returns:
        The analog copy, an ordinary module, with the conversion report as ``.report``.

    Raises:
        TypeError: ``model`` or ``hardware`` is of another type.
        ValueError: a mapping names a path that cannot be mapped, a list has another length than
            :func:`convertible_modules`, or a weight is not finite.
        ValueError: with ``example``, a module multiplies by the weights of an analog layer instead of
            calling it.
        NotMappableError: with ``strict``, naming the layers that stayed digital; or a bias that cannot
            lie on the array.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> analog = convert(model, Hardware())
    >>> type(analog[0]).__name__, analog.report.rows[0].note
    ('AnalogLinear', '4 x 3 on Ideal, DifferentialPair')
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}: give a torch.nn.Module")
    if not (select is None or isinstance(select, Mapping) or callable(select)):
        raise TypeError(
            f"select is a {type(select).__name__}: give a predicate (path, module) -> bool, such as "
            "lambda path, module: path == '0', or a dict from path to Hardware"
        )
    if isinstance(select, Mapping) and not isinstance(hardware, Hardware):
        kind = type(hardware).__name__
        raise TypeError(
            f"hardware is a {kind}: give a mho.Hardware, since select maps paths to hardware already"
        )
    model = copied(model)
    modules = dict(model.named_modules(remove_duplicate=False))
    predicate = select if callable(select) and not isinstance(select, Mapping) else None
    name, described = ("select", select) if isinstance(select, Mapping) else ("hardware", hardware)
    hardware_of, rows_of = _described(model, modules, name, described, bias_rows)
    kinds = {path: type(module).__name__ for path, module in modules.items()}
    reasons: dict[str, str] = {}
    made: dict[int, AnalogLayer] = {}
    for path, module in list(modules.items()):
        parent, _, name = path.rpartition(".")
        twin, why = _twin(path, module, modules)
        wanted = twin is not None and (predicate is None or predicate(path, module))
        chosen = hardware_of(path, module) if wanted else None
        if twin is None or chosen is None:
            reasons[path] = why if twin is None else "not selected"
            continue
        if id(module) not in made:
            rows = rows_of(path, module) or 0
            made[id(module)] = _to_analog(module, twin, chosen, path, rows, _each(path, described))
        if path:
            setattr(modules[parent], name, made[id(module)])
        modules[path] = made[id(module)]
    model = modules[""]
    _close_fast_paths(model)
    guard(model)
    announce(model)
    share_notice(model)
    report = Report(model, kinds, reasons)
    model.report = report  # type: ignore[assignment]
    if example is not None:
        report.measure(example)
    if strict:
        _refuse_digital(report)
    return model


def revert(model: nn.Module, weights: PerLayer[Weights] = "ideal") -> nn.Module:
    """A copy of an analog model with plain torch layers.

    Args:
        model: what :func:`convert` made.
        weights: ``"ideal"`` for the Parameters as they are; ``"programmed"`` for what the chip holds
            now (aged, with its gain, without read noise); ties are broken then, each array has its own.
            One value for all layers, a list with one for each of :func:`analog_modules`, in their order,
            or a mapping from path to value; layers that it does not name are ``"ideal"``.

    Raises:
        NotProgrammedError: ``"programmed"`` without a chip.
        ValueError: another value of ``weights``, another length, or a path that is not analog.
    """
    for value in given_values(weights):
        if value not in ("ideal", "programmed"):
            raise ValueError(f"weights = {value!r}: choose 'ideal' or 'programmed'")
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}: give a torch.nn.Module")
    model = copied(model)
    weights_of = for_each("weights", weights, model, analog_modules)
    model.__dict__.pop("report", None)
    modules = dict(model.named_modules(remove_duplicate=False))
    made: dict[int, nn.Module] = {}
    for path, module in list(modules.items()):
        if not isinstance(module, AnalogLayer):
            continue
        if id(module) not in made:
            made[id(module)] = _to_digital(module, weights_of(path, module) or "ideal")
        if path:
            parent, _, name = path.rpartition(".")
            setattr(modules[parent], name, made[id(module)])
        modules[path] = made[id(module)]
    model = modules[""]
    _open_fast_paths(model)
    unguard(model)
    unannounce(model)
    return model


def _described(
    model: nn.Module, modules: dict[str, nn.Module], name: str, hardware: Any, bias_rows: PerLayer[int]
) -> tuple[Callable[[str, nn.Module], Hardware | None], Callable[[str, nn.Module], int | None]]:
    """The hardware and the bias rows of a layer, checked."""
    if isinstance(hardware, Mapping):
        _check_paths(name, hardware, modules)
    for value in given_values(hardware):
        if not isinstance(value, Hardware):
            raise TypeError(f"{name} is a {type(value).__name__}: give a mho.Hardware")
    for rows in given_values(bias_rows):
        check_bias_rows(rows)
    rows_of = for_each("bias_rows", bias_rows, model, convertible_modules)
    if isinstance(hardware, Mapping):
        return lambda path, _: _named(path, hardware), rows_of
    return for_each(name, hardware, model, convertible_modules), rows_of


def _check_paths(name: str, given: Mapping[str, Hardware], modules: dict[str, nn.Module]) -> None:
    layers = {**given, **{_owner(path): hardware for path, hardware in given.items()}}
    for path, hardware in given.items():
        owner = path if path in modules else _owner(path)
        if owner not in modules:
            raise ValueError(
                f"{name}[{path!r}]: " + unknown_key(owner, [p for p in modules if p], "the model")
            )
        if not isinstance(hardware, Hardware):
            kind = type(hardware).__name__
            raise TypeError(f"{name}[{path!r}] is a {kind}: give the mho.Hardware of that layer")
        twin, why = _twin(owner, modules[owner], modules, chosen=layers)
        if twin is None:
            raise ValueError(f"{name}[{path!r}]: {type(modules[owner]).__name__} cannot be mapped: {why}")


def _owner(path: str) -> str:
    """The layer that a path names, also that of one of its arrays (``lstm.arrays.weight_hh_l0``)."""
    owner, found, _ = f".{path}".rpartition(".arrays.")
    return owner[1:] if found else path


def _each(path: str, given: object) -> dict[str, Hardware]:
    """The hardware of the arrays of a layer that are named one by one, by the array's name."""
    if not isinstance(given, Mapping):
        return {}
    return {p.rpartition(".")[2]: h for p, h in given.items() if p != path and _owner(p) == path}


def _named(path: str, given: Mapping[str, Hardware]) -> Hardware | None:
    """The hardware of a layer, or of the first of its arrays that is named."""
    return given.get(path) or next(iter(_each(path, given).values()), None)


def _twin(
    path: str, module: nn.Module, modules: dict[str, nn.Module], chosen: Mapping[str, object] | None = None
) -> tuple[type[AnalogLayer] | None, str]:
    """The analog class for a module, or None and the reason."""
    if isinstance(module, (AnalogLayer, Crossbar)):
        return None, "analog already"
    base = _base(module)
    if base is None and holds_no_matrix(module):
        return None, NO_MATRIX
    if isinstance(module, nn.modules.lazy.LazyModuleMixin):
        return None, "its shape is not known yet: run the model once, then convert"
    if base is None:
        return None, "no mapping onto arrays"
    if any(p.numel() == 0 for p in module.parameters()):
        return None, "a weight of it is empty"
    if any(p.is_complex() for p in module.parameters()):
        return None, "complex weights"
    held = subclassed(module)
    if held is not None:
        return None, f"its weights are of the type {held}: convert the model before they are"
    if "forward" in module.__dict__:
        return None, "its forward was replaced on the object"
    if any(getattr(type(module), n, None) is not getattr(base, n, None) for n in _COMPUTES):
        return None, f"{type(module).__name__} has a forward of its own"
    above, _, name = path.rpartition(".")
    parent = modules.get(above) if path else None
    if parent is not None and above not in (chosen or ()) and _bypasses(parent, name):
        return None, f"{type(parent).__name__} reads its weight instead of calling it"
    return _twin_of(base), ""


def _base(module: nn.Module) -> type[nn.Module] | None:
    """The class of a module for which there is a twin: its own, or the nearest one it derives from."""
    return next((t for t in type(module).__mro__ if _twin_of(t) is not None), None)


def _twin_of(kind: type) -> type[AnalogLayer] | None:
    return TWINS.get(kind) or TWINS.get(f"{kind.__module__}.{kind.__qualname__}")


def _bypasses(parent: nn.Module, child: str) -> bool:
    """Whether a parent computes with the weight of its child without calling it."""
    if isinstance(parent, AnalogLayer):
        return False
    if any(type(parent).forward is t.forward for t in _FAST_PATHS):
        return False  # closed below
    return reads_weight_of(type(parent), child)


def _to_analog(
    module: nn.Module, twin: type[AnalogLayer], hardware: Hardware, path: str, bias_rows: int,
    each: Mapping[str, Hardware],
) -> AnalogLayer:  # fmt: skip
    """The analog twin: everything of the module, and its arrays; ``each``: those with their own hardware."""
    layer = twin.__new__(twin)
    layer.__dict__.update(module.__dict__)
    for table in ("_buffers", "_non_persistent_buffers_set", "_parameters", "_modules"):
        layer.__dict__[table] = copy.copy(module.__dict__[table])
    layer.__dict__["_digital_type"] = type(module)
    if parametrize.is_parametrized(module):
        layer.__dict__["_digital_type"] = type(module).__bases__[0]
        inject_parametrizations(layer)
    if each and list(layer.make_arrays()) == ["crossbar"]:
        raise ValueError(f"hardware names {', '.join(each)} of {path!r}, and that layer is a single array")
    try:
        layer.setup(hardware, bias_rows, **({"each": each} if each else {}))
    except NotMappableError as error:
        raise NotMappableError(f"{path or 'the model'!r}: {error}") from None
    layer.path = path
    for array in layer.each():
        weight = array.present_weight()
        if not weight.is_meta:
            check_finite(weight, array.path)
    return layer


def _to_digital(layer: AnalogLayer, weights: str) -> nn.Module:
    """The torch layer: everything of the analog one but its arrays."""
    base = layer.__dict__.get("_digital_type") or next(
        t for t, twin in TWINS.items() if isinstance(layer, twin) and not isinstance(t, str)
    )
    if weights == "programmed":
        _take_over(layer)
    module: nn.Module = base.__new__(base)
    module.__dict__.update(layer.__dict__)
    own = layer.array_state()
    for table in ("_buffers", "_parameters", "_modules"):
        module.__dict__[table] = {k: v for k, v in layer.__dict__[table].items() if k not in own}
    kept = {k for k in layer._non_persistent_buffers_set if k not in own}
    module.__dict__["_non_persistent_buffers_set"] = kept
    for name in (*layer.ARRAY_ATTRIBUTES, "_digital_type"):
        module.__dict__.pop(name, None)
    if parametrize.is_parametrized(layer):
        inject_parametrizations(module)
    return module


def _take_over(layer: AnalogLayer) -> None:
    """Give a layer Parameters of its own that hold what its arrays hold."""
    held = [
        (array, array.effective_weight(), array.effective_bias(), array.outline("revert").shift)
        for array in layer.each()
    ]
    for name in dict.fromkeys(name for array, *_ in held for name in array.parameter_names()):
        if getattr(layer, name) is not None:
            make_plain(layer, compute(layer, name).clone(), name)
    for array, weight, bias, shift in held:
        array.put_back(weight, bias, shift)


def _close_fast_paths(model: nn.Module) -> None:
    """Make torch's fused transformer layers call their children."""
    for module in model.modules():
        for kind, (name, no) in _FAST_PATHS.items():
            if not isinstance(module, kind) or _CLOSED in module.__dict__:
                continue
            if any(isinstance(child, AnalogLayer) for child in module.modules()):
                module.__dict__[_CLOSED] = getattr(module, name, no)
                setattr(module, name, no)


def _open_fast_paths(model: nn.Module) -> None:
    for module in model.modules():
        for kind, (name, _) in _FAST_PATHS.items():
            if isinstance(module, kind) and _CLOSED in module.__dict__:
                setattr(module, name, module.__dict__.pop(_CLOSED))


def _refuse_digital(report: Report) -> None:
    left = [f"{row.path or '(model)'} ({row.layer}: {row.note})" for row in report.left_digital]
    if left:
        raise NotMappableError(
            "strict = True, and these keep their weights digital: "
            + "; ".join(left)
            + ". Replace them, give them a conversion, or drop strict"
        )

"""The ONNX twin of a chip: a graph that gives what one chip gives, in one state of its life.

Converters are ``Mul``, ``Round``, ``Clip`` and ``Mul``, so that any number of levels fits; tiles are
``MatMul``, ``Conv``, ``ConvTranspose`` or ``Gather``. ``torch.export`` traces the analog model in
evaluation and ``torch.onnx`` writes its operators; nothing here builds a node. What changes from read to
read cannot be in a graph that repeats: the twin holds the mean of the reads, or draws their noise with
``RandomNormalLike``. Its age is that of the chip when the twin was made.

The codes of converters are whole numbers, which both sides hold exactly: what an array gives is equal bit for
bit as long as all codes are. Runtimes add products in another order, so that a current within rounding of the
middle between two codes (about 1e-6 of full scale) may become either of them.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mho.chip_file.content import chip_number
from mho.config import python_number, write_whole
from mho.errors import NotExportableError
from mho.nn import Crossbar, crossbars
from mho.version import __version__

OPSETS = (17, 21)
_WRITTEN = 18  # the lowest that torch writes
_REDUCTION = ("noop_with_empty_axes",)
_NEWER = {f"Reduce{name}": _REDUCTION for name in ("Max", "Mean", "Min", "Prod", "L1", "L2", "SumSquare")}
_NEWER["Split"] = ("num_outputs",)
LARGEST = 2**31 - 1  # of a protobuf message
_NOISE = ("variance", "bias_variance", "shot", "bias_shot", "thermal")


def onnx_twin(
    model: nn.Module,
    path: str | os.PathLike[str],
    example: Tensor | tuple[Any, ...] | Mapping[str, Any],
    *,
    opset: int = 18,
    noise: bool = False,
    batch_axis: int | None = 0,
) -> None:
    """Write the ONNX twin of the chip that a model holds now.

    The graph has torch's names for its inputs. Its metadata say where it comes from: ``mho.version``,
    ``mho.chip`` (the number that the document of a chip file has too), ``mho.seed`` and ``mho.seconds`` of
    each array, and ``mho.noise``.

    Args:
        model: a programmed, calibrated model; it is not changed.
        path: the file, ``twin.onnx``; what is there is replaced.
        example: an input of the model: a tensor, a tuple of positional ones, or a dict by name.
        opset: version of the operators, 17 to 21.
        noise: draw the noise of reads and converters in each run, with the distribution that mho has; by
            default the twin gives the mean of the reads.
        batch_axis: axis of every input tensor that may have any size; None for the sizes of ``example``
            alone. All other sizes, the steps of a recurrent layer among them, are those of ``example``.

    Raises:
        ImportError: onnx or onnxscript is missing: ``pip install 'mho[onnx]'``.
        NotProgrammedError: no chip.
        NotExportableError: an operation that ONNX cannot hold, and where it is. Nothing is written then.
        ValueError: an opset or a batch axis that cannot be.
        OSError: it cannot be written.
    """
    _need_onnx()
    opset = _checked_opset(opset)
    twin = _quiet(model, noise)
    args, names = _arguments(example)
    shapes = _shapes((args, names), batch_axis)
    with torch.no_grad():
        twin(*args, **names)  # what is wrong is said in mho's own words
        proto = _graph(twin, args, names, shapes, opset)
    _describe(proto, crossbars(model), noise)
    content = _sound(proto)
    write_whole(Path(path), lambda temporary: temporary.write_bytes(content))


def _need_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(f"{error.name} is missing: pip install 'mho[onnx]' for ONNX twins") from None


def _checked_opset(opset: int) -> int:
    given = python_number(opset)
    if isinstance(given, bool) or not isinstance(given, int) or not OPSETS[0] <= given <= OPSETS[1]:
        raise ValueError(f"opset = {opset!r}: give a whole number from {OPSETS[0]} to {OPSETS[1]}")
    return given


# --- the model -----------------------------------------------------------------------------------


def _quiet(model: nn.Module, noise: bool) -> nn.Module:
    """A copy in evaluation, without noise unless it is wanted."""
    for array in crossbars(model).values():
        array.require_chip("onnx_twin")
        array.check_chip()
    twin = copy.deepcopy(model).eval()
    if not noise:
        for array in crossbars(twin).values():
            _silence(array)
    return twin


def _silence(array: Crossbar) -> None:
    """Take the noise off what is packed: what stays is the mean of the reads."""
    hardware = array.hardware
    array.hardware = dataclasses.replace(
        hardware, dac=_without_noise(hardware.dac), adc=None if hardware.adc is None else hardware.adc.quiet()
    )
    for name in list(array._buffers):
        part = name.removeprefix("packed_")
        if part != name and (part in _NOISE or part.startswith("lines")):
            setattr(array, name, None)
    array._prepare()


def _without_noise(converter: Any) -> Any:
    return (
        dataclasses.replace(converter, noise=0.0) if converter is not None and converter.noise else converter
    )


def _arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named inputs."""
    if isinstance(example, Mapping):
        return (), dict(example)
    return (example if isinstance(example, tuple) else (example,)), {}


def _shapes(inputs: Any, axis: int | None) -> Any:
    """Which sizes may vary, in the structure of the inputs; None for none."""
    tensors = [value for value in torch.utils._pytree.tree_leaves(inputs) if isinstance(value, Tensor)]
    if not tensors:
        raise TypeError("example holds no tensor: give an input of the model, such as torch.zeros(2, 784)")
    if axis is None:
        return None
    sizes = {value.shape[axis] if -value.dim() <= axis < value.dim() else None for value in tensors}
    if None in sizes or len(sizes) > 1 or min(size for size in sizes if size is not None) < 2:
        found = [tuple(value.shape) for value in tensors]
        raise ValueError(
            f"batch_axis = {axis!r}, and the inputs have the shapes {found}: give an example with a batch of "
            "2 or more there, the same for all inputs, or batch_axis=None"
        )
    batch = torch.export.Dim("batch")

    def varied(value: Any) -> Any:
        return {axis % value.dim(): batch} if isinstance(value, Tensor) else None

    return torch.utils._pytree.tree_map(varied, inputs)


# --- the graph -----------------------------------------------------------------------------------


def _graph(twin: nn.Module, args: tuple[Any, ...], names: dict[str, Any], shapes: Any, opset: int) -> Any:
    """The ONNX model."""
    with _quietly():
        exported = _exported(twin, args, names, shapes)
        proto = _translated(exported, max(opset, _WRITTEN))
        return proto if opset >= _WRITTEN else _lowered(proto, opset)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what exporters say about themselves and about packages that no chip needs."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _exported(twin: nn.Module, args: tuple[Any, ...], names: dict[str, Any], shapes: Any) -> Any:
    """The traced model, torch's own operators alone."""
    given = None if shapes is None else _by_argument(twin, *shapes)
    try:
        return torch.export.export(twin, args, names, dynamic_shapes=given, strict=False)
    except Exception as error:  # tracing runs the model and may raise anything
        raise NotExportableError(
            f"the model cannot be traced ({_first_line(error)}); give batch_axis=None if it is about the "
            "size of the batch, and keep decisions about values out of forward"
        ) from error


def _by_argument(twin: nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
    """The sizes by the names that ``forward`` gives its arguments."""
    bound = inspect.signature(twin.forward).bind_partial(*positional, **named)
    return dict(bound.arguments)


def _translated(exported: Any, opset: int) -> Any:
    """The graph in ONNX's operators."""
    try:
        made: Any = torch.onnx.export(exported, dynamo=True, opset_version=opset, verbose=False)
        return made.model_proto
    except Exception as error:  # the exporter wraps what any of its rules raises
        raise NotExportableError(_refusal(error, exported)) from error


def _refusal(error: Exception, exported: Any) -> str:
    """Which operation ONNX has no place for, and the layers that have it."""
    text = "\n".join(str(cause) for cause in _causes(error))
    found = re.search(r"OpOverload\(op='([\w.]+)', overload='(\w+)'\)", text)
    if found is None:
        return f"ONNX cannot hold this model: {_first_line(error)}"
    name = found[1].rpartition(".")[2]
    nodes = [node for node in exported.graph.nodes if name in str(node.target)]
    operation = str(nodes[0].target) if nodes else f"{found[1]}.{found[2]}"
    where = ", ".join(repr(path) for path in dict.fromkeys(map(_path, nodes))) or "the model"
    return (
        f"ONNX cannot hold {operation}, which {where} needs; write that part with other operations, or make "
        "twins of what lies before and after it"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _path(node: Any) -> str:
    """The layer that a traced operation belongs to."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return str(stack[-1][0]).removesuffix(".crossbar") if stack else ""


def _first_line(error: Exception) -> str:
    inmost = list(_causes(error))[-1]
    return (str(inmost).strip() or type(inmost).__name__).partition("\n")[0][:200]


def _lowered(proto: Any, opset: int) -> Any:
    """The graph in the operators of 17, which onnx's own converter knows for some of them alone.

    What differs in graphs of torch: reductions take their axes as an attribute, and ``Split`` counts its
    outputs. ONNX's checks, which follow, refuse a graph for which that is not enough.
    """
    for graph in _graphs(proto.graph):
        known = {value.name: value for value in (*proto.graph.initializer, *_constants(graph))}
        for node in graph.node:
            _lower(node, known)
    for entry in proto.opset_import:
        entry.version = entry.version if entry.domain else opset
    return proto


def _graphs(graph: Any) -> Iterator[Any]:
    """A graph and those inside of it: bodies of loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def _constants(graph: Any) -> Iterator[Any]:
    """The tensors of a graph that its nodes give, by the names of their outputs."""
    for node in graph.node:
        if node.op_type == "Constant":
            (attribute,) = node.attribute
            attribute.t.name = node.output[0]
            yield attribute.t


def _lower(node: Any, known: Mapping[str, Any]) -> None:
    from onnx import helper, numpy_helper

    kept = [a for a in node.attribute if a.name not in _NEWER.get(node.op_type, ())]
    if _NEWER.get(node.op_type) == _REDUCTION and len(node.input) > 1:
        axes = numpy_helper.to_array(known[node.input.pop()])
        kept.append(helper.make_attribute("axes", axes.tolist()))
    if len(kept) != len(node.attribute):
        del node.attribute[:]
        node.attribute.extend(kept)


def _describe(proto: Any, arrays: Mapping[str, Crossbar], noise: bool) -> None:
    """Where the graph comes from, in its metadata."""
    said = {
        "mho.version": __version__,
        "mho.chip": chip_number(arrays),
        "mho.seed": json.dumps({path: array.seed for path, array in arrays.items()}),
        "mho.seconds": json.dumps(
            {path: float(array.require_chip("onnx_twin").seconds) for path, array in arrays.items()}
        ),
        "mho.noise": "drawn" if noise else "off",
    }
    for key, value in said.items():
        proto.metadata_props.add(key=key, value=value)
    proto.producer_name = "mho"


def _sound(proto: Any) -> bytes:
    """The bytes of a graph that passes ONNX's own checks."""
    import onnx

    size = proto.ByteSize()
    if size > LARGEST:
        raise NotExportableError(
            f"the graph has {size / 1e9:.1f} GB, and an ONNX file holds 2.1: make twins of parts of the model"
        )
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise NotExportableError(f"ONNX refuses this graph: {_first_line(error)}") from error
    content: bytes = proto.SerializeToString()
    return content

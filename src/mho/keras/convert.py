"""From a Keras model to an analog one and back.

``convert`` makes a new model; in it, each layer for which a conversion exists is its analog twin, with the
same name and the same weights. Nothing is left digital in silence: ``report`` lists every layer that has
weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import keras

from mho.errors import NotMappableError
from mho.hardware import Hardware
from mho.keras import attention, convolutions, dense, embedding, recurrent
from mho.keras.copying import Copier
from mho.keras.layer import AnalogLayer
from mho.keras.put_back import put_back
from mho.keras.report import KerasReport, report
from mho.keras.suited import check_hardware
from mho.keras.walk import Place, places

Select = Callable[[str, Any], bool] | Mapping[str, Hardware] | None

_MODULES = (attention, convolutions, dense, embedding, recurrent)
TWINS: dict[type, type] = {
    getattr(keras.layers, name.removeprefix("Analog")): kind
    for module in _MODULES
    for name, kind in vars(module).items()
    if name.startswith("Analog") and issubclass(kind, keras.layers.Layer) and kind is not recurrent.AnalogRNN
    if hasattr(keras.layers, name.removeprefix("Analog"))  # not the cells' common class
}
"""Digital layer to analog layer, of Keras' own classes; an ``RNN`` follows from its cell."""


def convert(model: Any, hardware: Hardware, select: Select = None, strict: bool = False) -> Any:
    """A copy of ``model`` with its layers on arrays.

    A sequential or functional model is rebuilt from its graph, any other from its configuration, and what its
    attributes hold is exchanged. The copy is not compiled: call ``compile``.

    Args:
        model: a Keras model, or a layer; it is not changed.
        hardware: the description of the arrays.
        select: which layers: None for all that can be mapped, a predicate ``(path, layer) -> bool``, or a
            mapping from path to the hardware of that layer; others stay digital then. :mod:`mho.keras.walk`
            says how a path is made.
        strict: raise if a layer with a weight matrix stays digital.

    Returns:
        The analog copy, with the conversion report as ``.report``.

    Raises:
        TypeError: no Keras model, or no ``mho.Hardware``.
        ValueError: the model is not built, it cannot be rebuilt, or ``select`` names a path that cannot be
            mapped.
        NotMappableError: with ``strict``, naming what stayed digital; or hardware that Keras' layers cannot
            have.

    >>> import mho, mho.keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])
    >>> analog = mho.keras.convert(model, mho.Hardware())
    >>> type(analog.layers[0]).__name__, analog.report.rows[0].note
    ('AnalogDense', '4 x 3 on Ideal, DifferentialPair')
    """
    chosen = _Chosen(hardware, select)
    if isinstance(model, keras.layers.Layer) and not model.built:
        raise ValueError(
            f"{type(model).__name__} is not built yet: call it once, or build it, and then convert it"
        )
    plan: dict[int, Callable[[], Any]] = {}
    reasons: dict[str, str] = {}
    for place in places(model):
        why = why_digital(place.layer)
        described = chosen.hardware(place) if why is None else None
        if described is None:
            reasons[place.path] = "not selected" if why is None else why
        else:
            plan[id(place.layer)] = lambda layer=place.layer, to=described: _twin(layer, to)  # type: ignore[misc]
    chosen.check({place.path: place.layer for place in places(model)}, reasons)
    made = Copier(plan).copy(model)
    found = report(made, reasons)
    made.report = found
    if strict:
        _refuse_digital(found)
    return made


class _Chosen:
    """Which layers are to be on arrays, and on which."""

    def __init__(self, hardware: Hardware, select: Select) -> None:
        self.hardware_of: Mapping[str, Hardware] | None = select if isinstance(select, Mapping) else None
        self._wanted = select if callable(select) and not isinstance(select, Mapping) else None
        if not (select is None or self.hardware_of is not None or self._wanted is not None):
            raise TypeError(
                f"select is a {type(select).__name__}: give a predicate (path, layer) -> bool, or a dict "
                "from path to mho.Hardware"
            )
        self._hardware = hardware
        for given in (hardware, *(self.hardware_of or {}).values()):
            if not isinstance(given, Hardware):
                raise TypeError(f"hardware is a {type(given).__name__}: give a mho.Hardware")
            check_hardware(given)

    def hardware(self, place: Place) -> Hardware | None:
        """The hardware of a layer that can be mapped; None if it is not wanted."""
        if self.hardware_of is not None:
            return self.hardware_of.get(place.path)
        wanted = self._wanted is None or self._wanted(place.path, place.layer)
        return self._hardware if wanted else None

    def check(self, layers: Mapping[str, Any], reasons: Mapping[str, str]) -> None:
        """``ValueError`` for a path that is none, or cannot be mapped."""
        for path in self.hardware_of or {}:
            if path not in layers:
                known = ", ".join(repr(p) for p in layers if p)
                raise ValueError(f"select[{path!r}]: no layer has this path; choose among {known}")
            if path in reasons:
                name = type(layers[path]).__name__
                raise ValueError(f"select[{path!r}]: {name} cannot be mapped: {reasons[path]}")


def why_digital(layer: Any) -> str | None:
    """Why a layer cannot be put on arrays; None if it can."""
    if isinstance(layer, AnalogLayer):
        return "analog already"
    if type(layer) not in TWINS:
        base = next((kind.__name__ for kind in type(layer).__mro__ if kind in TWINS), None)
        return "no mapping onto arrays" if base is None else f"{type(layer).__name__} changes {base}"
    if getattr(layer, "lora_enabled", False):
        return "it has a low-rank addition: merge it first"
    if getattr(layer, "quantization_mode", None) is not None:
        return f"its kernel is quantized to {layer.quantization_mode}: convert the model before that"
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return "channels first: analog layers take channels last"
    return _of_equation(layer) if isinstance(layer, keras.layers.EinsumDense) else None


def _of_equation(layer: Any) -> str | None:
    try:
        dense.Axes.of(layer.equation, len(layer.partial_output_shape) + 1).check_bias(layer.bias_axes)
    except ValueError as error:
        return str(error)
    return None


def _twin(layer: Any, hardware: Hardware) -> Any:
    """The analog twin, without weights."""
    kind: Any = TWINS[type(layer)]
    return kind.from_config({**layer.get_config(), "hardware": hardware})


def _refuse_digital(found: KerasReport) -> None:
    left = [f"{row.path} ({row.layer}: {row.note})" for row in found.left_digital]
    if left:
        raise NotMappableError(
            "strict = True, and these keep their weights digital: "
            + "; ".join(left)
            + ". Replace them, or drop strict"
        )


def revert(model: Any, weights: Literal["ideal", "programmed"] = "ideal") -> Any:
    """A copy of an analog model with plain Keras layers, not compiled.

    Args:
        model: a Keras model with analog layers; it is not changed.
        weights: ``"ideal"`` for the weights as they are; ``"programmed"`` for what the chip holds now
            (aged, with its gain, without read noise).

    Raises:
        NotProgrammedError: ``"programmed"`` without a chip.
        ValueError: another value of ``weights``; a correction that shifted the outputs of a layer without a
            bias.
    """
    if weights not in ("ideal", "programmed"):
        raise ValueError(f"weights = {weights!r}: choose 'ideal' or 'programmed'")
    digital = {twin: kind for kind, twin in TWINS.items()}
    plan: dict[int, Callable[[], Any]] = {
        id(place.layer): lambda layer=place.layer: _plain(layer, digital)  # type: ignore[misc]
        for place in places(model)
        if type(place.layer) in digital
    }
    copier = Copier(plan)
    made = copier.copy(model)
    if weights == "programmed":
        put_back(model, copier.pairs)
    return made


def _plain(layer: Any, digital: Mapping[type, type]) -> Any:
    """The digital layer, without weights."""
    config = layer.get_config()
    for name in ("hardware", "recipe", "path", "each"):
        config.pop(name, None)
    if isinstance(layer, keras.layers.RNN) and "cell" in config:
        config["cell"] = _plain(layer.cell, digital) if type(layer.cell) in digital else layer.cell
        return keras.layers.RNN(**config)
    kind: Any = digital[type(layer)]
    return kind.from_config(config)

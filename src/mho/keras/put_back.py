"""What the arrays of a model hold, written into digital layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mho.keras.copying import own_variables
from mho.keras.layer import AnalogLayer, OnArray, numpy_of
from mho.keras.lifecycle import stored, torch_model
from mho.keras.walk import places


def put_back(model: Any, pairs: Iterable[tuple[Any, Any]]) -> None:
    """Write what the arrays of a model hold into the layers that stand for its layers in a copy.

    Args:
        model: programmed.
        pairs: layers of the model, and their copies.

    Raises:
        NotProgrammedError: no chip.
        ValueError: outputs were shifted by a correction, and there is no bias to hold the shift.
    """
    places_of = {id(old): variables(old, new) for old, new in pairs if isinstance(old, AnalogLayer)}
    with torch_model(model):
        for place in places(model):
            if isinstance(place.layer, AnalogLayer):
                for on_array in place.layer.on_arrays().values():
                    _put(on_array, places_of[id(place.layer)])


def variables(old: Any, new: Any) -> dict[int, Any]:
    """The variables of a copy, by the identity of those of a layer."""
    mine, its = own_variables(old), own_variables(new)
    return {id(variable): other for variable, other in zip(mine, its, strict=True)}


def _put(on_array: OnArray, into: dict[int, Any]) -> None:
    crossbar, geometry = on_array.array.crossbar, on_array.array.twin.geometry
    kernel = stored(on_array, crossbar.effective_weight())
    shift = geometry.columns_to_keras(crossbar.require_chip("revert").shift.numpy())
    if geometry.one_hot:
        kernel, shift = kernel + shift, shift * 0
    if on_array.bias is None and shift.any():
        raise ValueError(
            f"the outputs of {crossbar.path!r} were shifted by a correction, and it has no bias to hold the "
            "shift: revert before mho.keras.compensate(model, method=Affine(), data=...), or "
            "give the layer a bias"
        )
    into[id(on_array.kernel)].assign(kernel)
    if on_array.bias is not None:
        bias = into[id(on_array.bias)]
        whole = numpy_of(bias).copy()
        rows = whole if on_array.row is None else whole[on_array.row]
        rows += shift.reshape(rows.shape)
        bias.assign(whole)

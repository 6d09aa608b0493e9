"""The conversion report of a Keras model: what became analog, what did not, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from mho.convert.report import NO_MATRIX, Report, holds_no_matrix
from mho.keras.copying import own_variables
from mho.keras.layer import AnalogLayer, numpy_of
from mho.keras.twin import Bridge, Digital, Twin, share_notice
from mho.keras.walk import places


class KerasReport(Report):
    """The report of ``mho.convert``, of a Keras model as it was when the report was made.

    Multiply-accumulates are not counted: Keras' digital layers do not tell them.
    """

    def measure(self, example: Any) -> None:
        """Refused."""
        raise TypeError(
            "measure counts what torch does, and this is a Keras model: count its products by hand"
        )

    def _multiplications(self) -> list[str]:
        return []


def report(model: Any, reasons: Mapping[str, str] | None = None) -> KerasReport:
    """The conversion report of a model with analog Keras layers.

    Args:
        model: a Keras model, built.
        reasons: why a layer stayed digital, by path.

    Raises:
        TypeError: no Keras model.
        ValueError: a layer is not built yet.
    """
    found: dict[str, nn.Module] = {}
    kinds: dict[str, str] = {}
    why: dict[str, str] = {}
    for place in places(model):
        layer, name = place.layer, type(place.layer).__name__
        if isinstance(layer, AnalogLayer):
            if not layer.built:
                raise ValueError(
                    f"{place.path!r} is not built yet: call the model once, or build it, and then this"
                )
            for part, on_array in layer.on_arrays().items():
                path = ".".join(p for p in (place.path, part and part + place.suffix) if p)
                on_array.array.push(*on_array.values())
                found[path], kinds[path] = on_array.array.twin, name.removeprefix("Analog")
            continue
        own = own_variables(layer)
        if own:
            path = place.path or "model"
            found[path], kinds[path] = _digital(own), name
            why[path] = (reasons or {}).get(place.path, "no mapping onto arrays")
            if holds_no_matrix(found[path]):
                why[path] = NO_MATRIX
    share_notice([twin for twin in found.values() if isinstance(twin, Twin)])
    return KerasReport(Bridge(found, _not_run), kinds, why)


def _digital(variables: list[Any]) -> Digital:
    """The trained variables of a layer that stays digital."""
    trained = [v for v in variables if v.trainable]
    return Digital({f"{k}_{v.name}": numpy_of(v) for k, v in enumerate(trained)})


def _not_run(*given: Any, **named: Any) -> Any:
    raise TypeError("a report holds the arrays of a Keras model, and runs nothing")

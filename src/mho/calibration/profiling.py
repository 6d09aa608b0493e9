"""What every converter of a model sees on data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn

from mho.calibration.batches import Progress
from mho.calibration.full_scales import cell_currents, fixed_scale, measured_scale, observe
from mho.chip import tile
from mho.converters import Histogram
from mho.nn import Crossbar, crossbars
from mho.nn.observer import Observer

if TYPE_CHECKING:
    import pandas

PERCENTILES = (0.1, 1.0, 50.0, 99.0, 99.9)


class LayerProfile(NamedTuple):
    """What the converters of one layer see.

    Attributes:
        inputs: values before the DAC, in input units, ``[tile]``.
        currents: values before the ADC, in cell currents, ``[slice][tile]``; empty without an ADC.
    """

    inputs: list[Histogram]
    currents: list[list[Histogram]]

    @property
    def reached(self) -> bool:
        """Whether the layer ran on this data."""
        return self.inputs[0].count > 0


class Profile:
    """What the converters of every analog layer see; made by :func:`profile`.

    Attributes:
        layers: the histograms of each layer, by path.
    """

    def __init__(self, layers: dict[str, LayerProfile]) -> None:
        self.layers = layers

    @property
    def not_reached(self) -> tuple[str, ...]:
        """Paths of the layers that did not run on this data."""
        return tuple(path for path, layer in self.layers.items() if not layer.reached)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row for each layer, tile and slice: what was seen, how often, and its distribution."""
        rows = []
        for path, layer in self.layers.items():
            if layer.reached:
                rows += [_row(path, "input", t, None, h) for t, h in enumerate(layer.inputs) if h.count]
                for k, each in enumerate(layer.currents):
                    rows += [_row(path, "current", t, k, h) for t, h in enumerate(each) if h.count]
        return rows

    def to_frame(self) -> pandas.DataFrame:
        """The rows as a ``pandas.DataFrame`` (needs pandas)."""
        import pandas

        rows = self.rows
        frame: pandas.DataFrame = pandas.DataFrame(rows, columns=list(rows[0]) if rows else None)
        return frame

    def __str__(self) -> str:
        head = ["layer", "what", "tile", "slice", "count", "min", "max", "mean", "std"]
        head += [f"{p:g} %" for p in PERCENTILES]
        lines = [head, *([_cell(value) for value in row.values()] for row in self.rows)]
        widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
        text = [
            "  ".join(
                c.ljust(w) if k < 2 else c.rjust(w) for k, (c, w) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        text += [f"no data reached {path or '(model)'!r}" for path in self.not_reached]
        return "\n".join(text)


def profile(model: nn.Module, data: Iterable[Any], progress: Progress | None = None) -> Profile:
    """Record what every DAC and ADC of a model sees on data; the model stays as it is.

    The data runs once through the model in evaluation mode, with the converters out of the way. Values are
    counted by layer, tile of rows and slice of the weights, in histograms whose memory does not grow with
    the data. Currents are in cell currents: divided by the full scale of the DAC, which is the layer's own
    where it has one, and else what ``mho.calibrate`` would choose. Layers without an ADC have inputs alone;
    ``ADC(bits=None)`` is one that only looks.

    Args:
        model: what ``mho.convert`` made, programmed or not.
        data: batches: a tensor, a tuple or list whose first item is the input, or a dict of keyword
            arguments (as a Hugging Face batch).
        progress: called after each batch with the number of batches so far.

    Raises:
        ValueError: no batch came, or a value is not finite; the message names the layer.
        NotCalibratedError: inputs are streamed, each group of bits is converted, and the DAC has no full
            scale yet: what such an ADC sees depends on it. The data then runs twice.

    >>> import torch, mho
    >>> analog = mho.convert(nn.Sequential(nn.Linear(2, 3)), mho.Hardware(adc=mho.ADC()))
    >>> seen = profile(analog, [torch.tensor([[0.5, -2.0], [1.0, 0.0]])])
    >>> seen.layers["0"].inputs[0].lowest, seen.layers["0"].inputs[0].count
    (-2.0, 4)
    """
    layers = crossbars(model)
    seen = observe(model, data, streamed=False, progress=progress)
    streamed = seen
    if any(tile.streams(layer.hardware) for layer in layers.values()):
        streamed = observe(model, data, streamed=True, progress=progress)
    return Profile({path: _layer(layers[path], seen[path], streamed[path]) for path in layers})


def _layer(layer: Crossbar, seen: Observer, streamed: Observer) -> LayerProfile:
    if layer.hardware.adc is None or not seen.reached:
        return LayerProfile(seen.inputs, [])
    if streamed.streamed:
        return LayerProfile(seen.inputs, streamed.currents)
    scale = fixed_scale(layer) if layer.input_range is None else layer.input_range.detach().cpu()
    if scale is None:
        scale = measured_scale(layer, seen)
    return LayerProfile(seen.inputs, cell_currents(seen, scale))


def _row(path: str, what: str, place: int, part: int | None, seen: Histogram) -> dict[str, Any]:
    return {
        "layer": path,
        "what": what,
        "tile": place,
        "slice": part,
        "count": seen.count,
        "min": seen.lowest,
        "max": seen.highest,
        "mean": seen.mean,
        "std": seen.std,
        **{f"p{p:g}": seen.percentile(p) for p in PERCENTILES},
    }


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return (
        f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    )

"""What the arrays of a model did on some data, as technologies put prices on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from mho.analysis.trace import Events, events_of
from mho.calibration import run_all
from mho.chip import tile
from mho.chip.power import Drawn, PowerMeter
from mho.converters import DAC, ColumnConverter
from mho.costs import Work
from mho.nn import Crossbar, crossbars
from mho.nn.tapping import counter_of, tapped


@dataclass(frozen=True)
class Measured:
    """What was measured in one array.

    Attributes:
        work: of all inferences.
        level: power of its reads if all rows were driven alike, over the true one; NaN if nothing was read.
        siemens: mean conductance of its cells, as they were written.
        cells: that hold weights, those of bias rows and unit columns too.
        weights: of the layer on it.
        pulses: of the programming, on all cells; None where they were not counted.
        joules: of the programming, where it is modelled; else None.
    """

    work: Work
    level: float
    siemens: float
    cells: int
    weights: int
    pulses: int | None
    joules: float | None


def measure(model: nn.Module, data: Iterable[Any], every: int) -> tuple[dict[str, Measured], int]:
    """Run a programmed model on data.

    Args:
        model: what ``mho.convert`` made.
        data: batches, as for ``mho.calibrate``.
        every: about each how manieth vector's voltages are looked at.

    Returns:
        What was measured in each array, by path; and the number of inferences.

    Raises:
        ValueError: an array whose voltages are not known, because it has no DAC.
        NotProgrammedError: no chip.
    """
    arrays = crossbars(model)
    for path, array in arrays.items():
        array.require_chip("cost")
        if array.hardware.dac is None:
            raise ValueError(
                f"dac = None of {path!r}: without a converter nobody knows the voltages of "
                "its inputs; give the hardware a DAC (mho.DAC(bits=None) rounds nothing)"
            )
    meters = {path: counter_of(PowerMeter, array, every) for path, array in arrays.items()}
    counted = _Counted(data)
    with tapped(arrays, meters):
        run_all(model, counted)
    return {path: _measured(meters[path], array) for path, array in arrays.items()}, counted.samples


class _Counted:
    """Batches, and how many samples they held."""

    def __init__(self, data: Iterable[Any]) -> None:
        self.data, self.samples = data, 0

    def __iter__(self) -> Iterator[Any]:
        for batch in self.data:
            self.samples += samples_of(batch)
            yield batch


def samples_of(batch: Any) -> int:
    """How many inferences a batch holds: the first size of its first tensor."""
    found = (
        batch.values()
        if isinstance(batch, Mapping)
        else batch
        if isinstance(batch, (tuple, list))
        else [batch]
    )
    tensor = next((t for t in found if isinstance(t, Tensor) and t.dim()), None)
    return 1 if tensor is None else len(tensor)


def _measured(meter: PowerMeter, array: Crossbar) -> Measured:
    chip = array.require_chip("cost")
    drawn = meter.drawn(tile.conductances(array.hardware, chip))
    written = array.written
    joules = None if written is None or math.isnan(written.energy) else written.energy
    return Measured(
        work=_work(meter, events_of(meter), drawn),
        level=drawn.alike / drawn.power if drawn.power else math.nan,
        siemens=float(chip.g.mean()),
        cells=chip.g.numel(),
        weights=array.weight.numel(),
        pulses=None if written is None else written.pulses,
        joules=joules,
    )


def _work(meter: PowerMeter, events: Events, drawn: Drawn) -> Work:
    hardware, layout, groups = meter.hardware, meter.layout, meter.groups
    how, dac = tile.readout(hardware), hardware.dac
    slices = len(how.digital)
    rows = max(b - a for a, b in layout.rows)
    columns = max(b - a for a, b in layout.columns) + how.unit_column
    streams = 1 if dac is None or dac.stream is None else dac.stream.count(dac.peak)
    beside = groups * len(layout.columns) * slices
    arrays = beside * len(layout.rows)
    vectors = events.vectors
    inputs = 1 if layout.one_hot else groups * (layout.rows[-1][1] - layout.bias_rows)
    bits_in, bits_out = _bits(dac), _bits(hardware.adc)
    each = 1.0 if meter.mean_squares is None else float(meter.mean_squares.sum())
    return Work(
        vectors=vectors,
        products=events.products,
        arrays=arrays,
        rows=rows,
        columns=columns,
        size=(max(hardware.tile.rows or 0, rows), max(hardware.tile.columns or 0, columns)),
        cells=hardware.mapping.copies // slices,
        slices=slices,
        streams=streams,
        converts_each=tile.streams(hardware) or streams == 1,
        bits_in=bits_in,
        bits_out=bits_out,
        bits_driven=bits_in if dac is None or dac.stream is None else dac.stream.bits,
        shared=1 if hardware.adc is None else hardware.adc.columns,
        reads=vectors * streams * (beside if layout.one_hot else arrays),
        cell_reads=events.cells,
        drives=events.driven,
        conversions=events.conversions,
        additions=events.additions,
        scalings=events.scalings,
        inputs=vectors * inputs,
        outputs=vectors * groups * meter.columns,
        squares=vectors * streams * each * len(layout.columns) * slices,
        power=vectors * streams * drawn.power,
        lengths=vectors * streams * drawn.lengths,
        v_read=hardware.device.v_read,
    )


def _bits(converter: DAC | ColumnConverter | None) -> int:
    """The resolution; 0 without codes."""
    if converter is None or converter.ideal:
        return 0
    steps = getattr(converter, "steps", None)
    bits = getattr(converter, "bits", None) if steps is None else math.ceil(math.log2(steps + 1))
    if bits is None:
        raise ValueError(
            f"{converter!r} has neither bits nor steps: what a conversion takes goes by its resolution; give "
            "it a field bits"
        )
    return int(bits)

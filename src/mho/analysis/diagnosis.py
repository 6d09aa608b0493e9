"""Why did it collapse: the error of each layer's output, split by what makes it, and what to change.

The model runs on the data as if it were digital, so that each layer sees the inputs that it should. Its
arrays are read beside it, with one mechanism more each time, in the order of the signal: the mapping, what
programming left, effects, drift, wires, read noise, the DAC, the ADC. What a step changes is that
mechanism's error.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mho.analysis.mechanisms import READ, with_only
from mho.array import Ideal as IdealArray
from mho.calibration import run_all
from mho.chip import tile
from mho.chip.layout import Layout
from mho.chip.reads import Limit, Read
from mho.chip.tap import Tap
from mho.converters import ADC, DAC, with_bits
from mho.devices import Ideal
from mho.devices.effects.base import effects, innermost
from mho.errors import NotCalibratedError
from mho.hardware import Hardware
from mho.mapping import Maximum
from mho.nn import Crossbar, crossbars

if TYPE_CHECKING:
    import pandas

SCALE, MAPPING, PROGRAMMING, EFFECTS, DRIFT = "scale", "mapping", "programming", "effects", "drift"
WIRES, NOISE = "wires", READ
DAC_CLIPPED, DAC_ROUNDED = "DAC, clipped", "DAC, rounded"
ADC_CLIPPED, ADC_ROUNDED = "ADC, clipped", "ADC, rounded"
CAUSES = (
    MAPPING, PROGRAMMING, EFFECTS, DRIFT, WIRES, NOISE, DAC_CLIPPED, DAC_ROUNDED, ADC_CLIPPED, ADC_ROUNDED,
)  # fmt: skip
_CONVERTERS, _FINE_ADC, _ALL = "converters", "fine ADC", "all"  # reads that are no cause of their own
_FINE = 20  # bits of an ADC that rounds nothing to speak of
_SMALL = 0.03  # of the output: an error that is not worth a word

ADVICE = {
    SCALE: "the weights use little of their cells' range: give the mapping one scale for each column, "
    "Maximum(per_column=True)",
    MAPPING: "what the cells are aimed at differs from the weights: more levels or slices, a scale that "
    "clips less, or training with mho.training.Quantise",
    PROGRAMMING: "cells end beside their targets: program with WriteVerify, take more cells for a weight, or "
    "train with noise",
    EFFECTS: "effects on the cells change what was written ({}): train with them, or spread each weight over "
    "more cells",
    DRIFT: "conductances have moved since programming: mho.compensate(model), or program again",
    WIRES: "voltage is lost in the wires: fewer rows for a tile, cells that conduct less, or wires in "
    "training",
    NOISE: "reads fluctuate: a larger read voltage or conductance range, or the mean of several reads",
    DAC_CLIPPED: "inputs lie beyond the full scale of the DAC: calibrate on data like these, or with a "
    "higher quantile",
    DAC_ROUNDED: "the DAC has too few steps for these inputs: more bits, or a smaller full scale",
    ADC_CLIPPED: "currents lie beyond the full scale of the ADC: calibrate on data like these, or with a "
    "higher quantile",
    ADC_ROUNDED: "the ADC has too few steps for these currents: more bits, a full scale for each tile or "
    "column, or fewer tiles of rows",
}
_CORRECTED = (
    "cells have drifted apart, each by an amount of its own, which no correction of a column undoes: program "
    "again, or train with mho.training.DriftNoise"
)


@dataclass(frozen=True)
class LayerDiagnosis:
    """The error of one array's output, by cause.

    Attributes:
        errors: root mean square of what each cause changes, over that of the digital output without its
            digital bias.
        total: the same of the whole error.
        scale: part of the errors of the cells that one scale for each column would take away, likewise.
        used: root mean square of the weights over their reference weight: how much of the range is used.
        codes: share of the ADC's codes between the lowest and the highest one seen; None without an ADC.
        clipped: share of the conversions beyond them; None without an ADC.
        calibrated: whether its converters have their full scales; they are left out where they have none.
        corrected: whether its outputs are corrected for drift already.
        effects: names of the effects on its cells.
    """

    errors: dict[str, float]
    total: float
    scale: float
    used: float
    codes: float | None
    clipped: float | None
    calibrated: bool
    corrected: bool
    effects: tuple[str, ...]

    @property
    def cause(self) -> str:
        """The cause of most of the error; ``scale`` where most of it comes from an unused range."""
        return _largest({cause: error**2 for cause, error in self.errors.items()}, self.scale**2)

    @property
    def sentence(self) -> str:
        """What is wrong and what to change, in words."""
        if not self.calibrated:
            return (
                "its converters have no full scale: mho.calibrate(model, data), or a Fixed or Dynamic range"
            )
        if self.total < _SMALL:
            return "nothing to speak of"
        worst = self.cause
        share = self.scale if worst == SCALE else self.errors[worst]
        advice = _CORRECTED if worst == DRIFT and self.corrected else ADVICE[worst]
        return f"{100 * share:.0f} % from {worst}: " + advice.format(", ".join(self.effects))


_OF_CELLS = (PROGRAMMING, EFFECTS, DRIFT, NOISE)


def _largest(squares: dict[str, float], scale: float) -> str:
    """The cause of the largest of squared errors; ``scale`` where a quarter of it comes from the range."""
    worst = max(squares, key=lambda cause: squares[cause])
    return SCALE if worst in _OF_CELLS and scale > 0.25 * squares[worst] else worst


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with each layer, the worst first; made by :func:`diagnose`.

    Attributes:
        layers: by path as in ``mho.conductances``, those without full scales first, then by their error.
    """

    layers: dict[str, LayerDiagnosis]

    @property
    def worst(self) -> tuple[str, str]:
        """Path of the worst layer, and the cause of its error: ``calibration`` where it has no full scale."""
        path, layer = next(iter(self.layers.items()))
        return path, layer.cause if layer.calibrated else "calibration"

    @property
    def cause(self) -> str:
        """What to look at first: the cause of most of the error of all layers together."""
        if any(not layer.calibrated for layer in self.layers.values()):
            return "calibration"
        layers = self.layers.values()
        sums = {cause: math.fsum(layer.errors[cause] ** 2 for layer in layers) for cause in CAUSES}
        return _largest(sums, math.fsum(layer.scale**2 for layer in layers))

    def rows(self) -> list[dict[str, Any]]:
        """One row for each array, for a table of your own; errors as fractions of the output."""
        return [
            {
                "layer": path,
                "error": layer.total,
                **{cause: layer.errors[cause] for cause in CAUSES},
                "scale": layer.scale,
                "range used": layer.used,
                "codes used": math.nan if layer.codes is None else layer.codes,
                "clipped": math.nan if layer.clipped is None else layer.clipped,
                "what to do": layer.sentence,
            }
            for path, layer in self.layers.items()
        ]

    def to_frame(self) -> pandas.DataFrame:
        """The rows as a table of pandas, which ``pip install mho[study]`` brings."""
        import pandas

        frame: pandas.DataFrame = pandas.DataFrame(self.rows())
        return frame

    def __str__(self) -> str:
        """A line for each array, the worst first."""
        return "\n".join(
            f"{path or '(model)'}: error {100 * layer.total:.1f} %; {layer.sentence}"
            for path, layer in self.layers.items()
        )


def diagnose(model: nn.Module, data: Iterable[Any]) -> Diagnosis:
    """Which layers of a model on its chip err, why, and what to change; without labels.

    Each batch runs through the model once, as if it were digital; beside it each array is read ten times at
    most, on the chip at its age and with its corrections. Errors are of single layers with the right
    inputs: how a network adds them up is what ``mho.budget`` measures.

    Args:
        model: what ``mho.convert`` made, programmed.
        data: batches, as for ``mho.calibrate``; one of some tens of inputs is enough.

    Raises:
        NotProgrammedError: no chip.
        ValueError: no analog layer, or no batch.

    >>> import mho, torch
    >>> hardware = mho.Hardware(device=mho.devices.PCM(), dac=mho.DAC(bits=8), adc=mho.ADC(bits=3))
    >>> analog, x = mho.convert(torch.nn.Linear(64, 10), hardware), torch.randn(100, 64)
    >>> mho.calibrate(analog, [x])
    >>> mho.program(analog, seed=0)
    >>> diagnose(analog, [x]).cause
    'ADC, rounded'
    """
    arrays = crossbars(model)
    patients = {path: _Patient(array) for path, array in arrays.items()}
    with contextlib.ExitStack() as stack:
        for patient in patients.values():
            stack.enter_context(patient.examined())
        run_all(model, data)
    found = {path: patient.diagnosis() for path, patient in patients.items() if patient.outputs > 0}
    order = sorted(found, key=lambda path: (found[path].calibrated, -found[path].total))
    return Diagnosis({path: found[path] for path in order})


class _Codes(Tap):
    """What the ADC sees: how far its codes are used, and how often they do not reach."""

    def __init__(self, hardware: Hardware) -> None:
        self.adc = hardware.adc
        self.low = self.high = self.beyond = self.count = 0.0

    def converted(self, layout: Layout, z: Tensor, channels: int, first: int) -> None:
        """Note the extremes."""
        assert self.adc is not None
        if z.numel():
            self.low, self.high = min(self.low, float(z.min())), max(self.high, float(z.max()))
            self.beyond += float(self.adc.clips(z).sum())
            self.count += z.numel()

    @property
    def used(self) -> float | None:
        """Share of the codes between the extremes that were seen."""
        if not self.count or self.adc is None or self.adc.ideal:
            return None
        top = self.adc.high
        low = getattr(self.adc, "grid", None)
        bottom = low().low if low is not None else -top
        seen = min(self.high, top) - max(self.low, bottom)
        return float(min(max(seen / (top - bottom), 0.0), 1.0))


class _Patient:
    """One array, and the reads of it with one mechanism more each time."""

    def __init__(self, array: Crossbar) -> None:
        self.array, self.layout = array, array.layout
        self.chip = array.require_chip("diagnose")
        self.codes = _Codes(array.hardware)
        self.outputs = self.signal = self.whole = 0.0
        self.squares = dict.fromkeys(CAUSES, 0.0)
        self._reads: dict[str, tuple[Hardware, Read]] = {}

    @contextlib.contextmanager
    def examined(self) -> Iterator[None]:
        """The array computes digitally, and is read beside it."""
        here = self.array.__dict__
        here["forward"] = self._seen
        here["steps"] = lambda: self._seen
        try:
            yield
        finally:
            del here["forward"], here["steps"]

    # --- descriptions with some mechanisms -------------------------------------------------------

    def _described(self) -> Iterator[tuple[str, Hardware, Any]]:
        """For each step up to the read noise its hardware and its chip; None for the targets."""
        own, chip = self.array.hardware, self.chip
        plain = dataclasses.replace(own, array=IdealArray(), dac=None, adc=None)
        cell = innermost(own.device)
        steady = Ideal(g_min=cell.g_min, g_max=cell.g_max, v_read=cell.v_read)
        young = chip._replace(
            seconds=torch.zeros_like(chip.seconds), gain=torch.ones_like(chip.gain),
            shift=torch.zeros_like(chip.shift), drivers=None, converters=None,
        )  # fmt: skip
        quiet = with_only(own, (READ,), ()).device
        yield MAPPING, dataclasses.replace(plain, device=steady), None
        written = young._replace(cells=chip.cells[:0])
        yield PROGRAMMING, dataclasses.replace(plain, device=steady), written
        if any(True for _ in effects(own.device)):
            yield EFFECTS, dataclasses.replace(plain, device=quiet), young
        aged = chip._replace(drivers=None, converters=None)
        yield DRIFT, dataclasses.replace(plain, device=quiet), aged
        yield WIRES, dataclasses.replace(own, device=quiet), aged
        yield NOISE, own, aged
        if chip.drivers is not None or chip.converters is not None:  # that have errors of their own
            yield _CONVERTERS, dataclasses.replace(own, device=quiet), chip
            yield _ALL, own, chip

    def _prepare(self) -> None:
        array = self.array
        for cause, hardware, chip in self._described():
            if chip is None:
                read = tile.ideal_read(hardware, array.present(), self.layout)
            else:
                read = tile.pack(hardware, chip, self.layout)
            self._reads[cause] = hardware, read.changed(inputs=array.tile_index)
        self._reads.setdefault(_CONVERTERS, self._reads[WIRES])
        self._reads.setdefault(_ALL, self._reads[NOISE])
        described, read = self._reads[_CONVERTERS]
        if type(described.adc) is ADC and not described.adc.ideal:
            self._reads[_FINE_ADC] = dataclasses.replace(described, adc=with_bits(described.adc, _FINE)), read

    # --- reads -----------------------------------------------------------------------------------

    def _read(self, cause: str, x: Tensor, limits: tuple[Limit, Limit], tap: Tap | None = None) -> Tensor:
        hardware, read = self._reads[cause]
        bias = self.array.digital_bias
        dtype = read.kernel.dtype
        bias = None if bias is None else bias.to(dtype)
        x = x if self.layout.one_hot else x.to(dtype)
        return tile.matvec(hardware, read, self.layout, x, bias, limits, tap)

    def _limits(self) -> tuple[Limit, Limit] | None:
        """Full scales; None where there are none yet."""
        try:
            return self.array.limits()
        except NotCalibratedError:
            return None

    def _seen(self, x: Tensor, read: Read | None = None) -> Tensor:
        digital = self.array.digital_forward(x)
        if x.numel():
            if not self._reads:
                self._prepare()
            self._compare(x.detach(), digital)
        return digital

    def _compare(self, x: Tensor, digital: Tensor) -> None:
        bias = self.array.digital_bias
        signal = digital if bias is None else digital - self.layout.over_output(bias.to(digital))
        self.signal += float(signal.double().square().sum())
        self.outputs += digital.numel()
        known = self._limits()
        if known is not None and self.layout.one_hot:  # rows are on or off, whatever the DAC
            known = (None, known[1])
        # cells without Ohm's law need to know their voltages
        volts: Limit = known[0] if self.array.hardware.array.voltages and known is not None else None
        before = digital.double()
        for cause in (c for c in CAUSES if c in self._reads):
            limits = (volts if cause in (WIRES, NOISE) else None, None)
            after = self._add(cause, before, self._read(cause, x, limits).double())
            before = before if cause == NOISE else after
        if known is None:
            self.whole += float((before - digital).square().sum())
            return
        self._converters(x, before, known)
        self.whole += float((self._read(_ALL, x, known).double() - digital).square().sum())

    def _converters(self, x: Tensor, before: Tensor, limits: tuple[Limit, Limit]) -> None:
        hardware = self.array.hardware
        if hardware.dac is not None and not self.layout.one_hot:
            clamped = None if hardware.array.voltages else self._clamped(x, hardware.dac, limits[0])
            if clamped is not None:
                before = self._add(DAC_CLIPPED, before, self._read(WIRES, clamped, (None, None)).double())
            after = self._read(_CONVERTERS, x, (limits[0], None)).double()
            before = self._add(DAC_ROUNDED, before, after)
        if hardware.adc is None:
            return
        if _FINE_ADC in self._reads:
            before = self._add(ADC_CLIPPED, before, self._read(_FINE_ADC, x, limits).double())
        self._add(ADC_ROUNDED, before, self._read(_CONVERTERS, x, limits, self.codes).double())

    @staticmethod
    def _clamped(x: Tensor, dac: DAC, limit: Limit) -> Tensor | None:
        """Inputs within full scale; None where that is not one number, or nothing clips."""
        if dac.ideal or limit is None or (isinstance(limit, Tensor) and limit.numel() > 1):
            return None
        top = float(limit)
        return x.clamp(-top if dac.signed else 0.0, top)

    def _add(self, cause: str, before: Tensor, after: Tensor) -> Tensor:
        self.squares[cause] += float((after - before).square().sum())
        return after

    # --- what was found --------------------------------------------------------------------------

    def diagnosis(self) -> LayerDiagnosis:
        """In fractions of the output."""
        signal = self.signal or 1.0
        errors = {cause: math.sqrt(found / signal) for cause, found in self.squares.items()}
        left, used = self._scales()
        cells = math.sqrt(sum(errors[cause] ** 2 for cause in _OF_CELLS))
        return LayerDiagnosis(
            errors=errors,
            total=math.sqrt(self.whole / signal),
            scale=cells * math.sqrt(max(1 - left, 0.0)),
            used=used,
            codes=self.codes.used,
            clipped=self.codes.beyond / self.codes.count if self.codes.count else None,
            calibrated=self._limits() is not None,
            corrected=not bool((self.chip.gain == 1).all()),
            effects=tuple(type(effect).__name__ for effect in effects(self.array.hardware.device)),
        )

    def _scales(self) -> tuple[float, float]:
        """What one scale for each column would leave of the errors' squares; and the range that is used."""
        weight = self.array.present().detach().double()
        now = self.chip.scale.double().square().expand(weight.shape[0], 1, weight.shape[2])
        best = Maximum(per_column=True).reference(weight).square().expand_as(now)
        squares = weight.square().mean(1, keepdim=True)
        return float(torch.minimum(best, now).sum() / now.sum()), math.sqrt(float((squares / now).mean()))

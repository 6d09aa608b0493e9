"""An error budget: what each mechanism, and each layer, costs a network on a chip.

Each part is switched on alone and left out alone, on the same chips. A mechanism that is switched off moves
no draw of another one, so both are measured as differences between pairs of chips that are equal in all
else.

>>> import mho, torch
>>> model, x = torch.nn.Linear(8, 4), torch.randn(32, 8)
>>> wanted = model(x).detach()
>>> table = budget(
...     model,
...     mho.Hardware(device=mho.devices.PCM()),
...     lambda chip: -float((chip(x) - wanted).square().mean()),
...     seconds=86_400.0,
...     chips=3,
... )
>>> [part.name for part in table.mechanisms]
['programming', 'drift', 'read noise']
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from mho import lifecycle, random
from mho.analysis.losses import Interval, Part
from mho.analysis.mechanisms import mechanisms, with_only
from mho.calibration import calibrate
from mho.calibration.batches import run
from mho.config import digest, python_number
from mho.convert import analog_modules, convert
from mho.convert.per_layer import PerLayer
from mho.hardware import Hardware
from mho.nn import Crossbar, crossbars
from mho.periphery import Compensation

if TYPE_CHECKING:
    import pandas

Metric = Callable[[nn.Module], float]
Chips = Mapping[str, Hardware]


@dataclass(frozen=True)
class Budget:
    """Losses by mechanism and by layer, in the unit of the metric.

    Attributes:
        digital: metric of the digital model.
        ideal: metric on arrays with every mechanism off, mean over chips; losses count from here. It differs
            from ``digital`` by what the mapping clips, and by rounding.
        chips: number of chips.
        total: loss with everything on.
        parts: mechanisms in the order of the signal, then layers in that of the model.
        idealised: the correction that the chips had, where no circuit could have it.
    """

    digital: float
    ideal: float
    chips: int
    total: Interval
    parts: tuple[Part, ...]
    idealised: str = ""

    @property
    def mechanisms(self) -> tuple[Part, ...]:
        """The parts that are mechanisms."""
        return tuple(part for part in self.parts if part.kind == "mechanism")

    @property
    def layers(self) -> tuple[Part, ...]:
        """The parts that are layers."""
        return tuple(part for part in self.parts if part.kind == "layer")

    def rows(self) -> list[dict[str, str | float]]:
        """One row for the total and one for each part, for a table of your own."""
        whole = [("total", "everything", self.total, self.total)]
        parts = [(part.kind, part.name, part.alone, part.without) for part in self.parts]
        return [
            {
                "kind": kind,
                "name": name,
                "alone": alone.mean,
                "alone low": alone.low,
                "alone high": alone.high,
                "without": without.mean,
                "without low": without.low,
                "without high": without.high,
            }
            for kind, name, alone, without in whole + parts
        ]

    def to_frame(self) -> pandas.DataFrame:
        """The rows as a table of pandas, which ``pip install mho[study]`` brings."""
        import pandas

        frame: pandas.DataFrame = pandas.DataFrame(self.rows())
        return frame

    def __str__(self) -> str:
        """The table, the part whose removal brings most first."""
        means = [abs(i.mean) for i in (self.total, *(i for p in self.parts for i in (p.alone, p.without)))]
        places = 3 - math.floor(math.log10(max(means))) if max(means) > 0 else 1
        lines = [
            f"digital {self.digital:.5g}; on arrays with every mechanism off {self.ideal:.5g}; "
            f"{self.chips} chips, 95 % intervals",
            *([f"corrected by {self.idealised}, idealised: no circuit knows it"] if self.idealised else []),
            f"{'loss':<20}{'alone':>32}{'brought back when left out':>34}",
            _line("everything", self.total, self.total, places),
        ]
        for title, parts in (("by mechanism", self.mechanisms), ("by layer", self.layers)):
            if parts:
                ordered = sorted(parts, key=lambda part: -part.without.mean)
                names = [f"  {part.label or '(model)'}" for part in ordered]
                rows = zip(names, ordered, strict=True)
                lines += [title, *(_line(name, part.alone, part.without, places) for name, part in rows)]
        return "\n".join(lines)


def _line(name: str, alone: Interval, without: Interval, places: int) -> str:
    """One line, numbers with so many decimal places."""
    digits = max(0, min(places, 12))
    texts = [f"{i.mean:.{digits}f} [{i.low:.{digits}f}, {i.high:.{digits}f}]" for i in (alone, without)]
    return f"{name:<20}{texts[0]:>32}{texts[1]:>34}"


def budget(
    model: nn.Module,
    hardware: PerLayer[Hardware],
    metric: Metric | Iterable[Any],
    *,
    data: Iterable[Any] | None = None,
    seconds: float = 0.0,
    compensation: Compensation | None = None,
    chips: int = 10,
    seed: int = 0,
    layers: bool = True,
    progress: Callable[[int, int], object] | None = None,
) -> Budget:
    """What each mechanism and each layer costs: an error budget, that says what to repair first.

    The mechanisms are those that the hardware has: ``programming``, ``drift`` (also a loss of retention),
    ``read noise`` (of the device and of effects around it), every other effect by its class name
    (``StuckAt``), ``wires`` (whatever ``hardware.array`` is), ``DAC`` and ``ADC`` (range, rounding and
    errors). For a layer all mechanisms are on in it and off in the others, and the other way round.

    The arrays are converted, calibrated on ``data``, programmed, aged, compensated and tested, once for each
    part, alone and left out, and each chip: ``chips * (2 + 2 * parts)`` tests. The chips of all rows have
    the same seeds, and so has their read noise.

    Args:
        model: the digital model; ``mho.revert(analog)`` for a converted one. It is not changed.
        hardware: the chip, for all layers or for each, as for ``mho.convert``.
        metric: batches ``(input, label)`` to measure the accuracy on (a fraction), or a function from a
            model in evaluation mode to a number that falls when the network gets worse: the negative of
            an error. Shuffle nothing in it, or the differences get the noise of that.
        data: batches to calibrate converters on, as for ``mho.calibrate``; run through for each row, so no
            iterator. None for hardware whose ranges are known.
        seconds: time since programming.
        compensation: corrects the drift, on every row; None for none.
        chips: number of chips.
        seed: names the chips and the reads.
        layers: also say what each layer costs.
        progress: called after each test with the number of tests so far and their total.

    Returns:
        The table: ``str``, ``rows()`` and ``to_frame()``; ``mho.report.budget_figure`` draws it. Intervals
        are over chips; they say nothing about the choice of test data.

    Raises:
        TypeError: a converted model, or a metric that is neither batches nor a function.
        ValueError: no chip, a metric that is not finite, or no layer that can be put on arrays.
        NotCalibratedError: a range was left to calibration, and there is no ``data``.
    """
    if not isinstance(model, nn.Module) or analog_modules(model):
        kind = "converted model" if isinstance(model, nn.Module) else type(model).__name__
        raise TypeError(f"model is a {kind}: give a digital torch.nn.Module, or mho.revert(analog)")
    chips = python_number(chips)
    if isinstance(chips, bool) or not isinstance(chips, int) or chips < 1:
        raise ValueError(f"chips = {chips!r}: a whole number of at least 1; an interval needs 2")
    if isinstance(data, Iterator):
        raise TypeError("data is an iterator, which runs only once: give a list of batches or a DataLoader")
    if compensation is not None and not isinstance(compensation, Compensation):
        raise TypeError(
            f"compensation = {compensation!r}: give a mho.periphery.Compensation, such as GlobalDrift(), "
            "or None"
        )
    if isinstance(seconds, bool) or not isinstance(seconds, numbers.Real):
        raise TypeError(f"seconds = {seconds!r}: give a number of seconds since programming")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress = {progress!r}: give a function of two numbers, or None")
    made = convert(model, hardware)
    on = {path: layer.hardware for path, layer in crossbars(made).items()}
    for layer_hardware in on.values():
        layer_hardware.device.check_time(seconds)
    names = list(dict.fromkeys(n for h in on.values() for n in mechanisms(h, seconds)))
    off = {path: with_only(h, names, ()) for path, h in on.items()}
    parts = _parts(on, off, names, layers)
    study = _Study(model, _measure(metric), data, seconds, compensation, chips, seed)
    wanted = [on, off, *(hardware for *_, pair in parts for hardware in pair)]
    results = study.run(wanted, progress)
    everything, ideal = results(on), results(off)
    with torch.no_grad():
        digital = _finite(study.metric(convert(model, {}).eval()))
    return Budget(
        digital=digital,
        ideal=math.fsum(ideal) / chips,
        chips=chips,
        total=_difference(ideal, everything),
        parts=tuple(
            Part(kind, name, *losses, _layer_kind(made, name) if kind == "layer" else "")
            for kind, name, *losses in (
                (kind, name, _difference(ideal, results(alone)), _difference(results(rest), everything))
                for kind, name, (alone, rest) in parts
            )
        ),
        idealised=repr(compensation) if compensation is not None and compensation.idealised else "",
    )


def _layer_kind(model: nn.Module, path: str) -> str:
    """What the layer of an array is, in torch's words."""
    while path and isinstance(model.get_submodule(path), Crossbar):
        path = path.rpartition(".")[0]
    return type(model.get_submodule(path)).__name__.removeprefix("Analog")


def _parts(
    on: Chips, off: Chips, names: Sequence[str], layers: bool
) -> list[tuple[Literal["mechanism", "layer"], str, tuple[Chips, Chips]]]:
    """Kind, name, and the hardware with this part alone and with all others."""
    parts: list[tuple[Literal["mechanism", "layer"], str, tuple[Chips, Chips]]] = []
    for name in names:
        rest = [other for other in names if other != name]
        alone = {path: with_only(h, names, [name]) for path, h in on.items()}
        without = {path: with_only(h, names, rest) for path, h in on.items()}
        parts.append(("mechanism", name, (alone, without)))
    if layers:
        parts += [("layer", path, ({**off, path: on[path]}, {**on, path: off[path]})) for path in on]
    return parts


@dataclass(frozen=True)
class _Study:
    """How one set of hardware is measured."""

    model: nn.Module
    metric: Metric
    data: Iterable[Any] | None
    seconds: float
    compensation: Compensation | None
    chips: int
    seed: int

    def run(
        self, wanted: Sequence[Chips], progress: Callable[[int, int], object] | None
    ) -> Callable[[Chips], list[float]]:
        """The metric of each chip of each different hardware, to be asked for by hardware."""
        different = {_key(hardware): hardware for hardware in wanted}
        found: dict[tuple[int, ...], list[float]] = {}
        for key, hardware in different.items():
            found[key] = []
            for value in self._on_chips(hardware):
                found[key].append(value)
                if progress is not None:
                    done = sum(len(values) for values in found.values())
                    progress(done, len(different) * self.chips)
        return lambda hardware: found[_key(hardware)]

    def _on_chips(self, hardware: Chips) -> Iterator[float]:
        analog = convert(self.model, hardware).eval()
        if self.data is not None and any(h.dac is not None or h.adc is not None for h in hardware.values()):
            calibrate(analog, self.data)
        for chip in range(self.chips):
            with _reads(self.seed, chip), torch.no_grad():
                lifecycle.program(analog, random.fork(self.seed, "chip", str(chip)).initial_seed())
                lifecycle.age(analog, self.seconds)
                if self.compensation is not None:
                    fitted = self.data if self.compensation.needs_data else None
                    lifecycle.compensate(analog, self.compensation, fitted)
                value = _finite(self.metric(analog))
            yield value


def _key(hardware: Chips) -> tuple[int, ...]:
    return tuple(digest(h) for h in hardware.values())


@contextmanager
def _reads(seed: int, chip: int) -> Iterator[None]:
    """Torch's global stream, where read noise comes from, that of a chip; put back afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(random.fork(seed, "read", str(chip)).initial_seed())  # noqa: TID251 (put back)
        yield


def _difference(better: Sequence[float], worse: Sequence[float]) -> Interval:
    """Paired by chip."""
    return Interval.of([a - b for a, b in zip(better, worse, strict=True)])


def _finite(value: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"metric gave {value!r:.80}: it must be a number on every chip") from None
    if not math.isfinite(number):
        raise ValueError(f"metric gave {number!r}: it must be a finite number on every chip")
    return number


def _measure(metric: Metric | Iterable[Any]) -> Metric:
    if callable(metric) and not isinstance(metric, nn.Module):
        return metric
    if isinstance(metric, (torch.Tensor, nn.Module, Iterator)) or not isinstance(metric, Iterable):
        raise TypeError(
            f"metric is a {type(metric).__name__}: give batches (input, label), such as a DataLoader, or a "
            "function from a model to a number"
        )
    batches: Iterable[Any] = metric
    return lambda model: _accuracy(model, batches)


def _accuracy(model: nn.Module, batches: Iterable[Any]) -> float:
    """Fraction of the labels that are where the output is largest."""
    right = total = 0
    for batch in batches:
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            raise TypeError(
                f"a batch of the metric is a {type(batch).__name__}: give (input, label), or a function from "
                "a model to a number"
            )
        found, label = _classes(run(model, batch)), batch[1]
        if not isinstance(label, torch.Tensor) or label.shape != found.shape:
            given = list(label.shape) if isinstance(label, torch.Tensor) else type(label).__name__
            raise ValueError(
                f"a batch of the metric has labels {given}, and the model gives {list(found.shape)} classes; "
                "give a label for each, or a function from a model to a number"
            )
        right, total = right + int((found == label.cpu()).sum()), total + found.numel()
    if not total:
        raise ValueError("metric gave no batch: at least one is needed")
    return right / total


def _classes(output: Any) -> torch.Tensor:
    """The class that each output is largest for."""
    if not isinstance(output, torch.Tensor) or output.dim() < 2:
        given = list(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise ValueError(
            f"the model's output is {given}: an accuracy needs [batch, class]; give a function from a "
            "model to a number as the metric"
        )
    return output.argmax(1).cpu()

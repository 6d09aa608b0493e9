"""What a model costs on its chip: energy, time and area of one inference, from its own run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from mho.analysis.cost_report import OPERATIONS, CostReport, LayerCost, Peak, Schedule
from mho.analysis.trace import share_of
from mho.analysis.work import Measured, measure, samples_of
from mho.config import python_number
from mho.convert.multiplications import count_macs
from mho.costs import GENERIC_22, Floor, Technology, Work


def cost(
    model: nn.Module,
    data: Iterable[Any],
    technology: Technology = GENERIC_22,
    *,
    share: float = 1 / 8,
    schedule: Schedule = "layers",
    duplicates: int | Mapping[str, int] = 1,
) -> CostReport:
    """What one inference costs on the model's chip at its age: joules, seconds, square metres.

    The model is run on the data, and everything is paid that happens in its arrays: the power of the cells
    is that of these very inputs on these very conductances (through exact wires where the array has them),
    conversions, drives and sums are counted as they are made.

    Args:
        model: what ``mho.convert`` made, calibrated and programmed; each array has a DAC.
        data: batches, as for ``mho.calibrate``; the first size of a batch is its number of inferences.
            Products that stay digital are counted in the first one.
        technology: prices; ``mho.costs.TECHNOLOGIES`` holds those that come along.
        share: of the vectors whose voltages are looked at: 1 for all, or one over a whole number.
        schedule: ``layers``: one after the other, the next inference when the last is done; ``pipeline``:
            all layers at work, the next inference as soon as the slowest is free.
        duplicates: copies of the arrays of each layer, or of those of some by path, which share its vectors.

    Raises:
        NotProgrammedError: no chip.
        ValueError: no analog layer, no DAC, no batch, or an argument that is none of these.

    >>> import mho, torch
    >>> hardware = mho.Hardware(dac=mho.DAC(bits=8), adc=mho.ADC(bits=8))
    >>> analog, x = mho.convert(torch.nn.Linear(64, 10), hardware), torch.rand(100, 64)
    >>> mho.calibrate(analog, [x])
    >>> mho.program(analog, seed=0)
    >>> report = cost(analog, [x])
    >>> report.layers[""].work.conversions, report.floor.arrays
    (10.0, 1)
    >>> report.energy["ADC"] / 10 == mho.costs.GENERIC_22.adc.joules(8)
    True
    """
    if not isinstance(technology, Technology):
        raise TypeError(
            f"technology = {technology!r}: give a mho.costs.Technology, such as mho.costs.GENERIC_22 or "
            "mho.costs.TECHNOLOGIES['isaac']"
        )
    if schedule not in ("layers", "pipeline"):
        raise ValueError(f"schedule = {schedule!r}: give 'layers' or 'pipeline'")
    every = share_of(share)
    if not every:
        raise ValueError(
            f"share = {share!r}: the power of the cells needs voltages; give 1, or one in n, as 1/8"
        )
    first, batches = _first(data)
    measured, samples = measure(model, batches, every)
    copies = _duplicates(duplicates, measured)
    macs = count_macs(model, first)
    digital = (macs.weights + macs.activations) / samples_of(first)
    return priced(measured, samples, technology, schedule, copies, digital)


def _first(data: Any) -> tuple[Any, Iterable[Any]]:
    """The first batch, and all of them."""
    if not isinstance(data, Iterable) or hasattr(data, "keys") or hasattr(data, "dim"):
        raise TypeError(
            f"data is a {type(data).__name__}: give batches, such as a DataLoader; [x] for a single one"
        )
    batches = iter(data)
    for first in batches:
        return first, itertools.chain([first], batches)
    raise ValueError("data gave no batch: at least one is needed (an iterator runs only once)")


def _duplicates(given: int | Mapping[str, int], measured: Mapping[str, Measured]) -> dict[str, int]:
    each = dict(given) if isinstance(given, Mapping) else dict.fromkeys(measured, given)
    unknown = sorted(set(each) - set(measured))
    if unknown:
        raise ValueError(f"duplicates: no array has the path {unknown[0]!r}; there are {', '.join(measured)}")
    found = {path: python_number(each.get(path, 1)) for path in measured}
    for path, count in found.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f"duplicates = {count!r} of {path!r}: give a whole number of copies, 1 or more")
    return found


def priced(
    measured: Mapping[str, Measured],
    samples: int,
    technology: Technology,
    schedule: Schedule,
    copies: Mapping[str, int],
    digital_products: float,
) -> CostReport:
    """Prices on what was measured; arguments as in :func:`cost`, and digital products of one inference."""
    works = {path: found.work.over(samples) for path, found in measured.items()}
    doubled = {path: work._replace(arrays=work.arrays * copies[path]) for path, work in works.items()}
    floor, whole = technology.floor([*doubled.values()]), technology.whole([*doubled.values()])
    largest = max(works.values(), key=lambda work: work.products)
    layers = {
        path: LayerCost(
            energy=dict(technology.energy(work, floor)),
            seconds=math.ceil(work.vectors / copies[path] - 1e-9) * technology.seconds(work),
            area=dict(technology.area(doubled[path], Floor(doubled[path].arrays, 0, 0, 0))),
            work=doubled[path],
            level=measured[path].level,
        )
        for path, work in works.items()
    }
    left = technology.left_out([*doubled.values()])
    times = [layer.seconds for layer in layers.values()]
    moved = sum(w.inputs + w.outputs for w in works.values())
    weights = sum(found.weights for found in measured.values())
    products = math.fsum(w.products for w in works.values()) + digital_products
    full = largest.full(whole.arrays)
    vector = technology.seconds(full)
    written = math.fsum(_written(technology, found) * copies[path] for path, found in measured.items())
    pulses = sum(
        technology.writing_pulses(found.pulses, found.cells) * copies[path]
        for path, found in measured.items()
    )
    again = technology.writing.time(left * pulses) if left else 0.0
    return CostReport(
        layers=layers,
        seconds=math.fsum(times) + again,
        interval=(math.fsum(times) if schedule == "layers" else max(times)) + again,
        leakage=dict(_over(technology.leakage, doubled, floor, largest)),
        area=dict(_over(technology.area, doubled, floor, largest)),
        floor=floor,
        digital=technology.digital_energy(digital_products, 0.0),
        twin=technology.digital_energy(products, moved + weights),
        programming=written,
        reloading={"DRAM": technology.loading(8 * left * weights), "writing": left * written} if left else {},
        peak=Peak(
            operations=OPERATIONS * full.products / vector,
            watts=dict(technology.peak(largest, whole)),
            area=dict(technology.area(largest, whole)),
            vector=vector,
        ),
        technology=str(getattr(technology, "name", type(technology).__name__)),
        schedule=schedule,
    )


def _over(question: Any, works: Mapping[str, Work], floor: Floor, largest: Work) -> dict[str, float]:
    """Area or leakage of all: the arrays of each layer as they are, spare ones like those of the largest."""
    used = sum(work.arrays for work in works.values())
    spare, there = floor.arrays - used, min(1.0, floor.arrays / used)
    found: dict[str, float] = {}
    asked = [(work, Floor(round(there * work.arrays), 0, 0, 0)) for work in works.values()]
    for work, part in [*asked, (largest, floor._replace(arrays=max(spare, 0)))]:
        for name, value in question(work, part).items():
            found[name] = found.get(name, 0.0) + value
    return found


def _written(technology: Technology, found: Measured) -> float:
    if found.joules is not None:
        return found.joules
    return technology.writing.joules(found.siemens, technology.writing_pulses(found.pulses, found.cells))

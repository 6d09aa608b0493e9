"""Any experiment of mho as a function from its description to figures: what a sweep runs.

An experiment of your own takes part once it is registered, in a module that the sweep imports::

    @measure.register
    def _(study: MyStudy, place: Place) -> dict[str, float]: ...

where ``MyStudy`` is a description (:func:`mho.config.config`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mho.config import config, kind_of, kinds
from mho.experiments import budgets, chips, harness, landscape, quantization
from mho.experiments.budgets import BudgetStudy
from mho.experiments.chips import ChipStudy
from mho.experiments.fitting import limited_threads
from mho.experiments.harness import Study
from mho.experiments.hwa import HWAExperiment, HWAStudy
from mho.experiments.landscape import LandscapeStudy
from mho.experiments.machine import usable_device
from mho.experiments.quantization import QuantizationStudy
from mho.experiments.robustness import RobustnessTest
from mho.experiments.wires import WireStudy


@dataclass(frozen=True)
class Place:
    """Where an experiment runs.

    Attributes:
        folder: its own, for what it wants to keep.
        shared: one that all experiments of a sweep may put files into, whole or not at all.
        data: where the files of the data set lie.
        device: the torch device that computes.
        threads: threads on the CPU.
    """

    folder: Path
    shared: Path
    data: Path | None = None
    device: str = "cpu"
    threads: int = 1


@config
class QuantizationExperiment:
    """The quantisation study with its test under noise, as one description.

    Attributes:
        study: the four networks.
        test: the noise.
    """

    study: QuantizationStudy = QuantizationStudy()
    test: RobustnessTest = RobustnessTest()


@functools.singledispatch
def measure(study: Any, place: Place) -> dict[str, float]:
    """Run an experiment and return its figures by name; ``"accuracy"`` matters most, else the first one."""
    raise TypeError(
        f"{kind_of(type(study))} is no experiment: register a function for it with "
        "mho.experiments.experiment.measure.register"
    )


def experiments() -> tuple[type, ...]:
    """The descriptions that can be measured: studies, and what a function was registered for."""
    return tuple(
        cls
        for cls in kinds().values()
        if issubclass(cls, Study) or measure.dispatch(cls) is not measure.dispatch(object)
    )


@measure.register
def _(study: Study, place: Place) -> dict[str, float]:
    found = harness.run(study, place.folder, place.data, device=place.device, threads=place.threads)
    return study.headline(found.table)


@measure.register
def _(study: ChipStudy, place: Place) -> dict[str, float]:
    return chips.run(study, place.shared, place.data, usable_device(place.device), place.threads)


@measure.register
def _(study: HWAStudy, place: Place) -> dict[str, float]:
    return measure(HWAExperiment(study=study), place)


@measure.register
def _(study: QuantizationStudy, place: Place) -> dict[str, float]:
    return _quantization(study, None, place)


@measure.register
def _(study: QuantizationExperiment, place: Place) -> dict[str, float]:
    return _quantization(study.study, study.test, place)


def _quantization(study: QuantizationStudy, test: RobustnessTest | None, place: Place) -> dict[str, float]:
    result = quantization.run(
        study,
        place.folder,
        test,
        robustness=test is not None,
        data_folder=place.data,
        device=place.device,
        threads=place.threads,
    )
    figures = {f"{method}_test": facts["test"] for method, facts in result.training.facts.items()}
    if result.robustness is not None:
        for area in result.robustness.summary.areas:
            figures[f"{area.method}_{area.levels}_area"] = area.area
    return {"accuracy": figures["ste_test"], **figures}


@measure.register
def _(study: BudgetStudy, place: Place) -> dict[str, float]:
    device = usable_device(place.device)
    found = budgets.run(study, place.shared, place.data, device=device, threads=place.threads)
    figures = {"digital": found.digital, "ideal": found.ideal, "total": found.total.mean}
    for part in found.parts:
        name = f"{part.kind}_{part.name}"
        figures |= {f"{name}_alone": part.alone.mean, f"{name}_without": part.without.mean}
    return {"accuracy": found.ideal - found.total.mean, **figures}


@measure.register
def _(study: LandscapeStudy, place: Place) -> dict[str, float]:
    _only_on_the_cpu(place)
    result = landscape.run(study, place.data, threads=place.threads)
    figures: dict[str, float] = {}
    for arm, rows in result.networks.groupby("arm", sort=False):
        means = rows.drop(columns=["arm", "training"]).mean()
        figures |= {f"{arm}_{name}".replace(" ", "_"): float(value) for name, value in means.items()}
    for row in result.differences().to_dict("records"):
        name = f"{row['arm']}_minus_plain_{row['figure']}".replace(",", "").replace(" ", "_")
        figures[name] = float(row["difference"])
    return {"accuracy": figures[f"{landscape.NOISE}_test_accuracy"], **figures}


@measure.register
def _(study: WireStudy, place: Place) -> dict[str, float]:
    _only_on_the_cpu(place)
    with limited_threads(place.threads):
        result = study.run()
    figures = {"least_voltage": float(result.device.min()), "least_current": float(result.share.min())}
    for row in result.sweep:
        name = f"{row.size}_rows_{row.ohm:g}_ohm"
        figures |= {
            f"{name}_loss": row.loss,
            f"{name}_error": row.error,
            f"{name}_after_gain": row.after_gain,
            f"{name}_bits": row.bits,
        }
    return {**figures, **{f"largest_size_{row.ohm:g}_ohm": float(row.size) for row in result.choice}}


def _only_on_the_cpu(place: Place) -> None:
    if usable_device(place.device).type != "cpu":
        raise ValueError(f"device = {place.device}: this experiment computes on the CPU; leave out --on")

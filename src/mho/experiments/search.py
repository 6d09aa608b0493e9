"""The cheapest hardware that keeps an accuracy: a search over converters, tiles, slices and tolerance.

A network is trained once. Each trial puts it on chips of another description, tests them, and prices one
inference (:mod:`mho.experiments.cost`). Optuna proposes descriptions that should cost less and keep the
accuracy. Finished trials are kept; the same search goes on from them.

>>> study = SearchStudy(space=SearchSpace(adc_bits=(4, 8), dac_bits=(8,), tile_rows=(64,), slices=(1,)))
>>> study.space.size
10
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field
from torch import nn

import mho
from mho import random
from mho.config import Count, Fraction, Positive, config, save, to_dict
from mho.converters import with_bits
from mho.devices.effects.base import around, effects, innermost
from mho.experiments.chips import ChipStudy, on_chips, trained
from mho.experiments.cost import Cost, Prices
from mho.experiments.data import Data
from mho.experiments.fitting import accuracy, limited_threads
from mho.experiments.machine import usable_device, versions
from mho.experiments.pareto import pareto_front
from mho.experiments.progress import Progress
from mho.experiments.store import Log, Store

if TYPE_CHECKING:
    import pandas as pd

_COUNT = (0, math.inf)
LOG = Log(
    "trials.jsonl",
    key=("choice",),
    bounds={
        **dict.fromkeys(("accuracy", "digital_accuracy", "std"), (0, 1)),
        **dict.fromkeys(("energy", "cells", "adc_conversions", "dac_conversions", "trial"), _COUNT),
    },
)
TABLE, DOCUMENT, HARDWARE = "results.csv", "results.json", "hardware.yaml"
FIRST_AT_RANDOM = 20  # trials before the proposals learn from what was seen
PENALTY = 20.0  # a missed point of accuracy weighs as much as a factor of exp(0.2) in energy

Bits = Annotated[int, Field(ge=1, le=16)]
Several = Field(min_length=1)
Known = Mapping["Choice", tuple[float, float] | None]


@config
class SearchSpace:
    """The values to choose from.

    Attributes:
        adc_bits, dac_bits: resolution of the converters.
        tile_rows: word lines of an array.
        slices: slices that hold the bits of a weight.
        tolerance: largest error of a programmed cell, as a fraction of g_max.
    """

    adc_bits: Annotated[tuple[Bits, ...], Several] = (3, 4, 5, 6, 7, 8)
    dac_bits: Annotated[tuple[Bits, ...], Several] = (3, 4, 5, 6, 7, 8)
    tile_rows: Annotated[tuple[Count, ...], Several] = (32, 64, 128, 256)
    slices: Annotated[tuple[Count, ...], Several] = (1, 2, 4)
    tolerance: Annotated[tuple[Positive, ...], Several] = (0.01, 0.02, 0.05, 0.1, 0.2)

    def validate(self) -> None:
        """No value twice."""
        for name, values in self.axes.items():
            if len(set(values)) < len(values):
                raise ValueError(f"{name} = {values}: a value is there twice; remove one")

    @property
    def axes(self) -> dict[str, tuple[Any, ...]]:
        """The values by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def size(self) -> int:
        """Number of descriptions."""
        return math.prod(map(len, self.axes.values()))


@dataclass(frozen=True, order=True)
class Choice:
    """One description of hardware; the attributes are those of :class:`SearchSpace`, one value each."""

    adc_bits: int
    dac_bits: int
    tile_rows: int
    slices: int
    tolerance: float


@config
class SearchStudy:
    """Everything that decides the search.

    Attributes:
        base: the network, its training, the number of chips, and of the hardware what is not searched: of
            its converters all but the resolution, of its mapping the scale, and the style of ``BitSlicing``.
            Of its device the tolerance takes the place of the programming error, the bounds, the read
            voltage and effects around it stay; a ``devices.Generic`` keeps its drift and read noise too.
        space: the values to choose from.
        target: accuracy to keep; None for the digital accuracy minus ``loss``.
        loss: accuracy that may be lost, if ``target`` is None.
        trials: descriptions to try; fewer if the space has no more.
        weight_bits: bits of a weight, which the slices hold.
        prices: of conversions and programming.
        seed: names the proposals.
    """

    base: ChipStudy = ChipStudy(chips=3)
    space: SearchSpace = SearchSpace()
    target: Fraction | None = None
    loss: Fraction = 0.01
    trials: Count = 60
    weight_bits: Annotated[int, Field(ge=2, le=16)] = 8
    prices: Prices = Prices()
    seed: int = 0

    def validate(self) -> None:
        """Slices must be possible with these bits, converters have bits to search, and drift be known."""
        for slices in self.space.slices:
            self._mapping(slices)
        for converter in (self.base.hardware.adc, self.base.hardware.dac):
            if converter is not None:
                with_bits(converter, getattr(converter, "bits", None) or 8)
        inside = innermost(self.base.hardware.device)
        if self.base.seconds > 0 and not isinstance(inside, mho.devices.Generic):
            raise ValueError(
                f"base.seconds = {self.base.seconds:g}: the search keeps the drift of devices.Generic only, "
                f"and the device is a {type(inside).__name__}; choose 0, or devices.Generic with a law nu"
            )
        self._device(self.space.tolerance[0])

    def hardware(self, choice: Choice) -> mho.Hardware:
        """The chips of a choice: the base's, with the searched fields replaced and no other one.

        Cells are written and verified until they are within the tolerance, so the error that remains is
        taken as uniform between its bounds.
        """
        usual = self.base.hardware
        return replace(
            usual,
            device=self._device(choice.tolerance),
            mapping=self._mapping(choice.slices),
            tile=replace(usual.tile, rows=choice.tile_rows),
            adc=with_bits(usual.adc or mho.ADC(), choice.adc_bits),
            dac=with_bits(usual.dac or mho.DAC(), choice.dac_bits),
        )

    def _mapping(self, slices: int) -> mho.mapping.BitSlicing:
        """The base's slices with another number; of another mapping the scale."""
        usual = self.base.hardware.mapping
        sliced = (
            usual
            if isinstance(usual, mho.mapping.BitSlicing)
            else mho.mapping.BitSlicing(bits=self.weight_bits, slices=slices, scale=usual.scale)
        )
        return replace(sliced, bits=self.weight_bits, slices=slices)

    def _device(self, tolerance: float) -> mho.devices.Device:
        """The base's device, written and verified."""
        usual = innermost(self.base.hardware.device)
        kept = (
            usual
            if isinstance(usual, mho.devices.Generic)
            else mho.devices.Generic(g_min=usual.g_min, g_max=usual.g_max, v_read=usual.v_read)
        )
        error = mho.devices.Uniform(width=mho.devices.Independent(sigma=2 * tolerance))
        device: mho.devices.Device = replace(
            kept, program=error, bias=mho.devices.Unbiased(), program_scale=1.0, clip=True
        )
        for effect in reversed(list(effects(self.base.hardware.device))):
            device = around(effect, device)
        return device


@dataclass(frozen=True)
class SearchResult:
    """What the search found.

    Attributes:
        table: one row for each trial: the choice, ``accuracy``, ``std``, ``energy`` (joule for an
            inference), counts, and its ``error`` if it failed.
        front: rows that no other one beats, by rising energy.
        target: the accuracy to keep.
        cheapest: row of least energy that keeps it; None if there is none.
        hardware: its description; None if there is none.
        document: all of it as plain values: the content of ``results.json``.
    """

    table: pd.DataFrame
    front: list[int]
    target: float
    cheapest: int | None
    hardware: mho.Hardware | None
    document: Mapping[str, Any]


def run(
    study: SearchStudy,
    output: Path,
    data_folder: Path | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> SearchResult:
    """Run the search, or what an earlier run in the same folder left of it.

    Args:
        study: the configuration.
        output: folder for the results; one configuration and one process each.
        data_folder: where the files of the data set lie, for data that has files.
        progress: told after each trial.
        device: the torch device that computes.
        threads: threads on the CPU.

    Raises:
        FolderInUseError: another process works in the folder.
        OtherStudyError: the folder belongs to another configuration.
        DamagedRecordError: a finished trial is not as it was written.
        ValueError: all trials failed.
    """
    progress = progress if progress is not None else Progress()
    target_device = usable_device(device)
    data = study.base.data.load(data_folder)
    bound_to = replace(study, trials=1)  # more trials may be asked for later
    with Store(output, bound_to, LOG) as store, limited_threads(threads):
        network = trained(study.base, data, output, target_device)
        digital = accuracy(network, data.validation)
        target = study.target if study.target is not None else digital - study.loss
        wanted = min(study.trials, study.space.size)
        done = len(store.records)  # choices that were tried, however often
        with progress.stage("trials", wanted, min(done, wanted)) as step:
            for number in range(done, wanted):
                choice = _propose(study, number, _known(store), target)
                outcome = _tried(study, choice, network, data)
                store.append({"trial": number, "choice": asdict(choice), **outcome})
                step.advance(_detail(outcome))
        records = store.records[:wanted]
        if all("error" in r for r in records):
            raise ValueError(f"all {wanted} trials failed; the first one: {records[0]['error']}")
        result = _result(study, records, target, digital)
        if result.hardware is not None:
            chosen = on_chips(replace(study.base, hardware=result.hardware), network, data)
            result = replace(result, document={**result.document, "test": _finite(chosen)})
            save(result.hardware, output / HARDWARE)
        store.write_text(TABLE, result.table.to_csv(index=False, lineterminator="\n"))
        store.write_json(DOCUMENT, result.document)
    return result


def _tried(study: SearchStudy, choice: Choice, network: nn.Module, data: Data) -> dict[str, Any]:
    """``{"figures": ...}`` of a choice, or ``{"error": sentence}``: the other trials go on."""
    try:
        chips = replace(study.base, hardware=study.hardware(choice))
        figures = on_chips(chips, network, data, "validation", study.prices)
    except (torch.OutOfMemoryError, MemoryError):
        raise  # says nothing about the choice
    except Exception as error:
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    return {"figures": _finite({**figures, "energy": _energy(study, choice, figures)})}


def _detail(outcome: Mapping[str, Any]) -> str:
    if "error" in outcome:
        return "failed"
    return f"accuracy {outcome['figures']['accuracy']:.3f}, {outcome['figures']['energy']:.3g} J"


def _finite(figures: Mapping[str, float]) -> dict[str, float | None]:
    """None for what is not defined: JSON has no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}


def _energy(study: SearchStudy, choice: Choice, figures: Mapping[str, float]) -> float:
    counted = Cost(
        adc=round(figures["adc_conversions"]),
        dac=round(figures["dac_conversions"]),
        cells=round(figures["cells"]),
        converting=figures["energy"],
    )
    return counted.energy(study.prices, choice.tolerance)


def _known(store: Store) -> Known:
    """Energy and accuracy of the choices that were tried; None for those that failed."""
    found = {Choice(**r["choice"]): r.get("figures") for r in store.records}
    return {choice: f and (f["energy"], f["accuracy"]) for choice, f in found.items()}


def _propose(study: SearchStudy, number: int, known: Known, target: float) -> Choice:
    """The next description to try: one that was not tried yet.

    It follows from what is known and the number of the trial alone, so that a search that was stopped
    goes on as if it had not been.
    """
    seed = random.fork(study.seed, "trial", str(number)).initial_seed()
    axes = study.space.axes
    if number >= FIRST_AT_RANDOM:
        choice = _asked(axes, known, target, seed)
        if choice not in known:
            return choice
    left = [c for c in (Choice(*values) for values in itertools.product(*axes.values())) if c not in known]
    return left[int(torch.randint(len(left), (), generator=torch.Generator().manual_seed(seed)))]


def _asked(axes: Mapping[str, tuple[Any, ...]], known: Known, target: float, seed: int) -> Choice:
    """What Optuna proposes from what is known: cheaper, not below the target, and unlike what failed."""
    import optuna

    order = {name: sorted(values) for name, values in axes.items()}
    places: dict[str, Any] = {
        name: optuna.distributions.IntDistribution(0, len(values) - 1) for name, values in order.items()
    }
    with _quiet(optuna):
        sampler = optuna.samplers.TPESampler(seed=seed % 2**32, n_startup_trials=0)
        search = optuna.create_study(sampler=sampler)
        prices = {c: _price(*found, target) for c, found in known.items() if found is not None}
        worst = max(prices.values(), default=0.0) + PENALTY
        for choice in known:
            params = {name: order[name].index(value) for name, value in asdict(choice).items()}
            price = prices.get(choice, worst)
            search.add_trial(optuna.trial.create_trial(params=params, distributions=places, value=price))
        asked = search.ask(places)
    return Choice(**{name: order[name][place] for name, place in asked.params.items()})


def _price(energy: float, gain: float, target: float) -> float:
    return math.log(energy) + PENALTY * max(0.0, target - gain)


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _result(study: SearchStudy, records: list[dict[str, Any]], target: float, digital: float) -> SearchResult:
    import pandas as pd

    names = ("accuracy", "std", "energy", "cells", "adc_conversions", "dac_conversions")
    figures = [dict.fromkeys(names) | r.get("figures", {}) for r in records]
    rows = [
        {"trial": k, **r["choice"], **{name: found[name] for name in names}}
        for k, (r, found) in enumerate(zip(records, figures, strict=True))
    ]
    table: pd.DataFrame = pd.DataFrame(rows).astype(dict.fromkeys(names, float))
    table["error"] = [r.get("error", "") for r in records]
    energy, gains = table["energy"].tolist(), table["accuracy"].tolist()
    whole = [i for i, r in enumerate(records) if "figures" in r]
    front = [whole[i] for i in pareto_front([energy[i] for i in whole], [gains[i] for i in whole])]
    good = [i for i in front if gains[i] >= target]
    cheapest = good[0] if good else None
    hardware = study.hardware(Choice(**records[cheapest]["choice"])) if cheapest is not None else None
    document = {
        "format": 1,
        "study": to_dict(study),
        "versions": versions(),
        "digital_accuracy": digital,
        "target": target,
        "failed": len(records) - len(whole),
        "front": [rows[i] for i in front],
        "cheapest": None if cheapest is None else rows[cheapest],
        "hardware": to_dict(hardware),
    }
    return SearchResult(table, front, target, cheapest, hardware, document)

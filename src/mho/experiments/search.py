"""The cheapest hardware that keeps an accuracy: a search over converters, tiles, slices and tolerance.

A network is trained once. Each trial puts it on chips of another description, tests them, and prices one
inference (:func:`mho.cost`). Optuna proposes descriptions that should cost less and keep the accuracy.
Finished trials are kept; the same search goes on from them.

>>> study = SearchStudy(space=SearchSpace(adc_bits=(4, 8), dac_bits=(8,), tile_rows=(64,), slices=(1,)))
>>> study.space.size
10
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import Field

import mho
from mho import random
from mho.config import Count, Fraction, Positive, config, save, to_dict
from mho.converters import with_bits
from mho.devices.effects.base import around, effects, innermost
from mho.experiments import harness
from mho.experiments.chips import ChipStudy, on_chips, trained
from mho.experiments.data import Data
from mho.experiments.fitting import accuracy
from mho.experiments.harness import Column, Work
from mho.experiments.pareto import pareto_front
from mho.experiments.prices import COUNTED, PAID, finite
from mho.experiments.tables import records_of
from mho.experiments.worker import sentence

if TYPE_CHECKING:
    import pandas as pd

FIGURES = ("accuracy", "std", *(column.name for column in (*PAID, *COUNTED)))
COSTS = {"energy": "energy_with_programming", "latency": "latency", "area": "area"}  # columns
TABLE, HARDWARE = "results.csv", "hardware.yaml"
FIRST_AT_RANDOM = 20  # trials before the proposals learn from what was seen
PENALTY = 20.0  # a missed point of accuracy weighs as much as a factor of exp(0.2) in cost

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
class SearchStudy(harness.Study):
    """The cheapest hardware that keeps an accuracy.

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
        minimise: the cost: ``energy`` of an inference with its share of the programming, ``latency`` or
            ``area``, in the technology of the base.
        pulse_error: standard deviation of where one programming pulse ends, as a fraction of g_max.
        seed: names the proposals.
    """

    base: ChipStudy = ChipStudy(chips=3)
    space: SearchSpace = SearchSpace()
    target: Fraction | None = None
    loss: Fraction = 0.01
    trials: Count = 60
    weight_bits: Annotated[int, Field(ge=2, le=16)] = 8
    minimise: Literal["energy", "latency", "area"] = "energy"
    pulse_error: Positive = 0.05
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

    measured = (
        Column("accuracy", "", "fraction of the validation images, mean over chips", 0, 1),
        Column("std", "", "standard deviation over chips", 0, 1),
        *PAID,
        *COUNTED,
    )
    pieces = "trials"

    @property
    def cost(self) -> str:
        """The column that is minimised."""
        return COSTS[self.minimise]

    def pulses(self, tolerance: float) -> float:
        """Expected pulses until a cell is within ``tolerance * g_max`` of its target.

        Each pulse ends at a normal distance from the target, on its own, so the number of pulses is
        geometric: its mean is ``1 / P(|error| <= tolerance)``.

        >>> round(SearchStudy(pulse_error=0.05).pulses(0.05), 3)
        1.465
        """
        return 1 / math.erf(tolerance / self.pulse_error / math.sqrt(2))

    def identity(self) -> SearchStudy:
        """More trials may be asked for later."""
        return replace(self, trials=1)

    def places(self) -> list[dict[str, Any]]:
        """The numbers of the trials: what is tried follows from those before."""
        return harness.grid(trial=range(min(self.trials, self.space.size)))

    def load(self, folder: Path | None) -> Data:
        """The images."""
        return self.base.data.load(folder)

    def prepare(self, work: Work, data: Data) -> _Search:
        """The trained network, and the trials before."""
        return _Search(self, work, data)

    def measure(self, place: Mapping[str, Any], shared: _Search) -> dict[str, Any]:
        """What the next choice costs and keeps."""
        if len(shared.store.records) < place["trial"]:
            raise ValueError("workers: a search tries one description after another; leave them out")
        choice = _propose(self, place["trial"], shared.known(), shared.target)
        try:
            figures = shared.tried(choice)
        except MemoryError:
            raise  # says nothing about the choice
        except Exception as error:
            figures = {**dict.fromkeys(FIGURES), "error": sentence(error)}
        return {**asdict(choice), **figures}

    def detail(self, place: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], shared: _Search) -> str:
        """Accuracy and cost of a trial."""
        if not rows or rows[0]["error"]:
            return f"trial {place['trial']} failed"
        unit = next(column.unit for column in PAID if column.name == self.cost)
        return f"accuracy {rows[0]['accuracy']:.3f}, {rows[0][self.cost]:.3g} {unit}"

    def table(self, records: Sequence[Mapping[str, Any]], shared: _Search) -> pd.DataFrame:
        """One row for each trial; ``ValueError`` if all failed."""
        found: pd.DataFrame = super().table(records, shared).astype(dict.fromkeys(FIGURES, float))
        if (found["error"] != "").all():
            raise ValueError(f"all {len(found)} trials failed; the first one: {found['error'][0]}")
        found["kept"] = found["accuracy"] >= shared.target
        return found

    def document(self, table: pd.DataFrame, shared: _Search, work: Work) -> dict[str, Any]:
        """The front, and the cheapest hardware that keeps the target, on test images."""
        rows, whole = records_of(table.drop(columns=["error", "kept"])), table[table["error"] == ""]
        places = pareto_front(whole[self.cost].tolist(), whole["accuracy"].tolist())
        front = [rows[i] for i in whole["trial"].iloc[places]]
        cheapest = next((row for row in front if row["accuracy"] >= shared.target), None)
        hardware = None if cheapest is None else self.hardware(_choice(cheapest))
        made = {
            "study": to_dict(self),
            "digital_accuracy": shared.digital,
            "target": shared.target,
            "failed": len(table) - len(whole),
            "front": front,
            "cheapest": cheapest,
            "hardware": to_dict(hardware),
        }
        if hardware is not None:
            chosen = on_chips(replace(self.base, hardware=hardware), shared.network, shared.data)
            made["test"] = finite(chosen)
            save(hardware, work.store.folder / HARDWARE)
        return made

    def headline(self, table: pd.DataFrame) -> dict[str, float]:
        """Figures of the cheapest trial that keeps the target, of the best one if none does."""
        kept = table[table["kept"]].sort_values(self.cost)
        best = kept if len(kept) else table.sort_values("accuracy", ascending=False)
        return {name: float(best[name].iloc[0]) for name in FIGURES}


class _Search:
    """What all trials share: the trained network, its target, and the trials before."""

    def __init__(self, study: SearchStudy, work: Work, data: Data) -> None:
        self.study, self.data, self.store = study, data, work.store
        self.network = trained(study.base, data, work.shared, work.device)
        self.digital = accuracy(self.network, data.validation)
        self.target = study.target if study.target is not None else self.digital - study.loss

    def known(self) -> Known:
        """Cost and accuracy of the choices that were tried; None for those that failed."""
        rows = [record["rows"][0] for record in self.store.records]
        return {_choice(r): None if r["error"] else (r[self.study.cost], r["accuracy"]) for r in rows}

    def tried(self, choice: Choice) -> dict[str, Any]:
        """Figures of a choice, or its error: the other trials go on."""
        chips, pulses = replace(self.study.base, hardware=self.study.hardware(choice)), self.study.pulses
        found = on_chips(chips, self.network, self.data, "validation", pulses(choice.tolerance))
        return {**finite({name: found[name] for name in FIGURES}), "error": ""}


def _choice(row: Mapping[str, Any]) -> Choice:
    return Choice(**{field.name: row[field.name] for field in fields(Choice)})


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


def _price(cost: float, gain: float, target: float) -> float:
    return math.log(cost) + PENALTY * max(0.0, target - gain)


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)

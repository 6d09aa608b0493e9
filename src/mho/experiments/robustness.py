"""How much accuracy a network keeps when its weights move.

Every network of the quantisation study is put on each level set and disturbed in two ways: by normal
noise in proportion to each weight, and by programming it on simulated chips and letting them age. A
chip's disturbance is measured as the root-mean-square change of the weights, relative to their own
root mean square: for the normal noise that is its strength, so both lie on the same axis.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field, InstanceOf
from torch import nn

import mho
from mho.config import Count, NonNegative, config, digest, kind_of, to_dict
from mho.devices import Device
from mho.devices.effects.base import around, effects, innermost
from mho.experiments.batched import accuracies
from mho.experiments.copies import Copies, array_weights, chip_weights, noisy_weights
from mho.experiments.fitting import chip_seed
from mho.experiments.methods import BASELINE, METHODS, Methods
from mho.experiments.robustness_tables import COLUMNS, Summary, summarise
from mho.mapping import DevicePair, LevelSet, SingleDevice

if TYPE_CHECKING:
    import pandas as pd

BYTES_OF_COPIES = 2**28  # weights held at once
NOISE, DEVICE = "noise", "device"
STILL = {"part": NOISE, "std": 0.0}
MEASURED = ("repeats", "changes", "accuracies")


@config
class RobustnessTest:
    """The disturbances.

    Attributes:
        noise: standard deviations of the noise, relative to each weight.
        repeats: draws of the noise for each strength, and chips.
        levels: the level sets that every network but the baseline is put on; None for those of the
            study: its states on single devices and on pairs, or its levels if they have no states.
        device: the cell of the chips, with any effects around it; all read noise is left out.
        times: seconds since programming at which the chips are tested.
        compensated: correct the drift of a chip from a noisy read of its arrays.
    """

    noise: Annotated[tuple[NonNegative, ...], Field(min_length=1)] = tuple(k / 100 for k in range(21))
    repeats: Count = 10
    levels: Annotated[tuple[InstanceOf[LevelSet], ...], Field(min_length=1)] | None = None
    device: InstanceOf[mho.devices.Device] = mho.devices.PCM()
    times: tuple[NonNegative, ...] = (0.0, 86_400.0, 3.1536e7)
    compensated: bool = True

    def validate(self) -> None:
        """Strengths and times rise, no level set is there twice, and the device goes on chips."""
        for name, values in (("noise", self.noise), ("times", self.times)):
            if any(b <= a for a, b in itertools.pairwise(values)):
                raise ValueError(f"{name} = {values}: they must rise, without repetition; sort them")
        sets = self.levels or ()
        if len({digest(levels) for levels in sets}) < len(sets):
            raise ValueError("levels: a level set is there twice; remove one")
        for seconds in self.times:
            self.device.check_time(seconds)
        self.hardware()

    def of(self, levels: LevelSet) -> RobustnessTest:
        """The test of networks that were trained for these levels."""
        if self.levels is not None:
            return self
        if isinstance(levels, SingleDevice | DevicePair):
            states = levels.states
            return replace(self, levels=(SingleDevice(states=states), DevicePair(states=states)))
        return replace(self, levels=(levels,))

    def named_levels(self) -> dict[str, LevelSet]:
        """The level sets by their name in the tables."""
        sets = self.levels or ()
        return dict(zip(names_of(sets), sets, strict=True))

    def hardware(self) -> mho.Hardware:
        """The chips: differential pairs of the device, without converters and read noise.

        One scale for each layer, as the level sets have it, so that a level is a conductance of the layer.
        """
        return mho.Hardware(
            device=_without_reads(self.device),
            mapping=mho.mapping.DifferentialPair(scale=mho.mapping.Maximum()),
            tile=mho.Tile(rows=None, columns=None),
        )


def _without_reads(device: Device) -> Device:
    """The device and the effects around it, without any noise of a read."""
    inside: Any = innermost(device)
    try:
        made: Device = replace(inside, read_scale=0.0)
    except TypeError as error:
        raise ValueError(
            f"device = {inside!r}: its read noise cannot be left out ({error}); give it a field read_scale"
        ) from None
    for effect in reversed(list(effects(device))):
        made = around(effect, made)
    return made


def name_of(levels: LevelSet) -> str:
    """A level set in a table.

    >>> name_of(SingleDevice(states=(1e-6, 2e-6)))
    'SingleDevice-4'
    """
    return f"{kind_of(type(levels)).rpartition('.')[2]}-{len(levels.values())}"


def names_of(sets: Sequence[LevelSet]) -> list[str]:
    """Level sets in a table, one name each; those of the same kind and size are numbered from the second on.

    >>> names_of([SingleDevice(states=(1e-6, 2e-6)), SingleDevice(states=(1e-6, 3e-6))])
    ['SingleDevice-4', 'SingleDevice-4 (2)']
    """
    plain = [name_of(levels) for levels in sets]
    before = [plain[:k].count(name) for k, name in enumerate(plain)]
    return [f"{name} ({n + 1})" if n else name for name, n in zip(plain, before, strict=True)]


@dataclass(frozen=True)
class RobustnessResult:
    """The tables of the test.

    Attributes:
        table: one row for each level set, method, disturbance, strength or time, and repeat.
        summary: means, areas and paired tests.
        document: the test, and the summary as plain values.
    """

    table: pd.DataFrame
    summary: Summary
    document: Mapping[str, Any]

    def tensors(self) -> dict[str, Any]:
        """Plain values and tensors, for a ``.pth`` file."""
        columns = {name: self.table[name].tolist() for name in self.table.columns}
        numbers = ("strength", "accuracy", "seconds", "repeat")
        return {
            "document": dict(self.document),
            "table": {
                k: torch.tensor(v, dtype=torch.float64) if k in numbers else v for k, v in columns.items()
            },
        }


@dataclass(frozen=True)
class _Variant:
    """A network on a level set; the baseline is on none."""

    method: str
    levels: LevelSet | None

    def key(self) -> dict[str, Any]:
        return {"method": self.method, "levels": 0 if self.levels is None else digest(self.levels)}


def measure_robustness(test: RobustnessTest, methods: Methods, workers: int = 1) -> RobustnessResult:
    """Run the test, or what an earlier run in the same folder left of it.

    Args:
        test: the disturbances.
        methods: the trained networks.
        workers: threads that share the copies of a network on the CPU.

    Raises:
        MissingNetworkError: a network was not trained yet.
        ValueError: memory did not suffice.
    """
    test = test.of(methods.study.levels)
    sets = test.named_levels()
    variants = [_Variant(BASELINE, None)]
    variants += [_Variant(m, levels) for levels in sets.values() for m in METHODS if m != BASELINE]
    work = _Work(test, methods, workers)
    total = len(variants) * len(work.cells)
    todo = {v: list(work.missing(v)) for v in variants}
    with methods.progress.stage("noise", total, total - sum(map(len, todo.values()))) as step:
        for variant, cells in todo.items():
            if not cells:
                continue
            network = methods.network(variant.method, variant.levels or methods.study.levels)
            for cell, repeats in cells:
                step.advance(work.run(variant, network, cell, repeats))
    table = _table(test, work, variants)
    summary = summarise(table, _clean(test, work, variants))
    document = {
        "test": to_dict(test),
        "levels": {name: len(levels.values()) for name, levels in sets.items()},
        **summary.document(),
    }
    return RobustnessResult(table=table, summary=summary, document=document)


class _Work:
    """The cells that are done, and the work on the others."""

    def __init__(self, test: RobustnessTest, methods: Methods, workers: int) -> None:
        self.test, self.methods, self.workers = test, methods, workers
        self.store, self.seed = methods.store, methods.study.seed
        hardware = digest(test.hardware())
        compensated = test.compensated
        self.wanted: list[dict[str, Any]] = [{"part": NOISE, "std": p} for p in test.noise]
        self.wanted += [
            {"part": DEVICE, "hardware": hardware, "compensated": compensated, "seconds": t}
            for t in test.times
        ]
        # without a disturbance too: losses are relative to that
        self.cells = self.wanted if test.noise[0] == 0 else [dict(STILL), *self.wanted]

    def done(self, variant: _Variant, cell: Mapping[str, Any]) -> dict[int, tuple[float, float]]:
        """Relative change of the weights and accuracy, by repeat."""
        wanted = {**variant.key(), **cell}
        return {
            repeat: (change, hit)
            for record in self.store.records
            if all(record.get(k) == v for k, v in wanted.items())
            for repeat, change, hit in zip(*(record[k] for k in MEASURED), strict=True)
        }

    def missing(self, variant: _Variant) -> Iterator[tuple[dict[str, Any], list[int]]]:
        """Cells that lack repeats, with those."""
        for cell in self.cells:
            done = self.done(variant, cell)
            repeats = [r for r in range(self.test.repeats) if r not in done]
            if repeats:
                yield cell, repeats

    def run(self, variant: _Variant, network: nn.Module, cell: dict[str, Any], repeats: list[int]) -> str:
        """Disturb, test and record; a sentence about it."""
        changes: list[float] = []
        hits: list[float] = []
        if cell.get("std") == 0:  # nothing moves: one test stands for all repeats
            changes, hits = (values * len(repeats) for values in self._measured(network, cell, repeats[:1]))
        else:
            for group in self._groups(network, repeats, 1 if cell["part"] == NOISE else 10):
                changed, hit = self._measured(network, cell, group)
                changes, hits = changes + changed, hits + hit
        self.store.append(
            {**variant.key(), **cell, "repeats": repeats, "changes": changes, "accuracies": hits}
        )
        return f"{variant.method}: {100 * sum(hits) / len(hits):.1f} %"

    def _measured(
        self, network: nn.Module, cell: dict[str, Any], repeats: Sequence[int]
    ) -> tuple[list[float], list[float]]:
        """Change of the weights and accuracy of each copy; in smaller groups if memory does not suffice."""
        device = self.methods.device
        try:
            copies = self._copies(network, cell, repeats)
            changes = [cell["std"]] * len(repeats) if "std" in cell else _changes(network, copies)
            workers = self.workers if device.type == "cpu" else 1
            return changes, accuracies(network, copies, self.methods.data.test, workers=workers)
        except torch.OutOfMemoryError:
            if len(repeats) == 1:
                raise ValueError(
                    f"testing one copy of the network needs more memory than {device} has; compute on the "
                    "CPU with --on cpu, or choose a smaller --model"
                ) from None
        half = -(-len(repeats) // 2)
        parts = [self._measured(network, cell, part) for part in (repeats[:half], repeats[half:])]
        return parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]

    def _copies(self, network: nn.Module, cell: dict[str, Any], repeats: Sequence[int]) -> Copies:
        if cell["part"] == NOISE:
            return noisy_weights(network, [cell["std"]] * len(repeats), repeats, self.seed)
        seeds = [chip_seed(self.seed, r) for r in repeats]
        model = mho.convert(network, self.test.hardware())
        return chip_weights(model, seeds, cell["seconds"], self.test.compensated)

    def _groups(self, network: nn.Module, repeats: Sequence[int], factor: int) -> Iterator[Sequence[int]]:
        weights = sum(w.numel() * w.element_size() for w in array_weights(network).values())
        size = max(1, BYTES_OF_COPIES // (factor * weights))
        for start in range(0, len(repeats), size):
            yield repeats[start : start + size]


def _changes(network: nn.Module, copies: Copies) -> list[float]:
    """Root-mean-square change of the weights of each copy, relative to their root mean square."""
    clean = array_weights(network)
    square = sum(w.detach().double().square().sum() for w in clean.values())
    moved = sum((copies[k] - w.detach()).double().square().flatten(1).sum(1) for k, w in clean.items())
    ratio = torch.as_tensor(moved / square).sqrt()
    values: list[float] = ratio.tolist()
    return values


def _table(test: RobustnessTest, work: _Work, variants: Sequence[_Variant]) -> pd.DataFrame:
    """One row for each repeat; the baseline is repeated for every level set, to be compared with."""
    import pandas as pd

    device = kind_of(type(test.device)).rpartition(".")[2]
    rows = []
    for name, levels in test.named_levels().items():
        for variant in variants:
            if variant.levels not in (None, levels):
                continue
            for cell in work.wanted:
                done = work.done(variant, cell)
                disturbance = NOISE if cell["part"] == NOISE else device
                time = cell.get("seconds", float("nan"))
                rows += [(name, variant.method, disturbance, time, r, *done[r]) for r in range(test.repeats)]
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(COLUMNS))
    return table


def _clean(test: RobustnessTest, work: _Work, variants: Sequence[_Variant]) -> dict[tuple[str, str], float]:
    """Accuracy without a disturbance, by level set and method."""
    return {
        (name, variant.method): work.done(variant, STILL)[0][1]
        for name, levels in test.named_levels().items()
        for variant in variants
        if variant.levels in (None, levels)
    }

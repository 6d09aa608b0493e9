"""How much accuracy a network keeps when its weights move.

Every network of the quantisation study is put on each level set and disturbed in two ways: by normal
noise in proportion to each weight, and by programming it on simulated chips and letting them age. A
chip's disturbance is measured as the root-mean-square change of the weights, relative to their own
root mean square: for the normal noise that is its strength, so both lie on the same axis.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import torch
from pydantic import Field, InstanceOf
from torch import nn

import mho
from mho.config import Count, NonNegative, config, digest, kind_of
from mho.devices import Device
from mho.devices.effects.base import around, effects, innermost
from mho.experiments.batched import accuracies
from mho.experiments.copies import Copies, array_weights, chip_weights, noisy_weights
from mho.experiments.fitting import chip_seed
from mho.experiments.methods import Methods
from mho.mapping import DevicePair, LevelSet, SingleDevice

BYTES_OF_COPIES = 2**28  # weights held at once
NOISE, DEVICE = "noise", "device"


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

    def cells(self) -> list[dict[str, Any]]:
        """The disturbances as plain values; the first one is none, since losses are relative to that."""
        noise = dict.fromkeys((0.0, *self.noise))
        return [
            *({"part": NOISE, "std": p, "hardware": 0, "compensated": False, "seconds": 0.0} for p in noise),
            *(
                {"part": DEVICE, "std": 0.0, "hardware": digest(self.hardware()),
                 "compensated": self.compensated, "seconds": t}
                for t in self.times
            ),
        ]  # fmt: skip

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


class Disturbed:
    """A network under one disturbance, tested.

    Args:
        test: gives the chips.
        methods: data, seed and the torch device that computes.
        network: in plain torch, on its levels.
        cell: one of ``test.cells()``.
    """

    def __init__(
        self, test: RobustnessTest, methods: Methods, network: nn.Module, cell: Mapping[str, Any]
    ) -> None:
        self.test, self.methods, self.network, self.cell = test, methods, network, cell
        self.noisy = cell["part"] == NOISE

    def rows(self, repeats: Sequence[int]) -> list[dict[str, Any]]:
        """``repeat``, ``strength`` (relative change of the weights) and ``accuracy`` of each repeat.

        Raises:
            ValueError: memory did not suffice for one copy of the network.
        """
        if self.noisy and self.cell["std"] == 0:  # nothing moves: one test stands for all repeats
            found = self._measured(repeats[:1]) * len(repeats)
        else:
            found = [pair for group in self._groups(repeats) for pair in self._measured(group)]
        return [{"repeat": r, "strength": s, "accuracy": a} for r, (s, a) in zip(repeats, found, strict=True)]

    def _measured(self, repeats: Sequence[int]) -> list[tuple[float, float]]:
        """Change of the weights and accuracy of each copy; in smaller groups if memory does not suffice."""
        device = self.methods.device
        try:
            copies = self._copies(repeats)
            changes = [self.cell["std"]] * len(repeats) if self.noisy else _changes(self.network, copies)
            workers = torch.get_num_threads() if device.type == "cpu" else 1
            hits = accuracies(self.network, copies, self.methods.data.test, workers=workers)
            return list(zip(changes, hits, strict=True))
        except torch.OutOfMemoryError:
            if len(repeats) == 1:
                raise ValueError(
                    f"testing one copy of the network needs more memory than {device} has; compute on the "
                    "CPU with --on cpu, or choose a smaller --model"
                ) from None
        half = -(-len(repeats) // 2)
        return self._measured(repeats[:half]) + self._measured(repeats[half:])

    def _copies(self, repeats: Sequence[int]) -> Copies:
        seed = self.methods.study.seed
        if self.noisy:
            return noisy_weights(self.network, [self.cell["std"]] * len(repeats), repeats, seed)
        seeds = [chip_seed(seed, r) for r in repeats]
        model = mho.convert(self.network, self.test.hardware())
        return chip_weights(model, seeds, self.cell["seconds"], self.test.compensated)

    def _groups(self, repeats: Sequence[int]) -> Iterator[Sequence[int]]:
        weights = sum(w.numel() * w.element_size() for w in array_weights(self.network).values())
        size = max(1, BYTES_OF_COPIES // ((1 if self.noisy else 10) * weights))
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

"""How the cells of a pulsed device make weights: which copies, with which factors and signs."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from mho.devices import Pulsed
from mho.devices.effects.base import effects
from mho.mapping import Readout
from mho.nn.crossbar import Crossbar
from mho.training.on_chip.rules import Rule
from mho.training.on_chip.weights import Signs

_ALIKE = 1e-9  # relative difference of factors that are one


class Part(NamedTuple):
    """Copies of cells that make one tile of a weight.

    Attributes:
        copies: which ones.
        factor: change of the normalised weight for each unit of state.
        signs: how their states add up.
    """

    copies: tuple[int, ...]
    factor: float
    signs: Signs

    def of(self, copies: int) -> slice | list[int]:
        """Where they are among so many copies."""
        return slice(None) if len(self.copies) == copies else list(self.copies)


def pulsed_device(crossbar: Crossbar, cells: Tensor, where: str) -> tuple[Pulsed, Tensor]:
    """The pulsed device of an array, and the parameters of its cells."""
    first = 0
    for effect in effects(crossbar.hardware.device):
        if isinstance(effect, Pulsed):
            return effect, cells[first : first + effect.parameters]
        first += effect.parameters
    raise ValueError(
        f"{where!r} has device = {type(crossbar.hardware.device).__name__}(...), which is not known to move "
        "by pulses: convert with device=mho.devices.Pulsed(cell=..., device=...), such as "
        "cell=mho.devices.pulsed.ReRamSB()"
    )


def parts_of(how: Readout, device: Pulsed, where: str = "the array") -> list[Part]:
    """The tiles of a weight, the one of the largest factor first, from how its cells are read.

    Raises:
        ValueError: cells of one-sided devices are no pairs, or the cells of a tile are read with other
            factors.
    """
    copies = len(how.analog[0])
    each = [sum(f * row[k] for f, row in zip(how.digital, how.analog, strict=True)) for k in range(copies)]
    each = [value * device.unit / device.g_max for value in each]
    groups: list[list[int]] = []
    for k in sorted(range(copies), key=lambda k: -abs(each[k])):
        if groups and abs(abs(each[groups[-1][0]]) - abs(each[k])) <= _ALIKE * abs(each[k]):
            groups[-1].append(k)
        else:
            groups.append([k])
    parts = []
    for group in groups:
        signs = tuple(1 if each[k] > 0 else -1 for k in sorted(group))
        if device.one_sided != (sorted(signs) == [-1, 1]) and (device.one_sided or len(signs) > 2):
            raise ValueError(
                f"{where!r} has one-sided cells, which learn in pairs: convert with "
                "mapping=mho.mapping.DifferentialPair(...)"
            )
        parts.append(Part(tuple(sorted(group)), abs(each[group[0]]), Signs(signs, device.one_sided)))
    return parts


def check_tiles(rule: Rule, found: int, where: str) -> None:
    """Raise ``ValueError`` unless a rule learns on that many tiles."""
    name, (fewest, most) = type(rule).__name__, rule.tiles
    if fewest <= found <= most:
        return
    if fewest > 1:
        raise ValueError(
            f"{name} learns on {fewest} tiles of falling factors or more, and the cells of {where!r} make "
            f"{found}: convert with mapping=mho.mapping.Residual(tiles={fewest}, factor=0.1, scale=...)"
        )
    raise ValueError(
        f"{name} learns on one tile, and the cells of {where!r} make {found} of different factors: convert "
        "with mapping=mho.mapping.Offset(scale=...), or let ResidualLearning() learn"
    )

"""How many states, and how good a zero, each rule needs: a small linear regression on pulsed cells.

The weights of a linear layer are learned from noisy errors, with random inputs. What is reported is how far
they end from those that made the targets. After M. J. Rasch et al., "Fast and robust analog in-memory deep
neural network training", Nat. Commun. 15, 7133 (2024), figures 3 and 4.

>>> study = RegressionStudy(rules=("SGD",), tiles=(), states=(10, 20), offsets=(0.5,))
>>> [(place["rule"], place["states"], place["offset"]) for place in study.places()]
[('SGD', 10, 0.5), ('SGD', 20, 0.5)]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from mho import random
from mho.config import Count, NonNegative, Positive, config
from mho.devices.pulsed import PulsedCell, SoftBounds
from mho.experiments.harness import Column, Study
from mho.training.on_chip import (
    AGAD,
    SGD,
    ChoppedTikiTaka2,
    MixedPrecision,
    PulsedWeights,
    ResidualLearning,
    Rule,
)
from mho.training.on_chip.rules import Held, Work
from mho.training.on_chip.rules.chopped import Chopping
from mho.training.on_chip.weights import share_bank

Name = Literal["SGD", "TTv2", "c-TTv2", "AGAD", "mixed precision"]
States = Annotated[int, Field(ge=2)]
RESIDUAL = "residual"
PERIODS = 0.3  # steps of A that a transfer gathers, over those of a weight
LAST = 0.1  # of the vectors: the error is the mean over them
EVERY = 5  # vectors between two looks at the error


def rule_for(name: str, states: int, learning_rate: float) -> Rule:
    """The rule of a name, with a transfer rate that suits cells with so many states.

    >>> rule_for("AGAD", 20, 0.02).in_chop_prob
    0.05
    """
    made = _RULES[name]
    return made(buffer_granularity=learning_rate * states / (2 * PERIODS))


def _fast(kind: Callable[..., Rule], **more: Any) -> Callable[..., Rule]:
    return lambda **how: kind(fast_lr=0.05, auto_scale=True, **more, **how)


_RULES: dict[str, Callable[..., Rule]] = {
    "SGD": lambda **_: SGD(),
    "TTv2": _fast(ChoppedTikiTaka2, in_chop_prob=0.0),
    "c-TTv2": _fast(ChoppedTikiTaka2),
    "AGAD": _fast(AGAD, in_chop_prob=0.05),
    "mixed precision": lambda **_: MixedPrecision(),
}


@config
class RegressionStudy(Study):
    """Error of weights learned by pulses, against the states of a cell and the error of its zero.

    A 10 x 10 layer learns by each rule on cells with soft bounds. The *states* are the range of a cell over
    the step of a pulse at zero. The *offset* is the spread, from cell to cell, of what was taken for the
    symmetry point of the fast array, in units of its range's half: rules that rely on a reference fail with
    it. Residual learning has no fast array; it is tried with several tiles on cells of few states.

    Attributes:
        rules: that learn.
        states: of a cell, at the offset ``at_offset``.
        offsets: spread of the zero of the fast array, on cells with ``at_states`` states.
        at_states: states at which offsets are compared.
        at_offset: offset at which states are compared.
        tiles: of residual learning, 1 for plain SGD on one tile.
        tile_states: states of the cells of these tiles.
        factor: of each tile, over that of the one before.
        size: rows and columns of the layer.
        vectors: that it learns from.
        learning_rate: at the end a tenth of it is left.
        error_noise: standard deviation of the noise on the errors.
        read_noise: of a read of the fast array.
        seeds: layers that learn, each on cells of its own.
        seed: names all random numbers.
    """

    rules: tuple[Name, ...] = ("SGD", "TTv2", "c-TTv2", "AGAD", "mixed precision")
    states: tuple[States, ...] = (10, 20, 50)
    offsets: tuple[NonNegative, ...] = (0.0, 0.5, 1.0)
    at_states: States = 20
    at_offset: NonNegative = 0.5
    tiles: tuple[Count, ...] = (1, 2, 4)
    tile_states: States = 16
    factor: Annotated[float, Field(gt=0, le=1)] = 0.25
    size: Count = 10
    vectors: Annotated[int, Field(ge=100)] = 6000
    learning_rate: Positive = 0.02
    error_noise: NonNegative = 0.05
    read_noise: NonNegative = 0.01
    seeds: Count = 10
    seed: int = 0

    measured = (Column("error", "", "root mean square error of the weights", low=0),)
    pieces = "layers"
    cpu_only = True

    def validate(self) -> None:
        """Something is compared."""
        if not self.places():
            raise ValueError("rules = (), tiles = (): nothing learns; name a rule, or numbers of tiles")

    def places(self) -> list[dict[str, Any]]:
        """Each rule at each number of states and at each offset, and residual learning with its tiles."""
        places = [(states, self.at_offset) for states in self.states]
        places += [(self.at_states, offset) for offset in self.offsets]
        found = [
            {"rule": rule, "tiles": 1, "states": states, "offset": offset}
            for rule in self.rules
            for states, offset in dict.fromkeys(places)
        ]
        few = {"states": self.tile_states, "offset": 0.0}
        return [*found, *({"rule": RESIDUAL, "tiles": tiles, **few} for tiles in dict.fromkeys(self.tiles))]

    def measure(self, place: Mapping[str, Any], shared: Any) -> list[dict[str, Any]]:
        """A row for each seed."""
        generator = random.fork(self.seed, "regression")  # the same targets, cells and inputs for all rules
        tiles, states = place["tiles"], place["states"]
        rule = self._residual(tiles) if place["rule"] == RESIDUAL else self._rule(place["rule"], states)
        layers = _Layers(self, cell_of(states, 0.0), cell_of(states, place["offset"]), tiles, rule, generator)
        errors = layers.learned()
        return [{"layer": n, "error": error} for n, error in enumerate(errors.tolist())]

    def _rule(self, name: str, states: int) -> Rule:
        return rule_for(name, states, self.learning_rate)

    def _residual(self, tiles: int) -> Rule:
        """What learns on so many tiles; each of them learns alone for a part of the vectors at first."""
        if tiles == 1:
            return SGD()
        return ResidualLearning(transfer_lr=0.05, warm_up=max(1, self.vectors * 2 // 15))

    def detail(self, place: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], shared: Any) -> str:
        """The place, and the mean error."""
        what = f"{place['tiles']} tiles" if place["rule"] == RESIDUAL else f"offset {place['offset']:g}"
        found = f": {sum(row['error'] for row in rows) / len(rows):.3f}" if rows else ""
        return f"{place['rule']}, {place['states']} states, {what}{found}"


def cell_of(states: int, offset: float) -> PulsedCell:
    """A cell with soft bounds and spread, and so many states; its reference is off by ``offset``."""
    return SoftBounds(
        dw_min=2 / states, dw_min_dtod=0.3, dw_min_std=0.3, up_down_dtod=0.1, w_max=1.0, w_min=-1.0,
        w_max_dtod=0.1, w_min_dtod=0.1, subtract_symmetry_point=True, reference_std=offset,
    )  # fmt: skip


class _Layers:
    """Layers of all seeds, learning side by side, as the groups of one array.

    Groups share the choppers of their rows. Where these change by chance, each layer is an array of its own.
    """

    def __init__(
        self, study: RegressionStudy, cell: PulsedCell, fast: PulsedCell, tiles: int, rule: Rule,
        generator: torch.Generator,
    ) -> None:  # fmt: skip
        self.study, self.fast, self.rule, self.generator = study, fast, rule, generator
        self.groups = 1 if _chops_by_chance(rule) else study.seeds
        self.targets = 0.3 * self._normal(study.seeds, study.size, study.size).clamp(-2, 2)
        factors = [study.factor**n for n in range(tiles)]
        self.held = [
            Held([self._array(cell) for _ in range(tiles)], list(factors), reading=self._read)
            for _ in range(study.seeds // self.groups)
        ]

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)

    def _array(self, cell: PulsedCell) -> PulsedWeights:
        """New cells, all at the state 0."""
        shape = (1, self.groups, self.study.size, self.study.size)
        eps = self._normal(len(cell.draws), *shape)
        return PulsedWeights(cell, cell.parameters(eps), torch.zeros(shape))

    def _read(self, array: PulsedWeights, rows: Tensor, generator: torch.Generator) -> Tensor:
        seen = array.weights().index_select(1, rows)
        return seen + self.study.read_noise * torch.randn(seen.shape, generator=generator)

    def weights(self) -> Tensor:
        """``[seed, row, column]``."""
        return torch.cat([
            torch.stack([f * tile.weights() for f, tile in zip(held.factors, held.tiles, strict=True)]).sum(0)
            for held in self.held
        ])  # fmt: skip

    def learned(self) -> Tensor:
        """Root mean square errors after learning, ``[seed]``."""
        for held in self.held:
            self.rule.begin(held, lambda name: self._array(self.fast))
        share_bank([array for held in self.held for array in held.arrays()])
        errors, vectors = [], self.study.vectors
        for vector in range(vectors):
            rate = self.study.learning_rate * (1.1 - vector / vectors)
            self.rule.update(self._works(rate), self.generator)
            if vector >= (1 - LAST) * vectors and vector % EVERY == 0:
                errors.append((self.weights() - self.targets).square().mean((1, 2)).sqrt())
        return torch.stack(errors).mean(0)

    def _works(self, rate: float) -> list[Work]:
        """One random vector for each layer, and the errors of its outputs."""
        x = self._normal(self.study.seeds, 1, self.study.size).clamp(-3, 3)
        d = x @ (self.weights() - self.targets)
        d = d + self.study.error_noise * self._normal(*d.shape)
        xs, ds = (v.transpose(0, 1).split(self.groups, dim=1) for v in (x, d))
        return [Work(held, x, d, rate) for held, x, d in zip(self.held, xs, ds, strict=True)]


def _chops_by_chance(rule: Rule) -> bool:
    return isinstance(rule, Chopping) and rule.in_chop_random and rule.in_chop_prob > 0

"""What a published result is reproduced with: networks of one seed on chips, and what they tolerate."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from torch import nn
from torch.utils.data import TensorDataset

import mho
from mho import random
from mho.experiments.data import Data, Source
from mho.experiments.fitting import Schedule, Varied, accuracy, chip_seed, fit
from mho.experiments.models import Network
from mho.experiments.progress import ProgressStep
from mho.experiments.reproduce.claims import Claim
from mho.training import Recipe, attach, detach

Row = Mapping[str, Any]
LIMIT = 0.01  # the loss that is tolerated: one point
ENOUGH = 3  # times the limit: beyond it a stronger error tells nothing more


@dataclass(frozen=True)
class Bench:
    """Data, and what happens to the networks of one seed.

    Attributes:
        data: the images.
        source: where they come from.
        seed: of weights, batches and chips.
        chips: that each network is programmed on.
        images: of the test part that are tested, at most.
        calibrating: training images to measure converters and corrections on.
        limit: the loss of accuracy that is tolerated.
    """

    data: Data
    source: Source
    seed: int
    chips: int
    images: int
    calibrating: int = 500
    limit: float = LIMIT

    def new(self, model: Network) -> nn.Module:
        """A network with weights from torch's global stream."""
        return model.build(self.data.channels, self.data.size, self.data.classes)

    def trained(
        self, model: Network, steps: int, learning_rate: float, recipe: Recipe | None = None
    ) -> nn.Module:
        """A network in plain torch, trained without hardware, or with what a recipe does to ideal arrays.

        Args:
            model: by description.
            steps: of training, rounded up to whole epochs.
            learning_rate: the highest one.
            recipe: what happens to the weights of the arrays meanwhile.
        """
        once = Schedule(epochs=1, learning_rate=learning_rate).steps(len(self.data.train))
        training = Schedule(epochs=-(-steps // once), learning_rate=learning_rate)
        return self.taught(self.new(model), self.data.train, self.source, training, recipe)

    def taught(
        self,
        network: nn.Module,
        train: TensorDataset,
        source: Varied,
        training: Schedule,
        recipe: Recipe | None = None,
    ) -> nn.Module:
        """A network of any kind, trained as :meth:`trained` says.

        Args:
            network: in plain torch.
            train: inputs and targets to learn from.
            source: varies the inputs.
            training: epochs, rates and batches.
            recipe: what happens to the weights of the arrays meanwhile.
        """
        if recipe is not None:
            network = mho.convert(network, mho.Hardware())
            attach(network, recipe)
        fit(network, train, source, training, random.fork(self.seed, "batches"), ProgressStep())
        if recipe is not None:
            detach(network)
            network = mho.revert(network)
        return network.eval()

    def on(self, network: nn.Module, hardware: mho.Hardware) -> nn.Module:
        """A network on calibrated arrays."""
        analog = mho.convert(network, hardware).eval()
        mho.calibrate(analog, [self.seen])
        return analog

    @property
    def seen(self) -> Any:
        """Training images to measure converters and corrections on."""
        return self.data.train.tensors[0][: self.calibrating]

    def score(self, network: nn.Module, part: str = "test") -> float:
        """Accuracy on the first images of a part of the data."""
        few = (tensor[: self.images] for tensor in getattr(self.data, part).tensors)
        return accuracy(network, TensorDataset(*few))

    def on_chips(
        self, analog: nn.Module, setting: str, strength: float, then: Callable[[], object] = lambda: None
    ) -> Iterator[dict[str, Any]]:
        """The accuracy of each chip, as rows.

        Args:
            analog: calibrated.
            setting, strength: what the rows are called.
            then: what is done with each chip before it is tested.
        """
        for chip in range(self.chips):
            mho.program(analog, chip_seed(self.seed, chip))
            then()
            yield {"setting": setting, "strength": strength, "chip": chip, "accuracy": self.score(analog)}

    def stronger(
        self,
        network: nn.Module,
        setting: str,
        strengths: Sequence[float],
        hardware: Callable[[float], mho.Hardware],
    ) -> Iterator[dict[str, Any]]:
        """One error, stronger and stronger, until thrice the limit is lost: rows, the digital network first.

        Args:
            network: in plain torch.
            setting: what the rows are called.
            strengths: of the error, rising.
            hardware: with an error of that strength.
        """
        digital = self.score(network)
        yield plain(setting, digital)
        for strength in strengths:
            rows = list(self.on_chips(self.on(network, hardware(strength)), setting, strength))
            yield from rows
            if digital - mean(rows, setting, strength) > ENOUGH * self.limit:
                return


def plain(setting: str, value: float) -> dict[str, Any]:
    """The row of a network without a chip: strength 0, chip -1."""
    return {"setting": setting, "strength": 0.0, "chip": -1, "accuracy": value}


def mean(rows: Iterable[Row], setting: str, strength: float = 0.0) -> float:
    """Mean accuracy over the chips of a setting at a strength.

    >>> mean([plain("a", 0.9), plain("b", 0.8)], "a")
    0.9
    """
    values = [r["accuracy"] for r in rows if r["setting"] == setting and r["strength"] == strength]
    return math.fsum(values) / len(values)


def tolerated(rows: Iterable[Row], setting: str, limit: float = LIMIT) -> float:
    """The strength at which one point, or another limit, is lost, from rows of :meth:`Bench.stronger`.

    Between two strengths the loss is taken as linear in the logarithm of the strength; an end of the
    strengths if it is not lost between any.

    >>> rows = [plain("a", 0.9), {**plain("a", 0.9), "strength": 1.0}, {**plain("a", 0.88), "strength": 4.0}]
    >>> round(tolerated(rows, "a"), 9)
    2.0
    """
    own = [row for row in rows if row["setting"] == setting]
    strengths = sorted({row["strength"] for row in own} - {0.0})
    lost = [mean(own, setting) - mean(own, setting, strength) for strength in strengths]
    for (weak, before), (strong, after) in pairwise(zip(strengths, lost, strict=True)):
        if before < limit <= after:
            return float(weak * (strong / weak) ** ((limit - before) / (after - before)))
    return float(strengths[0] if lost[0] >= limit else strengths[-1])


class Paper(ABC):
    """A published result that can be looked for here: a description.

    Attributes:
        claim: figures, source and tolerance.
    """

    claim: ClassVar[Claim]

    def beside(self) -> tuple[str, str]:
        """What it reads beside the images, in words, and SHA-256 of it; empty if there is nothing."""
        return "", ""

    @abstractmethod
    def measure(self, bench: Bench) -> Iterable[Row]:
        """Train the networks of one seed and put them on chips.

        Returns:
            Rows with ``setting``, ``strength``, ``chip`` (-1 without one) and ``accuracy``.
        """

    @abstractmethod
    def figures(self, rows: Sequence[Row]) -> dict[str, float]:
        """The figures of the claim from the rows of one seed, by their keys."""

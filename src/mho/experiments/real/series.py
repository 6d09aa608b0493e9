"""Digits of MNIST-1D, series of 40 numbers, by the three small networks of its publication.

S. Greydanus, D. Kobak, "Scaling down deep learning with MNIST-1D", ICML 2024 (arXiv 2011.14439). The data
come from the package of its authors, which draws them from a fixed seed. The networks are those of
``notebooks/models.py`` in github.com/greydanus/mnist1d, whose README has what they reach: MLP 68 %, CNN 94 %,
GRU 91 %.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from mho.config import Count, config
from mho.experiments.fitting import accuracy
from mho.experiments.hwa.study import Course
from mho.experiments.real.base import Exam, RealTask, digest_of, teach

LENGTH, CLASSES, BATCH = 40, 10, 256
PACKAGE = "mnist1d"


@config
class Series(RealTask):
    """Which digit is this series of 40 numbers? The network is trained in the run.

    Attributes:
        training: how it is trained. ``notebooks/train.py`` takes 8,000 steps of
            Adam at 0.01, of 100 series each; here 4,000, with a rate that falls along a cosine.
        seen: training series, to measure converters and corrections on.
    """

    training: Course = Course(
        epochs=100, learning_rate=0.01, batch=100, optimizer="adamw", warm_up=0.0, clip_norm=10.0
    )
    seen: Count = 512

    figure = "digits told"
    inference = "a series"

    @abstractmethod
    def network(self) -> nn.Module:
        """A network that is not trained: series, shape ``(batch, 40)``, to scores of the ten digits."""

    def lacking(self, folder: Path | None = None) -> str | None:
        """The package that draws the series."""
        if find_spec(PACKAGE) is not None:
            return None
        return f"its series come from a package that is not installed: pip install {PACKAGE}"

    def load(self, folder: Path | None = None) -> Exam:
        """Draw the series."""
        self.require(folder)
        train, test = drawn()
        series = train.tensors[0]
        return Exam(
            model=self.network().eval(),
            seen=series[: self.seen].split(BATCH),
            priced=series[:16],
            score=lambda network: accuracy(network, test),
            origin=f"{len(test)} series of MNIST-1D, learned from {len(train)} others",
            digest=digest_of([*train.tensors, *test.tensors]),
            teach=lambda network: teach(network, train, AsTheyAre(), self.training, self.title),
        )


class AsTheyAre:
    """Series that no batch varies."""

    def augmented(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The series."""
        return x


@lru_cache(maxsize=1)
def drawn() -> tuple[TensorDataset, TensorDataset]:
    """4,000 series and labels to learn from, and 1,000 to be tested on: the default ones of the package."""
    with _global_streams_kept():
        data = import_module(f"{PACKAGE}.data")
        found = data.make_dataset(data.get_dataset_args())

    def part(x: str, y: str) -> TensorDataset:
        return TensorDataset(torch.from_numpy(found[x]).float(), torch.from_numpy(found[y]).long())

    return part("x", "y"), part("x_test", "y_test")


@contextmanager
def _global_streams_kept() -> Iterator[None]:
    """The generator seeds those of Python and NumPy, which are nobody's to seed."""
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 (put back on leaving)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002


# --- the networks --------------------------------------------------------------------------------


@config
class SeriesMLP(Series):
    """Three linear layers of 256, the second one beside a shortcut."""

    title = "series-mlp"

    def network(self) -> nn.Module:
        """See :meth:`Series.network`."""
        return Shortcut(256)


@config
class SeriesCNN(Series):
    """Three convolutions of 25 channels, each with half the length of the one before."""

    title = "series-cnn"

    def network(self) -> nn.Module:
        """See :meth:`Series.network`."""
        c = 25
        return nn.Sequential(
            nn.Unflatten(1, (1, LENGTH)),
            nn.Conv1d(1, c, 5, stride=2, padding=1), nn.ReLU(),
            nn.Conv1d(c, c, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv1d(c, c, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(5 * c, CLASSES),
        )  # fmt: skip


@config
class SeriesGRU(Series):
    """Six gated units in each direction, and a linear layer over all that they said."""

    title = "series-gru"

    def network(self) -> nn.Module:
        """See :meth:`Series.network`."""
        return Recurrent(6)


class Shortcut(nn.Module):
    """See :class:`SeriesMLP`."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(LENGTH, hidden), nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Series to scores."""
        h = F.relu(self.first(x))
        scores: Tensor = self.last(h + F.relu(self.second(h)))
        return scores


class Recurrent(nn.Module):
    """See :class:`SeriesGRU`."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.gru = nn.GRU(1, units, batch_first=True, bidirectional=True)
        self.last = nn.Linear(2 * units * LENGTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Series to scores."""
        scores: Tensor = self.last(self.gru(x.unsqueeze(-1))[0].flatten(1))
        return scores

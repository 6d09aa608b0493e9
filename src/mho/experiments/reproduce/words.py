"""An LSTM that tells the next word of a text, for results about networks on tasks of their own."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

from pydantic import InstanceOf
from torch import nn

from mho.config import Count, config
from mho.experiments.data import PythonProse, WordSource
from mho.experiments.fitting import Schedule
from mho.experiments.hwa.tasks import Problem, Sequence
from mho.experiments.models import LSTM, WordNetwork
from mho.experiments.reproduce.base import LIMIT, Bench
from mho.training import Recipe


@dataclass(frozen=True, kw_only=True)
class WordBench(Bench):
    """A bench whose networks tell the next word in place of what is on an image.

    Attributes:
        problem: the text in three parts.
    """

    problem: Problem

    @property
    def seen(self) -> object:
        """Pieces of the training text to measure converters on."""
        return self.problem.train.tensors[0][: self.calibrating]

    @property
    def guessed(self) -> float:
        """The share of words that is told by guessing, any word equally likely."""
        return 1 / self.problem.outputs

    def score(self, network: nn.Module, part: str = "test") -> float:
        """The share of the words of a part that is told."""
        return 1 - self.problem.error(network, getattr(self.problem, part))


@config
class NextWord:
    """A text, and how a language model learns it.

    The share of next words that are told, and not the perplexity, is what is compared: the paper gives the
    error of its LSTM on the Penn Treebank as 72.9 % (from memory), and ours tells a quarter of the words too.

    Attributes:
        text: where the words come from.
        network: the language model.
        length: words of a piece; each begins with an empty memory.
        train, test: words of each part that are used, the first ones; None for all.
        training: chosen on the validation text by the share told, without a chip.
    """

    text: InstanceOf[WordSource] = PythonProse(vocabulary=1000)
    network: InstanceOf[WordNetwork] = LSTM(embedding=64, hidden=64, layers=1, dropout=0.0)
    length: Count = 32
    train: Count | None = None
    test: Count | None = None
    training: InstanceOf[Schedule] = Schedule(epochs=6, learning_rate=8.0, weight_decay=0.0)

    def problem(self) -> Problem:
        """The text, read, counted as right or wrong."""
        return _read(self)

    def trained(self, bench: Bench, recipe: Recipe) -> tuple[nn.Module, WordBench]:
        """A network of the seed of a bench, and what it is tested with.

        Args:
            bench: for images.
            recipe: what happens to the weights of the arrays meanwhile.
        """
        problem = self.problem()
        words = WordBench(**vars(bench), problem=problem)
        network = words.taught(problem.build(), problem.train, problem, self.training, recipe)
        beyond = words.score(network) - words.guessed
        return network, replace(words, limit=LIMIT * beyond)


@functools.lru_cache(maxsize=1)  # seeds share it
def _read(words: NextWord) -> Problem:
    task = Sequence(
        data=words.text, network=words.network, length=words.length, train=words.train, test=words.test
    )
    return replace(task.load(), metric="accuracy")

"""What the networks of the study learn: images, texts, or the next word; one interface for all three."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import InstanceOf
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from mho.config import Count, config
from mho.experiments.data import Digits, PythonProse, PythonSubjects, Source, TextSource, WordSource, windows
from mho.experiments.models import LSTM, MiniLM, Network, SmallResNet, TextNetwork, WordNetwork

Metric = Literal["accuracy", "perplexity"]
ITEMS_AT_ONCE = 2**17  # pixels, tokens or words that are tested at once, at most
BATCH_OF_TEST = 250


@dataclass(frozen=True)
class Problem:
    """A task with its data read: what a network is made, trained and tested with.

    Attributes:
        train: inputs and targets to learn from.
        validation: the same, to choose settings with.
        test: the same, for the figures that are reported; nothing is chosen with it.
        outputs: classes, or words of the vocabulary.
        metric: ``"accuracy"``, or ``"perplexity"`` whose logarithm is the error.
        build: a new network with weights from torch's global stream.
        augmented: varies the inputs of a training batch.
        origin: where the data comes from.
        digest: SHA-256 of all inputs and targets.
    """

    train: TensorDataset
    validation: TensorDataset
    test: TensorDataset
    outputs: int
    metric: Metric
    build: Callable[[], nn.Module]
    augmented: Callable[[Tensor, torch.Generator], Tensor]
    origin: str

    @property
    def digest(self) -> str:
        """SHA-256 of all inputs and targets: two runs saw the same data if this is the same."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            for tensor in part.tensors:
                digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()

    @property
    def chance(self) -> float:
        """Error of a network that knows nothing: guesses one of the classes, or any word equally likely."""
        return 1 - 1 / self.outputs if self.metric == "accuracy" else math.log(self.outputs)

    def error(self, network: nn.Module, part: TensorDataset) -> float:
        """The error of a network in evaluation mode, which is what the study computes with.

        Returns:
            1 - accuracy; or the mean cross entropy of a word in nats, the logarithm of the perplexity.
        """
        total, count = 0.0, 0
        network.eval()
        place = next(network.parameters()).device
        with torch.no_grad():
            for x, target in batches(part):
                scores, target = network(x.to(place)), target.to(place)
                if self.metric == "accuracy":
                    total += float((scores.argmax(1) != target).sum())
                else:
                    total += float(F.cross_entropy(scores, target, reduction="sum"))
                count += target.numel()
        return total / count

    def shown(self, error: float) -> float:
        """The error as people write it: accuracy from 0 to 1, or perplexity."""
        return shown(self.metric, error)


def shown(metric: str, error: float) -> float:
    """An error as people write it: accuracy from 0 to 1, or perplexity.

    >>> shown("accuracy", 0.25), round(shown("perplexity", 2.302585), 3)
    (0.75, 10.0)
    """
    return 1 - error if metric == "accuracy" else math.exp(error)


def batches(part: TensorDataset) -> Iterator[tuple[Tensor, ...]]:
    """A data set in batches that are tested at once."""
    inputs = part.tensors[0]
    size = max(1, min(BATCH_OF_TEST, ITEMS_AT_ONCE // max(1, inputs[0].numel())))
    yield from zip(*(tensor.split(size) for tensor in part.tensors), strict=True)


class Task(ABC):
    """A task by description; a task of your own subclasses this one."""

    modality: str

    @abstractmethod
    def load(self, folder: Path | None = None) -> Problem:
        """Read the data.

        Args:
            folder: where published files lie; None for data that needs no files.

        Raises:
            MissingDataError: files of the data are missing.
            MissingModelError: pretrained weights are missing.
        """


def _as_they_are(x: Tensor, generator: torch.Generator) -> Tensor:
    return x


def _first(part: TensorDataset, count: int | None) -> TensorDataset:
    return part if count is None else TensorDataset(*(t[:count] for t in part.tensors))


@config
class Vision(Task):
    """What is on this image?

    Attributes:
        data: the images.
        network: tells what they show.
        test: how many of the test images are used, the first ones; None for all.
    """

    data: InstanceOf[Source] = Digits()
    network: InstanceOf[Network] = SmallResNet()
    test: Count | None = None

    modality = "vision"

    def load(self, folder: Path | None = None) -> Problem:
        """See :meth:`Task.load`."""
        data = self.data.load(folder)
        return Problem(
            train=data.train,
            validation=data.validation,
            test=_first(data.test, self.test),
            outputs=data.classes,
            metric="accuracy",
            build=lambda: self.network.build(data.channels, data.size, data.classes),
            augmented=self.data.augmented,
            origin=type(self.data).__name__,
        )


@config
class Text(Task):
    """What kind of text is this?

    Attributes:
        data: the texts.
        network: a pretrained encoder with a classifier.
        fixed_embeddings: do not train the tables of the encoder.
        train, validation, test: texts of each part that are used, the first ones; None for all.
    """

    data: InstanceOf[TextSource] = PythonSubjects()
    network: InstanceOf[TextNetwork] = MiniLM(layers=1, length=24)
    fixed_embeddings: bool = True
    train: Count | None = None
    validation: Count | None = None
    test: Count | None = None

    modality = "text"

    def load(self, folder: Path | None = None) -> Problem:
        """See :meth:`Task.load`. The pretrained encoder lies in ``folder/bert``, if it needs files."""
        texts = self.data.load(folder).limited(self.train, self.validation, self.test)
        place = None if folder is None or isinstance(self.network, MiniLM) else folder / "bert"
        parts = [
            TensorDataset(self.network.encode(part.texts, place), part.labels)
            for part in (texts.train, texts.validation, texts.test)
        ]
        return Problem(
            train=parts[0],
            validation=parts[1],
            test=parts[2],
            outputs=len(texts.classes),
            metric="accuracy",
            build=lambda: self._built(len(texts.classes), place),
            augmented=_as_they_are,
            origin=texts.origin,
        )

    def _built(self, classes: int, place: Path | None) -> nn.Module:
        network = self.network.build(classes, place)
        for module in network.modules():
            if isinstance(module, nn.Embedding) and self.fixed_embeddings:
                module.weight.requires_grad_(False)
        return network


@config
class Sequence(Task):
    """Which word comes next? Each piece of text begins with an empty memory.

    Attributes:
        data: the text.
        network: the language model.
        length: words of a piece.
        train, validation, test: words of each part that are used, the first ones; None for all.
    """

    data: InstanceOf[WordSource] = PythonProse(vocabulary=2000)
    network: InstanceOf[WordNetwork] = LSTM(embedding=128, hidden=128, dropout=0.1, tied=True)
    length: Count = 32
    train: Count | None = None
    validation: Count | None = None
    test: Count | None = None

    modality = "sequence"

    def load(self, folder: Path | None = None) -> Problem:
        """See :meth:`Task.load`."""
        words = self.data.load(folder).limited(self.train, self.validation, self.test)
        return Problem(
            train=windows(words.train, self.length),
            validation=windows(words.validation, self.length),
            test=windows(words.test, self.length),
            outputs=len(words.vocabulary),
            metric="perplexity",
            build=lambda: self.network.build(len(words.vocabulary)),
            augmented=_as_they_are,
            origin=words.origin,
        )

"""Training and testing of a classifier: how all networks of the experiments are trained."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from mho import random, training
from mho.config import Count, Fraction, NonNegative, Positive, config
from mho.experiments.progress import ProgressStep
from mho.training import DivergedError, Epoch

BATCH_OF_TEST = 1000  # images evaluated at once, at most
PIXELS_AT_ONCE = 2**17  # and pixels: 128 images of CIFAR


@config
class Schedule:
    """How a network is trained: stochastic gradient descent, rate up a tenth of the way, then a cosine down.

    Attributes:
        epochs: times that each training image is seen.
        learning_rate: the highest rate.
        batch: images in a step.
        momentum: Nesterov momentum.
        weight_decay: pull of every weight towards zero.
        last_rate: the rate that the cosine ends at, as a fraction of the highest.
    """

    epochs: Count
    learning_rate: Positive
    batch: Count = 64
    momentum: Fraction = 0.9
    weight_decay: NonNegative = 5e-4
    last_rate: Fraction = 0.0

    warm_up = 0.1  # part of the steps in which the rate rises from zero

    def steps_per_epoch(self, items: int) -> int:
        """Steps of one epoch over so many items."""
        return math.ceil(items / self.batch)

    def steps(self, items: int) -> int:
        """Steps of the whole training on so many items."""
        return self.epochs * self.steps_per_epoch(items)

    def share(self, step: int, steps: int) -> float:
        """Part of the highest rate that a step out of ``steps`` has."""
        rising = min(1.0, (step + 1) / max(1.0, self.warm_up * steps))
        return rising * (self.last_rate + (1.0 - self.last_rate) * self.falling(min(1.0, step / steps)))

    def falling(self, done: float) -> float:
        """How the rate falls from 1 to 0 over the part of the steps that is done."""
        return 0.5 * (1.0 + math.cos(math.pi * done))

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of a step out of ``steps``."""
        return self.learning_rate * self.share(step, steps)

    def made(self, network: nn.Module) -> torch.optim.Optimizer:
        """The optimizer, over all Parameters that are trained."""
        return torch.optim.SGD(
            [p for p in network.parameters() if p.requires_grad],
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.momentum > 0,
        )

    def scheduler(self, optimizer: torch.optim.Optimizer, items: int) -> torch.optim.lr_scheduler.LRScheduler:
        """The scheduler of the rate, over so many items."""
        steps = self.steps(items)
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.share(step, steps))


class Varied(Protocol):
    """What varies the inputs of a training batch, such as a :class:`~mho.experiments.data.Source`."""

    @property
    def augmented(self) -> Callable[[Tensor, torch.Generator], Tensor]:
        """Inputs and a generator to inputs."""


class Batches:
    """Training data in batches, in an order that a generator draws anew for each epoch.

    Args:
        data: inputs and targets.
        source: varies the inputs.
        size: items of a batch.
        generator: CPU generator of the order and the variation.
        device: where the batches go.
    """

    def __init__(
        self, data: TensorDataset, source: Varied, size: int, generator: torch.Generator, device: torch.device
    ) -> None:
        self.data, self.source, self.size, self.device = data, source, size, device
        self.generator = generator

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        inputs, targets = self.data.tensors
        for chosen in torch.randperm(len(inputs), generator=self.generator).split(self.size):
            x = self.source.augmented(inputs[chosen].to(self.device), self.generator)
            yield x, targets[chosen].to(self.device)


@contextmanager
def seeded(seed: int, *names: str) -> Iterator[None]:
    """Torch's global stream set to the stream (seed, names...), and set back afterwards.

    Initial weights, weight noise and read noise come from the global stream; a piece of work inside
    this context therefore gives the same result whatever was done before it.
    """
    with torch.random.fork_rng():
        torch.manual_seed(random.fork(seed, *names).initial_seed())  # noqa: TID251 (put back on leaving)
        yield


def chip_seed(seed: int, chip: int) -> int:
    """The seed of ``mho.program`` for the chip of this number: no training draws from it."""
    return random.fork(seed, "chip", str(chip)).initial_seed()


def most_threads() -> int:
    """Threads that a process may have: 256, or the cores of the machine if these are more."""
    return max(256, os.cpu_count() or 1)


def checked_threads(number: int) -> int:
    """The number; ``ValueError`` unless torch can compute with so many threads."""
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= most_threads():
        raise ValueError(
            f"threads = {number!r}: a whole number from 1 to {most_threads()} (more help nobody)"
        )
    return number


@contextmanager
def limited_threads(number: int) -> Iterator[None]:
    """Torch computing with so many threads, and as before afterwards.

    Sums over threads round differently, so the number of threads is part of what makes a result the
    same again. Small networks are no quicker with more than one.

    Raises:
        ValueError: fewer than one, or more than :func:`most_threads`.
    """
    number = checked_threads(number)
    before = torch.get_num_threads()
    torch.set_num_threads(number)  # noqa: TID251 (put back on leaving)
    try:
        yield
    finally:
        torch.set_num_threads(before)  # noqa: TID251


on_labels = training.supervised(F.cross_entropy)


def fit(
    network: nn.Module,
    data: TensorDataset,
    source: Varied,
    schedule: Schedule,
    generator: torch.Generator,
    step: ProgressStep,
    loss: Callable[[nn.Module, Any], Tensor] = on_labels,
    **options: Any,
) -> list[Epoch]:
    """Train a network in place, by default to tell the labels of images, with :func:`mho.training.fit`.

    Args:
        network: inputs to scores; trained on the device where it lies.
        data: inputs and labels to learn from.
        source: varies the inputs of each batch.
        schedule: epochs, rates and batches.
        generator: CPU generator of the order of the items and their variation.
        step: told after each epoch.
        loss: of the network and a batch.
        options: for :func:`mho.training.fit`, such as ``checkpoint``.

    Returns:
        The epochs.

    Raises:
        DivergedError: the loss is not finite.
    """
    device = next(p for p in network.parameters() if p.requires_grad).device
    optimizer = schedule.made(network)
    try:
        history = training.fit(
            network,
            Batches(data, source, schedule.batch, generator, device),
            loss,
            optimizer,
            schedule.epochs,
            scheduler=schedule.scheduler(optimizer, len(data)),
            clip_norm=getattr(schedule, "clip_norm", None),
            on_epoch=lambda epoch: step.advance(f"loss {epoch.loss:.3f}"),
            **options,
        )
    except DivergedError as error:
        raise DivergedError(f"learning_rate = {schedule.learning_rate!r}: {error}") from None
    network.eval()
    return history


@torch.no_grad()
def accuracy(network: nn.Module, data: TensorDataset) -> float:
    """Fraction of the images that get their label, in eval mode."""
    images, labels = data.tensors
    device = next(network.parameters()).device
    network.eval()
    right = torch.zeros((), dtype=torch.int64, device=device)
    batch = max(1, min(BATCH_OF_TEST, PIXELS_AT_ONCE // images[0, 0].numel()))
    for x, y in zip(images.split(batch), labels.split(batch), strict=True):
        scores: Tensor = network(x.to(device))
        right += (scores.argmax(1) == y.to(device)).sum()
    return int(right) / len(images)

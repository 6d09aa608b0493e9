"""Training and testing of a classifier: the same loop for every network of an experiment."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from mho import random
from mho.config import Count, Fraction, NonNegative, Positive, config
from mho.experiments.data import Source
from mho.experiments.progress import Step

WARM_UP = 0.1  # fraction of the steps in which the learning rate rises from zero
BATCH_OF_TEST = 1000  # images evaluated at once, at most
PIXELS_AT_ONCE = 2**17  # and pixels: 128 images of CIFAR


class DivergedError(ValueError):
    """A training whose loss is not finite any more."""


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

    def steps(self, images: int) -> int:
        """Number of steps of the whole training on so many images."""
        return self.epochs * math.ceil(images / self.batch)

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of a step out of ``steps``."""
        rising = min(1.0, (step + 1) / max(1.0, WARM_UP * steps))
        falling = 0.5 * (1.0 + math.cos(math.pi * step / steps))
        return self.learning_rate * rising * (self.last_rate + (1.0 - self.last_rate) * falling)


class Watch:
    """Follows a training, and may continue one that was stopped; this one does neither."""

    def begin(self, network: nn.Module, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> int:
        """Put back the state of an earlier training; returns the epochs that are done."""
        return 0

    def epoch_ended(
        self,
        epoch: int,
        loss: float,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
    ) -> None:
        """An epoch (from 0) is done, with this mean loss."""


@contextmanager
def seeded(seed: int, *names: str) -> Iterator[None]:
    """Torch's global stream set to the stream (seed, names...), and set back afterwards.

    Initial weights, weight noise and read noise come from the global stream; a piece of work inside
    this context therefore gives the same result whatever was done before it.
    """
    with torch.random.fork_rng():
        torch.manual_seed(random.fork(seed, *names).initial_seed())  # noqa: TID251 (put back on leaving)
        yield


@contextmanager
def limited_threads(number: int) -> Iterator[None]:
    """Torch computing with so many threads, and as before afterwards.

    Sums over threads round differently, so the number of threads is part of what makes a result the
    same again. Small networks are no quicker with more than one.

    Raises:
        ValueError: fewer than one.
    """
    if number < 1:
        raise ValueError(f"threads = {number!r}: at least 1")
    before = torch.get_num_threads()
    torch.set_num_threads(number)  # noqa: TID251 (put back on leaving)
    try:
        yield
    finally:
        torch.set_num_threads(before)  # noqa: TID251


def fit(
    network: nn.Module,
    data: TensorDataset,
    source: Source,
    schedule: Schedule,
    generator: torch.Generator,
    step: Step,
    watch: Watch | None = None,
) -> None:
    """Train a network in place to tell the labels of images.

    Args:
        network: images to scores; trained on the device where it lies.
        data: images and labels to learn from.
        source: varies the images of each batch.
        schedule: epochs, rates and batches.
        generator: CPU generator of the order of the images and their variation.
        step: told after each epoch.
        watch: told before the first and after each epoch.

    Raises:
        DivergedError: the loss is not finite.
    """
    watch = watch if watch is not None else Watch()
    images, labels = data.tensors
    parameters = [p for p in network.parameters() if p.requires_grad]
    device = parameters[0].device
    optimizer = torch.optim.SGD(
        parameters,
        lr=schedule.learning_rate,
        momentum=schedule.momentum,
        weight_decay=schedule.weight_decay,
        nesterov=schedule.momentum > 0,
    )
    steps = schedule.steps(len(images))
    first = watch.begin(network, optimizer, generator)
    number = first * (steps // schedule.epochs)
    for epoch in range(first, schedule.epochs):
        network.train()
        total = torch.zeros((), device=device)
        for chosen in torch.randperm(len(images), generator=generator).split(schedule.batch):
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(number, steps)
            x = source.augmented(images[chosen].to(device), generator)
            loss = F.cross_entropy(network(x), labels[chosen].to(device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach()
            number += 1
        mean = float(total) * schedule.epochs / steps
        if not math.isfinite(mean):
            raise DivergedError(
                f"learning_rate = {schedule.learning_rate!r}: the training diverged in epoch {epoch + 1} "
                f"(its loss is {mean}); choose a lower rate"
            )
        watch.epoch_ended(epoch, mean, network, optimizer, generator)
        step.advance(f"loss {mean:.3f}")
    network.eval()


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

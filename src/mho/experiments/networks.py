"""The networks of a study: each is trained once, stored as soon as it is done, and found by a later run."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import mho
from mho.converters import Learned
from mho.experiments.fitting import accuracy, seeded
from mho.experiments.progress import Progress
from mho.experiments.store import Store
from mho.training import Recipe, attach, detach

PLAIN, AWARE = "plain", "hardware-aware"
ARMS = (PLAIN, AWARE)
BATCH_OF_CALIBRATION = 500
CONVERSION = ("path", "layer", "analog", "note", "parameters", "tiles", "cells")


class MissingNetworkError(ValueError):
    """A network is needed that no run has trained yet."""


class Networks(ABC):
    """Trains, stores and loads the networks of one study; that of :data:`AWARE` lies on its hardware.

    Args:
        study: with a ``seed`` and the ``hardware``.
        data: what they learn from; the test part is only used to report.
        store: where trained networks lie.
        progress: told after each epoch.
        device: the torch device that computes.
    """

    def __init__(self, study: Any, data: Any, store: Store, progress: Progress, device: torch.device) -> None:
        self.study, self.data, self.store = study, data, store
        self.progress, self.device = progress, device
        self._chips: dict[str, nn.Module] = {}

    @abstractmethod
    def build(self) -> nn.Module:
        """A network with random weights from torch's global stream."""

    @abstractmethod
    def calibration(self) -> tuple[Tensor, ...]:
        """Training inputs to measure converters on."""

    @abstractmethod
    def make(self, name: str) -> tuple[nn.Module, Mapping[str, Any]]:
        """Train the network of this name; what is told about it beside."""

    @abstractmethod
    def tested(self, digital: nn.Module) -> Mapping[str, float]:
        """Figures of a network without a chip, on validation and test data."""

    def wanted(self, name: str, train: bool = True) -> bool:
        """Whether a network is to be trained: those that are not stored, if ``train``."""
        return train and not self.store.has(name)

    def require(self, name: str) -> None:
        """Raise :class:`MissingNetworkError` for a network that is not stored."""
        if not self.store.has(name):
            raise MissingNetworkError(
                f"{self.store.folder}: the {name} network is not there; train it first (leave "
                "--eval-only out)"
            )

    def train(self, name: str) -> None:
        """Train a network, or go on with a training that was stopped, and store it."""
        if not self.wanted(name):
            return
        start, cpu = time.perf_counter(), time.process_time()
        with seeded(self.study.seed, "training", name):
            network, told = self.make(name)
        facts = {
            **self.tested(mho.revert(network)),
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - cpu,
            **told,
        }
        self.save(name, network, facts)

    def save(self, name: str, network: nn.Module, facts: Mapping[str, Any]) -> None:
        """Store a network that was trained, and what is told about it."""
        fixed = _fixed(network)  # what is pretrained and was not trained comes with the network
        state = {k: v.cpu() for k, v in network.state_dict().items() if k not in fixed}
        self.store.save_network(name, state, facts)

    def new(self) -> nn.Module:
        """A network with the random weights that all begin with."""
        with seeded(self.study.seed, "weights"):
            return self.build().to(self.device)

    def digital(self, name: str) -> nn.Module:
        """A trained network without a chip, in plain torch."""
        if name == AWARE:
            return mho.revert(self.analog(name)).eval()
        return self._loaded(self.new(), name)

    def analog(self, name: str) -> nn.Module:
        """A trained network on the hardware of the study, calibrated, ready to be programmed."""
        if name == AWARE:
            return self._loaded(self.converted(self.new(), self.study.hardware), name)
        analog = self.converted(self.digital(name), self.study.hardware)
        mho.calibrate(analog, self.calibration())
        return analog.eval()

    def chip(self, name: str) -> nn.Module:
        """The same, kept for all places: what is programmed here is programmed anew at the next one."""
        if name not in self._chips:
            self._chips[name] = self.analog(name)
        return self._chips[name]

    def facts(self, names: Sequence[str]) -> dict[str, dict[str, float]]:
        """What was told about stored networks, by name."""
        return {name: self.store.load_network(name)[1] for name in names}

    def conversion(self, name: str) -> list[dict[str, Any]]:
        """What lies on arrays of a network, as plain rows."""
        report: Any = self.chip(name).report
        return [{column: getattr(row, column) for column in CONVERSION} for row in report.rows]

    def converted(self, network: nn.Module, hardware: mho.Hardware) -> nn.Module:
        """All layers on arrays but embeddings: a table that is looked up row by row stays digital."""
        return mho.convert(network, hardware, lambda _, module: not isinstance(module, nn.Embedding))

    def in_the_loop(
        self, start: nn.Module, recipe: Recipe, train: Callable[[nn.Module], float]
    ) -> tuple[nn.Module, float]:
        """A network trained further with the hardware in the loop, and what ``train`` returned.

        Args:
            start: in plain torch.
            recipe: what happens to the weights meanwhile.
            train: does it.
        """
        hardware = self.study.hardware
        analog = self.converted(start, hardware)
        attach(analog, recipe)
        mho.calibrate(analog, self.calibration())
        last = train(analog)
        detach(analog)
        # The weights moved, so do the currents. A learned range keeps what it learned.
        if not any(c is not None and isinstance(c.range, Learned) for c in (hardware.dac, hardware.adc)):
            mho.calibrate(analog, self.calibration())
        return analog, last

    def _loaded(self, network: nn.Module, name: str) -> nn.Module:
        self.require(name)
        own = network.state_dict()
        state = self.store.load_network(name)[0]
        network.load_state_dict({**{k: own[k] for k in _fixed(network)}, **state})
        return network.eval()


class ImageNetworks(Networks):
    """Networks of a study with a ``model`` that tells what images show."""

    def build(self) -> nn.Module:
        """See :meth:`Networks.build`."""
        made: nn.Module = self.study.model.build(self.data.channels, self.data.size, self.data.classes)
        return made

    def calibration(self) -> tuple[Tensor, ...]:
        """See :meth:`Networks.calibration`."""
        batches: tuple[Tensor, ...] = self.data.train.tensors[0].split(BATCH_OF_CALIBRATION)
        return batches

    def tested(self, digital: nn.Module) -> dict[str, float]:
        """Accuracies."""
        return {part: accuracy(digital, getattr(self.data, part)) for part in ("validation", "test")}


def _fixed(network: nn.Module) -> set[str]:
    return {name for name, p in network.named_parameters(remove_duplicate=False) if not p.requires_grad}

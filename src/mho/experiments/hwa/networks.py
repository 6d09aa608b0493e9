"""The networks of one study: a digital teacher, and its students with and without the hardware in the loop.

Both students start from the teacher's weights and get the same number of steps over the same batches, with
the same teacher. A third one, the plain student trained once more for as long, tells how far the plain one is
from where it would end.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mho import random
from mho.experiments import networks
from mho.experiments.fitting import fit, on_labels
from mho.experiments.hwa.study import Course
from mho.experiments.hwa.tasks import Problem
from mho.experiments.networks import AWARE, PLAIN

TEACHER, LONGER = "teacher", "plain-longer"
STUDENTS = (AWARE, PLAIN, LONGER)
SAVE_EVERY = 500  # steps between two checkpoints within an epoch
Loss = Callable[[nn.Module, Any], Tensor]


class HWANetworks(networks.Networks):
    """Trains, stores and loads the networks of one :class:`~mho.experiments.hwa.HWAStudy`."""

    @property
    def problem(self) -> Problem:
        """The data; the test part is only used to report."""
        problem: Problem = self.data
        return problem

    def build(self) -> nn.Module:
        """See :meth:`mho.experiments.networks.Networks.build`."""
        return self.problem.build()

    def calibration(self) -> tuple[Tensor, ...]:
        """Training inputs to measure converters and corrections on."""
        inputs = self.problem.train.tensors[0][: self.study.calibration].to(self.device)
        batches: tuple[Tensor, ...] = inputs.split(64)
        return batches

    def tested(self, digital: nn.Module) -> dict[str, float]:
        """Errors."""
        problem = self.problem
        return {part: problem.error(digital, getattr(problem, part)) for part in ("validation", "test")}

    def train(self, name: str) -> None:
        """See :meth:`mho.experiments.networks.Networks.train`."""
        super().train(name)
        self._checkpoint(name).unlink(missing_ok=True)

    def make(self, name: str) -> tuple[nn.Module, dict[str, float]]:
        """See :meth:`mho.experiments.networks.Networks.make`."""
        study = self.study
        if name == TEACHER:
            network = self.new()
            last = self._fit(name, network, study.teaching, on_labels)
        elif name == AWARE:
            recipe = study.in_the_loop.recipe(study.aware_course, len(self.problem.train))
            loss = self._taught()
            network, last = self.in_the_loop(
                self.digital(TEACHER),
                recipe,
                lambda analog: self._fit(name, analog, study.aware_course, loss),
            )
        else:
            loss = self._taught()
            network = self.digital(PLAIN if name == LONGER else TEACHER)
            last = self._fit(name, network, study.tuning, loss)
        return network, {"loss": last}

    def _taught(self) -> Loss:
        """The loss of both students."""
        distillation = self.study.distillation
        if distillation is None:
            return on_labels
        teacher = self.digital(TEACHER)

        def loss(model: nn.Module, batch: Any) -> Tensor:
            x, target = batch
            with torch.no_grad():
                shown = teacher(x)
            scores = model(x)
            task = F.cross_entropy(scores, target)  # classes are dimension 1, for distillation the last
            mixed: Tensor = distillation(task, scores.movedim(1, -1), shown.movedim(1, -1))
            return mixed

        return loss

    def _fit(self, name: str, network: nn.Module, course: Course, loss: Loss) -> float:
        """Train, and return the loss of the last epoch."""
        # Both students take this stream from its start: they see the same batches.
        order = ("batches", name) if name == LONGER else ("batches",)
        generator = random.fork(self.study.seed, *order)
        with self.progress.stage(name, course.epochs) as step:
            history = fit(
                network, self.problem.train, self.problem, course, generator, step, loss,
                checkpoint=self._checkpoint(name), save_every=SAVE_EVERY,
            )  # fmt: skip
        return history[-1].loss

    def _checkpoint(self, name: str) -> Path:
        return self.store.folder / f"{name}.checkpoint"

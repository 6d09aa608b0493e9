"""Learning from a teacher: the digital network shows the analog one its whole distribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mho.config import Fraction, Positive, config


@config
class Distillation:
    """Knowledge distillation: ``(1 - weight) * task loss + weight * T^2 * KL(teacher || student)``.

    Both distributions are softened by the temperature T; the divergence is the mean over all but the
    last axis. The teacher gets no gradient.

    Attributes:
        temperature: T.
        weight: share of the divergence.

    Source: G. Hinton, O. Vinyals and J. Dean, arXiv 1503.02531 (2015).

    >>> scores = torch.tensor([[2.0, 0.0]])
    >>> task = F.cross_entropy(scores, torch.tensor([0]))
    >>> Distillation(weight=1.0)(task, scores, scores).item()
    0.0
    """

    temperature: Positive = 4.0
    weight: Fraction = 0.9

    def __call__(self, task: Tensor, student: Tensor, teacher: Tensor) -> Tensor:
        """The loss.

        Args:
            task: loss of the student on the labels, ``[]``.
            student, teacher: scores (logits), ``[..., class]``.

        Raises:
            ValueError: the scores differ in shape.
        """
        if student.shape != teacher.shape:
            raise ValueError(
                f"teacher has scores of shape {tuple(teacher.shape)}, student of {tuple(student.shape)}: "
                "both must score the same classes of the same examples"
            )
        learner, shown = (
            F.log_softmax(scores.flatten(0, -2).float() / self.temperature, dim=-1)
            for scores in (student, teacher.detach())
        )
        divergence = F.kl_div(learner, shown, reduction="batchmean", log_target=True)
        return (1 - self.weight) * task + self.weight * self.temperature**2 * divergence

    def taught(
        self, loss: Callable[[Tensor, Tensor], Tensor], teacher: Callable[[Tensor], Tensor]
    ) -> Callable[[nn.Module, Any], Tensor]:
        """A loss of ``(model, batch)`` that asks a teacher, for :func:`mho.training.fit`.

        Args:
            loss: of ``(scores, labels)``; a batch is ``(input, labels)``.
            teacher: any callable, input to scores; run without gradients. A module should be in
                evaluation mode.
        """

        def total(model: nn.Module, batch: Any) -> Tensor:
            x, labels = batch
            with torch.no_grad():
                shown = teacher(x)
            scores = model(x)
            return self(loss(scores, labels), scores, shown)

        return total

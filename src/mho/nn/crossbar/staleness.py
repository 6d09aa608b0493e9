"""Whether a chip still holds the weights of its layer, and what is said where it does not."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from mho.errors import ChipNotUsedWarning, StaleChipWarning
from mho.nn.crossbar.chip import ChipHolder
from mho.nn.crossbar.description import RANGES

_WEIGHTS = ("chip_weights",)


class Watched(ChipHolder):
    """An array that notices changes of its weights and of its chip."""

    on_chip: bool

    def is_stale(self) -> bool:
        """Whether the weights changed since the chip was programmed, in whatever way: it reads them all.

        So do ``eval()`` and the verbs that act on a chip, which warn. A forward in evaluation looks
        without reading: it sees changes that torch counts, steps of optimizers and assignments to
        ``.data``, and misses changes in place through an alias, such as ``weight.data.add_(1)``.
        """
        if not self.is_programmed or self.chip_weights is None:
            return False
        return bool(self.fingerprint() != self.chip_weights)

    def check_chip(self) -> None:
        """Warn (``StaleChipWarning``) if the chip no longer holds the weights."""
        self._seen = self.sight()
        if self.is_stale():
            self._warn_stale()

    def _warn_stale(self) -> None:
        warnings.warn(
            f"the weights of {self.path or 'this layer'!r} changed after programming: the chip still "
            "holds the old ones; call mho.program again",
            StaleChipWarning,
            stacklevel=4,
        )

    def _notice_changes(self) -> None:
        """Cheap checks before an eager read: were the weights or the conductances changed in place?"""
        if self._seen != self.sight() and all(isinstance(p, nn.Parameter) for p in self.sources()):
            self.check_chip()  # others are what torch.func gave
        if self._versions != self._present_versions():
            self.repack()

    def _notice_given(self) -> None:
        """Checks of what ``functional_call`` gave beside the entries that are packed."""
        self._check_ranges()
        if not self._own(_WEIGHTS) and self.is_stale():
            self._warn_stale()

    def _all_else_is_own(self) -> bool:
        """Whether the ranges and the fingerprint are the array's, and not given by ``functional_call``."""
        return self._own(RANGES) and self._own(_WEIGHTS)

    def _notice_evaluation(self) -> None:
        """Training mode without gradients, with a chip: most likely ``eval()`` was forgotten."""
        if not self.is_programmed or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return
        warnings.warn(
            f"{self.path or 'this layer'!r} holds a chip, but the model is in training mode, which uses "
            "the clean weights: call model.eval() to use the chip, or mho.train_on_chip(model)",
            ChipNotUsedWarning,
            stacklevel=6,
        )

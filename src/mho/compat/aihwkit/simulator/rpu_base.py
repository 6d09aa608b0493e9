"""What scripts ask of aihwkit's compiled part."""

from __future__ import annotations

import torch


class cuda:
    """Whether there is a GPU."""

    @staticmethod
    def is_compiled() -> bool:
        """Whether torch has one here."""
        return torch.cuda.is_available()

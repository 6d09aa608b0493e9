"""Tensors of a chip are plain ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """No gradients, and ordinary tensors even inside ``torch.inference_mode``."""
    with torch.inference_mode(False), torch.no_grad():
        yield

"""Tensors of a chip are plain ones, and nothing casts what arrays give."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """No gradients, and ordinary tensors even inside ``torch.inference_mode``."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def is_cast(x: Tensor) -> bool:
    """Whether autocast acts on operations with ``x``; it knows no meta device."""
    return not x.is_meta and torch.is_autocast_enabled(x.device.type)


def without_autocast(x: Tensor) -> AbstractContextManager[Any]:
    """Outside of autocast: torch's refuses to join tensors of float16 where it casts to bfloat16."""
    if is_cast(x):
        return torch.autocast(x.device.type, enabled=False)
    return contextlib.nullcontext()

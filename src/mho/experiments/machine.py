"""The machine that computes: its torch devices, and the versions of its software."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

import mho


def usable_device(name: str) -> torch.device:
    """The torch device of this name.

    Raises:
        ValueError: torch cannot compute there.
    """
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device = {name!r}: torch cannot compute there ({reason}); try cpu") from None


@contextmanager
def memory_for(work: str, device: torch.device, remedy: str) -> Iterator[None]:
    """Say which setting to change when the memory does not suffice for a piece of work.

    Args:
        work: what is done inside, such as ``"a training step"``.
        device: where.
        remedy: what to do about it.

    Raises:
        ValueError: the memory does not suffice.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise ValueError(f"{work} needs more memory than {device} has; {remedy}") from None


def versions() -> dict[str, str]:
    """Names and versions of the software that computes."""
    import numpy as np

    return {
        "mho": mho.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }

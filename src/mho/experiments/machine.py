"""The machine that computes: its torch devices, and the versions of its software."""

from __future__ import annotations

import platform

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

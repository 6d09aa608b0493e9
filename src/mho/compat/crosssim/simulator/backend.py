"""The library of arrays that scripts ask for."""

from __future__ import annotations

from types import ModuleType

import numpy as np


def ComputeBackend(useGPU: bool = False, gpu_num: int | None = None) -> ModuleType:
    """Numpy; layers themselves lie where ``simulation.useGPU`` says.

    >>> ComputeBackend().asarray([1, 2]).sum()
    np.int64(3)
    """
    return np

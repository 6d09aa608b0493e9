"""What the array tests share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch


@pytest.fixture
def conductances() -> Callable[..., torch.Tensor]:
    """Log-uniform conductances from 1 to 100 microsiemens, float64, some of them zero."""

    def make(rows: int, columns: int, seed: int = 0, zeros: float = 0.0) -> torch.Tensor:
        rng = np.random.default_rng(seed)
        g = 10.0 ** rng.uniform(-6, -4, (rows, columns))
        return torch.from_numpy(np.where(rng.random(g.shape) < zeros, 0.0, g))

    return make

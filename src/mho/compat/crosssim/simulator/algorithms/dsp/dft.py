"""A discrete Fourier transform on an array."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import dft

from mho.compat.crosssim.simulator._core import AnalogCore, Array
from mho.compat.crosssim.simulator.parameters import CrossSimParameters


class DFT:
    """The matrix of a Fourier transform, its weights mapped from -1 to 1.

    Args:
        N_ft: points.
        params: the parameters; kept as a copy.
        normalize: divide by the root of ``N_ft``.
        inverse: the conjugate transform.

    >>> from mho.compat.crosssim.simulator import CrossSimParameters
    >>> np.round(np.abs(DFT(4, CrossSimParameters()).dft_1d(np.array([1.0, 0.0, 0.0, 0.0]))), 5).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """

    def __init__(
        self, N_ft: int, params: CrossSimParameters, normalize: bool = False, inverse: bool = False
    ) -> None:
        self.params = params.copy()
        weights = self.params.core.mapping.weights
        weights.percentile, weights.min, weights.max = None, -1.0, 1.0
        matrix = dft(N_ft, scale="sqrtn" if normalize else None).astype(np.complex64)
        self.N_ft = N_ft
        self.core = AnalogCore(matrix.conj().T if inverse else matrix, self.params)

    def get_matrix(self) -> Array:
        """What the cells hold."""
        return self.core.get_matrix()

    def dft_1d(self, x: Any) -> Any:
        """The transform of ``x[N_ft]``."""
        return self.core @ x

    def dft_2d(self, X: Any) -> Any:
        """The transform of ``X[N_ft, N_ft]``, by products from both sides."""
        return (self.core @ X) @ self.core

"""From numbers to a matrix on crossbars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mho.hardware import Hardware

if TYPE_CHECKING:
    from mho.matrices.operator import AnalogMatrix


def matrix(A: Any, hardware: Hardware, seed: int) -> AnalogMatrix:
    """A matrix on crossbars, as scipy's solvers take it: calibrated and programmed.

    Rows of the arrays are columns of ``A``: ``A @ x`` drives the rows with ``x`` and reads the columns,
    ``A.rmatvec(y)`` and ``A.H @ y`` drive the columns of the same cells. A complex matrix lies on two arrays.

    Args:
        A: ``[m, n]``, real or complex: a numpy array, a tensor, a sparse matrix of scipy's or nested lists.
            It is computed with in float64, in float32 if it is of that type.
        hardware: the description of the arrays. A DAC must take both signs.
        seed: names the chip.

    Returns:
        A :class:`mho.matrices.operator.AnalogMatrix`, a ``scipy.sparse.linalg.LinearOperator``.

    Raises:
        TypeError: ``hardware`` is none, or ``A`` holds no numbers.
        ValueError: ``A`` is no matrix, is empty or not finite, or the DAC is unsigned.

    >>> import mho, numpy as np
    >>> A = mho.matrix(np.eye(3), mho.Hardware(device=mho.devices.PCM()), seed=0)
    >>> A.shape, bool(np.abs(A @ np.ones(3) - 1).max() < 0.5)
    ((3, 3), True)
    """
    from mho.matrices.operator import AnalogMatrix  # scipy.sparse.linalg stays out of `import mho`

    if not isinstance(hardware, Hardware):
        raise TypeError(f"hardware = {hardware!r}: give a mho.Hardware")
    return AnalogMatrix(_numbers(A), hardware, seed)


def _numbers(A: Any) -> np.ndarray[Any, Any]:
    """The matrix as numpy has it, in float32, float64, complex64 or complex128."""
    if isinstance(A, torch.Tensor):
        A = A.detach().cpu().resolve_conj().resolve_neg().numpy()
    dense = np.asarray(A.toarray() if hasattr(A, "toarray") else A)
    if dense.dtype.kind not in "biufc":
        raise TypeError(f"A holds {dense.dtype}: give real or complex numbers")
    if dense.ndim != 2 or 0 in dense.shape:
        raise ValueError(f"A has shape {dense.shape}: give a matrix [m, n] with a row and a column at least")
    if not np.isfinite(dense).all():
        raise ValueError(
            "A holds NaN or infinite entries: cells hold finite numbers; find where they come from"
        )
    kind = np.result_type(dense, np.float32)
    return dense.astype(kind if kind in (np.float32, np.complex64) else np.result_type(kind, np.float64))

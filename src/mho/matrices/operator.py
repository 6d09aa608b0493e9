"""A matrix on crossbars as an operator of ``scipy.sparse.linalg``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor, nn

from mho import lifecycle
from mho.analysis.cost import cost
from mho.analysis.cost_report import CostReport
from mho.analysis.diagnosis import Diagnosis, diagnose
from mho.calibration import calibrate
from mho.convert import convert
from mho.costs import GENERIC_22, Technology
from mho.hardware import Hardware
from mho.matrices.arrays import Arrays, read_columns
from mho.periphery import Compensation
from mho.random import normal, uniform

Array = np.ndarray[Any, Any]
_VECTORS = 32  # of each kind, that converters are calibrated on


class AnalogMatrix(LinearOperator):  # type: ignore[misc]
    """A matrix on crossbars. :func:`mho.matrix` makes it.

    Each vector is scaled in digital so that its largest entry is full scale, and what is read is scaled back:
    a residual of 1e-9 is read as well as one of 1. A vector of zeros is not read, its product is zero.
    Complex vectors are two reads of each array.

    Read from its columns (``rmatvec``), an array has its converters at the largest value of each vector, the
    read noise of the same cells, and its wires as in a read from the rows (see
    ``mho.training.on_chip.Backward``).

    Attributes:
        model: the module that holds the arrays; every verb of mho takes it.
        hardware: the description of the arrays.

    >>> import mho, numpy as np
    >>> from scipy.sparse.linalg import gmres
    >>> hardware = mho.Hardware(device=mho.devices.PCM(), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8))
    >>> A = mho.matrix([[4.0, 1.0], [1.0, 3.0]], hardware, seed=0)
    >>> x, _ = gmres(A, np.array([1.0, 2.0]), rtol=0.1)
    >>> bool(np.abs(x - [1 / 11, 7 / 11]).max() < 0.2)
    True
    """

    def __init__(self, A: Array, hardware: Hardware, seed: int) -> None:
        super().__init__(dtype=A.dtype, shape=A.shape)
        dac = hardware.dac
        if dac is not None and not dac.signed:
            raise ValueError(
                "hardware.dac.signed = False: vectors have both signs; give a DAC with signed=True"
            )
        self.hardware = hardware
        given = None if dac is None else dac.range.given()
        self._full = given if isinstance(given, float) else 1.0
        self.model: nn.Module = convert(Arrays(A), hardware).eval()
        self._calibrated_on(_unlike(A.shape[1], seed) * self._full)
        lifecycle.program(self.model, seed)

    # --- products, as scipy asks for them ---------------------------------------------------------

    def _matvec(self, x: Array) -> Array:
        return self._matmat(x.reshape(-1, 1))

    def _rmatvec(self, x: Array) -> Array:
        return self._rmatmat(x.reshape(-1, 1))

    def _matmat(self, X: Array) -> Array:
        """``A @ X``: the vectors are the columns of ``X``."""
        return self._product(X, self._read)

    def _rmatmat(self, X: Array) -> Array:
        """``A.conj().T @ X``, from the columns of the arrays."""
        found = self._product(np.conj(X), self._read_columns)
        conjugate: Array = found.conj()
        return conjugate

    def _product(self, X: Array, read: Callable[[Tensor], Tensor]) -> Array:
        """The product of real parts, put together; ``read`` gives those by the real and imaginary array."""
        X = np.asarray(X)
        parts = [X.real, X.imag] if np.iscomplexobj(X) else [X]
        found = [read(torch.from_numpy(np.ascontiguousarray(part.T)).to(self._kind)) for part in parts]
        first, *second = map(_complex, found)
        total = first + 1j * second[0] if second else first
        return np.transpose(total)

    @property
    def _kind(self) -> torch.dtype:
        return torch.float32 if self.dtype in (np.float32, np.complex64) else torch.float64

    @torch.no_grad()
    def _read(self, x: Tensor) -> Tensor:
        """Products of the arrays, ``[array, vector, m]``."""
        scaled, scale = self._scaled(x)
        return self.model(scaled) * scale  # type: ignore[no-any-return]

    @torch.no_grad()
    def _read_columns(self, y: Tensor) -> Tensor:
        scaled, scale = self._scaled(y)
        return read_columns(self.model, scaled) * scale

    def _scaled(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors with their largest entry at full scale, and what their products are multiplied by."""
        peak = x.abs().amax(-1, keepdim=True) / self._full
        return torch.where(peak > 0, x / peak, 0.0), peak

    # --- verbs ------------------------------------------------------------------------------------

    def calibrate(self, vectors: Array) -> None:
        """Measure full scales of the converters on vectors like those to come, instead of random ones.

        Args:
            vectors: ``[n]`` or ``[n, vectors]``, as ``A @ vectors`` takes them.
        """
        self._calibrated_on(self._batch(vectors))

    def age(self, seconds: float) -> None:
        """Let the chip drift to ``seconds`` after programming, as ``mho.age`` does."""
        lifecycle.age(self.model, seconds)

    def compensate(self, method: Compensation | None = None) -> None:
        """Correct drift by a reference read, as ``mho.compensate`` does; by default with one gain."""
        lifecycle.compensate(self.model, method)

    def diagnose(self, vectors: Array) -> Diagnosis:
        """What errs in products with these vectors ``[n]`` or ``[n, vectors]``, as ``mho.diagnose`` says."""
        return diagnose(self.model, [self._batch(vectors)])

    def cost(self, vectors: Array, technology: Technology = GENERIC_22) -> CostReport:
        """What one product costs, on average over vectors ``[n]`` or ``[n, vectors]``; see ``mho.cost``."""
        parts = 2 if np.iscomplexobj(vectors) else 1
        batch = self._batch(vectors)
        return cost(self.model, [batch.view(parts, -1, batch.shape[-1]).transpose(0, 1)], technology)

    def effective(self) -> Array:
        """The matrix that the arrays hold now, ``[m, n]``: without read noise and converters."""
        weights = lifecycle.effective_weights(self.model)
        return _complex(torch.stack([*weights.values()]))  # the real part comes first

    def _calibrated_on(self, batch: Tensor) -> None:
        converters = (self.hardware.dac, self.hardware.adc)
        if any(c is not None and c.range.shape(1, 1) is not None for c in converters):
            calibrate(self.model, [batch.to(self._kind)])

    def _batch(self, vectors: Array) -> Tensor:
        """Vectors as the arrays are driven with them, ``[vector, n]``; real parts before imaginary ones."""
        X = np.asarray(vectors)
        if X.ndim not in (1, 2) or X.shape[0] != self.shape[1] or not X.size:
            raise ValueError(
                f"vectors have shape {X.shape}: give [{self.shape[1]}] or [{self.shape[1]}, vectors]"
            )
        X = X.reshape(self.shape[1], -1)
        parts = (X.real, X.imag) if np.iscomplexobj(X) else (X,)
        return self._scaled(torch.from_numpy(np.concatenate(parts, axis=1).T.copy()).to(self._kind))[0]


def _complex(parts: Tensor) -> Array:
    """Real and imaginary part ``[1 or 2, ...]`` as one array."""
    real = parts[0].detach().cpu().numpy()
    return real if len(parts) == 1 else real + 1j * parts[1].detach().cpu().numpy()


def _unlike(rows: int, seed: int) -> Tensor:
    """Vectors of three kinds, ``[vector, row]``, their largest entry 1: normal, positive and +-1."""
    names = ("matrix", "calibration")
    drawn = normal((2 * _VECTORS, rows), seed, *names)
    positive = uniform((_VECTORS, rows), seed, *names, "positive")
    kinds = torch.cat([drawn[:_VECTORS], positive, torch.ones(1, rows), drawn[_VECTORS:].sign()])
    return kinds / kinds.abs().amax(-1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)

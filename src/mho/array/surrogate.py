"""Cheap models of IR drop for huge sweeps, and how wrong they are.

:class:`Approximate` is an :class:`~mho.array.base.Array` of two products and a division; it can be fitted
to the exact solution of sampled tiles. :func:`approximation_error` measures it against the exact solution.
:func:`column_drop` is the closed form of the published hardware-aware-training studies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from mho import random
from mho.array._circuit import check_shape
from mho.array._noise import SeenNoise
from mho.array.base import Array
from mho.array.wires import Wires
from mho.config import Finite, NonNegative, config

Coefficients = tuple[Finite, Finite, Finite, Finite, Finite]


@config
class Approximate(Array):
    """``g_eff = g / (1 + d)``, d from the currents of a uniform input without any drop.

    With ``a[j, i] = row sum_k (1 + min(i, k)) g[j, k]`` the drop along the word line and ``b`` likewise
    along the bit line, both relative to the input,

        d = c0 a + c1 b + c2 a^2 + c3 a b + c4 b^2

    where the default coefficients are the first-order theory. Good for d well below 1.

    Attributes:
        row, column: ohms of one segment.
        driver, sense: ohms at the near ends.
        coefficients: c0 to c4.

    >>> g = torch.full((32, 32), 25e-6, dtype=torch.float64)
    >>> exact, cheap = Wires(row=1.0, column=1.0), Approximate(row=1.0, column=1.0)
    >>> approximation_error(cheap, exact, g).worst < 1e-3
    True
    """

    row: NonNegative
    column: NonNegative
    driver: NonNegative = 0.0
    sense: NonNegative = 0.0
    coefficients: Coefficients = (1.0, 1.0, 0.0, 0.0, 0.0)

    def drops(self, g: Tensor) -> tuple[Tensor, Tensor]:
        """Relative drops ``(a, b)`` along word lines and bit lines, in the shape of ``g``."""
        rows, columns = g.shape[-2:]
        across = self.row * _overlap(columns, g) + self.driver
        along = self.column * _overlap(rows, g).flip(0, 1) + self.sense
        return g @ across, along @ g

    def effective_conductance(self, g: Tensor) -> Tensor:
        """The approximate matrix; differentiable by autograd."""
        check_shape(g)
        return g / (
            1 + torch.einsum("...k,k->...", _features(*self.drops(g)), g.new_tensor(self.coefficients))
        )

    @property
    def wires(self) -> Wires:
        """The wires that this is a model of."""
        return Wires(row=self.row, column=self.column, driver=self.driver, sense=self.sense)

    def admittance(self, g: Tensor, analog: Sequence[Sequence[float]]) -> Tensor:
        """That of the wires."""
        return self.wires.admittance(g, analog)

    loaded: ClassVar[bool] = True

    def noise_groups(self, rows: int, g_max: float) -> int:
        """As for the wires."""
        return self.wires.noise_groups(rows, g_max)

    def seen_noise(
        self, g: Tensor, variance: Tensor, analog: Sequence[Sequence[float]], groups: int
    ) -> SeenNoise:
        """That of the wires."""
        return self.wires.seen_noise(g, variance, analog, groups)

    def fitted(self, g: Tensor) -> Approximate:
        """The same model with coefficients fitted to the exact solution of tiles ``g[..., row, column]``.

        Least squares of the error of ``g_eff``, to first order. Sample tiles that look like those of the
        sweep, and ask :func:`approximation_error` on others.
        """
        exact = self.wires
        g = g.detach().double()
        g_eff = exact.effective_conductance(g)
        weight = torch.where(g > 0, g_eff**2 / g, torch.zeros_like(g))
        target = torch.where(g > 0, g / g_eff - 1, torch.zeros_like(g))
        features = _features(*self.drops(g)) * weight.unsqueeze(-1)
        found = torch.linalg.lstsq(features.reshape(-1, 5), (target * weight).reshape(-1, 1)).solution
        c0, c1, c2, c3, c4 = (float(c) for c in found[:, 0])
        return dataclasses.replace(self, coefficients=(c0, c1, c2, c3, c4))


def _features(a: Tensor, b: Tensor) -> Tensor:
    return torch.stack((a, b, a * a, a * b, b * b), dim=-1)


def _overlap(n: int, like: Tensor) -> Tensor:
    """Segments that the paths to two cells of a line have in common, ``[n, n]``."""
    count = torch.arange(1, n + 1, dtype=like.dtype, device=like.device)
    return torch.minimum(count[:, None], count)


class ApproximationError(NamedTuple):
    """How far an approximate array is from the exact one on sampled tiles.

    Attributes:
        tiles: number of tiles compared.
        worst: largest error of an effective conductance over the largest one of its tile.
        rms: root mean square error over the root mean square effective conductance.
        output: largest error of a column current over the largest one, for random inputs.
        ideal: the same as ``output`` for wires without resistance: what leaving them out would cost.
    """

    tiles: int
    worst: float
    rms: float
    output: float
    ideal: float


def approximation_error(
    approximate: Array, exact: Array, g: Tensor, *, tiles: int = 8, vectors: int = 100, seed: int = 0
) -> ApproximationError:
    """Compare two arrays on tiles drawn from ``g[..., row, column]``.

    Args:
        approximate: the model in question.
        exact: the truth.
        g: conductances of all tiles of the sweep, siemens.
        tiles: how many tiles to draw; all if there are fewer.
        vectors: inputs for each, uniform in [0, 1).
        seed: of the draws.
    """
    check_shape(g)
    pool = g.detach().reshape(-1, *g.shape[-2:]).double()
    if len(pool) > tiles:
        pick = torch.randperm(len(pool), generator=random.fork(seed, "approximation_error"))[:tiles]
        pool = pool[pick.to(pool.device)]
    truth, model = exact.effective_conductance(pool), approximate.effective_conductance(pool)
    v = random.uniform((vectors, g.shape[-2]), seed, "approximation_error", "inputs").to(pool)
    i, scale = v @ truth, (v @ truth).abs().amax((-2, -1), keepdim=True)
    error = (model - truth).abs()
    return ApproximationError(
        len(pool),
        float((error / truth.abs().amax((-2, -1), keepdim=True)).max()),
        float((error.square().mean() / truth.square().mean()).sqrt()),
        float(((v @ model - i).abs() / scale).max()),
        float(((v @ pool - i).abs() / scale).max()),
    )


def column_drop(w: Tensor, x: Tensor, *, scale: float = 1.0, g_ratio: float = 1 / (0.35 * 5e-6)) -> Tensor:
    """Outputs of an array with the closed-form IR drop of hardware-aware training.

    With n rows, the far one first, ``a = n / g_ratio * sum_j |w_j| |x_j|`` for each column and
    ``c = a (0.05 a^2 - 0.2 a + 0.5)``, a column loses ``scale * c * sum_j w_j x_j (1 - (1 - j/n)^2)``.

    Args:
        w: normalised weights ``[row, column]``, magnitudes up to 1.
        x: normalised inputs ``[..., row]``.
        scale: factor on the drop; 0 for none.
        g_ratio: conductance of one wire segment over the largest cell conductance; the default is a
            segment of 0.35 ohm and cells of 5 uS.

    Returns:
        ``[..., column]``.

    Source: M. J. Rasch et al., Nat. Commun. 14, 5282 (2023), with the constants of aihwkit.

    >>> y = column_drop(torch.ones(512, 1, dtype=torch.float64), torch.ones(512, dtype=torch.float64))
    >>> f"{1 - y.item() / 512:.7f}"
    '0.1278873'
    """
    n = w.shape[0]
    j = torch.arange(n, dtype=w.dtype, device=w.device)
    a = n / g_ratio * (x.abs() @ w.abs())
    c = a * (0.05 * a**2 - 0.2 * a + 0.5)
    weight = 1 - (1 - j / n) ** 2
    return x @ w - scale * c * ((x * weight) @ w)

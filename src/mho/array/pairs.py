"""Both cells of a differential pair in one array."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from mho.array._circuit import Circuit, Resistance, build, check_shape
from mho.array._network import transfer
from mho.array._noise import PLACES, SeenNoise
from mho.array.base import Array
from mho.array.wires import Line, Wires, admittance_of, noise_of
from mho.config import config


class PairedArray(Array):
    """Positive and negative cells that share lines.

    Attributes:
        wires: the lines of the array. ``row`` and ``driver`` belong to the word lines, ``column`` and
            ``sense`` to the bit lines, as in :class:`~mho.array.wires.Wires`.
    """

    wires: Wires

    @abstractmethod
    def effective_pair(self, g_plus: Tensor, g_minus: Tensor) -> tuple[Tensor, Tensor]:
        """The matrices of both signs.

        Args:
            g_plus, g_minus: conductances ``[..., row, column]``, siemens.

        Returns:
            ``(a, b)`` of the same shape: the difference of the pair's currents is ``(a - b)^T v``.
        """

    def effective_conductance(self, g: Tensor) -> Tensor:
        """Cells without a partner: an array of their own."""
        return self.wires.effective_conductance(g)

    def effective_copies(self, g: Tensor, analog: Sequence[Sequence[float]]) -> Tensor:
        """Copies of opposite sign in one channel are paired in their order; others stay alone."""
        out: list[Tensor | None] = [None] * g.shape[0]
        for p, m in _pairs(analog):
            out[p], out[m] = self.effective_pair(g[p], g[m])
        return torch.stack([self.effective_conductance(g[k]) if x is None else x for k, x in enumerate(out)])

    @abstractmethod
    def circuit_of_pair(self, g_plus: Tensor, g_minus: Tensor) -> Circuit:
        """The network that holds both signs."""

    @abstractmethod
    def seen_by_drivers(self, y: Tensor) -> Tensor:
        """What the network draws over its own word lines, ``[..., line, line]``, over the array's rows."""

    def admittance(self, g: Tensor, analog: Sequence[Sequence[float]]) -> Tensor:
        """Copies are paired as in :meth:`effective_copies`."""
        g, lead, found = g.detach(), g.shape[1:-2], []
        pairs = _pairs(analog)
        for p, m in pairs:
            found.append(self.seen_by_drivers(admittance_of(self.circuit_of_pair(g[p], g[m]), lead)))
        alone = sorted(set(range(g.shape[0])) - {k for pair in pairs for k in pair})
        if alone:
            found.append(self.wires.admittance(g[alone], analog))
        return torch.stack(found).sum(0)

    @abstractmethod
    def noise_of_pair(
        self, g: tuple[Tensor, Tensor], variance: tuple[Tensor, Tensor], groups: int
    ) -> list[SeenNoise]:
        """The noise of the positive and of the negative cells in the current of a pair."""

    loaded: ClassVar[bool] = True

    def noise_groups(self, rows: int, g_max: float) -> int:
        """As for arrays of one sign."""
        return self.wires.noise_groups(rows, g_max)

    def seen_noise(
        self, g: Tensor, variance: Tensor, analog: Sequence[Sequence[float]], groups: int
    ) -> SeenNoise:
        """Copies are paired as in :meth:`effective_copies`."""
        found: dict[int, SeenNoise] = {}
        for p, m in _pairs(analog):
            found[p], found[m] = self.noise_of_pair((g[p], g[m]), (variance[p], variance[m]), groups)
        for k in set(range(g.shape[0])) - set(found):
            found[k] = self.wires.seen_noise(g[k], variance[k], analog, groups)
        parts = zip(PLACES, zip(*(found[k] for k in sorted(found)), strict=True), strict=True)
        return SeenNoise(*(torch.stack(each, axis) for axis, each in parts))


def _pairs(analog: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Copies of opposite sign in one channel, in their order."""
    pairs: list[tuple[int, int]] = []
    for signs in analog:
        plus = [k for k, a in enumerate(signs) if a > 0]
        minus = [k for k, a in enumerate(signs) if a < 0]
        pairs += zip(plus, minus, strict=False)
    return pairs


@config
class AlternateColumns(PairedArray):
    """Positive and negative bit lines in turn on the same word lines: ``[row, 2 column]``.

    ``wires.column`` and ``wires.sense`` given for each line hold for both bit lines of a pair.

    >>> g = torch.full((2, 3), 1e-5)
    >>> a, b = AlternateColumns(wires=Wires(row=1.0, column=1.0)).effective_pair(g, g)
    >>> bool((a > b).all())  # the positive bit line comes first
    True
    """

    wires: Wires

    def effective_pair(self, g_plus: Tensor, g_minus: Tensor) -> tuple[Tensor, Tensor]:
        """The matrices of both signs: see :class:`PairedArray`."""
        circuit = self.circuit_of_pair(g_plus, g_minus)
        eff = transfer(circuit.cells, circuit.ends).view(*g_plus.shape[:-1], 2 * g_plus.shape[-1])
        return eff[..., 0::2], eff[..., 1::2]

    def circuit_of_pair(self, g_plus: Tensor, g_minus: Tensor) -> Circuit:
        """Bit lines in turn."""
        _check_pair(g_plus, g_minus)
        return self._circuit(torch.stack((g_plus, g_minus), dim=-1).flatten(-2))

    def _circuit(self, both: Tensor) -> Circuit:
        w, far = self.wires, self.wires.far_sense
        return build(
            both, w.row, _twice(w.column), w.driver, _twice(w.sense), w.far_driver,
            None if far is None else _twice(far),
        )  # fmt: skip

    def seen_by_drivers(self, y: Tensor) -> Tensor:
        """Both signs lie on the same word lines."""
        return y

    def noise_of_pair(
        self, g: tuple[Tensor, Tensor], variance: tuple[Tensor, Tensor], groups: int
    ) -> list[SeenNoise]:
        """Of the bit lines in turn."""
        both, spread = (torch.stack(x, dim=-1).flatten(-2) for x in (g, variance))
        seen = noise_of(self._circuit(both.detach()), spread, groups)
        return [SeenNoise(*(part[..., k::2] for part in seen)) for k in (0, 1)]


@config
class SharedColumns(PairedArray):
    """Positive and negative word lines in turn on the same bit lines: ``[2 row, column]``.

    The negative word line carries the negative input, and both cells of a pair meet the bit line at the
    same place: their currents cancel there and the line carries only the difference. A bit-line segment
    lies between one pair and the next. ``wires.row`` and ``wires.driver`` given for each line hold for both.

    >>> g = torch.full((2, 3), 1e-5)
    >>> a, b = SharedColumns(wires=Wires(row=1.0, column=1.0)).effective_pair(g, g)
    >>> bool(torch.allclose(a, b))
    True
    """

    wires: Wires

    def effective_pair(self, g_plus: Tensor, g_minus: Tensor) -> tuple[Tensor, Tensor]:
        """The matrices of both signs: see :class:`PairedArray`."""
        circuit = self.circuit_of_pair(g_plus, g_minus)
        eff = transfer(circuit.cells, circuit.ends).view(
            *g_plus.shape[:-2], 2 * g_plus.shape[-2], g_plus.shape[-1]
        )
        return eff[..., 0::2, :], eff[..., 1::2, :]

    def circuit_of_pair(self, g_plus: Tensor, g_minus: Tensor) -> Circuit:
        """Word lines in turn."""
        _check_pair(g_plus, g_minus)
        return self._circuit(torch.stack((g_plus, g_minus), dim=-2).flatten(-3, -2))

    def _circuit(self, both: Tensor) -> Circuit:
        w, far = self.wires, self.wires.far_driver
        return build(
            both, _twice(w.row), self._segments(both), _twice(w.driver), w.sense,
            None if far is None else _twice(far), w.far_sense,
        )  # fmt: skip

    def seen_by_drivers(self, y: Tensor) -> Tensor:
        """The negative word lines carry the negative voltage."""
        plus, minus = y[..., 0::2, :], y[..., 1::2, :]
        net = plus - minus
        return net[..., 0::2] - net[..., 1::2]

    def noise_of_pair(
        self, g: tuple[Tensor, Tensor], variance: tuple[Tensor, Tensor], groups: int
    ) -> list[SeenNoise]:
        """Of the word lines in turn; what is of the one bit line is given to the positive cells."""
        both, spread = (torch.stack(x, dim=-2).flatten(-3, -2) for x in (g, variance))
        seen = noise_of(self._circuit(both.detach()), spread, groups)
        places = {"heat": False, "lines": False}  # those of the line have no rows
        plus, minus = (
            SeenNoise(*(v[..., k::2, :] if places.get(n, True) else v for n, v in seen._asdict().items()))
            for k in (0, 1)
        )
        net = plus.currents - minus.currents  # the negative word lines carry the negative input
        return [
            plus._replace(currents=net),
            minus._replace(
                heat=torch.zeros_like(seen.heat), lines=torch.zeros_like(seen.lines),
                currents=net, cross=-minus.cross, shot_cross=-minus.shot_cross,
            ),
        ]  # fmt: skip

    def _segments(self, both: Tensor) -> Resistance:
        """Bit-line segments below the cells: none between the two of a pair."""
        column = self.wires.column
        ohms = list(column) if isinstance(column, tuple) else [column] * both.shape[-1]
        if float("inf") in ohms or len(ohms) != both.shape[-1]:
            raise ValueError(
                f"column = {column!r}: give one finite resistance, or one for each of the {both.shape[-1]} "
                "bit lines; open a bit line with sense = inf"
            )
        segments = both.new_zeros(both.shape[-2:])
        segments[1::2] = both.new_tensor(ohms)
        return segments


def _twice(line: Line) -> Line:
    """A resistance of each pair for both of its lines."""
    return tuple(ohm for ohm in line for _ in range(2)) if isinstance(line, tuple) else line


def _check_pair(g_plus: Tensor, g_minus: Tensor) -> None:
    check_shape(g_plus)
    check_shape(g_minus)
    if g_plus.shape != g_minus.shape:
        raise ValueError(
            f"g_plus is {tuple(g_plus.shape)} and g_minus {tuple(g_minus.shape)}: a pair has the same shape"
        )

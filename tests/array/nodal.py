"""The truth for arrays: Kirchhoff's laws at every node, solved densely, with numpy alone.

Shares nothing with the package: conductances are stamped into one matrix, nodes joined by zero ohms are
merged, infinite resistances are left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Truth(NamedTuple):
    """Currents into the sense amplifiers ``[vector, column]``, node voltages ``[vector, row, column]``."""

    current: np.ndarray
    word: np.ndarray
    bit: np.ndarray


class FloatingError(Exception):
    """A node has no path to a source or to ground."""


class Network:
    """Resistors between named nodes, some of them held at a voltage."""

    def __init__(self) -> None:
        self.resistors: list[tuple[object, object, float]] = []
        self.joined: dict[object, object] = {}
        self.held: dict[object, np.ndarray] = {}

    def root(self, node: object) -> object:
        while node in self.joined:
            node = self.joined[node]
        return node

    def add(self, a: object, b: object, ohms: float) -> None:
        if ohms == 0:
            if self.root(a) != self.root(b):
                self.joined[self.root(b)] = self.root(a)
        elif np.isfinite(ohms):
            self.resistors.append((a, b, 1 / ohms))

    def hold(self, node: object, volts: np.ndarray) -> None:
        """Hold a node at a voltage, one for each input vector."""
        self.held[node] = np.asarray(volts, dtype=np.float64)

    def solve(self) -> dict[object, np.ndarray]:
        """Voltages of every root."""
        held = {self.root(n): v for n, v in self.held.items()}
        names = {self.root(n) for a, b, _ in self.resistors for n in (a, b)}
        free = {n: k for k, n in enumerate(sorted(names - set(held), key=repr))}
        vectors = len(next(iter(held.values())))
        matrix, right = np.zeros((len(free), len(free))), np.zeros((len(free), vectors))
        for a, b, y in self.resistors:
            a, b = self.root(a), self.root(b)
            if a == b:
                continue
            for one, other in ((a, b), (b, a)):
                if one in free:
                    matrix[free[one], free[one]] += y
                    if other in free:
                        matrix[free[one], free[other]] -= y
                    else:
                        right[free[one]] += y * held[other]
        volts = np.linalg.solve(matrix, right) if free else right
        return held | {n: volts[k] for n, k in free.items()}

    def reached(self) -> set[object]:
        """Roots with a path to a held node."""
        found = {self.root(n) for n in self.held}
        while True:
            more = {
                self.root(y)
                for a, b, _ in self.resistors
                for x, y in ((a, b), (b, a))
                if self.root(x) in found
            }
            if more <= found:
                return found
            found |= more

    def current_into(self, node: object, volts: dict[object, np.ndarray]) -> np.ndarray:
        """Sum of the currents that the resistors bring to a held node."""
        here, total = self.root(node), np.zeros_like(volts[self.root(node)])
        for a, b, y in self.resistors:
            a, b = self.root(a), self.root(b)
            if (a == here) != (b == here):
                other = b if a == here else a
                total = total + y * (volts[other] - volts[here])
        return total


def _at(value, k):
    return float(value[k]) if isinstance(value, (tuple, list, np.ndarray)) else float(value)


def _segment(value, j, i, k):
    return float(value[j, i]) if isinstance(value, np.ndarray) and value.ndim == 2 else _at(value, k)


def crossbar(
    g, v, row, column, driver=0.0, sense=0.0, far_driver=None, far_sense=None, v_column=None
) -> Truth:
    """One array ``g[row, column]`` with input vectors ``v[vector, row]``."""
    g = np.asarray(g, dtype=np.float64)
    rows, columns = g.shape
    v = np.atleast_2d(np.asarray(v, dtype=np.float64))
    low = np.zeros((len(v), columns)) if v_column is None else np.atleast_2d(v_column)
    net = Network()
    for j in range(rows):
        net.hold(("drive", j), v[:, j])
        net.add(("drive", j), ("start", j), _at(driver, j))
        for i in range(columns):
            before = ("w", j, i - 1) if i else ("start", j)
            net.add(before, ("w", j, i), _segment(row, j, i, j))
        if far_driver is not None:
            net.hold(("far drive", j), v[:, j])
            net.add(("w", j, columns - 1), ("far drive", j), _at(far_driver, j))
    for i in range(columns):
        net.hold(("sense", i), low[:, i])
        net.add(("end", i), ("sense", i), _at(sense, i))
        for j in range(rows):
            after = ("b", j + 1, i) if j + 1 < rows else ("end", i)
            net.add(("b", j, i), after, _segment(column, j, i, i))
        if far_sense is not None:
            net.hold(("far sense", i), low[:, i])
            net.add(("b", 0, i), ("far sense", i), _at(far_sense, i))
    for j in range(rows):
        for i in range(columns):
            net.add(("w", j, i), ("b", j, i), np.inf if g[j, i] == 0 else 1 / g[j, i])
    reached = net.reached()
    if any(
        net.root((kind, j, i)) not in reached for kind in "wb" for j in range(rows) for i in range(columns)
    ):
        raise FloatingError
    volts = net.solve()
    current = np.zeros((len(v), columns))
    for i in range(columns):
        current[:, i] = net.current_into(("sense", i), volts)
        if far_sense is not None and net.root(("far sense", i)) != net.root(("sense", i)):
            current[:, i] += net.current_into(("far sense", i), volts)

    def table(kind: str) -> np.ndarray:
        lost = np.full(len(v), np.nan)
        nodes = [[volts.get(net.root((kind, j, i)), lost) for i in range(columns)] for j in range(rows)]
        return np.moveaxis(np.array(nodes), -1, 0)

    return Truth(current, table("w"), table("b"))


def effective(g, *args, **kwargs) -> np.ndarray:
    """Effective conductances ``[row, column]``: currents of driving one row at a time."""
    return crossbar(g, np.eye(np.asarray(g).shape[0]), *args, **kwargs).current

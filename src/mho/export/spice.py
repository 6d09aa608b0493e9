"""A SPICE netlist of one tile: cells, wires, drivers, sense amplifiers and inputs.

Nodes are ``w_row_column`` on word lines and ``b_row_column`` on bit lines. ``vrow<j>`` drives word line j,
``vsense<i>`` holds the end of bit line i and measures its current: ``i(vsense<i>)`` is positive into the
sense amplifier. A second end has ``vfar...`` sources. Wires of zero resistance become one node, infinite
ones and cells of zero conductance are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from mho.array import Law, Ohmic, Polynomial, Sinh, Wires
from mho.array._circuit import check_values
from mho.array.wires import Line

SpiceCell = Callable[[float, str], str]  # (conductance, voltage expression) -> current expression


def spice(
    g: Tensor,
    wires: Wires,
    v: Tensor,
    v_column: Tensor | None = None,
    *,
    law: Law | None = None,
    title: str = "crossbar tile",
    control: bool = True,
) -> str:
    """The netlist of one tile with one input vector.

    Args:
        g: cell conductances ``[row, column]``, siemens.
        wires: the lines.
        v: driver voltages ``[row]``, volts.
        v_column: voltages held at the sensed ends ``[column]``; None for ground.
        law: ``Ohmic``, ``Sinh`` or ``Polynomial``; None for ohmic resistors.
        title: first line of the netlist.
        control: add the commands that run ngspice and print the current of each bit line.

    Returns:
        The netlist's text. Run it with ``ngspice -b tile.cir``.

    Raises:
        ValueError: shapes that do not match, or the errors of :class:`~mho.array.Wires`.
        TypeError: a law that has no formula here.

    >>> text = spice(torch.tensor([[0.5]]), Wires(row=1.0, column=2.0), torch.tensor([0.2]))
    >>> [line for line in text.splitlines() if line.startswith("r")]
    ['rword_0_0 d0 w_0_0 1.0', 'rbit_0_0 b_0_0 s0 2.0', 'rcell_0_0 w_0_0 b_0_0 2.0']
    """
    if g.ndim != 2:
        raise ValueError(f"g has shape {tuple(g.shape)}: a netlist is of one tile [row, column]")
    check_values(wires.circuit(g.detach()).cells)  # the same checks and errors as the solver
    rows, columns = g.shape
    v_row = _voltages(v, rows, "v")
    v_low = _voltages(torch.zeros(columns) if v_column is None else v_column, columns, "v_column")
    net = _Netlist(title)
    for j in range(rows):
        _word_line(net, wires, j, columns, v_row[j], rows)
    for i in range(columns):
        _bit_line(net, wires, i, rows, columns)
    formula = _formula(law)
    for j, line in enumerate(g.detach().double().tolist()):
        for i, conductance in enumerate(line):
            _cell(net, j, i, conductance, formula)
    for i in range(columns):
        net.source(f"vsense{i}", f"s{i}", v_low[i])
        if wires.far_sense is not None:
            net.source(f"vfarsense{i}", f"t{i}", v_low[i])
    return net.text(columns, wires.far_sense is not None, control)


class _Netlist:
    """Lines of text, and nodes that zero resistances make one."""

    def __init__(self, title: str) -> None:
        self.lines: list[tuple[str, ...]] = []
        self.title = " ".join(title.split()) or "tile"
        self.parent: dict[str, str] = {}

    def root(self, node: str) -> str:
        while node in self.parent:
            node = self.parent[node]
        return node

    def resistor(self, name: str, a: str, b: str, ohms: float) -> None:
        if ohms == 0:
            first, second = self.root(a), self.root(b)
            if first != second:
                self.parent[second] = first
        elif not math.isinf(ohms):
            self.lines.append((name, a, b, repr(ohms)))

    def source(self, name: str, node: str, volts: float) -> None:
        self.lines.append((name, node, "0", repr(volts)))

    def current(self, name: str, a: str, b: str, formula: Callable[[str], str]) -> None:
        a, b = self.root(a), self.root(b)
        self.lines.append((name, a, b, f"i = {formula(f'v({a},{b})')}"))

    def text(self, columns: int, far: bool, control: bool) -> str:
        out = [f"* {self.title}"]
        for name, a, b, value in self.lines:
            out.append(f"{name} {self.root(a)} {self.root(b) if b != '0' else '0'} {value}")
        out.append(".options gmin=1e-18 abstol=1e-18 reltol=1e-9 rshunt=1e18")
        if control:
            sums = [f"i(vsense{i})" + (f"+i(vfarsense{i})" if far else "") for i in range(columns)]
            out += [".control", "set numdgt=15", "op", *(f"print {s}" for s in sums), "quit", ".endc"]
        else:
            out.append(".op")
        return "\n".join([*out, ".end", ""])


def _word_line(net: _Netlist, wires: Wires, j: int, columns: int, volts: float, rows: int) -> None:
    """Driver, segments from the left, and the second driver at the right."""
    ohms = _at(wires.row, j)
    net.source(f"vrow{j}", f"d{j}", volts)
    net.resistor(f"rword_{j}_0", f"d{j}", f"w_{j}_0", _at(wires.driver, j) + ohms)
    for i in range(1, columns):
        net.resistor(f"rword_{j}_{i}", f"w_{j}_{i - 1}", f"w_{j}_{i}", ohms)
    if wires.far_driver is not None and not (ohms == _at(wires.driver, j) == _at(wires.far_driver, j) == 0):
        net.source(f"vfar{j}", f"e{j}", volts)
        net.resistor(f"rfar_{j}", f"e{j}", f"w_{j}_{columns - 1}", _at(wires.far_driver, j))


def _bit_line(net: _Netlist, wires: Wires, i: int, rows: int, columns: int) -> None:
    """Segments from the top, sense amplifier below, and the second one on top."""
    ohms = _at(wires.column, i)
    for j in range(rows - 1):
        net.resistor(f"rbit_{j}_{i}", f"b_{j}_{i}", f"b_{j + 1}_{i}", ohms)
    net.resistor(f"rbit_{rows - 1}_{i}", f"b_{rows - 1}_{i}", f"s{i}", _at(wires.sense, i) + ohms)
    if wires.far_sense is not None and not (ohms == _at(wires.sense, i) == _at(wires.far_sense, i) == 0):
        net.resistor(f"rfarsense_{i}", f"b_0_{i}", f"t{i}", _at(wires.far_sense, i))


def _at(line: Line, k: int) -> float:
    return float(line[k] if isinstance(line, tuple) else line)


def _cell(net: _Netlist, j: int, i: int, g: float, formula: SpiceCell | None) -> None:
    if g == 0:
        return
    if formula is None:
        net.lines.append((f"rcell_{j}_{i}", f"w_{j}_{i}", f"b_{j}_{i}", repr(1 / g)))
    else:
        net.current(f"bcell_{j}_{i}", f"w_{j}_{i}", f"b_{j}_{i}", lambda u: formula(g, u))


def _formula(law: Law | None) -> SpiceCell | None:
    """The current of a cell as an expression."""
    if law is None or isinstance(law, Ohmic):
        return None
    if isinstance(law, Sinh):
        return lambda g, u: f"{g * law.v_c!r}*sinh({u}/{law.v_c!r})"
    if isinstance(law, Polynomial):
        coefficients = law.coefficients
        return lambda g, u: f"{g!r}*{u}*{_horner((1.0, *coefficients), u)}"
    raise TypeError(
        f"law = {law!r}: Ohmic, Sinh and Polynomial have a netlist; mho.array.solve_nonlinear takes any law"
    )


def _horner(coefficients: tuple[float, ...], u: str) -> str:
    """A polynomial without powers, which SPICE takes of the magnitude."""
    text = repr(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        text = f"({c!r}+{u}*{text})"
    return text


def _voltages(v: Tensor, lines: int, name: str) -> list[float]:
    if v.shape != (lines,):
        raise ValueError(
            f"{name} has shape {tuple(v.shape)}: give one voltage for each of the {lines} lines of g"
        )
    if not bool(torch.isfinite(v).all()):
        raise ValueError(f"{name} holds a voltage that is NaN or infinite")
    return [float(x) for x in v.detach().double()]

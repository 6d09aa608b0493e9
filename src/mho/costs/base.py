"""What is paid for what: the interface of all technologies, and the work that they put prices on."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mho.costs.digital import NODE, Digital
from mho.costs.writing import Writing


class Work(NamedTuple):
    """What the arrays of one layer are, and what they did; totals are over all vectors.

    An array here is one slice of one tile of the matrix; both cells of a pair are in it.

    Attributes:
        vectors: input vectors that were multiplied.
        products: multiply-accumulates of the digital layer for them.
        arrays: that hold the layer.
        rows, columns: lines of the layer in its largest array; both cells of a pair are one column.
        size: lines that an array has, whether or not the layer needs them, ``(rows, columns)``.
        cells: of a weight in one array: 2 of a pair.
        slices: arrays that hold the digits of the same weights.
        streams: groups of bits that an input is driven in.
        converts_each: whether each of them is converted, or their sum.
        bits_in, bits_out: resolution of the DAC and of the ADC; 0 without one.
        bits_driven: bits that a row is driven with at once: of a group, or ``bits_in``.
        shared: columns that one converter reads, by the description of the ADC.
        reads: of an array.
        cell_reads: reads of a cell.
        drives: of a row of an array.
        conversions: of a column.
        additions, scalings: digital operations on outputs.
        inputs, outputs: numbers in and out: those of each vector, a patch of a convolution.
        squares: squares of the voltages of all drives over that of the read voltage, added up.
        power: of all reads over the square of the read voltage, added up, siemens.
        lengths: the same if inputs were lengths of pulses; of the longest, siemens.
        v_read: read voltage of the device, volts.
    """

    vectors: float
    products: float
    arrays: int
    rows: int
    columns: int
    size: tuple[int, int]
    cells: int
    slices: int
    streams: int
    converts_each: bool
    bits_in: int
    bits_out: int
    bits_driven: int
    shared: int
    reads: float
    cell_reads: float
    drives: float
    conversions: float
    additions: float
    scalings: float
    inputs: float
    outputs: float
    squares: float
    power: float
    lengths: float
    v_read: float

    @staticmethod
    def one(**given: Any) -> Work:
        """A vector of one full-scale input on one cell of 1 S at 1 V; what is given is otherwise."""
        usual: dict[str, Any] = dict.fromkeys(Work._fields, 1) | {"converts_each": True, "size": (1, 1)}
        return Work(**{**usual, **given})

    @property
    def moved_in(self) -> float:
        """Bits of inputs."""
        return self.inputs * self.bits_in

    @property
    def moved_out(self) -> float:
        """Bits of outputs."""
        return self.outputs * self.bits_out

    @property
    def columns_read(self) -> float:
        """Columns of all reads, whether or not each is converted."""
        each = self.conversions
        return each if self.converts_each else each * self.streams

    def over(self, inferences: float) -> Work:
        """The totals for one of so many inferences."""
        return self._replace(**{name: getattr(self, name) / inferences for name in TOTALS})

    def full(self, arrays: int) -> Work:
        """One vector that fills so many arrays: as much on each row and cell as here, and moved for each."""
        rows, columns = self.size
        read = arrays * self.streams
        times = self.streams if self.converts_each else 1
        touched = read * rows * columns * self.cells / max(self.cell_reads, 1.0)
        driven = read * rows / self.drives if self.drives else touched
        converted = arrays * columns * times / self.conversions if self.conversions else touched
        return self._replace(
            vectors=1.0, products=arrays * rows * columns / self.slices, arrays=arrays, rows=rows,
            columns=columns, reads=float(read), cell_reads=self.cell_reads * touched,
            drives=self.drives * driven, conversions=self.conversions * converted,
            additions=self.additions * converted, scalings=self.scalings * converted,
            inputs=self.inputs * driven, outputs=self.outputs * converted,
            squares=self.squares * driven, power=self.power * touched, lengths=self.lengths * touched,
        )  # fmt: skip


TOTALS = (
    "vectors", "products", "reads", "cell_reads", "drives", "conversions", "additions", "scalings",
    "inputs", "outputs", "squares", "power", "lengths",
)  # fmt: skip


class Floor(NamedTuple):
    """How much of a chip there is.

    Attributes:
        arrays: all of the cores, used or not.
        cores: all of the tiles.
        tiles: as many as are needed, or all of the chips.
        chips: that hold the tiles.
    """

    arrays: int
    cores: int
    tiles: int
    chips: int

    def hops(self, routed: int = 1) -> float:
        """Mean distance of two routers in a square mesh, in steps; ``routed``: tiles that share one."""
        routers = math.ceil(self.tiles / routed)
        return math.sqrt(routers) / 2 if routers > 1 else 0.0


class Technology(ABC):
    """Prices of everything that happens in a chip, and how large and how fast it is.

    One of your own writes these methods, or is a list of parts: :class:`~mho.costs.Chip`.

    Attributes:
        node: metres.
        writing: what a programming pulse takes.
        digital: what digital arithmetic takes.
    """

    node: float = NODE
    writing: Writing = Writing()
    digital: Digital = Digital()

    @abstractmethod
    def floor(self, works: Sequence[Work]) -> Floor:
        """What is provided for some layers."""

    @abstractmethod
    def energy(self, work: Work, floor: Floor) -> Mapping[str, float]:
        """Joules of the work of one layer by part, without leakage; ``floor``: of the whole network."""

    @abstractmethod
    def seconds(self, work: Work) -> float:
        """Time of one vector in the arrays of a layer, which work at the same time."""

    @abstractmethod
    def area(self, work: Work, floor: Floor) -> Mapping[str, float]:
        """Square metres by part.

        Args:
            work: of the layer whose arrays are like those of the floor.
            floor: what is provided.
        """

    @abstractmethod
    def leakage(self, work: Work, floor: Floor) -> Mapping[str, float]:
        """Watts by part, at work or not; arguments as for :meth:`area`."""

    # --- with a default --------------------------------------------------------------------------

    def whole(self, works: Sequence[Work]) -> Floor:
        """The whole of the chips that these layers lie on, for the peak."""
        return self.floor(works)

    def peak(self, work: Work, floor: Floor) -> Mapping[str, float]:
        """Watts by part while all arrays work all the time, leakage included; as for :meth:`area`."""
        full = work.full(floor.arrays)
        seconds = self.seconds(full)
        found = {part: joules / seconds for part, joules in self.energy(full, floor).items()}
        for part, watts in self.leakage(work, floor).items():
            found[part] = found.get(part, 0.0) + watts
        return found

    def left_out(self, works: Sequence[Work]) -> float:
        """Share of the arrays without a place on the chip: their weights are written for each inference."""
        return 0.0

    def loading(self, bits: float) -> float:
        """Joules of so many bits from memory off the chip."""
        return 0.0

    def writing_pulses(self, pulses: float | None, cells: float) -> float:
        """Programming pulses on so many cells; None: they were not counted, and are as many as usual."""
        return self.writing.pulses * cells if pulses is None else pulses

    def digital_energy(self, products: float, moved: float) -> float:
        """Joules of multiply-accumulates and of moved bytes in digital arithmetic of 8 bits."""
        return self.digital.joules(products, moved, self.node)

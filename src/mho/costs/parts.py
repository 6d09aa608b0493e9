"""A chip as a list of its parts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import InstanceOf

from mho.config import Count, NonNegative, Positive, config
from mho.costs.base import Floor, Technology, Work
from mho.costs.converters import ConverterPrice
from mho.costs.digital import Digital
from mho.costs.scaling import area_ratio, energy_ratio
from mho.costs.writing import Writing

Event = Literal[
    "read", "drive", "column", "conversion", "addition", "scaling", "bit in", "bit out", "hop", "link"
]
Place = Literal["cell", "row", "column", "converter", "array", "core", "tile", "chip"]

_EVENTS: Mapping[str, Callable[[Work], float]] = {
    "read": lambda work: work.reads,
    "drive": lambda work: work.drives,
    "column": lambda work: work.columns_read,
    "conversion": lambda work: work.conversions,
    "addition": lambda work: work.additions,
    "scaling": lambda work: work.scalings,
    "bit in": lambda work: work.moved_in,
    "bit out": lambda work: work.moved_out,
}


@config
class Part:
    """One kind of part of a chip.

    Attributes:
        name: in tables.
        each: of what there is one: a cell, a row, a column or a converter of an array, an array, a core, a
            tile, a chip.
        count: how many for each of these; a fraction where several share one.
        per: the event that takes ``joules``: a read of an array, a drive of a row, a column that is read, a
            conversion, an addition, a scaling, a bit of an input or of an output, a step of a bit in the
            network (``hop``), a bit between chips (``link``).
        joules: of one event.
        watts: of one part at full activity: for the peak; where ``per`` is None also while its array, core,
            tile or chip is at work.
        leakage: watts of one part, at work or not.
        area: square metres of one part.
        digital: whether it scales with the node.
        source: where the figures are from.
    """

    name: str
    each: Place
    count: Positive = 1.0
    per: Event | None = None
    joules: NonNegative = 0.0
    watts: NonNegative = 0.0
    leakage: NonNegative = 0.0
    area: NonNegative = 0.0
    digital: bool = False
    source: str = ""

    def validate(self) -> None:
        """Energy belongs to an event."""
        if self.joules and self.per is None:
            raise ValueError(f"joules = {self.joules!r} of {self.name!r}: say by per which event takes them")

    def scaled(self, before: float, after: float) -> Part:
        """At another node, metres; itself if it is not digital."""
        if not self.digital:
            return self
        energy = energy_ratio(before, after)
        return replace(
            self,
            joules=self.joules * energy,
            watts=self.watts * energy,
            leakage=self.leakage * energy,
            area=self.area * area_ratio(before, after),
        )


@config
class Chip(Technology):
    """A chip as a list of its parts: arrays in cores, cores in tiles, tiles in chips.

    Energy is that of the cells, the row lines, the converters and the parts. All arrays of a layer work at
    the same time. ``mho.Tile`` says how many lines an array has; a tile here holds cores.

    Attributes:
        name: in tables.
        node: metres.
        parts: what it is made of besides cells and ADCs.
        adc: what ADCs take; None if they are among the parts.
        dac: what drivers of rows take; None if they are among the parts.
        dacs: drivers of a row of an array; a fraction where arrays share them.
        columns_per_adc: columns that one ADC reads one after the other; None for what the description of
            the hardware's ADC says.
        read_time: of one read until its currents have settled, seconds; of the longest pulse.
        overlapped: whether a read goes on while the one before is converted.
        lengths: whether inputs are lengths of pulses at the read voltage, not heights.
        phases: how often an array is read for each group of bits, for signs that are read apart.
        pause: seconds between two vectors.
        v_read: read voltage, volts; None for that of the device.
        dissipation: whether the cells' own power is paid; else a part has a price for a read.
        cell_area: square metres.
        line: capacitance of a row line for each cell, farad.
        arrays: of a core.
        cores: of a tile.
        tiles: of a chip; None for as many as are needed.
        routed: tiles that share a router.
        reloads: whether there is one chip alone: layers that do not fit on its tiles are written anew for
            each inference, from DRAM. Else there are as many chips as are needed.
        dram: joules of a bit from DRAM. The default is that of an LPDDR memory, .2467 W at 5.332 GB/s, as in
            the public simulator of 3D in-memory computing (J. Buchel et al., Nat. Comput. Sci. 5, 2025).
        writing: what a programming pulse takes.
        digital: what the digital twin would take.
    """

    name: str
    node: Positive
    parts: tuple[InstanceOf[Part], ...] = ()
    adc: InstanceOf[ConverterPrice] | None = None
    dac: InstanceOf[ConverterPrice] | None = None
    dacs: Positive = 1.0
    columns_per_adc: Count | None = None
    read_time: Positive = 10e-9
    overlapped: bool = False
    lengths: bool = False
    phases: Count = 1
    pause: NonNegative = 0.0
    v_read: Positive | None = None
    dissipation: bool = True
    cell_area: NonNegative = 0.0
    line: NonNegative = 0.0
    arrays: Count = 1
    cores: Count = 1
    tiles: Count | None = None
    routed: Count = 1
    reloads: bool = False
    dram: NonNegative = 0.2467 / (8 * 5.332e9)
    writing: Writing = Writing()
    digital: Digital = Digital()

    def validate(self) -> None:
        """Each part has its own name."""
        names = [part.name for part in self.parts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"parts: {', '.join(map(repr, twice))} is there twice; give each its own name")

    def scaled(self, node: float) -> Chip:
        """The same chip with its digital parts at another node; converters and cells stay as they are.

        >>> from mho.costs import GENERIC_32
        >>> GENERIC_32.scaled(16e-9).parts[0] == GENERIC_32.parts[0]  # leakage of drivers
        True
        """
        return replace(
            self,
            name=f"{self.name}, digital parts at {node * 1e9:g} nm",
            node=node,
            parts=tuple(part.scaled(self.node, node) for part in self.parts),
        )

    # --- how much there is -----------------------------------------------------------------------

    def floor(self, works: Sequence[Work]) -> Floor:
        """Whole tiles, with as many as the layers need."""
        used = sum(work.arrays for work in works)
        tiles = math.ceil(math.ceil(used / self.arrays) / self.cores)
        if self.tiles is None:
            return self._of(tiles, 1)
        return (
            self._of(min(tiles, self.tiles), 1) if self.reloads else self._of(tiles, -(-tiles // self.tiles))
        )

    def whole(self, works: Sequence[Work]) -> Floor:
        """Whole chips."""
        floor = self.floor(works)
        return floor if self.tiles is None else self._of(self.tiles * floor.chips, floor.chips)

    def _of(self, tiles: int, chips: int) -> Floor:
        return Floor(tiles * self.cores * self.arrays, tiles * self.cores, tiles, chips)

    def _there(self, work: Work, floor: Floor, each: Place) -> float:
        """How many of a kind of place there are on a floor whose arrays are those of a layer."""
        rows, columns = work.size
        return float({
            "cell": floor.arrays * rows * columns * work.cells,
            "row": floor.arrays * rows,
            "column": floor.arrays * columns,
            "converter": floor.arrays * math.ceil(columns / self._shared(work)),
            "array": floor.arrays,
            "core": floor.cores,
            "tile": floor.tiles,
            "chip": floor.chips,
        }[each])  # fmt: skip

    def _shared(self, work: Work) -> int:
        return work.shared if self.columns_per_adc is None else self.columns_per_adc

    def _at_work(self, work: Work) -> Floor:
        cores = math.ceil(work.arrays / self.arrays)
        tiles = math.ceil(cores / self.cores)
        return Floor(work.arrays, cores, tiles, 1 if self.tiles is None else math.ceil(tiles / self.tiles))

    # --- energy and time -------------------------------------------------------------------------

    def energy(self, work: Work, floor: Floor) -> Mapping[str, float]:
        """Joules by part: ``cells``, ``lines``, ``ADC``, ``DAC``, and the names of the parts."""
        volts = work.v_read if self.v_read is None else self.v_read
        found: dict[str, float] = {}
        if self.dissipation:
            siemens = work.lengths if self.lengths else work.power
            found["cells"] = volts**2 * siemens * self.read_time * self.phases
        if self.line:
            charged = work.drives if self.lengths else work.squares
            farad = self.line * work.size[1] * work.cells
            found["lines"] = farad * volts**2 * charged * self.phases
        if self.adc is not None and work.conversions:
            found["ADC"] = work.conversions * self.adc.joules(work.bits_out)
        if self.dac is not None and work.drives:
            found["DAC"] = work.drives * self.dacs * self.dac.joules(work.bits_driven)
        seconds, here = self.seconds(work) * work.vectors, self._at_work(work)
        for part in self.parts:
            if part.per is None:
                found[part.name] = part.watts * part.count * self._there(work, here, part.each) * seconds
            else:
                found[part.name] = part.joules * self._events(part.per, work, floor)
        return {name: joules for name, joules in found.items() if joules}

    def _events(self, per: Event, work: Work, floor: Floor) -> float:
        if per == "hop":
            return work.moved_out * floor.hops(self.routed)
        return work.moved_out * (1 - 1 / floor.chips) if per == "link" else _EVENTS[per](work)

    def seconds(self, work: Work) -> float:
        """Reads and conversions, one after the other or overlapped."""
        reading, converting = self.read_time * self.phases, 0.0
        if self.adc is not None and work.conversions:
            converting = min(self._shared(work), work.columns) * self.adc.seconds(work.bits_out)
        if not work.converts_each:
            return work.streams * reading + converting + self.pause
        each = max(reading, converting) if self.overlapped else reading + converting
        return work.streams * each + self.pause

    def peak(self, work: Work, floor: Floor) -> Mapping[str, float]:
        """Watts by part; those that are known at full activity as they are."""
        found = dict(super().peak(work, floor))
        leaks = self.leakage(work, floor)
        for part in self.parts:
            if part.watts:
                known = part.watts * part.count * self._there(work, floor, part.each)
                found[part.name] = known + leaks.get(part.name, 0.0)
        return found

    # --- area and leakage ------------------------------------------------------------------------

    def area(self, work: Work, floor: Floor) -> Mapping[str, float]:
        """Square metres by part."""
        found = {"cells": self.cell_area * self._there(work, floor, "cell")}
        if self.adc is not None and work.bits_out:
            each = self.adc.square_metres(work.bits_out)
            found["ADC"] = each * self._there(work, floor, "converter")
        if self.dac is not None and work.bits_driven:
            found["DAC"] = (
                self.dac.square_metres(work.bits_driven) * self.dacs * self._there(work, floor, "row")
            )
        for part in self.parts:
            found[part.name] = part.area * part.count * self._there(work, floor, part.each)
        return {name: area for name, area in found.items() if area}

    def leakage(self, work: Work, floor: Floor) -> Mapping[str, float]:
        """Watts by part."""
        found = {p.name: p.leakage * p.count * self._there(work, floor, p.each) for p in self.parts}
        return {name: watts for name, watts in found.items() if watts}

    # --- beside the arrays -----------------------------------------------------------------------

    def left_out(self, works: Sequence[Work]) -> float:
        """What does not fit on one chip that reloads."""
        if not self.reloads or self.tiles is None:
            return 0.0
        used = sum(work.arrays for work in works)
        return max(0.0, 1 - self.tiles * self.cores * self.arrays / max(used, 1))

    def loading(self, bits: float) -> float:
        """From DRAM."""
        return self.dram * bits

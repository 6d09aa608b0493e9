"""What an inference costs, in figures: sums, tables and words."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mho.costs import Floor, Work

if TYPE_CHECKING:
    import pandas

Schedule = Literal["layers", "pipeline"]
OPERATIONS = 2  # of a multiply-accumulate


@dataclass(frozen=True)
class LayerCost:
    """What one array costs for one inference.

    Attributes:
        energy: joules by part, without leakage.
        seconds: that its vectors take.
        area: square metres of its arrays by part, cores and tiles not included.
        work: what it did, of one inference; arrays with their duplicates.
        level: power of its cells if all rows were driven alike, over the true one: what it would cost to
            leave the data out.
    """

    energy: dict[str, float]
    seconds: float
    area: dict[str, float]
    work: Work
    level: float

    @property
    def joules(self) -> float:
        """Of all parts."""
        return math.fsum(self.energy.values())


@dataclass(frozen=True)
class Peak:
    """What the chips do where all arrays are full and work all the time.

    Attributes:
        operations: a second; a multiply-accumulate is two.
        watts: by part, leakage included.
        area: square metres by part.
        vector: seconds of one vector.
    """

    operations: float
    watts: dict[str, float]
    area: dict[str, float]
    vector: float

    @property
    def tops(self) -> float:
        """Operations in 10^12 a second."""
        return self.operations / 1e12

    @property
    def power(self) -> float:
        """Watts."""
        return math.fsum(self.watts.values())

    @property
    def tops_per_watt(self) -> float:
        """Operations for each picojoule."""
        return self.tops / self.power if self.power else math.inf

    @property
    def square_metres(self) -> float:
        """Of all parts."""
        return math.fsum(self.area.values())


@dataclass(frozen=True)
class CostReport:
    """What one inference costs; made by :func:`mho.cost`.

    Attributes:
        layers: by path as in ``mho.conductances``.
        seconds: from the first input to the last output, one layer after the other.
        interval: seconds between two inferences: the latency, or in a pipeline what the slowest layer takes.
        leakage: watts by part.
        area: square metres by part, of whole tiles.
        floor: how many arrays, cores, tiles and chips that is.
        digital: joules of the products that stayed digital, in 8 bits.
        twin: joules of all products in digital arithmetic of 8 bits, with each weight read once and the
            inputs and outputs of each vector moved: the network without a chip.
        programming: joules of writing the chip once.
        reloading: joules by part for what does not fit on the chip: ``DRAM`` and ``writing``; its time is in
            ``seconds`` and ``interval``.
        peak: of whole chips.
        technology: in words.
        schedule: ``layers`` or ``pipeline``.
    """

    layers: dict[str, LayerCost]
    seconds: float
    interval: float
    leakage: dict[str, float]
    area: dict[str, float]
    floor: Floor
    digital: float
    twin: float
    programming: float
    reloading: dict[str, float]
    peak: Peak
    technology: str
    schedule: Schedule

    # --- sums ------------------------------------------------------------------------------------

    @property
    def energy(self) -> dict[str, float]:
        """Joules of an inference by part, ``leakage`` over the interval and ``digital`` products too."""
        found: dict[str, float] = {}
        for layer in self.layers.values():
            for part, joules in layer.energy.items():
                found[part] = found.get(part, 0.0) + joules
        found |= self.reloading
        found["leakage"] = math.fsum(self.leakage.values()) * self.interval
        found["digital"] = self.digital
        return {part: joules for part, joules in found.items() if joules}

    @property
    def joules(self) -> float:
        """Of one inference, without programming."""
        return math.fsum(self.energy.values())

    def joules_with_programming(self, inferences: float) -> float:
        """Of one inference, where so many share one programming."""
        return self.joules + self.programming / inferences

    @property
    def square_metres(self) -> float:
        """Of all parts."""
        return math.fsum(self.area.values())

    @property
    def products(self) -> float:
        """Multiply-accumulates in arrays, of one inference."""
        return math.fsum(layer.work.products for layer in self.layers.values())

    @property
    def tops(self) -> float:
        """Achieved: operations in 10^12 a second, two for each multiply-accumulate in arrays."""
        return OPERATIONS * self.products / self.interval / 1e12 if self.interval else 0.0

    @property
    def tops_per_watt(self) -> float:
        """Achieved: operations for each picojoule."""
        return OPERATIONS * self.products / self.joules / 1e12 if self.joules else 0.0

    @property
    def joules_per_mac(self) -> float:
        """Energy over multiply-accumulates in arrays; that of an operation is half of it."""
        return self.joules / self.products if self.products else math.nan

    @property
    def watts(self) -> float:
        """Mean power while inferences follow each other."""
        return self.joules / self.interval if self.interval else math.nan

    @property
    def fixed(self) -> dict[str, float]:
        """What the cells of each array would take if each read of a cell took the same, over what they do."""
        own = {path: layer.energy.get("cells", 0.0) for path, layer in self.layers.items()}
        reads = {path: layer.work.cell_reads for path, layer in self.layers.items()}
        each = math.fsum(own.values()) / max(math.fsum(reads.values()), 1.0)
        return {path: each * reads[path] / own[path] if own[path] else math.nan for path in own}

    # --- for tables ------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """One row for each array: joules by part, seconds, arrays."""
        parts = list(dict.fromkeys(itertools.chain.from_iterable(c.energy for c in self.layers.values())))
        return [
            {
                "layer": path,
                "arrays": layer.work.arrays,
                "vectors": layer.work.vectors,
                "seconds": layer.seconds,
                "joules": layer.joules,
                **{part: layer.energy.get(part, 0.0) for part in parts},
                "square metres": math.fsum(layer.area.values()),
                "joules per mac": layer.joules / layer.work.products if layer.work.products else math.nan,
                "cells driven alike": layer.level,
                "cells at fixed power": self.fixed[path],
            }
            for path, layer in self.layers.items()
        ]

    def to_frame(self) -> pandas.DataFrame:
        """The rows as a table of pandas, which ``pip install mho[study]`` brings."""
        import pandas

        frame: pandas.DataFrame = pandas.DataFrame(self.rows())
        return frame

    def summary(self) -> dict[str, float]:
        """All figures of the whole, by name, in SI units and the units of the names."""
        return {
            "joules": self.joules,
            "seconds": self.seconds,
            "interval": self.interval,
            "square metres": self.square_metres,
            "watts": self.watts,
            "TOPS": self.tops,
            "TOPS/W": self.tops_per_watt,
            "fJ/MAC": self.joules_per_mac * 1e15,
            "fJ/OP": self.joules_per_mac / OPERATIONS * 1e15,
            "peak TOPS": self.peak.tops,
            "peak watts": self.peak.power,
            "peak TOPS/W": self.peak.tops_per_watt,
            "programming joules": self.programming,
            "digital twin joules": self.twin,
        }

    def to_json(self) -> str:
        """Everything as JSON: the summary, the parts and the layers."""
        found = {
            "technology": self.technology,
            "schedule": self.schedule,
            "summary": self.summary(),
            "energy": self.energy,
            "area": self.area,
            "leakage": self.leakage,
            "peak": {"watts": self.peak.watts, "area": self.peak.area},
            "floor": self.floor._asdict(),
            "layers": self.rows(),
        }
        return json.dumps(_finite(found), indent=2)

    def __str__(self) -> str:
        """The whole in a few lines, then a line for each array."""
        total, floor = self.joules, self.floor
        shares = sorted(self.energy.items(), key=lambda item: -item[1])
        lines = [
            f"{self.technology}: {in_units(total, 'J')} and {in_units(self.seconds, 's')} an inference, "
            f"{self.square_metres * 1e6:.3g} mm2 ({floor.arrays:,} arrays, {floor.tiles:,} tiles)",
            f"achieved: {self.tops:.3g} TOPS, {self.tops_per_watt:.3g} TOPS/W, {in_units(self.watts, 'W')}, "
            f"{in_units(self.joules_per_mac, 'J')} a MAC ({in_units(self.joules_per_mac / OPERATIONS, 'J')} "
            "an OP; 1 MAC = 2 OP)",
            f"peak: {self.peak.tops:.3g} TOPS, {self.peak.tops_per_watt:.3g} TOPS/W, "
            f"{in_units(self.peak.power, 'W')}",
            "energy: "
            + ", ".join(f"{part} {100 * joules / total:.0f} %" for part, joules in shares if total),
            f"programming: {in_units(self.programming, 'J')} once; "
            f"digital twin: {in_units(self.twin, 'J')} an inference",
        ]
        for path, layer in self.layers.items():
            lines.append(
                f"{path or '(model)'}: {in_units(layer.joules, 'J')}, {in_units(layer.seconds, 's')}, "
                f"{layer.work.arrays:,} arrays"
            )
        return "\n".join(lines)


def in_units(value: float, unit: str) -> str:
    """A number with a prefix.

    >>> in_units(3.2e-8, "J"), in_units(0.0, "W")
    ('32 nJ', '0 W')
    """
    if not value or not math.isfinite(value):
        return f"{value:.3g} {unit}"
    power = min(max(math.floor(math.log10(abs(value)) / 3), -6), 3)
    prefix = {-6: "a", -5: "f", -4: "p", -3: "n", -2: "u", -1: "m", 0: "", 1: "k", 2: "M", 3: "G"}[power]
    return f"{value / 1000.0**power:.3g} {prefix}{unit}"


def _finite(value: Any) -> Any:
    """JSON knows no NaN: null."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""What happened in one array: counted from shapes, and looked at where voltages and codes are made."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import torch
from torch import Tensor

from mho.chip.layout import Layout
from mho.chip.reads import Limit
from mho.chip.tap import Tap
from mho.chip.voltages import Voltages, driven_voltages, squared_voltages
from mho.hardware import Hardware
from mho.programming import Summary

_AT_ONCE = 32  # vectors that a look is worth its calls for


class Counter(Tap):
    """Counts what one array does, and looks at the voltages and the conversions of some vectors.

    Forwards of few vectors are looked at now and then, each look for those since the last one. Which ones
    does not repeat with the forwards of a model. A compiled graph looks at some vectors of each forward.

    Args:
        hardware: of the array.
        layout: of the array.
        groups: of its matrix.
        columns: of each group.
        every: about each how manieth vector is looked at; 1 for all of them, 0 for none.
        device: where the array lies.

    Attributes:
        written: what each programming took.
    """

    def __init__(
        self, hardware: Hardware, layout: Layout, groups: int, columns: int, every: int, device: torch.device
    ) -> None:
        self.hardware, self.layout, self.every = hardware, layout, every
        self.groups, self.columns = groups, columns
        self.written: list[Summary] = []
        self._outputs = self._inputs = 0
        wide = torch.float32 if device.type == "mps" else torch.float64
        tiles = 1 if layout.one_hot else len(layout.rows)
        self._squares = torch.zeros(groups, layout.rows[-1][1], dtype=wide, device=device)
        self._beyond = torch.zeros(tiles, dtype=wide, device=device)
        self._vectors, self._conversions = 0.0, [0.0] * tiles  # that the looks stand for
        # outputs, inputs, conversions of each tile in compiled graphs, where a number of Python is a constant
        self._compiled = torch.zeros(2 + tiles, dtype=torch.int64, device=device)
        self._random = Random(0)  # of its own: torch's numbers are the model's
        self._skipped = self._vectors_left = self._samples_left = 0
        self._stride, self._until = every, 0.0

    # --- what is heard ---------------------------------------------------------------------------

    def read(self, x: Tensor, y: Tensor, limit: Callable[[], Limit]) -> None:
        """Count the forward, and add the squares of the voltages of some vectors."""
        if torch.compiler.is_compiling():
            self._compiled[0].add_(y.numel())
            self._compiled[1].add_(x.numel())
            if self.every:
                self._look(x.detach(), self.every, 1, y.numel() // (self.groups * self.columns), limit())
            return
        if torch._C._functorch.is_batchedtensor(x):
            raise ValueError(
                "x is batched by torch.func.vmap: a trace counts reads one after the other; read the chips "
                "one by one while it listens"
            )
        outputs = y.numel()
        self._outputs += outputs
        self._inputs += x.numel()
        if self.every:
            vectors = outputs // (self.groups * self.columns)
            if self._stride:
                self._look(x.detach(), self._stride, 1 + self._skipped, vectors, limit())
                self._vectors += vectors * (1 + self._skipped)
            if self.every > 1:
                self._choose_next(vectors, self.layout.samples(x))

    def _choose_next(self, vectors: int, samples: int) -> None:
        """Whether the next forward is looked at, and each how manieth of its samples."""
        if self._stride:
            self._skipped = self._vectors_left = self._samples_left = 0
            self._until = self._random.uniform(0.5, 1.5) * self.every
        else:
            self._skipped += 1
        self._vectors_left += vectors
        self._samples_left += samples
        enough = self._vectors_left >= _AT_ONCE * self._until and self._samples_left >= self._until
        self._stride = max(self.every // (1 + self._skipped), 1) if enough else 0

    def _look(self, x: Tensor, stride: int, stands_for: int, vectors: int, limit: Limit) -> None:
        layout, into = self.layout, self._squares
        some = layout.sample(x, stride)
        weight = stands_for * layout.samples(x) / max(layout.samples(some), 1)
        driven = [] if layout.one_hot else driven_voltages(layout, some, self.hardware.dac, limit)
        squares, of_bias = squared_voltages(layout, some, driven)
        into[:, : squares.shape[1]].add_(squares.to(into), alpha=weight)
        if layout.bias_rows:
            into[:, squares.shape[1] :].add_(of_bias.to(into) * (vectors * stands_for))
        self.looked(some, driven, weight, vectors * stands_for)

    def looked(self, x: Tensor, driven: list[Voltages], weight: float, vectors: float) -> None:
        """Take what else is wanted of some vectors.

        Args:
            x: inputs of the samples looked at.
            driven: what is driven for them; nothing for a look-up.
            weight: how many samples each of them stands for.
            vectors: how many vectors all of them stand for.
        """

    def converted(self, layout: Layout, z: Tensor, channels: int, first: int) -> None:
        """Count those of some vectors that are beyond full scale."""
        adc, compiling = self.hardware.adc, torch.compiler.is_compiling()
        stride = self.every if compiling else self._stride
        if not stride or adc is None or adc.ideal:
            return
        axis, stands_for = layout.batch_axis, 1 if compiling else 1 + self._skipped
        some = z.detach()
        if stride > 1:
            some = some[(slice(None),) * axis + (slice(None, None, stride),)]
        beyond = adc.clips(some)
        if beyond.dim() == layout.product_axes:
            beyond = layout.partial(beyond, channels)
        others = [k for k in range(beyond.dim()) if k != layout.tile_axis]
        found = beyond.sum(others).to(self._beyond)
        tiles, weight = found.shape[0], stands_for * z.shape[axis] / max(some.shape[axis], 1)
        self._beyond[first : first + tiles].add_(found, alpha=weight)
        if compiling:
            self._compiled[2 + first : 2 + first + tiles].add_(z.numel() // tiles)
            return
        for k in range(first, first + tiles):
            self._conversions[k] += stands_for * z.numel() / tiles

    def programmed(self, written: Summary | None) -> None:
        """Keep what it took."""
        if written is not None:
            self.written.append(written)

    # --- what was found --------------------------------------------------------------------------

    def _in_graphs(self, place: int) -> int:
        """What compiled graphs counted; nothing runs in one on the meta device."""
        return 0 if self._compiled.is_meta else int(self._compiled[place])

    @property
    def vectors(self) -> int:
        """Driven so far."""
        return (self._outputs + self._in_graphs(0)) // (self.groups * self.columns)

    @property
    def products(self) -> int:
        """Multiply-accumulates of the digital layer for the same inputs."""
        given = self._inputs + self._in_graphs(1)
        return self.layout.products(given, self._outputs + self._in_graphs(0))

    @property
    def seen(self) -> float:
        """Vectors that the looks stand for."""
        return self._vectors + self._in_graphs(0) // (self.groups * self.columns)

    @property
    def mean_squares(self) -> Tensor | None:
        """Mean square of the voltage of each row, ``[group, row]``; None if nothing was looked at."""
        return self._squares / self.seen if self.every and self.seen else None

    @property
    def clipped(self) -> Tensor | None:
        """Share of the conversions beyond full scale, ``[tile]``; None if nothing was looked at."""
        looked = self._beyond.new_tensor(self._conversions) + self._compiled[2:]
        return self._beyond / looked.clamp(min=1) if self.every and bool(looked.any()) else None

"""One array by its description: layout, places for the entries of a chip, full scales."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mho.chip.damage import Rules
from mho.chip.layouts import ArraySize
from mho.chip.plan import ReadPlan
from mho.chip.reads import PACKED
from mho.chip.tap import Tap
from mho.chip.tile import TileState
from mho.config import python_number
from mho.errors import NotMappableError
from mho.hardware import Hardware
from mho.nn.crossbar.source import WeightSource
from mho.nn.kept_ranges import kept_limits
from mho.nn.unprogrammed import Notice
from mho.programming import Summary

CHIP = tuple(f"chip_{name}" for name in TileState._fields)
RANGES = ("input_range", "output_range")
STAMP = ("chip_format", "chip_checksum", "chip_drawn")
STREAM = "chip_stream"
MADE = (*CHIP, STREAM)  # what a chip is made of
SAVED = (*CHIP, "chip_weights", STREAM, *RANGES)
PLACE = {name: place for place, name in enumerate(SAVED)}
PACKED_BUFFERS = tuple(f"packed_{name}" for name in PACKED)


def check_bias_rows(value: int) -> int:
    """A number of bias rows; ``TypeError`` or ``ValueError`` if it is none."""
    value = python_number(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"bias_rows = {value!r}: give a whole number of rows, 0 for a digital bias")
    if value < 0:
        raise ValueError(f"bias_rows = {value!r}: give 0 (a digital bias) or more rows")
    return value


class Described(WeightSource):
    """An array with its description, its chip in buffers, and what products by the chip need.

    Attributes:
        hardware: the description of the array.
        bias_rows: rows of the array that hold the bias.
        layout: how the matrix lies in tiles.
        path: where the layer is in its model, for messages and random streams.
        written: what the last programming took; None for a single shot, or if the chip was loaded.
        seed: the chip's, if it was programmed here or came with a chip file; None otherwise.
        notice: says once that the model is evaluated without a chip.
    """

    hardware: Hardware
    seed: int | None = None
    chip_g: Any  # the buffers: a tensor or None
    chip_gain: Any
    chip_shift: Any
    chip_scale: Any
    chip_stream: Any
    chip_weights: Any
    chip_format: Any
    chip_checksum: Any
    chip_drawn: Any
    packed_kernel: Any
    packed_out: Any
    tile_index: Any
    training_step: Any
    input_range: Any
    output_range: Any

    def setup(self, hardware: Hardware, bias_rows: int = 0) -> None:
        """Describe the array, which is not programmed then.

        Args:
            hardware: the description of the array.
            bias_rows: rows that hold the bias; without a bias there are none.
        """
        if not isinstance(hardware, Hardware):
            raise TypeError(f"hardware = {hardware!r}: give a mho.Hardware")
        weight, bias = self.weight, self.bias
        _check_mappable(weight)
        self.shape, self.bias_shape = tuple(weight.shape), None if bias is None else tuple(bias.shape)
        self.hardware = hardware
        self.bias_rows = check_bias_rows(bias_rows) if bias is not None else 0
        size = hardware.tile
        self.layout = self.make_layout(
            tuple(weight.shape),
            ArraySize(size.rows, size.columns, size.full, self.bias_rows),
        )
        if self.layout.bias_rows != self.bias_rows:
            raise NotMappableError(
                f"bias_rows = {bias_rows!r}: the layout of {self.called} has no rows for a bias; give 0"
            )
        self.path = ""
        self.on_chip = False
        self.modifiers: tuple[Any, ...] = ()
        self.written: Summary | None = None
        self.notice = Notice(self.called)
        self._tap: Tap | None = None
        self._learner: Any = None
        self._packed_from: list[Tensor | None] = [None] * (len(SAVED) + 1)
        self._plan: ReadPlan | None = None
        self._to_compare = False  # whether cells that are drawn are compared with those that were saved
        self._rules: Rules | None = None
        self._seen: tuple[tuple[int, ...], ...] = ()
        self._versions: tuple[int, ...] = ()
        for name in (*CHIP, "chip_weights", STREAM, *STAMP):
            self.register_buffer(name, None)
        for name in PACKED_BUFFERS:
            self.register_buffer(name, None, persistent=False)
        self.register_buffer("training_step", None)
        self.register_buffer("tile_index", self._order(), False)
        for name in RANGES:
            self._make_range(name)

    def _order(self) -> Tensor | None:
        """Which input goes to each place of each tile; None if they lie in order."""
        order = self.layout.input_index()
        return None if order is None else torch.tensor(order, device=self.weight.device)

    def _make_range(self, name: str) -> None:
        """A full scale: trained, brought along by the description, or not there yet."""
        kept, place = kept_limits(self.hardware, self.layout, name), self.weight.device
        if kept is not None and kept.requires_grad:
            self.register_parameter(name, nn.Parameter(kept.detach().to(place)))
        else:
            self.register_buffer(name, None if kept is None else kept.to(place))

    def fill(self, anew: bool = False) -> None:
        """Make what follows from the description, where it has no value yet (on the meta device).

        Args:
            anew: also the full scales that have one: those of ``to_empty`` are arbitrary.
        """
        if self.weight.is_meta:
            return
        order, held = self._order(), self.tile_index
        if order is not None and (held.device != order.device or not torch.equal(held, order)):
            self.tile_index = order
        for name in RANGES:
            full_scale = getattr(self, name)
            if full_scale is not None and (anew or full_scale.is_meta):
                self._make_range(name)

    @property
    def is_programmed(self) -> bool:
        """Whether there is a chip, whole or lean."""
        return self.chip_scale is not None

    @property
    def is_lean(self) -> bool:
        """Whether the chip keeps its seed instead of its conductances."""
        return self.chip_stream is not None and self.chip_g is None

    def array_state(self) -> set[str]:
        """Names of the buffers and Parameters that the array has."""
        recipe = {name for name in self._buffers if name.startswith("training_")}
        return {*CHIP, "chip_weights", STREAM, *STAMP, *PACKED_BUFFERS, "tile_index", *recipe, *RANGES}


def _check_mappable(weight: Tensor) -> None:
    if weight.numel() == 0:
        raise NotMappableError(
            f"weight has shape {tuple(weight.shape)}: an array needs a row and a column at least, "
            "leave such a layer digital"
        )
    if weight.is_complex():
        raise NotMappableError(
            f"weight has dtype {weight.dtype}: cells hold real numbers; use a layer for the real "
            "part and one of the imaginary part, or leave such a layer digital"
        )

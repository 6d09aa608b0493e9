"""Moves of an array between devices and dtypes, and its way in and out of a ``state_dict``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mho.nn.crossbar.description import CHIP, MADE, PACKED_BUFFERS, RANGES, SAVED, STAMP, STREAM
from mho.nn.crossbar.plain import plain
from mho.nn.crossbar.reading import Readable
from mho.nn.crossbar.saved import LEFT_OUT, checksum
from mho.nn.fingerprint import fingerprint

_KEPT = (*CHIP, *PACKED_BUFFERS, *RANGES)


class Crossbar(Readable):
    """One array of a layer: its description, its layout, its chip, and the product by it.

    A layer owns the Parameters and holds one crossbar or several. Everything that belongs to a chip lies
    here in buffers: it is saved, moved and copied with the model.

    The bias of the layer is digital, or lies on ``bias_rows`` more rows of the array: n rows, each with the
    n-th part of it. Their cells are programmed, drift and are read like all others, share the reference
    weight and pass the ADC. Their input is one, in the units of the layer's inputs, driven by a constant
    source: whatever the range of the DAC, it is neither clipped nor rounded, and has no error of the DAC.
    Where inputs are driven bit by bit, the source gives each group of bits the same voltage. Training noise
    acts on the weights, not on the bias.

    Args:
        owner: the layer whose Parameter the array holds.
        weight: name of that Parameter.
        bias: name of the Parameter that is the bias of this array's outputs; None for none.
        part: first and last + 1 of the entries of the weight, along its first axis, that lie on this
            array; None for all.
        bias_part: the same for the bias.
        layout: shape of the weight and :class:`~mho.chip.layouts.ArraySize` to the layout, such as
            ``MatrixLayout.of``.

    Attributes:
        hardware: the description of the array.
        bias_rows: rows of the array that hold the bias.
        layout: how the matrix lies in tiles.
        path: where the layer is in its model, for messages and random streams.
        on_chip: whether training mode multiplies by the chip.
        modifiers: what training does to the weights, in order (see ``mho.training``).
        written: what the last programming took; None for a single shot, or if the chip was loaded.
        notice: says once that the model is evaluated without a chip.
    """

    def train(self, mode: bool = True) -> Any:
        """Training mode; entering evaluation checks that the chip holds the weights."""
        if self.training and not mode:
            for modifier in self.modifiers:
                modifier.constrain(self)
        super().train(mode)
        if not mode:
            if self._learner is not None:
                self._learner.settle()
            self.check_chip()
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Moves between devices move the chip; moves between dtypes leave it as it is."""
        before = {name: held.detach() for name in _KEPT if (held := getattr(self, name, None)) is not None}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, value in before.items():
            moved = getattr(self, name)
            if moved.dtype != value.dtype:
                if isinstance(moved, nn.Parameter):
                    moved.data = value.to(moved.device)
                else:
                    setattr(self, name, value.to(moved.device))
        if self.is_programmed:
            self._sync()
        return self

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """The chip with its format and checksum."""
        chip = self.held()
        if chip is not None and not chip.scale.is_meta:
            entries = {**chip._asdict(), "stream": self.chip_stream}
            if self.is_lean:
                entries.update(dict.fromkeys(LEFT_OUT))
            with plain():
                self.chip_checksum = checksum(entries).to(chip.scale.device)
                if self.is_lean and self.packed_kernel is not None:
                    self.chip_drawn = fingerprint(self.packed_kernel)
        super()._save_to_state_dict(destination, prefix, keep_vars)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Any, strict: bool,
        missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        """Take the chip of the dict; a dict without one leaves the chip (stale if the weights differ)."""
        names = (*SAVED, *STAMP)
        chip_given = prefix + "chip_scale" in state_dict
        given = {name: state_dict[prefix + name] for name in names if prefix + name in state_dict}
        self.refuse_state(state_dict, prefix)
        if chip_given and "chip_g" in given:
            given.pop(STREAM, None)
        for name in (*MADE, "chip_drawn") if chip_given else ():
            if name not in given:
                setattr(self, name, None)  # the chip of the dict has no such entry
        for name, value in given.items():
            here = getattr(self, name, None)
            if here is None or here.shape != value.shape or here.dtype != value.dtype:
                if not isinstance(here, nn.Parameter):
                    setattr(self, name, torch.empty_like(value, device=self.weight.device))
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        absent = {prefix + name for name in names if name not in given}
        missing_keys[:] = [key for key in missing_keys if key not in absent]
        recipe = prefix + "training_"  # of an attached recipe; either side may be without one
        missing_keys[:] = [key for key in missing_keys if not key.startswith(recipe)]
        unexpected_keys[:] = [key for key in unexpected_keys if not key.startswith(recipe)]
        self.fill()
        if chip_given:
            self.written = self.seed = None
            self._to_compare = self.is_lean
            if self.is_lean:
                self._drop_packed()  # drawn once all weights are there, or when it is read
            else:
                self.repack()

    def __getstate__(self) -> dict[str, Any]:
        """What copies and files get of it: the chip as it is now."""
        if self._learner is not None:
            self._learner.settle()
        return self.__dict__

    def extra_repr(self) -> str:
        """Rows and columns, and the state of the chip."""
        groups, rows, columns = self.matrix(torch.empty(self.weight.shape, device="meta")).shape
        size = f"{rows} x {columns}" if groups == 1 else f"{groups} x {rows} x {columns}"
        return f"{size}, {self.state_in_words()}"

    def state_in_words(self) -> str:
        """Bias rows, whether there is a chip, and the device of its cells."""
        state = "programmed" if self.is_programmed else "not programmed"
        if self.is_lean:
            state = f"{state}, lean"
        if self.bias_rows:
            state = f"bias_rows={self.bias_rows}, {state}"
        return f"device={type(self.hardware.device).__name__}, {state}"

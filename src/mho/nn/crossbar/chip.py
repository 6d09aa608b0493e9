"""The chip of one array: programmed, corrected, read out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mho.chip import tile
from mho.chip.damage import range_damage, refuse
from mho.chip.tile import Drawn, TileState
from mho.nn.computed_weights import make_plain
from mho.nn.crossbar.description import CHIP, MADE
from mho.nn.crossbar.packing import Packed
from mho.nn.crossbar.plain import plain
from mho.nn.crossbar.saved import LEFT_OUT, stream_of


class ChipHolder(Packed):
    """An array that is programmed, corrected and read out."""

    def set_chip(self, chip: TileState) -> None:
        """Take a chip and pack it; ``chip_weights`` is left alone.

        Raises:
            DamagedChipError: an entry can be that of no chip of this array; then it keeps the one it has.
        """
        self._check_ranges()
        self._check_state(chip)
        stays_lean = self.is_lean and chip.g.is_meta
        self._take(chip, self.chip_stream if stays_lean else None, self.drawn() if stays_lean else None)

    def _take(self, chip: TileState, stream: Tensor | None, drawn: Drawn | None) -> None:
        """Hold a chip and pack it; of a lean one, not its cells."""
        if (stream is None) != (self.chip_stream is None):
            self.chip_format = None  # it says what the chip leaves out
        self.chip_stream = stream
        for name, value in zip(CHIP, chip, strict=True):
            left_out = drawn is not None and name.removeprefix("chip_") in LEFT_OUT
            setattr(self, name, None if left_out else value)
        self._to_compare = False
        if drawn is None:
            self.chip_drawn = None
        self._plan = None  # it holds what was packed before
        if drawn is not None:
            self._drop_packed()
        self._pack(chip, drawn)

    def keep_whole(self) -> None:
        """Let a lean chip keep its conductances from now on, for they will change."""
        if self.is_lean:
            self.set_chip(self.require_chip("keep_whole"))

    def correct(self, gain: Tensor, shift: Tensor) -> None:
        """Take other digital corrections ``[column]``; what is packed of the array stays, if it can."""
        chip = self.outline("compensate")._replace(gain=gain, shift=shift)
        refuse(self._damage({"gain": gain, "shift": shift}), self.key)
        ours = self._own(MADE) and self._packed_from[-1] is self.packed_kernel
        if not (ours and tile.is_tiled(self.hardware) and self._versions == self._present_versions()):
            self.set_chip(chip)
            return
        self.chip_gain, self.chip_shift = gain, shift
        with plain():
            self.packed_out = tile.column_factors(chip).flatten()
        self._prepare()

    def program(self, seed: int, path: str, lean: bool = False) -> None:
        """Program one chip from the present weights; a lean one keeps its seed and no conductances."""
        with plain():
            drawn = tile.to_draw(self.hardware, self.present(), self.layout, seed, path)
            chip, self.written = tile.chip_of(drawn, lean)
            self._check_ranges()
            self._check_state(chip)
            stream = stream_of(seed, path).to(self.weight.device) if lean else None
            self._take(chip, stream, drawn if lean else None)
            self.mark_fresh()
        self.seed = int(seed)
        if self._tap is not None:
            self._tap.programmed(self.written)

    def mark_fresh(self) -> None:
        """The chip holds the present weights."""
        self.chip_weights = self.fingerprint()
        self._packed_from[len(CHIP)] = self.chip_weights
        self._seen = self.sight()

    def set_range(self, name: str, value: Tensor) -> None:
        """Set the full scale of a converter, ``"input_range"`` or ``"output_range"``."""
        here = getattr(self, name)
        value = value.to(self.weight.device, torch.float32)
        refuse(range_damage(self.hardware, self.layout, name, value), self.key)
        if isinstance(here, nn.Parameter):
            here.data.copy_(value)
        else:
            setattr(self, name, value)
        if self.is_programmed:
            self._prepare()

    def put_back(self, weight: Tensor, bias: Tensor | None, shift: Tensor) -> None:
        """Write what the array holds into the owner's Parameters.

        Args:
            weight: effective weights.
            bias: effective bias of the bias rows; None for a digital bias, which stays.
            shift: of the outputs; it becomes part of the bias, of each row of a table.

        Raises:
            ValueError: there is a shift and no place for a bias to take it.
        """
        if self.layout.one_hot:
            weight, shift = weight + shift, torch.zeros_like(shift)
        self.weight.data.copy_(weight)
        if bias is not None:
            self.bias.data.copy_(bias)
        if not bool(shift.any()):
            return
        if self.bias is None:
            if self.bias_name not in self._owner._parameters:
                raise ValueError(
                    f"the outputs of {self.path!r} were shifted by a correction, and it has no bias to hold "
                    "the shift: revert before mho.compensate(model, Affine()), or give the layer a bias"
                )
            make_plain(self._owner, torch.zeros_like(shift, dtype=self.weight.dtype), self.bias_name)
        self.bias.data.copy_(self.bias.detach().to(shift.dtype) + shift)

    def effective_weight(self) -> Tensor:
        """The weights that the chip holds now, in the Parameter's shape; read noise never."""
        matrix = self._effective("effective_weight")
        with plain():
            return self.from_matrix(matrix[:, : matrix.shape[1] - self.bias_rows])

    def effective_bias(self) -> Tensor | None:
        """The bias that the bias rows of the chip hold now, gain included; None if it is digital."""
        if not self.bias_rows:
            return None
        with plain():
            return self._effective("effective_bias")[..., -self.bias_rows :, :].sum(-2).flatten()

    def _effective(self, verb: str) -> Tensor:
        with plain():
            return tile.effective_weight(self.hardware, self.require_chip(verb), self.layout)

"""The chip of one array as it is held: whole, or lean, with its seed in the place of its conductances."""

from __future__ import annotations

import torch

from mho.autograd import in_transform
from mho.chip.tile import Drawn, TileState
from mho.errors import DamagedChipError, NotProgrammedError
from mho.nn.crossbar.description import CHIP
from mho.nn.crossbar.plain import plain
from mho.nn.crossbar.saved import stream_named
from mho.nn.crossbar.soundness import Checked


class HoldsChip(Checked):
    """An array that has a chip, whole or lean, or none."""

    @property
    def chip(self) -> TileState | None:
        """The programmed chip, or None. All of a lean one is drawn: :meth:`outline` where that is enough."""
        held = self.held()
        if held is None or not self.is_lean or held.scale.is_meta:
            return held
        with plain():
            written, cells, _ = self._drawn(held).whole()
        return held._replace(g=written.g, cells=cells)

    def require_chip(self, verb: str) -> TileState:
        """The chip, or ``NotProgrammedError`` naming the verb that needs one."""
        self.outline(verb)
        chip = self.chip
        assert chip is not None
        return chip

    def held(self) -> TileState | None:
        """The chip as it is held, or None; the cells of a lean one have a shape, and no values."""
        if not self.is_programmed:
            return None
        if self._learner is not None:
            self._learner.settle()
        entries = [getattr(self, name) for name in CHIP]
        if self.is_lean:
            allowed, dtype = self.rules().entries, self.chip_scale.dtype
            shapes = (allowed[name].shapes[0] for name in TileState._fields[:2])
            entries[:2] = [torch.empty(shape, dtype=dtype, device="meta") for shape in shapes]
        return TileState(*entries)

    def outline(self, verb: str) -> TileState:
        """:meth:`held`, or ``NotProgrammedError`` naming the verb that needs a chip."""
        held = self.held()
        if held is None:
            raise NotProgrammedError(
                f"{verb} needs a programmed chip, and {self.path or 'this layer'!r} has none: "
                "call mho.program(model, seed=0) first"
            )
        return held

    @property
    def is_to_be_drawn(self) -> bool:
        """Whether nothing is packed of a lean chip yet, though its weights have values."""
        return self.is_lean and self.packed_kernel is None and not self.weight.is_meta

    def drawn(self) -> Drawn | None:
        """The cells of a lean chip; None of a chip that keeps them.

        Raises:
            DamagedChipError: the weights are no longer those that were programmed.
        """
        held = self.held() if self.is_lean else None
        if held is None:
            return None
        with plain():
            return self._drawn(held)

    def _drawn(self, held: TileState) -> Drawn:
        where = self.path or "this layer"
        if in_transform() and torch._C._functorch.is_batchedtensor(self.chip_stream):
            raise ValueError(
                f"{where!r}: torch.func.vmap stacks lean chips, and their cells cannot be drawn together; "
                "stack what is packed too, as torch.func.stack_module_state does, or program without lean"
            )
        if self.chip_weights is not None and bool(self.fingerprint() != self.chip_weights):
            raise DamagedChipError(
                f"{where!r}: the chip is lean, its cells are drawn from the weights that were programmed, "
                "and the weights have changed since; give them back, or call mho.program again"
            )
        seed, path = stream_named(self.chip_stream)
        return Drawn(self.hardware, self.present(), held.scale, self.layout, seed, path)

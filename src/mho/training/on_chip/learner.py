"""One array that learns: it is read as in evaluation, and remembers what each vector wants of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mho import random
from mho.chip import tile
from mho.chip.reads import Read
from mho.chip.state import TileState, is_plain
from mho.nn.crossbar import Crossbar, plain
from mho.training.on_chip.backward import Backward
from mho.training.on_chip.parts import check_tiles, parts_of, pulsed_device
from mho.training.on_chip.rules import Held, Rule
from mho.training.on_chip.weights import PulsedWeights

_RANGE = 2.0  # full scale of the reads of arrays that only the rule sees, in units of states


class Vectors(NamedTuple):
    """What one forward and its backward had on the lines of an array.

    Attributes:
        x: of the rows, ``[vector, group, row]``, with ones on bias rows.
        d: of the columns, ``[vector, group, column]``, in units of the output.
    """

    x: Tensor
    d: Tensor


class Learner:
    """What an optimizer holds of one array.

    Attributes:
        crossbar: the array.
        device: its pulsed device, among effects perhaps.
        held: what the rule holds.
        seen: pairs of vectors since the last step, in the order of their forwards.
        in_evaluation: whether it is asked in evaluation too; the crossbar reads its chip itself there.
    """

    in_evaluation = False

    def __init__(self, crossbar: Crossbar, rule: Rule, backward: Backward, seed: int) -> None:
        """Make a programmed array learn; ``seed`` names the draws of arrays that only the rule sees."""
        self.crossbar, self.backward, self.seed = crossbar, backward, seed
        crossbar.keep_whole()
        chip = crossbar.require_chip("learning on the chip")
        where = crossbar.path or "the array"
        self.device, self._own = pulsed_device(crossbar, chip.cells, where)
        how = crossbar.hardware.mapping.readout(self.device.g_min, self.device.g_max)
        self.parts = parts_of(how, self.device, where)
        check_tiles(rule, len(self.parts), where)
        self.columns = chip.gain.numel() // chip.g.shape[1]
        cells, states = self.device.of_state(self._own[..., : self.columns]), self._states(chip.g)
        tiles = []
        for part in self.parts:
            some = {name: value[list(part.copies)] for name, value in cells.items()}
            tiles.append(PulsedWeights(self.device.cell, some, states[list(part.copies)], part.signs))
        self.held = Held(tiles, [part.factor for part in self.parts], reading=self._reading)
        rule.begin(self.held, self._hidden)
        self.seen: list[tuple[int, Vectors]] = []
        self.forwards = 0
        self.anchor = torch.zeros((), requires_grad=True)  # so that outputs want a gradient
        hardware = crossbar.hardware
        self._quick = is_plain(hardware) and hardware.device.holds and not hardware.device.noisy
        self._take(chip)

    def _states(self, g: Tensor) -> Tensor:
        """States of the cells of weights, ``[copy, group, row, column]``."""
        return self.device.state(g[..., : self.columns])

    def _take(self, chip: TileState) -> None:
        """Work with the chip that the array holds now."""
        self._chip, self._base = chip, self.crossbar.packed()
        self._factors = [tile.column_factors(chip) * part.factor for part in self.parts]
        self._read = self._base
        self._matrix: Tensor | None = None
        self.settled = self._current = True
        self._mark()

    def _mark(self) -> None:
        g: Tensor = self.crossbar.chip_g
        self._known, self._version = g, g._version

    def _is_ours(self) -> bool:
        """Whether the chip is the one that the pulses left."""
        g: Tensor = self.crossbar.chip_g
        return g is self._known and g._version == self._version

    def adopt(self) -> None:
        """Go on from a chip that was loaded, or programmed anew with the same seed, since the last step.

        Raises:
            ValueError: it is a chip of other cells.
        """
        self.settled = True
        chip = self.crossbar.require_chip("learning on the chip")
        where = self.crossbar.path or "the array"
        if not torch.equal(pulsed_device(self.crossbar, chip.cells, where)[1], self._own):
            raise ValueError(
                f"the chip of {where!r} has other cells than the one that this optimizer was made for: make "
                "a PulsedOptimizer for the chip that is there now"
            )
        states = self._states(chip.g)
        for part, weights in zip(self.parts, self.held.tiles, strict=True):
            for flat in (weights.bank.weight, weights.bank.shown):
                weights.of_cells(flat).copy_(states[list(part.copies)])
        self._take(chip)

    def _hidden(self, name: str) -> PulsedWeights:
        """An array of cells of its own, at their symmetry points."""
        like, cell, path = self.held.weights.shown(), self.device.cell, self.crossbar.path
        eps = [random.normal(like.shape, self.seed, path, name, draw).to(like) for draw in cell.draws]
        cells = self.device.of_state(self.device.own_state(torch.stack(eps)))
        zero = cell.symmetry_point(cells) - cells["reference"]
        return PulsedWeights(cell, cells, zero.expand_as(like).clone(), self.held.weights.signs)

    # --- forward and backward --------------------------------------------------------------------

    def __call__(self, x: Tensor) -> Tensor:
        """Read the array by its chip, with converters and noise; its backward remembers the vectors."""
        if not self._is_ours():
            with plain():
                self.adopt()
        y: Tensor = _Reading.apply(x, self.anchor, self)  # type: ignore[no-untyped-call]
        bias = self.crossbar.digital_bias
        return y if bias is None else y + self.crossbar.layout.over_output(bias).to(y.dtype)

    def product(self, x: Tensor) -> Tensor:
        """The product by the chip, without the digital bias."""
        crossbar, read = self.crossbar, self._read
        limits = crossbar.limits()
        driven = x.to(read.kernel.dtype) if x.is_floating_point() else x
        y = tile.matvec(crossbar.hardware, read, crossbar.layout, driven, None, limits, crossbar._tap)
        if crossbar._tap is not None:
            crossbar._tap.read(x, y, crossbar.input_limit)
        return y.to(x.dtype) if x.is_floating_point() else y

    def numbered(self) -> int:
        """The number of a forward."""
        self.forwards += 1
        return self.forwards

    def went_back(self, number: int, x: Tensor, d: Tensor, wanted: bool) -> Tensor | None:
        """Remember the vectors of a forward; read the gradient of its inputs from the columns if wanted."""
        layout = self.crossbar.layout
        leaf = x.detach().float().contiguous() if x.is_floating_point() else x
        vectors = layout.vectors(leaf)
        errors = layout.column_vectors(d).float()
        self.seen.append((number, Vectors(self._with_bias_rows(vectors), errors)))
        if not wanted:
            return None
        found = self.backward.read(self.crossbar, self.chip(), self.matrix(), errors)
        if vectors.is_contiguous() and vectors.data_ptr() == leaf.data_ptr():  # they are the inputs in order
            return found.view(x.shape).to(x.dtype)
        with torch.enable_grad():
            vectors = layout.vectors(leaf.requires_grad_())
        (gradient,) = torch.autograd.grad(vectors, leaf, found)
        return gradient.to(x.dtype)

    def _with_bias_rows(self, vectors: Tensor) -> Tensor:
        """The vectors, with ones on the bias rows."""
        rows = self.crossbar.bias_rows
        return torch.cat([vectors, vectors.new_ones(*vectors.shape[:2], rows)], dim=-1) if rows else vectors

    def matrix(self) -> Tensor:
        """The weights that the array multiplies by, without bias rows, ``[group, row, column]``."""
        if self._matrix is None:
            matrix = self._states_matrix() if self._quick else self._chips_matrix()
            self._matrix = matrix[:, : matrix.shape[1] - self.crossbar.bias_rows]
        return self._matrix

    def _states_matrix(self) -> Tensor:
        """From the states of the cells, where nothing lies between them and the product."""
        first, *rest = zip(self._factors, self.held.tiles, strict=True)
        matrix = first[1].weights() * first[0]
        for factors, tile_ in rest:
            matrix = matrix + tile_.weights() * factors
        return matrix

    def _chips_matrix(self) -> Tensor:
        """From the chip, through its wires and effects."""
        return tile.effective_weight(self.crossbar.hardware, self.chip(), self.crossbar.layout).float()

    # --- a step ----------------------------------------------------------------------------------

    def vectors(self) -> Vectors | None:
        """What was seen since the last step, in the order of the forwards; None for nothing."""
        if not self.seen:
            return None
        in_order = [vectors for _, vectors in sorted(self.seen, key=lambda one: one[0])]
        self.forget()
        return in_order[0] if len(in_order) == 1 else Vectors(*map(torch.cat, zip(*in_order, strict=True)))

    def forget(self) -> None:
        """Forget what was seen."""
        self.seen.clear()
        self.forwards = 0

    @property
    def seconds(self) -> float:
        """Age of the chip."""
        held: Tensor = self.crossbar.chip_seconds  # type: ignore[assignment]
        return float(held)

    @property
    def factors(self) -> Tensor:
        """Output for each unit of state of the first tile, ``[group, column]``."""
        return self._factors[0].squeeze(1)

    def moved(self) -> None:
        """The cells hold other weights now. The crossbar gets them when it is next looked at."""
        self.settled = self._current = False
        self._matrix = None
        self._read = self._moved_read()

    def _moved_read(self) -> Read:
        """What products need now."""
        crossbar, hardware, layout = self.crossbar, self.crossbar.hardware, self.crossbar.layout
        if self._quick and not tile.is_tiled(hardware) and not crossbar.bias_rows:
            return self._base._replace(kernel=layout.whole_kernel(self.matrix()))
        read = tile.repack(hardware, self._base, self.chip(), layout)
        if read is None:
            read = tile.pack(hardware, self.chip(), layout).changed(inputs=crossbar.tile_index)
        return read

    def chip(self) -> TileState:
        """The chip with the conductances of its cells now."""
        if not self._current:
            g = self._chip.g.clone()
            for part, weights in zip(self.parts, self.held.tiles, strict=True):
                shown = self.device.conductance(weights.shown())
                g[part.of(len(g)), ..., : self.columns] = shown.to(g.dtype)
            self._chip, self._current = self._chip._replace(g=g), True
        return self._chip

    def settle(self) -> None:
        """Give the crossbar the chip as it is now, with the baseline of a read of it."""
        if self.settled:
            return
        self.settled = True
        if not self._is_ours():
            return  # another chip was loaded: the next forward takes it
        crossbar = self.crossbar
        with plain():
            chip = self.chip()
            baseline = tile.baseline_read(crossbar.hardware, chip, crossbar.layout, torch.zeros_like(chip.g))
            self._chip = chip._replace(baseline=baseline)
            crossbar.set_chip(self._chip)
        self._mark()

    def _reading(self, array: PulsedWeights, rows: Tensor, generator: torch.Generator) -> Tensor:
        """A read of single rows at full scale, with the noise of the device and the steps of the ADC."""
        states = array.shown().index_select(2, rows)
        device = self.device.device
        if device.noisy:
            g = self.device.conductance(states)
            std = device.read_std(g, g, 0.0) / self.device.unit
            states = states + std * torch.randn(states.shape, generator=generator, dtype=states.dtype)
        return self.backward.converted(array.summed(states), self.crossbar.hardware.adc, top=_RANGE)

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        """Copies of an array learn nothing."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _none, ()


def _none() -> None:
    return None


class _Reading(torch.autograd.Function):
    """A read whose backward is a read of the columns."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, anchor: Tensor, learner: Learner) -> Tensor:
        ctx.learner, ctx.number = learner, learner.numbered()
        ctx.save_for_backward(x)
        return learner.product(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, None, None]:
        (x,) = ctx.saved_tensors
        return ctx.learner.went_back(ctx.number, x, d, ctx.needs_input_grad[0]), None, None

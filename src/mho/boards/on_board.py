"""A network whose arrays are on a board: programmed there, read back, and multiplied there in the loop."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import Self

from mho.boards.bench import Bench
from mho.boards.placing import Block, placed
from mho.boards.writing import write
from mho.chip import tile
from mho.nn import Crossbar, crossbars
from mho.nn.crossbar import plain
from mho.programming import ProgrammingResult, WriteVerify

_STEPS = 255  # to full scale, of inputs without a DAC
_PARTS = ("g", "pulses", "failed", "energy", "seconds")


class OnBoard:
    """The arrays of a converted model on a board, in evaluation and in training, until :meth:`close`.

    Each forward of an array drives its inputs on the board and reads the columns; the instrument is the ADC,
    and ``hardware.adc`` is left out. Gradients go back through the model of the chip, which holds the
    conductances that were read back, and straight through to the weights: training in the loop. Steps of an
    optimizer change the weights, not the board, until :meth:`program` is called; it pulses only the cells
    that are off.

    Arrays that do not fit beside each other go page by page: a forward writes the page that it needs, if the
    board holds another one. That is as slow as it sounds, and wears the cells.

    ``hardware`` should be that of the board: the device, its bounds and the mapping. Effects in it are drawn
    for the model of the chip alone. After :meth:`close` the model is an ordinary one, with a simulated chip
    of the conductances that were read last. Until then verbs on the model, such as ``mho.compensate``,
    act on its simulated chip alone: the board knows nothing of them.

    Args:
        model: what ``mho.convert`` made.
        bench: the board.
        rule: how cells are written (:func:`mho.boards.write`).
        seed: of what is frozen in the model of the chip beside its conductances.

    Attributes:
        blocks: where everything lies.
        written: what the last programming took, of each array by its path, ``[copy, group, row, column]``.

    Example:
        >>> import mho
        >>> from mho.boards import Bench, SimulatedBoard
        >>> hardware = mho.Hardware(device=mho.devices.Ideal())
        >>> model = mho.convert(torch.nn.Sequential(torch.nn.Linear(4, 3)), hardware).eval()
        >>> x = torch.rand(5, 4)
        >>> with Bench(SimulatedBoard(mho.devices.Ideal(), 8, 8), mho.devices.Ideal()) as bench:
        ...     with OnBoard(model, bench) as there:
        ...         y = model(x)
        >>> torch.allclose(y, model(x), atol=1e-5)  # the chip that was on the board, simulated
        True
    """

    def __init__(
        self, model: nn.Module, bench: Bench, rule: WriteVerify | None = None, seed: int = 0
    ) -> None:
        self.bench, self.seed = bench, seed
        self.rule = WriteVerify() if rule is None else rule
        self.arrays = {path: _Array(path, crossbar, self) for path, crossbar in crossbars(model).items()}
        for array in self.arrays.values():
            array.check()
        self._targets = {path: array.targets() for path, array in self.arrays.items()}
        sizes = {path: tuple(g.shape) for path, g in self._targets.items()}
        self.blocks = placed(sizes, bench.capabilities)  # type: ignore[arg-type]
        self.written: dict[str, ProgrammingResult] = {}
        self._page: int | None = None
        self.program()
        for array in self.arrays.values():
            array.crossbar._learner = array

    @property
    def pages(self) -> int:
        """How many fillings of the board the model takes."""
        return 1 + max(block.page for block in self.blocks)

    def program(self) -> None:
        """Bring the board to the present weights, and the model of the chip to what is read back.

        Raises:
            BoardError: see :func:`mho.boards.write`.
        """
        self._targets = {path: array.targets() for path, array in self.arrays.items()}
        results = {path: _empty(g) for path, g in self._targets.items()}
        pages = range(self.pages)
        for page in sorted(pages, key=lambda p: p != self._page):  # what is there already comes first
            done = self._write(page)
            for block in self._of(page):
                for name in _PARTS:
                    getattr(results[block.path], name)[block.inside] = getattr(done, name)[block.on_board]
        self.written = results
        for path, array in self.arrays.items():
            array.take(results[path], self.seed)

    def refresh(self) -> None:
        """Bring the model of the chip to what the board holds now, of the page that is there."""
        assert self._page is not None
        g = self.bench.conductances()
        for block in self._of(self._page):
            self.arrays[block.path].read_back(block, g[block.on_board])
        for path in {block.path for block in self._of(self._page)}:
            self.arrays[path].settle_chip()

    def hold(self, page: int) -> None:
        """Write a page, if the board holds another one."""
        if page != self._page:
            self._write(page)

    def _write(self, page: int) -> ProgrammingResult:
        shape = self.bench.capabilities.shape
        goal, mask = torch.zeros(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.bool)
        for block in self._of(page):
            goal[block.on_board] = self._targets[block.path][block.inside]
            mask[block.on_board] = True
        device = next(iter(self.arrays.values())).crossbar.hardware.device
        self._page = None  # half of two pages, if this fails
        done = write(self.bench, goal, self.rule, self.bench.device or device, mask)
        self._page = page
        return done

    def _of(self, page: int) -> list[Block]:
        return [block for block in self.blocks if block.page == page]

    def close(self) -> None:
        """Take the arrays off the board; the board keeps what it holds."""
        for array in self.arrays.values():
            if array.crossbar._learner is array:
                array.crossbar._learner = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Driven(NamedTuple):
    """What is driven on the rows: parts of full scale, full scale in units of the inputs, and steps to it."""

    vectors: Tensor
    top: float
    steps: int


class _Array:
    """One array on a board; a crossbar asks it in the place of its own product."""

    in_evaluation = True

    def __init__(self, path: str, crossbar: Crossbar, board: OnBoard) -> None:
        self.path, self.crossbar, self.board = path, crossbar, board

    def check(self) -> None:
        """Raise ``ValueError`` if a board cannot stand for the array."""
        crossbar, hardware = self.crossbar, self.crossbar.hardware
        where = self.path or "the array"
        if crossbar._learner is not None:
            raise ValueError(f"{where!r} learns by pulses, or is on a board already: close that first")
        if hardware.array.voltages or hardware.array.loaded:
            raise ValueError(
                f"{where!r} has array = {type(hardware.array).__name__}(...): the wires of a board are its "
                "own; convert with array=Ideal()"
            )

    def targets(self) -> Tensor:
        """Of the present weights, siemens ``[copy, group, row, column]``."""
        hardware = self.crossbar.hardware
        with plain():
            weight = self.crossbar.present()
            tile.check_finite(weight, self.path)
            scale = hardware.mapping.scale.reference(weight)
            g = hardware.mapping.targets(weight / scale, hardware.device.g_min, hardware.device.g_max)
            return g.cpu()

    # --- the model of the chip -------------------------------------------------------------------

    def take(self, done: ProgrammingResult, seed: int) -> None:
        """Hold what was read after programming."""
        crossbar = self.crossbar
        with plain():
            chip, _ = tile.write(crossbar.hardware, crossbar.present(), crossbar.layout, seed, self.path)
            self._chip = chip._replace(g=self._allowed(done.g, chip.g))
            self.settle_chip()
            crossbar.mark_fresh()
        crossbar.seed = seed
        goal = self.board._targets[self.path].double()
        crossbar.written = self.board.rule.summary(done, goal, crossbar.hardware.device.g_max)

    def read_back(self, block: Block, g: Tensor) -> None:
        """Hold what was read of a part."""
        self._chip.g[block.inside] = self._allowed(g, self._chip.g)

    def _allowed(self, g: Tensor, like: Tensor) -> Tensor:
        """What cells of the described device can hold: reads are noisy beyond it."""
        low, high = self.crossbar.hardware.device.written_span()
        return g.to(like).clamp(low, high)

    def settle_chip(self) -> None:
        """Give the crossbar the chip as it was read."""
        crossbar, hardware = self.crossbar, self.crossbar.hardware
        with plain():
            zero = torch.zeros_like(self._chip.g)
            baseline = tile.baseline_read(hardware, self._chip, crossbar.layout, zero)
            self._chip = self._chip._replace(g=self._chip.g.clone(), baseline=baseline)
            crossbar.set_chip(self._chip)
            self._effective = tile.effective_weight(hardware, self._chip, crossbar.layout)

    def settle(self) -> None:
        """The crossbar's chip is what was read last."""

    # --- forward and backward --------------------------------------------------------------------

    def __call__(self, x: Tensor) -> Tensor:
        """The product by the board, with the gradients of the model of its chip."""
        modelled = self._modelled(x)
        with torch.no_grad():
            measured = self._measured(x, modelled)
            bias = self.crossbar.digital_bias
            if bias is not None:
                measured = measured + self.crossbar.layout.over_output(bias).to(measured)
        return modelled + (measured - modelled).detach()

    def _modelled(self, x: Tensor) -> Tensor:
        """The product by the chip as it was read, with gradients straight through to the weights."""
        crossbar, layout = self.crossbar, self.crossbar.layout
        clean = crossbar.logical(crossbar.wide_weight())
        weights = clean + (self._effective.to(clean) - clean).detach()
        bias, rows = crossbar.digital_bias, crossbar.bias_rows
        if rows:
            weights, lines = weights[:, :-rows], weights[:, -rows:]
            bias = lines.sum(1).flatten()
        wide = x.to(weights.dtype) if x.is_floating_point() else x
        bias = None if bias is None else bias.to(weights.dtype)
        y: Tensor = layout.whole_product(wide, layout.whole_kernel(weights), bias)
        return y.to(x.dtype) if x.is_floating_point() else y

    def _measured(self, x: Tensor, like: Tensor) -> Tensor:
        """What the board gives, in the shape of the layer's output ``like``, without the digital bias."""
        crossbar, hardware, layout = self.crossbar, self.crossbar.hardware, self.crossbar.layout
        vectors = layout.vectors(x).cpu().double()
        if crossbar.bias_rows:
            ones = vectors.new_ones(*vectors.shape[:2], crossbar.bias_rows)
            vectors = torch.cat((vectors, ones), dim=-1)
        driven, top, steps = self._driven(vectors)
        how = hardware.mapping.readout(hardware.device.g_min, hardware.device.g_max)
        sums = self._sums(driven, steps) * top / hardware.device.g_max
        weights = tile.normalised(tile.combine(sums, how), how._replace(offset=0.0))
        total = top * driven.sum(-1).t()[..., None]  # [group, vector, 1]
        y = (weights - how.offset * total) * tile.column_factors(self._chip).cpu()
        place = layout.column_vectors(torch.arange(like.numel()).view(like.shape))
        flat = torch.empty(like.numel(), dtype=y.dtype)
        flat[place.reshape(-1)] = y.transpose(0, 1).reshape(-1)
        return flat.view(like.shape).to(like)

    def _driven(self, vectors: Tensor) -> _Driven:
        """Inputs after the DAC as parts of full scale.

        Without a DAC, or without a full scale of its own, full scale is the largest input of these vectors.
        """
        dac, limit = self.crossbar.hardware.dac, self.crossbar.input_limit()
        rows = vectors.shape[-1] - self.crossbar.bias_rows
        inputs, sources = vectors[..., :rows], vectors[..., rows:]
        most, steps = float(vectors.abs().max()) if vectors.numel() else 0.0, _STEPS
        if dac is not None and not dac.ideal and most > 0:
            top = float(inputs.abs().max() if limit is None else torch.as_tensor(limit).max())
            vectors = torch.cat((dac.quantise(inputs, top), sources), dim=-1)
            most = max(float(sources.abs().max()), top) if sources.numel() else top
            if most == top:
                steps = int(dac.peak if float(dac.peak).is_integer() else 2 * dac.peak)
        return _Driven(vectors / most, most, steps) if most > 0 else _Driven(vectors, 1.0, steps)

    def _sums(self, driven: Tensor, steps: int) -> Tensor:
        """Sums of conductances times inputs, siemens, ``[copy, group, vector, column]``."""
        board, shape = self.board, self._chip.g.shape
        total = torch.zeros(*shape[:2], len(driven), shape[3], dtype=torch.float64)
        mine = sorted((b for b in board.blocks if b.path == self.path), key=lambda b: b.page != board._page)
        for (page, top, group, rows), blocks in _alike(mine).items():
            board.hold(page)
            x = torch.zeros(len(driven), board.bench.capabilities.rows, dtype=torch.float64)
            x[:, top : top + rows[1] - rows[0]] = driven[:, group, slice(*rows)]
            lines = torch.cat([torch.arange(b.on_board[1].start, b.on_board[1].stop) for b in blocks])
            sums = board.bench.multiply(x, lines, steps) / board.bench.v_read
            parts = sums.split([b.width for b in blocks], 1)
            for block, found in zip(blocks, parts, strict=True):
                total[block.copy, group, :, slice(*block.columns)] += found
        return total

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        """Copies of an array are on no board."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _none, ()


def _none() -> None:
    return None


def _alike(blocks: list[Block]) -> dict[tuple[int, int, int, tuple[int, int]], list[Block]]:
    """Blocks that lie beside each other and have the same inputs: one product reads them."""
    found: dict[tuple[int, int, int, tuple[int, int]], list[Block]] = {}
    for block in blocks:
        found.setdefault((block.page, block.top, block.group, block.rows), []).append(block)
    return found


def _empty(like: Tensor) -> ProgrammingResult:
    zero = torch.zeros(like.shape, dtype=torch.float64)
    return ProgrammingResult(zero, zero.int(), zero.bool(), zero.clone(), zero.clone())

"""What a layer type brings to a product, and what one product needs.

The interfaces between the layers, the composition and the product, without any arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from torch import Tensor

Limit = float | Tensor | None


class Cut(Protocol):
    """How a layer type lays its logical array out in tiles, and multiplies by it.

    A *partial* is the current of each column, for each tile of rows and each channel.
    """

    @property
    def rows(self) -> tuple[tuple[int, int], ...]:
        """First and last + 1 row of each tile."""

    @property
    def columns(self) -> tuple[tuple[int, int], ...]:
        """First and last + 1 column of each tile."""

    @property
    def bias_rows(self) -> int:
        """How many of the last rows hold the bias: their input is one, the layer gives none."""

    @property
    def tile_axis(self) -> int:
        """Axis of the tiles of rows in a partial."""

    @property
    def channel_axis(self) -> int:
        """Axis of the channels in a partial."""

    @property
    def column_axis(self) -> int:
        """Axis of the columns in a partial."""

    @property
    def batch_axis(self) -> int:
        """Axis of the vectors, in arranged inputs, in what :meth:`product` gives and in a partial."""

    @property
    def product_axes(self) -> int:
        """Number of axes of what :meth:`product` gives."""

    @property
    def one_hot(self) -> bool:
        """Whether inputs are row numbers: that row is on at full scale, and its tile alone is read."""

    @property
    def output_axis(self) -> int:
        """Axis of the columns in the layer's output."""

    def matrix(self, weight: Tensor) -> Tensor:
        """``weight`` (the Parameter's shape) as ``[group, row, column]``, without bias rows."""

    def from_matrix(self, matrix: Tensor) -> Tensor:
        """``[group, row, column]``, without bias rows, in the shape of the Parameter."""

    def check(self, x: Tensor, where: str) -> None:
        """Raise ``TypeError`` or ``ValueError`` unless ``x`` can be an input of the layer ``where``."""

    @property
    def portioned(self) -> bool:
        """Whether :meth:`portion` ever gives a number."""

    def portion(self, read: Read, x: Tensor, tiled: bool) -> int | None:
        """How many vectors are read at once where that is faster; None for all."""

    def arrange(self, x: Tensor, index: Tensor | None) -> Tensor:
        """Inputs in the order of the tiles; ``index`` is :meth:`input_index` as a tensor."""

    def input_index(self) -> list[int] | None:
        """Which input goes to each place of each tile; None if the inputs lie in order already."""

    def tiles(self, read: Read, x: Tensor) -> list[tuple[Cut, Read, Tensor]]:
        """The products that a read of the layer's input is made of, with their arranged inputs."""

    def input_tiles(self, v: Tensor) -> tuple[Tensor, ...]:
        """The arranged inputs of each tile."""

    def squares(self, x: Tensor) -> Tensor:
        """The square of each input, of plain or arranged inputs."""

    def kernel(self, matrices: Tensor) -> Tensor:
        """``matrices[channel, group, row, column]``, without bias rows, in the layout of :meth:`product`."""

    def product(self, x: Tensor, kernel: Tensor) -> Tensor:
        """All column currents of arranged inputs ``x``, in one batched product, in its own layout."""

    def partial(self, currents: Tensor, channels: int) -> Tensor:
        """What :meth:`product` gave, viewed with an axis for each of tile, channel and column."""

    def whole_kernel(self, matrix: Tensor) -> Tensor:
        """``matrix[group, row, column]``, without bias rows, in the layout of the digital layer's weight."""

    def whole_product(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """The digital layer's own operation."""

    def over_partial(self, values: Tensor) -> Tensor:
        """``values[group, tile, channel, column]``, each size 1 or full, to broadcast over a partial."""

    def over_inputs(self, values: Tensor) -> Tensor:
        """``values[tile]`` to broadcast over arranged inputs."""

    def over_output(self, values: Tensor) -> Tensor:
        """``values[group * column]`` or ``values[1]`` to broadcast over the layer's output."""

    def input_peak(self, x: Tensor, arranged: bool) -> Tensor:
        """Largest magnitude of each input vector, to broadcast over ``x``."""

    def input_peak_over_partial(self, peak: Tensor) -> Tensor:
        """What :meth:`input_peak` gave, to broadcast over a partial."""

    def input_axes(self, x: Tensor, arranged: bool) -> tuple[int, ...]:
        """Axes of one input vector."""

    def column_axes(self, partial: Tensor) -> tuple[int, ...]:
        """Axes of the currents of one vector in a partial, by tile and channel; that of the columns first."""

    def output(self, total: Tensor, like: Tensor) -> Tensor:
        """A partial summed over tiles and channels, in the shape of the output for the input ``like``."""


class Lines(NamedTuple):
    """Noise of cells behind wires: what the currents of their own bit lines take from their voltage.

    Of the cells of one sum of currents, ``copies`` lie on bit lines of their own, and ``groups`` of rows are
    told apart. With the currents i and inputs in units of full scale, the variance has

    - ``sum over copies sum_g i_g (q_g + sum_(h >= g) i_h factor_gh)`` more than the squares of inputs give;
    - ``sum over copies (-sum_g i_g s_g + |sum_g i_g r_g|)`` more of shot noise than their magnitudes give,
      where s is the sum of ``shot`` over the rows with the signs of their inputs, and r that over rows
      without an input.

    Pseudo-channels are ``[group * copy * channel]``. What is None is not there.

    Attributes:
        currents: matrix of the currents, in the layout of ``Read.kernel``.
        cross: matrix of what inputs and currents have in common, for q.
        factor: ``[group, group, copy, ...]``, each to broadcast over a partial.
        shot: matrix of what the currents take from shot noise.
        whole: its sums over all rows, ``[group, copy, ...]``, each to broadcast over a partial.
        bias_currents, bias_cross, bias_shot: what bias rows add, in the layout of ``Read.bias``.
    """

    currents: Tensor
    cross: Tensor | None = None
    factor: Tensor | None = None
    shot: Tensor | None = None
    whole: Tensor | None = None
    bias_currents: Tensor | None = None
    bias_cross: Tensor | None = None
    bias_shot: Tensor | None = None


class Steps(NamedTuple):
    """The three factors of a read whose limits are single numbers (see :func:`mho.product.prepare`).

    Attributes:
        into: DAC steps per input.
        middle: ADC steps per unit of ``Read.kernel``.
        scale: output per ADC step.
    """

    into: Tensor
    middle: Tensor
    scale: Tensor


class Read(NamedTuple):
    """What one product needs, packed once per state of a chip.

    Attributes:
        kernel: the matrix, in the cut's layout.
        variance: variance of one read of it, same layout; None without noise of the conductances.
        unit: cell currents per unit of ``kernel``, ``[1]`` or ``[group * column]``; None for one.
        out: output per normalised weight, ``[1]`` or ``[group * column]``; None for one.
        shift: added to the output, ``[group * column]``; None for nothing.
        ones: kernel of a column of ones, for the digital offset; None without one.
        inputs: which input goes to each place of each tile; None if they lie in order.
        steps: the factors of a read whose limits are single numbers, made once; None where they are not.
        levels: what each converter of a ``converters.Circuit`` needs, packed, ``[group, tile, channel,
            column, k]``; None if all are without mismatch.
        readers: numbers of the converters that read ``[1, look-up, channel, column]``, where each vector
            has a tile of its own; None if they read in order.
        constant: currents that flow whatever the inputs are, in cell currents, to broadcast over what the
            product gives; None for none.
        bias: what the bias rows of each tile add up to, in units of ``kernel`` per unit of input,
            ``[group, tile, channel, column]``, or ``[group * column]`` where tiles are not kept apart;
            None without bias rows.
        bias_variance: its variance in one read.
        shot: variance of shot noise per unit of input, for inputs in units of full scale, in the layout of
            ``kernel``; None without it.
        bias_shot: what the bias rows add to it, in the layout of ``bias``.
        thermal: variance of thermal noise, for inputs in units of full scale, to broadcast over what the
            product gives, or ``[group * column]`` where tiles are not kept apart; None without it.
        lines: what the currents of bit lines that share one with noisy cells take from their variance, where
            wires have resistance; None without.
    """

    kernel: Tensor
    variance: Tensor | None = None
    unit: Tensor | None = None
    out: Tensor | None = None
    shift: Tensor | None = None
    ones: Tensor | None = None
    inputs: Tensor | None = None
    steps: Steps | None = None
    levels: Tensor | None = None
    constant: Tensor | None = None
    readers: Tensor | None = None
    bias: Tensor | None = None
    bias_variance: Tensor | None = None
    shot: Tensor | None = None
    bias_shot: Tensor | None = None
    thermal: Tensor | None = None
    lines: Lines | None = None

    def changed(self, **parts: Any) -> Read:
        """The same but for some parts, as ``_replace``, which torch < 2.6 cannot compile."""
        own: dict[str, Any] = dict(zip(Read._fields, self, strict=True))
        return Read(**{**own, **parts})

    def entries(self) -> dict[str, Tensor]:
        """All tensors of the read by name, those of ``lines`` and ``steps`` too (``lines_currents``)."""
        found: dict[str, Tensor] = {}
        for name, value in zip(Read._fields, self, strict=True):
            if isinstance(value, Tensor):
                found[name] = value
            elif value is not None:
                found.update({f"{name}_{k}": v for k, v in value._asdict().items() if v is not None})
        return found


_PARTS: dict[str, Any] = {"lines": Lines, "steps": Steps}  # what a read holds beside single tensors
_MADE_FOR_ONE_READ = ("unit", "shift", "inputs", "readers")
PACKED = tuple(
    entry
    for name in Read._fields
    if name not in _MADE_FOR_ONE_READ
    for entry in ([f"{name}_{part}" for part in _PARTS[name]._fields] if name in _PARTS else [name])
)
"""Names of all tensors that packing a chip can give, as :meth:`Read.entries` has them."""


def from_entries(entries: Mapping[str, Tensor | None]) -> Read:
    """The read of these tensors, the inverse of :meth:`Read.entries`; None stands for what is not there."""
    whole: dict[str, Any] = {name: value for name, value in entries.items() if name in Read._fields}
    for name, kind in _PARTS.items():
        parts = [entries.get(f"{name}_{part}") for part in kind._fields]
        whole[name] = None if parts[0] is None else kind(*parts)
    return Read(**whole)


class Channels(NamedTuple):
    """How channels become one number after conversion, as plain numbers (see ``mapping.Readout``)."""

    digital: tuple[float, ...] = (1.0,)
    offset: float = 0.0
    unit_column: bool = False

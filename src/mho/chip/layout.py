"""What a layer type brings to a product: the interface of all layouts."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from mho.chip.reads import Read


class Layout(Protocol):
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

    def tiles(self, read: Read, x: Tensor) -> list[tuple[Layout, Read, Tensor]]:
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

    def samples(self, x: Tensor) -> int:
        """How many samples a layer's input has: vectors, or images of a convolution."""

    def sample(self, x: Tensor, every: int) -> Tensor:
        """Each how manieth of the samples, the first one on."""

    def vectors(self, x: Tensor) -> Tensor:
        """What the layer's input drives on the rows, ``[vector, group, row]``, without bias rows."""

    def column_vectors(self, y: Tensor) -> Tensor:
        """The layer's output as ``[vector, group, column]``, in the order of :meth:`vectors`."""

    def row_sums(self, values: Tensor) -> Tensor:
        """What is driven on each row, added up over all vectors.

        Args:
            values: in the shape of the layer's input or of a sample of it; of look-ups, row numbers.

        Returns:
            ``[group, row]``, without bias rows.
        """

    def products(self, inputs: int, outputs: int) -> int:
        """Multiply-accumulates of the digital layer for so many numbers in and out."""

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

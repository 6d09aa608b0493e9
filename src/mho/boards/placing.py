"""Where the cells of a network lie on a board, page by page."""

from __future__ import annotations

from typing import NamedTuple

from mho.boards.base import Capabilities
from mho.mapping import spans


class Block(NamedTuple):
    """A rectangle of cells of one array, and where it lies.

    Attributes:
        path: of the array.
        copy, group: of its cells.
        rows, columns: first and last + 1, in the array.
        page: which filling of the board.
        top, left: its first row and column on the board.
    """

    path: str
    copy: int
    group: int
    rows: tuple[int, int]
    columns: tuple[int, int]
    page: int
    top: int
    left: int

    @property
    def inside(self) -> tuple[int, int, slice, slice]:
        """Its place in the cells of the array, ``[copy, group, row, column]``."""
        return self.copy, self.group, slice(*self.rows), slice(*self.columns)

    @property
    def on_board(self) -> tuple[slice, slice]:
        """Its place on the board."""
        height = self.rows[1] - self.rows[0]
        return slice(self.top, self.top + height), slice(self.left, self.left + self.width)

    @property
    def width(self) -> int:
        """How many columns."""
        return self.columns[1] - self.columns[0]


def placed(sizes: dict[str, tuple[int, int, int, int]], can: Capabilities) -> list[Block]:
    """Blocks of all arrays, beside each other and below each other, page by page.

    Arrays that are larger than the board are cut. Blocks fill shelves from left to right; a shelf is as high
    as its first block, and a page as many shelves as fit.

    Args:
        sizes: copies, groups, rows and columns of each array, by its path.
        can: the board.

    Example:
        >>> blocks = placed({"fc": (2, 1, 40, 16)}, Capabilities(rows=32, columns=32))
        >>> [(b.copy, b.rows, b.page, b.top, b.left) for b in blocks]
        [(0, (0, 20), 0, 0, 0), (0, (20, 40), 0, 0, 16), (1, (0, 20), 1, 0, 0), (1, (20, 40), 1, 0, 16)]
    """
    blocks = []
    page = top = left = height = 0
    for path, (copies, groups, rows, columns) in sizes.items():
        for copy in range(copies):
            for group in range(groups):
                for r in spans(rows, can.rows, full=False):
                    for c in spans(columns, can.columns, full=False):
                        tall, wide = r[1] - r[0], c[1] - c[0]
                        if left + wide > can.columns or tall > height:
                            top, left, height = (top + height if left else top), 0, tall
                        if top + tall > can.rows:
                            page, top, left, height = page + 1, 0, 0, tall
                        blocks.append(Block(path, copy, group, r, c, page, top, left))
                        left += wide
    return blocks

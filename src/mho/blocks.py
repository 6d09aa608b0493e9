"""Functions of single cells over large arrays, in blocks that stay in a cache; and many arrays in threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from mho.autograd import in_transform

BLOCK = 1 << 19  # cells: a few intermediates of a block stay in a cache, and memory does not grow


def by_blocks(function: Callable[..., Tensor], *cells: Tensor) -> Tensor:
    """A function of single cells, over blocks of rows of tensors ``[..., row, column]``.

    Args:
        function: element by element in its last two axes; may add or drop axes before them.
        cells: tensors with the same rows and columns.
    """
    rows, size = cells[0].shape[-2], cells[0].numel()
    step = max(1, rows * BLOCK // max(size, 1))
    if step >= rows or in_transform():
        return function(*cells)
    result: Tensor | None = None
    for a in range(0, rows, step):
        part = function(*(c[..., a : a + step, :] for c in cells))
        if result is None:
            result = part.new_empty((*part.shape[:-2], rows, part.shape[-1]))
        result[..., a : a + step, :] = part
    assert result is not None
    return result


def in_threads(tasks: Sequence[Callable[[], None]]) -> None:
    """Do all of these, as many at a time as torch has threads; torch has one thread in each of them.

    If some raise, the others are done all the same; then the first error is raised.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        for task in tasks:
            task()
        return
    alone = torch.set_num_threads  # noqa: TID251 (of the threads made here; put back for others to come)
    try:
        with ThreadPoolExecutor(min(threads, len(tasks)), initializer=alone, initargs=(1,)) as pool:
            done = [pool.submit(task) for task in tasks]
    finally:
        alone(threads)
    for one in done:
        one.result()

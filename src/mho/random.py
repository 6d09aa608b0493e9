"""One seed, one chip: named random streams.

A draw that is frozen in a chip (programming error, drift exponent, faults) comes from the stream
named by the seed, the path of the layer in its model, and the mechanism. It therefore does not
depend on the order of conversion, on other layers, on the tile size or on the device of the model.
Read noise is fresh at every read and comes from torch's global stream instead.

>>> a = normal((2, 3), 0, "fc", "program")
>>> bool((a == normal((2, 3), 0, "fc", "program")).all()), bool((a == normal((2, 3), 0, "fc", "drift")).any())
(True, False)
"""

from __future__ import annotations

import functools
import hashlib
import math
import numbers
from collections.abc import Sequence

import torch
from torch import Tensor

from mho.autograd import exporting, materialise
from mho.config import python_number


def fork(seed: int, *names: str) -> torch.Generator:
    """The CPU generator of the stream (seed, names...).

    Args:
        seed: any integer, also negative.
        names: the parts of the stream's name, for example the layer's path and the mechanism.
    """
    state = int.from_bytes(_digest(seed, names)[:8], "big") >> 1
    return torch.Generator().manual_seed(state)


def _digest(seed: int, names: Sequence[str]) -> bytes:
    seed = python_number(seed)
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral):
        raise TypeError(f"seed = {seed!r}: a chip's seed is an integer, such as 0")
    return hashlib.sha256("\x1f".join((str(int(seed)), *names)).encode()).digest()


def normal(shape: Sequence[int], seed: int, *names: str) -> Tensor:
    """Standard normal draws, float32 on the CPU, from the stream (seed, names...)."""
    return torch.randn(tuple(shape), generator=fork(seed, *names), dtype=torch.float32)


class NormalRows:
    """The draws of :func:`normal`, some rows after the other: the same bits, and never all in memory.

    Args:
        shape: ``[..., row, column]``, with a multiple of 16 columns, which torch draws together.
        seed: any integer, also negative.
        names: the parts of the stream's name.

    >>> some = NormalRows((2, 3, 16), 0, "fc", "program")
    >>> both = torch.cat([some.next(1), some.next(2)], dim=-2)
    >>> bool((both == normal((2, 3, 16), 0, "fc", "program")).all())
    True
    """

    def __init__(self, shape: Sequence[int], seed: int, *names: str) -> None:
        *self._lead, rows, self._columns = shape
        if self._columns % _TOGETHER:
            raise ValueError(f"shape = {tuple(shape)}: rows are drawn alone of a multiple of 16 columns")
        self._lines = [fork(seed, *names)]  # a generator for each [row, column], at its own place
        for _ in range(math.prod(self._lead) - 1):
            self._lines.append(_after(self._lines[-1], rows * self._columns))

    def next(self, rows: int) -> Tensor:
        """The draws of the next so many rows, float32 on the CPU, ``[..., rows, column]``."""
        drawn = torch.empty((len(self._lines), rows, self._columns))
        for line, generator in zip(drawn, self._lines, strict=True):
            line.normal_(generator=generator)
        return drawn.view(*self._lead, rows, self._columns)


_TOGETHER = 16  # draws that torch makes at once


def _after(generator: torch.Generator, draws: int) -> torch.Generator:
    """A generator as this one is after so many draws: a normal one takes as much of it as a uniform one."""
    later = torch.Generator()
    later.set_state(generator.get_state())
    space = torch.empty(min(draws, 1 << 16))
    for first in range(0, draws, len(space)):
        space[: draws - first].uniform_(generator=later)
    return later


@functools.cache
def draws_rows() -> bool:
    """Whether this torch draws rows alone as it draws them together: :class:`NormalRows` gives those bits."""
    shape, names = (2, 3, 2 * _TOGETHER), ("rows", "alone")
    some = NormalRows(shape, 0, *names)
    return torch.equal(torch.cat([some.next(1), some.next(2)], dim=-2), normal(shape, 0, *names))


def uniform(shape: Sequence[int], seed: int, *names: str) -> Tensor:
    """Uniform draws in [0, 1), float32 on the CPU, from the stream (seed, names...)."""
    return torch.rand(tuple(shape), generator=fork(seed, *names), dtype=torch.float32)


def normal_at(places: Tensor, seed: int, *names: str) -> Tensor:
    """Standard normal draws, float32, of single places of the stream (seed, names...).

    Each place has its own draw, whichever other places are asked for: loops over fewer and fewer cells,
    or over portions of them, draw only what they use.

    Args:
        places: integers from 0 to 2^32 - 1, int64, any shape.
        seed: any integer, also negative.
        names: the parts of the stream's name.

    >>> at = torch.arange(4)
    >>> bool((normal_at(at, 0, "pulse")[2:] == normal_at(at[2:], 0, "pulse")).all())
    True
    """
    text = _digest(seed, names)
    key = [int.from_bytes(text[k : k + 4], "big", signed=True) for k in (0, 4, 8, 12)]
    radius, angle = _hashed(_mix(places.to(torch.int32) + key[3]), key)
    return radius * torch.cos(angle)


def fresh_normal_like(x: Tensor) -> Tensor:
    """Fresh standard normal draws in the shape of ``x``, from torch's global stream.

    Inside ``torch.compile`` on a CPU the draws come from :func:`hashed_normal_like`, seeded by the
    global stream: the generator that torch inlines into a compiled CPU graph is 7 to 16 times slower. Graphs
    for other runtimes (``torch.export``, ONNX) draw as ``torch.randn_like``.
    """
    if torch.compiler.is_compiling():
        if x.device.type != "cpu" or exporting():
            return torch.randn_like(x)
        seed = torch.randint(-(2**31), 2**31 - 1, (3,), dtype=torch.int32)
        return hashed_normal_like(x, materialise(seed))
    return _dense_normal_like(x)


def hashed_normal_like(x: Tensor, seed: Tensor) -> Tensor:
    """Standard normal draws that are a pure function of a seed and of the place in the tensor.

    The place is hashed with the seed to 2 x 24 bits; the Box-Muller transform makes two draws of them,
    one for each half of the tensor. All of it is element-wise arithmetic on 32-bit numbers, which
    compilers turn into vector code.

    Args:
        x: any shape and dtype, fewer than 2^32 elements; draws for channels-last memory lie so too.
        seed: three 32-bit numbers, int32, ``[3]``.

    Source: the hash is the two-multiplication mixer with the least bias found by C. Wellons, "Prospecting
    for hash functions" (2018); G. E. P. Box and M. E. Muller, Ann. Math. Stat. 29, 610 (1958).
    """
    half = (x.numel() + 1) // 2
    radius, angle = _hashed(torch.arange(half, dtype=torch.int32, device=x.device), seed)
    both = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)])[: x.numel()].to(x.dtype)
    if x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last):
        n, c, h, w = x.shape
        return both.view(n, h, w, c).permute(0, 3, 1, 2)
    return both.view(x.shape)


def _hashed(places: Tensor, seed: Tensor | Sequence[int]) -> tuple[Tensor, Tensor]:
    """Radius and angle of two independent normal draws, for 32-bit places and three 32-bit numbers."""
    place = _mix(places ^ seed[0])
    first, second = _mix(place + seed[1]), _mix(place ^ seed[2])
    uniform = ((first & 0xFFFFFF).to(torch.float32) + 0.5) * 2.0**-24
    angle = (second & 0xFFFFFF).to(torch.float32) * (2 * math.pi * 2.0**-24)
    return torch.sqrt(-2 * torch.log(uniform)), angle


def _mix(x: Tensor) -> Tensor:
    """A bijection of 32-bit numbers in which each bit depends on all (masks make the shifts logical)."""
    x = (x ^ ((x >> 16) & 0xFFFF)) * 0x7FEB352D
    x = (x ^ ((x >> 15) & 0x1FFFF)) * (0x846CA68B - 2**32)
    return x ^ ((x >> 16) & 0xFFFF)


def _dense_normal_like(x: Tensor) -> Tensor:
    """``torch.randn_like``, filled as one contiguous block: torch fills a transposed one 8 times slower."""
    y = torch.empty_like(x)
    if y.is_contiguous() or torch._C._functorch.is_batchedtensor(x):
        return torch.randn_like(x)
    if y.numel() and sum((n - 1) * s for n, s in zip(y.shape, y.stride(), strict=True)) + 1 == y.numel():
        y.as_strided((y.numel(),), (1,)).normal_()
        return y
    return torch.randn_like(x)

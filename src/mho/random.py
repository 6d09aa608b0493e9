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

import hashlib
import numbers
from collections.abc import Sequence

import torch
from torch import Tensor


def fork(seed: int, *names: str) -> torch.Generator:
    """The CPU generator of the stream (seed, names...).

    Args:
        seed: any integer, also negative.
        names: the parts of the stream's name, for example the layer's path and the mechanism.
    """
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral):
        raise TypeError(f"seed = {seed!r}: a chip's seed is an integer, such as 0")
    text = "\x1f".join((str(int(seed)), *names))
    state = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    return torch.Generator().manual_seed(state)


def normal(shape: Sequence[int], seed: int, *names: str) -> Tensor:
    """Standard normal draws, float32 on the CPU, from the stream (seed, names...)."""
    return torch.randn(tuple(shape), generator=fork(seed, *names), dtype=torch.float32)


def uniform(shape: Sequence[int], seed: int, *names: str) -> Tensor:
    """Uniform draws in [0, 1), float32 on the CPU, from the stream (seed, names...)."""
    return torch.rand(tuple(shape), generator=fork(seed, *names), dtype=torch.float32)


_library = torch.library.Library("mho", "DEF")
_library.define("normal_like(Tensor x) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,))
_library.impl("normal_like", lambda x: _dense_normal_like(x), "CompositeExplicitAutograd")
torch.library.register_fake("mho::normal_like", torch.empty_like, lib=_library)


def fresh_normal_like(x: Tensor) -> Tensor:
    """Fresh standard normal draws in the shape of ``x``, from torch's global stream.

    Inside ``torch.compile`` the draw is one opaque operator: the generator that torch inlines into a
    compiled CPU graph is 7 to 16 times slower than the one outside.
    """
    if torch.compiler.is_compiling():
        return torch.ops.mho.normal_like(x)  # type: ignore[no-any-return]
    return _dense_normal_like(x)


def _dense_normal_like(x: Tensor) -> Tensor:
    """``torch.randn_like``, filled as one contiguous block: torch fills a transposed one 8 times slower."""
    y = torch.empty_like(x)
    if y.is_contiguous() or torch._C._functorch.is_batchedtensor(x):
        return torch.randn_like(x)
    if y.numel() and sum((n - 1) * s for n, s in zip(y.shape, y.stride(), strict=True)) + 1 == y.numel():
        y.as_strided((y.numel(),), (1,)).normal_()
        return y
    return torch.randn_like(x)

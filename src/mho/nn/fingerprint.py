"""A fingerprint of weights: does the chip still hold them?"""

from __future__ import annotations

import torch
from torch import Tensor

_CHUNK = 1 << 15  # words: their copies stay in a cache
_WORDS = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.int8}
_A, _B = -7046029254386353131, -4658895280553007687  # odd 64-bit mixing constants (splitmix64)


def fingerprint(weight: Tensor) -> Tensor:
    """A 64-bit hash of the bits of a tensor: equal bits in equal places, equal number, on any device.

    Args:
        weight: any shape and dtype.

    Returns:
        int64, shape [].

    >>> w = torch.ones(3)
    >>> bool(fingerprint(w) == fingerprint(w.clone())), bool(fingerprint(w) == fingerprint(2 * w))
    (True, False)
    """
    flat = weight.detach().contiguous().flatten()
    words = flat.view(_WORDS[flat.element_size()])
    total = torch.zeros((), dtype=torch.int64, device=weight.device)
    for start in range(0, words.numel(), _CHUNK):
        word = words[start : start + _CHUNK].to(torch.int64)
        place = torch.arange(start + 1, start + 1 + word.numel(), device=weight.device)
        word = (word + place * _A) * _B
        word = (word ^ (word >> 29)) * _A
        total += (word ^ (word >> 32)).sum()
    return total

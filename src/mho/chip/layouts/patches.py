"""The patches of images that a convolution multiplies, one behind the other."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def patches(
    x: Tensor,
    taps: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    ends: Sequence[tuple[int, int]],
) -> Tensor:
    """All patches of images.

    Args:
        x: images ``[image, channel, *space]``.
        taps, stride, dilation: of each axis of space.
        ends: zeros before and after each axis; below zero, so many are cut off.

    Returns:
        ``[image * position, channel, *tap]``.
    """
    axes = len(taps)
    x = F.pad(x, [end for pair in reversed(ends) for end in pair])
    for axis in range(axes):
        x = x.unfold(2 + axis, dilation[axis] * (taps[axis] - 1) + 1, stride[axis])[..., :: dilation[axis]]
    return x.movedim(1, 1 + axes).flatten(0, axes)


def spread(x: Tensor, stride: Sequence[int]) -> Tensor:
    """Images with zeros between their samples, ``stride - 1`` of them along each axis."""
    sizes = [(size - 1) * step + 1 for size, step in zip(x.shape[2:], stride, strict=True)]
    made = x.new_zeros(*x.shape[:2], *sizes)
    places = (slice(None), slice(None), *(slice(None, None, step) for step in stride))
    made[places] = x
    return made

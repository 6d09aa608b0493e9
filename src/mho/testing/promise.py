"""What the contract checks share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mho import config


def demand(holds: bool, part: object, promise: str) -> None:
    """Raise ``AssertionError`` naming the part and the broken promise unless it holds."""
    if not holds:
        raise AssertionError(f"{part!r}: {promise}")


def promises(part: object) -> Callable[[bool, str], None]:
    """:func:`demand` of one part."""
    return lambda holds, promise: demand(holds, part, promise)


def near(a: Tensor, b: Tensor, unit: float, tolerance: float) -> bool:
    """Whether two tensors agree to ``tolerance``, relative to the value or to ``unit``."""
    return bool(((a - b).abs() <= tolerance * (b.abs() + unit)).all())


def check_description(part: object, stage: type) -> None:
    """A description is known by its kind, and is the same after a trip through JSON and its digest."""
    kind = config.kind_of(type(part))
    demand(config.kinds(stage).get(kind) is type(part), part, "its class needs @mho.config.config")
    back = config.from_json(config.to_json(part))
    demand(
        type(back) is type(part) and back == part, part, f"must come back from JSON; came back as {back!r}"
    )
    demand(config.digest(back) == config.digest(part), part, "must have the same digest after JSON")


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal in shape, dtype and bits of value."""
    return a.dtype == b.dtype and torch.equal(a, b)


def check_place(part: object, run: Callable[[], Tensor]) -> None:
    """Tensors are made where the arguments are, and no value is looked at: ``run`` is on the meta device."""
    try:
        place = run().device.type
    except (RuntimeError, NotImplementedError) as error:
        raise AssertionError(
            f"{part!r}: must not branch on the values of a tensor; on the meta device: {error}"
        ) from error
    demand(place == "meta", part, "must stay on the device of its arguments")

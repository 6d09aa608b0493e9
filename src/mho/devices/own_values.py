"""Descriptions whose parameters differ from cell to cell: tensors in the place of numbers.

Such a copy computes like the description but is none: it is not for JSON, and nothing checks it.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor

from mho.config import field_names, unknown_key

T = TypeVar("T")


def number_at(description: Any, name: str) -> float:
    """The number that a parameter has; ``name`` may lead into a part, as ``nu.mean`` does.

    Raises:
        ValueError: no such parameter, or it is not a number with a fraction.
    """
    value: Any = description
    for part in name.split("."):
        known = field_names(type(value)) if dataclasses.is_dataclass(value) else []
        if part not in known:
            raise ValueError(unknown_key(part, known, type(value).__name__))
        value = getattr(value, part)
    if not isinstance(value, float):
        raise ValueError(
            f"{name} of {type(description).__name__} is {value!r}: only a parameter that is one float can "
            "differ from cell to cell"
        )
    return value


def with_values(description: T, values: Mapping[str, Tensor]) -> T:
    """A copy of a description in which some parameters have a value for each cell.

    Args:
        description: any description.
        values: tensors of the shape of the cells by the names that :func:`number_at` takes.
    """
    made = copy.copy(description)
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in values.items():
        head, _, rest = name.partition(".")
        if rest:
            parts.setdefault(head, {})[rest] = value
        else:
            object.__setattr__(made, head, value)
    for head, inner in parts.items():
        object.__setattr__(made, head, with_values(getattr(made, head), inner))
    return made


def rebuilt(description: T, numbers: Mapping[str, float]) -> T:
    """The description with other numbers, checked as a new one is."""
    changes: dict[str, Any] = {}
    parts: dict[str, dict[str, float]] = {}
    for name, number in numbers.items():
        head, _, rest = name.partition(".")
        if rest:
            parts.setdefault(head, {})[rest] = number
        else:
            changes[head] = number
    for head, inner in parts.items():
        changes[head] = rebuilt(getattr(description, head), inner)
    return dataclasses.replace(description, **changes)  # type: ignore[type-var]

"""Finding code that reads the weight of a child module and never calls the child.

Such a layer on an array would change nothing: its parent multiplies by the digital Parameter. Known
cases are torch's ``MultiheadAttention`` (``out_proj``) and torchvision's shifted-window attention.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterator
from types import CodeType

from torch import nn

# What may be asked of a weight without computing with it.
_HARMLESS = {"device", "dim", "dtype", "is_cuda", "is_floating_point", "is_meta", "ndim", "numel"}
_HARMLESS |= {"requires_grad", "shape", "size"}


def reads_weight_of(parent: type[nn.Module], child: str) -> bool:
    """Whether the forward of a module, with the methods it calls, reads ``self.<child>.weight`` and no more.

    Args:
        parent: the module's class.
        child: the attribute that holds the child.

    >>> reads_weight_of(nn.MultiheadAttention, "out_proj")
    True
    >>> reads_weight_of(nn.TransformerDecoderLayer, "linear1")
    False
    """
    waiting, seen, reads = ["forward"], {"forward"}, False
    while waiting:
        code = _code(parent, waiting.pop())
        if code is None:
            continue
        uses = set(_uses(code, child))
        if "itself" in uses:
            return False
        reads = reads or "weight" in uses
        called = {n for n in code.co_names if n not in seen and not hasattr(nn.Module, n)}
        seen |= called
        waiting += called
    return reads


def _code(owner: type, name: str) -> CodeType | None:
    """The code of a method written in Python."""
    method = inspect.getattr_static(owner, name, None)
    if isinstance(method, (staticmethod, classmethod)):
        method = method.__func__
    elif isinstance(method, property):
        method = method.fget
    if not callable(method):
        return None
    code = getattr(inspect.unwrap(method), "__code__", None)
    return code if isinstance(code, CodeType) else None


def _uses(code: CodeType, child: str) -> Iterator[str]:
    """What is taken of ``self.<child>``: its weight, to compute with, or the module itself, to call it."""
    steps = list(dis.get_instructions(code))
    for a, b, c in zip(steps, steps[1:], [*steps[2:], None], strict=False):
        if a.argval != child or not ("ATTR" in a.opname or "METHOD" in a.opname):
            continue
        if "ATTR" not in b.opname:
            yield "itself"
        elif b.argval == "weight" and (c is None or c.argval not in _HARMLESS):
            yield "weight"
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _uses(inner, child)

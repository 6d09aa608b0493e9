"""Finding code that reads the weight of a child module instead of calling the child.

Such a layer on an array would change nothing: its parent multiplies by the digital Parameter. Known
cases are torch's ``MultiheadAttention`` (``out_proj``) and torchvision's shifted-window attention.
"""

from __future__ import annotations

import dis
import inspect
from types import CodeType

from torch import nn

# What may be asked of a weight without computing with it.
_HARMLESS = {"device", "dim", "dtype", "is_cuda", "is_floating_point", "is_meta", "ndim", "numel"}
_HARMLESS |= {"requires_grad", "shape", "size"}


def reads_weight_of(parent: type[nn.Module], child: str) -> bool:
    """Whether the forward of a module, or a method it calls, has ``self.<child>.weight`` in a computation.

    Args:
        parent: the module's class.
        child: the attribute that holds the child.

    >>> reads_weight_of(nn.MultiheadAttention, "out_proj")
    True
    >>> reads_weight_of(nn.TransformerDecoderLayer, "linear1")
    False
    """
    waiting, seen = ["forward"], {"forward"}
    while waiting:
        code = _code(parent, waiting.pop())
        if code is None:
            continue
        if _reads(code, child):
            return True
        called = {n for n in code.co_names if n not in seen and not hasattr(nn.Module, n)}
        seen |= called
        waiting += called
    return False


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


def _reads(code: CodeType, child: str) -> bool:
    steps = [i for i in dis.get_instructions(code) if i.opname != "CACHE"]
    for a, b, c in zip(steps, steps[1:], steps[2:], strict=False):
        if a.argval == child and b.argval == "weight" and c.argval not in _HARMLESS:
            return True
    return any(_reads(inner, child) for inner in code.co_consts if isinstance(inner, CodeType))

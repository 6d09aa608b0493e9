"""Parameters of which each process holds a part: those of ``torch.distributed.fsdp.fully_shard``.

Outside a forward such a Parameter is a ``DTensor``. In a forward the module holds another Parameter, a
plain and whole one, which is thrown away afterwards: what is written into it must go to the part too.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from mho.autograd import constant_in_graphs


def whole(value: Tensor) -> Tensor:
    """A tensor with the parts of all processes, which must all ask for it; a plain one as it is.

    >>> import torch
    >>> x = torch.ones(2)
    >>> whole(x) is x
    True
    """
    gather = getattr(value, "full_tensor", None)
    return value if gather is None else gather()


@contextlib.contextmanager
def gathered(module: nn.Module) -> Iterator[None]:
    """The Parameters of a module are plain and whole, and not to be changed."""
    held = [
        (m._parameters, name, p)
        for m in module.modules()
        for name, p in m._parameters.items()
        if p is not None and whole_needed(p)
    ]
    try:
        for table, name, parameter in held:
            table[name] = whole(parameter)  # type: ignore[assignment]
        yield
    finally:
        for table, name, parameter in held:
            table[name] = parameter


def whole_needed(value: Tensor) -> bool:
    """Whether a tensor is one of which this process holds a part."""
    return hasattr(value, "full_tensor")


def is_sharded(parameter: Tensor) -> bool:
    """Whether each process keeps a part of this Parameter only, also while it is gathered."""
    return whole_needed(parameter) or (_in_use() and _part(parameter) is not None)


def to_change(parameter: Tensor) -> Tensor:
    """The Parameter's values as a plain tensor, to be changed in place; then call :func:`keep`."""
    if whole_needed(parameter):
        return whole(parameter.detach())
    part = _part(parameter) if _in_use() else None
    if part is not None and part.dtype != parameter.dtype:  # gathered in low precision
        return whole(part.detach())
    return parameter


def keep(parameter: Tensor, changed: Tensor) -> None:
    """Write what :func:`to_change` gave back, into this process's part too."""
    if whole_needed(parameter):
        _scatter(changed, parameter)
        return
    if changed is not parameter:
        parameter.copy_(changed)
    part = _part(parameter) if _in_use() else None
    if part is not None:
        _scatter(changed, part)


def _scatter(value: Tensor, part: Any) -> None:
    """All processes hold ``value``; each writes its part of it. Nothing is sent."""
    from torch.distributed.tensor import DTensor, Replicate

    mesh = part.device_mesh
    copies = DTensor.from_local(value.detach(), mesh, [Replicate()] * mesh.ndim, run_check=False)
    own = copies.redistribute(mesh, part.placements).to_local()
    part.detach().to_local().copy_(own)


@constant_in_graphs
def _in_use() -> bool:
    """Whether this process has sharded modules."""
    kind = getattr(sys.modules.get("torch.distributed.fsdp"), "FSDPModule", None)
    return kind is not None and bool(kind.__subclasses__()) and bool(_states())


def _states() -> list[Any]:
    from torch.distributed._composable_state import _module_state_mapping

    return list(_module_state_mapping.values())


def _part(parameter: Tensor) -> Any:
    """The ``DTensor`` that a gathered Parameter was made from, or None; torch has no public way to ask."""
    for reference in _states():
        state: Any = reference()
        groups = getattr(state, "_fsdp_param_groups", None)  # torch < 2.11 has one at most
        groups = [getattr(state, "_fsdp_param_group", None)] if groups is None else groups
        for group in groups:
            for held in () if group is None else group.fsdp_params:
                if getattr(held, "_unsharded_param", None) is parameter:
                    return held.sharded_param
    return None


_part._torchdynamo_disable = True  # type: ignore[attr-defined]  # what torch.compiler.disable sets

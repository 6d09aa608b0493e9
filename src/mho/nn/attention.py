"""Multi-head attention on arrays.

The projections of queries, keys and values are three arrays, also where torch packs their weights in
one Parameter; the output projection is a linear layer. The products of activations (``Q K^T`` and
``P V``) stay digital: nothing in them is stored.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mho.chip.layouts import no_tensor
from mho.hardware import Hardware
from mho.nn.crossbar import Crossbar
from mho.nn.crossbar.plain import without_autocast
from mho.nn.layer import AnalogLayer
from mho.nn.linear import AnalogLinear

_PARTS = ("q_proj_weight", "k_proj_weight", "v_proj_weight")


class AnalogMultiheadAttention(AnalogLayer, nn.MultiheadAttention):
    """``nn.MultiheadAttention`` on arrays. Arguments as in torch, ``hardware`` and ``bias_rows``.

    torch's fused paths, which read the weights themselves, are never taken.

    >>> layer = AnalogMultiheadAttention(8, 2, batch_first=True, hardware=Hardware())
    >>> x = torch.ones(2, 5, 8)
    >>> y, weights = layer(x, x, x)
    >>> y.shape, weights.shape
    (torch.Size([2, 5, 8]), torch.Size([2, 5, 5]))
    """

    report_remark = "products of activations (QK^T, PV) stay digital"

    def __init__(self, *args: Any, hardware: Hardware, bias_rows: int = 0, **names: Any) -> None:
        super().__init__(*args, **names)
        plain = self.out_proj
        factory = {"device": plain.weight.device, "dtype": plain.weight.dtype}
        bias = plain.bias is not None
        self.out_proj = AnalogLinear(  # type: ignore[assignment]
            self.embed_dim, self.embed_dim, bias, hardware=hardware, bias_rows=bias_rows, **factory
        )
        self.out_proj.weight, self.out_proj.bias = plain.weight, plain.bias
        self.setup(hardware, bias_rows)

    def make_arrays(self) -> dict[str, Crossbar]:
        """Arrays for queries, keys and values."""
        made: dict[str, Crossbar] = {}
        bias = None if self.in_proj_bias is None else "in_proj_bias"
        for k, name in enumerate(_PARTS):
            part = (k * self.embed_dim, (k + 1) * self.embed_dim)
            packed = self._qkv_same_embed_dim
            weight = "in_proj_weight" if packed else name
            made[name] = Crossbar(self, weight, bias, part if packed else None, part)
        return made

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As in torch: the output, and the attention weights if ``need_weights``."""
        batched = self._check(query, key, value, key_padding_mask, attn_mask)
        if is_causal and attn_mask is None:
            raise ValueError("is_causal = True is a hint for attn_mask, and there is none: give the mask too")
        if not batched:
            query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif self.batch_first:
            query, key, value = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
        q, k, v = self._project(query, key, value)
        causal = is_causal and key_padding_mask is None and not need_weights
        mask = None if causal else self._mask(attn_mask, key_padding_mask, q)
        q, k, v, mask = self._heads(q, k, v, mask)
        if need_weights:
            y, weights = self._attend(q, k, v, mask)
        else:
            dropout = self.dropout if self.training else 0.0
            y, weights = F.scaled_dot_product_attention(q, k, v, mask, dropout, causal), None
        y = self.out_proj(y.permute(2, 0, 1, 3).flatten(2))
        if weights is not None and average_attn_weights:
            weights = weights.mean(dim=1)
        if not batched:
            return y.squeeze(1), None if weights is None else weights.squeeze(0)
        return (y.transpose(0, 1) if self.batch_first else y), weights

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        """Queries, keys and values, ``[time, batch, embed]``."""
        arrays = [self.array(name) for name in _PARTS]
        reads = [array.steps() for array in arrays]  # first all: a modifier may clip the common Parameter
        out = [read(x) for read, x in zip(reads, (query, key, value), strict=True)]
        for array in arrays:
            array.count_step()
        return out

    def _mask(self, attn: Tensor | None, padding: Tensor | None, like: Tensor) -> Tensor | None:
        """Both masks as one addend, ``[batch or 1, heads or 1, query or 1, key]``."""
        total = None
        if attn is not None:
            attn = _additive(attn, like)
            total = attn if attn.dim() == 2 else attn.view(-1, self.num_heads, *attn.shape[1:])
            total = total.view(1, 1, *attn.shape) if attn.dim() == 2 else total
        if padding is not None:
            padding = _additive(padding, like)[:, None, None, :]
            total = padding if total is None else total + padding
        return total

    def _heads(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """``[batch, head, time, size]``; keys and values with the learned and the zero entry."""
        batch, extra = q.shape[1], 0
        if self.bias_k is not None and self.bias_v is not None:
            with without_autocast(k):
                k = torch.cat([k, self.bias_k.to(k.dtype).expand(1, batch, -1)])
                v = torch.cat([v, self.bias_v.to(v.dtype).expand(1, batch, -1)])
            extra += 1
        q, k, v = (x.unflatten(2, (self.num_heads, self.head_dim)).permute(1, 2, 0, 3) for x in (q, k, v))
        if self.add_zero_attn:
            k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
            extra += 1
        return q, k, v, None if mask is None else F.pad(mask, (0, extra))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Softmax attention in the open, with its weights."""
        scores = q * math.sqrt(1.0 / self.head_dim) @ k.transpose(-2, -1)
        weights = (scores if mask is None else scores + mask).softmax(dim=-1)
        if self.dropout and self.training:
            weights = F.dropout(weights, self.dropout)
        return weights @ v, weights

    def _check(
        self, query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None, attn: Tensor | None
    ) -> bool:
        """Whether there is a batch; ``ValueError`` for shapes that do not go together."""
        for given in (query, key, value):
            if not isinstance(given, Tensor):
                raise TypeError(no_tensor(given, self.path or type(self).__name__))
        where = repr(self.path or type(self).__name__)
        if query.is_nested or key.is_nested or value.is_nested:
            raise ValueError(f"{where} takes no nested tensors: pad them, and give key_padding_mask")
        axes = {query.dim(), key.dim(), value.dim()}
        if len(axes) != 1 or query.dim() not in (2, 3):
            raise ValueError(
                f"query, key and value of {where} have 2 axes, or 3 with a batch; got {sorted(axes)}"
            )
        batched, first = query.dim() == 3, self.batch_first and query.dim() == 3
        steps, batch = (1, 0) if first else (0, 1)
        length, source = query.shape[steps], key.shape[steps]
        if key.shape[:-1] != value.shape[:-1] or (batched and key.shape[batch] != query.shape[batch]):
            shapes = ", ".join(str(tuple(x.shape)) for x in (query, key, value))
            raise ValueError(
                f"query, key and value of {where} have the shapes {shapes}: key and value need the same "
                "length, and all the same batch"
            )
        size = query.shape[batch] if batched else 1
        if attn is not None and tuple(attn.shape) not in (
            (length, source),
            (size * self.num_heads, length, source),
        ):
            raise ValueError(
                f"attn_mask has shape {tuple(attn.shape)}: give {(length, source)} or "
                f"{(size * self.num_heads, length, source)}"
            )
        wanted = (size, source) if batched else (source,)
        if padding is not None and tuple(padding.shape) != wanted:
            raise ValueError(f"key_padding_mask has shape {tuple(padding.shape)}: give {wanted}")
        return batched


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    """A mask of booleans (True is left out) or addends, as addends."""
    if mask.dtype == torch.bool:
        return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, float("-inf"))
    if not mask.is_floating_point():
        raise TypeError(f"a mask has dtype {mask.dtype}: give booleans (True is left out) or floats to add")
    return mask.to(like.dtype)

"""Weights as conductances, under the path of MemTorch's tutorial."""

from mho.compat.memtorch.map.Parameter import mapping, naive_map

__all__ = ["mapping", "naive_map"]

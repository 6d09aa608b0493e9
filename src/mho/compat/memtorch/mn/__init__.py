"""Networks."""

from mho.compat.memtorch.mn import Module as Module

"""The path under which MemTorch's tutorial names its routines: those of ``map``."""

from mho.compat.memtorch.map import Input as Input
from mho.compat.memtorch.map import Module as Module
from mho.compat.memtorch.map import Parameter as Parameter

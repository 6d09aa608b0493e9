"""Networks."""

from mho.compat.memtorch.mn import Module as Module
from mho.compat.memtorch.mn.Module import RNN as RNN
from mho.compat.memtorch.mn.Module import Conv1d as Conv1d
from mho.compat.memtorch.mn.Module import Conv2d as Conv2d
from mho.compat.memtorch.mn.Module import Conv3d as Conv3d
from mho.compat.memtorch.mn.Module import Linear as Linear

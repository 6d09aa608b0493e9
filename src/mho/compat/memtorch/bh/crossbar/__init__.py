"""Arrays: how weights lie on them, and how they are programmed."""

from mho.compat.memtorch.bh.crossbar.Crossbar import Scheme as Scheme
from mho.compat.memtorch.bh.crossbar.Program import gen_programming_signal as gen_programming_signal
from mho.compat.memtorch.bh.crossbar.Program import naive_program as naive_program

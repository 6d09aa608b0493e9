"""Arrays: how weights lie on them, and how they are programmed."""

from mho.compat.memtorch.bh.crossbar.Crossbar import Crossbar as Crossbar
from mho.compat.memtorch.bh.crossbar.Crossbar import init_crossbar as init_crossbar
from mho.compat.memtorch.bh.crossbar.Crossbar import simulate_matmul as simulate_matmul
from mho.compat.memtorch.bh.crossbar.Program import gen_programming_signal as gen_programming_signal
from mho.compat.memtorch.bh.crossbar.Program import naive_program as naive_program
from mho.compat.memtorch.bh.crossbar.scheme import Scheme as Scheme

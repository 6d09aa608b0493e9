"""Behaviour of memristors: models, faults, programming."""

from mho.compat.memtorch.bh import Quantize as Quantize
from mho.compat.memtorch.bh import crossbar as crossbar
from mho.compat.memtorch.bh import map as map
from mho.compat.memtorch.bh import memristor as memristor
from mho.compat.memtorch.bh import nonideality as nonideality
from mho.compat.memtorch.bh.crossbar.scheme import Scheme as Scheme
from mho.compat.memtorch.bh.StochasticParameter import StochasticParameter as StochasticParameter
from mho.compat.memtorch.bh.StochasticParameter import StochaticParameter as StochaticParameter

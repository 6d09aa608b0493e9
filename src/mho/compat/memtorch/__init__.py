"""The names of MemTorch (C. Lammie et al., Neurocomputing 485, 124, 2022) on mho's physics.

``import mho.compat.memtorch as memtorch`` runs scripts written for MemTorch 1.1.6 without its faults;
docs/compat-memtorch.md lists names and differences. Nothing here is taken from MemTorch's code.

>>> import torch
>>> import mho.compat.memtorch as memtorch
>>> model = memtorch.mn.Module.patch_model(
...     torch.nn.Sequential(torch.nn.Linear(8, 4)),
...     memristor_model=memtorch.bh.memristor.VTEAM,
...     memristor_model_params={"time_series_resolution": 1e-10},
...     module_parameters_to_patch=[torch.nn.Linear],
...     verbose=False,
...     seed=0,
... )
>>> model.tune_()
>>> model(torch.ones(1, 8)).shape
torch.Size([1, 4])
"""

import torch

from mho.compat.memtorch import bh as bh
from mho.compat.memtorch import map as map
from mho.compat.memtorch import mn as mn

__version__ = "1.1.6" if torch.cuda.is_available() else "1.1.6-cpu"
"""The version whose names these are; scripts look in it for where to compute."""

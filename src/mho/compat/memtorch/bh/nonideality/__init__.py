"""What befalls the cells of a patched network."""

from mho.compat.memtorch.bh.nonideality import DeviceFaults as DeviceFaults
from mho.compat.memtorch.bh.nonideality import Endurance as Endurance
from mho.compat.memtorch.bh.nonideality import FiniteConductanceStates as FiniteConductanceStates
from mho.compat.memtorch.bh.nonideality import NonLinear as NonLinear
from mho.compat.memtorch.bh.nonideality import Retention as Retention
from mho.compat.memtorch.bh.nonideality import endurance_retention_models as endurance_retention_models
from mho.compat.memtorch.bh.nonideality.NonIdeality import NonIdeality as NonIdeality
from mho.compat.memtorch.bh.nonideality.NonIdeality import apply_nonidealities as apply_nonidealities

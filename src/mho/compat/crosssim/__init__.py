"""CrossSim's names for mho: parameters, torch layers, conversion. In scripts put its path before theirs.

``from simulator import CrossSimParameters`` becomes ``from mho.compat.crosssim.simulator import
CrossSimParameters``. The parameters are translated to a :class:`mho.Hardware` by :func:`hardware`; all that
is computed is mho's. A parameter that would change nothing is an error that says what to do instead.
"""

from mho.compat.crosssim._translate import hardware as hardware
from mho.compat.crosssim.simulator.parameters import CrossSimParameters as CrossSimParameters

"""Names of aihwkit (1.2.0) for inference: configurations, layers, drift.

A script that builds an ``InferenceRPUConfig``, makes or converts a network, trains it for the hardware and
lets it drift runs with ``aihwkit`` replaced by ``mho.compat.aihwkit``. All that is computed is mho's.
"""

from mho.compat.aihwkit._recipe import compensation as compensation
from mho.compat.aihwkit._recipe import recipe as recipe
from mho.foreign.aihwkit import HeldDifferently as HeldDifferently

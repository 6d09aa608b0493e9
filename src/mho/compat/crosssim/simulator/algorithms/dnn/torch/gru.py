"""``AnalogGRU``, under the path that scripts import it from."""

from mho.compat.crosssim.simulator.algorithms.dnn.torch.recurrent import AnalogGRU

__all__ = ["AnalogGRU"]

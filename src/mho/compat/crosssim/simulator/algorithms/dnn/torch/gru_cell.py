"""``AnalogGRUCell``, under the path that scripts import it from."""

from mho.compat.crosssim.simulator.algorithms.dnn.torch.recurrent import AnalogGRUCell

__all__ = ["AnalogGRUCell"]

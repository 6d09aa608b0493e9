"""``AnalogRNNCell``, under the path that scripts import it from."""

from mho.compat.crosssim.simulator.algorithms.dnn.torch.recurrent import AnalogRNNCell

__all__ = ["AnalogRNNCell"]

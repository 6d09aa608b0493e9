"""``AnalogLSTM``, under the path that scripts import it from."""

from mho.compat.crosssim.simulator.algorithms.dnn.torch.recurrent import AnalogLSTM

__all__ = ["AnalogLSTM"]

"""Layers and conversion, under aihwkit's names."""

from mho.compat.aihwkit.nn.conversion import convert_to_analog as convert_to_analog
from mho.compat.aihwkit.nn.conversion import convert_to_digital as convert_to_digital
from mho.compat.aihwkit.nn.modules import AnalogConv1d as AnalogConv1d
from mho.compat.aihwkit.nn.modules import AnalogConv2d as AnalogConv2d
from mho.compat.aihwkit.nn.modules import AnalogConv3d as AnalogConv3d
from mho.compat.aihwkit.nn.modules import AnalogLinear as AnalogLinear
from mho.compat.aihwkit.nn.modules import AnalogSequential as AnalogSequential

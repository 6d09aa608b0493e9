"""Chips and tiles in the formats of other programs."""

from mho.export.onnx_twin import onnx_twin as onnx_twin
from mho.export.spice import SpiceCell as SpiceCell
from mho.export.spice import spice as spice

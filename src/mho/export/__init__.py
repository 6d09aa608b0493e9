"""Chips and tiles in the formats of other programs."""

from mho.export.onnx_twin import onnx_twin as onnx_twin
from mho.export.order_free import exact_sums as exact_sums
from mho.export.spice import SpiceCell as SpiceCell
from mho.export.spice import spice as spice

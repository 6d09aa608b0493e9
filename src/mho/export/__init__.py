"""Chips and tiles in the formats of other programs."""

from mho.export.accelforge import histograms as histograms
from mho.export.accelforge import workload as workload
from mho.export.accelforge import write_workload as write_workload
from mho.export.conductances import read_conductances as read_conductances
from mho.export.conductances import write_conductances as write_conductances
from mho.export.fusion import fusion_layers as fusion_layers
from mho.export.fusion import fusion_weights as fusion_weights
from mho.export.fusion import write_fusion as write_fusion
from mho.export.neurosim import Trace as Trace
from mho.export.neurosim import TracedLayer as TracedLayer
from mho.export.neurosim import read_states as read_states
from mho.export.neurosim import read_trace as read_trace
from mho.export.neurosim import trace_of as trace_of
from mho.export.neurosim import write_states as write_states
from mho.export.neurosim import write_trace as write_trace
from mho.export.onnx_twin import onnx_twin as onnx_twin
from mho.export.order_free import exact_sums as exact_sums
from mho.export.spice import SpiceCell as SpiceCell
from mho.export.spice import spice as spice
from mho.export.switching_card import read_card as read_card
from mho.export.switching_card import spice_card as spice_card
from mho.export.switching_card import verilog_a as verilog_a

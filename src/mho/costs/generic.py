"""A generic chip of resistive cells at 32 nm and at 22 nm: the power of its cells, converters of a survey.

Drivers, sample-and-hold, adders, buffers and network are those of ISAAC and PUMA at 32 nm, one for each
row, column or bit; digital parts scale to 22 nm. Energies of events are those that hwcomponents (MIT
licence) and puma-simulator give for them. Rows are charged: .65 fF for each cell, of a transistor and its
wire (NeuRRAM: .6 fF; .2 fF for a micron of wire). A cell with its transistor covers 4 F x 12 F, eight
columns share an ADC, and currents settle in 10 ns, as in the defaults of NeuroSim 1.4.
"""

from __future__ import annotations

from dataclasses import replace

from mho.costs.converters import Drivers, Survey
from mho.costs.parts import Chip, Part

_HW, _PUMA = "hwcomponents (MIT), after ISAAC, Table I", "puma-simulator, include/constants.py"

GENERIC_32 = Chip(
    name="generic, 32 nm",
    node=32e-9,
    read_time=10e-9,
    adc=Survey(quality="good", node=32e-9),
    dac=Drivers(),
    columns_per_adc=8,
    cell_area=48 * 32e-9**2,
    line=0.65e-15,
    routed=16,
    parts=(
        Part(name="DAC leakage", each="row", leakage=0.39e-6, source=_HW),
        Part(
            name="sample and hold", each="column", per="column", joules=9.7e-9 * 100e-9, area=0.039e-12,
            source=_HW,
        ),
        Part(
            name="shift and add", each="converter", per="addition", joules=0.021e-12, leakage=5e-6,
            area=60e-12, digital=True, source=f"{_HW}; leakage: {_PUMA}",
        ),
        Part(
            name="buffers, in", each="array", per="bit in", joules=20.45e-12 / 256, leakage=0.46e-3 / 64,
            area=0.083e-6 / 64, digital=True, source=f"{_HW}: eDRAM; 1 KB for each array",
        ),
        Part(
            name="buffers, out", each="array", per="bit out", joules=20.45e-12 / 256, leakage=0.46e-3 / 64,
            area=0.083e-6 / 64, digital=True, source=f"{_HW}: eDRAM; 1 KB for each array",
        ),
        Part(
            name="network", each="array", count=1 / 16, per="hop", joules=20.74e-12 / 256,
            leakage=0.41e-3, area=0.047e-6, digital=True, source=f"{_HW}; {_PUMA}; 16 arrays share a router",
        ),
        Part(
            name="vector unit", each="array", count=1 / 16, per="scaling", joules=0.57e-12,
            leakage=0.27e-3 * 32 / 45, area=0.00567e-6 * 32 / 45, digital=True, source=_PUMA,
        ),
    ),
)  # fmt: skip

GENERIC_22 = replace(
    GENERIC_32.scaled(22e-9),
    name="generic, 22 nm",
    adc=Survey(quality="good", node=22e-9),
    cell_area=48 * 22e-9**2,
)

"""PUMA at 32 nm and 1 GHz.

Source: A. Ankit et al., ASPLOS 2019; the figures are those of its public simulator (puma-simulator,
``include/constants.py``), with the sizes of its Table 3: arrays of 128 x 128 cells of 2 bits. The energy of
an instruction is not in them, and control is paid by time. The eight slices of a matrix share drivers and
registers.
"""

from __future__ import annotations

from mho.costs.converters import Tabulated
from mho.costs.parts import Chip, Part

_CODE = "puma-simulator, include/constants.py"
_MW, _MM2 = 1e-3, 1e-6
_CYCLE, _SLICES = 100e-9, 8

PUMA = Chip(
    name="PUMA",
    node=32e-9,
    read_time=_CYCLE,
    overlapped=True,
    dissipation=False,
    adc=Tabulated(
        bits=(8,), energies=(1.8 * _MW / 1.28e9,), areas=(0.0012 * _MM2,), rate=1.28e9, source=_CODE
    ),
    dac=Tabulated(
        bits=(1,), energies=(0.00350625 * _MW * _CYCLE,), areas=(1.67e-7 * _MM2,), rate=1 / _CYCLE,
        source=_CODE,
    ),
    dacs=1 / _SLICES,
    columns_per_adc=128,
    arrays=2 * _SLICES,
    cores=8,
    tiles=138,
    routed=4,
    parts=(
        Part(
            name="arrays", each="array", per="read", joules=0.3 * _MW * _CYCLE, area=2.5e-5 * _MM2,
            source=_CODE,
        ),
        Part(
            name="DAC leakage", each="row", count=1 / _SLICES, leakage=0.000390625 * _MW, source=_CODE,
        ),
        Part(name="ADC leakage", each="converter", leakage=0.2 * _MW, source=_CODE),
        Part(
            name="sample and hold", each="column", per="column", joules=8.73e-6 * _MW * _CYCLE,
            leakage=9.7e-7 * _MW, area=0.00004 / 8 / 128 * _MM2, source=_CODE,
        ),
        Part(
            name="shift and add", each="array", watts=0.045 * _MW, leakage=0.005 * _MW, area=0.00006 * _MM2,
            digital=True, source=_CODE,
        ),
        Part(
            name="input register", each="array", count=1 / _SLICES, per="bit in",
            joules=1.7e-12 / 128, leakage=0.04 * _MW, area=0.00078 * _MM2, digital=True,
            source=f"{_CODE}: an access drives a bit of each of 128 rows",
        ),
        Part(
            name="output register", each="array", count=1 / _SLICES, per="bit out",
            joules=0.16e-12 / 16, leakage=0.04 * _MW, area=0.00078 * _MM2, digital=True, source=_CODE,
        ),
        Part(
            name="vector unit", each="core", per="scaling", joules=0.795e-12 * 32 / 45,
            leakage=0.27 * 32 / 45 * _MW, area=0.00567 * 32 / 45 * _MM2, digital=True, source=_CODE,
        ),
        Part(
            name="instruction memory", each="core", watts=0.53 * 8**0.5 * _MW, leakage=0.147 * 8**0.5 * _MW,
            area=0.00192 * 8**0.5 * _MM2, digital=True, source=f"{_CODE}: 1,024 instructions",
        ),
        Part(
            name="eDRAM buffer", each="tile", per="bit out", joules=17.2e-12 / 256, leakage=0.46 * _MW,
            area=0.086 * _MM2, digital=True, source=f"{_CODE}: 17.2 pJ for 256 bits",
        ),
        Part(
            name="eDRAM bus", each="tile", watts=3.0 * _MW, leakage=0.5 * _MW, area=0.090 * _MM2,
            digital=True, source=_CODE,
        ),
        Part(
            name="router", each="tile", count=0.25, watts=51.48 * _MW, leakage=1.04 * _MW,
            area=0.116 * _MM2, digital=True, source=f"{_CODE}: 8 ports, four tiles share one",
        ),
        Part(
            name="HyperTransport", each="chip", per="link", joules=26e-12 / 128, watts=10.4,
            area=22.88 * _MM2, source=f"{_CODE}; 26 pJ for 128 bits: hwcomponents",
        ),
    ),
)  # fmt: skip

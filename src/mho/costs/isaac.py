"""ISAAC, the design with computational efficiency in mind (ISAAC-CE), at 32 nm.

Source: A. Shafiee et al., ISCA 2016, Table I. Energies of single events where others took the table apart:
hwcomponents (MIT licence). An ADC of other than 8 bits is one of 8 with another capacitor DAC, also theirs.
"""

from __future__ import annotations

from mho.costs.converters import Tabulated
from mho.costs.parts import Chip, Part

_TABLE = "A. Shafiee et al., ISCA 2016, Table I"
_MW, _MM2 = 1e-3, 1e-6
_CYCLE, _ARRAYS, _LINES = 100e-9, 8, 128

ADC_32 = Tabulated(
    bits=(4, 5, 6, 7, 8, 9, 10),
    energies=(0.79e-12, 0.99e-12, 1.20e-12, 1.42e-12, 2e-3 / 1.28e9, 1.97e-12, 2.38e-12),
    areas=(361e-12, 477e-12, 627e-12, 845e-12, 1200e-12, 1828e-12, 3002e-12),
    rate=1.28e9,
    source=f"{_TABLE} (8 bits); hwcomponents, scaling of the capacitor DAC",
)

ISAAC = Chip(
    name="ISAAC",
    node=32e-9,
    read_time=_CYCLE,
    overlapped=True,
    dissipation=False,
    adc=ADC_32,
    dac=Tabulated(
        bits=(1,), energies=(4 * _MW * _CYCLE / (_ARRAYS * _LINES),),
        areas=(0.00017 * _MM2 / (_ARRAYS * _LINES),), rate=1 / _CYCLE, source=_TABLE,
    ),
    columns_per_adc=_LINES,
    arrays=_ARRAYS,
    cores=12,
    tiles=168,
    routed=4,
    parts=(
        Part(
            name="arrays", each="array", per="read", joules=2.4 * _MW * _CYCLE / _ARRAYS,
            area=0.0002 * _MM2 / _ARRAYS, source=_TABLE,
        ),
        Part(
            name="sample and hold", each="column", per="column",
            joules=0.01 * _MW * _CYCLE / (_ARRAYS * _LINES), area=0.00004 * _MM2 / (_ARRAYS * _LINES),
            source=_TABLE,
        ),
        Part(
            name="shift and add", each="core", count=4, watts=0.05 * _MW, area=0.00006 * _MM2, digital=True,
            source=_TABLE,
        ),
        Part(
            name="input register", each="core", watts=1.24 * _MW, area=0.0021 * _MM2, digital=True,
            source=_TABLE,
        ),
        Part(
            name="output register", each="core", watts=0.23 * _MW, area=0.00077 * _MM2, digital=True,
            source=_TABLE,
        ),
        Part(
            name="eDRAM buffer", each="tile", watts=20.7 * _MW, area=0.083 * _MM2, digital=True,
            source=_TABLE,
        ),
        Part(name="eDRAM bus", each="tile", watts=7 * _MW, area=0.090 * _MM2, digital=True, source=_TABLE),
        Part(
            name="router", each="tile", count=0.25, watts=42 * _MW, area=0.151 * _MM2, digital=True,
            source=f"{_TABLE}; four tiles share one",
        ),
        Part(
            name="sigmoid", each="tile", count=2, watts=0.26 * _MW, area=0.0003 * _MM2, digital=True,
            source=_TABLE,
        ),
        Part(
            name="shift and add of a tile", each="tile", watts=0.05 * _MW, area=0.00006 * _MM2, digital=True,
            source=_TABLE,
        ),
        Part(name="max pool", each="tile", watts=0.4 * _MW, area=0.00024 * _MM2, digital=True, source=_TABLE),
        Part(
            name="output register of a tile", each="tile", watts=1.68 * _MW, area=0.0032 * _MM2, digital=True,
            source=_TABLE,
        ),
        Part(
            name="HyperTransport", each="chip", per="link", joules=26e-12 / 128, watts=10.4,
            area=22.88 * _MM2, source=f"{_TABLE}; 26 pJ for 128 bits: hwcomponents",
        ),
    ),
)  # fmt: skip

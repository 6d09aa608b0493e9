"""Products of aihwkit 1.2.0 and aihwkit-lightning 2.1.0, through ``Hardware`` and ``AnalogLinear``.

There a bound on the outputs is in units of weight times input, both at most 1: cell currents at an
input of 1. A full-scale input of ``inp_bound`` counts here as 1.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mho
from mho.chip.layouts import MatrixLayout
from mho.converters import Calibrated, Dynamic, Fixed
from mho.mapping import spans
from mho.nn import AnalogLinear

DATA = Path(__file__).parent / "data/aihwkit"
CASES = {case["name"]: case for case in json.loads((DATA / "golden_mvm.json").read_text())["cases"]}
ARRAYS = np.load(DATA / "golden_mvm.npz")
W, X = (torch.tensor(ARRAYS[key].astype(np.float64)) for key in "WX")

ONE = mho.mapping.DifferentialPair(scale=mho.mapping.Maximum())  # its scale is that of the matrix

# Iterative bound management repeats a vector (or a batch: its two tiles differ) at a smaller scale.
SKIPPED = {"absmax_iter_b3"}
LIGHTNING = [name for name in CASES if name.startswith("light")]
TILES = sorted(set(CASES) - SKIPPED - set(LIGHTNING))


def test_every_case_is_covered_or_skipped_for_a_reason() -> None:
    assert len(TILES) == 8 and len(LIGHTNING) == 3
    assert {name for name in CASES if "ITER" in CASES[name].get("nm", "")} == SKIPPED


def steps(resolution: float) -> int:
    """Its resolutions are numbers of steps, or one over them."""
    return round(resolution if resolution > 1 else 1 / resolution)


def dac(case: dict[str, Any], limit: float) -> mho.DAC | None:
    if case["inp_res"] <= 0:
        # without rounding there is still its bound, if there is one
        return mho.DAC(bits=24, range=Fixed(limit=limit)) if limit > 0 else None
    dynamic = case.get("nm") == "ABS_MAX"
    return mho.DAC(
        bits=None, steps=steps(case["inp_res"]), range=Dynamic() if dynamic else Fixed(limit=limit)
    )


def difference(made: AnalogLinear, wanted: np.ndarray) -> float:
    """Largest difference to the reference, relative to its largest product.

    Two inputs lie exactly between two DAC codes; in the float32 of the reference they fall either way.
    So each vector may be the one given or that a ten-millionth larger or smaller, which moves nothing else.
    """
    with torch.no_grad():
        made.weight.copy_(W)
        mho.program(made.eval(), seed=0)
        got = np.stack([made(X * scale).numpy() for scale in (1 - 1e-7, 1, 1 + 1e-7)])
    return float(np.abs(got - wanted).max(-1).min(0).max() / np.abs(wanted).max())


def layer(described: mho.Hardware, kind: type[AnalogLinear] = AnalogLinear) -> AnalogLinear:
    return kind(40, 24, bias=False, dtype=torch.float64, hardware=described)


@pytest.mark.parametrize("name", TILES)
def test_product_of_a_tile(name: str) -> None:
    case = CASES[name]
    bound = case["inp_bound"]
    converters = {"dac": dac(case, bound)}
    if case["out_res"] > 0:
        limit = Fixed(limit=case["out_bound"] / bound)
        converters["adc"] = mho.ADC(bits=None, steps=steps(case["out_res"]), range=limit)
    made = layer(mho.Hardware(mapping=ONE, tile=mho.Tile(rows=None, columns=None), **converters))
    for engine in ("cpp", "ttile"):
        assert difference(made, ARRAYS[f"{name}__{engine}"]) <= 1e-6


class Cut16(AnalogLinear):
    """Lightning's split of 40 inputs to at most 16: 14, 13, 13. Here an even split has equal tiles."""

    def make_arrays(self) -> dict[str, mho.nn.Crossbar]:
        return {"crossbar": mho.nn.Crossbar(self, "weight", "bias", layout=cut_16)}


def cut_16(shape: tuple[int, ...], size: object) -> MatrixLayout:
    return MatrixLayout(rows=((0, 14), (14, 27), (27, 40)), columns=spans(24, None), shape=shape)


@pytest.mark.parametrize("name", LIGHTNING)
def test_product_of_lightning(name: str) -> None:
    """Its inputs have a range of 1; each tile's ADC reaches ``out_bound`` times its largest weight."""
    case = CASES[name]
    adc = None
    if case["out_res"] > 0:
        adc = mho.ADC(bits=None, steps=steps(case["out_res"]), range=Calibrated(per_tile=True))
    made = layer(
        mho.Hardware(mapping=ONE, dac=dac(case, 1.0), adc=adc), Cut16 if case["tile"] > 0 else AnalogLinear
    )
    if adc is not None:
        peaks = [case["out_bound"] * W[:, a:b].abs().max() for a, b in made.layout.rows]
        made.set_range("output_range", torch.stack(peaks).view(1, -1, 1))
    assert difference(made, ARRAYS[name]) <= 1e-6

"""CrossSim 3.2.0: products of one 16 x 16 matrix with its own parameters, through ``mho.compat.crosssim``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mho import lifecycle, nn
from mho.compat.crosssim import CrossSimParameters
from mho.compat.crosssim.simulator.algorithms.dnn.torch.linear import AnalogLinear
from mho.config import read_plain
from mho.conformance.rows import Row, Verdict, compared
from mho.errors import ConfigError

PEER = "CrossSim 3.2.0"
_OF_THE_SOLVER = (
    "simulation.Niters_max_parasitics", "simulation.Verr_th_mvm", "simulation.hide_convergence_msg",
    "simulation.disable_fast_matmul",
)  # fmt: skip
TERMINAL = (
    "it adds the resistance of an input's terminal to every segment of the first word line instead of once "
    "to "
    "each word line; with its lines, mho gives its numbers"
)
STOPPED = "its iterative solver stops at 1e-3 there; here the lines are solved exactly"
TIES = (
    "currents of exactly zero lie between two codes; which one they round to is decided by the rounding "
    "errors "
    "of a sum in float32 there, and they differ by whole codes of the lowest bits"
)
GLOBAL = (
    "it draws programming errors from numpy's global stream: only the law can be compared (tests/reference)"
)
SMALL = (
    "conductances are those of small signals there, here those at the read voltage, so that full scale "
    "stays: "
    "a factor of 1 - V^2 / 4, which is taken out of the comparison"
)


def rows(folder: Path, peer: str = PEER) -> Iterator[Row]:
    """Each deterministic case; what the face refuses is a row with its sentence."""
    where = folder / "crosssim"
    cases, arrays = read_plain(where / "det_16.json"), np.load(where / "det_16.npz")
    weight = arrays["W"].astype(np.float64)
    for name, case in cases.items():
        if f"y:{name}" not in arrays.files:
            continue
        if "seed7" in name:
            yield Row(name, peer, "", "", None, None, Verdict.APART, "both", GLOBAL)
            continue
        x = arrays["Xpos" if name.endswith("__posX") else "X"].astype(np.float64)
        held = weight.T if name.startswith("vmm") else weight
        wanted = arrays[f"y:{name}"]
        try:
            got = _product(held, x, _parameters(case["params"], x), name)
        except ConfigError as error:
            yield Row(
                name,
                peer,
                f"{np.linalg.norm(wanted):.6g}",
                "",
                None,
                None,
                Verdict.REFUSED,
                "both",
                str(error),
            )
            continue
        difference = float(np.abs(got - wanted).max() / np.abs(wanted).max())
        tolerance, right, why = _expected(name)
        norms = float(np.linalg.norm(wanted)), float(np.linalg.norm(got))
        yield compared(name, peer, *norms, difference, tolerance, right, why)


def _expected(name: str) -> tuple[float, str, str]:
    """Tolerance, who is right, and why they differ."""
    if name.startswith("par_") and "terminal" in name:
        return 1e-6, "mho", TERMINAL
    if name.startswith("par_") and not name.endswith("tight"):
        return 2e-3, "mho", STOPPED
    if name in ("ibs1_adc8_perbit_cal_bitsliced_balanced4", "ibs1_adc8_perbit_cal_bitsliced_offset4"):
        return 2e-2, "both", TIES
    if name.startswith("nlIV"):
        return 1e-6, "both", SMALL
    return 3e-6 if "ibs" in name else 1e-6, "both", ""


def _parameters(changed: dict[str, Any], x: Any) -> CrossSimParameters:
    """Parameters of a case; a range of inputs by percentile is that of ``x``."""
    params = CrossSimParameters()
    params.update({key: value for key, value in changed.items() if key not in _OF_THE_SOLVER})
    inputs = params.core.mapping.inputs.mvm
    if inputs.percentile is not None:
        ends = [100 * inputs.percentile, 100 - 100 * inputs.percentile]
        limit = float(np.abs(np.percentile(x, ends)).max())
        inputs.min, inputs.max, inputs.percentile = -limit, limit, None
    return params


def _product(weight: Any, x: Any, params: CrossSimParameters, name: str) -> Any:
    layer: Any = AnalogLinear(params, 16, 16, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        if "terminal" in name:
            layer = _as_there(layer)
        factor = 1 - 0.25 * layer.hardware.device.v_read**2 if name.startswith("nlIV") else 1.0
        return layer.eval()(torch.tensor(x.T)).T.numpy() * factor


def _as_there(layer: Any) -> Any:
    """The layer with the resistances of its terminals where CrossSim adds them."""
    wires = layer.hardware.array
    first = (wires.row + wires.driver, *(wires.row,) * 15)
    made: Any = nn.AnalogLinear(
        16, 16, bias=False, dtype=torch.float64,
        hardware=replace(layer.hardware, array=replace(wires, row=first, driver=0.0)),
    )  # fmt: skip
    made.weight.copy_(layer.weight)
    lifecycle.program(made, seed=0)
    return made

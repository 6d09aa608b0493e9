"""CrossSim: the products of ``crosssim/det_16.npz`` again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def run(goldens: Path, out: Path) -> dict[str, str]:
    """All cases but those whose errors it draws from numpy's global generator."""
    from simulator import AnalogCore, CrossSimParameters

    where = goldens / "crosssim"
    cases = json.loads((where / "det_16.json").read_text())  # noqa: TID251 (without mho)
    recorded = np.load(where / "det_16.npz")
    arrays: dict[str, Any] = {name: recorded[name] for name in ("W", "X", "Xpos")}
    failed = {}
    kept = {name: case for name, case in cases.items() if "seed7" not in name}
    for name, case in kept.items():
        x = arrays["Xpos" if name.endswith("__posX") else "X"]
        x = x.astype(np.float64) if name.endswith("tight") else x
        try:
            params = CrossSimParameters()
            params.update(case["params"])
            core = AnalogCore(arrays["W"], params)
            arrays["y:" + name] = (x.T @ core).T if name.startswith("vmm__") else core @ x
        except Exception as error:  # of the simulator, which may raise anything
            failed[name] = f"{type(error).__name__}: {error}"
    (out / "crosssim").mkdir()
    (out / "crosssim/det_16.json").write_text(json.dumps(kept))
    np.savez(out / "crosssim/det_16.npz", **arrays)
    (out / "silent.json").write_text(json.dumps(silent(arrays["W"], arrays["X"])))
    return failed


def silent(weight: Any, x: Any) -> dict[str, bool]:
    """Which of its silent errors it makes, by the names of the rows."""
    from simulator import AnalogCore, CrossSimParameters

    found = {}
    params = CrossSimParameters()
    try:
        params.xbar.device.Rmim = 1.0
        found["misspelt parameters"] = True
    except Exception:  # whatever it raises
        found["misspelt parameters"] = False
    error = params.xbar.device.programming_error
    error.enable, error.model, error.magnitude = True, "NormalProportionalDevice", 0.1
    fresh = AnalogCore(weight, params) @ x
    params.xbar.device.time = 1.0
    aged = AnalogCore(weight, params) @ x
    exact = weight @ x
    wrong, right = (float(np.abs(y - exact).max() / np.abs(exact).max()) for y in (fresh, aged))
    found["programming error of an aged chip"] = wrong > 1e-3 and right < 1e-5
    return found


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]))))  # noqa: T201

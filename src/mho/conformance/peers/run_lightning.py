"""aihwkit-lightning: the products of ``aihwkit/golden_mvm.npz`` that are its own, again."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch


def run(goldens: Path, out: Path) -> dict[str, str]:
    """On the CPU, with an input range of 1."""
    os.environ["AIHWKIT_USE_TRITON"] = "0"
    from aihwkit_lightning.nn import AnalogLinear
    from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig

    where = goldens / "aihwkit"
    document = json.loads((where / "golden_mvm.json").read_text())  # noqa: TID251 (without mho)
    cases = [case for case in document["cases"] if case["name"].startswith("light")]
    recorded = np.load(where / "golden_mvm.npz")
    arrays, failed = {"W": recorded["W"], "X": recorded["X"]}, {}
    for case in cases:
        config = TorchInferenceRPUConfig()
        io, ranges = config.forward, config.pre_post.input_range
        io.inp_res, io.out_res, io.out_bound, io.out_noise = (
            case["inp_res"],
            case["out_res"],
            case["out_bound"],
            0.0,
        )
        config.mapping.max_input_size = case["tile"]
        ranges.enable, ranges.learn_input_range, ranges.init_from_data = True, False, 0
        ranges.init_value = 1.0
        try:
            layer = AnalogLinear(40, 24, bias=False, rpu_config=config).eval()
            with torch.no_grad():
                layer.weight.copy_(torch.as_tensor(arrays["W"]))
                arrays[case["name"]] = layer(torch.as_tensor(arrays["X"])).numpy()
        except Exception as error:  # of the simulator, which may raise anything
            failed[f"product {case['name']}"] = f"{type(error).__name__}: {error}"
    (out / "aihwkit").mkdir()
    (out / "aihwkit/golden_mvm.json").write_text(json.dumps({"cases": cases}))
    np.savez(out / "aihwkit/golden_mvm.npz", **arrays)
    config = TorchInferenceRPUConfig()
    config.forward.out_noise = 0.1
    layer = AnalogLinear(40, 24, bias=False, rpu_config=config).eval()
    with torch.no_grad():
        two = [layer(torch.as_tensor(arrays["X"])) for _ in range(2)]
    does = {"output noise in evaluation": torch.equal(*two)}
    (out / "silent.json").write_text(json.dumps(does))
    return failed


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]))))  # noqa: T201

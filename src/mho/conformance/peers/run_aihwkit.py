"""aihwkit: its products, moments of noise models and factors of drift compensation, again."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

COUNT = 20_000


def run(goldens: Path, out: Path) -> dict[str, str]:
    """Products by both tiles; what the compiled one cannot do is named."""
    torch.manual_seed(0)  # noqa: TID251 (a process of its own)
    (out / "aihwkit").mkdir()
    failed = {}
    for part in (_products, _moments, _compensation):
        failed.update(part(goldens / "aihwkit", out / "aihwkit"))
    from aihwkit.inference.noise.reram import ReRamWan2022NoiseModel

    spreads = []  # at half of g_max, microsiemens: that of 40 scaled with g_max, or as it was
    for g_max in (20.0, 40.0):
        target = torch.full((COUNT,), g_max / 2)
        g = ReRamWan2022NoiseModel(g_max=g_max).apply_programming_noise_to_conductance(target)
        spreads.append(g.std().item())
    does = {"Wan 2022 at another g_max": abs(spreads[0] / spreads[1] - 1) < 0.05}
    (out / "silent.json").write_text(json.dumps(does))
    return failed


def _layer(inputs: int, outputs: int, config: Any, weight: Any) -> Any:
    from aihwkit.nn import AnalogLinear

    layer = AnalogLinear(inputs, outputs, bias=False, rpu_config=config)
    layer.set_weights(torch.as_tensor(weight), None)
    return layer.eval()


def _products(where: Path, out: Path) -> dict[str, str]:
    from aihwkit.simulator import configs

    document = json.loads((where / "golden_mvm.json").read_text())  # noqa: TID251 (without mho)
    cases = [case for case in document["cases"] if not case["name"].startswith("light")]
    recorded = np.load(where / "golden_mvm.npz")
    arrays, failed = {"W": recorded["W"], "X": recorded["X"]}, {}
    for engine, kind in (("cpp", configs.InferenceRPUConfig), ("ttile", configs.TorchInferenceRPUConfig)):
        for case in cases:
            config = kind()
            config.noise_model = None
            io = config.forward
            io.inp_res, io.out_res, io.out_noise = case["inp_res"], case["out_res"], 0.0
            io.inp_bound, io.out_bound = case["inp_bound"], case["out_bound"]
            how, *bound = case["nm"].split("+")
            io.noise_management = configs.NoiseManagementType[how]
            io.bound_management = configs.BoundManagementType["ITERATIVE" if bound else "NONE"]
            try:
                with torch.no_grad():
                    y = _layer(40, 24, config, arrays["W"])(torch.as_tensor(arrays["X"]))
                arrays[f"{case['name']}__{engine}"] = y.numpy()
            except Exception as error:  # a wheel that was built for another torch
                failed[f"product {case['name']} ({engine})"] = f"{type(error).__name__}: {error}"
    (out / "golden_mvm.json").write_text(json.dumps({"cases": cases}))
    np.savez(out / "golden_mvm.npz", **arrays)
    return failed


def _model(name: str) -> Any:
    from aihwkit.inference import noise

    models: dict[str, tuple[Any, str, dict[str, Any]]] = {
        "pcm_gmax25": (noise.pcm, "PCMLikeNoiseModel", {"g_max": 25.0}),
        "pcm_gmax10": (noise.pcm, "PCMLikeNoiseModel", {"g_max": 10.0}),
        "hermes_2dev": (noise.hermes, "HermesNoiseModel", {"num_devices": 2}),
        "hermes_1dev": (noise.hermes, "HermesNoiseModel", {"num_devices": 1}),
        "state_independent": (noise.custom, "StateIndependentNoiseModel", {"g_max": 25.0}),
        "reram_wan2022_gmax40": (noise.reram, "ReRamWan2022NoiseModel", {"g_max": 40.0}),
        "reram_wan2022_default": (noise.reram, "ReRamWan2022NoiseModel", {}),
        "reram_cmo_default": (noise.reram, "ReRamCMONoiseModel", {"acceptance_range": 0.2}),
        "reram_cmo_acc2": (noise.reram, "ReRamCMONoiseModel", {"acceptance_range": 2}),
    }
    module, kind, given = models[name]
    return getattr(module, kind)(**given)


def _moments(where: Path, out: Path) -> dict[str, str]:
    """Means and spreads over cells; a table of its own is left out, for it was not kept."""
    recorded = json.loads((where / "golden_noise.json").read_text())  # noqa: TID251 (without mho)
    models, failed = {}, {}
    for name, golden in recorded["models"].items():
        if name == "custom_drift":
            continue
        try:
            model = _model(name)
            rows = [_row(model, row) for row in golden["rows"]]
        except Exception as error:
            failed[f"moments {name}"] = f"{type(error).__name__}: {error}"
            continue
        models[name] = {"g_max": golden["g_max"], "rows": rows}
    (out / "golden_noise.json").write_text(json.dumps({"n": COUNT, "models": models}))
    return failed


def _row(model: Any, golden: dict[str, Any]) -> dict[str, Any]:
    target = torch.full((COUNT,), golden["g_target"])
    written = model.apply_programming_noise_to_conductance(target.clone())
    row = {"g_target": golden["g_target"]}
    row["prog_mean"], row["prog_std"] = written.mean().item(), written.std().item()
    for key in golden:
        if key.startswith("t") and key.endswith("_mean"):
            drift = model.generate_drift_coefficients(target.clone())
            g = model.apply_drift_noise_to_conductance(written, drift, float(key[1:-5]))
            sound = g[~g.isnan()]
            row[key], row[key[:-4] + "std"] = sound.mean().item(), sound.std().item()
            row[key[:-4] + "nan"] = int(g.isnan().sum())
    return row


def _compensation(where: Path, out: Path) -> dict[str, str]:
    """Global and per-column factors, of the compiled tile where it works."""
    from aihwkit.inference import noise

    chips: dict[str, Callable[[], Any]] = {
        "pcm": lambda: noise.pcm.PCMLikeNoiseModel(g_max=25.0),
        "hermes2": lambda: noise.hermes.HermesNoiseModel(num_devices=2),
        "pcm_noread_noprog_nodriftvar": lambda: noise.pcm.PCMLikeNoiseModel(
            g_max=25.0, prog_noise_scale=0.0, read_noise_scale=0.0
        ),
    }
    weight = torch.randn(256, 256)
    weight = weight.clamp(-3 * weight.std(), 3 * weight.std())
    weight = weight / weight.abs().max()
    rows, failed = [], {}
    for kind in ("Global", "PerColumn"):
        for name, model in chips.items():
            try:
                rows += _factors(kind, name, model(), weight)
            except Exception as error:  # noqa: PERF203 (of the simulator)
                failed[f"compensation {kind} {name}"] = f"{type(error).__name__}: {error}"
    (out / "golden_gdc.json").write_text(json.dumps({"rows": rows}))
    return failed


def _factors(kind: str, name: str, model: Any, weight: Any) -> list[dict[str, Any]]:
    from aihwkit.inference.compensation import drift
    from aihwkit.simulator import configs

    def made(config_type: Any) -> Any:
        config = config_type()
        config.forward.is_perfect = True
        config.noise_model = model
        config.drift_compensation = getattr(drift, f"{kind}DriftCompensation")()
        layer = _layer(256, 256, config, weight)
        layer.program_analog_weights()
        return layer

    tile = "cpp"
    try:
        layer = made(configs.InferenceRPUConfig)
    except Exception:
        tile, layer = "torch", made(configs.TorchInferenceRPUConfig)
    rows = []
    for seconds in (1.0, 3600.0, 86400.0, 31536000.0):
        layer.drift_analog_weights(seconds)
        alpha = next(layer.analog_tiles()).alpha
        rows.append(
            {"comp": kind, "tile": tile, "model": name, "t": seconds, "alpha_mean": alpha.mean().item()}
        )
    return rows


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]))))  # noqa: T201

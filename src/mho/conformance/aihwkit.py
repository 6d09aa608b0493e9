"""aihwkit 1.2.0 and aihwkit-lightning 2.1.0: products, moments of noise models, drift compensation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

import mho
from mho.compat.aihwkit.inference import (
    HermesNoiseModel,
    PCMLikeNoiseModel,
    ReRamCMONoiseModel,
    ReRamWan2022NoiseModel,
    StateIndependentNoiseModel,
)
from mho.compat.aihwkit.simulator.configs import (
    BoundManagementType,
    NoiseManagementType,
    TorchInferenceRPUConfig,
)
from mho.config import read_plain
from mho.conformance.rows import Row, Verdict, compared
from mho.devices import Device, ReRAMWan2022
from mho.foreign.aihwkit import HeldDifferently
from mho.periphery import ColumnDrift, GlobalDrift

PEER, LIGHTNING = "aihwkit 1.2.0", "aihwkit-lightning 2.1.0"
ITERATIVE = (
    "aihwkit reads a vector whose outputs clip again with half its inputs, which rounds them more "
    "coarsely; its "
    "two tiles differ from each other too, for one repeats the whole batch. Here the ADC widens for that "
    "vector"
)
TILES = "each tile has the ADC range of its own largest weight there, here a layer has one range"
EXACT = "its reference is the ideal weights, which no read of an array gives; mho.periphery.Affine fits data"
WAN = (
    "the noise was measured at 40 uS; there it stays that of 40 uS when g_max is 25, here it scales with "
    "g_max. Compared with the noise of 40 uS"
)
TABLE = "the case has a drift table of its own, which the reference file does not hold"
DROPPED = (
    "programmed weights are converted once more there before they drift: one cell of each pair is lost and "
    "the "
    "scale follows the noisiest cell"
)
_COUNT = 20_000
_SIGMAS = 4.5  # of the worst of hundreds of moments


def rows(folder: Path, aihwkit: str = PEER, lightning: str = LIGHTNING) -> Iterator[Row]:
    """All comparisons with the numbers that the folder has of them.

    Args:
        aihwkit, lightning: what the rows call the two.
    """
    where = folder / "aihwkit"
    cases = read_plain(where / "golden_mvm.json")["cases"]
    arrays = np.load(where / "golden_mvm.npz")
    for case in cases:
        if case["name"].startswith("light"):
            yield from _lightning(case, arrays, lightning)
        else:
            yield from _product(case, arrays, aihwkit)
    for part, name in ((_moments, "golden_noise.json"), (_compensation, "golden_gdc.json")):
        if (where / name).is_file():
            yield from part(read_plain(where / name), aihwkit)


# --- products --------------------------------------------------------------------------------------


def config_of(case: dict[str, Any]) -> TorchInferenceRPUConfig:
    """The configuration that a product of aihwkit was made with."""
    config = TorchInferenceRPUConfig(noise_model=None)
    io = config.forward
    io.inp_res, io.out_res, io.out_noise = case["inp_res"], case["out_res"], 0.0
    io.inp_bound, io.out_bound = case["inp_bound"], case["out_bound"]
    how, *bound = case["nm"].split("+")
    io.noise_management = NoiseManagementType[how]
    io.bound_management = BoundManagementType.ITERATIVE if bound else BoundManagementType.NONE
    return config


def lightning_config(case: dict[str, Any]) -> SimpleNamespace:
    """The configuration that a product of aihwkit-lightning was made with, by its attributes."""
    names = ("inp_res", "out_res", "out_bound")
    io = SimpleNamespace(out_noise=0.0, out_noise_per_channel=False, **{name: case[name] for name in names})
    ranges = SimpleNamespace(enable=True, learn_input_range=False, init_value=1.0, init_from_data=0)
    return SimpleNamespace(
        forward=io,
        mapping=SimpleNamespace(max_input_size=case["tile"]),
        pre_post=SimpleNamespace(input_range=ranges),
    )


def _product(case: dict[str, Any], arrays: Any, peer: str) -> Iterator[Row]:
    config = config_of(case)
    iterative = case["nm"].endswith("+ITER")
    for engine, coarse in (("cpp", 0.03), ("ttile", 0.06)):
        name = f"{case['name']}__{engine}"
        if name in arrays:  # a compiled tile may not run with the torch that is there
            tolerance, why = (coarse, ITERATIVE) if iterative else (1e-6, "")
            label = f"{peer} ({engine})"
            yield _of_product(case["name"], label, config, arrays, arrays[name], tolerance, why)


def _lightning(case: dict[str, Any], arrays: Any, peer: str) -> Iterator[Row]:
    if case["name"] in arrays:
        tolerance, why = (0.03, TILES) if case["tile"] > 0 else (1e-6, "")
        wanted, config = arrays[case["name"]], lightning_config(case)
        yield _of_product(case["name"], peer, config, arrays, wanted, tolerance, why)


def _of_product(
    name: str, peer: str, config: Any, arrays: Any, wanted: Any, tolerance: float, why: str
) -> Row:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HeldDifferently)  # the row says it
        hardware = mho.Hardware.from_aihwkit(config)
    weight, x = (torch.tensor(arrays[key].astype(np.float64)) for key in "WX")
    inputs, outputs = weight.T.shape
    layer = mho.nn.AnalogLinear(inputs, outputs, bias=False, dtype=torch.float64, hardware=hardware)
    with torch.no_grad():
        layer.weight.copy_(weight)
        mho.program(layer.eval(), seed=0)
        # two inputs lie between two codes; in the float32 of the reference they fall either way
        got = np.stack([layer(x * scale).numpy() for scale in (1 - 1e-7, 1, 1 + 1e-7)])
    difference = float(np.abs(got - wanted).max(-1).min(0).max() / np.abs(wanted).max())
    size = float(np.linalg.norm(wanted)), float(np.linalg.norm(got[1]))
    return compared(f"product {name}", peer, *size, difference, tolerance, "both", why)


# --- noise models ----------------------------------------------------------------------------------


def noise_model(name: str) -> Any:
    """The noise model of a golden table."""
    made: dict[str, Callable[[], Any]] = {
        "pcm_gmax25": lambda: PCMLikeNoiseModel(g_max=25.0),
        "pcm_gmax10": lambda: PCMLikeNoiseModel(g_max=10.0),
        "hermes_2dev": lambda: HermesNoiseModel(num_devices=2),
        "hermes_1dev": lambda: HermesNoiseModel(num_devices=1),
        "state_independent": lambda: StateIndependentNoiseModel(g_max=25.0),
        "reram_wan2022_gmax40": lambda: ReRamWan2022NoiseModel(g_max=40.0),
        "reram_wan2022_default": lambda: ReRamWan2022NoiseModel(g_max=25.0),
        "reram_cmo_default": lambda: ReRamCMONoiseModel(acceptance_range=0.2),
        "reram_cmo_acc2": lambda: ReRamCMONoiseModel(acceptance_range=2),
    }
    return made[name]()


def _moments(golden: dict[str, Any], peer: str) -> Iterator[Row]:
    for name, model in golden["models"].items():
        case = f"moments {name}"
        if name == "custom_drift":
            yield Row(case, peer, "", "", None, None, Verdict.APART, "both", TABLE)
            continue
        config = TorchInferenceRPUConfig(noise_model=noise_model(name))
        config.forward.is_perfect = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HeldDifferently)
            device = mho.Hardware.from_aihwkit(config).device
        unscaled = name == "reram_wan2022_default"
        if unscaled:
            factor = 40.0 / model["g_max"]
            device = ReRAMWan2022(g_min=0.0, g_max=device.g_max, program_scale=factor, drift_scale=factor)
        worst, theirs, ours = _worst(device, model, golden["n"], "cmo" in name)
        right, why = ("mho", WAN) if unscaled else ("both", "")
        yield compared(case, peer, theirs, ours, worst, _SIGMAS, right, why)


def _worst(
    device: Device, model: dict[str, Any], theirs: int, ends_clipped: bool
) -> tuple[float, float, float]:
    """The largest deviation of a mean or spread in standard errors, and the two values."""
    eps = torch.randn(3, _COUNT, dtype=torch.float64)
    found = (0.0, 0.0, 0.0)
    inner = model["rows"][1:-1] if ends_clipped else model["rows"]  # there they are clipped later than here
    for row in inner:
        target = torch.full((_COUNT,), row["g_target"] * 1e-6, dtype=torch.float64)
        target = target.clamp(device.g_min, device.g_max)
        written = device.programmed(target, eps[0])
        cells = device.drift_state(target, eps[1])
        seen = {"prog": written}
        for seconds in (1.0, 3600.0, 86400.0, 172800.0, 31536000.0):
            key = f"t{seconds:g}"
            if f"{key}_mean" in row and not row[f"{key}_nan"]:
                now = device.aged(written, cells, seconds)
                seen[key] = device.one_read(written, cells, now, seconds, eps[2]).clamp(device.g_min)
        for key, values in seen.items():
            found = max(found, *_deviations(values * 1e6, row[f"{key}_mean"], row[f"{key}_std"], theirs))
    return found


def _deviations(g: Tensor, mean: float, std: float, theirs: int) -> list[tuple[float, float, float]]:
    """Of mean and spread, in standard errors of both samples."""
    both = (1 / len(g) + 1 / theirs) ** 0.5
    here, spread = float(g.mean()), float(g.std())
    of_spread = float(((g - here) ** 2).std()) / (2 * max(spread, 1e-9)) * both
    first = max(abs(here - mean) - 1e-6, 0.0) / max(max(std, spread) * both, 1e-12)
    second = max(abs(spread - std) - 1e-6, 0.0) / max(of_spread, 1e-12)
    return [(first, mean, here), (second, std, spread)]


# --- drift compensation ----------------------------------------------------------------------------

_CHIPS: dict[str, tuple[Device, float]] = {
    "pcm": (mho.devices.PCM(), 1e-2),
    "hermes2": (mho.devices.HermesPCM(), 1e-2),
    "pcm_noread_noprog_nodriftvar": (mho.devices.PCM(program_scale=0.0, read_scale=0.0), 1e-3),
}


def _compensation(golden: dict[str, Any], peer: str) -> Iterator[Row]:
    """Factors: a Gaussian matrix clipped at three deviations, of which only the law is known."""
    tile = "cpp" if any(row["tile"] == "cpp" for row in golden["rows"]) else "torch"
    weight = torch.randn(256, 256)
    weight = weight.clamp(-3 * weight.std(), 3 * weight.std())
    for name, (device, tolerance) in _CHIPS.items():
        one = mho.mapping.DifferentialPair(scale=mho.mapping.Maximum())
        hardware = mho.Hardware(device=device, mapping=one, tile=mho.Tile(rows=None, columns=None))
        layer = mho.nn.AnalogLinear(256, 256, bias=False, hardware=hardware)
        layer.weight.data.copy_(weight)
        mho.program(layer.eval(), seed=0)
        for row in golden["rows"]:
            if row["model"] != name or row["tile"] != tile:
                continue
            case = f"compensation {row['comp']} {name} {row['t']:g} s"
            if row["comp"] == "GlobalExactReference":
                yield Row(
                    case, peer, f"{row['alpha_mean']:.6g}", "", None, None, Verdict.REFUSED, "mho", EXACT
                )
                continue
            mho.age(layer, row["t"])
            mho.compensate(layer, GlobalDrift() if row["comp"] == "Global" else ColumnDrift())
            ours = float(layer.crossbar.chip_gain.mean())
            difference = abs(ours / row["alpha_mean"] - 1)
            lost = DROPPED if tolerance > 1e-3 else ""
            yield compared(
                case, peer, row["alpha_mean"], ours, difference, tolerance, "mho" if lost else "both", lost
            )

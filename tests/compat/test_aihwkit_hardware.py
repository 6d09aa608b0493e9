"""Configurations of aihwkit as chips, against what aihwkit 1.2.0 computed with them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import mho
from mho.compat.aihwkit import HeldDifferently
from mho.compat.aihwkit.inference import (
    CustomDriftPCMLikeNoiseModel,
    DualPairConductanceConverter,
    PCMLikeNoiseModel,
    ReRamCMONoiseModel,
    ReRamWan2022NoiseModel,
)
from mho.compat.aihwkit.simulator.configs import (
    AnalogMVType,
    BoundManagementType,
    InferenceRPUConfig,
    NoiseManagementType,
    WeightNoiseType,
)
from mho.conformance.aihwkit import config_of, lightning_config, noise_model
from mho.errors import ConfigError

DATA = Path(__file__).parents[1] / "reference/data/aihwkit"
CASES = {case["name"]: case for case in json.loads((DATA / "golden_mvm.json").read_text())["cases"]}
NOISE = json.loads((DATA / "golden_noise.json").read_text())
ARRAYS = np.load(DATA / "golden_mvm.npz")
W, X = (torch.tensor(ARRAYS[key].astype(np.float64)) for key in "WX")
TILES = [name for name in CASES if not name.startswith("light")]


def products(hardware: mho.Hardware) -> np.ndarray:
    """Of the golden matrix; two inputs lie between two codes, and may fall either way."""
    layer = mho.nn.AnalogLinear(40, 24, bias=False, dtype=torch.float64, hardware=hardware)
    with torch.no_grad():
        layer.weight.copy_(W)
        mho.program(layer.eval(), seed=0)
        return np.stack([layer(X * scale).numpy() for scale in (1 - 1e-7, 1, 1 + 1e-7)])


@pytest.mark.parametrize("name", [name for name in TILES if "iter" not in name])
def test_golden_products(name: str) -> None:
    got = products(mho.Hardware.from_aihwkit(config_of(CASES[name])))
    for engine in ("cpp", "ttile"):
        wanted = ARRAYS[f"{name}__{engine}"]
        error = np.abs(got - wanted).max(-1).min(0).max() / np.abs(wanted).max()
        assert error <= 1e-6


def test_iterative_bound_management_is_named_and_near() -> None:
    """Outputs that fit are theirs; the others differ by the rounding of inputs that were halved."""
    case = CASES["absmax_iter_b3"]
    with pytest.warns(HeldDifferently, match=r"forward\.bound_management = ITERATIVE"):
        hardware = mho.Hardware.from_aihwkit(config_of(case))
    assert isinstance(hardware.adc.range, mho.converters.Widening)
    wanted = ARRAYS["absmax_iter_b3__cpp"]
    scale = (
        np.abs(X.numpy()).max(1, keepdims=True).clip(1e-9)
    )  # a step of the ADC, and of halved inputs, by vector
    widened = 2.0 ** np.ceil(np.log2(np.maximum(np.abs(wanted / scale).max(1, keepdims=True) / 3.0, 1)))
    step = scale * widened * (6.0 / 254 + np.sqrt((W.numpy() ** 2).sum(1).max()) / 254)
    error = np.abs(products(hardware) - wanted).min(0)
    assert (error <= 2 * step).all()
    assert error.max() / np.abs(wanted).max() < 0.03


@pytest.mark.parametrize("name", ["light_dac8_adc8_b10", "light_dac8"])
def test_golden_products_of_lightning(name: str) -> None:
    got = products(mho.Hardware.from_aihwkit(lightning_config(CASES[name])))
    error = np.abs(got - ARRAYS[name]).max(-1).min(0).max() / np.abs(ARRAYS[name]).max()
    assert error <= 1e-6


def test_tiles_of_lightning_are_named_and_near() -> None:
    case = CASES["light_dac8_adc8_b10_tile16"]
    with pytest.warns(HeldDifferently, match="max_input_size"):
        hardware = mho.Hardware.from_aihwkit(lightning_config(case))
    assert hardware.tile == mho.Tile(rows=16, columns=None)
    wanted = ARRAYS["light_dac8_adc8_b10_tile16"]
    assert np.abs(products(hardware) - wanted).min(0).max() <= 3 * 20 / 254  # a step of each tile
    io = SimpleNamespace(**vars(lightning_config(case).forward))
    io.out_bound = 0.0
    with pytest.raises(ConfigError, match="out_bound"):
        mho.Hardware.from_aihwkit(SimpleNamespace(**{**vars(lightning_config(case)), "forward": io}))


# --- noise models ----------------------------------------------------------------------------------

_TABLE = {"g_lst": [0.0, 25.0], "nu_mean_lst": [0.1, 0.04], "nu_std_lst": [0.02, 0.01]}


MODELS = [name for name in NOISE["models"] if name not in ("reram_wan2022_default", "custom_drift")]


@pytest.mark.parametrize("name", MODELS)
def test_noise_moments(name: str) -> None:
    """Mean and spread over cells of a whole life, within four standard errors of theirs."""
    config = InferenceRPUConfig(noise_model=noise_model(name))
    config.forward.is_perfect = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HeldDifferently)
        device = mho.Hardware.from_aihwkit(config).device
    count, theirs = 20_000, NOISE["n"]
    rng = torch.Generator().manual_seed(7)
    eps = torch.randn(4, count, generator=rng, dtype=torch.float64)
    rows = NOISE["models"][name]["rows"]
    for row in rows[2:-2:6] if "cmo" in name else rows[::4]:  # its ends are clipped later there than here
        target = torch.full((count,), row["g_target"] * 1e-6, dtype=torch.float64).clamp(
            device.g_min, device.g_max
        )
        written = device.programmed(target, eps[0])
        agree(written, row["prog_mean"], row["prog_std"], theirs, f"{name} {row['g_target']} programmed")
        cells = device.drift_state(target, eps[1])
        for seconds in (1.0, 3600.0, 86400.0, 31536000.0, 172800.0):
            mean, spread = row.get(f"t{seconds:g}_mean"), row.get(f"t{seconds:g}_std")
            if mean is None or row[f"t{seconds:g}_nan"]:
                continue
            now = device.aged(written, cells, seconds)
            read = device.one_read(written, cells, now, seconds, eps[2])
            agree(read.clamp(device.g_min), mean, spread, theirs, f"{name} {row['g_target']} {seconds}")


def agree(found: torch.Tensor, mean: float, std: float, theirs: int, where: str) -> None:
    """Moments in microsiemens, with the errors of both samples; that of a spread from its fourth moment."""
    found = found * 1e6
    ours = len(found)
    both = (1 / ours + 1 / theirs) ** 0.5
    assert abs(float(found.mean()) - mean) <= 4 * max(std, float(found.std())) * both + 1e-6, where
    centred = (found - found.mean()) ** 2
    error = float(centred.std()) / (2 * max(float(found.std()), 1e-9)) * both
    assert abs(float(found.std()) - std) <= 4 * error + 1e-6, where


def test_parameters_of_noise_models_go_over() -> None:
    def device(model: Any) -> mho.devices.Device:
        config = InferenceRPUConfig(noise_model=model)
        config.forward.is_perfect = True
        return mho.Hardware.from_aihwkit(config).device

    scaled = device(PCMLikeNoiseModel(g_max=10.0, t_0=5.0, prog_noise_scale=0.5, drift_scale=0.0))
    assert scaled == mho.devices.PCM(g_max=10e-6, t0=5.0, program_scale=0.5, drift_scale=0.0)
    own = device(PCMLikeNoiseModel(prog_coeff=[0.1, 0.2], g_max=20.0))
    assert own.program == (0.1, 0.2) and own.g_reference == own.g_max == 20e-6
    table = device(CustomDriftPCMLikeNoiseModel(_TABLE))
    assert table.nu == mho.devices.TableNu(g=(0.0, 25e-6), mean=(0.1, 0.04), std=(0.02, 0.01))
    assert device(None) == mho.devices.Ideal()
    with pytest.warns(HeldDifferently, match="scales with g_max"):
        assert device(ReRamWan2022NoiseModel(g_max=25.0)).g_max == 25e-6
    middle, default = (pytest.warns(HeldDifferently, match=m) for m in ("in the middle", "range = 0.02"))
    with middle, default:
        assert device(ReRamCMONoiseModel()).acceptance == "0.2%"


# --- options ---------------------------------------------------------------------------------------


def quiet() -> InferenceRPUConfig:
    config = InferenceRPUConfig()
    config.forward.bound_management = BoundManagementType.NONE
    return config


def test_converters_count_in_cells() -> None:
    config = quiet()
    config.mapping.weight_scaling_omega, config.mapping.weight_scaling_columnwise = 0.5, True
    hardware = mho.Hardware.from_aihwkit(config)
    assert hardware.dac == mho.DAC(bits=None, steps=126, range=mho.converters.Dynamic())
    assert hardware.adc.range == mho.converters.Fixed(limit=24.0)  # 12 at weights of 0.5
    assert hardware.adc.steps == 510 and hardware.adc.noise == 0.12
    assert hardware.mapping.scale == mho.mapping.Maximum(per_column=True)
    assert hardware.tile == mho.Tile(rows=512, columns=512)
    config.mapping.weight_scaling_omega = 0.0
    again = mho.Hardware.from_aihwkit(config, largest_weight=2.0)
    assert again.adc.range == mho.converters.Fixed(limit=6.0) and again.adc.noise == 0.03
    assert again.mapping.scale == mho.mapping.Maximum()
    config.pre_post.input_range.enable = True
    config.forward.noise_management = NoiseManagementType.NONE
    learned = mho.Hardware.from_aihwkit(config).dac.range
    assert learned == mho.converters.Learned(initial=3.0, decay=0.001, inside=0.95)
    config.forward.is_perfect = True
    assert mho.Hardware.from_aihwkit(config).dac is None


def test_pairs_of_pairs() -> None:
    model = PCMLikeNoiseModel(g_converter=DualPairConductanceConverter(f_lst=[1.0, 3.0]))
    config = quiet()
    config.noise_model = model
    made = mho.Hardware.from_aihwkit(config).mapping
    assert made == mho.mapping.SignificancePairs(factors=(1.0, 3.0), scale=mho.mapping.Maximum())


@pytest.mark.parametrize(
    "name, value",
    [
        ("ir_drop", 1.0), ("inp_sto_round", True), ("out_noise_std", 0.1), ("out_nonlinearity", 0.1),
        ("r_series", 0.1), ("v_offset_std", 0.1), ("w_read_asymmetry_dtod", 0.1), ("out_scale", 2.0),
        ("mv_type", AnalogMVType.BIT_WISE), ("bound_management", BoundManagementType.SHIFT),
        ("noise_management", NoiseManagementType.MAX), ("nm_thres", 1.0), ("slope_calibration", 0.5),
        ("inp_asymmetry", 0.1), ("out_asymmetry", 0.1), ("out_sto_round", True),
    ],
)  # fmt: skip
def test_what_is_not_held_is_named_and_may_be_left_out(name: str, value: Any) -> None:
    config = quiet()
    setattr(config.forward, name, value)
    with pytest.raises(ConfigError, match=rf"forward\.{name} = .*ignore=\['forward\.{name}'\]"):
        mho.Hardware.from_aihwkit(config)
    kept = mho.Hardware.from_aihwkit(config, ignore=[f"forward.{name}"])
    assert kept.adc is not None


def test_weight_noise_counts_only_with_its_type() -> None:
    config = quiet()
    config.forward.w_noise = 0.02
    mho.Hardware.from_aihwkit(config)
    config.forward.w_noise_type = WeightNoiseType.ADDITIVE_CONSTANT
    with pytest.raises(ConfigError, match=r"forward\.w_noise"):
        mho.Hardware.from_aihwkit(config)


def test_every_option_of_the_forward_pass_is_read_or_refused() -> None:
    """One that was added, or misspelt, is not ignored."""
    config = quiet()
    config.forward = SimpleNamespace(**vars(config.forward), out_noize=0.1)
    with pytest.raises(ConfigError, match=r"forward\.out_noize: mho does not know"):
        mho.Hardware.from_aihwkit(config)
    mho.Hardware.from_aihwkit(config, ignore=["forward.out_noize"])
    with pytest.raises(ConfigError, match="pulses"):
        mho.Hardware.from_aihwkit(
            SimpleNamespace(forward=None, mapping=None, device=type("ConstantStepDevice", (), {})())
        )
    with pytest.raises(TypeError, match="give an InferenceRPUConfig"):
        mho.Hardware.from_aihwkit(mho.Hardware())
    with pytest.raises(ConfigError, match="noise_model = Mine"):
        mho.Hardware.from_aihwkit(InferenceRPUConfig(noise_model=type("Mine", (), {})()))
    with pytest.raises(ValueError, match="largest_weight"):
        mho.Hardware.from_aihwkit(quiet(), largest_weight=0.0)


def test_output_noise_has_its_spread() -> None:
    config = quiet()
    config.noise_model, config.forward.out_noise = None, 0.5
    config.forward.inp_res = config.forward.out_res = -1
    torch.manual_seed(0)
    hardware = mho.Hardware.from_aihwkit(config)
    layer = mho.nn.AnalogLinear(40, 24, bias=False, dtype=torch.float64, hardware=hardware)
    with torch.no_grad():
        layer.weight.copy_(W)
        mho.program(layer.eval(), seed=0)
        x = torch.ones(500, 40, dtype=torch.float64)
        x[:, 0] = 2.0
        error = layer(x) - x @ W.T
    clipped = (x @ W.T).abs() > 2 * 11
    assert not clipped.any()
    assert abs(float(error.std()) - 2 * 0.5) < 4 * 1.0 / (2 * error.numel()) ** 0.5  # noise, scaled back

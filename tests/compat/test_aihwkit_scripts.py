"""Scripts written for aihwkit, with their imports replaced."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

import mho
from mho.compat.aihwkit import HeldDifferently, compensation, recipe
from mho.compat.aihwkit.inference import (
    GlobalDriftCompensation,
    PCMLikeNoiseModel,
    PerColumnDriftCompensation,
)
from mho.compat.aihwkit.inference.noise import hermes, pcm, reram
from mho.compat.aihwkit.nn import (
    AnalogConv2d,
    AnalogLinear,
    AnalogSequential,
    convert_to_analog,
    convert_to_digital,
)
from mho.compat.aihwkit.optim import AnalogAdam, AnalogOptimizer, AnalogSGD
from mho.compat.aihwkit.simulator.configs import (
    BoundManagementType,
    InferenceRPUConfig,
    NoiseManagementType,
    TorchInferenceRPUConfig,
    WeightClipType,
    WeightModifierType,
    WeightRemapType,
)
from mho.compat.aihwkit.simulator.presets import FloatingPointPreset, StandardHWATrainingPreset
from mho.compat.aihwkit.simulator.rpu_base import cuda
from mho.errors import ConfigError
from mho.training import DropConnect, FixedClip, OutputScale, WeightClip, WeightNoise, WeightRange


@pytest.fixture(autouse=True)
def draws() -> None:
    torch.manual_seed(0)


def hardware_aware(kind: type[InferenceRPUConfig] = TorchInferenceRPUConfig) -> InferenceRPUConfig:
    """A configuration for hardware-aware training, as the toolkit's LeNet examples fill it."""
    config = kind()
    config.mapping.weight_scaling_omega, config.mapping.weight_scaling_columnwise = 1.0, True
    config.mapping.learn_out_scaling = True
    config.mapping.max_input_size = config.mapping.max_output_size = 256
    config.noise_model = PCMLikeNoiseModel(g_max=25.0)
    config.remap.type = WeightRemapType.LAYERWISE_SYMMETRIC
    config.clip.type, config.clip.sigma, config.clip.fixed_value = WeightClipType.LAYER_GAUSSIAN, 2.0, 1.0
    config.forward.noise_management = NoiseManagementType.NONE
    config.forward.bound_management = BoundManagementType.NONE
    config.forward.out_bound, config.forward.out_noise = 10.0, 0.04
    config.forward.inp_res = config.forward.out_res = 2**8
    config.modifier.type, config.modifier.std_dev = WeightModifierType.ADD_NORMAL, 0.1
    config.modifier.per_batch_sample = True
    config.pre_post.input_range.enable = True
    return config


def test_one_layer_trains_and_drifts() -> None:
    x = torch.tensor([[0.1, 0.2, 0.4, 0.3], [0.2, 0.1, 0.1, 0.3]])
    y = torch.tensor([[1.0, 0.5], [0.7, 0.3]])
    rpu_config = InferenceRPUConfig()
    rpu_config.forward.out_res = -1.0
    rpu_config.forward.out_noise = 0.0
    rpu_config.forward.bound_management = BoundManagementType.NONE
    rpu_config.clip.type, rpu_config.clip.fixed_value = WeightClipType.FIXED_VALUE, 1.0
    rpu_config.modifier.pdrop = 0.03
    rpu_config.modifier.type, rpu_config.modifier.std_dev = WeightModifierType.ADD_NORMAL, 0.1
    rpu_config.noise_model = PCMLikeNoiseModel(g_max=25.0)
    rpu_config.drift_compensation = GlobalDriftCompensation()
    model = AnalogLinear(4, 2, bias=True, rpu_config=rpu_config)
    opt = AnalogSGD(model.parameters(), lr=0.1)
    opt.regroup_param_groups(model)
    losses = []
    for _ in range(100):
        opt.zero_grad()
        loss = mse_loss(model(x), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3
    model.eval()
    assert model.weight.abs().max().item() <= 1.0
    drifted = []
    for t_inference in (0.0, 1.0, 20.0, 1000.0, 1e5):
        model.drift_analog_weights(t_inference)
        drifted.append(model(x))
        assert next(model.analog_tiles()).chip.gain.shape == (2,)
    assert all(mse_loss(out, y) < 0.1 for out in drifted)
    assert not torch.equal(drifted[0], drifted[-1])
    assert cuda.is_compiled() == torch.cuda.is_available()


def test_a_network_of_layers() -> None:
    config = hardware_aware()
    model = AnalogSequential(
        AnalogConv2d(in_channels=1, out_channels=4, kernel_size=5, stride=1, rpu_config=config),
        nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(),
        AnalogLinear(in_features=64, out_features=10, rpu_config=config), nn.LogSoftmax(dim=1),
    )  # fmt: skip
    optimizer = AnalogOptimizer(torch.optim.AdamW, model.parameters(), lr=1e-2)
    optimizer.regroup_param_groups(model)
    x, labels = torch.randn(32, 1, 12, 12), torch.randint(10, (32,))
    first = None
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.nll_loss(model(x), labels)
        loss.backward()
        optimizer.step()
        first = loss.item() if first is None else first
    assert loss.item() < 0.7 * first
    model.eval()
    model.drift_analog_weights(86_400.0)
    assert len(list(model.analog_layers())) == len(list(model.analog_tiles())) == 2
    assert model(x).shape == (32, 10)
    state = copy.deepcopy(model.state_dict())
    assert any(key.endswith("chip_g") for key in state)
    assert len(recipe(config).modifiers) == 3


def test_conversion() -> None:
    digital = nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 4))
    config = hardware_aware(InferenceRPUConfig)
    config.mapping.digital_bias = False
    config.drift_compensation = PerColumnDriftCompensation()

    def own(name: str, module: nn.Module, given: InferenceRPUConfig) -> InferenceRPUConfig:
        if name == "2":
            given.noise_model = PCMLikeNoiseModel(g_max=10.0)
        return given

    analog = convert_to_analog(digital, config, specific_rpu_config_fun=own)
    assert analog[0].hardware.device.g_max == 25e-6 and analog[2].hardware.device.g_max == 10e-6
    assert analog[0].crossbar.bias_rows == 1
    assert config.noise_model.g_max == 25.0
    analog.eval()
    analog.program_analog_weights()
    analog.drift_analog_weights(3600.0)
    assert len(set(analog[0].chip.gain.tolist())) > 1
    x = torch.randn(50, 20)
    error = (analog(x) - digital(x)).norm() / digital(x).norm()
    assert 0.005 < error.item() < 0.5
    assert isinstance(analog, nn.Sequential) and analog.report is not None
    same = copy.deepcopy(analog)
    torch.testing.assert_close(mho.effective_weights(same)["0"], mho.effective_weights(analog)["0"])
    same.drift_analog_weights(10.0)
    assert mho.effective_weights(same)["0"].norm() != mho.effective_weights(analog)["0"].norm()
    back = convert_to_digital(analog)
    assert type(back[0]) is nn.Linear
    partly = convert_to_analog(digital, config, exclude_modules=["2"])
    assert type(partly[2]) is nn.Linear
    with pytest.raises(ConfigError, match="another one"):
        analog.program_analog_weights(noise_model=PCMLikeNoiseModel(g_max=12.0))


def test_the_default_configuration_runs_and_says_what_differs() -> None:
    with pytest.warns(HeldDifferently, match="ITERATIVE"):
        analog = convert_to_analog(nn.Linear(20, 8), InferenceRPUConfig()).eval()
    analog.drift_analog_weights(1.0)
    assert analog(torch.randn(3, 20)).shape == (3, 8)


def test_presets() -> None:
    digital = nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 4))
    preset = StandardHWATrainingPreset()
    with pytest.raises(ConfigError, match=r"forward\.(w_noise|ir_drop)"):
        convert_to_analog(digital, preset)
    left = ["forward.w_noise", "forward.ir_drop"]
    analog = convert_to_analog(digital, preset, ignore=left)
    hardware = analog[0].hardware
    assert hardware.adc.range == mho.converters.Fixed(limit=10.0) and hardware.adc.noise == 0.04
    assert hardware.dac.range == mho.converters.Learned(initial=3.0) and hardware.dac.steps == 254
    assert hardware.mapping.scale == mho.mapping.Maximum(per_column=True)
    assert hardware.tile == mho.Tile(rows=512, columns=None)
    assert recipe(preset, left).modifiers == (OutputScale(relative_to="column"),)
    plain = convert_to_analog(digital, FloatingPointPreset()).eval()
    x = torch.randn(5, 20)
    mho.program(plain, seed=0)
    assert plain[0].hardware.dac is None and plain[0].hardware.tile == mho.Tile(rows=None, columns=None)
    analog.eval()
    analog.drift_analog_weights(1.0)
    assert analog(x).shape == plain(x).shape


def test_paths_of_scripts() -> None:
    assert PCMLikeNoiseModel is pcm.PCMLikeNoiseModel
    assert reram.ReRamCMONoiseModel is not None and hermes.HermesNoiseModel is not None


def test_recipes() -> None:
    config = InferenceRPUConfig()
    assert recipe(config) == mho.training.Recipe()
    config.clip.type, config.clip.fixed_value = WeightClipType.FIXED_VALUE, 0.5
    config.modifier.type, config.modifier.pdrop = WeightModifierType.DROP_CONNECT, 0.1
    assert recipe(config).modifiers == (FixedClip(limit=0.5), DropConnect(p=0.1))
    config.mapping.weight_scaling_omega = 1.0
    config.mapping.weight_scaling_columnwise = True
    config.mapping.learn_out_scaling = config.mapping.out_scaling_columnwise = True
    config.modifier.type, config.modifier.std_dev = WeightModifierType.ADD_NORMAL, 0.2
    assert recipe(config).modifiers == (
        WeightRange(relative_to="column"),
        FixedClip(limit=0.5, relative_to="range"),
        OutputScale(relative_to="column"),
        WeightNoise(std=0.2, relative_to="column"),
        DropConnect(p=0.1),
    )
    config = hardware_aware()
    assert recipe(config).modifiers[0] == WeightClip(sigmas=2.0)
    for kind in WeightModifierType:
        config.modifier.type, config.modifier.res = kind, 0.1
        if kind.name in ("DOREFA", "PCM_NOISE", "PROG_NOISE"):
            with pytest.raises(ConfigError, match=rf"modifier\.type = {kind.name}"):
                recipe(config)
            assert recipe(config, ignore=["modifier.type"]) is not None
        else:
            assert recipe(config) is not None
    config.modifier.type = WeightModifierType.ADD_NORMAL
    config.modifier.rel_to_actual_wmax = False
    with pytest.raises(ConfigError, match="rel_to_actual_wmax"):
        recipe(config)
    config.clip.type = WeightClipType.AVERAGE_CHANNEL_MAX
    with pytest.raises(ConfigError, match=r"clip\.type"):
        recipe(config)


def test_compensations() -> None:
    config = InferenceRPUConfig(drift_compensation=None)
    assert compensation(config) is None
    config.drift_compensation = type("GlobalDriftCompensationWithExactReference", (), {})()
    with pytest.raises(ConfigError, match="no array can read"):
        compensation(config)


def test_without_compensation_outputs_fall() -> None:
    config = hardware_aware()
    config.drift_compensation = None
    analog = convert_to_analog(nn.Linear(20, 8, bias=False), config).eval()
    x, sizes = torch.randn(50, 20), []
    for t_inference in (0.0, 31_536_000.0):
        analog.drift_analog_weights(t_inference)
        sizes.append(analog(x).norm().item())
    assert sizes[1] < 0.7 * sizes[0]


def test_adam_is_torchs() -> None:
    layer = nn.Linear(2, 2)
    assert isinstance(AnalogAdam(layer.parameters(), lr=0.1), torch.optim.Adam)


def test_paths_that_scripts_import_from() -> None:
    from mho.compat.aihwkit import inference
    from mho.compat.aihwkit.inference.compensation import drift
    from mho.compat.aihwkit.inference.converter import conductance
    from mho.compat.aihwkit.simulator import configs
    from mho.compat.aihwkit.simulator.configs import utils
    from mho.compat.aihwkit.simulator.parameters import enums, io

    assert conductance.SinglePairConductanceConverter is inference.SinglePairConductanceConverter
    assert drift.GlobalDriftCompensation is inference.GlobalDriftCompensation
    assert utils.WeightRemapType is enums.WeightRemapType is configs.WeightRemapType
    assert configs.RPUDataType.HALF.as_torch() is torch.float16
    with pytest.raises(ConfigError, match=r"mho\.array\.Wires"):
        io.IOParametersIRDropT()
    with pytest.raises(ConfigError, match="learns by pulses"):
        _ = configs.SingleRPUConfig
    with pytest.raises(AttributeError, match="no attribute 'NoSuchThing'"):
        _ = configs.NoSuchThing


def test_state_dicts_come_back_without_a_configuration() -> None:
    from mho.compat.aihwkit.nn import AnalogLinear, AnalogSequential

    config = InferenceRPUConfig()
    config.forward.bound_management = BoundManagementType.NONE
    config.mapping.weight_scaling_omega = 1.0  # else bounds are in units of weights, and arrays differ
    first, second = (AnalogSequential(AnalogLinear(4, 3, rpu_config=config)) for _ in range(2))
    first.drift_analog_weights(3600.0)
    second.load_state_dict(first.state_dict(), load_rpu_config=False)
    x = torch.rand(2, 4)
    assert torch.equal(first[0].weight, second[0].weight)
    assert [path for path, _ in second.named_analog_layers()] == ["0"]
    assert second(x).shape == (2, 3)
    with pytest.raises(ConfigError, match="holds no configuration"):
        second.load_state_dict(first.state_dict(), load_rpu_config=True)


def test_lightning_has_its_own_defaults_and_optimizer() -> None:
    from mho.compat.aihwkit_lightning.nn.conversion import convert_to_analog as convert
    from mho.compat.aihwkit_lightning.optim import AnalogOptimizer
    from mho.compat.aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig as Config

    model = nn.Sequential(nn.Linear(4, 3))
    analog = convert(model, Config())
    x = torch.rand(5, 4)
    torch.testing.assert_close(analog.eval()(x), model(x), rtol=1e-5, atol=1e-6)
    step = AnalogOptimizer(torch.optim.AdamW, analog.analog_layers, analog.parameters(), lr=0.1)
    analog.train()(x).sum().backward()
    before = analog[0].weight.detach().clone()
    step.step()
    assert isinstance(step, torch.optim.AdamW) and not torch.equal(before, analog[0].weight)

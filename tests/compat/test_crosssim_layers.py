"""The layers of the face: a chip that follows the weights and the parameters, saved and loaded whole."""

from __future__ import annotations

import copy
import functools
import io
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

import mho
from mho.compat.crosssim.simulator import CrossSimParameters
from mho.compat.crosssim.simulator.algorithms.dnn.torch.conv import AnalogConv1d, AnalogConv2d, AnalogConv3d
from mho.compat.crosssim.simulator.algorithms.dnn.torch.convert import (
    analog_modules,
    convertible_modules,
    from_torch,
    inconvertible_modules,
    reinitialize,
    synchronize,
    to_torch,
)
from mho.compat.crosssim.simulator.algorithms.dnn.torch.layer import place_for
from mho.compat.crosssim.simulator.algorithms.dnn.torch.linear import AnalogLinear
from mho.errors import ConfigError


def ideal(**device: Any) -> CrossSimParameters:
    params = CrossSimParameters()
    params.update({f"xbar.device.{name}": value for name, value in device.items()})
    return params


def noisy(magnitude: float = 0.05) -> CrossSimParameters:
    params = CrossSimParameters()
    error = params.xbar.device.programming_error
    error.enable, error.model, error.magnitude = True, "NormalIndependentDevice", magnitude
    return params


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Sequential(nn.Linear(64, 8), nn.Linear(8, 3)),
    )


X = torch.rand(5, 2, 4, 4, generator=torch.Generator().manual_seed(3))


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias_rows", [0, 1, 3])
@pytest.mark.parametrize(
    ("kind", "torch_kind", "arguments", "shape"),
    [
        (AnalogLinear, nn.Linear, (6, 5), (4, 6)),
        (AnalogConv1d, nn.Conv1d, (4, 6, 3, 2, 1), (2, 4, 9)),
        (AnalogConv2d, nn.Conv2d, (4, 6, (3, 5), 1, "same", (2, 1), 2), (2, 4, 7, 7)),
        (AnalogConv3d, nn.Conv3d, (2, 3, 2, 1, 0, 2), (2, 2, 4, 4, 4)),
    ],
)
def test_ideal_layers_compute_what_torch_computes(
    kind: type, torch_kind: type, arguments: tuple[Any, ...], shape: tuple[int, ...], bias_rows: int
) -> None:
    layer, x = kind(ideal(), *arguments, bias_rows=bias_rows), torch.rand(shape)
    plain = torch_kind(*arguments)
    plain.load_state_dict(
        {name: value for name, value in layer.state_dict().items() if name in ("weight", "bias")}
    )
    wanted, got = plain(x), layer(x)
    assert close(got, wanted)
    for name in ("weight", "bias"):
        given = [
            torch.autograd.grad((y * y).sum(), getattr(m, name))[0]
            for m, y in ((plain, plain(x)), (layer, layer(x)))
        ]
        assert close(given[0], given[1])
    assert layer.bias_rows == bias_rows
    assert layer.get_matrix().shape == layer.form_matrix().shape
    assert close(layer.get_matrix(), layer.form_matrix())
    weight, bias = layer.get_core_weights()
    assert weight.shape == layer.weight.shape and close(weight, layer.weight) and close(bias, layer.bias)


@pytest.mark.parametrize("kind", [AnalogConv1d, AnalogConv2d, AnalogConv3d])
def test_analog_arguments_follow_those_of_the_layer_by_position(kind: type) -> None:
    every = (3, 6, 3, 1, 0, 1, 1, True, "zeros", None, torch.float64, 2)
    layer = kind(ideal(), *every)
    assert layer.bias_rows == 2 and layer.weight.dtype == torch.float64 and layer.bias is not None
    assert kind(ideal(), *every[:5], dtype=torch.float64, bias_rows=2).bias_rows == 2
    with pytest.raises(TypeError, match="up to 12 arguments, 13 were given"):
        kind(ideal(), *every, 1)
    with pytest.raises(TypeError, match="kernel_size was given by position and by name"):
        kind(ideal(), *every[:3], kernel_size=3)


def test_the_matrix_holds_each_part_of_the_bias_and_groups_lie_on_its_diagonal() -> None:
    layer = AnalogLinear(ideal(), 2, 3, bias_rows=2)
    assert torch.equal(layer.form_matrix()[:, :2], layer.weight) and layer.form_matrix().shape == (3, 4)
    assert close(layer.form_matrix()[:, 2:].sum(1), layer.bias)
    conv = AnalogConv1d(ideal(), 4, 6, 3, groups=2, bias_rows=1)
    matrix = conv.form_matrix()
    assert matrix.shape == (6, 13) and not matrix[:3, 6:12].any() and not matrix[3:, :6].any()
    assert torch.equal(matrix[3:, 6:12], conv.weight[3:].flatten(1))


# --- the chip follows --------------------------------------------------------------------------------


OPTIMIZERS: dict[str, Any] = {
    f"{kind.__name__} {how}": functools.partial(kind, lr=0.1, **{how: True})
    for kind in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
    for how in ("fused", "foreach")
}


def changes_in_place(layer: AnalogLinear) -> dict[str, Any]:
    def step(make: Any) -> None:
        layer(torch.ones(1, 6)).sum().backward()
        make(layer.parameters()).step()

    def everything() -> None:
        flat = nn.utils.parameters_to_vector(layer.parameters()).detach()
        nn.utils.vector_to_parameters(flat + 0.1, layer.parameters())

    return {
        **{name: functools.partial(step, make) for name, make in OPTIMIZERS.items()},
        "data": lambda: layer.weight.data.add_(0.1),
        "data assigned": lambda: setattr(layer.weight, "data", layer.weight.data + 0.1),
        "data of the bias": lambda: layer.bias.data.sub_(1.0),
        "detached": lambda: layer.weight.detach().mul_(2.0),
        "numpy": lambda: layer.weight.detach().numpy().__iadd__(0.1),
        "vector_to_parameters": everything,
        "add_": lambda: layer.weight.add_(0.1),
        "item": lambda: layer.weight.__setitem__((1, 2), 0.7),
        "index": lambda: layer.weight[2].mul_(2.0),
        "copy": lambda: layer.weight.copy_(torch.ones(4, 6)),
        "bias": lambda: layer.bias.sub_(1.0),
        "assignment": lambda: setattr(layer, "weight", nn.Parameter(torch.ones(4, 6))),
    }


@pytest.mark.parametrize("how", list(changes_in_place(AnalogLinear(ideal(), 6, 4))))
def test_updates_in_place_are_noticed(how: str) -> None:
    layer = AnalogLinear(ideal(), 6, 4, bias_rows=1)
    x = torch.rand(3, 6)
    before = layer(x).detach()
    change = changes_in_place(layer)[how]
    with torch.set_grad_enabled(how in OPTIMIZERS):
        change()
    after = layer(x)
    assert not close(after, before)
    assert close(after, F.linear(x, layer.weight, layer.bias))
    assert close(layer.get_matrix(), layer.form_matrix())


def test_every_fused_step_is_noticed_while_training() -> None:
    layer, x = AnalogLinear(ideal(), 6, 4, bias_rows=1), torch.rand(3, 6)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True)
    for _ in range(5):
        optimizer.zero_grad()
        y = layer(x)
        assert close(y, F.linear(x, layer.weight, layer.bias))
        y.pow(2).sum().backward()
        optimizer.step()
    assert close(layer.get_matrix(), layer.form_matrix())


def test_a_chip_of_other_weights_is_noticed_when_they_come_back() -> None:
    """Programmed between two changes by another hand than the layer's own."""
    layer, x = AnalogLinear(ideal(), 6, 4), torch.rand(3, 6)
    before = layer(x)
    layer.weight.data.add_(1.0)
    mho.program(layer, seed=3)
    layer.weight.data.sub_(1.0)
    assert close(layer(x), before)


def test_what_is_unchanged_is_not_programmed_again() -> None:
    layer, x = AnalogLinear(noisy(), 6, 4), torch.rand(3, 6)
    y = layer(x)
    layer.weight.data.copy_(layer.weight.data.clone())
    assert torch.equal(layer(x), y)


def test_weights_are_read_from_the_chip_and_errors_are_drawn_anew() -> None:
    layer, x = AnalogLinear(noisy(), 6, 4), torch.rand(3, 6)
    held, y = layer.get_core_weights()[0], layer(x)
    assert not close(held, layer.weight)
    assert close(y, F.linear(x, held, layer.bias))
    for mode in (True, False):  # in training too
        assert torch.equal(layer.train(mode)(x), y)
    with torch.no_grad():
        layer.weight[0, 0] += 0.01
    assert not close(layer.get_core_weights()[0][1:], held[1:])
    for again in (layer.synchronize, layer.reinitialize):
        before = layer.get_core_weights()[0]
        again()
        assert not close(layer.get_core_weights()[0], before)


def test_seeds_come_from_torch() -> None:
    chips = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        layer = AnalogLinear(noisy(), 6, 4)
        layer.synchronize()
        chips.append(layer.get_matrix() - layer.form_matrix())
    assert torch.equal(chips[0], chips[1]) and not close(chips[0], chips[2])


def test_gradients_go_through_the_programmed_weights() -> None:
    layer, x = AnalogLinear(noisy(0.2), 6, 4), torch.rand(3, 6, requires_grad=True)
    for mode in (True, False):
        layer.train(mode)
        grad = torch.autograd.grad(layer(x).sum(), [x, layer.weight])
        assert close(grad[0], layer.get_core_weights()[0].sum(0).expand(3, 6))
        assert close(grad[1], x.sum(0).expand(4, 6))


def test_parameters_of_a_layer_are_its_own_and_edits_are_noticed() -> None:
    params = noisy(0.0)
    layer, other, x = AnalogLinear(params, 6, 4), AnalogLinear(params, 6, 4), torch.rand(3, 6)
    params.xbar.device.programming_error.magnitude = 1.0
    assert close(layer.get_matrix(), layer.form_matrix())
    y = layer(x)
    layer.params.xbar.device.programming_error.magnitude = 0.1
    assert not close(layer(x), y)
    spread = (layer.get_matrix() - layer.form_matrix()).std() / layer.form_matrix().abs().max()
    assert 0.05 < float(spread) < 0.25  # two cells, cut at zero, of a range of 0.9 g_max
    assert close(other.get_matrix(), other.form_matrix())
    held = layer.get_matrix()
    layer.params.core.cols_max = 3  # no parameter of errors: they are drawn anew all the same
    assert not close(layer.get_matrix(), held)
    assert torch.equal(layer.get_matrix(), layer.get_matrix())


def test_steps_between_edits_may_be_impossible_until_the_layer_is_used() -> None:
    layer = AnalogLinear(ideal(), 6, 4)
    layer.params.xbar.device.programming_error.magnitude = 0.1
    with pytest.raises(ConfigError, match="set enable"):
        layer(torch.ones(1, 6))
    layer.params.xbar.device.programming_error.enable = True
    layer.params.xbar.device.programming_error.model = "NormalProportionalDevice"
    assert not close(layer.get_matrix(), layer.form_matrix())


def test_assigned_parameters_and_bias_rows_act_at_once() -> None:
    layer = AnalogLinear(ideal(), 6, 4)
    held = layer.chip_g
    layer.params = noisy()
    assert layer.chip_g is not held and type(layer.hardware.device).__name__ == "Generic"
    assert layer.get_matrix().shape == (4, 6)
    layer.bias_rows = 2
    assert layer.bias_rows == 2 and layer.get_matrix().shape == (4, 8)
    assert layer.get_core_weights()[1] is not layer.bias
    with pytest.raises(ValueError, match="bias_rows = -1"):
        layer.bias_rows = -1
    refused = noisy()
    refused.core.complex_matrix = True
    before = layer.params
    with pytest.raises(ConfigError, match="complex_matrix"):
        layer.params = refused
    assert layer.params is before and layer.bias_rows == 2
    with pytest.raises(TypeError, match="from_torch"):
        layer.params = [noisy(), noisy()]
    assert AnalogLinear(ideal(), 6, 4, bias=False, bias_rows=2).bias_rows == 0


def test_assigned_parameters_are_copied_as_those_of_the_constructor() -> None:
    params = ideal()
    layer, other = AnalogLinear(params, 6, 4), AnalogLinear(ideal(), 6, 4)
    layer.params = params
    other.params = layer.params  # of another layer
    assert layer.params == params == other.params
    held = [one.get_matrix() for one in (layer, other)]
    params.core.cols_max = 3  # an edit of any kind would draw the errors anew
    params.xbar.device.Rmin = 2e3
    layer.params.core.rows_max = 2
    assert layer.params.core.cols_max == 0 and other.params.core.rows_max == 0
    assert layer.params.xbar.device.Rmin == ideal().xbar.device.Rmin
    assert all(torch.allclose(one.get_matrix(), g) for one, g in zip((layer, other), held, strict=True))
    assert len(layer.layout.rows) == 3 and len(other.layout.rows) == 1


def test_drift_is_that_of_the_time_in_days() -> None:
    params = ideal(Rmin=62500.0, Rmax=6.25e8, time=2.5)
    params.xbar.device.drift_error.enable = True
    params.xbar.device.drift_error.model = "SONOS"
    layer = AnalogLinear(params, 6, 4)
    assert float(layer.chip_seconds) == 2.5 * 86400
    layer.params.xbar.device.time = 5
    layer(torch.ones(1, 6))
    assert float(layer.chip_seconds) == 5 * 86400


def test_arrays_are_cut_as_the_parameters_say() -> None:
    params = ideal()
    params.core.rows_max, params.core.cols_max = 6, 5
    params.core.mapping.weights.row_partition_strategy = "MAX"
    layer = AnalogLinear(params, 16, 16)
    assert layer.layout.rows == ((0, 6), (6, 12), (12, 16))
    assert layer.layout.columns == ((0, 4), (4, 8), (8, 12), (12, 16))
    layer.params.core.mapping.weights.row_partition_strategy = "EQUAL"
    layer(torch.ones(1, 16))
    assert layer.layout.rows == ((0, 5), (5, 10), (10, 16))
    params.core.rows_max = 7
    conv = AnalogConv2d(params, 3, 5, 3, bias_rows=1)
    x = torch.rand(2, 3, 6, 6)
    assert close(conv(x), F.conv2d(x, conv.weight, conv.bias))
    params = ideal()
    params.core.rows_max = 6
    params.update(
        {"xbar.adc.mvm.model": "QuantizerADC", "xbar.adc.mvm.bits": 8, "xbar.adc.mvm.adc_range_option": 2}
    )
    with pytest.raises(ConfigError, match=r"\[5, 6\] rows"):
        AnalogLinear(params, 16, 16)
    assert AnalogLinear(params, 18, 16).hardware.adc.range.limit == 6.0


# --- kept: saved, loaded, copied ---------------------------------------------------------------------


def test_whole_models_are_saved_and_loaded() -> None:
    model = from_torch(network(), noisy(), bias_rows=1)
    y = model(X)
    for read in (
        torch.load(_written(model), weights_only=False),
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
    ):
        assert torch.equal(read(X), y)
        read[0].params.xbar.device.programming_error.magnitude = 0.0
        assert not torch.equal(read(X), y) and torch.equal(model(X), y)


def _written(value: Any) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return file


def test_state_dicts_hold_the_chip() -> None:
    model = from_torch(network(), noisy(), bias_rows=1)
    state = torch.load(_written(model.state_dict()), weights_only=True)
    again = from_torch(network(), noisy(), bias_rows=1)
    again.load_state_dict(state)
    assert torch.equal(again(X), model(X))
    assert torch.equal(analog_modules(again)[1].get_matrix(), analog_modules(model)[1].get_matrix())


def test_weights_of_a_torch_model_load_into_an_analog_one() -> None:
    plain, model = network(), from_torch(network(), ideal())
    model.load_state_dict(plain.state_dict())
    assert close(model(X), plain(X))


# --- whole models ------------------------------------------------------------------------------------


def test_lists_are_in_the_order_of_the_convertible_modules() -> None:
    model = network()
    layers = convertible_modules(model)
    assert layers == [model[0], model[3][0], model[3][1]]
    assert inconvertible_modules(model) == [model, model[1], model[2], model[3]]
    analog = from_torch(model, [ideal(Rmin=r) for r in (1e3, 2e3, 3e3)], bias_rows=[0, 1, 2])
    made = analog_modules(analog)
    assert made == [analog[0], analog[3][0], analog[3][1]]
    assert [layer.params.xbar.device.Rmin for layer in made] == [1e3, 2e3, 3e3]
    assert [layer.bias_rows for layer in made] == [0, 1, 2]
    assert close(analog(X), model(X))
    assert convertible_modules(model) == layers, "the model is as it was"
    noise = from_torch(model, noisy())
    plain = to_torch(noise, physical_weights=[True, False, True])
    held = [torch.equal(m.weight, n.weight) for m, n in zip(convertible_modules(plain), layers, strict=True)]
    assert held == [False, True, False]
    assert [type(m) for m in plain.modules()] == [type(m) for m in model.modules()]
    assert close(to_torch(noise, physical_weights=True)(X), noise(X))
    assert close(to_torch(noise)(X), model(X))
    for wrong in ({"params": [ideal()]}, {"params": ideal(), "bias_rows": [1, 2]}):
        with pytest.raises(ValueError, match="convertible_modules"):
            from_torch(model, **wrong)
    with pytest.raises(ValueError, match="physical_weights has 1"):
        to_torch(noise, [True])


def test_layers_that_only_mho_itself_takes_are_named_so() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.cell = nn.Embedding(9, 4), nn.LSTM(4, 5)
            self.up, self.head, self.norm = nn.ConvTranspose1d(5, 3, 2), nn.Linear(3, 2), nn.LayerNorm(2)

    rows = {row.path: row for row in from_torch(Model(), ideal()).report.rows}
    assert rows["head"].analog and rows["cell"].analog
    for path in ("words", "up"):
        assert rows[path].note == "the CrossSim face has no such layer: use mho.convert"
    assert "CrossSim" not in rows["norm"].note


def test_one_layer_is_a_model_too() -> None:
    plain = nn.Linear(4, 3)
    analog = from_torch(plain, ideal(), bias_rows=1)
    assert isinstance(analog, AnalogLinear) and analog.weight is not plain.weight
    assert type(to_torch(analog)) is nn.Linear
    made = AnalogLinear.from_torch(plain, noisy(), bias_rows=2)
    assert made.bias_rows == 2 and type(AnalogLinear.to_torch(made, physical_weights=True)) is nn.Linear
    with pytest.raises(TypeError, match="AnalogConv2d takes its own"):
        AnalogConv2d.from_torch(plain, ideal())


def test_verbs_of_whole_models_draw_anew() -> None:
    model = from_torch(network(), noisy())
    for verb in (synchronize, reinitialize):
        before = [layer.get_matrix() for layer in analog_modules(model)]
        verb(model)
        after = [layer.get_matrix() for layer in analog_modules(model)]
        assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_modes_hooks_and_ties_are_kept() -> None:
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.ReLU(), shared).eval()
    seen: list[Any] = []
    shared.register_forward_hook(lambda *_: seen.append(1))
    analog = from_torch(model, noisy())
    assert not analog.training and analog[0] is analog[2] and len(analog_modules(analog)) == 1
    analog(torch.ones(1, 4))
    assert len(seen) == 2


def test_batch_norm_is_fused_on_demand() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU())
    model(torch.rand(8, 2, 5, 5))
    model.eval()
    analog = from_torch(model, ideal(), fuse_batchnorm=True)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in analog.modules())
    assert close(analog(X), model(X))


def test_parametrised_layers_and_attention() -> None:
    linear = parametrize.register_parametrization(nn.Linear(4, 3), "weight", nn.Tanh())
    analog = from_torch(linear, ideal())
    x = torch.rand(2, 4)
    assert (
        isinstance(analog, AnalogLinear)
        and close(analog(x), linear(x))
        and close(to_torch(analog)(x), linear(x))
    )
    block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    assert convertible_modules(block) == [block.linear1, block.linear2], "attention reads its weight itself"
    tokens = torch.rand(2, 5, 8)
    assert close(from_torch(block, ideal())(tokens), block(tokens))


def test_training_in_the_loop_learns_around_the_errors() -> None:
    """Programming errors that each step draws anew would not let it; one chip would be learnt by heart."""
    x = torch.randn(256, 6)
    y = (x @ torch.randn(6, 1)).sign()
    model = from_torch(nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1)), noisy(0.02))
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    losses = []
    for _ in range(120):
        loss = F.soft_margin_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        synchronize(model)
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.4 * losses[0]


def test_compiled_models_take_the_chip_as_it_is() -> None:
    model = from_torch(network(), noisy()).eval()
    fast = torch.compile(model, fullgraph=True, backend="eager")
    with torch.no_grad():
        assert close(fast(X), model(X))
        synchronize(model)
        assert close(fast(X), model(X))


BROKEN_THERE: dict[str, dict[str, Any]] = {
    "slices behind wires": {
        "core.style": "BITSLICED",
        "core.weight_bits": 8,
        "core.bit_sliced.num_slices": 4,
        "xbar.array.parasitics.enable": True,
        "xbar.array.parasitics.Rp_row": 0.5,
        "xbar.array.parasitics.Rp_col": 0.5,
    },
    "a ramp behind a convolution": {
        "xbar.dac.mvm.model": "SignMagnitudeDAC",
        "xbar.dac.mvm.bits": 8,
        "xbar.adc.mvm.model": "RampADC",
        "xbar.adc.mvm.bits": 8,
        "xbar.adc.mvm.calibrated_range": [-6.0, 6.0],
    },
    "a unit column beside slices": {
        "core.style": "BITSLICED",
        "core.weight_bits": 8,
        "core.bit_sliced.style": "OFFSET",
        "core.offset.style": "UNIT_COLUMN_SUBTRACTION",
    },
}


@pytest.mark.parametrize("name", BROKEN_THERE)
def test_combinations_that_fail_there(name: str) -> None:
    params, model = CrossSimParameters(), network()
    params.update(BROKEN_THERE[name])
    wanted, got = model(X), from_torch(model, params, bias_rows=1)(X)
    error = float(((got - wanted).norm() / wanted.norm()).detach())
    assert 1e-4 < error < 0.1


def test_weights_given_to_one_call_are_used() -> None:
    layer, x = AnalogLinear(ideal(), 6, 4), torch.rand(3, 6)
    other = torch.rand(4, 6)
    assert close(torch.func.functional_call(layer, {"weight": other}, (x,)), F.linear(x, other, layer.bias))
    assert close(layer(x), F.linear(x, layer.weight, layer.bias))


def test_a_named_chip_stays() -> None:
    models = [from_torch(network(), noisy()) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    for model in models:
        mho.program(model, seed=7)
    assert torch.equal(models[0](X), models[1](X))


# --- where ---------------------------------------------------------------------------------------------


def test_devices_and_dtypes() -> None:
    assert AnalogLinear(ideal(), 3, 2, dtype=torch.float64).get_matrix().dtype == torch.float64
    with pytest.raises(ValueError, match="useGPU = True for a layer on a GPU"):
        AnalogLinear(ideal(), 3, 2, device="cuda")
    with pytest.raises(ValueError, match="useGPU = True for a layer on a GPU"):
        AnalogConv1d(ideal(), 3, 2, 1, device="cuda")
    assert place_for(ideal(), None).type == "cpu"
    params = ideal()
    params.simulation.useGPU = True
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="torch sees 0"):
            AnalogLinear(params, 3, 2)
        with pytest.raises(ValueError, match="torch sees 0"):
            from_torch(nn.Linear(3, 2), params)
        return
    for made in (AnalogLinear(params, 3, 2), from_torch(nn.Linear(3, 2), params)):
        assert made.weight.is_cuda and made.chip_g.is_cuda
        assert made(torch.ones(1, 3, device="cuda")).is_cuda and made.get_matrix().is_cuda
    assert all(
        p.is_cuda for p in from_torch(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), params).parameters()
    )


def test_converters_see_what_the_profile_counts() -> None:
    params = ideal()
    params.update({
        "xbar.dac.mvm.model": "SignMagnitudeDAC", "xbar.dac.mvm.bits": 8,
        "xbar.adc.mvm.model": "QuantizerADC", "xbar.adc.mvm.bits": 8,
        "xbar.adc.mvm.calibrated_range": [-3, 3],
    })  # fmt: skip
    model = from_torch(network(), params)
    frame = mho.calibration.profile(model, [X]).to_frame()
    assert set(frame["layer"]) == {"0", "3.0", "3.1"} and set(frame["what"]) == {"input", "current"}

import copy
import warnings

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from torch import nn

import mho
from mho.config import from_dict, to_dict
from mho.convert import TWINS
from mho.errors import ConfigError
from mho.experiments.copies import array_weights
from mho.mapping import (
    Affine,
    DevicePair,
    EvenLevels,
    Fixed,
    LogLevels,
    Maximum,
    SingleDevice,
    Symmetric,
    measured_states,
)
from mho.nn import analog_layers
from mho.training import (
    AlphaBlending,
    Annealing,
    Quantizer,
    Recipe,
    STEQuantizer,
    WeightNoise,
    attach,
    blend,
    quantised,
    re_estimate_batch_norm,
)

LEVELS = st.one_of(
    st.lists(st.floats(1e-7, 1e-4), min_size=2, max_size=8, unique=True)
    .filter(lambda s: max(s) > 1.001 * min(s))
    .map(lambda s: SingleDevice(states=tuple(s))),
    st.lists(st.integers(1, 1000), min_size=2, max_size=8, unique=True).map(
        lambda s: DevicePair(states=tuple(1e-6 * k for k in s))
    ),
    st.integers(2, 30).map(lambda n: EvenLevels(count=n)),
    st.integers(2, 10).map(lambda n: LogLevels(per_sign=n, ratio=100.0)),
)
NORMALISATIONS = st.sampled_from(
    [
        Symmetric(),
        Symmetric(scale=Maximum(per_column=True)),
        Symmetric(scale=Fixed(weight=0.5)),
        Affine(),
        Affine(per_column=True),
    ]
)
LAYERS = st.sampled_from(
    [
        (nn.Linear(5, 3), (4, 5)),
        (nn.Conv2d(2, 4, 3, padding=1), (2, 2, 5, 5)),
        (nn.Conv1d(4, 6, 3, groups=2), (2, 4, 7)),
    ]
)


def analog(layer, *modifiers, hardware=None):
    converted = mho.convert(layer, hardware if hardware is not None else mho.Hardware())
    if modifiers:
        attach(converted, Recipe(modifiers=modifiers))
    return converted.train()


def gradients(layer, x, upstream):
    """Gradients of weight and input for an upstream gradient."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    layer(x).backward(upstream)
    return layer.weight.grad, x.grad


def weights_used(layer):
    """The weights that a training forward multiplies by, in the layer's shape."""
    weight = layer.wide_weight()
    for modifier in layer.modifiers:
        weight = modifier.modify(weight, layer)
    return weight


def is_level(weight, quantizer, layer):
    """Whether every weight is exactly a level of its layer."""
    matrix = layer.matrix(layer.weight.detach())
    factor, shift = quantizer.normalisation.fit(matrix)
    values = quantizer.levels.values().float()[:, None, None, None]
    values = values * factor if shift is None else torch.addcmul(shift, values, factor)
    return bool((layer.matrix(weight) == values).any(dim=0).all())


@given(LEVELS, NORMALISATIONS, LAYERS)
def test_straight_through_multiplies_by_levels_with_the_gradient_of_the_identity(levels, normalisation, case):
    module, shape = case
    quantizer = STEQuantizer(levels=levels, normalisation=normalisation)
    layer = analog(module, quantizer)
    assert is_level(weights_used(layer).detach(), quantizer, layer)
    # the gradient is the one of a layer whose weights are those levels
    truth = copy.deepcopy(module)
    with torch.no_grad():
        truth.weight.copy_(quantised(layer).weight)
    x = torch.randn(shape)
    upstream = torch.randn_like(module(x))
    for found, expected in zip(gradients(layer, x, upstream), gradients(truth, x, upstream), strict=True):
        torch.testing.assert_close(found, expected)


def test_the_gradient_stops_outside_the_range_on_request():
    def gradient(outside):
        layer = nn.Linear(2, 1, bias=False)
        nn.init.constant_(layer.weight, 0.3)
        layer.weight.data[0, 1] = 1.4
        quantizer = STEQuantizer(
            levels=EvenLevels(count=5), normalisation=Symmetric(scale=Fixed(weight=1.0)), outside=outside
        )
        return gradients(analog(layer, quantizer), torch.ones(1, 2), torch.ones(1, 1))[0]

    assert gradient("pass").tolist() == [[1.0, 1.0]]
    assert gradient("stop").tolist() == [[1.0, 0.0]]


@given(LEVELS, NORMALISATIONS, LAYERS, st.floats(0, 1))
def test_alpha_blending_scales_the_gradient_by_one_minus_alpha_exactly(levels, normalisation, case, alpha):
    layer = analog(case[0])
    weight = layer.weight.detach().clone().requires_grad_()
    quantizer = Quantizer(levels=levels, normalisation=normalisation)
    near = quantizer.nearest(layer.matrix(weight))
    upstream = torch.randn_like(near)
    blend(layer.matrix(weight), near, alpha).backward(upstream)
    assert torch.equal(weight.grad, layer.from_matrix(upstream * (1 - alpha)))


@given(LEVELS, NORMALISATIONS, LAYERS)
def test_at_alpha_one_the_weights_are_exactly_levels_and_have_no_gradient(levels, normalisation, case):
    module, shape = case
    modifier = AlphaBlending(
        levels=levels, normalisation=normalisation, annealing=Annealing(steps=4, shape="cosine")
    )
    layer = analog(module, modifier)
    layer.training_step.fill_(3)
    used = weights_used(layer).detach()
    assert is_level(used, modifier, layer)
    assert torch.equal(used, quantised(layer).weight)
    x = torch.randn(shape)
    assert gradients(layer, x, torch.randn_like(module(x)))[0].abs().max() == 0


def test_the_first_forward_at_alpha_zero_is_the_plain_layer():
    module, x = nn.Conv2d(2, 4, 3), torch.randn(2, 2, 6, 6)
    layer = analog(module, AlphaBlending(levels=EvenLevels(count=3), annealing=Annealing(steps=5)))
    torch.testing.assert_close(layer(x), module(x))
    assert layer.training_step == 1
    assert not torch.allclose(layer(x), module(x))


def test_gradcheck_of_a_blend():
    weight = torch.tensor([[[0.31, -0.52], [0.77, 0.11]]], dtype=torch.float64, requires_grad=True)
    quantizer = Quantizer(levels=EvenLevels(count=9), normalisation=Symmetric(scale=Fixed(weight=1.0)))

    def f(w):
        return (blend(w, quantizer.nearest(w), 0.3) ** 2).sum()

    assert torch.autograd.gradcheck(f, weight)


def alphas(annealing, steps):
    return [annealing.alpha(torch.tensor(step)).item() for step in range(steps)]


def test_annealing_by_epoch_is_e_over_the_last_e():
    epochs, steps_per_epoch = 5, 7
    annealing = Annealing(steps=epochs * steps_per_epoch, hold=steps_per_epoch)
    expected = [epoch / (epochs - 1) for epoch in range(epochs) for _ in range(steps_per_epoch)]
    assert alphas(annealing, 35) == pytest.approx(expected)
    assert alphas(annealing, 40)[35:] == [1.0] * 5


def test_annealing_by_step_and_cosine():
    assert alphas(Annealing(steps=5), 6) == [0, 0.25, 0.5, 0.75, 1, 1]
    cosine = alphas(Annealing(steps=5, shape="cosine"), 6)
    assert cosine == pytest.approx([0, 0.5 - 0.5**1.5, 0.5, 0.5 + 0.5**1.5, 1, 1])
    assert cosine[4] == 1.0
    assert alphas(Annealing(steps=3, start=0.2, end=0.6), 3) == pytest.approx([0.2, 0.4, 0.6])


def test_one_step_or_one_epoch_is_all_levels():
    assert alphas(Annealing(steps=1), 2) == [1.0, 1.0]
    assert alphas(Annealing(steps=7, hold=7), 8) == [1.0] * 8


@pytest.mark.parametrize("alpha", [-0.1, 1.0001, float("nan")])
def test_alpha_outside_zero_to_one(alpha):
    with pytest.raises(ValueError, match="the share of the levels lies between 0 and 1"):
        blend(torch.zeros(1), torch.zeros(1), alpha)
    for field in ("start", "end"):
        with pytest.raises(ConfigError, match=f"Annealing.{field}"):
            Annealing(steps=3, **{field: alpha})


def test_blending_without_a_step_count_says_what_to_do():
    layer = analog(nn.Linear(2, 2))
    layer.crossbar.modifiers = (AlphaBlending(levels=EvenLevels(count=3), annealing=Annealing(steps=3)),)
    with pytest.raises(RuntimeError, match="attach it with mho.training.attach"):
        layer(torch.ones(1, 2))


# --- the network of levels -----------------------------------------------------------------------


def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 3))


def test_quantised_is_a_copy_without_recipe_that_evaluates_programs_and_reverts():
    quantizer = STEQuantizer(levels=SingleDevice(states=measured_states()))
    model = analog(network(), quantizer)
    before = copy.deepcopy(model.state_dict())
    levels = quantised(model)
    assert all(torch.equal(model.state_dict()[k], v) for k, v in before.items())
    assert levels[0].modifiers == () and levels[0].training_step is None
    for path in ("0", "4"):
        layer = model.get_submodule(path)
        assert is_level(levels.get_submodule(path).weight.detach(), quantizer, layer)
    assert torch.equal(levels[4].bias, model[4].bias)
    x = torch.randn(3, 1, 6, 6)
    digital = mho.revert(levels).eval()(x)
    torch.testing.assert_close(levels.eval()(x), digital, rtol=1e-4, atol=1e-5)
    mho.program(levels, seed=0)
    torch.testing.assert_close(levels(x), digital, rtol=1e-4, atol=1e-5)


def test_quantised_takes_any_quantizer_after_a_plain_training():
    model = analog(network())
    one, two = (
        quantised(model, Quantizer(levels=cls(states=measured_states())))
        for cls in (SingleDevice, DevicePair)
    )
    error = [(q[4].weight - model[4].weight).abs().mean().item() for q in (one, two)]
    assert 0 < error[1] < error[0]


def test_quantising_twice_changes_nothing():
    quantizer = Quantizer(levels=DevicePair(states=measured_states()))
    once = quantised(analog(nn.Linear(30, 20)), quantizer)
    assert torch.equal(quantised(once, quantizer).weight, once.weight)


def test_a_shared_parameter_is_quantised_once():
    first, second = nn.Linear(6, 6), nn.Linear(6, 6)
    second.weight = first.weight
    model = analog(nn.Sequential(first, second))
    quantizer = Quantizer(
        levels=SingleDevice(states=(2e-6, 3e-6)), normalisation=Symmetric(scale=Fixed(weight=0.1))
    )
    levels = quantised(model, quantizer)
    assert levels[0].weight is levels[1].weight
    assert is_level(levels[0].weight.detach(), quantizer, model[0])


@pytest.mark.parametrize("build", [lambda: nn.LSTM(5, 4), lambda: nn.MultiheadAttention(8, 2)])
def test_layers_with_several_arrays(build):
    quantizer = STEQuantizer(levels=EvenLevels(count=3))
    model = analog(build(), quantizer)
    size = 5 if isinstance(model, nn.LSTM) else 8
    x = torch.randn(6, 2, size)
    y = model(x)[0] if size == 5 else model(x, x, x)[0]
    y.square().sum().backward()
    levels = quantised(model)
    for path, layer in analog_layers(model).items():
        assert is_level(dict(analog_layers(levels))[path].weight.detach(), quantizer, layer)
    assert all(p.grad is not None for name, p in model.named_parameters() if "weight" in name)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_quantised_refuses_weights_that_are_no_numbers(value):
    model = analog(nn.Sequential(nn.Linear(3, 2)))
    model[0].weight.data[0, 0] = value
    with pytest.raises(ValueError, match="weight of '0': 1 of 6 values are NaN or infinite"):
        quantised(model, Quantizer(levels=EvenLevels(count=5)))


def test_quantised_needs_one_quantiser():
    with pytest.raises(ValueError, match="0 quantisers are attached to '0'"):
        quantised(analog(nn.Sequential(nn.Linear(2, 2))))
    q = STEQuantizer(levels=EvenLevels(count=3))
    with pytest.raises(ValueError, match="2 quantisers are attached"):
        quantised(analog(nn.Linear(2, 2), q, q))
    with pytest.raises(ValueError, match="no analog layer"):
        quantised(nn.Linear(2, 2), q)


# All that convert knows, each under the type of the digital layer.
ALL = {
    nn.Linear: lambda: nn.Linear(6, 4),
    nn.Conv1d: lambda: nn.Conv1d(4, 6, 3),
    nn.Conv2d: lambda: nn.Conv2d(4, 6, 3, groups=2),
    nn.Conv3d: lambda: nn.Conv3d(2, 4, 3),
    nn.ConvTranspose1d: lambda: nn.ConvTranspose1d(4, 6, 3),
    nn.ConvTranspose2d: lambda: nn.ConvTranspose2d(4, 6, 3, groups=2),
    nn.ConvTranspose3d: lambda: nn.ConvTranspose3d(2, 4, 3),
    nn.RNN: lambda: nn.RNN(5, 4),
    nn.LSTM: lambda: nn.LSTM(5, 4, num_layers=2, bidirectional=True, proj_size=3),
    nn.GRU: lambda: nn.GRU(5, 4),
    nn.RNNCell: lambda: nn.RNNCell(5, 4),
    nn.LSTMCell: lambda: nn.LSTMCell(5, 4),
    nn.GRUCell: lambda: nn.GRUCell(5, 4),
    nn.MultiheadAttention: lambda: nn.MultiheadAttention(6, 2, kdim=4, vdim=5),
    nn.Bilinear: lambda: nn.Bilinear(4, 5, 3),
    nn.Embedding: lambda: nn.Embedding(7, 5),
    nn.EmbeddingBag: lambda: nn.EmbeddingBag(7, 5),
    "transformers.pytorch_utils.Conv1D": lambda: pytest.importorskip("transformers.pytorch_utils").Conv1D(
        4, 6
    ),
    "one matrix of three": lambda: nn.MultiheadAttention(6, 2),
}


def with_hook(function):
    def apply(layer, name):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch has newer ones, and keeps these
            function(layer, name)

    return apply


COMPUTED = {
    "weight norm": nn.utils.parametrizations.weight_norm,
    "spectral norm": nn.utils.parametrizations.spectral_norm,
    "orthogonal": nn.utils.parametrizations.orthogonal,
    "own": lambda layer, name: nn.utils.parametrize.register_parametrization(layer, name, nn.Tanh()),
    "weight norm in a hook": with_hook(nn.utils.weight_norm),
    "spectral norm in a hook": with_hook(nn.utils.spectral_norm),
    "pruned": lambda layer, name: nn.utils.prune.l1_unstructured(layer, name, amount=0.2),
}


def test_all_layers_are_tried():
    positions = "transformers.models.whisper.modeling_whisper.WhisperPositionalEmbedding"  # an nn.Embedding
    others = ("docs_", "tests.")  # layers of someone's own
    shipped = {kind for kind in TWINS if not str(getattr(kind, "__module__", "")).startswith(others)}
    assert set(ALL) - {"one matrix of three"} == shipped - {positions}


@pytest.mark.parametrize("how", COMPUTED)
@pytest.mark.parametrize("kind", ALL, ids=str)
def test_computed_weights_become_levels_and_the_model_stays(kind, how):
    torch.manual_seed(0)
    layer = ALL[kind]()
    weights = array_weights(layer)
    for name in weights:
        module, _, own = name.rpartition(".")
        COMPUTED[how](layer.get_submodule(module), own)
    model = analog(layer)
    quantizer = Quantizer(levels=EvenLevels(count=3))
    before = {path: array.present_weight().clone() for path, array in analog_layers(model).items()}
    levels = quantised(model, quantizer)
    for path, array in analog_layers(levels).items():
        matrix = array.matrix(before[path])
        assert torch.equal(array.present_weight(), array.from_matrix(quantizer.nearest(matrix)))
        assert torch.equal(array.weight, array.present_weight()) and len(array.weight.unique()) <= 3
    assert levels.state_dict().keys() >= weights.keys()
    assert all(p.requires_grad for p in levels.parameters())
    for path, array in analog_layers(model).items():  # still computed, from what it was computed from
        assert torch.equal(array.present_weight(), before[path])
    assert not weights.keys() & dict(model.named_parameters()).keys()
    mho.program(levels, seed=0)
    reverted = mho.revert(levels)
    assert array_weights(reverted).keys() == weights.keys()


@pytest.mark.parametrize(
    "hardware",
    [
        mho.Hardware(),
        mho.Hardware(
            device=mho.devices.PCM(),
            dac=mho.DAC(bits=6),
            adc=mho.ADC(bits=6),
            tile=mho.Tile(rows=16, columns=8),
        ),
        mho.Hardware(mapping=mho.mapping.BitSlicing(bits=6, slices=3)),
        mho.Hardware(device=mho.devices.StuckAt(device=mho.devices.PCM(), hrs=0.1), adc=mho.ADC(bits=8)),
    ],
)
@pytest.mark.parametrize("method", ["ste", "alpha"])
def test_methods_train_together_with_noise_and_converters(hardware, method):
    levels = SingleDevice(states=measured_states())
    modifier = (
        STEQuantizer(levels=levels)
        if method == "ste"
        else AlphaBlending(levels=levels, annealing=Annealing(steps=30))
    )
    model = analog(network(), modifier, WeightNoise(std=0.02), hardware=hardware)
    x, y = torch.randn(32, 1, 6, 6), torch.arange(32) % 3
    mho.calibrate(model, [x])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model.train()(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    finished = quantised(model)
    mho.program(finished, seed=0)
    assert torch.isfinite(finished.eval()(x)).all()
    mho.degrade(finished, mho.devices.StuckAt(unformed=1.0), seed=1)
    assert not any(w.any() for w in mho.effective_weights(finished).values()), "no cell is left"


def test_training_with_levels_compiles_as_one_graph_and_moves_dtype():
    layer = analog(nn.Linear(6, 4), STEQuantizer(levels=DevicePair(states=measured_states())))
    x = torch.randn(3, 6)
    torch._dynamo.reset()  # it compiles a function a few times only, whatever calls it
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), layer(x))
    double = layer.double()
    assert is_double_level(double)


def is_double_level(layer):
    used = weights_used(layer).detach() / layer.weight.abs().max()
    values = DevicePair(states=measured_states()).values()
    return bool(((used.flatten()[:, None] - values).abs().min(dim=1).values < 1e-15).all())


def test_a_recipe_with_levels_travels_through_json():
    recipe = Recipe(
        modifiers=(
            AlphaBlending(
                levels=DevicePair(states=(1e-6, 3e-6)),
                normalisation=Affine(per_column=True),
                annealing=Annealing(steps=10, hold=2, shape="cosine"),
            ),
        )
    )
    assert from_dict(to_dict(recipe)) == recipe


# --- batch normalisation -------------------------------------------------------------------------


def test_re_estimated_statistics_are_the_means_over_batches_of_the_eval_mode_network():
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.BatchNorm1d(4), nn.ReLU())
    model[2].momentum = 0.3
    batches = [torch.randn(20, 3) for _ in range(3)]
    model.train()
    re_estimate_batch_norm(model, batches)
    hidden = [model[0](x).detach() for x in batches]
    torch.testing.assert_close(model[2].running_mean, torch.stack([h.mean(0) for h in hidden]).mean(0))
    torch.testing.assert_close(model[2].running_var, torch.stack([h.var(0) for h in hidden]).mean(0))
    assert model[2].momentum == 0.3
    assert all(m.training for m in model.modules())


def test_statistics_need_data_and_a_model_without_them_is_left_alone():
    with pytest.raises(ValueError, match="data gave no batch"):
        re_estimate_batch_norm(nn.BatchNorm1d(2), [])
    re_estimate_batch_norm(nn.Linear(2, 2), [])


def test_statistics_are_those_of_the_chip():
    model = analog(network())
    quantizer = Quantizer(levels=EvenLevels(count=2))
    levels = quantised(model, quantizer)
    x = torch.randn(40, 1, 6, 6)
    re_estimate_batch_norm(levels, [x])
    torch.testing.assert_close(
        levels[1].running_mean, levels[0].eval()(x).mean((0, 2, 3)), rtol=1e-4, atol=1e-5
    )

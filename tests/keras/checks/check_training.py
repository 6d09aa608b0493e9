"""Training: gradients, recipes, compiled or not, mixed precision."""

from __future__ import annotations

import dataclasses
import operator
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import mho
import mho.keras as mk
from mho.training import DropConnect, MultiplicativeNoise, OutputScale, PolynomialNoise, Recipe, WeightNoise

pytestmark = pytest.mark.filterwarnings("ignore::mho.errors.NotProgrammedWarning")
BACKEND = keras.backend.backend()
FIXED = mho.converters.Fixed
PLAIN = mho.Hardware(device=mho.devices.PCM())
CONVERTERS = mho.Hardware(
    device=mho.devices.PCM(read_scale=0.0),
    tile=mho.Tile(rows=8, columns=8),
    dac=mho.DAC(bits=8),
    adc=mho.ADC(bits=8),
)
rng = np.random.default_rng(0)
X = rng.normal(size=(64, 12)).astype("float32")
Y = (X[:, :3] @ rng.normal(size=(3, 4))).argmax(-1)


def network(hardware: mho.Hardware, **names: Any) -> Any:
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((12,)),
            mk.AnalogDense(16, activation="relu", hardware=hardware, **names),
            mk.AnalogDense(4, hardware=hardware, **names),
        ]
    )


def compiled(model: Any, **names: Any) -> Any:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"], **names)
    return model


def gradient(function: Any, variable: Any) -> Any:
    """The gradient of a number by a variable of the model, by the backend."""
    if BACKEND == "torch":
        variable.value.grad = None
        function().backward()
        return ops.convert_to_numpy(variable.value.grad)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = function()
        return np.array(tape.gradient(value, variable.value))
    import jax

    def of(value: Any) -> Any:
        with keras.StatelessScope(state_mapping=[(variable, value)]):
            return function()

    return np.array(jax.grad(of)(variable.value))


def differences(
    function: Any, variable: Any, places: list[tuple[int, ...]], step: float = 1e-2
) -> list[float]:
    """The same by central differences, at some places."""
    start, found = np.array(ops.convert_to_numpy(variable)), []
    for place in places:
        values = []
        for sign in (1, -1):
            moved = start.copy()
            moved[place] += sign * step
            variable.assign(moved)
            values.append(float(ops.convert_to_numpy(function())))
        variable.assign(start)
        found.append((values[0] - values[1]) / (2 * step))
    return found


LAYERS = {
    "clean": (lambda h: mk.AnalogDense(4, hardware=h), (12,), "kernel"),
    "unprogrammed": (lambda h: mk.AnalogConv1D(4, 2, groups=2, hardware=h), (5, 4), "kernel"),
    "clean, step by step": (lambda h: mk.AnalogLSTM(3, hardware=h), (3, 4), "cell.recurrent_kernel"),
}


@pytest.mark.parametrize("which", LAYERS)
def test_gradients_are_those_of_finite_differences(which: str) -> None:
    hardware = mho.Hardware(
        device=mho.devices.PCM(read_scale=0.0), tile=mho.Tile(rows=5, columns=3), adc=mho.ADC(bits=None)
    )
    make, shape, attribute = LAYERS[which]
    keras.utils.set_random_seed(2)
    layer = make(hardware)
    x = rng.normal(size=(32, *shape)).astype("float32")
    y = layer(x)
    weights = ops.convert_to_tensor(rng.normal(size=y.shape).astype("float32"))

    def loss() -> Any:
        return ops.sum(layer(x, training=which.startswith("clean")) * weights)

    kernel = operator.attrgetter(attribute)(layer)
    places = [
        (0,) * len(kernel.shape),
        tuple(n - 1 for n in kernel.shape),
        tuple(n // 2 for n in kernel.shape),
    ]
    places = places[:1] if "step" in which else places  # each look compiles a loop anew
    found = gradient(loss, kernel)
    wanted = differences(loss, kernel, places)
    np.testing.assert_allclose([found[place] for place in places], wanted, rtol=2e-3, atol=4e-3)


STREAMS = (None,) if BACKEND == "jax" else (None, mho.converters.Stream(bits=2))


@pytest.mark.parametrize("stream", STREAMS)
def test_the_gradient_goes_straight_through_the_chip(stream: Any) -> None:
    """By the kernel as if the product were that of the kernel; by the input through what the chip holds."""
    dac, adc = (
        mho.DAC(bits=8, range=FIXED(limit=4.0), stream=stream),
        mho.ADC(bits=8, range=FIXED(limit=12.0)),
    )  # nothing clips
    layer = mk.AnalogDense(4, hardware=dataclasses.replace(CONVERTERS, dac=dac, adc=adc))
    model = keras.Sequential([keras.Input((12,)), layer])
    mk.program(model, seed=0)
    mk.train_on_chip(model)
    weights = rng.normal(size=(64, 4)).astype("float32")
    factor = ops.convert_to_tensor(weights)
    loss = lambda: ops.sum(layer(X, training=True) * factor)  # noqa: E731
    codes = np.round(X * (127 / 4)) * (4 / 127)
    np.testing.assert_allclose(gradient(loss, layer.kernel), codes.T @ weights, rtol=1e-4, atol=1e-3)
    source = keras.Variable(X)
    by_input = gradient(lambda: ops.sum(layer(source.value, training=True) * factor), source)
    held = mk.effective_weights(model)["0"]
    np.testing.assert_allclose(by_input, weights @ held.T, rtol=1e-4, atol=1e-4)


def test_fit_learns_through_noise_and_converters() -> None:
    model = network(
        CONVERTERS, recipe=Recipe(modifiers=(WeightNoise(std=0.03, ramp_steps=4), DropConnect(p=0.01)))
    )
    mk.calibrate(model, [X])
    before = compiled(model, jit_compile=BACKEND == "jax").evaluate(X, Y, verbose=0)[0]
    model.fit(X, Y, epochs=12, batch_size=16, verbose=0)
    mk.program(model, seed=0)
    after, accuracy = model.evaluate(X, Y, verbose=0)
    assert after < 0.6 * before and accuracy > 0.8
    assert int(model.layers[0].array.training_step) == 48


def test_compiled_or_not_the_chip_gives_the_same() -> None:
    """torch.compile takes more than half a minute for the smallest model of Keras: docs/keras.md says so."""
    model = network(CONVERTERS)
    mk.calibrate(model, [X])
    mk.program(model, seed=0)
    found = []
    for jit in {"tensorflow": (False, True), "jax": (True,), "torch": (False,)}[BACKEND]:
        compiled(model, jit_compile=jit)
        found.append(model.predict(X, verbose=0))
    compiled(model, run_eagerly=True)
    found.append(model.predict(X, verbose=0))
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-5, atol=1e-5)


def test_noise_of_training_has_the_size_that_the_recipe_says() -> None:
    layer = mk.AnalogDense(
        300, use_bias=False, hardware=PLAIN, recipe=Recipe(modifiers=(WeightNoise(std=0.1),))
    )
    layer.build((None, 200))
    one = np.eye(200, dtype="float32")
    kernel = np.array(ops.convert_to_numpy(layer.kernel))
    first, second = (np.array(ops.convert_to_numpy(layer(one, training=True))) - kernel for _ in range(2))
    wanted = 0.1 * np.abs(kernel).max()
    assert abs(first.std() / wanted - 1) < 0.02 and abs((first - second).std() / wanted - 2**0.5) < 0.03
    layer.recipe = Recipe(modifiers=(MultiplicativeNoise(std=0.1),))
    factor = np.array(ops.convert_to_numpy(layer(one, training=True))) / kernel
    assert abs(factor.std() - 0.1) < 0.002
    layer.recipe = Recipe(modifiers=(DropConnect(p=0.3),))
    dropped = np.array(ops.convert_to_numpy(layer(one, training=True))) == 0
    assert abs(dropped.mean() - 0.3) < 0.01


@pytest.mark.parametrize("modifier", [PolynomialNoise(), OutputScale(), WeightNoise(each="vector")])
def test_what_a_recipe_has_and_keras_has_not_is_named(modifier: Any) -> None:
    with pytest.raises(ValueError, match=type(modifier).__name__):
        mk.attach(network(PLAIN), Recipe(modifiers=(modifier,)))


NOISES = {
    "of cells": mho.Hardware(device=mho.devices.PCM(), dac=mho.DAC(bits=8, range=FIXED(limit=3.0))),
    "of cells, heat, drivers and ADCs": mho.Hardware(
        device=mho.devices.ThermalNoise(bandwidth=3e9, device=mho.devices.PCM()),
        tile=mho.Tile(rows=5, columns=3),
        dac=mho.DAC(bits=8, range=FIXED(limit=3.0), noise=0.01),
        adc=mho.ADC(bits=10, range=FIXED(limit=4.0), noise=0.02),
    ),
}


@pytest.mark.parametrize("noise", NOISES)
def test_noise_of_reads_is_fresh_and_as_large_as_torch_says(noise: str) -> None:
    import torch

    hardware = NOISES[noise]
    model = keras.Sequential([keras.Input((12,)), mk.AnalogDense(4, hardware=hardware)])
    twin = torch.nn.Sequential(torch.nn.Linear(12, 4))
    twin[0].weight.data = torch.from_numpy(np.array(ops.convert_to_numpy(model.layers[0].kernel)).T.copy())
    twin[0].bias.data.zero_()
    twin = mho.convert(twin, hardware).eval()
    for verbs, whole in ((mk, model), (mho, twin)):
        verbs.program(whole, seed=0)
        verbs.age(whole, 1e5)
    many = np.repeat(X[:1], 4000, 0)
    first, second = (model.predict(many, verbose=0, batch_size=4000) for _ in range(2))
    assert (first != second).mean() > 0.95 and (first[0] != first[1]).any()
    with torch.no_grad():
        wanted = twin(torch.from_numpy(many)).numpy()
    np.testing.assert_allclose(first.std(0), wanted.std(0), rtol=0.08)
    np.testing.assert_allclose(first.mean(0), wanted.mean(0), atol=5 * wanted.std() / 4000**0.5)


def test_steps_of_a_sequence_have_noise_of_their_own() -> None:
    hardware = mho.Hardware(device=mho.devices.PCM())
    model = keras.Sequential(
        [
            keras.Input((40, 3)),
            mk.AnalogSimpleRNN(8, activation="linear", return_sequences=True, hardware=hardware),
        ]
    )
    mk.program(model, seed=0)
    model.layers[0].cell.recurrent_kernel.assign(np.zeros((8, 8)))
    mk.program(model, seed=0)
    mk.age(model, 1e6)
    x = np.ones((2, 40, 3), "float32")
    first, second = model.predict(x, verbose=0), model.predict(x, verbose=0)
    steps = first - first.mean(1, keepdims=True)
    assert len(np.unique(first[0, :, 0])) == 40 and (first != second).any()
    drawn = [abs(np.corrcoef(steps[0, :-1, k], steps[0, 1:, k])[0, 1]) for k in range(8)]
    assert np.mean(drawn) < 0.3


def test_mixed_precision_stays_within_two_steps_of_the_adc() -> None:
    keras.utils.set_random_seed(1)
    hardware = mho.Hardware(device=mho.devices.PCM(read_scale=0.0), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8))
    wide = keras.Sequential([keras.Input((12,)), mk.AnalogDense(4, hardware=hardware)])
    mixed = keras.Sequential(
        [keras.Input((12,)), mk.AnalogDense(4, hardware=hardware, dtype="mixed_bfloat16")]
    )
    mixed.layers[0].kernel.assign(wide.layers[0].kernel)
    for model in (wide, mixed):
        mk.calibrate(model, [X])
        mk.program(model, seed=0)
    one, other = (
        np.array(ops.convert_to_numpy(ops.cast(m(X, training=False), "float32"))) for m in (wide, mixed)
    )
    array = wide.layers[0].array
    step = float(np.max(ops.convert_to_numpy(array.parts["out"]))) * float(array.parts["output_range"]) / 127
    step *= float(array.parts["input_range"])
    assert (
        np.abs(one - other) <= 2 * step + 2**-8 * np.abs(one)
    ).all()  # and what bfloat16 rounds at the end
    compiled(mixed).fit(X, Y, epochs=1, verbose=0)
    assert (
        array.parts["kernel"].dtype == "float32" and mixed.layers[0].array.parts["kernel"].dtype == "float32"
    )


def test_training_names_what_it_cannot_go_through() -> None:
    slices = mho.Hardware(mapping=mho.mapping.BitSlicing(), adc=mho.ADC(bits=8, range=FIXED(limit=4.0)))
    model = compiled(network(slices))
    with pytest.raises(TypeError, match=r"hardware.mapping = BitSlicing"):
        model.fit(X, Y, verbose=0)
    with pytest.raises(RuntimeError, match=r"holds no chip.*mho.keras.program"):
        network(slices)(X, training=False)


def test_an_uncalibrated_range_is_named_in_evaluation() -> None:
    with pytest.raises(RuntimeError, match=r"input_range of .*mho.keras.calibrate"):
        network(CONVERTERS)(X, training=False)

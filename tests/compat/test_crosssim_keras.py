"""CrossSim's Keras interface over ``mho.keras``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

keras = pytest.importorskip("keras")

from mho.compat.crosssim.simulator import CrossSimParameters  # noqa: E402
from mho.compat.crosssim.simulator.algorithms.dnn.keras.convert import (  # noqa: E402
    analog_layers,
    convertible_layers,
    from_keras,
    reinitialize,
    to_keras,
)


def network() -> Any:
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(2, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )


def test_models_go_there_and_back() -> None:
    model, params = network(), CrossSimParameters()
    x = np.random.default_rng(0).random((4, 6, 6, 1)).astype("float32")
    assert [type(layer).__name__ for layer in convertible_layers(model)] == ["Conv2D", "Dense"]
    wanted = keras.ops.convert_to_numpy(model(x))
    ideal = from_keras(model, params)
    assert len(analog_layers(ideal)) == 2
    np.testing.assert_allclose(keras.ops.convert_to_numpy(ideal(x)), wanted, atol=1e-5)

    torch.manual_seed(0)
    noisy = params.copy()
    error = {"enable": True, "model": "NormalIndependentDevice", "magnitude": 0.05}
    noisy.update({"xbar.device.programming_error": error})
    analog = from_keras(model, [noisy, params])

    def outputs(**names: Any) -> Any:
        return keras.ops.convert_to_numpy(analog(x, **names))

    y = outputs()
    assert 1e-3 < np.abs(y - wanted).max() < 1
    np.testing.assert_array_equal(outputs(training=True), y)  # always on its chip
    held = to_keras(analog, physical_weights=True)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(held(x)), y, atol=1e-5)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(to_keras(analog)(x)), wanted, atol=1e-6)
    reinitialize(analog)
    assert np.abs(outputs() - y).max() > 1e-3


def test_what_is_refused() -> None:
    model, params = network(), CrossSimParameters()
    with pytest.raises(ValueError, match="digital bias"):
        from_keras(model, params, bias_rows=[1, 0])
    with pytest.raises(ValueError, match="stay as they are"):
        from_keras(model, params, fuse_batchnorm=True)
    with pytest.raises(ValueError, match="params has 3 values and the model 2"):
        from_keras(model, [params] * 3)

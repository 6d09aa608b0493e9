"""One hardware and one seed: the same conductances bit for bit, and the same outputs, in torch and in Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mho
import mho.keras as mk

QUIET = mho.devices.PCM(read_scale=0.0)
SMALL = mho.Tile(rows=10, columns=6)
HARDWARE = {
    "plain": mho.Hardware(device=QUIET),
    "converters": mho.Hardware(device=QUIET, tile=SMALL, dac=mho.DAC(bits=8), adc=mho.ADC(bits=8)),
    "slices": mho.Hardware(
        device=QUIET,
        mapping=mho.mapping.BitSlicing(),
        tile=SMALL,
        dac=mho.DAC(bits=7),
        adc=mho.ADC(bits=9, range=mho.converters.Calibrated(per_tile=True)),
    ),
    "offset": mho.Hardware(
        device=QUIET,
        mapping=mho.mapping.Offset(),
        tile=SMALL,
        dac=mho.DAC(bits=8, range=mho.converters.Dynamic()),
        adc=mho.ADC(bits=10, range=mho.converters.Dynamic()),
    ),
    "drivers": mho.Hardware(
        device=QUIET,
        tile=SMALL,
        dac=mho.DAC(bits=8, gain=0.02, offset=0.01, range=mho.converters.Calibrated(per_tile=True)),
        adc=mho.ADC(bits=12),
    ),
    "wires": mho.Hardware(device=QUIET, tile=SMALL, array=mho.array.Wires(row=1.0, column=1.0)),
}


class Case(NamedTuple):
    """A Keras layer and the torch layer that is the same.

    ``weights`` gives torch's Parameters for Keras' weights; ``first`` brings inputs and outputs to torch's order.
    """

    keras: Callable[[], Any]
    torch: Callable[[], nn.Module]
    shape: tuple[int, ...]
    weights: Callable[[dict[str, Any]], dict[str, Any]]
    first: bool = False
    pad: tuple[int, ...] = ()
    rows: int = 0
    pick: Callable[[Any], Any] = lambda y: y
    crop: Any = None


def layer(name: str, *args: Any, **names: Any) -> Callable[[], Any]:
    return lambda: getattr(keras.layers, name)(*args, **names)


def dense(w: dict[str, Any]) -> dict[str, Any]:
    return {"weight": w["kernel"].T, "bias": w["bias"]}


def conv(w: dict[str, Any]) -> dict[str, Any]:
    return {"weight": np.moveaxis(w["kernel"], (-1, -2), (0, 1)), "bias": w["bias"]}


def transposed(w: dict[str, Any]) -> dict[str, Any]:
    return conv(w)


def depthwise(w: dict[str, Any]) -> dict[str, Any]:
    kernel = w["kernel"]
    flat = kernel.reshape(*kernel.shape[:-2], -1)
    return {"weight": np.moveaxis(flat, -1, 0)[:, None], "bias": w["bias"]}


def recurrent(w: dict[str, Any], order: tuple[int, ...] = (0,), twice: bool = False) -> dict[str, Any]:
    def ordered(values: Any) -> Any:
        parts = np.split(values, len(order), axis=-1)
        return np.concatenate([parts[k] for k in order], -1)

    biases = w["bias"] if twice else (w["bias"], np.zeros_like(w["bias"]))
    return {
        "weight_ih_l0": ordered(w["kernel"]).T,
        "weight_hh_l0": ordered(w["recurrent_kernel"]).T,
        "bias_ih_l0": ordered(biases[0]),
        "bias_hh_l0": ordered(biases[1]),
    }


def gru(w: dict[str, Any]) -> dict[str, Any]:
    return recurrent(w, (1, 0, 2), twice=True)


CASES = {
    "dense": Case(layer("Dense", 9), lambda: nn.Linear(23, 9), (23,), dense),
    "dense_3d": Case(layer("Dense", 9), lambda: nn.Linear(23, 9), (4, 23), dense),
    "conv1d": Case(layer("Conv1D", 7, 3, strides=2), lambda: nn.Conv1d(5, 7, 3, 2), (11, 5), conv, True),
    "conv1d_causal": Case(
        layer("Conv1D", 7, 3, padding="causal", dilation_rate=2),
        lambda: nn.Conv1d(5, 7, 3, dilation=2), (11, 5), conv, True, (4, 0),
    ),
    "conv2d": Case(layer("Conv2D", 7, 3), lambda: nn.Conv2d(5, 7, 3), (8, 6, 5), conv, True),
    "conv2d_same": Case(
        layer("Conv2D", 7, 3, padding="same"), lambda: nn.Conv2d(5, 7, 3, padding=1), (8, 6, 5), conv, True
    ),
    "conv2d_same_strided": Case(  # Keras pads the end alone
        layer("Conv2D", 7, 3, strides=2, padding="same"),
        lambda: nn.Conv2d(5, 7, 3, 2), (8, 6, 5), conv, True, (0, 1, 0, 1),
    ),
    "conv2d_groups": Case(
        layer("Conv2D", 6, 3, groups=2), lambda: nn.Conv2d(8, 6, 3, groups=2), (6, 6, 8), conv, True
    ),
    "conv2d_large_taps": Case(layer("Conv2D", 4, 5), lambda: nn.Conv2d(3, 4, 5), (7, 7, 3), conv, True),
    "conv3d": Case(layer("Conv3D", 4, 2), lambda: nn.Conv3d(3, 4, 2), (4, 5, 4, 3), conv, True),
    "conv1d_transposed": Case(
        layer("Conv1DTranspose", 4, 3, strides=2), lambda: nn.ConvTranspose1d(5, 4, 3, 2), (6, 5), transposed, True
    ),
    "conv2d_transposed": Case(
        layer("Conv2DTranspose", 4, 3, strides=2), lambda: nn.ConvTranspose2d(5, 4, 3, 2), (4, 5, 5), transposed, True
    ),
    "conv2d_transposed_same": Case(  # Keras crops the end
        layer("Conv2DTranspose", 4, 3, strides=2, padding="same"), lambda: nn.ConvTranspose2d(5, 4, 3, 2),
        (4, 5, 5), transposed, True, crop=(slice(None, -1), slice(None, -1)),
    ),
    "conv3d_transposed": Case(
        layer("Conv3DTranspose", 4, 2, strides=2), lambda: nn.ConvTranspose3d(3, 4, 2, 2), (3, 3, 2, 3), transposed, True
    ),
    "depthwise1d": Case(
        layer("DepthwiseConv1D", 3, depth_multiplier=2),
        lambda: nn.Conv1d(4, 8, 3, groups=4), (9, 4), depthwise, True,
    ),
    "depthwise2d": Case(
        layer("DepthwiseConv2D", 3, depth_multiplier=2),
        lambda: nn.Conv2d(4, 8, 3, groups=4), (7, 6, 4), depthwise, True,
    ),
    "depthwise2d_large_taps": Case(  # more taps than an array has rows
        layer("DepthwiseConv2D", 4), lambda: nn.Conv2d(3, 3, 4, groups=3), (7, 6, 3), depthwise, True
    ),
    "embedding": Case(
        layer("Embedding", 31, 9), lambda: nn.Embedding(31, 9), (6,), lambda w: {"weight": w["embeddings"]}, rows=31
    ),
    "simple_rnn": Case(
        layer("SimpleRNN", 6, return_sequences=True), lambda: nn.RNN(5, 6, batch_first=True), (4, 5), recurrent,
        pick=lambda y: y[0],
    ),
    "lstm": Case(
        layer("LSTM", 6, return_sequences=True), lambda: nn.LSTM(5, 6, batch_first=True), (4, 5), recurrent,
        pick=lambda y: y[0],
    ),
    "gru": Case(
        layer("GRU", 6, return_sequences=True), lambda: nn.GRU(5, 6, batch_first=True), (4, 5), gru,
        pick=lambda y: y[0],
    ),
}  # fmt: skip


def inputs(case: Case, batch: int = 12) -> Any:
    rng = np.random.default_rng(5)
    if case.rows:
        return rng.integers(0, case.rows, (batch, *case.shape)).astype("int32")
    return rng.normal(size=(batch, *case.shape)).astype("float32")


def to_torch(case: Case, x: Any) -> Tensor:
    given = torch.from_numpy(np.array(x))
    if case.rows:
        return given.long()
    if case.first:
        given = given.movedim(-1, 1)
    return nn.functional.pad(given, case.pad) if case.pad else given


def of_torch(case: Case, y: Any) -> Any:
    y = case.pick(y)
    if case.crop is not None:
        y = y[(slice(None), slice(None), *case.crop)]
    return (y.movedim(1, -1) if case.first else y).numpy()


def pair(case: Case, hardware: mho.Hardware) -> tuple[Any, Any]:
    """The analog Keras model and the analog torch model, with the same weights."""
    keras.utils.set_random_seed(3)
    digital = keras.Sequential([keras.Input(case.shape), case.keras()])
    rng = np.random.default_rng(1)
    for v in digital.weights:
        v.assign(rng.normal(size=v.shape) * 0.3)
    named = {v.name: keras.ops.convert_to_numpy(v) for v in digital.weights}
    twin = nn.Sequential(case.torch())
    with torch.no_grad():
        for name, value in case.weights(named).items():
            getattr(twin[0], name).copy_(torch.from_numpy(np.array(value)))
    return mk.convert(digital, hardware), mho.convert(twin, hardware).eval()


@pytest.mark.parametrize("hardware", HARDWARE)
@pytest.mark.parametrize("name", CASES)
def test_a_chip_is_that_of_torch(name: str, hardware: str) -> None:
    case = CASES[name]
    model, twin = pair(case, HARDWARE[hardware])
    x = inputs(case)
    mho.calibrate(twin, [to_torch(case, x)])
    mk.calibrate(model, [x])
    mho.program(twin, seed=7)
    mk.program(model, seed=7)
    mho.age(twin, 1e6)
    mk.age(model, 1e6)
    for verb, whole in ((mho.compensate, twin), (mk.compensate, model)):
        with torch.random.fork_rng():
            torch.manual_seed(2)
            verb(whole)
    held = mk.conductances(model)
    for path, g in mho.conductances(twin).items():
        assert (held[path] == g.numpy()).all(), path
    with torch.no_grad():
        wanted = of_torch(case, twin(to_torch(case, x)))
    found = keras.ops.convert_to_numpy(model(x, training=False))
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()

"""One hardware and one seed:

the same conductances bit for bit, and the same outputs, in torch and in Keras.
"""

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
    "plain": mho.Hardware(device=QUIET, programming=mho.programming.WriteVerify()),
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
    "streamed": mho.Hardware(
        device=QUIET,
        mapping=mho.mapping.Offset(),
        tile=SMALL,
        dac=mho.DAC(bits=8, offset=0.01, stream=mho.converters.Stream(bits=2)),
        adc=mho.ADC(bits=9),
    ),
    "charges added": mho.Hardware(
        device=QUIET,
        tile=SMALL,
        dac=mho.DAC(bits=6, range=mho.converters.Dynamic(), stream=mho.converters.Stream(each=False)),
        adc=mho.ADC(bits=9),
    ),
    "wires": mho.Hardware(device=QUIET, tile=SMALL, array=mho.array.Wires(row=1.0, column=1.0)),
}


class Case(NamedTuple):
    """A Keras layer and the torch layer that is the same.

    ``weights`` gives torch's Parameters for Keras' weights; ``first`` brings inputs and outputs to torch's
    order.
    """

    keras: Callable[[str], Any]
    torch: Callable[[], nn.Module]
    shape: tuple[int, ...]
    weights: Callable[[dict[str, Any]], dict[str, Any]]
    first: bool = False
    pad: tuple[int, ...] = ()
    rows: int = 0
    pick: Callable[[Any], Any] = lambda y: y
    crop: Any = None


def layer(kind: str, *args: Any, **names: Any) -> Callable[[str], Any]:
    """A layer of Keras by its class; zeros at first, which cost nothing to make."""
    first = {"Embedding": "embeddings", "DepthwiseConv1D": "depthwise", "DepthwiseConv2D": "depthwise"}
    names[f"{first.get(kind, 'kernel')}_initializer"] = "zeros"
    if kind in ("SimpleRNN", "LSTM", "GRU"):
        names["recurrent_initializer"] = "zeros"
    return lambda name: getattr(keras.layers, kind)(*args, name=f"layer_{name}", **names)


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
        layer("Conv1DTranspose", 4, 3, strides=2), lambda: nn.ConvTranspose1d(5, 4, 3, 2), (6, 5),
        transposed, True,
    ),
    "conv2d_transposed": Case(
        layer("Conv2DTranspose", 4, 3, strides=2), lambda: nn.ConvTranspose2d(5, 4, 3, 2), (4, 5, 5),
        transposed, True,
    ),
    "conv2d_transposed_same": Case(  # Keras crops the end
        layer("Conv2DTranspose", 4, 3, strides=2, padding="same"), lambda: nn.ConvTranspose2d(5, 4, 3, 2),
        (4, 5, 5),
        transposed, True, crop=(slice(None, -1), slice(None, -1)),
    ),
    "conv3d_transposed": Case(
        layer("Conv3DTranspose", 4, 2, strides=2), lambda: nn.ConvTranspose3d(3, 4, 2, 2), (3, 3, 2, 3),
        transposed, True,
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
        layer("Embedding", 31, 9), lambda: nn.Embedding(31, 9), (6,),
        lambda w: {"weight": w["embeddings"]}, rows=31,
    ),
    "simple_rnn": Case(
        layer("SimpleRNN", 6, return_sequences=True), lambda: nn.RNN(5, 6, batch_first=True), (4, 5),
        recurrent,
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


def named(variables: list[Any]) -> dict[str, Any]:
    return {v.name: np.array(keras.ops.convert_to_numpy(v)) for v in variables}


def pair(cases: dict[str, Case], hardware: mho.Hardware) -> tuple[Any, Any]:
    """The analog Keras model and the analog torch model, with a branch for each case and the same weights."""
    keras.utils.set_random_seed(3)
    given = [keras.Input(c.shape, name=n, dtype="int32" if c.rows else "float32") for n, c in cases.items()]
    layers = {name: case.keras(name) for name, case in cases.items()}
    digital = keras.Model(given, [layer(x) for layer, x in zip(layers.values(), given, strict=True)])
    rng = np.random.default_rng(1)
    for v in digital.weights:
        v.assign(rng.normal(size=v.shape) * 0.3)
    twins = nn.ModuleDict({name: case.torch() for name, case in cases.items()})
    for name, case in cases.items():
        for parameter, value in case.weights(named(layers[name].weights)).items():
            getattr(twins[name], parameter).data.copy_(torch.from_numpy(np.array(value)))
    model = mk.convert(digital, hardware)
    for name, layer in layers.items():
        model.get_layer(layer.name).chip_path = name
    return model, mho.convert(twins, hardware).eval()


class Branches(nn.Module):
    """The torch layers as one model."""

    def __init__(self, twins: nn.ModuleDict, cases: dict[str, Case]) -> None:
        super().__init__()
        self.twins, self.cases = twins, cases

    def forward(self, **given: Tensor) -> list[Tensor]:
        return [self.twins[name](x) for name, x in given.items()]


def differences(found: Any, wanted: Any) -> Any:
    return np.abs(np.array(found) - wanted) / np.abs(wanted).max()


# Every layer meets converters on each backend; all other hardware meets a layer of each kind of product.
# JAX compiles every graph, so that layers which have others of their kind are left to the other backends.
FEW = ("dense", "conv2d_groups", "embedding", "lstm")
KINDS = (*FEW, "conv2d_same_strided", "conv1d_transposed", "depthwise2d")
TWICE = ("_3d", "_causal", "_strided", "_groups", "_large_taps", "_same")


def tried(hardware: str) -> dict[str, Case]:
    """The layers that meet this hardware."""
    compiles = keras.backend.backend() == "jax"
    if hardware == "converters":
        return {name: case for name, case in CASES.items() if not (compiles and name.endswith(TWICE))}
    # torch's layer converts what Keras crops, and a dynamic range measures it too: none of these is cropped
    return {name: CASES[name] for name in (FEW if compiles else KINDS)}


def evaluated(model: Any, x: Any) -> Any:
    """Compiled where eager operations are compiled one by one, which takes longer."""
    return model.predict(x, verbose=0) if keras.backend.backend() == "jax" else model(x, training=False)


@pytest.mark.parametrize("hardware", HARDWARE)
def test_a_chip_is_that_of_torch(hardware: str) -> None:
    described = HARDWARE[hardware]
    cases = tried(hardware)
    model, twins = pair(cases, described)
    x = {name: inputs(case) for name, case in cases.items()}
    given = {name: to_torch(case, x[name]) for name, case in cases.items()}
    mho.calibrate(Branches(twins, cases), [given])
    mk.calibrate(model, [x])
    for verbs, whole in ((mho, twins), (mk, model)):
        verbs.program(whole, seed=7)
        verbs.age(whole, 1e6)
        with torch.random.fork_rng():
            torch.manual_seed(2)
            verbs.compensate(whole)
    held = mk.conductances(model)
    for path, g in mho.conductances(twins).items():
        assert (held[path] == g.numpy()).all(), path
    found = dict(zip(cases, map(keras.ops.convert_to_numpy, evaluated(model, x)), strict=True))
    for name, case in cases.items():
        with torch.no_grad():
            wanted = of_torch(case, twins[name](given[name]))
        beyond = differences(found[name], wanted) > 1e-5
        # a sum in another order may fall on the next code of an ADC
        assert beyond.mean() <= (0.005 if described.adc is not None else 0.0), name


def lived(model: Any, twin: Any, x: Any, given: dict[str, Tensor]) -> None:
    """Calibrate, program and age both; the cells are the same."""
    with torch.no_grad():
        mho.calibrate(twin, [given])
    mk.calibrate(model, [x])
    for verbs, whole in ((mho, twin), (mk, model)):
        verbs.program(whole, seed=7)
        verbs.age(whole, 1e6)
    held = mk.conductances(model)
    wanted = mho.conductances(twin)
    assert set(held) == set(wanted)
    assert all((held[path] == g.numpy()).all() for path, g in wanted.items())


def test_attention_is_that_of_torch() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mha = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, q: Tensor, v: Tensor) -> Tensor:
            return self.mha(q, v, v, need_weights=False)[0]

    query, value = keras.Input((5, 8), name="q"), keras.Input((6, 8), name="v")
    digital = keras.Model([query, value], keras.layers.MultiHeadAttention(2, 4)(query, value))
    rng = np.random.default_rng(1)
    for v in digital.weights:
        v.assign(rng.normal(size=v.shape) * 0.3)
    mha, twin = digital.layers[-1], Attention()
    parts = [named(part.weights) for part in (mha.query_dense, mha.key_dense, mha.value_dense)]
    out = named(mha.output_dense.weights)
    weights = {
        "in_proj_weight": np.concatenate([p["kernel"].reshape(8, 8).T for p in parts]),
        "in_proj_bias": np.concatenate([p["bias"].reshape(8) for p in parts]),
    }
    for name, array in weights.items():
        getattr(twin.mha, name).data.copy_(torch.from_numpy(array))
    twin.mha.out_proj.weight.data.copy_(torch.from_numpy(out["kernel"].reshape(8, 8).T.copy()))
    twin.mha.out_proj.bias.data.copy_(torch.from_numpy(out["bias"]))
    model, analog = (
        mk.convert(digital, HARDWARE["converters"]),
        mho.convert(twin, HARDWARE["converters"]).eval(),
    )
    model.layers[-1].chip_path = "mha"
    x = {"q": rng.normal(size=(6, 5, 8)).astype("float32"), "v": rng.normal(size=(6, 6, 8)).astype("float32")}
    given = {name: torch.from_numpy(value) for name, value in x.items()}
    lived(model, analog, x, given)
    with torch.no_grad():
        wanted = analog(**given).numpy()
    assert (differences(keras.ops.convert_to_numpy(evaluated(model, x)), wanted) > 1e-5).mean() <= 0.005


@pytest.mark.parametrize("rank", [1, 2])
def test_separable_convolutions_are_two_of_torch(rank: int) -> None:
    space = (9, 7)[:rank]
    given = keras.Input((*space, 4), name="x")
    plain = getattr(keras.layers, f"SeparableConv{rank}D")(6, 3, depth_multiplier=2)
    digital = keras.Model({"x": given}, plain(given))
    rng = np.random.default_rng(1)
    for v in digital.weights:
        v.assign(rng.normal(size=v.shape) * 0.3)
    held = named(digital.weights)
    kind = (nn.Conv1d, nn.Conv2d)[rank - 1]
    twin = nn.Sequential()
    twin.add_module("depthwise", kind(4, 8, 3, groups=4, bias=False))
    twin.add_module("pointwise", kind(8, 6, 1))
    twin.depthwise.weight.data.copy_(
        torch.from_numpy(depthwise({"kernel": held["depthwise_kernel"], "bias": 0})["weight"])
    )
    point = conv({"kernel": held["pointwise_kernel"], "bias": held["bias"]})
    twin.pointwise.weight.data.copy_(torch.from_numpy(np.ascontiguousarray(point["weight"])))
    twin.pointwise.bias.data.copy_(torch.from_numpy(point["bias"]))
    both = nn.ModuleDict({"x": twin})
    model, analog = (
        mk.convert(digital, HARDWARE["converters"]),
        mho.convert(both, HARDWARE["converters"]).eval(),
    )
    model.layers[-1].chip_path = "twins.x"
    x = {"x": rng.normal(size=(8, *space, 4)).astype("float32")}
    tensor = torch.from_numpy(x["x"]).movedim(-1, 1)
    branches = Branches(analog, {})
    lived(model, branches, x, {"x": tensor})
    with torch.no_grad():
        wanted = branches(x=tensor)[0].movedim(1, -1).numpy()
    assert (differences(keras.ops.convert_to_numpy(evaluated(model, x)), wanted) > 1e-5).mean() <= 0.005


def test_a_gru_that_resets_before_its_array_is_that_of_keras() -> None:
    """torch has none: the ideal array gives Keras' own outputs."""
    digital = keras.Sequential(
        [keras.Input((4, 5)), keras.layers.GRU(6, reset_after=False, return_sequences=True)]
    )
    rng = np.random.default_rng(1)
    for v in digital.weights:
        v.assign(rng.normal(size=v.shape) * 0.3)
    x = rng.normal(size=(8, 4, 5)).astype("float32")
    model = mk.convert(digital, mho.Hardware())
    mk.program(model, seed=0)
    found, wanted = (keras.ops.convert_to_numpy(evaluated(m, x)) for m in (model, digital))
    assert differences(found, wanted).max() < 1e-5

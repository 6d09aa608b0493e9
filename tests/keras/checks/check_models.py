"""Models: conversion there and back, saving, other processes, bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import mho
import mho.keras as mk

pytestmark = pytest.mark.filterwarnings(
    "ignore::mho.errors.NotProgrammedWarning", "ignore::DeprecationWarning"
)  # one test asks for the first; pytest.warns gives others the name of this file
NOISY = mho.Hardware(
    device=mho.devices.PCM(), tile=mho.Tile(rows=8, columns=8), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8)
)
QUIET = mho.Hardware(device=mho.devices.PCM(read_scale=0.0))
rng = np.random.default_rng(0)


def array(x: Any) -> Any:
    return np.array(ops.convert_to_numpy(x))


@keras.saving.register_keras_serializable(package="check_models")
class Blocks(keras.Model):
    """A subclassed model with layers in an attribute, a list and a dict."""

    def __init__(self, width: int = 6, **names: Any) -> None:
        super().__init__(**names)
        self.width = width
        self.first = layers.Dense(width, activation="relu")
        self.blocks = [layers.Dense(width), layers.LayerNormalization()]
        self.heads = {"out": layers.Dense(2)}

    def call(self, x: Any) -> Any:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.heads["out"](x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}


def sequential() -> Any:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.SeparableConv2D(5, 3),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def functional() -> Any:
    tokens, mask = keras.Input((7,), dtype="int32"), keras.Input((7, 6))
    x = layers.Embedding(11, 6, mask_zero=True)(tokens) + mask
    x = x + layers.MultiHeadAttention(2, 3)(x, x)
    shared = layers.Dense(6, activation="tanh")
    x = shared(shared(x))
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    x = layers.TimeDistributed(layers.Dense(5))(x)
    x = layers.RNN(layers.GRUCell(4, reset_after=False))(x)
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, activation="relu"), layers.Dense(2)])
    return keras.Model([tokens, mask], inner(x))


def subclassed() -> Any:
    model = Blocks()
    model(np.zeros((1, 5), "float32"))
    return model


MODELS = {
    "sequential": (sequential, lambda: rng.normal(size=(6, 8, 8, 3)).astype("float32")),
    "functional": (
        functional,
        lambda: [rng.integers(1, 11, (6, 7)).astype("int32"), rng.normal(size=(6, 7, 6)).astype("float32")],
    ),
    "subclassed": (subclassed, lambda: rng.normal(size=(6, 5)).astype("float32")),
}
PATHS = {
    "sequential": ["0", "2.depthwise", "2.pointwise", "4"],
    "functional": [
        "0", "1.arrays.q_proj_weight", "1.arrays.k_proj_weight", "1.arrays.v_proj_weight", "1.out_proj", "2",
        "3.arrays.weight_ih_l0", "3.arrays.weight_hh_l0", "3.arrays.weight_ih_l0_reverse",
        "3.arrays.weight_hh_l0_reverse", "4", "5.arrays.weight_ih_l0", "5.arrays.weight_hh_l0", "6.0", "6.1",
    ],
    "subclassed": ["first", "blocks.0", "heads.out"],
}  # fmt: skip


@pytest.mark.parametrize("kind", MODELS)
def test_conversion_there_and_back_keeps_names_weights_and_outputs(kind: str) -> None:
    make, data = MODELS[kind]
    keras.utils.set_random_seed(4)
    model, x = make(), data()
    wanted = array(model(x, training=False))
    analog = mk.convert(model, mho.Hardware())
    assert sorted(mk.torch_paths(analog)) == sorted(PATHS[kind])
    np.testing.assert_allclose(array(analog(x, training=False)), wanted, rtol=1e-4, atol=1e-5)
    names = [[x.name for x in m.layers if not isinstance(x, layers.InputLayer)] for m in (analog, model)]
    assert names[0] == names[1]
    back = mk.revert(analog)
    assert [(w.name, w.shape) for w in back.weights] == [(w.name, w.shape) for w in model.weights]
    for one, other in zip(back.weights, model.weights, strict=True):
        if "seed" not in one.name:
            assert (array(one) == array(other)).all()
    np.testing.assert_allclose(array(back(x, training=False)), wanted, rtol=1e-4, atol=1e-5)
    if kind == "functional":
        return  # the next test goes on with it
    mk.program(analog, seed=0)
    held = mk.revert(analog, weights="programmed")
    np.testing.assert_allclose(
        array(held(x, training=False)), array(analog(x, training=False)), rtol=1e-4, atol=1e-5
    )


def test_a_programmed_chip_is_reverted_with_its_errors() -> None:
    analog = mk.convert(functional(), QUIET)
    x = MODELS["functional"][1]()
    ideal = array(analog(x, training=False))
    mk.program(analog, seed=0)
    mk.age(analog, 1e6)
    mk.compensate(analog)
    wanted = array(analog(x, training=False))
    assert np.abs(wanted - ideal).max() > 1e-3
    held = mk.revert(analog, weights="programmed")
    np.testing.assert_allclose(array(held(x, training=False)), wanted, rtol=1e-4, atol=1e-5)


def test_the_report_lists_every_layer_with_weights() -> None:
    report = mk.convert(sequential(), mho.Hardware(), select=lambda path, layer: path != "4").report
    rows = {row.path: row for row in report.rows}
    assert rows["0"].analog and rows["0"].note == "27 x 4 on Ideal, DifferentialPair"
    assert rows["1"].layer == "BatchNormalization" and rows["1"].note == "holds no weight matrix"
    assert not rows["4"].analog and rows["4"].note == "not selected"
    assert [row.path for row in report.left_digital] == ["4"]
    with pytest.raises(TypeError, match=r"strict = True.*4 \(Dense: not selected\)"):
        mk.convert(sequential(), mho.Hardware(), select={"0": mho.Hardware()}, strict=True)
    with pytest.raises(ValueError, match="no layer has this path"):
        mk.convert(sequential(), mho.Hardware(), select={"fc": mho.Hardware()})
    with pytest.raises(ValueError, match="BatchNormalization cannot be mapped"):
        mk.convert(sequential(), mho.Hardware(), select={"1": mho.Hardware()})


def test_a_layer_in_no_attribute_is_named() -> None:
    class Hidden(keras.Model):
        def __init__(self, **names: Any) -> None:
            super().__init__(**names)
            self._layers.append(layers.Dense(3))

        def call(self, x: Any) -> Any:
            return self._layers[0](x)

    model = Hidden()
    model(np.zeros((1, 5), "float32"))
    with pytest.raises(ValueError, match="Hidden holds 'dense.*' in none of its attributes"):
        mk.convert(model, mho.Hardware())


CONTINUE = """
import json, sys
import keras, numpy as np
import mho.keras as mk
model = keras.models.load_model(sys.argv[1])
x = np.load(sys.argv[2])
out = [model.predict(x, verbose=0).tolist()]
mk.age(model, 1e7)
out += [float(next(iter(mk.conductances(model).values())).sum()), model.predict(x, verbose=0).tolist()]
print(json.dumps(out))
"""


def test_a_chip_and_its_stream_of_noise_go_on_in_another_process(tmp_path: Path) -> None:
    digital = keras.Sequential(
        [keras.Input((12,)), layers.Dense(6), layers.BatchNormalization(), layers.Dense(3)]
    )
    analog, x = mk.convert(digital, NOISY), rng.normal(size=(20, 12)).astype("float32")
    mk.calibrate(analog, [x])
    mk.program(analog, seed=3)
    mk.age(analog, 1e3)
    analog.predict(x, verbose=0)
    analog.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    ran = subprocess.run(
        [sys.executable, "-c", CONTINUE, str(tmp_path / "model.keras"), str(tmp_path / "x.npy")],
        capture_output=True, text=True, check=False, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    first, total, aged = json.loads(ran.stdout.splitlines()[-1])
    np.testing.assert_array_equal(np.float32(first), analog.predict(x, verbose=0))
    mk.age(analog, 1e7)
    assert float(next(iter(mk.conductances(analog).values())).sum()) == total
    np.testing.assert_array_equal(np.float32(aged), analog.predict(x, verbose=0))


def test_heat_is_that_of_torch_and_stays(tmp_path: Path) -> None:
    import torch

    hot = mho.devices.Accelerated(activation=0.6, device=mho.devices.PCM(read_scale=0.0))
    model = keras.Sequential([keras.Input((5,)), mk.AnalogDense(3, hardware=mho.Hardware(device=hot))])
    twin = torch.nn.Sequential(torch.nn.Linear(5, 3))
    twin[0].weight.data = torch.tensor(array(model.layers[0].kernel)).T.contiguous()
    twin = mho.convert(twin, mho.Hardware(device=hot)).eval()
    stages = [("1000h", 398.0), ("1y", 328.0)]
    for verbs, whole in ((mk, model), (mho, twin)):
        verbs.program(whole, seed=3)
        verbs.age(whole, "1y", kelvin=328.0)
    held = mk.conductances(model)["0"]
    assert (held == mho.conductances(twin)["0"].numpy()).all()
    x = np.eye(5, dtype="float32")
    np.testing.assert_allclose(array(model(x)), mk.effective_weights(model)["0"], rtol=1e-5, atol=1e-6)
    mk.age(model, 3.6e6 + 31_536_000, kelvin=stages)
    assert (mk.conductances(model)["0"] != held).any()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].hardware == model.layers[0].hardware != mho.Hardware(device=hot)
    cold = keras.Sequential([keras.Input((5,)), mk.AnalogDense(3, hardware=QUIET)])
    mk.program(cold, seed=3)
    before = mk.conductances(cold)["0"]
    with pytest.raises(ValueError, match="nothing says what heat does to PCM"):
        mk.age(cold, "1y", kelvin=358.0)
    assert (mk.conductances(cold)["0"] == before).all() and cold.layers[0].hardware == QUIET


def test_files_hold_the_chip_the_recipe_and_what_befell_single_arrays(tmp_path: Path) -> None:
    make, data = MODELS["functional"]
    recipe = mho.training.Recipe(modifiers=(mho.training.WeightNoise(),))
    analog, x = mk.convert(make(), QUIET), data()
    mk.attach(analog, recipe)
    mk.program(analog, seed=3)
    mk.degrade(analog, mho.devices.StuckAt(hrs=0.2), seed=1, select=lambda path: path in ("0", "1.out_proj"))
    wanted = array(analog(x, training=False))
    analog.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert (array(loaded(x, training=False)) == wanted).all()
    found, held = mk.conductances(loaded), mk.conductances(analog)
    assert all((found[path] == g).all() for path, g in held.items())
    assert loaded.layers[-2].cell.recipe == recipe
    mk.age(loaded, 1e4)
    analog.save_weights(tmp_path / "chip.weights.h5")
    loaded.load_weights(tmp_path / "chip.weights.h5")
    assert (array(loaded(x, training=False)) == wanted).all()


def test_a_subclassed_model_goes_by_its_weights(tmp_path: Path) -> None:
    x = MODELS["subclassed"][1]()
    analog, other = (mk.convert(subclassed(), QUIET) for _ in range(2))
    mk.program(analog, seed=3)
    with pytest.raises(NotImplementedError, match="save_weights"):
        analog.save(tmp_path / "model.keras")
    assert not list(tmp_path.iterdir())
    analog.save_weights(tmp_path / "chip.weights.h5")
    other.load_weights(tmp_path / "chip.weights.h5")
    assert (array(other(x, training=False)) == array(analog(x, training=False))).all()
    mk.age(other, 1e5)


def test_a_damaged_chip_is_refused(tmp_path: Path) -> None:
    import h5py

    model = keras.Sequential([keras.Input((5,)), mk.AnalogDense(3, hardware=QUIET)])
    mk.program(model, seed=0)
    model.save_weights(tmp_path / "chip.weights.h5")
    with h5py.File(tmp_path / "chip.weights.h5", "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        place = next(name for name in names if name.endswith("chip_g"))
        file[place][...] = file[place][...] * 1.01
    with pytest.raises(ValueError, match="chip_checksum does not fit"):
        model.load_weights(tmp_path / "chip.weights.h5")


def test_a_stale_chip_is_told_by_the_next_verb() -> None:
    model = keras.Sequential([keras.Input((5,)), mk.AnalogDense(3, hardware=QUIET)])
    mk.program(model, seed=0)
    model.layers[0].kernel.assign(model.layers[0].kernel * 2)
    with pytest.warns(mho.StaleChipWarning, match="'0' changed after programming"):
        mk.age(model, 10.0)


@pytest.mark.filterwarnings("default::mho.errors.NotProgrammedWarning")
def test_a_model_without_a_chip_says_so_once() -> None:
    model = mk.convert(sequential(), QUIET)
    x = MODELS["sequential"][1]()
    with pytest.warns(UserWarning, match=r"holds no chip.*mho.keras.program"):
        model(x, training=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model(x, training=False)


def test_a_graph_made_before_the_chip_reads_it() -> None:
    model = keras.Sequential([keras.Input((5,)), mk.AnalogDense(3, hardware=QUIET)])
    outer = keras.Sequential([keras.Input((5,)), model])
    x = np.ones((2, 5), "float32")
    ideal = outer.predict(x, verbose=0)
    mk.program(model, seed=0)
    chip = outer.predict(x, verbose=0)
    assert (chip != ideal).any()
    np.testing.assert_allclose(chip, x @ mk.effective_weights(model)["0"], rtol=1e-5, atol=1e-6)


def test_verbs_of_torch_act_on_the_torch_side() -> None:
    model = keras.Sequential(
        [keras.Input((12,)), mk.AnalogDense(6, hardware=NOISY), mk.AnalogDense(3, hardware=NOISY)]
    )
    x = rng.normal(size=(20, 12)).astype("float32")
    mk.calibrate(model, [x])
    import torch

    with mk.torch_model(model) as bridge:
        mho.program(bridge, seed=0)
        cost = mho.cost(bridge, [torch.from_numpy(x)])
        assert sum(cost.energy.values()) > 0
    mk.compensate(model, mho.periphery.Affine(), data=[x])
    assert np.abs(array(model.layers[0].array.parts["shift"])).max() > 0
    assert model.count_params() > 12 * 6 + 6 + 6 * 3 + 3


@pytest.mark.parametrize(
    "hardware, text",
    [
        (mho.Hardware(dac=mho.DAC(bits=8, range=mho.converters.Learned())), "dac.range = Learned"),
        (mho.Hardware(adc=mho.converters.SAR(bits=8)), r"adc = SAR\(...\)"),
        (mho.Hardware(device=mho.devices.PCM(), array=mho.array.Wires(row=1.0, column=1.0)), "read_scale=0"),
    ],
)
def test_hardware_that_keras_layers_cannot_have_is_named(hardware: mho.Hardware, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        mk.convert(sequential(), hardware)
    with pytest.raises(TypeError, match=text):
        mk.AnalogDense(3, hardware=hardware)(np.zeros((1, 4), "float32"))


def test_bad_input_is_one_sentence() -> None:
    for arguments, text in (
        ({"hardware": "PCM"}, "."),
        ({"hardware": None}, "give a mho.Hardware"),
        ({"hardware": QUIET, "lora_rank": 2}, "an array has no lora_rank"),
        ({"hardware": QUIET, "recipe": 3}, "give a mho.training.Recipe"),
    ):
        with pytest.raises((TypeError, ValueError), match=text):
            mk.AnalogDense(3, **arguments)
    with pytest.raises(ValueError, match="channels last"):
        mk.AnalogConv2D(3, 3, data_format="channels_first", hardware=QUIET)
    with pytest.raises(TypeError, match="give a keras.Model"):
        mk.program(3, seed=0)
    digital = keras.Sequential([keras.Input((5,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="no analog layer"):
        mk.program(digital, seed=0)
    unbuilt = keras.Sequential([mk.AnalogDense(3, hardware=QUIET)])
    with pytest.raises(ValueError, match="'0' is not built yet"):
        mk.program(unbuilt, seed=0)
    with pytest.raises(ValueError, match="Sequential is not built yet"):
        mk.convert(keras.Sequential([layers.Dense(3)]), QUIET)
    model = keras.Sequential([keras.Input((5,)), mk.AnalogDense(3, hardware=QUIET)])
    ideal = keras.Sequential([keras.Input((5,)), mk.AnalogDense(3, hardware=mho.Hardware())])
    with pytest.raises(TypeError, match=r"ThermalNoise\(...\) makes each read of '0' differ"):
        mk.degrade(ideal, mho.devices.ThermalNoise(bandwidth=1e6), seed=0)
    with pytest.raises(RuntimeError, match="age needs a programmed chip"):
        mk.age(model, 1.0)
    with pytest.raises(TypeError, match=r"\[x\] for a single one"):
        mk.calibrate(model, np.zeros((2, 5), "float32"))
    with pytest.raises(ValueError, match="lies on an array"):
        model.layers[0].quantize("int8")
    with pytest.raises(ValueError, match="axis 'b' has a matrix for each"):
        mk.AnalogEinsumDense("abc,bcd->abd", (4, 3), hardware=QUIET)(np.zeros((2, 4, 5), "float32"))

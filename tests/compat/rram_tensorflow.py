"""The document's training, conversion and benchmark with TensorFlow; run by ``test_rram_tensorflow.py``."""


class Board:
    def write_matrix(self, matrix):
        self.targets = matrix
        return True

    def read_matrix(self):
        return self.targets * 0.5


EFFECTS = (
    {},
    {"variability": 0.1},
    {"stuck_lrs": 0.1, "stuck_hrs": 0.05},
    {"line_resistance": 20.0},
    {"kelvin": 380.0, "activation": 0.1, "alpha": 1e-3},
    {"read_noise": 0.02},
    {"bandwidth": 1e8, "kelvin": 450.0, "alpha": 0.0, "activation": 0.0},
)


def main():
    import tempfile

    import keras
    import numpy as np
    import pytest
    import torch
    from sklearn.datasets import load_digits

    import mho.keras
    from mho.compat.rram import (
        RRAMEffects,
        RRAMModelWrapper,
        TensorFlowRRAMLayer,
        TorchRRAMLinear,
        benchmark_rram_model,
        train_with_rram_simulation,
    )

    assert keras.backend.backend() == "tensorflow"
    keras.utils.set_random_seed(0)
    QUIET = RRAMEffects(dac_bits=None, adc_bits=None)
    X, Y = load_digits(return_X_y=True)
    X = (X / 16).astype("float32")
    LOADER = [(X[k : k + 100], Y[k : k + 100]) for k in range(0, 1700, 100)]

    # a layer: levels, the chip of torch, a board
    layer = TensorFlowRRAMLayer(10, quantization_bits=4, enable_stochastic=False, effects=QUIET, seed=3)
    model = keras.Sequential([keras.Input((64,)), layer])
    layer.program_rram_weights()
    (held,) = mho.keras.effective_weights(model).values()
    assert 8 < len(np.unique(held)) <= 16, len(np.unique(held))
    twin = TorchRRAMLinear(64, 10, quantization_bits=4, enable_stochastic=False, effects=QUIET, seed=3)
    twin.weight.data = torch.tensor(np.array(layer.kernel)).t().contiguous()
    twin.bias.data = torch.tensor(np.array(layer.bias))
    wanted = twin.eval()(torch.from_numpy(X[:50])).detach().numpy()
    assert np.abs(model.predict(X[:50], verbose=0) - wanted).max() < 1e-5

    # each effect of the document: the cells, and the noise, that the same effect has in torch
    still = {"variability": 0.0, "read_noise": 0.0, "bandwidth": None, "dac_bits": None, "adc_bits": None}
    cells = {}
    for given in EFFECTS:
        how = {"effects": RRAMEffects(**{**still, **given}), "quantization_bits": None, "seed": 3}
        layer = TensorFlowRRAMLayer(10, **how)
        model = keras.Sequential([keras.Input((64,)), layer])
        layer.kernel.assign(twin.weight.detach().numpy().T)
        layer.program_rram_weights()
        other = TorchRRAMLinear(64, 10, **how).eval()
        other.weight.data = twin.weight.data
        (other.path,) = mho.keras.torch_paths(layer)
        many = np.repeat(X[:1], 2_000, 0)
        found, wanted = np.array(model(many, training=False)), other(torch.from_numpy(many))
        cells[str(given)] = mho.keras.effective_weights(model)["0"]
        assert np.allclose(cells[str(given)], other.effective_weight().numpy().T, atol=1e-6), given
        moved = np.abs(cells[str(given)] - cells["{}"]).max()
        noise = wanted.detach().double().numpy().std(0)
        if noise.max() > 1e-5:
            assert np.abs(found.std(0) / noise - 1).max() < 0.1, given
        else:
            assert (not given or moved > 0.005) and found.astype(float).std(0).max() < 1e-5, (given, moved)

    # the chip of torch, in a file
    spread = RRAMEffects(read_noise=0.0, bandwidth=None, dac_bits=None, adc_bits=None)
    one = torch.nn.Sequential(TorchRRAMLinear(64, 10, effects=spread, seed=7)).eval()
    other = keras.Sequential([keras.Input((64,)), TensorFlowRRAMLayer(10, effects=spread, seed=8)])
    other.layers[0].kernel.assign(one[0].weight.detach().numpy().T)
    with tempfile.TemporaryDirectory() as folder, mho.keras.torch_model(other) as side:
        mho.save_chip(one, f"{folder}/chip.safetensors")
        mho.load_chip(side, f"{folder}/chip.safetensors")
    assert np.array_equal(mho.keras.conductances(other)["0"], mho.conductances(one)["0"].numpy())
    again = TensorFlowRRAMLayer.from_config(other.layers[0].get_config())
    assert (again.quantization_bits, again.seed, again.hardware) == (4, 8, spread.hardware(4))

    board = Board()
    bench = TensorFlowRRAMLayer(10, rram_interface=board, effects=QUIET, quantization_bits=4)
    on_board = keras.Sequential([keras.Input((64,)), bench])
    bench.program_rram_weights()
    (g,) = mho.keras.conductances(on_board).values()
    assert board.targets.shape == (10, 64) and np.allclose(g[0, 0].T, 0.5 * board.targets, rtol=1e-6)
    board.read_matrix = lambda: np.full((10, 64), 9.91e37)
    with pytest.raises(ValueError, match="9.91e37"):
        bench.update_weights_from_rram()

    # training, conversion, benchmark
    original = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dense(24, activation="relu"), keras.layers.Dense(10)]
    )
    wrapper = RRAMModelWrapper(original, framework="tensorflow")
    rram_model = wrapper.convert_to_rram_model(quantization_bits=6, seed=0)
    before = benchmark_rram_model(rram_model, LOADER[:3], framework="tensorflow")
    history = train_with_rram_simulation(
        model=rram_model, train_loader=LOADER, epochs=8, learning_rate=1e-2, framework="tensorflow"
    )
    assert len(history["loss"]) == 8 and history["loss"][-1] < 0.5 * history["loss"][0]
    found = benchmark_rram_model(rram_model, LOADER[:3], framework="tensorflow")
    assert found["accuracy"] > max(80.0, before["accuracy"] + 20), (before, found)
    assert found["cells"] == 64 * 24 + 24 * 10
    assert found["energy"] > 0 and found["digital"]["energy"] > 0
    assert found["digital"]["accuracy"] > 80
    assert all(not hasattr(each, "hardware") for each in original.layers)
    print("done")


if __name__ == "__main__":
    main()

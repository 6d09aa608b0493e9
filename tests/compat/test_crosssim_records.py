"""What CrossSim's notebooks and calibrations read of its cores: cells, inputs, currents."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import dft
from torch import nn

from mho.compat.crosssim.simulator import AnalogCore, CrossSimParameters
from mho.compat.crosssim.simulator.algorithms.dnn.torch.convert import from_torch, synchronize, to_torch
from mho.compat.crosssim.simulator.algorithms.dnn.torch.gru import AnalogGRU
from mho.compat.crosssim.simulator.algorithms.dnn.torch.layer import AnalogLayer
from mho.compat.crosssim.simulator.algorithms.dnn.torch.lstm import AnalogLSTM
from mho.compat.crosssim.simulator.algorithms.dnn.torch.profile import (
    get_conductance_matrices,
    get_profiled_adc_inputs,
    get_profiled_xbar_inputs,
)
from mho.compat.crosssim.simulator.algorithms.dsp.dft import DFT
from mho.compat.crosssim.simulator.devices import idevice
from mho.errors import ConfigError

W = np.random.default_rng(0).uniform(-1, 1, (5, 7))


def made(**changes: Any) -> CrossSimParameters:
    params = CrossSimParameters()
    params.update({name.replace("__", "."): value for name, value in changes.items()})
    return params


def test_cells_of_a_core_by_arrays_and_slices() -> None:
    off = {"xbar__device__Rmin": 1e3, "xbar__device__Rmax": 1e6}
    full, span = np.abs(W).max(), 1 - 1e-3
    core = AnalogCore(W, made(core__rows_max=4, **off))
    assert core.Ncores == 2 and core.cores[0][0].core_pos.matrix.shape == (5, 4)
    pairs = [one.core_pos.matrix - one.core_neg.matrix for one in core.cores[0]]
    np.testing.assert_allclose(np.concatenate(pairs, 1) * full / span, W, atol=1e-12)
    sliced = made(core__style="BITSLICED", core__weight_bits=9, core__bit_sliced__num_slices=4, **off)
    digits = [
        (plus.matrix - minus.matrix) * 3 / span
        for plus, minus in AnalogCore(W, sliced).cores[0][0].core_slices
    ]
    assert all(np.allclose(d, d.round()) for d in digits)
    total = sum(4**i * d for i, d in enumerate(digits))
    assert np.abs(total / 255 * full - W).max() <= full / 255 / 2 + 1e-12
    offset = AnalogCore(W, made(core__style="OFFSET", **off)).cores[0][0].core.matrix
    np.testing.assert_allclose(offset, (W / full + 1) / 2 * span + 1e-3, atol=1e-12)
    with pytest.raises(ValueError, match="complex"):
        _ = AnalogCore(W + 1j * W, made()).cores


def test_parameters_in_a_list_are_equal() -> None:
    core = AnalogCore(W, [made(core__rows_max=4)] * 2)
    np.testing.assert_allclose(core @ np.ones(7), W.sum(1), rtol=1e-6)
    with pytest.raises(ValueError, match="same parameters"):
        AnalogCore(W, [made(), made(core__rows_max=4)])
    with pytest.raises(TypeError, match="give CrossSimParameters"):
        AnalogCore(W, [None])  # type: ignore[list-item]


def test_a_range_of_the_largest_input_clips_nothing() -> None:
    free = made(core__mapping__inputs__mvm__percentile=1.0)
    free.core.mapping.inputs.mvm.min = free.core.mapping.inputs.mvm.max = None
    np.testing.assert_allclose(AnalogCore(W, free) @ (40 * np.ones(7)), 40 * W.sum(1), rtol=1e-6)
    free.xbar.dac.mvm.update({"model": "SignMagnitudeDAC", "bits": 8})
    with pytest.raises(ConfigError, match="percentile"):
        AnalogCore(W, free)


def test_fourier_transforms() -> None:
    x = np.random.default_rng(1).standard_normal((8, 8))
    transform = DFT(8, made(core__mapping__inputs__mvm__max=20.0, core__mapping__inputs__mvm__min=-20.0))
    np.testing.assert_allclose(transform.dft_1d(x[0]), np.fft.fft(x[0]), atol=1e-5)
    np.testing.assert_allclose(transform.dft_2d(x), np.fft.fft2(x), atol=1e-4)
    np.testing.assert_allclose(transform.get_matrix(), dft(8), atol=1e-6)
    back = DFT(8, made(), normalize=True, inverse=True)
    np.testing.assert_allclose(back.get_matrix(), dft(8, scale="sqrtn").conj().T, atol=1e-6)


def test_a_device_of_ones_own_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"mho\.devices\.Generic"):
        type("Mine", (idevice.EmptyDevice,), {})


def test_profiled_inputs_are_those_that_came(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 2)).eval()
    record = made(simulation__analytics__profile_xbar_inputs=True, simulation__analytics__ntest=4)
    analog = from_torch(model, [record, made()])
    assert analog[0]._numpy_to_torch_dtype_dict[np.dtype("float32")] is torch.float32
    x = torch.rand(4, 7)
    analog(x[:1]), analog(x[1:])
    first, second = get_profiled_xbar_inputs(analog, tmp_path)
    np.testing.assert_array_equal(first, x.flatten().numpy())
    assert second is None
    kept = pickle.loads((tmp_path / "all_xbar_inputs.p").read_bytes())
    np.testing.assert_array_equal(kept[0], first)


@pytest.mark.parametrize("bits", [0, 8])
def test_profiled_currents_are_in_units_of_a_cell(bits: int) -> None:
    """``W x`` over the largest weight and the full input; they reach what a calibrated range takes."""
    plain = nn.Linear(7, 5, bias=False)
    with torch.no_grad():
        plain.weight.copy_(torch.from_numpy(W))
    params = made(
        simulation__analytics__profile_adc_inputs=True, core__mapping__inputs__mvm__min=-2.0,
        core__mapping__inputs__mvm__max=2.0,
    )  # fmt: skip
    if bits:
        params.update({"xbar.adc.mvm.model": "QuantizerADC", "xbar.adc.mvm.bits": bits})
        params.update({"xbar.adc.mvm.calibrated_range": [-9.0, 9.0]})
    analog = from_torch(plain.eval(), params)
    x = 2 * torch.rand(4, 7)
    analog(x)
    (seen,) = get_profiled_adc_inputs(analog)
    span = 1 - 1e3 / 1e4  # of conductances, as fractions of the highest
    wanted = np.sort((x.numpy() @ W.T).flatten()) / np.abs(W).max() / 2 * span
    np.testing.assert_allclose(np.sort(seen.flatten()), wanted, atol=1e-5)
    (held,) = get_conductance_matrices(analog)
    assert held["core_style"] == "BALANCED" and held["bitsliced_core_style"] == "NONE"
    pair = held["Gmats"][0]
    weight = (pair["Gmat_pos"] - pair["Gmat_neg"]) / (1 - 0.1) * np.abs(W).max()
    np.testing.assert_allclose(weight, W, atol=1e-6)


class Sequences(nn.Module):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.memory, self.head = kind(3, 4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.memory(x)[0])


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_recurrent_layers_become_analog(kind: type[nn.Module]) -> None:
    model = Sequences(kind).eval()
    x = torch.randn(2, 3) if "Cell" in kind.__name__ else torch.randn(6, 2, 3)
    if kind in (nn.RNNCell, nn.GRUCell):  # the state alone
        model.forward = lambda v: model.head(model.memory(v))  # type: ignore[method-assign]
        layer = from_torch(model.memory, made())
        torch.testing.assert_close(layer(x), model.memory(x), rtol=1e-4, atol=1e-5)
        return
    analog = from_torch(model, made())
    assert type(analog.memory).__name__ == f"Analog{kind.__name__}"
    torch.testing.assert_close(analog(x), model(x), rtol=1e-4, atol=1e-5)


def test_recurrent_layers_follow_their_weights_and_come_back() -> None:
    torch.manual_seed(0)
    noisy = {"enable": True, "model": "NormalIndependentDevice", "magnitude": 0.05}
    model, x = Sequences(nn.LSTM).eval(), torch.randn(6, 2, 3)
    analog = from_torch(model, made(xbar__device__programming_error=noisy), bias_rows=1)
    y = analog(x)
    assert torch.equal(analog(x), y) and 1e-3 < float((y - model(x)).detach().abs().max()) < 1
    torch.testing.assert_close(to_torch(analog, physical_weights=True)(x), y, rtol=1e-4, atol=1e-5)
    y.sum().backward()
    assert analog.memory.weight_hh_l0.grad.abs().sum() > 0
    with torch.no_grad():
        analog.memory.weight_ih_l0.mul_(1.001)
    changed = analog(x)
    assert not torch.equal(changed, y)
    synchronize(analog)
    assert not torch.equal(analog(x), changed)
    analog.memory.params = made()
    analog.head.params = made()
    torch.testing.assert_close(analog(x), to_torch(analog)(x), rtol=1e-4, atol=1e-5)


def test_recurrent_layers_of_ones_own() -> None:
    both = AnalogLSTM(made(), 3, 4, bidirectional=True, bias_ih_rows=1, bias_hh_rows=1)
    assert both(torch.ones(5, 2, 3))[0].shape == (5, 2, 8) and not isinstance(both, AnalogLayer)
    assert len(get_conductance_matrices(both)[0]["Gmats"]) == 4
    with pytest.raises(ValueError, match="give one number for both"):
        AnalogGRU(made(), 3, 4, bias_ih_rows=1)

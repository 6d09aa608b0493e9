"""Recurrent layers: torch's outputs and gradients on ideal arrays, the chip's on real ones."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import mho
from mho.converters import Fixed
from mho.errors import StaleChipWarning
from mho.periphery import Affine
from mho.training import Recipe, WeightClip, WeightNoise, attach

from .same import compare, flat

CASES: dict[str, Callable[..., nn.Module]] = {
    "rnn": lambda **k: nn.RNN(6, 5, **k),
    "rnn, relu, 2 layers": lambda **k: nn.RNN(6, 5, 2, nonlinearity="relu", **k),
    "rnn, bidirectional": lambda **k: nn.RNN(6, 5, 2, bidirectional=True, batch_first=True, **k),
    "lstm": lambda **k: nn.LSTM(6, 5, **k),
    "lstm without bias": lambda **k: nn.LSTM(6, 5, bias=False, **k),
    "lstm, 2 layers, both ways": lambda **k: nn.LSTM(6, 5, 2, bidirectional=True, batch_first=True, **k),
    "lstm, dropout": lambda **k: nn.LSTM(6, 5, 3, dropout=0.4, **k),
    "lstm, projection": lambda **k: nn.LSTM(6, 5, 2, bidirectional=True, proj_size=3, **k),
    "gru": lambda **k: nn.GRU(6, 5, **k),
    "gru, 2 layers, both ways": lambda **k: nn.GRU(6, 5, 2, bidirectional=True, batch_first=True, **k),
    "gru without bias": lambda **k: nn.GRU(6, 5, bias=False, **k),
}
CELLS: dict[str, Callable[..., nn.Module]] = {
    "rnn cell": lambda **k: nn.RNNCell(6, 5, **k),
    "rnn cell, relu": lambda **k: nn.RNNCell(6, 5, nonlinearity="relu", **k),
    "lstm cell": lambda **k: nn.LSTMCell(6, 5, **k),
    "gru cell": lambda **k: nn.GRUCell(6, 5, bias=False, **k),
}
SMALL = mho.Tile(rows=4, columns=6)
PCM = mho.Hardware(device=mho.devices.PCM(read_scale=0.0), tile=SMALL)

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def make(name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(3)
    return {**CASES, **CELLS}[name](dtype=dtype)


def start(layer: Any, batch: int = 3) -> Any:
    """A random initial state."""
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    dtype = layer.weight_ih_l0.dtype
    h = torch.randn(count, batch, layer.proj_size or layer.hidden_size, dtype=dtype)
    return (h, torch.randn(count, batch, layer.hidden_size, dtype=dtype)) if isinstance(layer, nn.LSTM) else h


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mode", ["train", "eval", "programmed", "tiled"])
def test_ideal_arrays_are_the_torch_layer(name: str, mode: str) -> None:
    layer = make(name)
    adc = mho.ADC(bits=None) if mode == "tiled" else None
    analog = mho.convert(layer, mho.Hardware(tile=SMALL, adc=adc))
    if mode in ("programmed", "tiled"):
        mho.program(analog, seed=0)
    for module in (layer, analog):
        module.train(mode == "train")
    x = torch.randn(3, 4, 6, dtype=torch.float64)
    compare(analog, layer, x)
    compare(analog, layer, x, start(layer, 3 if layer.batch_first else 4))


@pytest.mark.parametrize("name", ["rnn", "lstm, projection", "gru, 2 layers, both ways"])
def test_float32(name: str) -> None:
    layer = make(name, torch.float32)
    compare(mho.convert(layer, mho.Hardware(tile=SMALL)), layer, torch.randn(5, 4, 6), tolerance=1e-5)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("ordered", [True, False])
def test_packed_sequences(name: str, ordered: bool) -> None:
    layer = make(name)
    analog = mho.convert(layer, mho.Hardware(tile=SMALL))
    lengths = torch.tensor([5, 3, 3, 1] if ordered else [3, 1, 5, 3])
    x = torch.randn(5, 4, 6, dtype=torch.float64)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=ordered)
    compare(analog, layer, packed)
    compare(analog, layer, packed, start(layer, 4))
    torch.manual_seed(0)
    ours, _ = pad_packed_sequence(analog(packed)[0])
    torch.manual_seed(0)
    theirs, _ = pad_packed_sequence(layer(packed)[0])
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", ["rnn, bidirectional", "lstm, projection", "gru"])
def test_without_batch(name: str) -> None:
    layer = make(name)
    analog = mho.convert(layer, mho.Hardware())
    x = torch.randn(5, 6, dtype=torch.float64)
    compare(analog, layer, x)
    hx = start(layer, 1)
    compare(analog, layer, x, tuple(h[:, 0] for h in hx) if isinstance(hx, tuple) else hx[:, 0])


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("shape", [(3,), ()])
def test_cells(name: str, shape: tuple[int, ...]) -> None:
    layer = make(name)
    analog = mho.convert(layer, mho.Hardware(tile=SMALL))
    x, h = torch.randn(*shape, 6, dtype=torch.float64), torch.randn(*shape, 5, dtype=torch.float64)
    compare(analog, layer, x)
    compare(analog, layer, x, (h, h.clone()) if "lstm" in name else h)


@pytest.mark.parametrize("name", [*CASES, *CELLS])
@pytest.mark.parametrize("mode", ["eval", "on chip"])
def test_the_chip_computes_forward_and_backward(name: str, mode: str) -> None:
    """Programmed and aged: the layer equals the torch layer that holds the chip's weights."""
    layer = make(name)
    if getattr(layer, "dropout", 0):
        layer.dropout = 0.0
    analog = mho.convert(layer, PCM)
    mho.program(analog, seed=1)
    mho.age(analog, 3600.0)
    truth = mho.revert(analog, weights="programmed")
    assert type(truth) is type(layer)
    assert not torch.allclose(next(truth.parameters()), next(layer.parameters()), atol=1e-3)
    if mode == "on chip":
        mho.train_on_chip(analog)
    analog.train(mode != "eval")
    x = torch.randn(3, 6, dtype=torch.float64) if name in CELLS else torch.randn(4, 3, 6, dtype=torch.float64)
    compare(analog, truth, x, tolerance=1e-9)


def test_every_weight_has_its_array_and_its_own_draws() -> None:
    analog = mho.convert(nn.Sequential(make("lstm, projection")), PCM)
    mho.program(analog, seed=0)
    weights = mho.effective_weights(analog)
    wanted = {n for n, _ in analog[0].named_parameters() if n.startswith("weight")}
    assert set(weights) == {f"0.arrays.{n}" for n in wanted}
    for name in wanted:
        assert weights[f"0.arrays.{name}"].shape == getattr(analog[0], name).shape
    twins = [mho.conductances(analog)[f"0.arrays.weight_hh_l{k}"] for k in (0, 1)]
    assert not torch.equal(*twins)


# --- state -----------------------------------------------------------------------------------------


@pytest.fixture
def chip() -> nn.Module:
    analog = mho.convert(nn.ModuleDict({"r": make("lstm, 2 layers, both ways", torch.float32)}), PCM)
    mho.program(analog, seed=4)
    mho.age(analog, 1e4)
    return analog.eval()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, 4, 6)


def test_the_names_of_torch(chip: nn.Module) -> None:
    """A dict of the plain layer loads with ``strict``; the Parameters are torch's own."""
    layer = make("lstm, 2 layers, both ways", torch.float32)
    assert [n for n, _ in chip["r"].named_parameters()] == [n for n, _ in layer.named_parameters()]
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(0.5)
    chip["r"].load_state_dict(layer.state_dict(), strict=True)
    with pytest.warns(StaleChipWarning):
        chip.eval()
    mho.program(chip, seed=4)
    assert torch.equal(chip["r"].weight_hh_l1, layer.weight_hh_l1)


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(chip: nn.Module, x: torch.Tensor, copier: Callable[[nn.Module], nn.Module]) -> None:
    twin = copier(chip)
    before = chip["r"](x)[0]
    assert torch.equal(twin["r"](x)[0], before)
    with torch.no_grad():
        twin["r"].weight_hh_l0.mul_(2)
    with pytest.warns(StaleChipWarning):
        twin.eval()
    assert torch.equal(chip["r"](x)[0], before) and twin["r"].arrays["weight_hh_l0"]._owner is twin["r"]


def test_state_dict_round_trip(chip: nn.Module, x: torch.Tensor) -> None:
    buffer = io.BytesIO()
    torch.save(chip.state_dict(), buffer)
    buffer.seek(0)
    other = mho.convert(nn.ModuleDict({"r": nn.LSTM(6, 5, 2, bidirectional=True, batch_first=True)}), PCM)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(other.eval()["r"](x)[0], chip["r"](x)[0])


def test_moves_do_not_make_a_chip_stale(chip: nn.Module, x: torch.Tensor) -> None:
    before, g = chip["r"](x)[0], mho.conductances(chip)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chip.to(torch.bfloat16).to(torch.float32).eval()
        after = chip["r"](x)[0]
    assert all(torch.equal(v, g[k]) for k, v in mho.conductances(chip).items())
    assert (after - before).abs().max() < 0.02
    chip["r"].to(torch.bfloat16)(x.to(torch.bfloat16))


def test_a_changed_weight_is_noticed(chip: nn.Module, x: torch.Tensor) -> None:
    with torch.no_grad():
        chip["r"].weight_ih_l1_reverse.add_(0.1)
    with pytest.warns(StaleChipWarning, match="r.arrays.weight_ih_l1_reverse"):
        chip["r"](x)


def test_revert_gives_the_layer_back(chip: nn.Module, x: torch.Tensor) -> None:
    layer = make("lstm, 2 layers, both ways", torch.float32)
    back = mho.revert(chip)["r"]
    assert type(back) is nn.LSTM and back.state_dict().keys() == layer.state_dict().keys()
    assert back.__dict__.keys() == layer.__dict__.keys()
    assert torch.equal(back(x)[0], layer(x)[0])


def test_functional_call_reaches_the_arrays(chip: nn.Module, x: torch.Tensor) -> None:
    """With the state of another chip; in training mode with other Parameters."""
    other = copy.deepcopy(chip)
    mho.program(other, seed=5)
    got = torch.func.functional_call(chip["r"], other["r"].state_dict(), (x,))[0]
    assert torch.equal(got, other["r"](x)[0]) and not torch.equal(got, chip["r"](x)[0])
    chip.train()
    doubled = {n: 2 * p for n, p in chip["r"].named_parameters()}
    truth = copy.deepcopy(mho.revert(chip))["r"]
    wanted = torch.func.functional_call(truth, doubled, (x,))[0]
    torch.testing.assert_close(torch.func.functional_call(chip["r"], doubled, (x,))[0], wanted)


def test_ties_and_parametrizations() -> None:
    first, second = nn.LSTM(5, 5, dtype=torch.float64), nn.LSTM(5, 5, dtype=torch.float64)
    second.weight_hh_l0 = first.weight_hh_l0
    model = nn.ModuleList([first, second, weight_norm(nn.GRUCell(5, 5, dtype=torch.float64), "weight_hh")])
    analog = mho.convert(model, PCM)
    assert analog[0].weight_hh_l0 is analog[1].weight_hh_l0
    mho.program(analog, seed=0)
    a, b = (mho.conductances(analog)[f"{k}.arrays.weight_hh_l0"] for k in (0, 1))
    assert not torch.equal(a, b)
    x = torch.randn(3, 5, dtype=torch.float64)
    truth = mho.revert(analog, weights="programmed").eval()
    assert not torch.equal(truth[0].weight_hh_l0, truth[1].weight_hh_l0)
    analog.eval()
    for k in range(3):
        for ours, theirs in zip(flat(analog[k](x)), flat(truth[k](x)), strict=True):
            torch.testing.assert_close(ours, theirs)
    plain = mho.revert(analog)
    torch.testing.assert_close(plain[2](x), model[2](x))
    assert plain[0].weight_hh_l0 is plain[1].weight_hh_l0


def test_pruned_recurrent_weights() -> None:
    """The mask is part of what the chip gets, also after a step that no forward has seen yet."""
    layer = prune.random_unstructured(nn.LSTM(6, 5, dtype=torch.float64), "weight_hh_l0", amount=0.5)
    x = torch.randn(4, 3, 6, dtype=torch.float64)
    layer(x)
    analog = mho.convert(layer, mho.Hardware(device=mho.devices.Ideal(), tile=SMALL))
    torch.testing.assert_close(analog(x)[0], layer(x)[0])
    with torch.no_grad():
        analog.weight_hh_l0_orig.mul_(2)
    mho.program(analog, seed=0)
    wanted = 2 * layer.weight_hh_l0_orig * layer.weight_hh_l0_mask
    torch.testing.assert_close(mho.effective_weights(analog)["arrays.weight_hh_l0"], wanted)
    plain = mho.revert(analog, weights="programmed")
    assert not plain._forward_pre_hooks
    torch.testing.assert_close(plain(x)[0], analog.eval()(x)[0])


# --- training, calibration, compilation ------------------------------------------------------------


def test_the_weight_noise_of_a_forward_is_one() -> None:
    """Also for the recurrent weight, which is read at each step."""
    layer = nn.RNN(1, 1, nonlinearity="relu", bias=False, batch_first=True)
    nn.init.ones_(layer.weight_hh_l0)
    nn.init.ones_(layer.weight_ih_l0)
    analog = mho.convert(layer, mho.Hardware())
    attach(analog, Recipe(modifiers=(WeightNoise(std=0.05),)))
    inputs = torch.zeros(1, 8, 1)
    inputs[0, 0] = 1.0
    ratios = []
    for _ in range(2):
        y = analog.train()(inputs)[0].flatten()
        ratios.append(y[1:] / y[:-1])
        assert torch.allclose(ratios[-1], ratios[-1][0].expand(7))
    assert not torch.allclose(ratios[0], ratios[1]) and not torch.allclose(ratios[0], torch.ones(7))
    assert {int(a.training_step) for a in analog.each()} == {2}


def test_clipping_and_backward(x: torch.Tensor) -> None:
    analog = mho.convert(make("lstm, 2 layers, both ways", torch.float32), mho.Hardware()).train()
    attach(analog, Recipe(modifiers=(WeightClip(sigmas=1.0), WeightNoise(std=0.05))))
    analog(x)[0].sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in analog.parameters())


def test_calibration_and_compensation() -> None:
    layer = make("lstm, projection", torch.float32)
    hardware = mho.Hardware(device=mho.devices.PCM(), tile=SMALL, dac=mho.DAC(bits=8), adc=mho.ADC(bits=10))
    analog = mho.convert(layer, hardware)
    data = [torch.randn(6, 8, 6) for _ in range(3)]
    mho.calibrate(analog, data)
    assert all(a.input_range is not None and a.output_range is not None for a in analog.each())
    assert float(analog.arrays["weight_hr_l0"].input_range) <= 1.0
    mho.program(analog, seed=0)
    mho.age(analog, 1e6)
    wanted, errors = layer(data[0])[0], []
    steps = (
        lambda: None,
        lambda: mho.compensate(analog),
        lambda: mho.compensate(analog, Affine(), data=data),
    )
    for correct in steps:
        correct()
        with torch.no_grad():
            errors.append(float((analog.eval()(data[0])[0] - wanted).abs().mean()))
    assert errors[1] < errors[0] and errors[2] < errors[0]
    with pytest.raises(ValueError, match="no bias to hold the shift"):  # of weight_hr_l0
        mho.revert(analog, weights="programmed")


@pytest.mark.parametrize("whole", [True, False])
def test_compiled(whole: bool) -> None:
    """In one graph if the compiler is told to take recurrent layers; else around them, as for torch's own."""
    torch._dynamo.reset()
    layer = nn.ModuleDict({"gru": make("gru", torch.float32), "cell": make("lstm cell", torch.float32)})
    hardware = mho.Hardware(
        device=mho.devices.PCM(read_scale=0.0), adc=mho.ADC(bits=12, range=Fixed(limit=8.0))
    )
    analog = mho.convert(layer, hardware)
    mho.program(analog, seed=0)
    analog.eval()
    both = lambda x: (analog["gru"](x), analog["cell"](x[0]))  # noqa: E731
    compiled = torch.compile(both, fullgraph=whole, backend="aot_eager")
    x = torch.randn(3, 4, 6)
    with torch.no_grad(), torch._dynamo.config.patch(allow_rnn=whole):
        ours = flat(compiled(x))
        for a, b in zip(ours, flat(both(x)), strict=True):
            assert (a - b).abs().max() < 1e-2
        mho.age(analog, 1e7)
        assert not torch.equal(flat(compiled(x))[0], ours[0])


def test_wrong_arguments() -> None:
    analog = mho.convert(make("lstm", torch.float32), mho.Hardware())
    with pytest.raises(ValueError, match="input has shape"):
        analog(torch.randn(2, 3, 4, 6))
    with pytest.raises(ValueError, match="its last size must be 6"):
        analog(torch.randn(2, 3, 7))
    with pytest.raises(ValueError, match="h has shape"):
        analog(torch.randn(2, 3, 6), (torch.randn(1, 2, 5), torch.randn(1, 3, 5)))
    with pytest.raises(ValueError, match="give the states h and c"):
        analog(torch.randn(2, 3, 6), torch.randn(1, 3, 5))
    with pytest.raises(ValueError, match="no time step"):
        analog(torch.randn(0, 3, 6))
    cell = mho.convert(make("gru cell", torch.float32), mho.Hardware())
    with pytest.raises(ValueError, match="hx has the shapes"):
        cell(torch.randn(2, 6), torch.randn(3, 5))
    broken = make("lstm", torch.float32)
    broken.weight_hh_l0.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="arrays.weight_hh_l0.*NaN"):
        mho.convert(broken, mho.Hardware())

"""Biases on rows of the array.

The dense truth of a layer with n bias rows is a layer without bias and with n inputs more, which are one:
the same matrix in the same tiles, and, with the same seed, the same chip.
"""

from __future__ import annotations

import copy
import warnings

import pytest
import scipy.stats
import torch
from torch import Tensor, nn

import mho
from mho.chip.layouts import ArraySize, MatrixLayout
from mho.converters import Calibrated, Dynamic, Fixed, Learned, Stream
from mho.errors import NotMappableError, StaleChipWarning
from mho.experiments.batched import outputs
from mho.experiments.copies import chip_weights
from mho.mapping import BitSlicing, DifferentialPair, Offset
from mho.mapping.tiling import spans, without_bias_rows
from mho.nn import AnalogConv2d, AnalogLinear, AnalogTransposedLinear, Crossbar
from mho.testing import check_layer, check_visible

from ..compositions.covering import covering
from .cases import CASES, make
from .same import compare

SMALL = mho.Tile(rows=7, columns=3)
PCM = mho.devices.PCM(read_scale=0.0)
HARDWARE = {
    "whole": mho.Hardware(tile=SMALL),
    "tiled": mho.Hardware(tile=SMALL, adc=mho.ADC(bits=None)),
    "full tiles": mho.Hardware(tile=mho.Tile(rows=7, columns=3, full=True), adc=mho.ADC(bits=None)),
    "offset": mho.Hardware(tile=SMALL, adc=mho.ADC(bits=None), mapping=Offset()),
    "unit column": mho.Hardware(tile=SMALL, adc=mho.ADC(bits=None), mapping=Offset(unit_column=True)),
    "digital subtraction": mho.Hardware(
        tile=SMALL, adc=mho.ADC(bits=None), mapping=DifferentialPair(digital_subtraction=True)
    ),
}
WITH_BIAS = [name for name in CASES if make(name)[0].bias is not None]


# --- the same layer -----------------------------------------------------------------------------


@pytest.mark.parametrize("hardware", HARDWARE)
@pytest.mark.parametrize("name", WITH_BIAS)
def test_ideal_arrays_give_the_digital_layer(name: str, hardware: str) -> None:
    """Outputs and the gradients of input, weight and bias; training, evaluation, a chip."""
    layer, x = make(name, torch.float64)
    analog = mho.convert(layer, HARDWARE[hardware], bias_rows=3)
    assert analog.bias_rows == 3 and analog.digital_bias is None
    compare(analog.train(), layer, x)
    compare(analog.eval(), layer, x)
    mho.program(analog, seed=0)
    compare(analog.eval(), layer, x)
    mho.train_on_chip(analog)
    compare(analog.train(), layer, x)


@pytest.mark.parametrize("rows", [0, 1, 2, 9])
def test_contract_of_layers(rows: int) -> None:
    check_layer(AnalogLinear(6, 3, hardware=mho.Hardware(), bias_rows=rows), torch.randn(5, 6))
    convolution = AnalogConv2d(4, 6, 3, groups=2, hardware=mho.Hardware(), bias_rows=rows)
    check_layer(convolution, torch.randn(2, 4, 5, 5))


SEVERAL = {
    "LSTM": (lambda: nn.LSTM(4, 3, num_layers=2, bidirectional=True, proj_size=2), 1),
    "GRU": (lambda: nn.GRU(4, 3), 1),
    "RNN": (lambda: nn.RNN(4, 3), 1),
    "attention": (lambda: nn.MultiheadAttention(4, 2, batch_first=True), 3),
    "attention, separate": (lambda: nn.MultiheadAttention(4, 2, kdim=4, vdim=4, batch_first=True), 3),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("name", SEVERAL)
def test_layers_with_several_arrays(name: str) -> None:
    build, count = SEVERAL[name]
    layer, x = build().double(), torch.randn(2, 5, 4, dtype=torch.float64)
    for p in layer.parameters():  # torch starts the biases of attention at zero
        nn.init.normal_(p, std=0.3)
    analog = mho.convert(layer, HARDWARE["tiled"], bias_rows=2)
    compare(analog.train(), layer, *[x] * count)
    mho.program(analog, seed=0)
    compare(analog.eval(), layer, *[x] * count)
    arrays = [m for m in analog.modules() if isinstance(m, Crossbar)]
    assert {a.bias_rows for a in arrays if a.bias is not None} == {2}
    assert all(a.bias_rows == 0 for a in arrays if a.bias is None)
    check_layer(mho.convert(layer.float(), mho.Hardware(), bias_rows=2), *[x.float()] * count)


@pytest.mark.parametrize("cell", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_cells(cell: type[nn.Module]) -> None:
    layer = cell(4, 3).double()
    analog = mho.convert(layer, HARDWARE["tiled"], bias_rows=1)
    compare(analog.eval(), layer, torch.randn(2, 4, dtype=torch.float64))


def test_the_linear_layer_that_keeps_inputs_first() -> None:
    layer = AnalogTransposedLinear(9, 4, hardware=HARDWARE["tiled"], bias_rows=2).eval()
    x = torch.randn(5, 9)
    assert torch.allclose(layer(x), x @ layer.weight + layer.bias, atol=1e-6)


# --- against the dense truth --------------------------------------------------------------------

FULL = mho.Tile(rows=6, columns=4, full=True)
ONE = Fixed(limit=1.0)


def pair(
    hardware: mho.Hardware, bias_rows: int, seed: int = 1, dtype: torch.dtype = torch.float32
) -> tuple[nn.Module, nn.Module]:
    """A layer with bias rows, and the one whose last inputs must be ones; both programmed."""
    layer = nn.Linear(10, 5, dtype=dtype)
    dense = nn.Linear(10 + bias_rows, 5, bias=False, dtype=dtype)
    share = layer.bias.detach()[:, None].expand(-1, bias_rows) / bias_rows
    dense.weight.data = torch.cat([layer.weight.detach(), share], dim=1)
    made = mho.convert(layer, hardware, bias_rows=bias_rows), mho.convert(dense, hardware)
    for analog in made:
        mho.program(analog, seed=seed)
        mho.age(analog, 3600)
        mho.compensate(analog, mho.periphery.GlobalDrift())
        analog.eval()
    return made


def ones(x: Tensor, bias_rows: int) -> Tensor:
    return torch.cat([x, x.new_ones(len(x), bias_rows)], dim=1)


TRUTHS = {
    "whole": {},
    "wires": {"array": mho.array.Wires(row=20.0, column=20.0)},
    "converters": {"dac": mho.DAC(bits=8, range=ONE), "adc": mho.ADC(bits=8, range=Fixed(limit=3.0))},
    "all": {
        "dac": mho.DAC(bits=8, range=ONE),
        "adc": mho.ADC(bits=6, range=Fixed(limit=2.0)),
        "array": mho.array.Wires(row=20.0, column=20.0),
    },
    "offset": {
        "dac": mho.DAC(bits=6, range=ONE),
        "adc": mho.ADC(bits=8, range=Fixed(limit=4.0)),
        "mapping": Offset(),
    },
    "offset, whole": {"mapping": Offset()},
    "unit column": {"adc": mho.ADC(bits=8, range=Fixed(limit=4.0)), "mapping": Offset(unit_column=True)},
    "slices": {"adc": mho.ADC(bits=8, range=Fixed(limit=4.0)), "mapping": BitSlicing(bits=8, slices=4)},
    "bits of inputs": {
        "dac": mho.DAC(bits=8, range=ONE, stream=Stream(bits=1)),
        "adc": mho.ADC(bits=8, range=Fixed(limit=3.0)),
    },
    "bits of inputs, summed as charges": {
        "dac": mho.DAC(bits=8, range=ONE, stream=Stream(bits=1, each=False)),
        "adc": mho.ADC(bits=8, range=Fixed(limit=3.0)),
    },
    "ADC range of each vector": {"dac": mho.DAC(bits=8, range=ONE), "adc": mho.ADC(bits=8, range=Dynamic())},
}


def step(hardware: mho.Hardware, dense: nn.Module) -> float:
    """What one step of the ADC is at most in the output; 0 without an ADC."""
    if hardware.adc is None:
        return 0.0
    limit = hardware.adc.range.limit if isinstance(hardware.adc.range, Fixed) else 3.0
    return float(dense.packed_out.max()) * limit / hardware.adc.grid().high


@pytest.mark.parametrize(
    ("name", "bias_rows", "dtype", "kernels"),
    covering([list(TRUTHS), [1, 4], [torch.float64, torch.float32], ["own", "other"]]),
    indirect=["kernels"],
)
def test_the_rows_are_rows_like_others(name: str, bias_rows: int, dtype: torch.dtype, kernels: str) -> None:
    """Programming error, drift, compensation, wires and converters: those of inputs that are one.

    The cells have the same bits, the sums over them are rounded: a current between two codes may get
    either. In double precision none is as near to the middle as rounding reaches.
    """
    hardware = mho.Hardware(device=PCM, tile=FULL, **TRUTHS[name])
    layer, dense = pair(hardware, bias_rows, dtype=dtype)
    assert torch.equal(layer.chip_g, dense.chip_g) and layer.layout.rows == dense.layout.rows
    x = torch.rand(64, 10, dtype=dtype) * 2 - 1
    got, wanted = layer(x), dense(ones(x, bias_rows))
    error, rounding = (got - wanted).abs(), 2e-6 if dtype == torch.float32 else 1e-13
    flipped = error > rounding * wanted.abs().max()
    assert int(flipped.sum()) <= (3 if dtype == torch.float32 else 0)
    assert error.max() <= step(hardware, dense) + rounding * wanted.abs().max()
    held = mho.effective_weights(dense)[""]
    assert torch.equal(mho.effective_weights(layer)[""], held[:, :10])
    assert torch.allclose(layer.effective_bias(), held[:, 10:].sum(1), atol=1e-6)


@pytest.mark.parametrize("name", ["whole", "converters", "all", "offset, whole", "bits of inputs"])
def test_read_noise_of_the_rows(name: str) -> None:
    """The same distribution as the truth, and more noise than the inputs alone have."""
    hardware = mho.Hardware(device=mho.devices.PCM(), tile=FULL, **TRUTHS[name])
    layer, dense = pair(hardware, 2)
    x = (torch.rand(1, 10) * 2 - 1).expand(3000, -1)
    got, wanted = layer(x), dense(ones(x, 2))
    for column in range(5):
        if len(wanted[:, column].unique()) > 30:
            assert scipy.stats.ks_2samp(got[:, column].detach(), wanted[:, column].detach()).pvalue > 1e-4
    assert ((got.std(0) - wanted.std(0)).abs() <= 0.1 * wanted.std(0)).all()
    assert bool((layer(torch.zeros(50, 10)).std(0) > 0).any())


# --- the input of one ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scale",
    [
        Fixed(limit=0.01),
        Fixed(limit=0.37),
        Fixed(limit=100.0),
        Learned(initial=0.3),
        Dynamic(),
        Calibrated(),
        Calibrated(per_tile=True),
        Calibrated(quantile=0.5),
    ],
)
@pytest.mark.parametrize("stream", [None, Stream(bits=2), Stream(bits=3, each=False)])
@pytest.mark.parametrize("name", ["linear", "conv2d, groups"])
def test_the_range_of_the_inputs_never_clips_the_bias(
    name: str, scale: object, stream: Stream | None
) -> None:
    layer, x = make(name, torch.float64)
    if stream is not None and not (isinstance(scale, Fixed) or scale == Dynamic() or scale == Calibrated()):
        pytest.skip("one range of a kind is enough")
    tile = mho.Tile(rows=12, columns=3)  # the same tiles of inputs with bias rows as without
    dac, adc = mho.DAC(bits=3, range=scale, stream=stream), mho.ADC(bits=None)
    analog = mho.convert(layer, mho.Hardware(tile=tile, dac=dac, adc=adc), bias_rows=2)
    digital = mho.convert(layer, mho.Hardware(tile=tile, dac=dac, adc=adc))
    for model in (analog, digital):
        mho.calibrate(model, [0.2 * x, 0.1 * x])
        model.eval()
    nothing = analog(torch.zeros_like(x)) - layer.bias.detach().view(-1, *[1] * (x.dim() - 2))
    assert nothing.abs().max() < 1e-12
    assert (analog(x) - digital(x)).abs().max() < 1e-10


def test_the_source_has_no_noise_of_the_dac() -> None:
    layer, x = make("linear")
    hardware = mho.Hardware(tile=SMALL, dac=mho.DAC(bits=4, range=ONE, noise=0.1), adc=mho.ADC(bits=None))
    y = [mho.convert(layer, hardware, bias_rows=rows).eval()(x.expand(500, 5, 20)) for rows in (0, 1)]
    spread = [float(v.detach().std(0).mean()) for v in y]
    assert 0.95 < spread[1] / spread[0] < 1.05


@pytest.mark.parametrize("tiled", [False, True])
def test_the_source_has_no_mismatch(tiled: bool) -> None:
    layer, x = make("linear")
    dac = mho.DAC(bits=8, range=ONE, gain=0.2)
    hardware = mho.Hardware(tile=SMALL, dac=dac, adc=mho.ADC(bits=None) if tiled else None)
    analog = mho.convert(layer, hardware, bias_rows=3)
    mho.program(analog, seed=0)
    assert torch.allclose(analog.eval()(torch.zeros_like(x)), layer.bias.expand(5, -1), atol=1e-6)
    assert not torch.allclose(analog(x.clamp(-1, 1)), layer(x.clamp(-1, 1)), atol=0.05)


def test_calibration_sees_the_currents_of_the_bias() -> None:
    layer = nn.Linear(4, 3)
    layer.weight.data.fill_(0.1)
    layer.bias.data.copy_(torch.tensor([5.0, -2.0, 1.0]))
    for stream in (None, Stream(bits=1), Stream(bits=3)):
        hardware = mho.Hardware(dac=mho.DAC(bits=7, stream=stream), adc=mho.ADC(bits=12))
        analog = mho.convert(layer, hardware, bias_rows=2)
        x = torch.rand(200, 4)
        mho.calibrate(analog, [x])
        assert (analog.eval()(x) - layer(x)).abs().max() < 0.05
        if stream is None:  # half the bias, the largest weight of its column; inputs over the input range
            top = (layer(x).detach().abs().amax(0) / (layer.bias.detach().abs() / 2)).max() / x.max()
            assert float(analog.output_range) == pytest.approx(float(top), rel=0.02)


def test_the_adc_converts_the_bias() -> None:
    layer = nn.Linear(4, 3)
    layer.bias.data.copy_(torch.tensor([5.0, 0.31, -0.02]))
    layer.weight.data.clamp_(-0.5, 0.5).view(-1)[0] = 1.0
    adc = mho.ADC(bits=4, range=Fixed(limit=1.0))
    analog = mho.convert(
        layer, mho.Hardware(adc=adc, mapping=DifferentialPair(scale=mho.mapping.scale.Fixed(weight=1.0))),
        bias_rows=5,
    ).eval()  # fmt: skip
    y = analog(torch.zeros(1, 4))[0].detach()
    assert torch.allclose(y, adc.quantise(layer.bias.detach(), 1.0))
    assert y[0] == 1.0  # clipped by the ADC: its range is too small


# --- a chip -------------------------------------------------------------------------------------


def chip(bias_rows: int = 2) -> tuple[nn.Module, nn.Module, Tensor]:
    layer = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 5))
    x = torch.randn(6, 2, 5, 5)
    analog = mho.convert(layer, mho.Hardware(device=PCM, tile=mho.Tile(rows=16)), bias_rows=bias_rows)
    mho.program(analog, seed=2)
    return layer, analog.eval(), x


def test_noise_on_the_rows_alone_changes_the_output() -> None:
    _, analog, x = chip()
    before = analog(x)
    for path, column in (("0", 4), ("3", 5)):
        layer = analog.get_submodule(path)
        g = layer.chip_g.clone()
        assert torch.equal(mho.conductances(analog)[path], g) and g.shape[2] == layer.layout.rows[-1][1]
        layer.chip_g[:, :, -2:] = (g[:, :, -2:] + 5e-6).flip(0)
        assert not torch.equal(analog(x), before)
        assert (analog.get_submodule(path).effective_bias().shape) == (column,)
        layer.chip_g.copy_(g)
        assert torch.equal(analog(x), before)
    check_visible(analog, x)


def test_the_bias_drifts_and_is_compensated() -> None:
    _, analog, x = chip()
    fresh = analog[3].effective_bias()
    mho.age(analog, 86_400)
    old = analog[3].effective_bias()
    assert not torch.allclose(old, fresh, rtol=1e-3)
    zero = torch.zeros(1, 36)
    assert torch.allclose(analog[3](zero)[0], old, atol=1e-6)
    mho.compensate(analog)
    assert torch.allclose(analog[3].effective_bias(), old * analog[3].chip_gain)
    mho.compensate(analog, mho.periphery.Affine(), data=[x])
    wanted = torch.nn.functional.linear(zero, analog[3].effective_weight(), analog[3].effective_bias())
    assert torch.allclose(analog[3](zero), wanted + analog[3].chip_shift, atol=1e-5)


def test_an_affine_correction_brings_the_outputs_closer() -> None:
    layer = nn.Linear(30, 4)
    layer.bias.data.add_(1.0)
    analog = mho.convert(layer, mho.Hardware(device=PCM), bias_rows=4)
    x = torch.randn(400, 30)
    mho.program(analog, seed=0)
    mho.age(analog, 86_400)
    before = (analog.eval()(x) - layer(x)).square().mean()
    mho.compensate(analog, mho.periphery.Affine(), data=[x])
    after = (analog(x) - layer(x)).square().mean()
    assert after < 0.5 * before
    assert (analog(x) - layer(x)).mean(0).abs().max() < 1e-4


def test_a_changed_bias_makes_the_chip_stale() -> None:
    for bias_rows, stale in ((2, True), (0, False)):
        _, analog, x = chip(bias_rows)
        with torch.no_grad():
            analog[3].bias.add_(1.0)
        assert analog[3].is_stale() == stale and not analog[0].is_stale()
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            analog(x)
        assert [w.category for w in seen] == [StaleChipWarning] * stale
    _, analog, x = chip()
    optimizer = torch.optim.SGD([analog[3].bias], lr=0.1)
    analog(x).sum().backward()
    optimizer.step()
    with pytest.warns(StaleChipWarning, match="'3'"):
        analog.train().eval()


def test_state_dict_and_copies() -> None:
    layer, analog, x = chip()
    mho.age(analog, 3600)
    fresh = mho.convert(layer, mho.Hardware(device=PCM, tile=mho.Tile(rows=16)), bias_rows=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fresh.load_state_dict(analog.state_dict())
        fresh.eval()
    for twin in (fresh, copy.deepcopy(analog)):
        assert torch.equal(twin(x), analog(x))
        mho.age(twin, 86_400)
    mho.age(analog, 86_400)
    assert torch.equal(fresh(x), analog(x))
    digital = mho.convert(layer, mho.Hardware(device=PCM, tile=mho.Tile(rows=16)))
    mho.program(digital, seed=0)
    with pytest.raises(RuntimeError, match=r"chip_g has shape .* holds 1 x 20 x 4 weights"):
        fresh.load_state_dict(digital.state_dict())


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("bias_rows", [2, 40])
def test_many_chips_at_once(bias_rows: int) -> None:
    """Each has the bits that it has alone."""
    layer, analog, x = chip(bias_rows)
    seeds = list(range(8))
    weights = chip_weights(analog, seeds, seconds=3600.0)
    y = outputs(layer, weights, x)
    for number, seed in enumerate(seeds):
        mho.program(analog, seed=seed)
        mho.age(analog, 3600)
        for path in ("0", "3"):
            assert torch.equal(weights[f"{path}.bias"][number], analog.get_submodule(path).effective_bias())
        assert torch.equal(y[number], analog(x))
    assert float(weights["3.bias"].std(0).min()) > 1e-4


def test_a_chip_of_functional_call() -> None:
    _, analog, x = chip()
    other = copy.deepcopy(analog)
    mho.program(other, seed=9)
    y = torch.func.functional_call(analog, other.state_dict(), (x,))
    assert torch.allclose(y, other.eval()(x), atol=1e-6) and not torch.allclose(y, analog(x), atol=1e-4)


def test_compiled() -> None:
    torch._dynamo.reset()
    layer, x = make("conv2d")
    hardware = mho.Hardware(
        device=PCM, tile=SMALL, dac=mho.DAC(bits=8, range=ONE), adc=mho.ADC(bits=8, range=Fixed(limit=4.0))
    )
    analog = mho.convert(layer, hardware, bias_rows=2)
    mho.program(analog, seed=0)
    for mode in (True, False):
        analog.train(mode)
        compiled = torch.compile(analog, backend="aot_eager", fullgraph=True)
        gradients = []
        for call in (compiled, analog):
            y = call(x)
            y.square().sum().backward()
            gradients.append((y.detach(), analog.bias.grad))
            analog.bias.grad = None
        for ours, eager in zip(*gradients, strict=True):
            assert torch.allclose(ours, eager, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        assert torch.allclose(compiled(x), analog(x), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_dtypes(dtype: torch.dtype) -> None:
    layer = nn.Linear(12, 5).to(dtype)
    x = torch.randn(3, 12, dtype=dtype)
    analog = mho.convert(layer, mho.Hardware(tile=SMALL, adc=mho.ADC(bits=None)), bias_rows=1)
    mho.program(analog, seed=0)
    tolerance = 2e-2 if dtype == torch.bfloat16 else 1e-12
    for mode in (True, False):
        y = analog.train(mode)(x)
        assert y.dtype == dtype and torch.allclose(y, layer(x), atol=tolerance, rtol=tolerance)


def test_a_pruned_bias_is_programmed_as_it_is_now() -> None:
    layer = torch.nn.utils.prune.random_unstructured(nn.Linear(6, 4), "bias", amount=0.5)
    analog = mho.convert(layer, mho.Hardware(device=mho.devices.Ideal()), bias_rows=1)
    with torch.no_grad():
        analog.bias_orig.add_(1.0)
    mho.program(analog, seed=0)
    y = analog.eval()(torch.zeros(1, 6))[0]
    assert torch.allclose(y, analog.bias_orig * analog.bias_mask, atol=1e-6)


# --- gradients ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["whole", "tiled", "offset"])
def test_only_the_bias_may_learn(name: str) -> None:
    layer, x = make("linear", torch.float64)
    layer.weight.requires_grad_(False)
    analog = mho.convert(layer, HARDWARE[name], bias_rows=3)
    mho.program(analog, seed=0)
    for mode in (True, False):
        analog.zero_grad()
        analog.train(mode)(x).sum().backward()
        assert torch.allclose(analog.bias.grad, torch.full((7,), 5.0, dtype=torch.float64))
        assert analog.weight.grad is None


@pytest.mark.parametrize("converters", [{}, {"adc": mho.ADC(bits=None)}])
def test_the_gradient_of_the_circuit(converters: dict) -> None:
    """Through wires with resistance, in training."""
    layer, x = make("linear", torch.float64)
    with torch.no_grad():
        layer.weight[0, 0] = 2.0  # sets the scale
    hardware = mho.Hardware(
        device=mho.devices.Ideal(g_min=1e-6, g_max=50e-6), tile=SMALL,
        array=mho.array.Wires(row=20.0, column=20.0), **converters,
    )  # fmt: skip
    analog = mho.convert(layer, hardware, bias_rows=2).train()

    def loss(bias: Tensor) -> Tensor:
        return torch.func.functional_call(analog, {"bias": bias}, (x,)).square().sum()

    bias = layer.bias.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(bias), bias)
    for k in range(7):
        step = torch.zeros(7, dtype=torch.float64)
        step[k] = 1e-6
        wanted = (loss(bias.detach() + step) - loss(bias.detach() - step)).detach() / 2e-6
        assert float(found[k]) == pytest.approx(float(wanted), rel=1e-5)
    straight = 2 * analog(x).sum(0)
    assert not torch.allclose(found, straight, rtol=1e-3)  # the wires are in it


def test_training_noise_leaves_the_bias_alone() -> None:
    layer = nn.Linear(6, 4)
    analog = mho.convert(layer, mho.Hardware(), bias_rows=2)
    recipe = mho.training.Recipe(
        modifiers=(mho.training.WeightNoise(std=0.5), mho.training.ProgrammingNoise())
    )
    mho.training.attach(analog, recipe)
    assert torch.allclose(analog.train()(torch.zeros(1, 6))[0], layer.bias, atol=1e-6)
    assert not torch.allclose(analog(torch.ones(1, 6)), layer(torch.ones(1, 6)), atol=1e-2)


# --- tiles --------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [1, 3, 9])
@pytest.mark.parametrize("full", [False, True])
def test_tiles_hold_all_rows(unit: int, full: bool) -> None:
    for units in range(1, 12):
        for limit in (1, 2, 9, 10, 27, 30, None):
            for extra in (0, 1, 2, 9, 13):
                size = units * unit
                cut = spans(size, limit, unit, full, extra)
                edges = [0, *(b for _, b in cut)]
                assert [a for a, _ in cut] == edges[:-1] and edges[-1] == size + extra
                assert all(0 < b - a <= (limit or 10**9) for a, b in cut)
                inputs = without_bias_rows(cut, extra)
                assert sum(b - a for a, b in inputs) == size
                if not full and limit is not None and unit <= limit and not extra:
                    assert all(a % unit == 0 for a, _ in inputs)


def test_rows_that_cross_a_border_and_rows_alone_in_a_tile() -> None:
    x = torch.randn(5, 20, dtype=torch.float64)
    for rows, count, tiles in ((3, 4, ((0, 6), (6, 12), (12, 18), (18, 23))), (8, 5, None)):
        hardware = mho.Hardware(tile=mho.Tile(rows=6, full=True), adc=mho.ADC(bits=None))
        layer = nn.Linear(20, 4).double()
        analog = mho.convert(layer, hardware, bias_rows=rows)
        assert len(analog.layout.rows) == count and (tiles is None or analog.layout.rows == tiles)
        mho.program(analog, seed=0)
        compare(analog.eval(), layer, x)
    assert without_bias_rows(analog.layout.rows, 8)[-1] == (20, 20)  # a tile of bias rows alone


def test_a_row_costs_no_cut_of_channels() -> None:
    """The taps of an input channel stay together: the row goes where there is room."""
    assert spans(64 * 9, 256, unit=9, extra=1) == ((0, 144), (144, 288), (288, 432), (432, 577))
    assert AnalogConv2d(64, 8, 3, hardware=mho.Hardware(), bias_rows=1).layout.input_index() is None


def test_the_report_counts_them() -> None:
    model = nn.Sequential(nn.Linear(16, 4), nn.Linear(4, 4, bias=False))
    hardware = mho.Hardware(tile=mho.Tile(rows=16, columns=4))
    rows = [mho.convert(model, hardware, bias_rows=n).report.rows for n in (0, 2)]
    assert [row.cells for row in rows[0]] == [128, 32] and [row.cells for row in rows[1]] == [144, 32]
    assert [row.tiles for row in rows[0]] == [2, 2] and [row.tiles for row in rows[1]] == [4, 2]
    assert [row.analog_parameters for row in rows[1]] == [68, 16]
    assert "18 x 4" in rows[1][0].note and "bias on 2 rows" in rows[1][0].note
    assert "bias on" not in rows[1][1].note


# --- there and back, and what cannot be ---------------------------------------------------------


def test_revert_takes_the_programmed_bias() -> None:
    layer, analog, x = chip()
    mho.age(analog, 86_400)
    mho.compensate(analog)
    back = mho.revert(analog, weights="programmed")
    assert torch.allclose(back(x), analog(x), atol=1e-5)
    assert not torch.allclose(back[3].bias, layer[3].bias, atol=1e-3)
    assert torch.equal(mho.revert(analog)[3].bias, layer[3].bias)
    assert not any(name.startswith(("chip", "bias_rows")) for name in vars(back[3]))


SOME = [(), ("weight",), ("bias",), ("weight", "bias")]


@pytest.mark.parametrize(
    ("build", "bias_rows", "computed", "frozen"),
    covering([[lambda: nn.Linear(6, 3), lambda: nn.GRUCell(6, 3)], [0, 2], SOME, SOME]),
)
def test_what_was_trained_is_trained_after_revert(build, bias_rows, computed, frozen) -> None:
    """A plain Parameter takes the place of a computed one, and each keeps its ``requires_grad``."""
    layer = build()
    names = [name for name, _ in layer.named_parameters()]
    before = {name: not name.startswith(frozen) for name in names}
    for name in names:
        layer.get_parameter(name).requires_grad_(before[name])
        if name.startswith(computed):
            nn.utils.parametrize.register_parametrization(layer, name, nn.Tanh())
    analog = mho.convert(layer, mho.Hardware(device=PCM), bias_rows=bias_rows).eval()
    mho.program(analog, seed=0)
    inputs = (torch.randn(40, 6),)
    if isinstance(layer, nn.Linear):
        mho.compensate(analog, mho.periphery.Affine(), data=inputs)
    back = mho.revert(analog, weights="programmed")
    assert {name: p.requires_grad for name, p in back.named_parameters()} == before
    assert torch.allclose(back(*inputs), analog(*inputs), atol=1e-5)


def test_a_layer_without_bias_has_no_rows() -> None:
    layer = AnalogLinear(4, 3, bias=False, hardware=mho.Hardware(), bias_rows=5)
    assert layer.bias_rows == 0 and layer.effective_bias() is None and layer.layout.rows == ((0, 4),)


def test_the_bias_of_a_bilinear_layer_cannot_lie_on_rows() -> None:
    model = nn.ModuleDict({"pair": nn.Bilinear(3, 4, 5), "line": nn.Linear(3, 2)})
    with pytest.raises(NotMappableError, match=r"'pair': bias_rows = 1: the bias of a .*Bilinear.*give this"):
        mho.convert(model, mho.Hardware(), bias_rows=1)
    assert mho.convert(model, mho.Hardware(), bias_rows={"line": 1})["line"].bias_rows == 1
    mho.convert(nn.Bilinear(3, 4, 5, bias=False), mho.Hardware(), bias_rows=1)


def without_rows(shape: tuple[int, ...], size: ArraySize) -> MatrixLayout:
    return MatrixLayout.of(shape, size._replace(bias_rows=0))


def test_a_layout_without_rows_for_it_is_refused() -> None:
    class Own(AnalogLinear):
        def make_arrays(self) -> dict[str, Crossbar]:
            return {"crossbar": Crossbar(self, "weight", "bias", layout=without_rows)}

    with pytest.raises(NotMappableError, match="the layout of Own has no rows for a bias"):
        Own(4, 3, hardware=mho.Hardware(), bias_rows=1)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (-1, ValueError, "bias_rows = -1: give 0"),
        (True, TypeError, "bias_rows = True: give a whole number"),
        (1.0, TypeError, r"bias_rows = 1\.0: give a whole number"),
        ("1", TypeError, "bias_rows = '1'"),
    ],
)
def test_wrong_numbers_are_named(value: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        AnalogLinear(4, 3, hardware=mho.Hardware(), bias_rows=value)
    with pytest.raises(error, match=message):
        mho.convert(nn.Linear(4, 3, bias=False), mho.Hardware(), bias_rows=value)

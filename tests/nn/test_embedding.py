"""Embeddings, bags, the bilinear and the transposed linear layer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import mho
from mho.converters import Calibrated, Dynamic, Fixed
from mho.nn import AnalogTransposedLinear
from mho.periphery import Affine

from .same import compare

SMALL = mho.Tile(rows=4, columns=3)
PCM = mho.Hardware(device=mho.devices.PCM(read_scale=0.0), tile=SMALL)
IDS = torch.tensor([[1, 2, 9, 2], [0, 3, 3, 7], [5, 1, 4, 8]])
EMBEDDINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "padding": {"padding_idx": 2},
    "scaled gradient": {"scale_grad_by_freq": True},
}
BAGS: dict[str, dict[str, Any]] = {
    "sum": {"mode": "sum"},
    "mean": {"mode": "mean"},
    "max": {"mode": "max"},
    "padding": {"mode": "mean", "padding_idx": 2},
    "max with padding": {"mode": "max", "padding_idx": 2},
    "last offset": {"mode": "sum", "include_last_offset": True},
}


def embedding(name: str = "plain", dtype: torch.dtype = torch.float64) -> nn.Embedding:
    torch.manual_seed(1)
    return nn.Embedding(10, 7, dtype=dtype, **EMBEDDINGS[name])


def bag(name: str) -> nn.EmbeddingBag:
    torch.manual_seed(1)
    return nn.EmbeddingBag(10, 7, dtype=torch.float64, **BAGS[name])


MODES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "train": lambda layer: mho.convert(layer, mho.Hardware(tile=SMALL)).train(),
    "eval": lambda layer: mho.convert(layer, mho.Hardware(tile=SMALL)).eval(),
    "tiled": lambda layer: mho.convert(layer, mho.Hardware(tile=SMALL, adc=mho.ADC(bits=None))).eval(),
}


@pytest.mark.parametrize("name", EMBEDDINGS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ids", [IDS, IDS[0], IDS[0, 0], IDS.int(), IDS[:0]], ids=str)
def test_embedding(name: str, mode: str, ids: Tensor) -> None:
    layer = embedding(name)
    analog = MODES[mode](layer)
    compare(analog, layer, ids)
    mho.program(analog, seed=0)
    compare(analog.eval(), layer, ids)


@pytest.mark.parametrize("name", BAGS)
@pytest.mark.parametrize("mode", MODES)
def test_bags(name: str, mode: str) -> None:
    layer = bag(name)
    analog = MODES[mode](layer)
    if "last offset" not in name:
        compare(analog, layer, IDS)
    offsets = torch.tensor([0, 3, 3, 12] if "last offset" in name else [0, 3, 3])
    compare(analog, layer, IDS.flatten(), offsets=offsets)
    if layer.mode == "sum":
        weights = torch.randn(12, dtype=torch.float64)
        compare(analog, layer, IDS.flatten(), offsets, weights)


def test_gradients_scaled_by_frequency() -> None:
    """The frequency of a row in the whole batch, as in ``nn.Embedding``."""
    bag = nn.EmbeddingBag(10, 7, mode="sum", scale_grad_by_freq=True, dtype=torch.float64)
    table = nn.Embedding(10, 7, scale_grad_by_freq=True, dtype=torch.float64)
    analog = mho.convert(bag, mho.Hardware())
    weigh = torch.randn(3, 7, dtype=torch.float64)
    (analog(IDS) * weigh).sum().backward()
    (table(IDS).sum(1) * weigh).sum().backward()
    torch.testing.assert_close(analog.weight.grad, table.weight.grad)


@pytest.mark.parametrize("mode", ["eval", "on chip"])
@pytest.mark.parametrize("make", [embedding, lambda: bag("padding")])
def test_the_chip_computes_forward_and_backward(mode: str, make: Callable[[], nn.Module]) -> None:
    layer = make()
    analog = mho.convert(layer, PCM)
    mho.program(analog, seed=1)
    mho.age(analog, 3600.0)
    truth = mho.revert(analog, weights="programmed")
    assert type(truth) is type(layer) and not torch.allclose(truth.weight, layer.weight, atol=1e-3)
    if mode == "on chip":
        mho.train_on_chip(analog)
    compare(analog.train(mode != "eval"), truth, IDS, tolerance=1e-9)


@pytest.mark.parametrize("norm", [1.0, 2.0])
@pytest.mark.parametrize("kind", [nn.Embedding, nn.EmbeddingBag])
def test_max_norm(norm: float, kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    layer = kind(10, 7, max_norm=1.5, norm_type=norm, dtype=torch.float64)
    analog, truth = mho.convert(layer, mho.Hardware()), copy.deepcopy(layer)
    wanted = truth(IDS)
    torch.testing.assert_close(analog.eval()(IDS), wanted)
    mho.program(analog, seed=0)
    torch.testing.assert_close(analog(IDS), wanted)
    assert torch.equal(analog.weight, layer.weight)
    torch.testing.assert_close(analog.train()(IDS), wanted)
    torch.testing.assert_close(analog.weight, truth.weight)


@pytest.mark.parametrize("kind", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize("programmed", [False, True])
def test_the_cut_to_max_norm_has_no_gradient(kind: type[nn.Module], programmed: bool) -> None:
    torch.manual_seed(0)
    layer = kind(10, 7, max_norm=1.5, dtype=torch.float64)
    assert (layer.weight.norm(dim=1) > 1.5).all()
    analog, truth = mho.convert(layer, mho.Hardware()).eval(), copy.deepcopy(layer)
    if programmed:
        mho.program(analog, seed=0)
    for model in (analog, truth):
        model(IDS).square().sum().backward()
    torch.testing.assert_close(analog.weight.grad, truth.weight.grad)
    with torch.no_grad():  # the values are those of the cut, to the bit
        matrix = analog.array("weight") if kind is nn.EmbeddingBag else analog
        norms = layer.weight.norm(dim=1, keepdim=True)
        assert torch.equal(matrix.matrix(layer.weight)[0], layer.weight * (1.5 / (norms + 1e-7)))


def test_read_noise_is_that_of_the_row() -> None:
    """Output noise of a look-up follows the normal law with the cells' own standard deviations."""
    layer = nn.Embedding(6, 4)
    device = mho.devices.PCM()
    analog = mho.convert(layer, mho.Hardware(device=device)).eval()
    mho.program(analog, seed=0)
    mho.age(analog, 1e5)
    with torch.no_grad():
        reads = analog(torch.full((4000,), 3))
    chip = analog.chip
    g = mho.conductances(analog)[""]
    std = device.read_std(chip.g, g, 1e5)[:, 0, 3]
    sigma = std.square().sum(0).sqrt() / device.g_max * chip.scale.flatten()
    for column in range(4):
        value = (reads[:, column] - reads[:, column].mean()) / sigma[column]
        assert stats.kstest(value.numpy(), "norm").pvalue > 1e-3
    assert (reads.mean(0) - analog.effective_weight()[3]).abs().max() < 0.15 * sigma.max()


@pytest.mark.parametrize("mapping", ["pair", "offset", "slices"])
def test_one_conductance_moves_one_entry(mapping: str) -> None:
    kind = {
        "pair": mho.mapping.DifferentialPair(),
        "offset": mho.mapping.Offset(),
        "slices": mho.mapping.BitSlicing(bits=8, slices=2),
    }[mapping]
    adc = mho.ADC(bits=None)
    analog = mho.convert(embedding(), mho.Hardware(mapping=kind, adc=adc, tile=SMALL)).eval()
    mho.program(analog, seed=0)
    before = analog(IDS)
    analog.chip_g[0, 0, 3, 5] += 2e-6
    moved = (analog(IDS) - before).abs() > 1e-9
    wanted = torch.zeros_like(moved)
    wanted[IDS == 3] = torch.arange(7) == 5
    assert torch.equal(moved, wanted)


@pytest.mark.parametrize("converter", [Fixed(limit=1.0), Calibrated(), Calibrated(per_tile=True), Dynamic()])
def test_the_adc_converts_each_column(converter: Any) -> None:
    """4-bit codes of each entry; a DAC of the hardware has nothing to convert."""
    layer = embedding()
    with torch.no_grad():
        layer.weight[:4] *= 5
    dac = mho.DAC(bits=2, range=Fixed(limit=0.3))
    mapping = mho.mapping.DifferentialPair(scale=mho.mapping.Maximum(per_column=False))  # steps alike
    hardware = mho.Hardware(mapping=mapping, tile=SMALL, dac=dac, adc=mho.ADC(bits=4, range=converter))
    analog = mho.convert(layer, hardware)
    mho.calibrate(analog, [IDS[:1]])  # rows that were never asked for are not clipped
    got, table, peak = (
        analog.eval()(torch.arange(10)).detach(),
        layer.weight.detach(),
        layer.weight.abs().max(),
    )
    limits = torch.ones(10, 1).double() * peak
    if isinstance(converter, Dynamic):
        limits = table.abs().amax(1, keepdim=True)
    elif isinstance(converter, Calibrated) and converter.per_tile:
        limits = torch.cat([table[a:b].abs().amax().expand(b - a, 1) for a, b in analog.layout.rows])
        assert len(limits.unique()) == len(analog.layout.rows) > 2
    step = limits / analog.hardware.adc.grid().high
    assert (got - table).abs().max() > 0.1 * step.min()
    torch.testing.assert_close(got, (table / step).round() * step, rtol=1e-5, atol=1e-5)


def test_affine_correction_of_a_table() -> None:
    """A shift of the columns goes into the rows on revert: a table has no bias."""
    layer = embedding(dtype=torch.float32)
    analog = mho.convert(layer, mho.Hardware(device=mho.devices.PCM()))
    mho.program(analog, seed=0)
    mho.age(analog, 1e7)
    before = (analog.eval()(IDS) - layer(IDS)).detach().abs().mean()
    mho.compensate(analog, Affine(), data=[torch.arange(10)])
    assert (analog(IDS) - layer(IDS)).detach().abs().mean() < before
    assert bool(analog.chip_shift.any())
    plain = mho.revert(analog, weights="programmed")
    assert plain.state_dict().keys() == {"weight"}
    reads = torch.stack([analog(IDS).detach() for _ in range(200)]).mean(0)
    assert (plain(IDS) - reads).abs().max() < 0.1


def test_wrong_indices() -> None:
    analog = mho.convert(embedding(), mho.Hardware())
    with pytest.raises(TypeError, match="takes row numbers"):
        analog(torch.ones(3))
    with pytest.raises(IndexError):
        analog(torch.tensor([10]))


# --- bilinear and transposed linear ----------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tiled", [True, False])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_bilinear(bias: bool, tiled: bool, shape: tuple[int, ...]) -> None:
    layer = nn.Bilinear(6, 5, 4, bias=bias, dtype=torch.float64)
    adc = mho.ADC(bits=None) if tiled else None
    analog = mho.convert(layer, mho.Hardware(tile=SMALL, adc=adc))
    x = torch.randn(*shape, 6, dtype=torch.float64), torch.randn(*shape, 5, dtype=torch.float64)
    compare(analog, layer, *x)
    chip = mho.convert(layer, PCM)
    mho.program(chip, seed=0)
    mho.age(chip, 60.0)
    truth = mho.revert(chip, weights="programmed")
    assert mho.effective_weights(chip)["arrays.weight"].shape == layer.weight.shape
    compare(chip.eval(), truth, *x, tolerance=1e-9)
    with pytest.raises(ValueError, match="the inputs have the shapes"):
        analog(x[0], x[0])


class Conv1D(nn.Module):
    """The layer of GPT-2, as Hugging Face writes it."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight = nn.Parameter(torch.randn(nx, nf, dtype=torch.float64))
        self.bias = nn.Parameter(torch.randn(nf, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        size_out = (*x.size()[:-1], self.nf)
        return torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(size_out)


@pytest.mark.parametrize("tiled", [True, False])
def test_transposed_linear(tiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conv1D, "__module__", "transformers.pytorch_utils")
    layer = Conv1D(7, 10)
    adc = mho.ADC(bits=None) if tiled else None
    analog = mho.convert(layer, mho.Hardware(tile=SMALL, adc=adc))
    assert isinstance(analog, AnalogTransposedLinear)
    x = torch.randn(2, 3, 10, dtype=torch.float64)
    compare(analog, layer, x)
    chip = mho.convert(layer, PCM)
    mho.program(chip, seed=0)
    truth = mho.revert(chip, weights="programmed")
    assert type(truth) is Conv1D and truth.weight.shape == (10, 7)
    compare(chip.eval(), truth, x, tolerance=1e-9)
    with pytest.raises(ValueError, match="its last size must be 10"):
        analog(torch.randn(2, 7))


def test_compiled() -> None:
    torch._dynamo.reset()
    model = nn.ModuleList([embedding(dtype=torch.float32), bag("padding").float(), nn.Bilinear(7, 7, 3)])
    adc = mho.ADC(bits=12, range=Fixed(limit=2.0))
    analog = mho.convert(model, mho.Hardware(device=mho.devices.PCM(read_scale=0.0), adc=adc, tile=SMALL))
    mho.program(analog, seed=0)
    analog.eval()

    def run(ids: Tensor) -> Tensor:
        return analog[2](analog[0](ids), analog[1](ids).unsqueeze(1).expand(-1, ids.shape[1], -1))

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        assert (compiled(IDS) - run(IDS)).abs().max() < 1e-2
        before = run(IDS)
        mho.age(analog, 1e7)
        assert (compiled(IDS) - run(IDS)).abs().max() < 1e-2 and not torch.allclose(
            run(IDS), before, atol=1e-2
        )


SINH = mho.array.Nonlinear(law=mho.array.Sinh(v_c=0.1))
CELLS: dict[str, mho.array.NonlinearCells] = {
    "one law": SINH,
    "each its own": mho.array.Nonlinear(
        law=mho.array.Series(cell=mho.array.Ohmic(), selector=mho.array.Sinh(v_c=0.2), selector_g=1e-4),
        points=5,
    ),
}


@pytest.mark.parametrize("make", [embedding, lambda: bag("sum")], ids=["embedding", "bag"])
@pytest.mark.parametrize("name", CELLS)
def test_a_row_that_is_on_feels_no_law(name: str, make: Callable[[], nn.Module]) -> None:
    """Conductances are those at the read voltage, which is what a row that is on has."""
    dac = mho.DAC(bits=2, range=Fixed(limit=0.3))
    parts: dict[str, Any] = {"device": PCM.device, "tile": SMALL, "dac": dac, "adc": mho.ADC(bits=8)}
    chips = []
    for array in (mho.array.Ideal(), CELLS[name]):
        chip = mho.convert(make(), mho.Hardware(array=array, **parts))
        mho.program(chip, seed=0)
        mho.calibrate(chip, [IDS])
        mho.compensate(chip)
        chips.append(chip.eval())
    late = mho.convert(make(), mho.Hardware(**parts))
    mho.program(late, seed=0)
    mho.degrade(late, CELLS[name], seed=0)
    mho.calibrate(late, [IDS])
    mho.compensate(late)
    wanted = chips[0](IDS)
    torch.testing.assert_close(chips[1](IDS), wanted)
    torch.testing.assert_close(late.eval()(IDS), wanted)
    gradients = []
    for chip in chips:
        chip(IDS).square().sum().backward()
        gradients.append(next(iter(mho.nn.analog_layers(chip).values())).stored_weight().grad)
    torch.testing.assert_close(gradients[1], gradients[0])

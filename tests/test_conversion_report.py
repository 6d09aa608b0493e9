"""What multiplies by digital weights is found by what it computes, not by shapes alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

import mho
from mho.convert.multiplications import count_macs
from mho.errors import NotMappableError

IDEAL = mho.Hardware()
X = torch.randn(2, 4, 8)


class Own(nn.Module):
    """A layer, then a product by a tensor of the module's own."""

    def __init__(self, shape: tuple[int, ...], how: Callable[[Tensor, Tensor], Tensor], kind: str) -> None:
        super().__init__()
        self.layer, self.how = nn.Linear(8, 8), how
        w = torch.randn(shape)
        if kind == "Parameter":
            self.w = nn.Parameter(w)
        elif kind == "buffer":
            self.register_buffer("w", w)
        else:
            self.w = w

    def forward(self, x: Tensor) -> Tensor:
        return self.how(self.layer(x), self.w)


PRODUCTS: dict[str, tuple[tuple[int, ...], Callable[[Tensor, Tensor], Tensor], int]] = {
    "leading axis of one": ((1, 8, 8), torch.matmul, 512),
    "one column": ((8, 1), torch.matmul, 64),
    "a vector": ((8,), torch.matmul, 64),
    "a matrix": ((8, 8), torch.matmul, 512),
    "one number to many": ((1, 8), lambda x, w: x[..., :1] @ w, 64),
    "einsum": ((4, 8, 3), lambda x, w: torch.einsum("btd,tdo->bto", x, w), 192),
    "turned and copied": ((8, 1), lambda x, w: F.linear(x, w.t().contiguous()), 64),
    "masked": ((8, 1), lambda x, w: x @ (w * torch.tensor([1.0, 0.0] * 4).view(8, 1)), 64),
    "cast": ((8, 1), lambda x, w: x.double() @ w.double(), 64),
    "in parts": ((8, 1), lambda x, w: x @ torch.cat([w[4:], w[:4]]), 64),
    "a convolution": ((1, 4, 3), F.conv1d, 2 * 6 * 12),
}


@pytest.mark.parametrize("kind", ["Parameter", "buffer", "attribute"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_an_own_tensor_that_multiplies(name: str, kind: str) -> None:
    shape, how, macs = PRODUCTS[name]
    model = Own(shape, how, kind)
    analog = mho.convert(model, IDEAL, example=X)
    counts = analog.report.macs.of("")
    assert (counts.weights, counts.activations) == (macs, 0) and analog.report.macs.analog == 512
    (row,) = analog.report.left_digital
    assert (row.path, row.macs, row.analog) == ("", macs, False)
    text = str(analog.report)
    assert f"{macs} are by digital weights" in text and "holds no weight matrix" not in text
    assert "products of activations" not in text
    with pytest.raises(NotMappableError, match=r"strict = True.*\(model\) \(Own: "):
        mho.convert(model, IDEAL, strict=True, example=X)


def test_without_an_example_the_report_says_what_it_cannot_know() -> None:
    for shape in ((1, 8, 8), (8, 1)):
        analog = mho.convert(Own(shape, torch.matmul, "Parameter"), IDEAL, strict=True)
        assert analog.report.rows[0].note == "may hold a weight matrix: report.measure(batch) tells"
        analog.report.measure(X)
        size = " x ".join(map(str, shape))
        assert analog.report.rows[0].note == f"multiplies by its own w ({size}): no mapping onto arrays"
    analog = mho.convert(Own((1, 8, 8), lambda x, w: x + w[:, :4], "Parameter"), IDEAL)
    assert analog.report.rows[0].note.startswith("may hold")
    analog.report.measure(X)
    assert analog.report.rows[0].note == "holds no weight matrix" and not analog.report.left_digital


class Rotary(nn.Module):
    """Frequencies in a buffer times positions: an outer product; then products of activations."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.register_buffer("frequencies", torch.rand(4))

    def forward(self, x: Tensor) -> Tensor:
        angles = torch.arange(4.0).view(1, 4, 1) @ self.frequencies.view(1, 1, 4)
        turned = self.layer(x) * torch.cat([angles, angles], -1).cos()
        return turned @ turned.transpose(1, 2)


class Cache(nn.Module):
    """Keys of this run, written into a buffer: data."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.register_buffer("keys", torch.zeros(2, 4, 8))

    def forward(self, x: Tensor) -> Tensor:
        self.keys.copy_(self.layer(x))
        return x @ self.keys.transpose(1, 2)


class Learned(nn.Module):
    """What an array makes of a Parameter is what the array gives, not a digital weight."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.layer = nn.Parameter(torch.randn(1, 1, 8)), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.query) @ x.transpose(1, 2)


@pytest.mark.parametrize("kind", [Rotary, Cache, Learned])
def test_data_is_no_weight(kind: type[nn.Module]) -> None:
    for _ in range(2):
        analog = mho.convert(kind(), IDEAL, strict=True, example=X)
        assert analog.report.macs.weights == 0 and analog.report.macs.activations > 0
        assert not analog.report.left_digital


def test_a_query_that_multiplies_is_a_weight() -> None:
    """In contrast to the above: nothing lies between it and the product."""
    analog = mho.convert(Own((1, 1, 8), lambda x, w: x @ w.transpose(1, 2), "Parameter"), IDEAL, example=X)
    assert analog.report.macs.weights == 64 and len(analog.report.left_digital) == 1


def test_computed_weights_of_digital_layers_count_as_weights() -> None:
    model = nn.Sequential(weight_norm(nn.Linear(8, 8)), nn.Linear(8, 3))
    analog = mho.convert(model, IDEAL, select=lambda path, _: path == "1", example=X)
    macs = analog.report.macs
    assert (macs.of("0").weights, macs.of("0").activations, macs.analog) == (512, 0, 192)
    assert [row.note for row in analog.report.left_digital] == ["not selected"]


class Copied(nn.Module):
    """Multiplies by a copy of the weight of a layer that lies on an array."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        return y @ (0.5 * self.layer.weight.t()).contiguous()


def test_a_bypass_through_a_copy_is_found() -> None:
    with pytest.raises(ValueError, match=r"the model' reads 'layer.weight'"):
        mho.convert(Copied(), IDEAL, example=X)


def test_a_tied_digital_head_is_left_digital() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)
            self.b.weight = self.a.weight

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.b(self.a(x))
            return y

    analog = mho.convert(Model(), IDEAL, select=lambda path, _: path == "a", example=X)
    assert [row.path for row in analog.report.left_digital] == ["b"]
    assert (analog.report.macs.of("a").analog, analog.report.macs.of("b").weights) == (512, 512)


def test_arrays_without_ranges_are_counted() -> None:
    """Before ``mho.calibrate``; a forward still asks for it afterwards."""
    hardware = mho.Hardware(tile=mho.Tile(rows=4), dac=mho.DAC(), adc=mho.ADC())
    analog = mho.convert(nn.Sequential(nn.Linear(8, 8), nn.ReLU()), hardware, strict=True, example=X)
    assert analog.report.macs.analog == 512 and analog.report.macs.total == 512
    with pytest.raises(mho.errors.NotCalibratedError):
        analog.eval()(X)


def test_counting_leaves_the_model_as_it_was() -> None:
    analog = mho.convert(nn.Sequential(nn.Linear(8, 8), nn.GRU(8, 4)), IDEAL).train()
    before = {path: dict(vars(m)) for path, m in analog.named_modules()}
    count_macs(analog, X)
    assert analog.training
    for path, module in analog.named_modules():
        assert vars(module).keys() == before[path].keys()


# --- how much of the range of its cells a layer uses -------------------------------------------


def scaled(scale: mho.mapping.Scale) -> mho.Hardware:
    return mho.Hardware(mapping=mho.mapping.DifferentialPair(scale=scale))


def test_the_range_that_weights_use() -> None:
    model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.LayerNorm(3))
    w = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    with torch.no_grad():
        model[0].weight.copy_(w)
    each = mho.convert(model, IDEAL).report
    assert each.range_use("0").tolist() == [1.0, 0.5]  # a column of zeros uses nothing and needs nothing
    row = each.rows[0]
    assert (row.scales, row.range_used_least, row.scales_low) == (2, 0.5, 0)
    whole = mho.convert(model, scaled(mho.mapping.Maximum())).report
    assert whole.range_use("0").tolist() == pytest.approx([float(w.square().mean().sqrt() / 2)])
    assert (whole.rows[0].scales, whole.badly_scaled) == (1, ())
    with pytest.raises(ValueError, match=r"path = '1': no analog module is there; choose one of '0'"):
        each.range_use("1")
    frame = each.to_frame()
    assert frame.loc[0, "range_used_least"] == 0.5 and bool(frame.loc[1, ["range_used"]].isna().all())


@pytest.mark.parametrize(
    ("scale", "bad", "remedy"),
    [
        (mho.mapping.Maximum(), True, "give each column its own, Maximum(per_column=True)"),
        (mho.mapping.Maximum(per_column=True), False, ""),
        (
            mho.mapping.Percentile(fraction=1.0),
            True,
            "give each column its own, Percentile(fraction=1, per_column=True)",
        ),
        (mho.mapping.Fixed(weight=50.0), True, "lower it, or choose Maximum(per_column=True)"),
    ],
)
def test_a_bad_scale_is_in_the_report_with_what_to_do(
    scale: mho.mapping.Scale, bad: bool, remedy: str
) -> None:
    model = nn.Sequential(nn.Linear(100, 30), nn.ReLU(), nn.LSTM(30, 8))
    with torch.no_grad():
        model[0].weight.normal_()
        model[0].weight[7, 3] = 100.0
    report = mho.convert(model, scaled(scale)).report
    assert ("0" in [row.path for row in report.badly_scaled]) == bad
    lines = [line for line in str(report).splitlines() if line.startswith("range of cells hardly used (")]
    assert len(lines) == bad
    if bad:
        least = min(row.range_used_least for row in report.badly_scaled)
        assert remedy in lines[0] and f"{1 / least:.0f} times as much" in lines[0]
        better = mho.convert(model, scaled(mho.mapping.Maximum(per_column=True))).report
        assert not better.badly_scaled


@pytest.mark.parametrize("where", ["meta", "zeros"])
def test_a_layer_without_weights_to_look_at(where: str) -> None:
    layer = nn.Linear(6, 4)
    nn.init.zeros_(layer.weight)
    report = mho.convert(layer, IDEAL).to("meta" if where == "meta" else "cpu").report
    assert len(report.range_use("")) == 0 and report.rows[0].range_used != report.rows[0].range_used
    assert "range of cells" not in str(report)

"""Weights that are in no Parameter are named, counted and multiplied: nothing is silently digital."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

import mho
from mho.convert.packed_weights import packed_weights
from mho.errors import NotMappableError

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch's, of its own quantisation
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
]
HARDWARE = mho.Hardware(device=mho.devices.PCM())


@pytest.fixture(autouse=True)
def engine() -> Iterator[None]:
    """The engine that torch quantises with; qnnpack warns of itself on standard error."""
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = next(
        e for e in ("x86", "fbgemm", "qnnpack") if e in torch.backends.quantized.supported_engines
    )
    yield
    torch.backends.quantized.engine = before


def dynamic(layer: nn.Module, dtype: torch.dtype = torch.qint8) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(nn.Sequential(layer), {type(layer)}, dtype=dtype)[0]


class Static(nn.Module):
    """A statically quantised layer between a quantiser and its inverse."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside

    def forward(self, x: Tensor) -> Tensor:
        return self.inside(torch.quantize_per_tensor(x, 0.05, 128, torch.quint8)).dequantize()


def frozen() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.freeze(torch.jit.script(nn.Sequential(nn.Linear(6, 4)).eval()))


Q, x = torch.ao.nn.quantized, torch.randn
# The layer; its input; the sizes of its weights; the multiply-accumulates of this input.
CASES: dict[str, tuple[Callable[[], nn.Module], Any, int, int]] = {
    "Linear": (lambda: dynamic(nn.Linear(6, 4)), x(3, 6), 28, 3 * 24),
    "Linear without bias": (lambda: dynamic(nn.Linear(6, 4, bias=False)), x(3, 2, 6), 24, 6 * 24),
    "half precision": (lambda: dynamic(nn.Linear(6, 4), torch.float16), x(3, 6), 28, 3 * 24),
    "LSTM": (lambda: dynamic(nn.LSTM(6, 5)), x(7, 2, 6), 220 + 40, 14 * 220),
    "two directions": (lambda: dynamic(nn.LSTM(6, 5, bidirectional=True)), x(7, 2, 6), 520, 14 * 440),
    "GRU": (lambda: dynamic(nn.GRU(6, 5)), x(7, 2, 6), 165 + 30, 14 * 165),
    "LSTMCell": (lambda: dynamic(nn.LSTMCell(6, 5)), x(2, 6), 260, 2 * 220),
    "GRUCell": (lambda: dynamic(nn.GRUCell(6, 5)), x(2, 6), 195, 2 * 165),
    "RNNCell": (lambda: dynamic(nn.RNNCell(6, 5)), x(2, 6), 65, 2 * 55),
    "static Linear": (lambda: Static(Q.Linear(6, 4)), x(3, 6), 28, 3 * 24),
    "static Conv1d": (lambda: Static(Q.Conv1d(4, 6, 3)), x(2, 4, 9), 78, 2 * 7 * 72),
    "static Conv2d": (lambda: Static(Q.Conv2d(4, 6, 3)), x(2, 4, 5, 5), 222, 2 * 9 * 216),
    "static groups": (lambda: Static(Q.Conv2d(4, 6, 3, groups=2)), x(2, 4, 5, 5), 114, 2 * 9 * 108),
    "static transposed": (lambda: Static(Q.ConvTranspose2d(4, 6, 3)), x(2, 4, 5, 5), 222, 2 * 25 * 216),
    "Embedding": (lambda: Q.Embedding(10, 4), torch.tensor([1, 2]), 40, 0),
    "frozen": (frozen, x(3, 6), 28, 3 * 24),
}


def rows(model: nn.Module) -> list[mho.convert.report.Row]:
    return [row for row in model.report.rows if not row.analog]


@pytest.mark.parametrize("name", CASES)
def test_packed_weights_are_named_with_their_number_and_their_products(name: str) -> None:
    make, example, count, macs = CASES[name]
    layer = make()
    model = nn.Sequential(layer, nn.Identity())
    analog = mho.convert(nn.ModuleList([model, nn.Linear(3, 2)]), HARDWARE)
    (row,) = rows(analog)
    assert row.path.startswith("0.0") and row.parameters == count
    assert "weights (" in row.note and "no mapping" in row.note
    assert [r.path for r in analog.report.left_digital] == [row.path] and row.path in str(analog.report)
    assert list(packed_weights(analog)) == [row.path] == list(mho.inconvertible_modules(analog))
    assert analog.report.analog_fraction == 6 / (8 + count)
    with pytest.raises(NotMappableError, match=row.path):
        mho.convert(nn.ModuleList([model]), HARDWARE, strict=True)
    alone = mho.convert(model, HARDWARE)
    alone.report.measure(example)
    assert alone.report.macs.total == alone.report.macs.weights == macs
    assert [r.path for r in alone.report.left_digital] == [row.path.removeprefix("0.")]


def test_a_network_that_was_traced_into_packed_attributes() -> None:
    """A function with packed weights leaves them in attributes of the graph module."""

    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            weight = torch.quantize_per_tensor(torch.randn(4, 6), 0.05, 0, torch.qint8)
            self.held = {"first": [torch.ops.quantized.linear_prepack(weight, torch.randn(4))]}

        def forward(self, x: Tensor) -> Tensor:
            return torch.ops.quantized.linear_dynamic(x, self.held["first"][0], False)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Packed()
    (found,) = packed_weights(nn.Sequential(model)).values()
    assert sorted(tuple(t.shape) for t in found) == [(4,), (4, 6)]


class Scaled(Tensor):
    """A weight in eight bits, as quantisation libraries make them."""

    @staticmethod
    def __new__(cls, codes: Tensor, scale: Tensor) -> Scaled:
        return Tensor._make_wrapper_subclass(cls, codes.shape, dtype=torch.float32)

    def __init__(self, codes: Tensor, scale: Tensor) -> None:
        self.codes, self.scale = codes, scale

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["codes", "scale"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Tensor], *_: Any) -> Scaled:
        return Scaled(inner["codes"], inner["scale"])

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten.detach.default, torch.ops.aten.clone.default):
            return Scaled(args[0].codes, args[0].scale)
        plain = tree_map(lambda v: v.codes * v.scale if isinstance(v, Scaled) else v, (args, kwargs or {}))
        return func(*plain[0], **plain[1])


@pytest.mark.parametrize("kind", [nn.Linear, nn.Bilinear])
def test_weights_of_a_tensor_class_of_their_own(kind: type[nn.Module]) -> None:
    layer = nn.Linear(6, 4) if kind is nn.Linear else nn.Bilinear(6, 6, 4)
    codes = (layer.weight.detach() * 127).round().to(torch.int8)
    layer.weight = nn.Parameter(Scaled(codes, torch.tensor(1 / 127)), requires_grad=False)
    model = mho.convert(nn.ModuleList([layer, nn.Linear(4, 2)]), HARDWARE)
    (row,) = rows(model)
    assert row.path == "0" and row.parameters == codes.numel() + 4 and "type Scaled" in row.note
    assert [r.path for r in model.report.left_digital] == ["0"]
    if kind is nn.Linear:
        analog = mho.convert(nn.Sequential(layer, nn.Linear(4, 2)), HARDWARE)
        analog.report.measure(torch.randn(3, 6))
        assert analog.report.macs.weights == 3 * 24 and analog.report.macs.analog == 3 * 8


def test_matrices_in_buffers_are_named_before_they_are_measured() -> None:
    class Held(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("codes", torch.ones(6, 4, dtype=torch.int8))
            self.register_buffer("index", torch.ones(6, 4, dtype=torch.int64))
            self.register_buffer("steps", torch.ones(4))

        def forward(self, x: Tensor) -> Tensor:
            return x @ (self.codes * self.steps)

    analog = mho.convert(nn.Sequential(Held(), nn.Linear(4, 2)), HARDWARE)
    (row,) = rows(analog)
    assert row.note == "codes (6 x 4): may hold a weight matrix: report.measure(batch) tells"
    analog.report.measure(torch.randn(3, 6))
    (row,) = rows(analog)
    assert "multiplies by its own codes (6 x 4)" in row.note and row.macs == 3 * 24

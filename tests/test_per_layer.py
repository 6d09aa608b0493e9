"""One value for all layers, a list in module order, or a mapping from path to value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import mho
from mho import nn as mhonn
from mho.nn import Crossbar

HARDWARE = mho.Hardware(device=mho.devices.PCM(read_scale=0.0))
COARSE = mho.Hardware(mapping=mho.mapping.DifferentialPair(levels=4))
FINE = mho.Hardware(mapping=mho.mapping.DifferentialPair(levels=64))


class Network(nn.Module):
    """Layers of several kinds in a nested order, one used twice, some without a conversion."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.head = nn.Linear(6, 3)
        self.body = nn.ModuleDict(
            {"b": nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4)), "a": nn.Linear(4, 6)}
        )
        self.again = self.body["a"]
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.table = nn.Embedding(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body["b"](x).transpose(1, 2)
        y = self.attention(y, y, y)[0] + self.table(torch.arange(y.shape[1]))
        return self.head(self.again(y)) * self.scale


PATHS = ["head", "body.b.0", "body.a", "attention", "attention.out_proj", "table"]
X = torch.randn(3, 2, 5, generator=torch.Generator().manual_seed(1))


def test_modules_are_listed_in_module_order() -> None:
    model = Network()
    found = mho.convertible_modules(model)
    assert list(found) == PATHS and found["body.a"] is model.again
    assert list(mho.inconvertible_modules(model)) == ["", "body.b.1"]
    assert mho.analog_modules(model) == {}
    analog = mho.convert(model, HARDWARE)
    assert list(mho.analog_modules(analog)) == PATHS and mho.convertible_modules(analog) == {}
    assert list(mho.inconvertible_modules(analog)) == ["", "body.b.1"]
    assert [row.path for row in analog.report.rows if row.analog] == PATHS
    for function in (mho.convertible_modules, mho.inconvertible_modules, mho.analog_modules):
        with pytest.raises(TypeError, match=r"model is a str: give a torch\.nn\.Module"):
            function("model")


def test_what_is_listed_is_what_converts() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ self.inner.weight.T

    model = nn.Sequential(Reader(), nn.Linear(4, 2), nn.TransformerEncoderLayer(4, 2, 8))
    analog = mho.convert(model, HARDWARE)
    assert list(mho.convertible_modules(model)) == list(mho.analog_modules(analog))
    assert "0.inner" in mho.inconvertible_modules(model) and "2.self_attn.out_proj" in mho.analog_modules(
        analog
    )


def test_a_list_of_hardware() -> None:
    given = [COARSE, FINE, HARDWARE, FINE, COARSE, HARDWARE]
    for hardware in (given, tuple(given)):
        analog = mho.convert(Network(), hardware)
        found = mho.analog_modules(analog)
        wanted = dict(zip(PATHS, given, strict=True))
        assert all(found[path].hardware == wanted[path] for path in PATHS[:-1])
        assert analog.again is analog.body["a"]
    chosen = mho.convert(Network(), given, select=lambda path, _: path.startswith("body"))
    assert list(mho.analog_modules(chosen)) == ["body.b.0", "body.a"]
    assert chosen.body["a"].hardware == HARDWARE


def test_a_mapping_of_hardware() -> None:
    given = {"head": COARSE, "body.b.0": FINE}
    for analog in (
        mho.convert(Network(), given),
        mho.convert(Network(), HARDWARE, select=given),
    ):
        assert {p: m.hardware for p, m in mho.analog_modules(analog).items()} == given
    analog = mho.convert(nn.Sequential(nn.LSTM(3, 2)), {"0.arrays.weight_hh_l0": COARSE})
    assert analog[0].arrays["weight_hh_l0"].hardware == COARSE


def test_bias_rows() -> None:
    model = Network()
    for given, wanted in (
        (2, [2, 2, 2, 2, 2, 0]),
        ([1, 2, 0, 3, 4, 5], [1, 2, 0, 3, 4, 0]),  # a table has no bias
        ({"body.a": 2, "attention.out_proj": 1}, [0, 0, 2, 0, 1, 0]),
    ):
        analog = mho.convert(model, HARDWARE, bias_rows=given)
        assert [m.bias_rows for m in mho.analog_modules(analog).values()] == wanted
        assert {a.bias_rows for a in analog.attention.arrays.values()} == {wanted[3]}
        ideal = mho.convert(model, mho.Hardware(), bias_rows=given).eval()
        assert torch.allclose(ideal(X), model.eval()(X), atol=1e-5)


def test_weights_of_revert() -> None:
    model = Network()
    analog = mho.convert(model, HARDWARE, bias_rows=1)
    mho.program(analog, seed=0)
    held = mho.effective_weights(analog)
    for given in (
        ["programmed", "ideal", "programmed", "ideal", "programmed", "ideal"],
        {"head": "programmed", "body.a": "programmed", "attention.out_proj": "programmed"},
    ):
        back = mho.revert(analog, weights=given)
        assert torch.equal(back.head.weight, held["head"]) and torch.equal(back.again.weight, held["body.a"])
        assert torch.equal(back.head.bias, analog.head.effective_bias())
        assert torch.equal(back.body["b"][0].weight, model.body["b"][0].weight)
        assert torch.equal(back.attention.in_proj_weight, model.attention.in_proj_weight)
        assert torch.equal(back.attention.out_proj.weight, held["attention.out_proj"])
        assert torch.equal(back.table.weight, model.table.weight) and back.again is back.body["a"]
    whole = mho.revert(analog, weights=["programmed"] * 6)
    wanted = mho.revert(analog, weights="programmed")
    assert all(torch.equal(v, wanted.state_dict()[k]) for k, v in whole.state_dict().items())


WRONG: dict[str, tuple[Callable[[nn.Module], Any], type[Exception], str]] = {
    "too few": (
        lambda m: mho.convert(m, [HARDWARE] * 4),
        ValueError,
        r"hardware has 4 values, and mho\.convertible_modules\(model\) 6 layers.*'head', 'body\.b\.0'",
    ),
    "too many rows": (
        lambda m: mho.convert(m, HARDWARE, bias_rows=[1] * 7),
        ValueError,
        "bias_rows has 7 val.* 6",
    ),
    "none": (
        lambda m: mho.convert(m, HARDWARE, bias_rows=[]),
        ValueError,
        "bias_rows has 0 values.* 6 layers",
    ),
    "too few weights": (
        lambda m: mho.revert(mho.convert(m, HARDWARE), ["ideal"]),
        ValueError,
        r"weights has 1 values, and mho\.analog_modules\(model\) 6 layers",
    ),
    "no hardware": (lambda m: mho.convert(m, [HARDWARE] * 5 + [None]), TypeError, "hardware is a NoneType"),
    "two mappings": (
        lambda m: mho.convert(m, {"head": HARDWARE}, select={"head": COARSE}),
        TypeError,
        r"hardware is a dict: give a mho\.Hardware, since select maps paths",
    ),
    "no rows": (
        lambda m: mho.convert(m, HARDWARE, bias_rows=[0, 0, 0, 0, 0, -2]),
        ValueError,
        "bias_rows = -2",
    ),
    "no weights": (lambda m: mho.revert(m, {"head": "chip"}), ValueError, "weights = 'chip': choose 'ideal'"),
    "no path": (
        lambda m: mho.convert(m, HARDWARE, bias_rows={"heads": 1}),
        ValueError,
        "did you mean 'head'",
    ),
    "no layer": (
        lambda m: mho.convert(m, HARDWARE, bias_rows={"body.b.1": 1}),
        ValueError,
        r"bias_rows\['body\.b\.1'\]: a BatchNorm1d takes no such value; mho\.convertible_modules",
    ),
    "no hardware of a path": (
        lambda m: mho.convert(m, {"body.b.1": HARDWARE}),
        ValueError,
        r"hardware\['body\.b\.1'\]: BatchNorm1d cannot be mapped",
    ),
    "a digital layer": (
        lambda m: mho.revert(mho.convert(m, {"head": HARDWARE}), {"body.a": "ideal"}),
        ValueError,
        r"weights\['body\.a'\]: a Linear takes no such value; mho\.analog_modules",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_values_are_named(name: str) -> None:
    call, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        call(Network())


# --- torch's factory arguments --------------------------------------------------------------------

MADE: dict[str, tuple[Any, ...]] = {
    "AnalogLinear": (4, 3),
    "AnalogTransposedLinear": (4, 3),
    **{f"AnalogConv{k}d": (4, 6, 2) for k in (1, 2, 3)},
    **{f"AnalogConvTranspose{k}d": (4, 6, 2) for k in (1, 2, 3)},
    "AnalogRNN": (4, 3),
    "AnalogLSTM": (4, 3),
    "AnalogGRU": (4, 3),
    "AnalogRNNCell": (4, 3),
    "AnalogLSTMCell": (4, 3),
    "AnalogGRUCell": (4, 3),
    "AnalogMultiheadAttention": (4, 2),
    "AnalogBilinear": (4, 3, 2),
    "AnalogEmbedding": (5, 4),
    "AnalogEmbeddingBag": (5, 4),
    "AnalogPositions": (5, 4),
}


def test_every_layer_is_among_them() -> None:
    """A layer that is added shows here that it takes device and dtype."""
    layers = {
        name
        for name in vars(mhonn)
        if name.startswith("Analog") and name != "AnalogLayer" and isinstance(getattr(mhonn, name), type)
    }
    assert layers == set(MADE)


@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize("name", MADE)
def test_device_and_dtype(name: str, rows: int) -> None:
    kind = getattr(mhonn, name)
    options = (
        {"bias_rows": rows}
        if rows and "Embedding" not in name and name not in ("AnalogPositions", "AnalogBilinear")
        else {}
    )
    hardware = mho.Hardware(dac=mho.DAC(range=mho.converters.Learned()), adc=mho.ADC(bits=None))
    for dtype in (torch.float64, torch.bfloat16):
        layer = kind(*MADE[name], hardware=hardware, dtype=dtype, **options)
        own = {n: p for n, p in layer.named_parameters() if not n.endswith(("input_range", "output_range"))}
        assert own and {p.dtype for p in own.values()} == {dtype}
        mho.program(layer, seed=0)
        arrays = [m for m in layer.modules() if isinstance(m, Crossbar)]
        wanted = torch.float64 if dtype == torch.float64 else torch.float32
        assert {a.chip_g.dtype for a in arrays} == {wanted}
    meta = kind(*MADE[name], hardware=hardware, device="meta", dtype=torch.float64, **options)
    tensors = [*meta.parameters(), *(b for b in meta.buffers() if b is not None)]
    assert {t.device.type for t in tensors} == {"meta"}

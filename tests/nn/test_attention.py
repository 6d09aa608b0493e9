"""Attention: torch's outputs and gradients, arrays that are never bypassed, chips in forward and backward."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mho
from mho.converters import Fixed
from mho.errors import StaleChipWarning
from mho.nn import AnalogLinear, AnalogMultiheadAttention
from mho.training import Recipe, WeightClip, WeightNoise, attach

from .same import compare

pytestmark = pytest.mark.filterwarnings(
    "ignore:The PyTorch API of nested tensors", "ignore:enable_nested_tensor is True"
)
SMALL = mho.Tile(rows=5, columns=6)
PCM = mho.Hardware(device=mho.devices.PCM(read_scale=0.0), tile=SMALL)
LAYERS: dict[str, dict[str, Any]] = {
    "packed": {},
    "batch first": {"batch_first": True},
    "without bias": {"bias": False},
    "separate": {"kdim": 6, "vdim": 10},
    "separate without bias": {"kdim": 6, "vdim": 10, "bias": False},
    "bias of keys and values": {"add_bias_kv": True},
    "zero attention": {"add_zero_attn": True, "add_bias_kv": True},
    "dropout": {"dropout": 0.3},
}


def make(name: str, dtype: torch.dtype = torch.float64) -> nn.MultiheadAttention:
    torch.manual_seed(2)
    layer = nn.MultiheadAttention(8, 2, dtype=dtype, **LAYERS[name])
    for parameter in layer.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter)
    return layer


def inputs(layer: nn.MultiheadAttention, batch: int | None = 3) -> tuple[Tensor, ...]:
    """Queries of 4 steps, keys and values of 5; self-attention where the sizes allow it, for the packed."""
    dtype = layer.out_proj.weight.dtype

    def one(steps: int, size: int) -> Tensor:
        shape = (
            [steps, size]
            if batch is None
            else [batch, steps, size]
            if layer.batch_first
            else [steps, batch, size]
        )
        return torch.randn(shape, dtype=dtype)

    return one(4, 8), one(5, layer.kdim), one(5, layer.vdim)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("weights", ["none", "mean", "heads"])
@pytest.mark.parametrize("training", [True, False])
def test_ideal_arrays_are_the_torch_layer(name: str, weights: str, training: bool) -> None:
    layer = make(name).train(training)
    analog = mho.convert(layer, mho.Hardware(tile=SMALL))
    options = {"need_weights": weights != "none", "average_attn_weights": weights == "mean"}
    for batch in (3, None):
        compare(analog, layer, *inputs(layer, batch), **options)


@pytest.mark.parametrize("name", ["packed", "batch first", "zero attention", "separate"])
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("floats", [True, False])
def test_masks(name: str, need_weights: bool, floats: bool) -> None:
    layer = make(name)
    analog = mho.convert(layer, mho.Hardware())
    three = inputs(layer)
    attn = torch.rand(4, 5) > 0.7
    heads = torch.rand(3 * 2, 4, 5) > 0.7
    padding = torch.tensor([[0, 0, 0, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 1]], dtype=torch.bool)
    attn[:, 0] = heads[:, :, 0] = False
    if floats:
        attn, heads = torch.randn(4, 5).double(), torch.randn(6, 4, 5).double()
        padding = torch.zeros(3, 5).double().masked_fill(padding, float("-inf"))
    for masks in (
        {"attn_mask": attn},
        {"attn_mask": heads},
        {"key_padding_mask": padding},
        {"attn_mask": attn, "key_padding_mask": padding},
        {"attn_mask": heads, "key_padding_mask": padding},
    ):
        compare(analog, layer, *three, need_weights=need_weights, **masks)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
def test_causal(padded: bool, need_weights: bool) -> None:
    layer = make("batch first")
    analog = mho.convert(layer, mho.Hardware())
    x = torch.randn(3, 5, 8, dtype=torch.float64)
    causal = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    padding = torch.zeros(3, 5, dtype=torch.float64)
    padding[1, 3:] = float("-inf")
    compare(
        analog, layer, x, x, x, need_weights=need_weights, attn_mask=causal, is_causal=True,
        key_padding_mask=padding if padded else None,
    )  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("mode", ["eval", "on chip"])
@pytest.mark.parametrize("grad", [True, False])
def test_the_chip_computes_forward_and_backward(name: str, mode: str, grad: bool) -> None:
    layer = make(name)
    layer.dropout = 0.0
    analog = mho.convert(layer, PCM)
    mho.program(analog, seed=1)
    mho.age(analog, 3600.0)
    assert set(mho.effective_weights(analog)) == {
        "arrays.q_proj_weight", "arrays.k_proj_weight", "arrays.v_proj_weight", "out_proj"
    }  # fmt: skip
    truth = mho.revert(analog, weights="programmed")
    assert type(truth) is nn.MultiheadAttention and type(truth.out_proj) is type(layer.out_proj)
    if mode == "on chip":
        mho.train_on_chip(analog)
    analog.train(mode != "eval")
    x = inputs(layer)
    if grad:
        compare(analog, truth, *x, tolerance=1e-9)
    with torch.inference_mode():
        torch.testing.assert_close(analog(*x)[0], truth(*x)[0])
        assert not torch.allclose(analog(*x)[0], layer(*x)[0], atol=1e-3)


def test_each_projection_has_its_own_scale() -> None:
    """Also where torch packs them: the keys' weights do not set the range of the values' cells."""
    layer = make("packed")
    with torch.no_grad():
        layer.in_proj_weight[8:16] *= 100
    mapping = mho.mapping.DifferentialPair(scale=mho.mapping.Maximum())  # one scale for an array
    analog = mho.convert(layer, mho.Hardware(device=PCM.device, tile=SMALL, mapping=mapping))
    mho.program(analog, seed=0)
    q, k, v = (a.chip_scale.item() for a in analog.each())
    assert k == pytest.approx(layer.in_proj_weight[8:16].abs().max().item(), rel=1e-6)
    assert v == pytest.approx(layer.in_proj_weight[16:].abs().max().item(), rel=1e-6)
    assert q < k / 50


# --- torch's fused paths ---------------------------------------------------------------------------


def encoder(**names: Any) -> nn.TransformerEncoder:
    torch.manual_seed(1)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, **names)
    return nn.TransformerEncoder(layer, 2)


@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("masked", [True, False])
def test_fused_paths_are_not_taken(context: Any, activation: str, masked: bool) -> None:
    """In eval mode without gradients torch would multiply by the digital weights."""
    digital = encoder(activation=activation).eval()
    x = torch.randn(3, 5, 8)
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[1, 3:] = True
    options = {"src_key_padding_mask": padding} if masked else {}
    ideal = mho.convert(digital, mho.Hardware(), strict=True)
    analog = mho.convert(digital, PCM, strict=True)
    mho.program(analog, seed=0)
    analog.eval()
    with context():
        wanted = digital(x, **options)
        kept = ~padding if masked else torch.ones_like(padding)
        torch.testing.assert_close(ideal(x, **options)[kept], wanted[kept], rtol=1e-4, atol=1e-5)
        truth = mho.revert(analog, weights="programmed").eval()
        got = analog(x, **options)
        torch.testing.assert_close(got[kept], truth(x, **options)[kept], rtol=1e-4, atol=1e-5)
        assert (got - wanted)[kept].abs().mean() > 1e-3


def test_revert_opens_the_fused_paths_again() -> None:
    digital = encoder().eval()
    back = mho.revert(mho.convert(digital, mho.Hardware()))
    for ours, theirs in zip(back.modules(), digital.modules(), strict=True):
        assert type(ours) is type(theirs) and ours.__dict__.keys() == theirs.__dict__.keys()
        for name in ("activation_relu_or_gelu", "use_nested_tensor"):
            assert getattr(ours, name, None) == getattr(theirs, name, None)
    x = torch.randn(3, 5, 8)
    with torch.no_grad():
        assert torch.equal(back(x), digital(x))


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("norm_first", [True, False])
def test_the_whole_transformer(batch_first: bool, norm_first: bool) -> None:
    torch.manual_seed(0)
    digital = nn.Transformer(
        8, 2, 1, 2, 16, dropout=0.0, batch_first=batch_first, norm_first=norm_first, dtype=torch.float64
    )
    source, target = torch.randn(4, 3, 8, dtype=torch.float64), torch.randn(5, 3, 8, dtype=torch.float64)
    if batch_first:
        source, target = source.transpose(0, 1), target.transpose(0, 1)
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    ideal = mho.convert(digital, mho.Hardware(), strict=True)
    compare(ideal, digital, source, target, tgt_mask=mask, tgt_is_causal=True)
    chip = mho.convert(digital, PCM)
    mho.program(chip, seed=0)
    truth = mho.revert(chip, weights="programmed")
    compare(chip.eval(), truth, source, target, tgt_mask=mask, tgt_is_causal=True, tolerance=1e-9)


# --- selection, state, training --------------------------------------------------------------------


def test_selecting_parts() -> None:
    digital = encoder()
    only_feed_forward = mho.convert(digital, mho.Hardware(), select=lambda path, _: "linear" in path)
    assert type(only_feed_forward.layers[0].self_attn) is nn.MultiheadAttention
    reasons = {row.path: row.note for row in only_feed_forward.report.rows}
    assert reasons["layers.0.self_attn"] == "not selected"
    linears = mho.convert(digital, mho.Hardware(), select=lambda _, module: isinstance(module, nn.Linear))
    notes = {row.path: row.note for row in linears.report.rows}
    assert "reads its weight" in notes["layers.0.self_attn.out_proj"]
    hardware = mho.Hardware(device=mho.devices.PCM())
    chosen = mho.convert(digital, mho.Hardware(), select={"layers.1.self_attn": hardware})
    assert isinstance(chosen.layers[1].self_attn, AnalogMultiheadAttention)
    assert not isinstance(chosen.layers[1].self_attn.out_proj, AnalogLinear)
    both = {"layers.1.self_attn": hardware, "layers.1.self_attn.out_proj": hardware}
    assert isinstance(mho.convert(digital, hardware, select=both).layers[1].self_attn.out_proj, AnalogLinear)
    with pytest.raises(ValueError, match="reads its weight"):
        mho.convert(digital, hardware, select={"layers.1.self_attn.out_proj": hardware})


@pytest.mark.parametrize("name", ["packed", "separate"])
def test_state(name: str) -> None:
    layer = make(name, torch.float32)
    analog = mho.convert(nn.Sequential(layer), PCM)
    mho.program(analog, seed=3)
    mho.age(analog, 1e5)
    x = inputs(layer)
    before = analog.eval()[0](*x)[0]
    for twin in (copy.deepcopy(analog), pickle.loads(pickle.dumps(analog))):
        assert torch.equal(twin[0](*x)[0], before)
    buffer = io.BytesIO()
    torch.save(analog.state_dict(), buffer)
    buffer.seek(0)
    other = mho.convert(nn.Sequential(make(name, torch.float32)), PCM)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(other.eval()[0](*x)[0], before)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        analog[0].load_state_dict(layer.state_dict(), strict=True)
        analog.to(torch.bfloat16).to(torch.float32).eval()
    assert (analog[0](*x)[0] - before).abs().max() < 0.05
    with torch.no_grad():
        dict(analog[0].named_parameters())[analog[0].array("k_proj_weight").weight_name].add_(0.1)
    with pytest.warns(StaleChipWarning) as seen:
        analog[0](*x)
    noticed = {str(w.message).split("'")[1] for w in seen}
    parts = {f"0.arrays.{k}_proj_weight" for k in "qkv"}
    assert noticed == (parts if name == "packed" else {"0.arrays.k_proj_weight"})


def test_construction_and_training() -> None:
    layer = AnalogMultiheadAttention(8, 2, hardware=mho.Hardware(), dtype=torch.float64)
    attach(layer, Recipe(modifiers=(WeightClip(sigmas=1.0), WeightNoise(std=0.02))))
    x = torch.randn(4, 3, 8, dtype=torch.float64)
    layer.train()(x, x, x)[0].sum().backward()
    assert bool(layer.in_proj_weight.grad.any()) and bool(layer.out_proj.weight.grad.any())
    assert {int(a.training_step) for a in layer.each()} == {1}
    for part in layer.in_proj_weight.detach().chunk(3):
        assert part.std() < 0.35 and part.abs().max() < 0.35


def test_calibration() -> None:
    layer = make("batch first", torch.float32)
    analog = mho.convert(layer, mho.Hardware(tile=SMALL, dac=mho.DAC(bits=10), adc=mho.ADC(bits=12)))
    three = inputs(layer)

    class Self(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = analog

        def forward(self, x: Tensor) -> Tensor:
            return self.attention(x, three[1], three[2])[0]

    model = Self()
    mho.calibrate(model, [three[0]])
    with torch.no_grad():
        wanted = layer(*three)[0]
        error = (model.eval()(three[0]) - wanted).abs().max()
    assert 0 < error < 2e-2 * wanted.abs().max()


def test_compiled() -> None:
    torch._dynamo.reset()
    adc = mho.ADC(bits=12, range=Fixed(limit=8.0))
    analog = mho.convert(encoder().layers[0], mho.Hardware(device=mho.devices.PCM(read_scale=0.0), adc=adc))
    mho.program(analog, seed=0)
    analog.eval()
    compiled = torch.compile(analog, fullgraph=True, backend="aot_eager")
    x = torch.randn(3, 5, 8)
    with torch.no_grad():
        first = compiled(x)
        assert (first - analog(x)).abs().max() < 2e-2
        mho.age(analog, 1e7)
        assert (compiled(x) - analog(x)).abs().max() < 2e-2 and not torch.allclose(
            compiled(x), first, atol=1e-3
        )


def wrong(call: Callable[[], Any], message: str, error: type[Exception] = ValueError) -> None:
    with pytest.raises(error, match=message):
        call()


def test_wrong_arguments() -> None:
    layer = mho.convert(make("batch first", torch.float32), mho.Hardware())
    x, y = torch.randn(3, 5, 8), torch.randn(3, 4, 8)
    wrong(lambda: layer(x, x, y), "same length")
    wrong(lambda: layer(x, y[:2], y[:2]), "same batch")
    wrong(lambda: layer(x, x[0], x[0]), "have 2 axes, or 3")
    wrong(lambda: layer(x, x, x, attn_mask=torch.zeros(4, 4)), "attn_mask has shape")
    wrong(lambda: layer(x, x, x, key_padding_mask=torch.zeros(3, 4)), "key_padding_mask has shape")
    wrong(lambda: layer(x, x, x, is_causal=True), "give the mask too")
    wrong(
        lambda: layer(x, x, x, attn_mask=torch.zeros(5, 5, dtype=torch.int64)), "a mask has dtype", TypeError
    )
    nested = torch.nested.nested_tensor([x[0]])
    wrong(lambda: layer(nested, nested, nested), "no nested tensors")

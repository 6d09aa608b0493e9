"""Models on the meta device: shapes without values, to count tiles with and to load into."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mho
from mho.converters import Fixed, Learned

IDS = torch.zeros(2, 3, dtype=torch.int64)
LAYERS: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] = {
    "linear": (nn.Linear(7, 5), (torch.randn(2, 7),)),
    "network": (nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)), (torch.randn(2, 8),)),
    "conv": (nn.Conv2d(3, 5, 3), (torch.randn(2, 3, 5, 5),)),
    "lstm": (nn.LSTM(8, 4), (torch.randn(2, 3, 8),)),
    "attention": (nn.MultiheadAttention(8, 2), (torch.randn(2, 3, 8),) * 3),
    "embedding": (nn.Embedding(7, 5), (IDS,)),
    "embedding bag": (nn.EmbeddingBag(7, 5), (IDS,)),
}
TILE = mho.Tile(rows=4, columns=4)  # with an order of the inputs
HARDWARE = {
    "fixed": mho.Hardware(
        device=mho.devices.PCM(),
        tile=TILE,
        dac=mho.DAC(range=Fixed(limit=4.0)),
        adc=mho.ADC(range=Fixed(limit=20.0)),
    ),
    "learned": mho.Hardware(
        tile=TILE, dac=mho.DAC(range=Learned(initial=3.5)), adc=mho.ADC(range=Learned(initial=7.0))
    ),
}
pytestmark = pytest.mark.filterwarnings("ignore::mho.errors.NotProgrammedWarning")


def first(found: Any) -> Tensor:
    """The first output."""
    return found[0] if isinstance(found, tuple) else found  # type: ignore[no-any-return]


def on_meta(name: str, hardware: str) -> nn.Module:
    return mho.convert(copy.deepcopy(LAYERS[name][0]).to("meta"), HARDWARE[hardware]).eval()


def has_values(model: nn.Module) -> bool:
    return not any(t.is_meta for t in (*model.parameters(), *model.buffers()))


def same(one: nn.Module, other: nn.Module, inputs: tuple[Tensor, ...]) -> bool:
    found = []
    for model in (one, other):
        torch.manual_seed(0)
        found.append(first(model(*inputs)))
    return torch.equal(*found)


@pytest.mark.parametrize("hardware", HARDWARE)
@pytest.mark.parametrize("name", LAYERS)
def test_shapes_without_values(name: str, hardware: str) -> None:
    layer, inputs = LAYERS[name]
    analog, real = on_meta(name, hardware), mho.convert(layer, HARDWARE[hardware])
    sizes = [[(r.path, r.tiles, r.cells, r.parameters) for r in m.report.rows] for m in (analog, real)]
    assert (
        sizes[0] == sizes[1] and "not programmed" in str(analog.report) and repr(analog) == repr(real.eval())
    )
    given = tuple(x.to("meta") for x in inputs)
    for train in (False, True):
        found = first(analog.train(train)(*given))
        assert found.is_meta and found.shape == first(layer(*inputs)).shape
    if name != "attention":
        analog.report.measure(given[0])
        real.report.measure(inputs[0])
        assert analog.report.macs.total == real.report.macs.total
    assert isinstance(mho.revert(copy.deepcopy(analog)), nn.Module)


@pytest.mark.parametrize("hardware", HARDWARE)
@pytest.mark.parametrize("name", LAYERS)
def test_a_chip_is_loaded_into_it(name: str, hardware: str) -> None:
    layer, inputs = LAYERS[name]
    real = mho.convert(layer, HARDWARE[hardware]).eval()
    mho.program(real, seed=0)
    assigned, emptied = on_meta(name, hardware), on_meta(name, hardware).to_empty(device="cpu")
    assigned.load_state_dict(real.state_dict(), assign=True)
    emptied.load_state_dict(real.state_dict())
    for loaded in (assigned, emptied):
        assert has_values(loaded) and same(loaded, real, inputs)
        mho.age(loaded, 60.0)
        mho.compensate(loaded)


@pytest.mark.parametrize("hardware", HARDWARE)
@pytest.mark.parametrize("name", LAYERS)
def test_weights_alone_are_loaded_into_it(name: str, hardware: str) -> None:
    layer, inputs = LAYERS[name]
    real = mho.convert(layer, HARDWARE[hardware]).eval()
    assigned, emptied = on_meta(name, hardware), on_meta(name, hardware).to_empty(device="cpu")
    weights = copy.deepcopy(layer).state_dict()
    assigned.load_state_dict(weights, strict=False, assign=True)
    emptied.load_state_dict(weights, strict=False)
    mho.program(real, seed=1)
    for loaded in (assigned, emptied):
        assert has_values(loaded)
        mho.program(loaded, seed=1)
        assert same(loaded, real, inputs)


def test_what_needs_values_says_so() -> None:
    analog = on_meta("network", "fixed")
    with pytest.raises(ValueError, match="weight of '0' is on the meta device.*load_state_dict"):
        mho.program(analog, seed=0)
    with pytest.raises(ValueError, match="weight of '0' is on the meta device.*load_state_dict"):
        mho.calibrate(analog, [torch.randn(2, 8)])


def test_a_chip_goes_to_the_meta_device() -> None:
    layer, (x,) = LAYERS["linear"]
    analog = mho.convert(layer, HARDWARE["fixed"]).eval()
    mho.program(analog, seed=0)
    away = analog.to("meta")
    with torch.no_grad():
        assert [away(x.to("meta")).shape for _ in range(3)] == [(2, 5)] * 3

"""A calibrated model is made again from its description alone."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mho
from mho.calibration import calibrated_hardware, load_hardware, save_hardware
from mho.converters import SAR, Calibrated, Dynamic, EachSlice, Fixed, Learned, LeastSquares, Stream
from mho.errors import ConfigError, NotCalibratedError
from mho.mapping import BitSlicing

SLICES = BitSlicing(bits=7, slices=3)
TILE = mho.Tile(rows=9)


class Shared(nn.Module):
    """One layer used under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(20, 20)
        self.other = self.one

    def forward(self, x: Tensor) -> Tensor:
        return self.other(torch.relu(self.one(x)))


class Last(nn.Module):
    """The output of a recurrent layer without its state."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(20, 7, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x)[0]


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Sequential(nn.Linear(20, 13), nn.ReLU(), nn.Linear(13, 5)), (40, 20)),
    "convolution": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3)), (4, 3, 8, 8)),
    "a layer alone": (lambda: nn.Linear(20, 5), (40, 20)),
    "a layer used twice": (Shared, (40, 20)),
    "several arrays": (Last, (6, 5, 20)),
    "attention": (lambda: nn.TransformerEncoderLayer(20, 2, 16, batch_first=True), (3, 4, 20)),
}

HARDWARE = {
    "one for a layer": mho.Hardware(dac=mho.DAC(), adc=mho.ADC(bits=6), tile=TILE),
    "each tile": mho.Hardware(
        dac=mho.DAC(range=Calibrated(per_tile=True)),
        adc=mho.ADC(bits=6, range=LeastSquares(per_tile=True)),
        tile=TILE,
    ),
    "each slice": mho.Hardware(
        mapping=SLICES, dac=mho.DAC(), adc=mho.ADC(bits=5, range=Calibrated(per_slice=True)), tile=TILE
    ),
    "each tile and slice": mho.Hardware(
        mapping=SLICES,
        dac=mho.DAC(range=LeastSquares()),
        adc=mho.ADC(bits=5, range=Calibrated(quantile=0.99, per_tile=True, powers_of_two=True)),
        tile=TILE,
    ),
    "no ADC": mho.Hardware(dac=mho.DAC(bits=4), device=mho.devices.PCM(read_scale=0.0)),
    "no DAC": mho.Hardware(adc=mho.ADC(bits=4)),
    "learned": mho.Hardware(dac=mho.DAC(range=Learned()), adc=mho.ADC(bits=6, range=Learned())),
    "a circuit": mho.Hardware(dac=mho.DAC(), adc=SAR(bits=5, capacitor=0.05)),
    "dynamic": mho.Hardware(dac=mho.DAC(range=Dynamic()), adc=mho.ADC(bits=6)),
    "bit by bit": mho.Hardware(
        dac=mho.DAC(bits=5, stream=Stream()), adc=mho.ADC(bits=6, range=Calibrated(per_tile=True)), tile=TILE
    ),
    "a unit column": mho.Hardware(
        mapping=BitSlicing(bits=6, slices=2, offset=True, unit_column=True),
        dac=mho.DAC(),
        adc=mho.ADC(bits=6),
    ),
}


def pair(
    network: str, hardware: mho.Hardware, path: Path, bias_rows: int = 0
) -> tuple[nn.Module, nn.Module, Tensor]:
    """A calibrated model, and the one that its descriptions give, from a file."""
    make, shape = NETWORKS[network]
    torch.manual_seed(0)
    model, x = make(), torch.randn(shape)
    calibrated = mho.convert(model, hardware, bias_rows=bias_rows)
    mho.calibrate(calibrated, [torch.randn(shape), x])
    save_hardware(calibrated_hardware(calibrated), path)
    return calibrated, mho.convert(model, load_hardware(path), bias_rows=bias_rows), x


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("hardware", ["one for a layer", "each tile and slice"])
@torch.no_grad()
def test_equal_bit_for_bit_in_every_network(network: str, hardware: str, tmp_path: Path) -> None:
    check_equal(network, HARDWARE[hardware], tmp_path)


@pytest.mark.filterwarnings("ignore::mho.errors.NotProgrammedWarning")  # ranges act without a chip too
@pytest.mark.parametrize("hardware", HARDWARE)
@torch.no_grad()
def test_equal_bit_for_bit_with_every_range(hardware: str, tmp_path: Path) -> None:
    check_equal("linear", HARDWARE[hardware], tmp_path)


def check_equal(network: str, hardware: mho.Hardware, folder: Path, bias_rows: int = 0) -> None:
    calibrated, made, x = pair(network, hardware, folder / "hardware.json", bias_rows)
    for model in (calibrated, made):
        model.eval()
    assert torch.equal(made(x), calibrated(x))  # before programming: other code
    for model in (calibrated, made):
        mho.program(model, seed=3)
    assert torch.equal(made(x), calibrated(x))
    assert calibrated_hardware(made) == load_hardware(folder / "hardware.json")


@pytest.mark.parametrize("network", ["linear", "convolution", "several arrays"])
@torch.no_grad()
def test_equal_bit_for_bit_with_the_bias_on_the_array(network: str, tmp_path: Path) -> None:
    check_equal(network, HARDWARE["each tile"], tmp_path, bias_rows=2)


def test_its_ranges_may_be_measured_again(tmp_path: Path) -> None:
    _, made, x = pair("linear", HARDWARE["each tile"], tmp_path / "h.json")
    before = made[0].output_range.clone()
    mho.calibrate(made, [3 * x])
    assert float(made[0].input_range.max()) > 2 * float(
        load_hardware(tmp_path / "h.json")["0"].dac.range.limits[0][0]
    )
    assert made[0].output_range.shape == before.shape


def test_what_no_data_changes_stays() -> None:
    hardware = mho.Hardware(
        mapping=SLICES,
        dac=mho.DAC(range=Fixed(limit=2.0)),
        adc=mho.ADC(range=EachSlice(limits=(1.0, 2.0, 3.0))),
    )
    analog = mho.convert(nn.Linear(4, 3), hardware)
    assert calibrated_hardware(analog) == {"": hardware}
    open_ = mho.convert(nn.Linear(4, 3), HARDWARE["one for a layer"])
    assert calibrated_hardware(open_) == {"": HARDWARE["one for a layer"]}
    made = mho.convert(nn.Linear(4, 3), mho.Hardware(), select=calibrated_hardware(open_)).eval()
    with pytest.raises(NotCalibratedError, match="input_range"):
        made(torch.ones(1, 4))


def test_limits_of_another_layer_are_refused() -> None:
    def described(limits: Any, **how: Any) -> mho.Hardware:
        return mho.Hardware(mapping=SLICES, tile=TILE, adc=mho.ADC(range=Calibrated(limits=limits, **how)))

    with pytest.raises(ValueError, match=r"adc.range.limits has 3 x 2 values .* ranges are 3 x 4"):
        mho.convert(nn.Linear(20, 3), described(((1.0, 2.0),) * 3, per_tile=True))
    with pytest.raises(ValueError, match=r"2 x 1 values .* ranges are 3 x 1"):
        mho.convert(nn.Linear(20, 3), described(((1.0,),) * 2, per_slice=True))
    for limits, how in (
        ((), {}),
        (((),), {}),
        (((1.0, 2.0),), {}),
        (((1.0,), (2.0,)), {}),
        (((1.0, 2.0),), {"per_slice": True}),
        (((1.0, 2.0), (1.0,)), {"per_tile": True}),
    ):
        with pytest.raises(ConfigError, match=r"limits = .*: give limits\[slice\]\[tile\]"):
            Calibrated(limits=limits, **how)
    with pytest.raises(ConfigError, match="powers_of_two = True: a single range"):
        LeastSquares(powers_of_two=True)


def test_arrays_are_named_one_by_one() -> None:
    hardware = HARDWARE["one for a layer"]
    one = replace(hardware, adc=mho.ADC(bits=3))
    made = mho.convert(Last(), hardware, select={"lstm": hardware, "lstm.arrays.weight_hh_l0": one})
    arrays = dict(made.lstm.arrays.items())
    assert arrays["weight_hh_l0"].hardware == one and arrays["weight_ih_l0"].hardware == hardware
    assert arrays["weight_hh_l0"].path == "lstm.arrays.weight_hh_l0"
    for wrong in ("lstm.arrays.weight_hh", "lst.arrays.weight_hh_l0"):
        with pytest.raises(ValueError, match="did you mean"):
            mho.convert(Last(), hardware, select={wrong: one})
    with pytest.raises(ValueError, match="hardware names weight of '0', and that layer is a single array"):
        mho.convert(nn.Sequential(nn.Linear(2, 2)), hardware, select={"0.arrays.weight": one})


def test_files_are_whole_or_not_there(tmp_path: Path) -> None:
    layers = {"kind": mho.Hardware(), "a.b": HARDWARE["each tile"]}
    path = tmp_path / "new" / "hardware.json"
    save_hardware(layers, path)
    assert load_hardware(path) == layers and [p.name for p in path.parent.iterdir()] == ["hardware.json"]
    with pytest.raises(TypeError, match=r"layers\['x'\] is a int: give a mho.Hardware"):
        save_hardware({**layers, "x": 3}, path)  # type: ignore[dict-item]
    assert load_hardware(path) == layers
    with pytest.raises(ConfigError, match=r"must end in \.json"):
        save_hardware(layers, tmp_path / "hardware.txt")
    good = json.loads(path.read_text())
    del good["check"]  # as one does who changes a file on purpose
    for change, message in (
        (lambda d: d.pop("layers"), "holds no hardware by layer"),
        (lambda d: d.update(format=9), "format = 9: this mho reads format 1"),
        (lambda d: d["layers"].update(x={"kind": "Tile"}), r"layers\['x'\] describes a Tile, not a Hardware"),
        (lambda d: d["layers"]["kind"].update(dcc=None), "did you mean 'dac'"),
    ):
        document = copy.deepcopy(good)
        change(document)
        path.write_text(json.dumps(document))
        with pytest.raises(ConfigError, match=message):
            load_hardware(path)
    mho.Hardware().save(path)
    with pytest.raises(ConfigError, match=r"mho.Hardware.load reads a single description"):
        load_hardware(path)

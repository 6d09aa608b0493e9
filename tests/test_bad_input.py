"""Layers and products with wrong input; descriptions, verbs and conversion have their own files."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import mho
from mho.errors import ConfigError, NotCalibratedError, NotMappableError, NotProgrammedError
from mho.nn import AnalogConv1d, AnalogConv2d, AnalogConvTranspose2d, AnalogLinear

HARDWARE = mho.Hardware()
LAYERS = {
    "linear": (lambda **k: AnalogLinear(4, 3, **k), (2, 4), (2, 5), "its last size must be in_features = 4"),
    "conv1d": (lambda **k: AnalogConv1d(4, 3, 2, **k), (2, 4, 6), (2, 5, 6), "4"),
    "conv2d": (lambda **k: AnalogConv2d(4, 3, 2, **k), (2, 4, 6, 6), (2, 6, 4, 6), "4"),
    "conv transpose 2d": (lambda **k: AnalogConvTranspose2d(4, 3, 2, **k), (2, 4, 6, 6), (2, 3, 6, 6), "4"),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("programmed", [False, True])
def test_wrong_shapes(name: str, programmed: bool) -> None:
    make, right, wrong, wanted = LAYERS[name]
    made = make(hardware=HARDWARE)
    if programmed:
        mho.program(made, seed=0)
    for shape in (wrong, (1,) * 7):
        for mode in (True, False):
            with pytest.raises(ValueError, match=rf"x has shape \({shape[0]}, .*{wanted}"):
                made.train(mode)(torch.ones(shape))
    made(torch.ones(right))


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_needs_hardware(name: str) -> None:
    make = LAYERS[name][0]
    with pytest.raises(TypeError, match="hardware"):
        make()
    for wrong in (None, "PCM", mho.devices.PCM(), mho.Hardware):
        with pytest.raises(TypeError, match=r"hardware = .*: give a mho\.Hardware"):
            make(hardware=wrong)


def test_torch_checks_its_own_arguments() -> None:
    with pytest.raises(ValueError, match="in_channels must be divisible by groups"):
        AnalogConv2d(3, 4, 2, groups=2, hardware=HARDWARE)
    with pytest.raises(TypeError):
        AnalogLinear(2, 3, True, None, None, HARDWARE)  # keyword only


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_inputs_that_are_no_numbers_do_not_hide(bad: float) -> None:
    """The output of that vector is no number either; the other vectors are as they were."""
    layer = nn.Linear(4, 3)
    for parts in (
        {},
        {
            "dac": mho.DAC(range=mho.converters.Fixed(limit=1.0)),
            "adc": mho.ADC(range=mho.converters.Fixed(limit=4.0)),
        },
    ):
        made = mho.convert(layer, mho.Hardware(**parts)).eval()
        x = torch.randn(3, 4)
        before = made(x)
        x[1, 2] = bad
        after = made(x)
        assert torch.equal(after[[0, 2]], before[[0, 2]])
        if math.isnan(bad):
            assert bool(after[1].isnan().all())
        elif parts:
            assert bool(after[1].isfinite().all())  # clipped to full scale, as a DAC does


def test_kinds_of_errors() -> None:
    """What is raised by name is what Python calls it."""
    assert issubclass(ConfigError, ValueError) and issubclass(NotMappableError, TypeError)
    assert issubclass(NotProgrammedError, RuntimeError) and issubclass(NotCalibratedError, RuntimeError)
    assert issubclass(mho.StaleChipWarning, UserWarning)


def test_a_chip_of_another_shape_is_refused() -> None:
    """The error names the array; the layer keeps the chip that it had."""
    one, other = (mho.convert(nn.Linear(n, 3), mho.Hardware(device=mho.devices.PCM())) for n in (4, 5))
    for model in (one, other):
        mho.program(model, seed=0)
    before = one.chip_g.clone()
    with pytest.raises(
        RuntimeError, match=r"chip_g has shape \(2, 1, 5, 3\): this layer's array holds 1 x 4 x 3 weights"
    ):
        one.load_state_dict(other.state_dict())
    assert torch.equal(one.chip_g, before)
    one.eval()(torch.ones(1, 4))


@pytest.mark.parametrize("key", ["chip_cells", "chip_seconds", "chip_hardware", "chip_g"])
def test_half_a_chip_is_refused(key: str) -> None:
    one, other = (mho.convert(nn.Linear(4, 3), mho.Hardware(device=mho.devices.PCM())) for _ in range(2))
    mho.program(one, seed=0)
    state = one.state_dict()
    del state[f"crossbar.{key}"]
    with pytest.raises(RuntimeError, match=f"a chip is whole or not there, and {key} is missing"):
        other.load_state_dict(state)
    assert other.chip is None


TYPED = {
    **{name: (make, torch.ones(right)) for name, (make, right, *_) in LAYERS.items()},
    "lstm": (lambda **k: mho.nn.AnalogLSTM(4, 3, **k), torch.ones(5, 2, 4)),
    "gru cell": (lambda **k: mho.nn.AnalogGRUCell(4, 3, **k), torch.ones(2, 4)),
}


@pytest.mark.parametrize("name", TYPED)
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64])
def test_inputs_are_floating_point(name: str, dtype: torch.dtype) -> None:
    make, x = TYPED[name]
    layer = make(hardware=HARDWARE)
    for programmed in (False, True):
        for mode in (True, False):
            with pytest.raises(TypeError, match=rf"x has dtype {dtype}: .* takes floating-point numbers"):
                layer.train(mode)(x.to(dtype))
        if not programmed:
            mho.program(layer, seed=0)
    calibrated = mho.convert(nn.Linear(4, 3), mho.Hardware(dac=mho.DAC(), adc=mho.ADC()))
    with pytest.raises(TypeError, match="x has dtype"):
        mho.calibrate(calibrated, [torch.ones(2, 4).to(dtype)])


def test_attention_takes_floating_point() -> None:
    layer = mho.convert(nn.MultiheadAttention(4, 2), HARDWARE).eval()
    x = torch.ones(3, 2, 4)
    with pytest.raises(TypeError, match="x has dtype torch.int64"):
        layer(x, x, x.long())


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(4, 3, dtype=torch.complex64),
        nn.Conv2d(4, 3, 2, dtype=torch.complex128),
        nn.ConvTranspose1d(4, 3, 2, dtype=torch.complex64),
        nn.Bilinear(4, 3, 2, dtype=torch.complex64),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_complex_weights_stay_digital(layer: nn.Module) -> None:
    model = nn.Sequential(layer, nn.Linear(3, 2))
    analog = mho.convert(model, HARDWARE)
    assert type(analog[0]) is type(layer) and type(analog[1]).__name__ == "AnalogLinear"
    assert [row.note for row in analog.report.left_digital] == ["complex weights"]
    assert list(mho.convertible_modules(model)) == ["1"]
    with pytest.raises(NotMappableError, match=r"0 \(.*complex weights\)"):
        mho.convert(model, HARDWARE, strict=True)
    with pytest.raises(ValueError, match="cannot be mapped: complex weights"):
        mho.convert(model, {"0": HARDWARE})


def test_complex_weights_are_refused() -> None:
    for make in (AnalogLinear, lambda *a, **k: AnalogConv2d(*a, 2, **k), mho.nn.AnalogRNNCell):
        with pytest.raises(NotMappableError, match="dtype torch.complex64: cells hold real numbers"):
            make(4, 3, dtype=torch.complex64, hardware=HARDWARE)

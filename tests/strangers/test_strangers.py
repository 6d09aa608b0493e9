"""Parts of one's own, one file each outside of mho, live as mho's own parts do.

Each file holds a part, what a layer with it computes as a formula, and parts that are wrong on purpose, which
the public contracts refuse.
"""

from __future__ import annotations

import builtins
import copy
import io
import warnings

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, vmap

import mho
from mho import config
from mho.calibration import calibrated_hardware
from mho.converters import AutoRange, Calibrated, Dynamic, Fixed, Learned, LeastSquares, Range, Stream
from mho.errors import ConfigError, StaleChipWarning

from . import array, converter, correction, device, effect, mapping, programming, range
from .life import DATA, Stranger, X, converted, lived

FILES = (device, effect, mapping, programming, array, range, converter, correction)
STRANGERS = [stranger for file in FILES for stranger in file.STRANGERS]
each = pytest.mark.parametrize("stranger", STRANGERS, ids=lambda s: s.name)
wrong_ones = pytest.mark.parametrize(
    ("check", "wrong"), [(s.check, w) for s in STRANGERS for w in s.wrong], ids=lambda p: type(p).__name__
)


def alike(found: Tensor, wanted: Tensor) -> None:
    """Equal up to rounding, but for a value on the edge of two codes here and there."""
    assert found.shape == wanted.shape
    far = (found.double() - wanted.double()).abs() / wanted.double().abs().max()
    assert float(far.flatten().quantile(0.9)) < 1e-5 and float(far.max()) < 0.1


@each
def test_a_description_travels(stranger: Stranger) -> None:
    part, hardware = stranger.part, stranger.hardware(stranger.part)
    assert config.from_json(config.to_json(part)) == part
    assert mho.Hardware.from_json(hardware.to_json()) == hardware
    assert hash(part) == hash(copy.deepcopy(part))


@each
def test_the_contract_is_kept(stranger: Stranger) -> None:
    stranger.check(stranger.part)


@wrong_ones
def test_a_wrong_part_is_refused(check, wrong) -> None:
    with pytest.raises(AssertionError, match=type(wrong).__name__):
        check(wrong)


@each
def test_the_numbers_are_those_of_the_formula(stranger: Stranger) -> None:
    layer = lived(stranger)
    with torch.no_grad():
        found = layer(X)
        wanted = layer.digital_forward(X)
    alike(found, stranger.formula(layer, X, DATA))
    far = (found - wanted).square().mean().sqrt() / wanted.square().mean().sqrt()
    assert 1e-4 < float(far) < 0.6  # it does something, and still computes


@each
def test_a_read_is_as_fast_as_with_own_parts(stranger: Stranger) -> None:
    assert (lived(stranger).packed_steps_into is not None) == stranger.fast


@each
def test_a_chip_is_saved_and_loaded(stranger: Stranger) -> None:
    layer = lived(stranger)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    again = converted(stranger)
    again.load_state_dict(torch.load(file))
    with torch.no_grad():
        assert torch.equal(again(X), layer(X))
        assert torch.equal(copy.deepcopy(layer)(X), layer(X))


@each
def test_calibrated_descriptions_bring_the_full_scales(stranger: Stranger) -> None:
    layer = lived(stranger)
    described = calibrated_hardware(layer)[""]
    described = mho.Hardware.from_json(described.to_json())
    torch.manual_seed(3)
    again = mho.convert(torch.nn.Linear(12, 6), described).eval()
    mho.program(again, seed=0)
    mho.age(again, float(layer.chip.seconds))
    again.crossbar.correct(layer.chip.gain, layer.chip.shift)
    with torch.no_grad():
        assert torch.equal(again(X), layer(X))


@each
def test_a_read_compiles(stranger: Stranger) -> None:
    layer = lived(stranger)
    torch.compiler.reset()
    with torch.no_grad():
        alike(torch.compile(layer, fullgraph=True, backend="aot_eager")(X), layer(X))


def test_a_converter_compiles_to_machine_code() -> None:
    layer = lived(converter.STRANGERS[0])
    torch.compiler.reset()
    with torch.no_grad():
        alike(torch.compile(layer, fullgraph=True)(X), layer(X))


def chips(stranger: Stranger) -> list[dict[str, Tensor]]:
    made = []
    for seed in (0, 1):
        layer = lived(stranger, seed)
        made.append({k: v for k, v in layer.state_dict().items() if k.startswith("crossbar.chip_")})
    return made


@each
def test_chips_are_stacked(stranger: Stranger) -> None:
    layer, both = lived(stranger), chips(stranger)
    stacked = {key: torch.stack([chip[key] for chip in both]) for key in both[0]}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)  # torch's
        found = vmap(lambda chip: functional_call(layer, chip, (X,)))(stacked)
        for one, chip in zip(found, both, strict=True):
            alike(one, functional_call(layer, chip, (X,)))
    alike_chips = torch.equal(
        both[0]["crossbar.chip_g"], both[1]["crossbar.chip_g"]
    )  # where nothing is drawn
    assert torch.equal(found[0], found[1]) == alike_chips


@each
def test_an_entry_given_alone_is_the_entry_loaded(stranger: Stranger) -> None:
    here, there = lived(stranger), lived(stranger, 1)
    other = {**there.state_dict(), "crossbar.chip_scale": 1.3 * here.chip_scale}
    for name in ("crossbar.input_range", "crossbar.output_range"):
        if name in other:
            other[name] = other[name] * 0.8
    entries = ("baseline", "weights", "hardware", "cells", "format", "checksum")  # there may be no drift
    passive = {f"crossbar.chip_{name}" for name in entries}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", StaleChipWarning)
        before = here(X)
        for entry, own in here.state_dict().items():
            if entry in passive:
                continue
            loaded = copy.deepcopy(here)
            kept = {k: v for k, v in here.state_dict().items() if not k.endswith("chip_checksum")}
            loaded.load_state_dict({**kept, entry: other[entry]})
            given = functional_call(here, {entry: other[entry]}, (X,))
            alike(given, loaded(X))
            if entry != "weight":
                same = torch.allclose(given, before, rtol=1e-5, atol=1e-6)  # two ways of reading round apart
                assert same == torch.equal(other[entry], own), entry
            assert torch.equal(here.state_dict()[entry], own)


@each
def test_training_reaches_the_weights(stranger: Stranger) -> None:
    layer = converted(stranger).train()
    layer(X).square().sum().backward()
    assert bool(layer.weight.grad.isfinite().all()) and bool(layer.weight.grad.any(0).all())


# --- what cannot work is refused, in a sentence ----------------------------------------------------


def test_a_range_that_says_nothing_is_refused_with_its_hardware() -> None:
    for name, kind in (("dac", mho.DAC), ("adc", mho.ADC)):
        with pytest.raises(ConfigError, match="says no full scale"):
            mho.Hardware(**{name: kind(range=range.Silent())})


def test_a_range_of_ones_own_rounds_as_another_with_its_full_scale() -> None:
    """It was accepted, and the converter was ideal."""
    torch.manual_seed(0)
    layer, found = torch.nn.Linear(12, 6), {}
    for name, own in (("own", range.Sigmas()), ("fixed", Fixed(limit=3 * float(DATA.std(correction=0))))):
        analog = mho.convert(layer, mho.Hardware(dac=mho.DAC(bits=2, range=own))).eval()
        mho.calibrate(analog, [DATA])
        mho.program(analog, seed=0)
        with torch.no_grad():
            found[name] = analog(X)
            assert float((found[name] - layer(X)).square().mean().sqrt()) > 0.1
    torch.testing.assert_close(found["own"], found["fixed"])


@pytest.mark.parametrize("chosen", [None, -1.0, float("nan"), float("inf")])
def test_a_full_scale_that_is_none_is_refused(chosen: float | None) -> None:
    own = range.Odd(value=0.0)
    object.__setattr__(own, "value", chosen)
    layer = mho.convert(torch.nn.Linear(12, 6), mho.Hardware(dac=mho.DAC(range=own)))
    with pytest.raises(ValueError, match="chose .* from inputs of the layer: a full scale is a finite"):
        mho.calibrate(layer, [DATA])
    with pytest.raises(ConfigError, match="it gives -1.0; a full scale is a finite number above 0"):
        mho.Hardware(adc=mho.ADC(range=range.Backwards()))


def test_a_converter_of_one_method_has_a_range_and_no_noise() -> None:
    layer = mho.convert(torch.nn.Linear(12, 6), mho.Hardware(adc=converter.Sign())).eval()
    mho.calibrate(layer, [DATA])
    mho.program(layer, seed=0)
    scale = layer.weight.detach().abs().amax(1)
    with torch.no_grad():
        wanted = layer.output_range * scale * torch.sign(X @ layer.weight.T) + layer.bias
        alike(layer(X), wanted)


@pytest.mark.parametrize("programmed", [False, True])
def test_a_uniform_converter_may_round_in_its_own_way(programmed: bool) -> None:
    """It was rounded to the nearest code all the same."""
    hardware = mho.Hardware(dac=converter.Down(bits=4), adc=mho.ADC(bits=None))
    layer = mho.convert(torch.nn.Linear(12, 6), hardware).eval()
    mho.calibrate(layer, [DATA])
    if programmed:
        mho.program(layer, seed=0)
    step = layer.input_range / 7
    with torch.no_grad():
        wanted = ((X / step).floor().clamp(-7, 7) * step) @ layer.weight.T + layer.bias
        alike(layer(X), wanted)
        both = mho.convert(torch.nn.Linear(12, 6), mho.Hardware(dac=mho.DAC(), adc=converter.DownADC(bits=3)))
        mho.calibrate(both.eval(), [DATA])
        mho.program(both, seed=0)
        lsb = both.output_range * both.weight.abs().amax(1) * both.input_range / 3
        codes = (both(X) - both.bias) / lsb
    assert float((codes - codes.round()).abs().max()) < 1e-3
    assert float((codes * lsb - X @ both.weight.T).detach().mean() / lsb.mean()) < -0.3


def test_a_correction_of_nothing_is_refused() -> None:
    """It ran as the correction of one gain for each layer."""
    with pytest.raises(TypeError, match="Nothing is abstract: a correction writes from_reference, from_out"):
        correction.Nothing()
    layer = lived(STRANGERS[0])
    kept = {name: value.clone() for name, value in layer.state_dict().items()}
    with pytest.raises(ValueError, match=r"Median\(\) takes no data"):
        mho.compensate(layer, correction.Median(), [DATA])
    assert all(torch.equal(value, kept[name]) for name, value in layer.state_dict().items())


# --- parts of one's own beside all others ----------------------------------------------------------

RANGES = [
    Fixed(limit=2.0), Calibrated(per_tile=True), LeastSquares(per_slice=True), Learned(), Dynamic(),
    AutoRange(), range.Sigmas(), range.MeanSquare(),
]  # fmt: skip


@pytest.mark.parametrize("how", RANGES, ids=lambda how: type(how).__name__)
@pytest.mark.parametrize(
    "dac", [mho.DAC(), mho.DAC(stream=Stream(bits=2)), None], ids=["dac", "stream", "none"]
)
def test_a_third_family_takes_every_range_and_layer(how: Range, dac: mho.DAC | None) -> None:
    hardware = mho.Hardware(
        device=mho.devices.PCM(read_scale=0.0),
        mapping=mho.mapping.BitSlicing(bits=7, slices=2),
        tile=mho.Tile(rows=5, columns=4),
        dac=dac,
        adc=converter.Skewed(range=how),
    )
    torch.manual_seed(0)
    linear, conv = torch.nn.Linear(12, 6), torch.nn.Conv2d(12, 6, 1)
    with torch.no_grad():
        conv.weight.copy_(linear.weight[..., None, None])
        conv.bias.copy_(linear.bias)
    found = []
    for layer, shape in ((linear, (-1, 12)), (conv, (-1, 12, 1, 1))):
        analog = mho.convert(layer, hardware).eval()
        mho.calibrate(analog, [DATA.view(shape)])
        mho.program(analog, seed=0)
        with torch.no_grad():
            found.append(analog(X.view(shape)).flatten(1))
    alike(found[0], found[1])
    with torch.no_grad():
        error = (found[0] - linear(X)).square().mean().sqrt() / linear(X).square().mean().sqrt()
    assert 0.01 < float(error) < 0.5  # codes of a logarithm are coarse where currents are large


def test_a_third_family_reads_tables_row_by_row() -> None:
    hardware = mho.Hardware(tile=mho.Tile(rows=5, columns=4), adc=converter.Skewed())
    torch.manual_seed(0)
    table = torch.nn.Embedding(12, 6)
    analog = mho.convert(table, hardware).eval()
    rows = torch.arange(12)
    mho.calibrate(analog, [rows])
    mho.program(analog, seed=0)
    with torch.no_grad():
        found, wanted = analog(rows), table(rows)
    gains = 1 + 0.05 * analog.chip.converters[0, :, 0, :, 0]  # [tile, column]
    tiles = torch.tensor([k for k, (a, b) in enumerate(analog.layout.rows) for _ in builtins.range(a, b)])
    scale = wanted.abs().amax(0)
    by_hand = converter.logarithmic((wanted / scale * gains[tiles]).double(), analog.output_range.double())
    alike(found, by_hand * scale)

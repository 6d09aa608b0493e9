"""Codes of the converters against plain arithmetic."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import mho
from mho import ADC, DAC
from mho.config import from_json, to_json
from mho.converters import Calibrated, Fixed, Learned
from mho.errors import ConfigError
from mho.mapping import Fixed as FixedWeight

X = torch.linspace(-3, 3, 2_001, dtype=torch.float64) * 0.99937


@given(
    st.sampled_from([ADC, DAC]),
    st.integers(1, 14),
    st.booleans(),
    st.booleans(),
    st.floats(0.1, 5),
)
def test_levels(kind: type, bits: int, signed: bool, zero: bool, limit: float) -> None:
    """``2^bits`` levels between the ends; one less where zero is a level of a signed grid."""
    assume(not (signed and zero and bits == 1))
    levels = 2**bits - (1 if signed and zero else 0)
    low = -limit if signed else 0.0
    step = (limit - low) / (levels - 1)
    wanted = low + np.rint((np.clip(X.numpy(), low, limit) - low) / step) * step
    got = kind(bits=bits, signed=signed, zero=zero).quantise(X, limit).numpy()
    # a value half-way between two levels may go to either
    between = np.abs(np.abs((X.numpy() - low) / step % 1) - 0.5) < 1e-9
    np.testing.assert_allclose(got[~between], wanted[~between], atol=1e-9 * limit)
    assert len(np.unique(np.rint(got / step * 2))) <= levels


@given(st.integers(1, 400), st.floats(-3, 2), st.floats(0.1, 4))
def test_steps_between_any_two_ends(steps: int, low: float, width: float) -> None:
    limit = low + width
    assume(limit > 0.05 * width)
    adc = ADC(bits=None, steps=steps, zero=False, signed=low < 0, range=Fixed(limit=limit, low=low))
    step = width / steps
    wanted = low + np.rint((np.clip(X.numpy(), low, limit) - low) / step) * step
    got = adc.quantise(X, limit).numpy()
    between = np.abs(np.abs((X.numpy() - low) / step % 1) - 0.5) < 1e-6
    np.testing.assert_allclose(got[~between], wanted[~between], atol=1e-6 * max(limit, width))


def test_halves_round_to_the_even_code() -> None:
    x = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5]) / 7
    assert (ADC(bits=4).quantise(x, 1.0) * 7).tolist() == pytest.approx([0, 2, 2, 0, -2])


@pytest.mark.parametrize("bits", [4, 10, 24])
def test_codes_are_whole_numbers(bits: int) -> None:
    grid = ADC(bits=bits).grid()
    codes = grid.codes(X * grid.high)
    assert torch.equal(codes, codes.round()) and float(codes.max()) == 2 ** (bits - 1) - 1
    assert torch.equal(grid.codes_((X * grid.high).clone()), codes)
    half = ADC(bits=bits, zero=False).grid()
    codes = half.codes(X * half.high)
    assert torch.equal((codes + 0.5).round(), codes + 0.5)
    assert torch.equal(half.codes_((X * half.high).clone()), codes)


def test_quantisation_noise() -> None:
    """A twelfth of a step squared, and no bias."""
    x = torch.empty(400_000, dtype=torch.float64).uniform_(-1, 1)
    for bits in (6, 8):
        adc = ADC(bits=bits)
        error = adc.quantise(x, 1.0) - x
        step = 1 / (2 ** (bits - 1) - 1)
        assert float(error.var()) == pytest.approx(step**2 / 12, rel=0.01)
        assert abs(float(error.mean())) < 5 * step / (12 * len(x)) ** 0.5


@given(st.floats(-3, 3), st.integers(2, 12))
def test_gradients_pass_the_steps_and_stop_at_the_ends(value: float, bits: int) -> None:
    assume(abs(abs(value) - 1) > 1e-6)
    x = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    y = ADC(bits=bits).quantise(x, 1.0)
    (grad,) = torch.autograd.grad(y, x)
    assert float(grad) == (1.0 if abs(value) < 1 else 0.0)


def test_the_gradient_at_the_very_end_passes() -> None:
    x = torch.tensor([-1.0, 1.0], requires_grad=True)
    (grad,) = torch.autograd.grad(DAC(bits=8).quantise(x, 1.0).sum(), x)
    assert grad.tolist() == [1.0, 1.0]


WRONG = {
    "no bits": (lambda: DAC(bits=0), r"DAC\.bits = 0: .*greater than or equal to 1"),
    "too many": (lambda: ADC(bits=25), r"ADC\.bits = 25: .*less than or equal to 24"),
    "a text": (lambda: DAC(bits="8"), r"DAC\.bits = '8': .*valid integer"),
    "truth": (lambda: DAC(bits=True), r"DAC\.bits = True: .*valid integer"),
    "one bit with a sign": (
        lambda: DAC(bits=1),
        r"bits = 1: .*needs 2 bits .*; use bits=2, or signed=False .*, or zero=False",
    ),
    "no steps": (lambda: ADC(steps=0), r"ADC\.steps = 0"),
    "odd steps around zero": (
        lambda: ADC(steps=3),
        "steps = 3: zero is a level .* only if .* even; use an even number or zero=False",
    ),
    "both": (lambda: ADC(bits=4, steps=10), "bits = 4 and steps = 10: give one of them"),
    "both, of the default": (
        lambda: ADC(bits=8, steps=100),
        "bits = 8 and steps = 100: give one of them .8 bits are 254 steps here., or bits=None beside steps",
    ),
    "both, replaced": (lambda: dataclasses.replace(DAC(), steps=100), "bits = 8 and steps = 100"),
    "both, in a file": (
        lambda: from_json('{"kind": "converters.DAC", "bits": 8, "steps": 100}'),
        "bits = 8 and steps = 100",
    ),
    "negative noise": (lambda: ADC(noise=-0.1), r"ADC\.noise = -0\.1"),
    "a number for a range": (
        lambda: ADC(range=3.0),
        r"ADC\.range = 3\.0: give one of converters\..*converters\.Calibrated\(\.\.\.\), ",
    ),
    "the other Fixed": (lambda: ADC(range=FixedWeight()), r"ADC\.range = Fixed\(weight=1\.0\): give one of"),
    "no limit": (lambda: Fixed(limit=0.0), r"Fixed\.limit = 0\.0: .*greater than 0"),
    "upside down": (lambda: Fixed(limit=1.0, low=1.0), "low = 1.0 must be below limit = 1.0"),
    "no quantile": (lambda: Calibrated(quantile=0.0), r"Calibrated\.quantile = 0\.0"),
    "more than all": (lambda: Calibrated(quantile=1.5), r"Calibrated\.quantile = 1\.5"),
    "starts at nothing": (lambda: Learned(initial=0.0), r"Learned\.initial = 0\.0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_descriptions_are_named(name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(ConfigError, match=message):
        make()


def test_an_ideal_converter_has_no_codes() -> None:
    assert torch.equal(ADC(bits=None).quantise(X, 1.0), X)
    with pytest.raises(ValueError, match="an ideal converter has no codes"):
        ADC(bits=None).grid()


@pytest.mark.parametrize("converter", [ADC, DAC])
def test_steps_take_the_place_of_bits(converter: type) -> None:
    """Also in files, whether or not they name ``bits``; agreeing values contradict nothing."""
    made = converter(steps=100)
    assert made.bits is None and made.grid().high == 50 and converter().bits == 8
    assert made == converter(bits=None, steps=100) == from_json(to_json(made))
    kind = f"converters.{converter.__name__}"
    assert from_json(f'{{"kind": "{kind}", "steps": 100}}') == made
    assert from_json(f'{{"kind": "{kind}", "bits": null}}') == converter(bits=None) != converter()
    for agreeing in (converter(bits=8, steps=254), converter(bits=8, steps=255, signed=False)):
        assert agreeing.grid().high == agreeing.steps / (2 if agreeing.signed else 1)
    assert converter(bits=None).ideal and not made.ideal
    x = torch.linspace(-1.2, 1.2, 97)
    assert torch.equal(made.quantise(x, 1.0), converter(bits=None, steps=100).quantise(x, 1.0))


def test_steps_have_a_price_as_bits_have() -> None:
    def energy(**resolution: int) -> float:
        adc = ADC(signed=False, range=Fixed(limit=4.0), **resolution)
        model = mho.convert(torch.nn.Linear(4, 3), mho.Hardware(adc=adc, dac=DAC(bits=None)))
        mho.program(model, seed=0)
        return mho.cost(model, [torch.ones(1, 4)]).energy["ADC"]

    assert energy(steps=255) == energy(bits=8) > energy(steps=100) > energy(steps=50)

"""Weights to conductances: each mapping against its formula."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import mho
from mho.errors import ConfigError
from mho.mapping import (
    BitSlicing,
    DifferentialPair,
    Fixed,
    Mapping,
    Maximum,
    Offset,
    Percentile,
    Scale,
    SignificancePairs,
)

BOUNDS = st.sampled_from([(0.0, 25e-6), (1e-6, 20e-6), (9e-6, 88e-6)])
WEIGHTS = torch.linspace(-1, 1, 101, dtype=torch.float64).view(1, 101, 1)


def cells(mapping: object, g_min: float, g_max: float, w: Tensor = WEIGHTS) -> np.ndarray:
    """``[copy, weight]`` without a unit column, siemens."""
    return mapping.targets(w, g_min, g_max)[:, 0, :, 0].numpy()


def rounded(x: np.ndarray, levels: int | None) -> np.ndarray:
    return x if levels is None else np.rint(x * (levels - 1)) / (levels - 1)


@given(BOUNDS, st.sampled_from([None, 2, 3, 16, 255]), st.booleans())
def test_pairs(bounds: tuple[float, float], levels: int | None, two_sided: bool) -> None:
    g_min, g_max = bounds
    w = WEIGHTS.flatten().numpy()
    plus, minus = cells(DifferentialPair(levels=levels, two_sided=two_sided), g_min, g_max)
    one, other = ((1 + w) / 2, (1 - w) / 2) if two_sided else (np.maximum(w, 0), np.maximum(-w, 0))
    np.testing.assert_allclose(plus, g_min + (g_max - g_min) * rounded(one, levels), rtol=1e-9)
    np.testing.assert_allclose(minus, g_min + (g_max - g_min) * rounded(other, levels), rtol=1e-9)
    if two_sided and levels is None:
        np.testing.assert_allclose(plus + minus, g_min + g_max, rtol=1e-9)
    if not two_sided:
        assert np.all(np.minimum(plus, minus) == g_min)  # a zero weight draws the least current


@given(BOUNDS, st.sampled_from([None, 3, 4, 15, 16, 256]))
def test_offset(bounds: tuple[float, float], levels: int | None) -> None:
    """An even number of levels leaves the lowest one unused: zero is a level then."""
    g_min, g_max = bounds
    w = WEIGHTS.flatten().numpy()
    (g,) = cells(Offset(levels=levels), g_min, g_max)
    low, used = g_min, levels
    if levels is not None and levels % 2 == 0:
        low, used = g_min + (g_max - g_min) / (levels - 1), levels - 1
    middle = (g_max + low) / 2
    np.testing.assert_allclose(g, low + (g_max - low) * rounded((1 + w) / 2, used), rtol=1e-9)
    assert g[50] == pytest.approx(middle, rel=1e-9)
    if levels is not None:
        grid = (g - g_min) / (g_max - g_min) * (levels - 1)
        np.testing.assert_allclose(grid, np.rint(grid), atol=1e-6)
    with_column = Offset(levels=levels, unit_column=True).targets(WEIGHTS.expand(1, 101, 2), g_min, g_max)
    assert with_column.shape == (1, 1, 101, 3)
    np.testing.assert_allclose(with_column[..., -1].numpy(), middle, rtol=1e-9)
    np.testing.assert_allclose(with_column[0, 0, :, 0].numpy(), g, rtol=1e-9)


CROSSSIM = Path(__file__).parents[1] / "reference/data/crosssim"


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("style", ["digital", "unitcol"])
def test_the_unused_level_as_crosssim_counts_it(style: str, bits: int) -> None:
    """CrossSim's products without any other factor; zero stays zero."""
    arrays = np.load(CROSSSIM / "det_16.npz")
    described = json.loads((CROSSSIM / "det_16.json").read_text())[f"offset_{style}_cell{bits}"]["params"]
    assert described["xbar.device.cell_bits"] == bits
    wanted = arrays[f"y:offset_{style}_cell{bits}"]
    w, x = (torch.tensor(arrays[name], dtype=torch.float64) for name in ("W", "X"))
    one = Maximum()  # CrossSim has one scale for each layer
    mapping = Offset(levels=2**bits, unit_column=style == "unitcol", counts_unused=True, scale=one)
    layer = mho.nn.AnalogLinear(
        16, 16, bias=False, dtype=torch.float64, hardware=mho.Hardware(mapping=mapping)
    ).eval()
    with torch.no_grad():
        layer.weight.copy_(w)
        got = layer(x.T).T.numpy()
        assert np.abs(got - wanted).max() <= 1e-6 * np.abs(wanted).max()
        layer.crossbar.hardware = replace(layer.hardware, mapping=replace(mapping, counts_unused=False))
        larger = layer(x.T).T.numpy()
        np.testing.assert_allclose(got, larger * (2**bits - 2) / (2**bits - 1), rtol=1e-9, atol=1e-12)
        layer.weight.zero_()
        assert layer(x.T).abs().max() < 1e-12


@given(st.integers(2, 10), st.data(), st.booleans())
def test_digits_of_bit_slices(bits: int, data: st.DataObject, offset: bool) -> None:
    """Every integer weight is the sum of its digits, each in a cell of ``bits_per_slice`` bits."""
    slices = data.draw(st.integers(1, bits if offset else bits - 1))
    mapping = BitSlicing(bits=bits, slices=slices, offset=offset)
    top = 2 ** (bits - 1) - 1
    integers = torch.arange(-top, top + 1, dtype=torch.float64)
    g_min, g_max = data.draw(BOUNDS)
    b = mapping.bits_per_slice
    expected = bits // slices if bits % slices == 0 else math.ceil((bits if offset else bits - 1) / slices)
    assert b == expected
    fractions = (cells(mapping, g_min, g_max, (integers / top).view(1, -1, 1)) - g_min) / (g_max - g_min)
    digits = fractions * (2**b - 1)
    np.testing.assert_allclose(digits, np.rint(digits), atol=1e-6)
    assert digits.min() > -1e-6 and digits.max() < 2**b - 1 + 1e-6
    values = np.rint(digits) if offset else np.rint(digits[0::2]) - np.rint(digits[1::2])
    total = (values * (2.0**b) ** np.arange(slices)[:, None]).sum(0)
    np.testing.assert_array_equal(total - (2 ** (bits - 1) if offset else 0), integers)
    if not offset:
        assert np.all(np.minimum(digits[0::2], digits[1::2]) < 1e-6)


@given(BOUNDS, st.lists(st.floats(0.25, 8), min_size=1, max_size=4))
def test_significance(bounds: tuple[float, float], factors: list[float]) -> None:
    """The pair of the lowest factor fills first; the sum of all is the weight."""
    g_min, g_max = bounds
    factors = sorted(factors)
    span, w = g_max - g_min, WEIGHTS.flatten().numpy()
    wanted, lower = w * sum(factors) * span, 0.0
    g = cells(SignificancePairs(factors=tuple(factors)), g_min, g_max)
    for k, factor in enumerate(factors):
        for cell, sign in ((2 * k, 1), (2 * k + 1, -1)):
            fill = np.clip((np.maximum(sign * wanted, 0) - lower) / factor, 0, span)
            np.testing.assert_allclose(g[cell], g_min + fill, rtol=1e-9)
        lower += factor * span
    pairs = g[0::2] - g[1::2]
    np.testing.assert_allclose(
        (np.array(factors)[:, None] * pairs).sum(0), wanted, atol=1e-9 * span * sum(factors)
    )
    for low, high in zip(np.abs(pairs)[:-1], np.abs(pairs)[1:], strict=True):
        assert np.all(low[high > 1e-9 * span] > span * (1 - 1e-9))


@pytest.mark.parametrize(
    ("integer", "digits"), [(127, [3, 3, 3, 1]), (-63, [-3, -3, -3, 0]), (0, [0, 0, 0, 0])]
)
def test_a_worked_weight(integer: int, digits: list[int]) -> None:
    g = BitSlicing(bits=8, slices=4).targets(torch.tensor([[integer / 127]], dtype=torch.float64), 0.0, 3.0)
    assert (g[0::2] - g[1::2]).flatten().tolist() == pytest.approx(digits)


# --- scales -----------------------------------------------------------------------------------


def weight(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


@pytest.mark.parametrize("fraction", [0.5, 0.95, 0.999, 1.0])
def test_percentiles(fraction: float) -> None:
    w = weight(2, 30, 5)
    one = Percentile(fraction=fraction).reference(w)
    assert one.shape == (1, 1, 1)
    assert float(one) == pytest.approx(np.quantile(w.abs().numpy(), fraction), rel=1e-6)
    each = Percentile(fraction=fraction, per_column=True).reference(w)
    assert each.shape == (2, 1, 5)
    np.testing.assert_allclose(each[:, 0], np.quantile(w.abs().numpy(), fraction, axis=1), rtol=1e-6)


def test_maxima() -> None:
    w = weight(2, 30, 5)
    assert float(Maximum().reference(w)) == float(w.abs().max())
    torch.testing.assert_close(Maximum(per_column=True).reference(w)[:, 0], w.abs().amax(1))
    assert float(Fixed(weight=0.3).reference(w)) == pytest.approx(0.3)


SCALES = [Maximum(), Maximum(per_column=True), Percentile(), Percentile(per_column=True)]


@pytest.mark.parametrize("scale", SCALES, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_column_of_zeros_is_read_like_the_quietest_of_the_others(scale: Scale, dtype: torch.dtype) -> None:
    w = weight(2, 6, 3).to(dtype)
    w[0, :, 1] = 0
    reference = scale.reference(w)
    assert reference.dtype == dtype and bool((reference > 0).all())
    if reference.numel() > 1:
        others = torch.cat([reference[0, 0, [0, 2]], reference[1, 0]])
        assert reference[0, 0, 1] == others.min()
        torch.testing.assert_close(reference[1], scale.reference(w[1:])[0])


@pytest.mark.parametrize("scale", SCALES, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_reference_of_zeros_is_nothing(scale: Scale, dtype: torch.dtype) -> None:
    reference = scale.reference(torch.zeros(1, 6, 3, dtype=dtype))
    assert reference.dtype == dtype and bool((reference > 0).all())
    assert float(reference.max()) < 1e-4  # what float16 has; 1e-20 for all others
    assert dtype == torch.float16 or float(reference.max()) < 1e-20
    assert bool((0 / reference == 0).all())


@pytest.mark.parametrize("zeros", [0.0, 0.5, 0.9, 0.97])
@pytest.mark.parametrize("per_column", [False, True])
def test_percentiles_do_not_count_zeros(zeros: float, per_column: bool) -> None:
    """A pruned network keeps the scale of the weights that are left."""
    live = weight(1, 200, 4)
    w = torch.cat([torch.zeros(1, round(200 * zeros / (1 - zeros)), 4, dtype=live.dtype), live], dim=1)
    scale = Percentile(fraction=0.95, per_column=per_column)
    torch.testing.assert_close(scale.reference(w), scale.reference(live))


MAPPINGS = sorted(Mapping.__subclasses__(), key=lambda kind: kind.__name__)


def of_mho(kinds: list[type[Mapping]]) -> list[type[Mapping]]:
    return [kind for kind in kinds if kind.__module__.startswith("mho.")]


@pytest.mark.parametrize("kind", of_mho(MAPPINGS), ids=lambda kind: kind.__name__)
def test_each_column_has_a_scale_of_its_own_by_default(kind: type[Mapping]) -> None:
    """A large weight in one column changes no conductance of another."""
    made = kind()
    w = weight(1, 6, 3)
    targets = made.targets(w / made.scale.reference(w), 1e-6, 20e-6)
    w[0, 2, 1] = 100.0
    again = made.targets(w / made.scale.reference(w), 1e-6, 20e-6)
    assert torch.equal(targets[..., [0, 2]], again[..., [0, 2]])
    assert not torch.equal(targets[..., 1], again[..., 1])


def error(layer: torch.nn.Linear, mapping: Mapping) -> Tensor:
    """Deviation of the weights of each output, over eight chips."""
    analog = mho.convert(layer, mho.Hardware(device=mho.devices.PCM(), mapping=mapping))
    found = []
    for seed in range(8):
        mho.program(analog, seed=seed)
        found.append(mho.effective_weights(analog)[""] - layer.weight.detach())
    return torch.stack(found).std(dim=(0, 2))


@pytest.mark.parametrize("scale", SCALES, ids=repr)
@pytest.mark.parametrize("kind", of_mho(MAPPINGS), ids=lambda kind: kind.__name__)
def test_a_pruned_channel_is_no_noisier_than_the_others(kind: type[Mapping], scale: Scale) -> None:
    layer = torch.nn.Linear(64, 8, bias=False)
    with torch.no_grad():
        layer.weight.mul_(0.1)
        layer.weight[3] = 0
        found = error(layer, kind(scale=scale))
        assert found[3] <= 1.2 * found[[0, 1, 2, 4, 5, 6, 7]].max()
        layer.weight.zero_()
        assert error(layer, kind(scale=scale)).max() < 1e-20


@pytest.mark.parametrize("per_column", [False, True])
def test_a_sparse_layer_is_no_noisier_than_with_its_largest_weight_as_reference(per_column: bool) -> None:
    layer = torch.nn.Linear(400, 8, bias=False)
    with torch.no_grad():
        layer.weight.mul_(torch.rand_like(layer.weight) < 0.03)
    largest = error(layer, DifferentialPair(scale=Maximum(per_column=per_column)))
    found = error(layer, DifferentialPair(scale=Percentile(fraction=0.95, per_column=per_column)))
    assert bool((found < 1.2 * largest).all())


def test_a_quantile_of_very_many_weights() -> None:
    """torch refuses more than 2^24; a strided sample is enough."""
    w = torch.rand(1, 2**13, 2**12)
    assert float(Percentile(fraction=0.9).reference(w)) == pytest.approx(0.9, abs=1e-3)


# --- wrong descriptions -----------------------------------------------------------------------

WRONG = {
    "one level": (
        lambda: DifferentialPair(levels=1),
        r"DifferentialPair\.levels = 1: .*greater than or equal to 2",
    ),
    "two levels around zero": (lambda: Offset(levels=2), r"Offset\.levels = 2: .*greater than or equal to 3"),
    "all levels used": (lambda: Offset(levels=15, counts_unused=True), "levels = 15: all levels are used"),
    "no levels": (lambda: Offset(counts_unused=True), "levels = None: all levels are used"),
    "one bit": (lambda: BitSlicing(bits=1), r"BitSlicing\.bits = 1: .*greater than or equal to 2"),
    "no slice": (lambda: BitSlicing(slices=0), r"BitSlicing\.slices = 0"),
    "empty slices": (
        lambda: BitSlicing(bits=4, slices=4),
        "a weight of 4 bits has 3 bits to share among slices; choose at most 3",
    ),
    "column for pairs": (
        lambda: BitSlicing(unit_column=True),
        "balanced slices need no reference; set offset=True or drop it",
    ),
    "no factor": (
        lambda: SignificancePairs(factors=()),
        r"factors = \(\): give at least one factor, in rising order",
    ),
    "falling factors": (lambda: SignificancePairs(factors=(3.0, 1.0)), "in rising order"),
    "no factor at all": (
        lambda: SignificancePairs(factors=(0.0, 1.0)),
        r"SignificancePairs\.factors\.0 = 0\.0: .*greater than 0",
    ),
    "nothing": (lambda: Percentile(fraction=0.0), r"Percentile\.fraction = 0\.0: .*greater than 0"),
    "more than all": (
        lambda: Percentile(fraction=1.1),
        r"Percentile\.fraction = 1\.1: .*less than or equal to 1",
    ),
    "no weight": (lambda: Fixed(weight=0.0), r"Fixed\.weight = 0\.0: .*greater than 0"),
    "no scale": (lambda: Offset(scale=2.0), r"Offset\.scale = 2\.0: give one of .*mapping\.Maximum"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_descriptions_are_named(name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(ConfigError, match=message):
        make()

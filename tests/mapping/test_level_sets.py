import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import assume, given

from mho.config import from_dict, to_dict
from mho.errors import ConfigError
from mho.mapping import (
    Affine,
    DevicePair,
    EvenLevels,
    Fixed,
    LogLevels,
    Maximum,
    Percentile,
    SingleDevice,
    Symmetric,
    measured_states,
    read_states,
)
from mho.mapping.level_sets import distinct, nearest, table
from mho.training import Quantizer

STATES = st.lists(st.floats(1e-9, 1e-3), min_size=2, max_size=12).filter(
    lambda s: max(s) - min(s) > 1e-6 * max(s)
)
SETS = st.one_of(
    STATES.map(lambda s: SingleDevice(states=tuple(s))),
    STATES.map(lambda s: DevicePair(states=tuple(s))),
    st.integers(2, 40).map(lambda n: EvenLevels(count=n)),
    st.builds(lambda n, r: LogLevels(per_sign=n, ratio=r), st.integers(2, 20), st.floats(1.5, 1e4)),
)
WEIGHTS = st.lists(st.floats(-1.5, 1.5, width=32), min_size=1, max_size=30)


def exact_states():
    path = Path(__file__).parents[2] / "src/mho/mapping/data/memristor_states.csv"
    return [Decimal(line.split(",")[1]) for line in path.read_text().splitlines()[1:]]


def test_the_measured_states_give_200_levels_of_which_none_is_zero():
    levels = SingleDevice(states=measured_states()).values()
    assert len(levels) == 200
    assert (levels == 0).sum() == 0
    smallest, largest = min(exact_states()), max(exact_states())
    assert levels.abs().min().item() == pytest.approx(float(smallest / largest), rel=1e-15)


def test_the_pair_differences_are_those_of_exact_arithmetic():
    states = exact_states()
    exact = sorted({a - b for a in states for b in states})
    assert len(exact) == 9805
    levels = DevicePair(states=measured_states()).values()
    assert len(levels) == len(exact)
    np.testing.assert_allclose(levels.numpy(), [float(d / exact[-1]) for d in exact], rtol=0, atol=1e-12)
    assert 0.0 in levels


def test_without_a_tolerance_floating_differences_split_levels():
    assert len(DevicePair(states=measured_states(), tolerance=0.0).values()) > 9805


@given(SETS)
def test_every_set_is_rising_symmetric_and_spans_minus_one_to_one(levels):
    v = levels.values()
    assert (v.diff() > 0).all()
    assert v[0] == -1 and v[-1] == 1
    torch.testing.assert_close(v, -v.flip(0), rtol=0, atol=1e-12)
    assert from_dict(to_dict(levels)) == levels


@given(SETS, WEIGHTS, st.sampled_from([torch.float32, torch.float64]))
def test_no_level_is_nearer_and_ties_go_to_the_lower_one(levels, weights, dtype):
    known = table(levels, dtype)
    w = torch.tensor(weights, dtype=dtype)
    exact = [Fraction(v) for v in known.values.tolist()]
    for weight, found in zip(w.tolist(), nearest(w, known).tolist(), strict=True):
        # min gives the first of equal ones: the lower level
        assert Fraction(found) == min(exact, key=lambda level: abs(level - Fraction(weight)))


@given(SETS)
def test_exact_midpoints_go_down_and_the_next_number_up(levels):
    known = table(levels, torch.float32)
    a, b = known.values[:-1], known.values[1:]
    middle = (a.double() + b.double()) / 2
    is_number = middle == middle.float().double()
    assume(bool(is_number.any()))
    m, a, b = middle[is_number].float(), a[is_number], b[is_number]
    assert torch.equal(nearest(m, known), a)
    assert torch.equal(nearest(torch.nextafter(m, torch.tensor(2.0)), known), b)


def test_levels_go_to_themselves_and_outliers_to_the_ends():
    known = table(DevicePair(states=measured_states()), torch.float64)
    assert torch.equal(nearest(known.values, known), known.values)
    assert nearest(torch.tensor([-3.0, 3.0, math.inf], dtype=torch.float64), known).tolist() == [-1, 1, 1]


def test_a_table_is_made_once():
    levels = EvenLevels(count=5)
    assert table(levels, torch.float32).values is table(EvenLevels(count=5), torch.float32).values


def test_nearest_compiles_as_one_graph():
    levels = SingleDevice(states=measured_states())

    def f(w):
        return nearest(w, table(levels, w.dtype, w.device))

    w = torch.randn(50)
    assert torch.equal(torch.compile(f, fullgraph=True, backend="eager")(w), f(w))


def test_nearest_of_transposed_and_empty_weights():
    known = table(EvenLevels(count=3), torch.float32)
    w = torch.tensor([[0.9, -0.2], [0.4, -2.0]])
    assert nearest(w.t(), known).tolist() == [[1.0, 0.0], [0.0, -1.0]]
    assert nearest(torch.empty(0, 3), known).shape == (0, 3)


@pytest.mark.parametrize(
    "normalisation, expected",
    [
        (Symmetric(), [2.0, 2.0, 0.0]),
        (Symmetric(scale=Maximum(per_column=True)), [2.0, 0.5, 0.0]),
        (Symmetric(scale=Fixed(weight=1.0)), [1.0, 1.0, 0.0]),
        (Affine(), [1.25, 1.25, 0.75]),
        (Affine(per_column=True), [1.0, 0.5, 1.0]),
    ],
)
def test_normalisations(normalisation, expected):
    weight = torch.tensor([[[0.0, -0.5], [2.0, 0.5]]])  # two columns: 0 to 2, and -0.5 to 0.5
    factor, shift = normalisation.fit(weight)
    shift = torch.zeros(1, 1, 2) if shift is None else shift.expand(1, 1, 2)
    assert [*factor.expand(1, 1, 2).flatten().tolist(), shift[0, 0, 0].item()] == expected


@pytest.mark.parametrize("normalisation", [Symmetric(), Affine(), Affine(per_column=True)])
def test_equal_weights_have_a_finite_factor(normalisation):
    for value in (0.0, 0.25):
        factor, shift = normalisation.fit(torch.full((1, 3, 2), value))
        assert torch.isfinite(factor).all() and (factor > 0).all()
        assert shift is None or torch.equal(shift, torch.full_like(shift, value))


STATES_WITHOUT_ZERO = SingleDevice(states=measured_states())


def on_levels(weight, normalisation, levels=STATES_WITHOUT_ZERO):
    return Quantizer(levels=levels, normalisation=normalisation).nearest(weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "normalisation",
    [
        Symmetric(scale=Maximum(per_column=True)),
        Symmetric(scale=Percentile(per_column=True)),
        Affine(per_column=True),
    ],
)
def test_a_pruned_column_stays_nothing_beside_small_weights(normalisation, dtype):
    weight = torch.randn(1, 6, 3, dtype=dtype) * 0.004
    weight[..., 1] = 0.0
    found = on_levels(weight, normalisation)
    assert found[..., 1].abs().max() < 1e-30
    torch.testing.assert_close(found[..., [0, 2]], on_levels(weight[..., [0, 2]], normalisation))
    assert (found - weight).abs().max() < 0.004


@pytest.mark.parametrize("normalisation", [Symmetric(), Symmetric(scale=Percentile()), Affine()])
def test_a_layer_of_zeros_stays_nothing(normalisation):
    assert on_levels(torch.zeros(1, 3, 2), normalisation, EvenLevels(count=2)).abs().max() < 1e-30


@pytest.mark.parametrize("per_column", [False, True])
def test_equal_weights_stay_what_they_are(per_column):
    weight = torch.full((1, 3, 2), 0.3)
    assert torch.equal(on_levels(weight, Affine(per_column=per_column)), weight)


def test_a_sparse_column_has_its_largest_weight_as_the_reference():
    weight = torch.zeros(1, 100, 2)
    weight[0, 0] = torch.tensor([0.004, 0.5])
    factor, _ = Symmetric(scale=Percentile(fraction=0.9, per_column=True)).fit(weight)
    torch.testing.assert_close(factor.flatten(), torch.tensor([0.004, 0.5]))


def test_a_fixed_reference_stays_for_zeros():
    factor, _ = Symmetric(scale=Fixed(weight=1.0)).fit(torch.zeros(1, 3, 2))
    assert factor.item() == 1.0


def test_nan_stays_nan():
    found = nearest(torch.tensor([math.nan, 0.4]), table(EvenLevels(count=3), torch.float32))
    assert found[0].isnan() and found[1] == 0.0


def test_distinct_of_one_value_and_of_runs():
    assert distinct(torch.tensor([2.0]), 1e-3).tolist() == [2.0]
    assert distinct(torch.tensor([1.0, 0.0, 1.0, 1.0 + 1e-9]).double(), 1e-6).tolist() == [0.0, 1.0]


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [SingleDevice, DevicePair])
@pytest.mark.parametrize(
    "states, sentence",
    [
        ((), "0 distinct states; a level set needs at least two"),
        ((1e-6,), "1 distinct state; a level set needs at least two"),
        ((1e-6, 1e-6), "1 distinct state"),
        ((1e-6, math.nan), "states.1 = nan"),
        ((1e-6, -1e-6), "states.1 = -1e-06.*greater than 0"),
    ],
)
def test_states_that_are_no_level_set(cls, states, sentence):
    with pytest.raises(ConfigError, match=sentence):
        cls(states=states)


@pytest.mark.parametrize("values", [{"count": 1}, {"count": 2.0}])
def test_too_few_even_levels(values):
    with pytest.raises(ConfigError, match="EvenLevels.count"):
        EvenLevels(**values)


def write(folder, text):
    path = folder / "states.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "pulse,conductance_S\n1,3e-6\n2,1e-6\n\n3,2e-6\n",
        "3e-6\n1e-6\n2e-6\n",
        "siemens\n3e-6\n1e-6\n2e-6\n",
        "\ufeff3e-6\n1e-6\n2e-6\n",
        "\ufeffconductance_S\n3e-6\n1e-6\n2e-6\n",
        "conductance_S\n3e-6,\n1e-6, \n2e-6\n",
    ],
)
def test_a_states_file_is_sorted(tmp_path, text):
    assert read_states(write(tmp_path, text)) == (1e-6, 2e-6, 3e-6)


def test_unsorted_repeated_states_count_once_and_are_reported(tmp_path):
    path = write(tmp_path, "conductance_S\n3e-6\n1e-6\n3e-6\n2e-6\n1e-6\n")
    with pytest.warns(UserWarning, match="2 of 5 states repeat another one; each of the 3 distinct"):
        assert read_states(path) == (1e-6, 2e-6, 3e-6)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("conductance_S\n1e-6\nnan\n", "line 3: 'nan' is not a conductance"),
        ("conductance_S\n1e-6\n-2e-6\n", "line 3: '-2e-6'"),
        ("conductance_S\n1e-6\ninf\n", "line 3: 'inf'"),
        ("conductance_S\n1e-6\nabc\n", "line 3: 'abc'"),
        ("pulse,conductance_S\n1,1e-6\n2\n", "line 3: ''"),
        ("conductance_S\n1e-6\n", "1 distinct state; a level set needs"),
        ("conductance_S\n", "0 distinct states"),
        ("", "0 distinct states"),
        ("pulse,g\n1,2e-6\n", "its columns are pulse, g; name the one"),
        (
            "conductance_S\n1,5e-6\n2,5e-6\n",
            "line 2: '1,5e-6' has 2 cells, .* first line has 1; .* decimal point",
        ),
        ("3e-6\n1,5e-6\n", "line 2: '1,5e-6' has 2 cells"),
        ("1,5e-6\n2,5e-6\n", "its columns are 1, 5e-6; .* decimal point"),
        ("pulse,conductance_S\n1,1e-6\n2,1,5e-6\n", "line 3: '2,1,5e-6' has 3 cells"),
    ],
)
def test_states_files_that_are_refused(tmp_path, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_states(write(tmp_path, text))


@pytest.mark.parametrize("raw", ["2e-6\n3 \u00b5S\n".encode("latin1"), "1e-6\n2e-6\n".encode("utf-16")])
def test_a_states_file_that_is_not_utf_8_is_named(tmp_path, raw):
    path = tmp_path / "states.csv"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"states\.csv: this is no CSV file in UTF-8"):
        read_states(path)

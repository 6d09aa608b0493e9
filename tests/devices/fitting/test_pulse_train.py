"""Potentiation and depression: parameters come back within their errors, layouts, bad input."""

from __future__ import annotations

import math
from importlib.resources import files

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from mho.devices import PulseTrain, fit
from mho.devices.dynamics import LinearStep
from mho.devices.fitting.pulse_law import FAR, Sweep, curve, fitted_branch, non_linearity

from .coverage import check_coverage


def law(first, last, c, pulses=100):
    return first + (last - first) * curve(np.arange(pulses) / (pulses - 1), c)


def noisy(g, std, seed):
    return g + std * np.random.default_rng(seed).normal(size=len(g))


@pytest.mark.parametrize("c", [3.0, 0.0, -1.5])
def test_errors_cover_the_truth(c) -> None:
    true = {
        "g_first": 5e-6,
        "g_last": 50e-6,
        "curvature": c,
        "non_linearity": non_linearity(c),
        "noise": 1e-6,
    }
    fits = [fit({"g_S": noisy(law(5e-6, 50e-6, c), 1e-6, seed)}, PulseTrain()) for seed in range(60)]
    for name, value in true.items():
        found = [f[f"up.{name}"] for f in fits]
        check_coverage(np.array([e.value for e in found]), np.array([e.error for e in found]), value)
    assert all(not any("alike" in note for note in f.card.notes) for f in fits[:1])


@pytest.mark.parametrize(("pulses", "least"), [(60, 0.87), (200, 0.9)])
def test_intervals_cover_the_truth_where_the_noise_is_hardly_forgotten(pulses: int, least: float) -> None:
    """60 pulses with a memory of .9 are six of its times: the best memory alone tells too little."""
    rho, std = 0.9, 0.5e-6
    true = {"g_first": 5e-6, "g_last": 45e-6, "curvature": 2.0, "noise": std, "memory": rho}
    inside = []
    for seed in range(40):
        eps = np.random.default_rng(seed).normal(size=pulses)
        fresh = math.sqrt(1 - rho**2)
        deviation = lfilter([fresh], [1, -rho], eps, zi=[(1 - fresh) * eps[0]])[0]
        found = fit({"g_S": law(5e-6, 45e-6, 2.0, pulses) + std * deviation}, PulseTrain())
        inside += [abs(found[f"up.{p}"].value - t) < 1.96 * found[f"up.{p}"].error for p, t in true.items()]
    assert least <= np.mean(inside) <= 0.99


def test_noise_that_adds_up_widens_the_errors() -> None:
    """Errors correlated from pulse to pulse: without the correction the z-scores would be 2.6 wide."""
    rho, z = 0.75, []
    for seed in range(60):
        steps = np.random.default_rng(seed).normal(size=200)
        walk = np.empty(200)
        walk[0] = steps[0] / np.sqrt(1 - rho**2)
        for n in range(1, 200):
            walk[n] = rho * walk[n - 1] + steps[n]
        made = fit({"g_S": law(5e-6, 50e-6, 2.0, 200) + 0.5e-6 * walk}, PulseTrain())
        z.append((made["up.curvature"].value - 2.0) / made["up.curvature"].error)
        assert "neighbouring residuals are alike" in " ".join(made.card.notes)
    assert 0.6 < np.std(z) < 1.6


def test_the_label_of_neurosim() -> None:
    """The published table of labels and A (pulses over all pulses), to its digits."""
    golden = {1.0: 1.251653, 1.75: 0.702081, 2.4: 0.499181, 4.88: 0.200303, 8.0: 0.052781}
    for label, a in golden.items():
        assert non_linearity(1 / a) == pytest.approx(label, abs=2e-5)
        assert non_linearity(-1 / a) == pytest.approx(-label, abs=2e-5)
    assert non_linearity(0.0) == 0.0
    # the largest perpendicular distance of the curve from its diagonal is 0.07 labels
    p = np.linspace(0, 1, 100_001)
    for c in (0.005, 2.0, 9.0, -3.0):
        distance = (curve(p, c) - p)[np.abs(curve(p, c) - p).argmax()] / np.sqrt(2)
        assert distance == pytest.approx(0.07 * non_linearity(c), rel=1e-4)


def test_the_model_repeats_the_train() -> None:
    """Pulses on the fitted model give the two fitted laws, pulse by pulse."""
    up, down = law(5e-6, 50e-6, 3.0, 80), law(50e-6, 5e-6, 1.2, 120)
    table = np.full((120, 2), np.nan)
    table[:80, 0], table[:, 1] = up, down
    made = fit(table, PulseTrain(width=2e-6))
    cell = made.device
    assert isinstance(cell, LinearStep)
    for expected, volts in ((up, 1.0), (down, -1.0)):
        g = torch.tensor(expected[0], dtype=torch.float64)
        walked = [float(g)]
        for _ in expected[1:]:
            g = cell.step(g, volts, 2e-6)
            walked.append(float(g))
        np.testing.assert_allclose(walked, expected, rtol=1e-5)
    assert made.card.r_squared > 1 - 1e-9 and made.card.reduced_chi2 is None


def test_layouts_are_one_measurement(tmp_path) -> None:
    up, down = noisy(law(5e-6, 50e-6, 3.0, 40), 1e-6, 0), noisy(law(50e-6, 5e-6, 1.2, 50), 1e-6, 1)
    rows = [f"{u!r},{d!r}" for u, d in zip(up.tolist(), down.tolist(), strict=False)]
    rows += [f",{d!r}" for d in down.tolist()[40:]]
    (tmp_path / "plain.csv").write_text("\n".join(rows))
    (tmp_path / "headed.csv").write_text("\n".join(["LTP_S,LTD_S", *rows]))
    both = np.concatenate([up, down])
    (tmp_path / "one.csv").write_text("\n".join(["conductance_S", *map(repr, both.tolist())]))
    arc = ["wordline,bitline,resistance_ohm,voltage_V,pulse width_s", "3,4,1e6,0.5,0", "1,1,5e4,1,1e-6"]
    arc += [f"3,4,{1 / g!r},{v},1e-6" for g, v in zip(both.tolist(), [-1.2] * 40 + [1.5] * 50, strict=True)]
    (tmp_path / "arc.csv").write_text("\n".join(arc))
    wanted = fit(tmp_path / "plain.csv", PulseTrain())
    for name, how in (
        ("headed.csv", PulseTrain()),
        ("one.csv", PulseTrain(up=40)),
        ("arc.csv", PulseTrain(cell=(3, 4))),
    ):
        other = fit(tmp_path / name, how)
        assert [e.name for e in other.card.parameters] == [e.name for e in wanted.card.parameters]
        for a, b in zip(other.card.parameters, wanted.card.parameters, strict=True):
            assert a.value == pytest.approx(b.value, rel=1e-6) and a.error == pytest.approx(b.error, rel=1e-4)
    with pytest.raises(ValueError, match=r"2 cells, such as \(1, 1\); say which"):
        fit(tmp_path / "arc.csv", PulseTrain())
    with pytest.raises(ValueError, match=r"no cell \(9, 9\)"):
        fit(tmp_path / "arc.csv", PulseTrain(cell=(9, 9)))


def test_raw_logs_of_arc(tmp_path) -> None:
    """The CSV that ArC instruments write, and the same without heads, as in data sets: one measurement."""
    up, down = noisy(law(5e-6, 50e-6, 3.0, 40), 0.3e-6, 0), noisy(law(50e-6, 5e-6, 1.2, 50), 0.3e-6, 1)
    rows = ["3,4,1000000.0,0.5,0.0,S R2,R2,0.5"]
    rows += [f"3,4,{1 / g!r},{-1.2},1e-06,P,R2,0.5" for g in up.tolist()]
    rows += [f"3,4,{1 / g!r},{1.5},1e-06,P,R2,0.5" for g in down.tolist()]
    rows += ["1,1,50000.0,1.0,1e-06,P,R2,0.5"]
    head = "Wordline,Bitline,Resistance,Amplitude (V),Pulse width (s),Tag,ReadTag,ReadVoltage"
    files = {
        "session.csv": ["Session 1", "Mon Oct 26 12:00:00 2020", head, *rows],
        "headless.csv": rows,
        "seven.csv": [row.rpartition(",")[0] for row in rows],  # wordline to read tag
    }
    wanted = fit({"up_S": [*up, *[""] * 10], "down_S": down}, PulseTrain())
    for name, lines in files.items():
        (tmp_path / name).write_text("\n".join(lines))
        made = fit(tmp_path / name, PulseTrain(cell=(3, 4)))
        assert [e.name for e in made.card.parameters] == [e.name for e in wanted.card.parameters]
        for a, b in zip(made.card.parameters, wanted.card.parameters, strict=True):
            assert a.value == pytest.approx(b.value, rel=1e-6)
        with pytest.raises(ValueError, match="2 cells, such as"):
            fit(tmp_path / name, PulseTrain())
    (tmp_path / "bad.csv").write_text("\n".join([*files["headless.csv"][:3], "3,4,x,1.5,1e-06,P,R2,0.5"]))
    with pytest.raises(ValueError, match="bad.csv, line 4, column 'resistance_ohm': 'x' is not a finite"):
        fit(tmp_path / "bad.csv", PulseTrain(cell=(3, 4)))


@pytest.mark.parametrize("noise", [0.0, 1e-6, 4e-6])
def test_a_column_that_turns_is_refused(noise) -> None:
    up, down = law(5e-6, 50e-6, 2.0, 60), law(50e-6, 5e-6, 2.0, 60)
    both = noisy(np.concatenate([up, down]), noise, 0)
    with pytest.raises(
        ValueError, match=r"rises for about (4|5|6)\d points and then falls; .* up = how many"
    ):
        fit({"g_S": np.abs(both)}, PulseTrain())
    with pytest.raises(ValueError, match="falls for about .* points and then rises"):
        fit({"g_S": np.abs(both[::-1][60:].tolist() + both[:60].tolist())}, PulseTrain())
    assert fit({"g_S": np.abs(both)}, PulseTrain(up=60))["down.g_first"].value > 30e-6


@pytest.mark.parametrize("c", [0.0, 3.0, 12.0])
@pytest.mark.parametrize("noise", [0.5e-6, 5e-6])
def test_a_noisy_train_of_one_direction_is_not_refused(c, noise) -> None:
    for seed in range(20):
        g = np.abs(noisy(law(20e-6, 50e-6, c, 80), noise, seed))
        assert fit({"g_S": g}, PulseTrain()).device.step_down == 0.0


def test_trains_one_after_the_other() -> None:
    """Three cycles of 30 up, 30 down, told apart by the sign of the voltage."""
    one = np.concatenate([law(5e-6, 50e-6, 3.0, 30), law(50e-6, 5e-6, 1.2, 30)])
    volts = np.tile([1.0] * 30 + [-1.0] * 30, 3)
    made = fit({"g_S": noisy(np.tile(one, 3), 0.5e-6, 0), "voltage_V": volts}, PulseTrain())
    for name, true in (("up.curvature", 3.0), ("down.curvature", 1.2)):
        assert abs(made[name].value - true) < 4 * made[name].error
    assert len(made.points["x"]) == 180 and made.points["x"].max() == 29


def test_normalised_weights_need_their_zero() -> None:
    weights = noisy(law(-0.9, 0.9, 2.0), 0.02, 0)
    made = fit({"conductance": weights}, PulseTrain(unit=10e-6, zero=-1.5))
    assert abs(made["up.g_first"].value - 6e-6) < 4 * made["up.g_first"].error
    with pytest.raises(ValueError, match="is negative"):
        fit({"conductance": weights}, PulseTrain())


def test_the_measured_states_of_a_memristor() -> None:
    """100 states under 100 identical pulses: the law explains 99.7 % and leaves a trend, which is told."""
    path = files("mho.mapping") / "data" / "memristor_states.csv"
    made = fit(str(path), PulseTrain())
    measured = np.loadtxt(str(path), delimiter=",", skiprows=1)[:, 1]
    np.testing.assert_array_equal(made.points["measured"], measured)
    assert made.card.r_squared > 0.99 and made.card.correlation > 0.5
    # the best c of a scan that shares no code with the fit
    p = np.arange(100) / 99

    def left(c: float) -> float:
        shape = np.expm1(-c * p) / np.expm1(-c)
        a = np.stack([np.ones(100), shape], 1)
        return float(np.linalg.lstsq(a, measured, rcond=None)[1][0])

    grid = np.linspace(0.1, 2.0, 1901)
    assert made["up.curvature"].value == pytest.approx(grid[np.argmin([left(c) for c in grid])], abs=2e-3)
    assert made.device.g_low == measured.min() and made.device.step_down == 0.0
    text = str(made)
    assert "the other way" in text and "up.curvature" in text


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"g_S": [1e-6, 2e-6, 3e-6, 4e-6]}, "4 points; the law has three parameters, give at least 5"),
        ({"up_S": [1e-6] * 9}, "no column 'down_S' beside the other direction"),
        (
            {"up_S": [9e-6, 8e-6, 7e-6, 5e-6, 1e-6], "down_S": [1e-6, 3e-6, 5e-6, 8e-6, 9e-6]},
            "columns swapped",
        ),
        ({"pulse": [1.0] * 6, "g_S": [1e-6, 2e-6, 3e-6, 4e-6, 5e-6, 6e-6]}, "pulse numbers do not rise"),
        ({"g_S": [1e-6] * 6, "voltage_V": [0.0] * 6}, "no row is a pulse"),
        ({"volts": [1.0] * 6}, "no column 'conductance_S'"),
    ],
)
def test_bad_input(table, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        fit(table, PulseTrain())


def test_a_curvature_that_runs_away_stops_where_the_search_does() -> None:
    """Noise that pulses remember moved it to where the law overflows."""
    g = (
        np.array([3.333, 4.333, 3.333, 4.333, 4.333, 3.333, 4.333, 4.333, 4.666, 3.666, 3.666, 4.0, 3.0])
        * 1e-6
    )
    branch = fitted_branch(Sweep(np.arange(13.0), g), "up")
    assert abs(branch.solution.values[2]) == 2 * FAR  # which is refused, as not determined
    assert np.isfinite(branch.fitted).all()

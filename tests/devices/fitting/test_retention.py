"""Drift: mean and spread of the exponent come back within their errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mho.devices import Generic, Retention, fit

from .coverage import check_coverage

TIME = np.geomspace(20.0, 1e5, 15)


def cells(seed, count=30, mean=0.06, std=0.015, noise=0.01, g=20e-6):
    rng = np.random.default_rng(seed)
    nu = rng.normal(mean, std, count)
    drift = np.exp(-nu[:, None] * np.log(TIME / TIME[0]))
    return g * drift * np.exp(noise * rng.normal(size=drift.shape))


def wide(g):
    return {"time_s": TIME, **{f"cell {n}": row for n, row in enumerate(g)}}


def test_errors_cover_the_truth() -> None:
    fits = [fit(wide(cells(seed)), Retention()) for seed in range(80)]
    true = {"nu": 0.06, "nu_std": 0.015, "read noise": 0.01}
    for name, value in true.items():
        found = [f[name] for f in fits]
        values, errors = (np.array([getattr(e, k) for e in found]) for k in ("value", "error"))
        check_coverage(values, errors, value, normal=name == "nu")


def test_noise_is_no_spread_between_cells() -> None:
    """Alike cells under strong noise: the slopes differ, the exponents do not."""
    made = [fit(wide(cells(seed, std=0.0, noise=0.2)), Retention()) for seed in range(40)]
    slopes = 0.2 / math.sqrt(float(((np.log(TIME) - np.log(TIME).mean()) ** 2).sum()))
    spread = np.array([f["nu_std"].value for f in made])
    assert np.median(spread) < 0.5 * slopes
    assert all(f["nu_std"].error > 0.2 * slopes for f in made)


def test_exact_lines_come_back_exactly() -> None:
    made = fit(wide(cells(0, count=3, noise=0.0)), Retention())
    nu = np.random.default_rng(0).normal(0.06, 0.015, 3)
    assert made["nu"].value == pytest.approx(nu.mean(), rel=1e-6)
    assert made["nu_std"].value == pytest.approx(nu.std(ddof=1), rel=1e-4)


def test_layouts_are_one_measurement(tmp_path) -> None:
    g = cells(1, count=4)
    wanted = fit(wide(g), Retention())
    long = ["cell;time (ms);conductance_uS"]
    long += [
        f"c{n};{1e3 * t!r};{1e6 * x!r}"
        for n, row in enumerate(g.tolist())
        for t, x in zip(TIME.tolist(), row, strict=True)
    ]
    (tmp_path / "long.csv").write_text("\n".join(long))
    (tmp_path / "plain.csv").write_text("\n".join(",".join(map(repr, r)) for r in np.c_[TIME, g.T].tolist()))
    for name in ("long.csv", "plain.csv"):
        other = fit(tmp_path / name, Retention())
        for a, b in zip(other.card.parameters, wanted.card.parameters, strict=True):
            assert a.value == pytest.approx(b.value, rel=1e-5)
    gaps = {"time_s": TIME, "a": g[0], "b": np.where(np.arange(15) % 2, np.nan, g[1])}
    assert len(fit(gaps, Retention()).points["x"]) == 15 + 8


def test_the_device_drifts_as_the_cells() -> None:
    made = fit(wide(cells(2)), Retention(t0=20.0))
    device = made.device
    assert isinstance(device, Generic) and device.t0 == 20.0
    g = torch.full((20_000,), 20e-6, dtype=torch.float64)
    eps = torch.as_tensor(np.random.default_rng(0).normal(size=20_000))
    aged = device.aged(g, device.drift_state(g, eps), TIME[-1] - 20.0).numpy()
    slope = -np.log(aged / 20e-6) / np.log(TIME[-1] / 20.0)
    assert slope.mean() == pytest.approx(made["nu"].value, abs=5 * made["nu_std"].value / 141)
    assert slope.std() == pytest.approx(made["nu_std"].value, rel=0.03)
    noise = device.read_std(g[:1], g[:1], 0.0) / g[:1]
    assert float(noise) == pytest.approx(made["read noise"].value)


def test_groups_of_conductance() -> None:
    low = cells(0, mean=0.1, std=0.01, g=2e-6)
    high = cells(1, mean=0.03, std=0.005, g=20e-6)
    made = fit(wide(np.concatenate([high, low])), Retention(groups=2))
    law = made.device.nu
    np.testing.assert_allclose(law.g, [2e-6, 20e-6], rtol=0.01)
    np.testing.assert_allclose(law.mean, [0.1, 0.03], atol=0.01)
    np.testing.assert_allclose(law.std, [0.01, 0.005], rtol=0.5)
    names = [e.name.partition("(")[0] for e in made.card.parameters]
    assert names == ["nu", "nu_std", "nu", "nu_std", "read noise"]


def test_what_the_numbers_do_not_say() -> None:
    assert "one cell" in " ".join(fit(wide(cells(0, count=1)), Retention()).card.notes)
    assert "some cells would rise" in " ".join(
        fit(wide(cells(0, mean=0.02, std=0.02)), Retention()).card.notes
    )


@pytest.mark.parametrize(
    ("table", "how", "sentence"),
    [
        ({"time_s": [0.0, 1, 2], "g_S": [1e-6] * 3}, Retention(), "line 1: a time of 0 s; .* positive"),
        ({"time_s": [1.0, 2], "a": [1e-6] * 2}, Retention(), "cell 'a': 2 times; .* at least 3"),
        ({"time_s": [1.0, 2, 3], "a": [1e-6, 0, 1e-6]}, Retention(), "cell 'a': no conductance at 2 s"),
        ({"time_s": [1.0, 2, 3]}, Retention(), "no column of conductances beside the time"),
        ({"a": [1.0, 2, 3]}, Retention(), "no column 'time_s'"),
        (wide(cells(0, count=3)), Retention(groups=2), "3 cells; each group needs at least two"),
        ({"time_s": [1.0, 2, 3], "a": [5.0, 4, 3]}, Retention(), "line 1: a conductance of 5 S"),
    ],
)
def test_bad_input(table, how, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        fit(table, how)


def test_cells_that_rise() -> None:
    """Conductances that grow have exponents below 0, on the device too."""
    true = {"nu": -0.04, "nu_std": 0.01, "read noise": 0.01}
    fits = [fit(wide(cells(seed, mean=-0.04, std=0.01)), Retention()) for seed in range(40)]
    for name, value in true.items():
        values, errors = (np.array([getattr(f[name], k) for f in fits]) for k in ("value", "error"))
        check_coverage(values, errors, value, normal=name == "nu")
    made = fits[0]
    assert any("rises with time" in note for note in made.card.notes)
    device = made.device
    exponents = device.drift_state(
        torch.full((5000,), 20e-6), torch.randn(5000, generator=torch.Generator().manual_seed(0))
    )
    year = device.aged(torch.full((5000,), 20e-6), exponents, 3e7)
    assert float(year.mean()) > 1.5 * 20e-6 and float(exponents.mean()) == pytest.approx(-0.04, abs=0.01)

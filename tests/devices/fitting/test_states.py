"""Programmed states: the error law comes back within its errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import mho
from mho.devices import Generic, PulseTrain, States, fit
from mho.testing import check_device

from .coverage import check_coverage

G = np.linspace(1e-6, 25e-6, 12)
TRUE = (0.01, 0.08, -0.05)  # of sigma / g_max
SIGMA = 25e-6 * sum(c * (G / 25e-6) ** i for i, c in enumerate(TRUE))


def single_results(seed, cells=40):
    rng = np.random.default_rng(seed)
    target = np.repeat(G, cells)
    return {
        "target_S": target,
        "conductance_S": target + np.repeat(SIGMA, cells) * rng.normal(size=len(target)),
    }


def statistics(seed, cells=40):
    g = single_results(seed, cells)["conductance_S"].reshape(len(G), cells)
    return {"mean_S": G, "std_S": g.std(1, ddof=1), "count": np.full(len(G), float(cells))}


def test_errors_cover_the_truth() -> None:
    fits = [fit(statistics(seed), States()) for seed in range(80)]
    for name, true in zip(("c0", "c1", "c2"), TRUE, strict=True):
        found = [f[name] for f in fits]
        check_coverage(np.array([e.value for e in found]), np.array([e.error for e in found]), true)
    chi2 = np.array([f.card.reduced_chi2 for f in fits])
    assert chi2.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / 9 / 80))


def test_small_samples_are_not_biased() -> None:
    """The standard deviation of 3 cells is 11 % low on average; the law is not."""
    found = np.array([fit(statistics(seed, 3), States())["c0"].value for seed in range(150)])
    assert found.mean() == pytest.approx(TRUE[0], abs=4 * found.std() / np.sqrt(150))


def test_without_a_count_the_scatter_gives_the_errors() -> None:
    tables = [{k: v for k, v in statistics(seed).items() if k != "count"} for seed in range(80)]
    fits = [fit(t, States()) for t in tables]
    found = [f["c1"] for f in fits]
    check_coverage(
        np.array([e.value for e in found]), np.array([e.error for e in found]), TRUE[1], normal=False
    )
    assert all(f.card.reduced_chi2 is None for f in fits)


def test_single_results_are_their_statistics() -> None:
    single, statistic = fit(single_results(3), States()), fit(statistics(3), States())
    for name in ("c0", "c1", "c2"):
        assert single[name].value == pytest.approx(statistic[name].value, rel=1e-9)


def test_a_missed_target_is_told() -> None:
    table = single_results(0)
    table["conductance_S"] = table["conductance_S"] + 2e-6
    assert "means miss their targets" in " ".join(fit(table, States()).card.notes)


def test_the_states_file_of_neurosim(tmp_path) -> None:
    lines = [
        f"{n},{g * 1e6!r},{s * 1e6!r}"
        for n, (g, s) in enumerate(zip(G.tolist(), SIGMA.tolist(), strict=True))
    ]
    (tmp_path / "states.csv").write_text("\n".join(["states,mean,std", *lines]))
    (tmp_path / "plain.csv").write_text("\n".join(lines))
    for name in ("states.csv", "plain.csv"):
        made = fit(tmp_path / name, States(unit=1e-6))
        np.testing.assert_allclose([made[f"c{i}"].value for i in range(3)], TRUE, rtol=1e-6)


def test_the_cell_file_of_micsim(tmp_path) -> None:
    """Level, ohms, relative deviation, ohms in series; and NeuroSim's file, with its byte-order mark."""
    (tmp_path / "RRAM.csv").write_text("0,900000,0.05,1000\n1,6000,0.02,1000\n")
    made = fit(tmp_path / "RRAM.csv", States(degree=None))
    low, high = 1 / 901_000, 1 / 7_000
    assert (made.device.g_min, made.device.g_max) == pytest.approx((low, high))
    np.testing.assert_allclose(made.device.program.sigma, (0.05 * low, 0.02 * high), rtol=1e-12)
    check_device(made.device)
    (tmp_path / "mem_states.csv").write_text(
        "\ufeffstates,mean,std\n0,1e-15,0\n1,1e-14,0\n", encoding="utf-8"
    )
    made = fit(tmp_path / "mem_states.csv", States(degree=None))
    assert (made.device.g_min, made.device.g_max, made.device.program.sigma) == (1e-15, 1e-14, (0.0, 0.0))
    with pytest.raises(
        ValueError, match="2 states for a polynomial .* degree = None, which keeps the states"
    ):
        fit(tmp_path / "RRAM.csv", States())
    with pytest.raises(
        ValueError, match="level, ohms, relative deviation, ohms in series; leave unit = 1e-06"
    ):
        fit(tmp_path / "RRAM.csv", States(degree=None, unit=1e-6))
    with pytest.raises(ValueError, match=r"Four columns without heads: .* States\(degree=None\)"):
        fit(tmp_path / "RRAM.csv", PulseTrain())
    (tmp_path / "RRAM.csv").write_text("0,900000,0.05,1000\n1,-6000,0.02,1000\n")
    with pytest.raises(ValueError, match="line 2: -6000 ohm, .* resistances are positive"):
        fit(tmp_path / "RRAM.csv", States(degree=None))


def test_columns_without_heads_count_their_states(tmp_path) -> None:
    (tmp_path / "three.csv").write_text("5e-6,1e-7,0\n5e-6,2e-7,1\n6e-6,1e-7,0\n")
    with pytest.raises(ValueError, match=r"3 columns without heads are states that are counted .* JumpTable"):
        fit(tmp_path / "three.csv", States())


def test_the_device_is_the_law(tmp_path) -> None:
    device = fit({"mean_S": G, "std_S": SIGMA}, States(v_read=0.3)).device
    assert isinstance(device, Generic) and (device.g_min, device.g_max) == (G[0], G[-1])
    g = torch.as_tensor(G)
    moved = device.programmed(g, torch.ones_like(g)) - g
    np.testing.assert_allclose(moved.numpy(), SIGMA, rtol=1e-6)
    check_device(device)
    hardware = mho.Hardware(device=device)
    hardware.save(str(tmp_path / "chip.json"))
    assert mho.Hardware.load(str(tmp_path / "chip.json")) == hardware


def test_a_table_law_keeps_the_points() -> None:
    made = fit(statistics(0, cells=10), States(degree=None))
    c4 = 0.9726592741  # of ten
    np.testing.assert_allclose(made.device.program.sigma, statistics(0, 10)["std_S"] / c4, rtol=1e-9)
    assert made.device.program.g == tuple(G)
    errors = np.array([e.error / e.value for e in made.card.parameters])
    np.testing.assert_allclose(errors, np.sqrt(1 - c4**2) / c4, rtol=1e-6)


def test_a_polynomial_below_zero_is_told() -> None:
    made = fit({"mean_S": G, "std_S": 1e-6 * np.maximum(0, 1 - (G / 8e-6))}, States(degree=1))
    assert "falls below zero" in " ".join(made.card.notes)


@pytest.mark.parametrize(
    ("table", "how", "sentence"),
    [
        (
            {"mean_S": G[:3], "std_S": SIGMA[:3]},
            States(),
            "3 states for a polynomial of degree 2; at least 4",
        ),
        ({"mean_S": G}, States(), "no column 'std_S'; it has 'mean_S'"),
        (
            {"mean_S": [1e-6, 1e-6, 2e-6], "std_S": [0, 0, 0]},
            States(degree=0),
            "two states have the mean 1e-06 S",
        ),
        ({"mean_S": G, "std_S": SIGMA, "count": [1.0] * 12}, States(), "line 1: .* a count of at least 2"),
        (
            {"mean_S": [1.0, 2.0], "std_S": [0.1, 0.1]},
            States(),
            'line 2: a conductance of 2 S; .* In its place: "uS"',
        ),
        ({"mean_S": [1e-6, ""], "std_S": [1e-7, 1e-7]}, States(degree=0), "line 2: a state without mean"),
        ({"target_S": [1e-6, 2e-6, 2e-6], "g_S": [1e-6] * 3}, States(), "target 1e-06 S has one result"),
    ],
)
def test_bad_input(table, how, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        fit(table, how)


def test_not_a_measurement() -> None:
    with pytest.raises(TypeError, match=r"say what the table holds: PulseTrain\(\)"):
        fit({"g": [1.0]}, PulseTrain)

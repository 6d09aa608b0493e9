"""Cells, pulse trains and rules of learning against closed forms and against what aihwkit gave."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mho.devices import pulsed
from mho.devices.pulsed import PulsedCell
from mho.training.on_chip import (
    AGAD,
    ChoppedTikiTaka2,
    Deterministic,
    MixedPrecision,
    PulsedWeights,
    Rule,
    Stochastic,
    TikiTaka,
    TikiTaka2,
)
from mho.training.on_chip.rules import Held, Work

DATA = Path(__file__).parent / "data" / "pulsed"
GOLDEN = json.loads((DATA / "pulsed_golden.json").read_text())
with (DATA / "pulsed_steps.csv").open() as file:
    STEPS = list(csv.DictReader(file))
OTHERS: dict[str, Any] = {"dw_min": 0.01, "w_max": 1.0, "w_min": -1.0}
NAMED: dict[str, PulsedCell] = {
    "gokmen_vlasov": pulsed.GokmenVlasov(), "idealized": pulsed.Idealized(), "capacitor": pulsed.Capacitor(),
    "ecram": pulsed.EcRam(), "ecram_mo": pulsed.EcRamMO(), "reram_sb": pulsed.ReRamSB(),
    "reram_om": pulsed.ReRamArrayOM(), "reram_hfo2": pulsed.ReRamArrayHfO2(), "reram_es": pulsed.ReRamES(),
    "pcm": pulsed.PCM(), "pow_1": pulsed.PowerSteps(**OTHERS),
    "pow_2": pulsed.PowerSteps(pow_gamma=2.0, **OTHERS),
    "piecewise": pulsed.TableSteps(up=(1.5, 1.2, 1.0, 0.6, 0.1), down=(0.2, 0.5, 1.0, 1.4, 1.6), **OTHERS),
}  # fmt: skip


def nominal(cell: PulsedCell) -> PulsedCell:
    """The cell without spread and noise."""
    names = [f.name for f in dataclasses.fields(cell) if f.name.endswith("_dtod")]
    off: dict[str, Any] = dict.fromkeys([*names, "dw_min_std", "write_noise_std", "reference_std"], 0.0)
    return dataclasses.replace(cell, **off)


CELLS = {name: nominal(cell) for name, cell in NAMED.items()}


def one(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1), value, dtype=torch.float64)


@pytest.mark.parametrize("name", CELLS)
def test_steps_of_the_presets(name: str) -> None:
    rows = [row for row in STEPS if row["preset"] == name]
    w, up, down = (
        torch.tensor([float(row[key]) for row in rows], dtype=torch.float64)
        for key in ("w", "step_up", "step_down")
    )
    found = CELLS[name].steps(w, CELLS[name].nominal(w))
    assert len(rows) == 21
    for step, wanted in zip(found, (up, down), strict=True):
        assert torch.allclose(step.expand_as(w), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_ladders(name: str) -> None:
    ladder, generator = GOLDEN["ladder"][name], torch.Generator()
    weights = PulsedWeights.of_one_cell(CELLS[name], one(ladder["start"]))
    for key, sign in (("up_from_start", 1), ("then_down", -1)):
        sent = 0
        for pulses, wanted in zip(ladder["pulses"], ladder[key], strict=True):
            weights.send(one(sign * (pulses - sent)).unsqueeze(0), generator)
            sent = pulses
            assert float(weights.weights()) == pytest.approx(wanted, abs=1e-12)
    assert int(weights.pulses()) == 2 * ladder["pulses"][-1]


@pytest.mark.parametrize("name", CELLS)
def test_symmetry_points(name: str) -> None:
    found = CELLS[name].symmetry_point(CELLS[name].nominal(one(0.0)))
    assert float(found) == pytest.approx(GOLDEN["symmetry_point"][name] or 0.0, abs=1e-12)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("case", GOLDEN["stochastic_update"], ids=lambda c: f"k{c['k']:g}-{c['BL']}")
def test_moments_of_an_update(case: dict[str, Any], shared: bool) -> None:
    """Mean, variance, and the covariance of cells on one line, within four standard errors."""
    runs = 20_000
    train = Stochastic(
        update_bl_management=case["update_bl_management"], update_management=case["update_management"],
        shared_lines=shared,
    )  # fmt: skip
    x, d = torch.full((runs, 1, 2), case["x"]), torch.full((runs, 1, 2), case["d"])
    sent = train.send(x, d, torch.full((runs,), case["lr"]), case["dw_min"], torch.Generator().manual_seed(3))
    counts = -sent.counts[:, 0].double()  # [run, row, column]
    mean, variance = case["mean_count"], case["var_count"]
    error = 4 * max(variance, 1e-9) ** 0.5 / runs**0.5
    assert (counts.mean(0) - mean).abs().max() <= error + 1e-5 * mean
    kurtosis = (counts - mean) ** 4
    assert (counts.var(0) - variance).abs().max() <= 4 * float(
        kurtosis.mean(0).max()
    ) ** 0.5 / runs**0.5 + 1e-6
    product = (counts[:, 0, 0] - mean) * (counts[:, 0, 1] - mean)
    wanted = case["cov_same_x_line"] / case["dw_min"] ** 2 if shared else 0.0
    assert abs(float(product.mean()) - wanted) <= 4 * float(product.std()) / runs**0.5 + 1e-6
    assert bool(sent.clipped.all()) == case["clipped"]


def test_counts_that_are_not_drawn() -> None:
    """aihwkit's MEAN_COUNT and DETERMINISTIC_IMPLICIT of one case: -8, 3, -1, 3, -1, 0."""
    x, d = torch.tensor([[[1.0, -0.4, 0.1]]]), torch.tensor([[[0.8, -0.3]]])
    plain = {"update_bl_management": False, "update_management": False}
    for train in (pulsed_train(plain), Deterministic(**plain)):
        sent = train.send(x, d, torch.tensor([0.01]), 0.001, torch.Generator())
        assert sent.counts[0, 0].t().flatten().tolist() == [-8, 3, -1, 3, -1, 0]


def pulsed_train(options: dict[str, Any]) -> Any:
    from mho.training.on_chip import MeanCount

    return MeanCount(**options)


@pytest.mark.parametrize(("lr", "step"), [(0.045, 0.005), (0.15, 0.01), (0.035, 0.005), (0.29, 0.01)])
def test_a_quotient_that_is_whole_but_for_rounding_takes_no_slot_more(lr: float, step: float) -> None:
    ones = torch.ones(1, 1, 1)
    for kind in (torch.float32, torch.float64):
        rate = torch.tensor([lr], dtype=kind)
        sent = Stochastic().send(ones.to(kind), ones.to(kind), rate, step, torch.Generator().manual_seed(0))
        assert float(sent.counts) == -round(lr / step)


# --- the rules ---------------------------------------------------------------------------------

CHAIN = np.load(DATA / "aihwkit_chain.npz")
FAST: dict[str, Any] = {"fast_lr": 0.02, "scale_fast_lr": False}
CHOP: dict[str, Any] = {"in_chop_prob": 0.25, "in_chop_random": False, **FAST}
RULES: dict[str, Rule] = {
    "ttv1": TikiTaka(transfer_train=Deterministic(), **FAST),
    "ttv1_gamma0p3": TikiTaka(transfer_train=Deterministic(), gamma=0.3, **FAST),
    "ttv1_2reads_every2": TikiTaka(
        transfer_train=Deterministic(), n_reads_per_transfer=2, transfer_every=2, **FAST
    ),
    "ttv2": TikiTaka2(**FAST),
    "ttv2_keep_thres2": TikiTaka2(forget_buffer=False, momentum=0.3, thres_scale=2.0, **FAST),
    "ttv2_gamma0p3": TikiTaka2(gamma=0.3, **FAST),
    "cttv2": ChoppedTikiTaka2(**CHOP),
    "cttv2_auto_granularity": ChoppedTikiTaka2(auto_granularity=12.0, **CHOP),
    "cttv2_gamma0p3": ChoppedTikiTaka2(gamma=0.3, **CHOP),
    "cttv2_correct_gradient": ChoppedTikiTaka2(correct_gradient_magnitudes=True, transfer_lr=0.05, **CHOP),
    "agad": AGAD(**CHOP),
    "agad_keep_cap": AGAD(forget_buffer=False, buffer_cap=0.5, transfer_lr=3.0, **CHOP),
}
SOFT = nominal(pulsed.SoftBounds(dw_min=0.01, w_max=0.6, w_min=-0.6))


def chain(rule: Rule, vectors: int) -> dict[str, np.ndarray[Any, Any]]:
    """A, C and H after each batch of so many of the 120 vectors."""
    x, d = (torch.tensor(CHAIN[name]).unsqueeze(1) for name in ("x", "d"))
    begin = torch.tensor(CHAIN["W0"]).t().unsqueeze(0).contiguous()
    weights = PulsedWeights.of_one_cell(SOFT, begin.clone())
    held = Held([weights], [1.0])
    rule.begin(held, lambda name: PulsedWeights.of_one_cell(SOFT, torch.zeros_like(begin)))
    found: dict[str, list[torch.Tensor]] = {"A": [], "C": [], "H": []}
    for batch in range(0, 120, vectors):
        some = slice(batch, batch + vectors)
        rule.update([Work(held, x[some], d[some], 0.1)], torch.Generator().manual_seed(0))
        now = {"A": held.hidden["fast"].weights(), "C": weights.weights(), **held.memory}
        for name, values in found.items():
            if name in now:
                values.append(now[name][0].t().clone())
    return {name: torch.stack(values).numpy() for name, values in found.items() if values}


@pytest.mark.parametrize("name", RULES)
def test_whole_chains(name: str) -> None:
    """120 updates on a tile of 2 x 3, against what aihwkit gave in float32."""
    for part, values in chain(RULES[name], 1).items():
        if f"{name}/{part}" in CHAIN:
            assert np.abs(values - CHAIN[f"{name}/{part}"]).max() < 2e-6


@pytest.mark.parametrize("name", ["cttv2", "cttv2_auto_granularity", "agad", "agad_keep_cap"])
@pytest.mark.parametrize("vectors", [2, 8, 120])
def test_a_batch_is_a_sequence(name: str, vectors: int) -> None:
    """Rows are read in the middle of a batch, and nothing differs from one vector at a time."""
    alone, together = chain(RULES[name], 1), chain(RULES[name], vectors)
    for part, values in alone.items():
        assert np.array_equal(values[vectors - 1 :: vectors], together[part])


SEQUENCES: dict[str, tuple[Callable[[], Rule], bool]] = {
    "ttv2_forget_m0p1": (lambda: TikiTaka2(transfer_lr=0.005, scale_transfer_lr=False), False),
    "ttv2_keep_m0p1": (
        lambda: TikiTaka2(transfer_lr=0.005, scale_transfer_lr=False, forget_buffer=False), False,
    ),
    "cttv2_chop10_m0": (
        lambda: ChoppedTikiTaka2(transfer_lr=0.005, scale_transfer_lr=False, in_chop_random=False), True,
    ),
    "agad_10_samples": (lambda: AGAD(transfer_lr=0.005, scale_transfer_lr=False), True),
}  # fmt: skip


@pytest.mark.parametrize("name", SEQUENCES)
def test_buffers_and_pulses_of_given_reads(name: str) -> None:
    """The fast array is set to each of 200 values in turn; H and the pulses follow."""
    golden, (make, in_units) = GOLDEN["transfer"], SEQUENCES[name]
    rule, cell = make(), nominal(pulsed.ConstantSteps(dw_min=0.001, w_max=100.0, w_min=-100.0))
    weights, given = PulsedWeights.of_one_cell(cell, one(0.0)), iter(golden["A"])
    held = Held([weights], [1.0], reading=lambda array, rows, generator: one(next(given)))
    rule.begin(held, lambda name: PulsedWeights.of_one_cell(cell, one(0.0)))
    nothing, before = torch.zeros(1, 1, 1, dtype=torch.float64), 0.0
    for h, steps in zip(golden[name]["H"], golden[name]["steps"], strict=True):
        rule.update([Work(held, nothing, nothing, 0.01)], torch.Generator())
        assert float(held.memory["H"]) == pytest.approx(h * (1.0 if in_units else 0.001), abs=1e-12)
        assert round((float(weights.weights()) - before) / 0.001, 6) == steps
        before = float(weights.weights())


def test_mixed_precision_keeps_what_it_does_not_send() -> None:
    golden = GOLDEN["mixed_precision"]
    cell = nominal(pulsed.ConstantSteps(dw_min=golden["granularity"], w_max=100.0, w_min=-100.0))
    weights, rule = PulsedWeights.of_one_cell(cell, one(0.0)), MixedPrecision()
    held = Held([weights], [1.0])
    rule.begin(held, lambda name: weights)
    before = 0.0
    for value, pulses, chi in zip(golden["increments"], golden["pulses"], golden["chi"], strict=True):
        rule.update([Work(held, one(1.0), one(-value), 1.0)], torch.Generator())
        assert float(held.memory["chi"]) == pytest.approx(chi, abs=1e-12)
        assert round((float(weights.weights()) - before) / golden["granularity"], 6) == pulses
        before = float(weights.weights())


@pytest.mark.parametrize(("x_bins", "d_bins"), [(8, None), (None, 8), (8, 8)])
def test_one_count_of_bins_is_enough(x_bins: int | None, d_bins: int | None) -> None:
    """Where only one was given, aihwkit learned a single row of the wrong error."""
    golden = {
        (8, None): [[0.5, 0.25, -0.125], [-1.0, -0.5, 0.25]],
        (None, 8): [[0.5, 0.3, -0.15], [-1.0, -0.6, 0.3]],
        (8, 8): [[0.5, 0.25, -0.125], [-1.0, -0.5, 0.25]],
    }
    cell = nominal(pulsed.ConstantSteps(dw_min=100.0, w_max=1000.0, w_min=-1000.0))
    weights = PulsedWeights.of_one_cell(cell, torch.zeros(1, 3, 2, dtype=torch.float64))
    held, rule = Held([weights], [1.0]), MixedPrecision(n_x_bins=x_bins, n_d_bins=d_bins)
    rule.begin(held, lambda name: weights)
    x, d = (torch.tensor([[v]], dtype=torch.float64) for v in ([1.0, 0.6, -0.3], [0.5, -1.0]))
    rule.update([Work(held, x, d, 1.0)], torch.Generator())
    wanted = torch.tensor(golden[x_bins, d_bins], dtype=torch.float64)
    assert torch.allclose(-held.memory["chi"][0].t(), wanted)


def test_the_scale_of_the_fast_rate() -> None:
    """Running means skip vectors without input or error; the golden rates are aihwkit's."""
    rule = ChoppedTikiTaka2(auto_scale=True, fast_lr=0.5, in_chop_prob=0.0)
    cell = nominal(pulsed.ConstantSteps(dw_min=0.001, w_max=100.0, w_min=-100.0))
    weights = PulsedWeights.of_one_cell(cell, one(0.0))
    held = Held([weights], [1.0])
    rule.begin(held, lambda name: PulsedWeights.of_one_cell(cell, one(0.0)))
    x, d = torch.tensor([1.0, 0.5, 2.0, 0.25]).view(4, 1, 1), torch.tensor([0.5, 0.1, 0.0, 1.0]).view(4, 1, 1)
    rates = rule.fast_rates(Work(held, x, d, 0.01))
    assert rates.tolist() == pytest.approx([0.031, 0.0314070352, 0.0310929804, 0.0310132056], rel=1e-6)

"""Classifiers that learn by pulses: beside float training, what is counted, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import mho
from mho.devices import pulsed
from mho.errors import ConfigError
from mho.experiments.data import MNISTSample
from mho.experiments.harness import run
from mho.experiments.learn import CELLS, RULES, LearnStudy, Setting, setting, settings, summarise
from mho.experiments.models import MLP
from mho.experiments.statistics import paired
from mho.testing import check_study
from mho.training.on_chip import SGD

from .data.test_mnist_sample import write_package

QUICK = LearnStudy(
    settings=settings(["mixed precision", "residual"], ["ReRamArrayOM"]), epochs=1, batch=50, seeds=2
)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Three epochs of good cells, and of bad ones by a rule that suits them and by one that does not."""
    study = replace(
        QUICK,
        epochs=2,
        batch=10,
        settings=(setting("SGD", "GokmenVlasov"), *settings(["SGD", "mixed precision"], ["ReRamArrayOM"])),
    )
    return study, run(study, tmp_path_factory.mktemp("learn"))


def means(found):
    return {(row["rule"], row["preset"]): row for row in found[1].document["summary"]}


def test_good_cells_learn_as_in_float_and_bad_ones_by_the_right_rule(found):
    rows = means(found)
    assert rows["float", "float"]["accuracy"] > 0.9
    assert abs(rows["SGD", "GokmenVlasov"]["difference"]) < 0.03
    best = rows["mixed precision", "ReRamArrayOM"]
    assert best["accuracy"] > 0.85
    assert best["accuracy"] - rows["SGD", "ReRamArrayOM"]["accuracy"] > 0.1


def test_differences_are_paired_by_seed(found):
    table, rows = found[1].table, means(found)
    of = table.set_index(["rule", "preset", "seed"])["accuracy"]
    float_ = [of["float", "float", seed] for seed in range(2)]
    for rule, preset in list(rows)[1:]:
        mine = [of[rule, preset, seed] for seed in range(2)]
        some = table[(table["rule"] == rule) & (table["preset"] == preset)]
        assert some["difference"].to_list() == [a - b for a, b in zip(mine, float_, strict=True)]
        wanted = paired(mine, float_).difference
        row = rows[rule, preset]
        assert row["difference"] == wanted.mean
        if wanted.low == wanted.low:  # defined
            assert (row["difference_low"], row["difference_high"]) == (wanted.low, wanted.high)
    assert table[table["rule"] == "float"]["difference"].isna().all()


def test_pulses_are_paid_for(found):
    study, result = found
    table, cells = result.table, 64 * 32 + 32 * 10
    joules = 1.75**2 * 25e-6 * 1e-6  # NeuRRAM's pulse on a cell in the middle of 20 to 30 uS
    assert result.document["joules_per_pulse"] == pytest.approx(joules)
    on_chip = table[table["rule"] != "float"]
    assert on_chip["energy"].to_numpy() == pytest.approx(joules * cells * on_chip["pulses"].to_numpy())
    assert (on_chip["most_pulses"] > on_chip["pulses"]).all() and on_chip["clipped"].between(0, 1).all()
    assert (
        table[table["rule"] == "float"][["pulses", "most_pulses", "clipped", "energy"]]
        .isna()
        .to_numpy()
        .all()
    )
    assert all(row["seconds"] > 0 for row in result.document["summary"])


def test_saturated_vectors_are_counted(tmp_path):
    """A rate so high that no train is long enough."""
    study = replace(QUICK, settings=(replace(setting("SGD", "Idealized"), learning_rate=30.0),), seeds=1)
    assert run(study, tmp_path).table["clipped"].iloc[-1] > 0.2


def test_the_arrays_that_only_the_rule_sees_count(tmp_path):
    study = replace(QUICK, settings=settings(["TTv1"], ["ReRamArrayOM"]), seeds=1)
    row = run(study, tmp_path).table.iloc[-1]
    total = 2 * (64 * 32 + 32 * 10) * row["pulses"]  # A and C
    assert row["energy"] == pytest.approx(total * study.joules(1.0))


def test_the_rate_is_dropped(tmp_path):
    """To nothing, before the first epoch: no pulse is sent, and float training changes nothing."""
    study = replace(QUICK, drop_at=0.0, drop_to=0.0, seeds=1)
    table = run(study, tmp_path / "none").table
    assert (table[table["rule"] != "float"]["pulses"] == 0).all()
    assert table["accuracy"].iloc[0] < 0.3
    late = replace(study, drop_at=1.0)
    assert (run(late, tmp_path / "late").table["pulses"].iloc[1:] > 0).all()


def test_it_keeps_the_contract_of_studies():
    check_study(replace(QUICK, settings=settings(["mixed precision"], ["ReRamSB"])))


def test_the_package_of_mnist_is_learned(tmp_path):
    write_package(tmp_path / "src/digits")
    study = replace(QUICK, data=MNISTSample(validation=4, test=6), model=MLP(hidden=(8,)), batch=10, seeds=1)
    found = run(study, tmp_path / "out", tmp_path)
    assert found.document["train_images"] == 20 and len(found.table) == 3
    assert (found.table["accuracy"] * 6).round(9).mod(1).eq(0).all()


def test_the_table_of_settings_is_whole():
    """Each rule learns on each preset: its cells have room on the device, and its tiles fit the rule."""
    every = settings(tuple(RULES), tuple(CELLS))
    assert len(every) == len(RULES) * len(CELLS)
    study = replace(QUICK, settings=every)
    assert len(study.places()) == (1 + len(every)) * 2
    for one in every[: len(RULES)]:
        analog = mho.convert(torch.nn.Linear(4, 2), study.hardware(one))
        mho.program(analog, seed=0)
        mho.training.on_chip.PulsedOptimizer(analog, rule=one.rule)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: settings(["SDG"]), "no 'SDG'.* in rules; did you mean 'SGD'|rules.*SDG"),
        (lambda: settings(["SGD"], ["ReRamSP"]), "ReRamSB"),
        (
            lambda: replace(QUICK, settings=settings(["SGD"], ["ReRamSB"]) * 2),
            "'SGD' on 'ReRamSB' is there twice",
        ),
        (lambda: replace(QUICK, settings=(Setting(name="float"),)), "name of float training"),
        (lambda: replace(QUICK, settings=()), "settings"),
        (
            lambda: replace(QUICK, device=mho.devices.Ideal(g_min=0.0, g_max=30e-6)),
            "g_min = 0.0 S.*give the device a g_min of at least",
        ),
        (lambda: replace(QUICK, drop_at=1.5), "drop_at"),
        (lambda: Setting(learning_rate=-1.0), "learning_rate"),
    ],
)
def test_bad_studies(make, said):
    with pytest.raises((ConfigError, ValueError), match=said):
        make()


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path):
    with pytest.raises(ValueError, match="float, seed 0|loss is (nan|inf)|lower the learning rate"):
        run(replace(QUICK, float_rate=3e38, model=MLP(hidden=())), tmp_path)


def test_one_seed_has_no_interval(found):
    study, result = found
    one = result.table[result.table["seed"] == 0]
    records = [{"rule": r, "preset": p, "cpu": 1.0} for r, p in means(found)]
    assert all(row["low"] is None and row["difference_low"] is None for row in summarise(one, records))


def test_a_cell_and_a_rule_of_ones_own(tmp_path):
    own = Setting(name="mine", preset="linear", rule=SGD(), cell=pulsed.LinearSteps(w_max=1.0, w_min=-1.0))
    table = run(replace(QUICK, settings=(own,), seeds=1), tmp_path).table
    assert table[["rule", "preset"]].to_numpy().tolist() == [["float", "float"], ["mine", "linear"]]

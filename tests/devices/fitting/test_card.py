"""The card of a fitted device: what it says, and that it stays with its device."""

from __future__ import annotations

import datetime
import hashlib
import json
from importlib.resources import files

import numpy as np
import pytest

from mho import config
from mho.devices import Card, Fit, Generic, PulseTrain, States, fit
from mho.errors import ConfigError

STATES = str(files("mho.mapping") / "data" / "memristor_states.csv")


def test_there_and_back(tmp_path) -> None:
    how = PulseTrain(width=3e-6)
    made = fit(STATES, how)
    made.save(tmp_path / "deep" / "mine.json")
    names = sorted(p.name for p in (tmp_path / "deep").iterdir())
    assert names == ["mine.card.json", "mine.json", "mine.points.csv"]
    back = Fit.load(tmp_path / "deep" / "mine.json")
    assert back.device == made.device == config.load(tmp_path / "deep" / "mine.json")
    assert back.card == made.card and back.card.measurement == how
    assert str(back) == str(made)
    assert back.points.keys() == made.points.keys()
    for name, column in made.points.items():
        np.testing.assert_array_equal(back.points[name], column)


def test_what_the_card_says() -> None:
    made = fit(STATES, PulseTrain())
    card = made.card
    with open(STATES, "rb") as file:
        assert card.sha256 == hashlib.sha256(file.read()).hexdigest()
    assert card.source == "memristor_states.csv" and card.rows == 100
    age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(
        card.date[:-1] + "+00:00"
    )
    assert 0 <= age.total_seconds() < 600
    spans = {s.name: (s.low, s.high, s.unit) for s in card.spans}
    assert spans["conductance"] == (made.points["measured"].min(), made.points["measured"].max(), "S")
    assert spans["pulse"] == (0.0, 99.0, "")
    assert [line.partition(" ")[0] for line in card.software] == ["mho", "torch", "numpy", "scipy", "python"]
    residual = made.points["residual"]
    np.testing.assert_array_equal(residual, made.points["measured"] - made.points["fitted"])
    assert card.noise == pytest.approx(np.sqrt((residual**2).sum() / 97))
    variance = made.points["measured"].var() * 100
    assert card.r_squared == pytest.approx(1 - (residual**2).sum() / variance)


def test_a_changed_device_is_not_the_one_of_its_card(tmp_path) -> None:
    path = tmp_path / "mine.json"
    fit(STATES, PulseTrain()).save(path)
    text = json.loads(path.read_text())
    text["step_up"] *= 2
    path.write_text(json.dumps(text))
    with pytest.raises(ConfigError, match="one of the two was changed"):
        Fit.load(path)


def test_names_of_parameters() -> None:
    made = fit({"mean_uS": [1.0, 2.0, 3.0], "std_uS": [0.1, 0.12, 0.14]}, States(degree=1))
    assert isinstance(made.device, Generic) and isinstance(made.card, Card)
    assert made["c1"].value == pytest.approx(0.02)
    with pytest.raises(KeyError, match="the fit has c0, c1"):
        made["c9"]


def test_files_of_another_kind(tmp_path) -> None:
    with pytest.raises(ConfigError, match="ends in .json"):
        fit(STATES, PulseTrain()).save(tmp_path / "mine.yaml")
    config.save(Generic(), tmp_path / "a.json")
    config.save(Generic(), tmp_path / "a.card.json")
    with pytest.raises(ConfigError, match="not a fitted device with its card"):
        Fit.load(tmp_path / "a.json")

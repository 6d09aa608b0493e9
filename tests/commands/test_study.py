"""The command of a study of one's own: options from its fields, figures, and a run that is stopped."""

from __future__ import annotations

import json
import sys

import pytest
from pydantic import InstanceOf
from typer.testing import CliRunner

import mho
from mho.commands.common import typer
from mho.commands.options import changed
from mho.commands.study import study_command
from mho.config import _KINDS, Count, config
from mho.devices import Device
from mho.experiments.data import Digits, Source
from mho.experiments.fitting import Schedule
from mho.experiments.harness import Column, Study, grid
from mho.report import lines

STOP: list[int] = []


@pytest.fixture(scope="module")
def kind():
    @config
    class Everything(Study):
        """What options can say.

        A second paragraph.

        Attributes:
            data: the images.
            device: what a cell is.
            hardware: the chip.
            times: seconds since programming.
            sizes: rows of arrays.
            count: how many.
            loud: say more.
            kept: stays on.
            schedule: no word can say it.
            seed: of the draws.
        """

        data: InstanceOf[Source] = Digits()
        device: InstanceOf[Device] = mho.devices.PCM()
        hardware: mho.Hardware = mho.Hardware()
        times: tuple[float, ...] = (1.0, 86_400.0)
        sizes: tuple[Count, ...] = (8, 16)
        count: Count = 2
        loud: bool = False
        kept: bool = True
        schedule: Schedule = Schedule(epochs=1, learning_rate=0.1)
        seed: int = 0

        measured = (Column("images", "", "of the training part", low=0),)
        pieces = "cells"

        def places(self):
            return grid(size=self.sizes, number=range(self.count))

        def measure(self, place, shared):
            STOP.append(1)
            if len(STOP) == 3:
                raise KeyboardInterrupt
            return [{"seconds": t, "images": len(shared.train)} for t in self.times]

        def findings(self, table):
            return [f"There are {table['images'].iloc[0]} images."]

        def figures(self, table):
            return {"images.svg": lines(table, "seconds", "images", by="size")}

    yield Everything
    _KINDS.pop("experiments.Everything")


@pytest.fixture
def call(kind):
    app = typer.Typer(pretty_exceptions_enable=False)
    study_command(app, kind, "everything")
    STOP[:] = range(9)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_every_field_that_a_word_can_say_has_an_option(call):
    told = " ".join(call("--help").output.replace("│", " ").split())
    for words in (
        "What options can say. A second paragraph.", "--data-set", "The images: CIFAR10,", "--loud",
        "Seconds since programming (s, min, h, d, y); 1s,1d if not given.", "--workers", "--data ",
        "Rows of arrays; 8,16 if not given.", "PCM if not given",
    ):  # fmt: skip
        assert words in told, words
    assert "--schedule" not in told and "--kept" not in told


def test_options_reach_the_study_and_its_page(call, tmp_path):
    chip = tmp_path / "chip.json"
    mho.Hardware(adc=mho.ADC(bits=5)).save(str(chip))
    words = ("--times", "1h,2d", "--sizes", "4", "--count", 1, "--loud", "--device", "hermes-pcm")
    result = call(*words, "--hardware", chip, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "There are 1000 images." in result.output and "cells: 1/1" in result.output
    study = json.loads((tmp_path / "out" / "results.json").read_text())["study"]
    assert (study["times"], study["sizes"], study["count"]) == ([3600.0, 172_800.0], [4], 1)
    assert study["loud"] is True and study["device"]["kind"] == "devices.HermesPCM"
    assert study["hardware"]["adc"]["bits"] == 5
    html = (tmp_path / "out" / "report.html").read_text()
    for said in ("A second paragraph.", "There are 1000 images.", "--times 1h,2d", "of the training"):
        assert said in html
    assert (tmp_path / "out" / "images.svg").exists()


def test_without_an_output_each_configuration_has_a_folder(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for count in (1, 2, 1):
        assert call("--count", count, "--sizes", 4).exit_code == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_ctrl_c_keeps_and_tells(call, tmp_path):
    del STOP[:]
    stopped = call("--output", tmp_path)
    assert stopped.exit_code == 130
    assert f"Stopped. Finished cells are kept in {tmp_path}; the same command goes on" in stopped.output
    assert "2 of 4 cells were finished by an earlier run" in call("--output", tmp_path).output


def test_without_matplotlib_the_results_are_kept(call, tmp_path, monkeypatch):
    for name in ("matplotlib", "matplotlib.figure", "matplotlib.ticker"):
        monkeypatch.setitem(sys.modules, name, None)
    result = call("--count", 1, "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert "matplotlib is missing: the figures are left out, the results are whole" in result.output
    assert (tmp_path / "report.html").is_file() and not list(tmp_path.glob("*.svg"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--times", "soon"), "'soon' is not a time"),
        (("--sizes", "4,many"), "--sizes = '4,many': give whole numbers"),
        (("--device", "PMC"), "did you mean 'pcm'"),
        (("--count", 0), "Everything.count = 0"),
        (("--data", "nowhere"), "come with scikit-learn"),
        (("--on", "abacus"), "torch cannot compute there"),
        (("--threads", 0), "threads = 0"),
    ],
)
def test_bad_input_is_one_sentence(call, words, sentence, tmp_path):
    result = call(*words, "--output", tmp_path / "out")
    assert result.exit_code == 2 and sentence in result.stderr and result.stderr.startswith("mho: ")


def test_nested_fields_are_replaced_together():
    hardware = changed(mho.Hardware(), {"tile.rows": 8, "tile.columns": 4, "device": mho.devices.Ideal()})
    assert (hardware.tile.rows, hardware.tile.columns) == (8, 4)
    assert hardware.device == mho.devices.Ideal()

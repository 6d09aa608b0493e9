import copy

import matplotlib.colors
import pandas as pd
import pytest

from mho.report import drift_figure, drift_page, drift_text, drift_title, drift_verdict, render
from mho.report.drift import drift_figures
from mho.report.page import svg

TIMES = (1.0, 3600.0, 31_536_000.0)
LEVEL = {("plain", "raw"): 0.90, ("plain", "compensated"): 0.94, ("hardware-aware", "raw"): 0.92}


def summary(chips=25):
    rows = []
    for arm in ("plain", "hardware-aware"):
        for compensation in ("raw", "compensated"):
            for i, seconds in enumerate(TIMES):
                mean = LEVEL.get((arm, compensation), 0.955) - 0.01 * i
                spread = {"std": 0.008, "low": mean - 0.002, "high": mean + 0.003}
                if chips == 1:
                    spread = dict.fromkeys(spread)
                rows.append(
                    {
                        "arm": arm,
                        "compensation": compensation,
                        "seconds": seconds,
                        "chips": chips,
                        "mean": mean,
                    }
                    | spread
                )
    return rows


def arrays(path, layer, note, **sizes):
    return {"path": path, "layer": layer, "analog": sizes["tiles"] > 0, "note": note, **sizes}


def document(low=0.004, high=0.014, chips=25):
    difference = {"compensation": "compensated", "seconds": TIMES[-1], "chips": chips, "mean": 0.009}
    return {
        "study": {
            "kind": "experiments.DriftStudy",
            "data": {"kind": "experiments.Digits"},
            "model": {"kind": "experiments.SmallCNN", "first": 16},
            "hardware": {"kind": "Hardware", "device": {"kind": "devices.PCM", "g_max": 25e-6}},
            "times": list(TIMES),
            "chips": chips,
            "technology": {"kind": "costs.Chip", "name": "generic"},
        },
        "costs": [
            {"arm": arm, "seconds": s, "energy": 2.6e-8, "latency": 1e-5, "area": 1.7e-6}
            for arm in ("plain", "hardware-aware")
            for s in TIMES
        ],
        "digital": {"plain": {"test": 0.96}, "hardware-aware": {"test": 0.97}},
        "test_images": 600,
        "conversion": [
            arrays("0", "Conv2d", "9 x 16", parameters=160, tiles=1, cells=288),
            arrays("bn", "BatchNorm2d", "no matrix", parameters=32, tiles=0, cells=0),
        ],
        "summary": summary(chips),
        "differences": [difference | {"low": low, "high": high}],
        "versions": {"mho": "0.1.0"},
        "command": "mho drift --seed 1",
    }


def page(document):
    return render(drift_page(document, drift_figures(document)))


DIGITAL = {"plain": 0.96, "hardware-aware": 0.97}


def test_the_figure_shows_every_curve_with_its_interval_and_both_baselines():
    figure = drift_figure(pd.DataFrame(summary()), DIGITAL)
    axes = figure.axes[0]
    curves = {line.get_label(): line for line in axes.lines}
    assert len(curves) == 6
    assert len(axes.collections) == 4
    line = curves["plain training, uncompensated"]
    assert list(line.get_xdata()) == list(TIMES)
    assert list(line.get_ydata()) == pytest.approx([90, 89, 88])
    assert set(curves["hardware-aware training, digital, no chip"].get_ydata()) == {97.0}
    assert axes.get_xscale() == "log"
    assert [t.get_text() for t in axes.get_xticklabels()] == ["1 s", "1 h", "1 year"]


def test_the_bands_are_the_intervals():
    figure = drift_figure(pd.DataFrame(summary()), DIGITAL)
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    ends = {round(float(y), 6) for x, y in band if x == TIMES[0]}
    assert ends == {94 - 0.2, 94 + 0.3}


def test_arms_and_compensation_are_told_apart_without_colour():
    lines = drift_figure(pd.DataFrame(summary()), DIGITAL).axes[0].lines
    styles = {(line.get_linestyle(), line.get_marker(), line.get_markerfacecolor()) for line in lines[:3]}
    assert len(styles) == 3
    colours = {line.get_color() for line in lines}
    grey = sorted(matplotlib.colors.rgb_to_hsv(matplotlib.colors.to_rgb(c))[2] for c in colours)
    assert len(colours) == 2
    assert grey[1] - grey[0] > 0.1


@pytest.mark.parametrize("chips", [1, 25])
def test_one_chip_and_one_time_are_drawn_too(chips):
    rows = [row for row in summary(chips) if row["seconds"] == 1.0]
    table = pd.DataFrame(rows).astype({"std": float, "low": float, "high": float})
    picture = svg(drift_figure(table, DIGITAL))
    assert picture.startswith(b"<?xml")
    assert picture == svg(drift_figure(table, DIGITAL))


def test_the_text_holds_every_mean_and_interval():
    text = drift_text(document())
    assert "hardware-aware  compensated" in text
    row = next(line for line in text.splitlines() if line.startswith("plain") and "1 year" in line)
    assert row.split() == ["plain", "raw", "1", "year", "88.00", "0.80", "87.80", "to", "88.30"]
    assert sum("to" in line.split() for line in text.splitlines()) == 12
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("low", "high", "chips", "words"),
    [
        (0.004, 0.014, 25, "hardware-aware training is better: +0.90 points"),
        (-0.02, -0.01, 25, "hardware-aware training is worse"),
        (-0.001, 0.019, 25, "show no difference"),
        (None, None, 1, "one chip shows nothing"),
    ],
)
def test_the_verdict_follows_the_interval(low, high, chips, words):
    verdict = drift_verdict(document(low, high, chips))
    assert words in verdict
    assert "+1.00 points apart" in verdict


def test_the_page_holds_figure_tables_configuration_and_command():
    html = page(document())
    for words in (
        "SmallCNN",
        "PCM",
        "95.50 %",
        "mho drift --seed 1",
        "data:image/svg+xml",
        "2.5e-05",
        "no matrix",
    ):
        assert words in html
    assert "http://" not in html
    assert "https://" not in html


def test_the_page_of_one_chip_has_no_interval():
    html = page(document(None, None, 1))
    assert "one chip" in html
    assert "nan" not in html.lower().replace("finance", "")


def test_hostile_names_are_escaped():
    hostile = copy.deepcopy(document())
    hostile["study"]["model"]["kind"] = "<img src=x onerror=alert(1)>"
    html = page(hostile)
    assert "<img src=x" not in html
    assert "onerror" in html


def test_the_title_names_network_data_and_device():
    assert drift_title(document()) == "SmallCNN on Digits, PCM chips"

import math

import pandas as pd
import pytest

from mho.report.sweep import curves, figures, front_figure, heat_maps, sweep_page, view


def table(**extra):
    rows = [
        (b, d, s, 0.5 + 0.05 * b + 0.01 * s, 2.0**b, "")
        for b in (2, 4)
        for d in ("PCM", "Ideal")
        for s in (0, 1)
    ]
    made = pd.DataFrame(rows, columns=["bits", "device", "seed", "accuracy", "energy", "error"])
    made.insert(0, "cell", range(8))
    return made.assign(**extra)


FIELDS = ["bits", "device", "seed"]


def test_accuracy_and_energy_are_compared_and_seeds_averaged():
    what = view(table(), FIELDS)
    assert (what.metric, what.cost, what.axes) == ("accuracy", "energy", ["bits", "device"])
    assert list(figures(what)) == ["curves.png", "heat_maps.png", "pareto.png"]


def test_curves_show_means_over_the_rest():
    left, right = curves(view(table(), FIELDS)).axes
    lines = {line.get_label(): line for line in left.containers}
    assert set(lines) == {"device = PCM", "device = Ideal"}
    x, y = lines["device = PCM"].lines[0].get_data()
    assert list(x) == [2, 4] and list(y) == pytest.approx([0.605, 0.705])
    assert [t.get_text() for t in right.get_xticklabels()] == ["Ideal", "PCM"]


def test_heat_maps_show_every_mean():
    image = heat_maps(view(table(), FIELDS)).axes[0]
    assert sorted(t.get_text() for t in image.texts) == ["0.605", "0.605", "0.705", "0.705"]


def test_one_field_has_no_heat_map_and_equal_costs_no_front():
    what = view(table(energy=1.0), ["bits"])
    assert list(figures(what)) == ["curves.png"]
    only_seeds = view(table(energy=1.0), ["seed"])
    assert only_seeds.axes == ["seed"] and list(figures(only_seeds)) == ["curves.png"]


def test_failed_cells_are_left_out():
    rows = table()
    rows.loc[0, ["accuracy", "error"]] = [math.nan, "ValueError: no"]
    what = view(rows, FIELDS)
    assert len(what.done) == 7 and len(figures(what)) == 3


@pytest.mark.parametrize("wanted", [{"metric": "speed"}, {"cost": "money"}, {"fields": ["size"]}])
def test_unknown_columns(wanted):
    (name,) = wanted
    with pytest.raises(ValueError, match=rf"report.{name}: .* is no column; there are cell, bits"):
        view(table(), FIELDS, wanted)


def test_nothing_to_compare():
    empty = pd.DataFrame([{"cell": 0, "bits": 1, "error": "ValueError: no"}])
    with pytest.raises(ValueError, match="no cell of the sweep has a figure"):
        view(empty, ["bits"])


def test_the_front_and_the_target_are_drawn():
    (axes,) = front_figure([1.0, 2.0, 100.0], [0.5, 0.9, 0.8], [0, 1], ["a", "b"], "cost", "gain", 0.85).axes
    labels = axes.get_legend_handles_labels()[1]
    assert "1: a" in labels and "2: b" in labels and "target 0.85" in labels
    assert axes.get_xscale() == "log"


def test_the_page_names_the_best_cell():
    what = view(table(), FIELDS)
    page = sweep_page(what, {}, {"study": {}}, "mho sweep plan.yaml", {"mho": "1"})
    assert (
        "Highest accuracy: 0.71 with bits = 4, device = PCM, seed = 1, and as high in 1 other cell."
        in page.lead
    )
    assert len(page.tables[0].rows) == 8 and page.facts[0] == ("8", "cells")

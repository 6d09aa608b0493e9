import copy

import pytest

from mho.report import render
from mho.report.quantization import (
    figures,
    quantization_page,
    quantization_text,
    quantization_verdicts,
    robustness_analysis,
)

METHODS = ("baseline", "ste", "alpha_blend", "ptq")
SETS = {"SingleDevice-200": 200, "DevicePair-9805": 9805}


HISTORY = {m: {"loss": [1.0, 0.1], "validation": [0.5, 0.9]} for m in METHODS[:3]} | {
    "ptq": {"loss": [], "validation": []}
}


def point(levels, method, strength, mean, seconds=None):
    return {
        "levels": levels, "method": method, "disturbance": "PCM" if seconds is not None else "noise",
        "seconds": seconds, "strength": strength, "mean": mean, "std": 0.01, "drop": 0.9 - mean,
    }  # fmt: skip


def document(p=0.01):
    places = [(levels, i, m) for levels in SETS for i, m in enumerate(METHODS)]
    return {
        "study": {"model": {"kind": "experiments.ResNet18"}, "data": {"kind": "experiments.CIFAR10"},
                  "levels": {"kind": "mapping.SingleDevice"}, "training": {"epochs": 50}},
        "images": {"train": 100, "test": 600},
        "methods": {m: {"test": 0.9 - 0.01 * i, "validation": 0.9} for i, m in enumerate(METHODS)},
        "history": HISTORY,
        "versions": {"mho": "0"},
        "command": "mho quantize",
        "robustness": {
            "levels": SETS,
            "points": [point(s, m, n / 10, 0.9 - 0.01 * i - n / 10) for s, i, m in places for n in range(3)]
            + [point(s, m, 0.08, 0.7, seconds=60.0) for s, _, m in places],
            "areas": [
                {"levels": s, "method": m, "clean": 0.9, "area": 0.8 - 0.01 * i, "std": 0.002, "drop": 0.2}
                for s, i, m in places
            ],
            "comparisons": [
                {"levels": s, "best": "ste", "other": m, "difference": 0.01, "low": 0.0, "high": 0.02,
                 "t": 3.0 if p else None, "p": p, "p_holm": p, "repeats": 10 if p else 1, "tied": False}
                for s in SETS for m in METHODS if m != "ste"
            ],
        },
    }  # fmt: skip


def test_all_figures_are_drawn_and_without_noise_two():
    assert len(figures(document())) == 4
    half = {**document(), "robustness": None}
    assert list(figures(half)) == ["training_curves.png", "test_accuracy_comparison.png"]
    assert quantization_verdicts(half) == []
    assert len(quantization_text(half).splitlines()) == 2 + 4


def test_curves_and_chips_are_on_one_axis():
    left, right = robustness_analysis(document()["robustness"]).axes
    assert left.get_title(loc="left") == "single devices (200 levels)"
    assert right.get_title(loc="left") == "device pairs (9,805 levels)"
    curve = next(line for line in left.lines if line.get_label() == "straight-through")
    assert list(curve.get_xdata()) == pytest.approx([0, 10, 20])
    chips = [c for c in left.containers if len(c.lines[0].get_xdata()) == 1]
    assert len(chips) == 4 and chips[0].lines[0].get_xdata()[0] == pytest.approx(8.0)


def test_the_text_has_a_row_for_each_method_and_the_baseline_once():
    lines = quantization_text(document()).splitlines()
    assert [line.split("  ")[0] for line in lines[2:]] == [
        "full precision", *(["straight-through", "alpha blending", "post-training"] * 2)
    ]  # fmt: skip
    assert "10 % noise" in lines[0]
    assert "89.00 ± 1.00" in lines[3] and "79.00 ± 0.20" in lines[3]


@pytest.mark.parametrize(
    "p, told",
    [
        (0.01, "The noise tells it from full precision, alpha blending and post-training at 5 %"),
        (0.3, "The noise tells it from no other method at 5 %"),
        (None, "With one repeat there is no test"),
    ],
)
def test_the_verdict_says_what_the_test_shows(p, told):
    one, two = quantization_verdicts(document(p))
    assert one.startswith(
        "Most robust on single devices (200 levels): straight-through, mean accuracy 79.00 %"
    )
    assert told in one and told in two
    if p is not None:
        assert "+1.00 points against full precision (t(9) = 3.00" in one


def test_tied_methods_have_no_winner():
    made = document()
    for c in made["robustness"]["comparisons"]:
        c.update(tied=True, difference=0.0, t=None, p=None, p_holm=None, low=None, high=None)
    one, _ = quantization_verdicts(made)
    assert one == (
        "No method is the most robust on single devices (200 levels): straight-through, full precision, "
        "alpha blending and post-training are tied, mean accuracy 79.00 % over the noise."
    )
    made["robustness"]["comparisons"][0].update(tied=False, difference=0.01, t=3.0, p=0.01, p_holm=0.01)
    made["robustness"]["comparisons"][1].update(tied=False, difference=0.01)
    one, _ = quantization_verdicts(made)
    assert "straight-through and post-training are tied" in one
    assert "+1.00 points against full precision (t(9) = 3.00, p = 0.01)" in one
    assert "+1.00 points against alpha blending (the same in every repeat: no test)" in one
    assert "The noise tells each of them from full precision at 5 %" in one


def test_the_page_holds_everything():
    made = document()
    html = render(quantization_page(made, figures(made)))
    assert html.count("data:image/svg+xml") == 4
    assert "One test image is worth 0.17 points" in html and "1 min" in html
    assert render(quantization_page({**made, "robustness": None}, {})).count("data:image") == 0


def test_one_repeat_has_no_spread():
    made = copy.deepcopy(document(None))
    for row in (*made["robustness"]["points"], *made["robustness"]["areas"]):
        row["std"] = None
    assert "±" not in quantization_text(made)
    assert len(figures(made)) == 4

"""What the quantisation study shows: four figures, a text table, a verdict and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mho.config.durations import duration_text
from mho.report.axes import BLUE, GREEN, INK, QUIET, VERMILLION, clean, curve, head, legend_below, panels
from mho.report.page import Page, PageTable, picture
from mho.report.texts import aligned, joined, kind_name, mean_and_spread, percent

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

METHODS = {
    "baseline": "full precision",
    "ste": "straight-through",
    "alpha_blend": "alpha blending",
    "ptq": "post-training",
}
COLOURS = {"baseline": "#000000", "ste": BLUE, "alpha_blend": VERMILLION, "ptq": GREEN}
MARKERS = {"baseline": "s", "ste": "o", "alpha_blend": "^", "ptq": "D"}
Document = Mapping[str, Any]


# --- figures -------------------------------------------------------------------------------------


def training_curves(history: Mapping[str, Mapping[str, Sequence[float]]]) -> matplotlib.figure.Figure:
    """Training loss and validation accuracy over epochs.

    Args:
        history: ``loss`` and ``validation`` of each epoch, by method; methods without epochs are left out.
    """
    from matplotlib.ticker import MaxNLocator

    figure, (left, right) = _panels(2)
    for method, curves in history.items():
        epochs = range(1, len(curves["loss"]) + 1)
        if not epochs:
            continue
        style: dict[str, Any] = {"color": COLOURS[method], "label": METHODS[method], "linewidth": 1.6}
        left.plot(epochs, curves["loss"], **style)
        right.plot(epochs, [100 * v for v in curves["validation"]], **style)
    left.set_ylabel("training loss")
    left.set_yscale("log")
    right.set_ylabel("validation accuracy, weights at their levels (%)")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, left, 4)
    return figure


def test_accuracy_comparison(methods: Mapping[str, Mapping[str, float]]) -> matplotlib.figure.Figure:
    """Test accuracy of the four networks, without noise.

    Args:
        methods: figures of each method, among them ``test``.
    """
    figure, (axes,) = _panels(1)
    values = [100 * facts["test"] for facts in methods.values()]
    bars = axes.bar([METHODS[m] for m in methods], values, color=[COLOURS[m] for m in methods], width=0.6)
    axes.bar_label(bars, fmt="%.2f", padding=3, color=INK)
    axes.set_ylabel("test accuracy (%)")
    axes.set_ylim(0, 105)
    return figure


test_accuracy_comparison.__test__ = False  # type: ignore[attr-defined]  # pytest: this draws


def robustness_analysis(robustness: Document) -> matplotlib.figure.Figure:
    """Accuracy over the strength of the noise for each level set, and the chips at their measured change.

    Args:
        robustness: the part of the document of that name.
    """
    names = list(robustness["levels"])
    figure, made = _panels(len(names))
    for axes, levels in zip(made, names, strict=True):
        points = [p for p in robustness["points"] if p["levels"] == levels]
        for method in METHODS:
            _noise_curve(axes, [p for p in points if p["method"] == method and p["seconds"] is None], method)
            _chips(axes, [p for p in points if p["method"] == method and p["seconds"] is not None], method)
        head(axes, _levels_text(levels), 11)
        axes.set_xlabel("noise, relative to each weight (%)")
        axes.set_ylabel("test accuracy (%)")
    legend_below(figure, made[0], 4)
    return figure


def robustness_metrics(robustness: Document) -> matplotlib.figure.Figure:
    """Mean accuracy over all strengths, and what the strongest noise takes, for each level set."""
    names = list(robustness["levels"])
    figure, (left, right) = _panels(2)
    methods = list(METHODS)
    width = 0.8 / len(names)
    for number, levels in enumerate(names):
        areas = {a["method"]: a for a in robustness["areas"] if a["levels"] == levels}
        places = [i + (number - (len(names) - 1) / 2) * width for i in range(len(methods))]
        hatch = ("", "///", "...", "xxx")[number % 4]
        style: dict[str, Any] = {
            "width": width * 0.92, "color": [COLOURS[m] for m in methods], "hatch": hatch,
            "edgecolor": "white", "label": _levels_text(levels),
        }  # fmt: skip
        spread = [100 * (areas[m]["std"] or 0.0) for m in methods]
        left.bar(places, [100 * areas[m]["area"] for m in methods], yerr=spread, ecolor=QUIET, **style)
        right.bar(places, [100 * areas[m]["drop"] for m in methods], **style)
    lowest = min(100 * a["area"] for a in robustness["areas"])
    left.set_ylim(bottom=max(0.0, lowest - 10))
    left.set_ylabel("area under the curve: mean accuracy (%)")
    right.set_ylabel("accuracy lost at the strongest noise (points)")
    for axes in (left, right):
        axes.set_xticks(range(len(methods)), [METHODS[m] for m in methods], rotation=15)
    legend_below(figure, left, 4)
    return figure


def _noise_curve(axes: matplotlib.axes.Axes, points: Sequence[Document], method: str) -> None:
    x, mean = ([100 * p[name] for p in points] for name in ("strength", "mean"))
    low, high = ([100 * (p["mean"] + sign * (p["std"] or 0.0)) for p in points] for sign in (-1, 1))
    curve(axes, x, mean, (low, high), COLOURS[method], label=METHODS[method])


def _chips(axes: matplotlib.axes.Axes, points: Sequence[Document], method: str) -> None:
    for p in points:
        axes.errorbar(
            100 * p["strength"], 100 * p["mean"], yerr=100 * (p["std"] or 0.0), color=COLOURS[method],
            marker=MARKERS[method], markerfacecolor="white", markersize=6, linewidth=1, zorder=3,
        )  # fmt: skip


def _panels(count: int) -> tuple[matplotlib.figure.Figure, list[matplotlib.axes.Axes]]:
    figure, made = panels((5.4 * count if count > 1 else 6.4, 4.6), across=count)
    for axes in made:
        clean(axes, "y")
    return figure, made


def figures(document: Document) -> dict[str, matplotlib.figure.Figure]:
    """All figures of a study by the name of their file; those of a half that is not there are left out."""
    made = {
        "training_curves.png": training_curves(document["history"]),
        "test_accuracy_comparison.png": test_accuracy_comparison(document["methods"]),
    }
    if document["robustness"] is not None:
        made["robustness_analysis.png"] = robustness_analysis(document["robustness"])
        made["robustness_metrics.png"] = robustness_metrics(document["robustness"])
    return made


# --- words ---------------------------------------------------------------------------------------


def quantization_text(document: Document) -> str:
    """Test accuracy, and accuracy under noise, as aligned text; all in percent."""
    columns, rows = _rows(document)
    lines = [line.rstrip() for line in aligned([columns, *rows], left=(0, 1))]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def _rows(document: Document) -> tuple[list[str], list[list[str]]]:
    robustness = document["robustness"]
    if robustness is None:
        return ["method", "levels", "test"], [
            [METHODS[m], "" if m == "baseline" else "trained for", percent(f["test"])]
            for m, f in document["methods"].items()
        ]
    strengths = _shown(robustness)
    columns = ["method", "levels", *(f"{100 * s:g} % noise" for s in strengths), "area", "lost"]
    rows = []
    for number, area in enumerate(robustness["areas"]):
        first = next(i for i, a in enumerate(robustness["areas"]) if a["method"] == area["method"])
        if area["method"] == "baseline" and number > first:
            continue  # it is on no levels: the same row again
        points = {
            p["strength"]: p
            for p in robustness["points"]
            if p["seconds"] is None and p["levels"] == area["levels"] and p["method"] == area["method"]
        }
        cells = [mean_and_spread(points[s]["mean"], points[s]["std"]) for s in strengths]
        levels = "none" if area["method"] == "baseline" else area["levels"]
        name = METHODS[area["method"]]
        rows.append([name, levels, *cells, mean_and_spread(area["area"], area["std"]), percent(area["drop"])])
    return columns, rows


def _shown(robustness: Document) -> list[float]:
    """Up to five strengths of the noise, the least and the most among them."""
    known = sorted({p["strength"] for p in robustness["points"] if p["seconds"] is None})
    places = sorted({round(k * (len(known) - 1) / 4) for k in range(5)})
    return [known[i] for i in places]


def quantization_verdicts(document: Document) -> list[str]:
    """The most robust method of each level set, with its test."""
    robustness = document["robustness"]
    if robustness is None:
        return []
    return [_verdict(robustness, levels) for levels in robustness["levels"]]


def _verdict(robustness: Document, levels: str) -> str:
    comparisons = [c for c in robustness["comparisons"] if c["levels"] == levels]
    best = comparisons[0]["best"]
    area = next(a for a in robustness["areas"] if a["levels"] == levels and a["method"] == best)
    accuracy = f"mean accuracy {percent(area['area'])} % over the noise"
    tied = [c for c in comparisons if c["tied"]]
    others = [c for c in comparisons if not c["tied"]]
    if tied:
        equals = joined([METHODS[best], *(METHODS[c["other"]] for c in tied)])
        start = f"No method is the most robust on {_levels_text(levels)}: {equals} are tied, {accuracy}"
    else:
        start = f"Most robust on {_levels_text(levels)}: {METHODS[best]}, {accuracy}"
    if comparisons[0]["repeats"] == 1:
        return f"{start}. With one repeat there is no test; ask for more with --robustness-repeats."
    if not others:
        return f"{start}."
    who = "each of them" if tied else "it"
    shown = [METHODS[c["other"]] for c in others if c["p_holm"] is not None and c["p_holm"] < 0.05]
    told = f"The noise tells {who} from {joined(shown) if shown else 'no other method'}"
    return (
        f"{start}: {'; '.join(map(_against, others))}. {told} at 5 % (paired t-test over repeats, "
        "Holm-corrected)."
    )


def _against(comparison: Document) -> str:
    """One difference with its test."""
    c = comparison
    points = f"{100 * c['difference']:+.2f} points against {METHODS[c['other']]}"
    if c["p_holm"] is None:
        return f"{points} (the same in every repeat: no test)"
    return f"{points} (t({c['repeats'] - 1}) = {c['t']:.2f}, p = {c['p_holm']:.3g})"


def _levels_text(name: str) -> str:
    kind, _, count = name.rpartition("-")
    words = {"SingleDevice": "single devices", "DevicePair": "device pairs"}.get(kind, kind)
    return f"{words} ({int(count):,} levels)"


# --- the page ------------------------------------------------------------------------------------


def quantization_page(document: Document, pictures: Mapping[str, matplotlib.figure.Figure]) -> Page:
    """The page of a study.

    Args:
        document: the content of its ``results.json``, and the ``command`` that ran it.
        pictures: what :func:`figures` drew; may be empty.
    """
    facts = [(f"{100 * f['test']:.1f} %", f"{METHODS[m]}, test") for m, f in document["methods"].items()]
    return Page(
        title="Networks on the levels of a real memristor",
        lead=[_what(document), *quantization_verdicts(document), _caution(document)],
        facts=facts,
        figures=[picture(drawn, _ALT[name], _CAPTION[name]) for name, drawn in pictures.items()],
        tables=_tables(document),
        configuration=document["study"],
        commands=[document["command"]],
        software=document["versions"],
    )


_ALT = {
    "training_curves.png": "Training loss and validation accuracy over epochs, by method.",
    "test_accuracy_comparison.png": "Bars: test accuracy of the four methods.",
    "robustness_analysis.png": "Test accuracy over weight noise, one panel for each level set.",
    "robustness_metrics.png": "Bars: mean accuracy over the noise, and accuracy lost at the strongest.",
}
_CAPTION = {
    "training_curves.png": "Each epoch's mean training loss, and the validation accuracy of the network that "
    "would be put on cells then: its weights at the nearest levels (the baseline as it is).",
    "test_accuracy_comparison.png": "Without noise, on test images that no choice was made with.",
    "robustness_analysis.png": "Lines: mean over draws of the noise, the bands one standard deviation. Open "
    "marks: simulated chips, at the relative change of their weights; from left to right they age.",
    "robustness_metrics.png": "Bars of one colour are one method, the hatching tells the level set.",
}


def _what(document: Document) -> str:
    study, images = document["study"], document["images"]
    model, data = (kind_name(study[k]) for k in ("model", "data"))
    return (
        f"A {model} was trained on {data} ({images['train']} images, {study['training']['epochs']} epochs) "
        "four ways from the same start: in full precision, straight-through and with alpha blending towards "
        f"the levels that cells can hold ({kind_name(study['levels'])}), and quantised "
        "to them after training."
    )


def _caution(document: Document) -> str:
    return (
        "The tests compare draws of the noise on one training of each method: another seed trains another "
        f"network. One test image is worth {100 / document['images']['test']:.2f} points."
    )


def _tables(document: Document) -> list[PageTable]:
    columns, rows = _rows(document)
    tables = [
        PageTable(
            caption="Test accuracy in percent, mean ± standard deviation over repeats; area: the mean over "
            "all strengths; lost: points lost at the strongest noise.",
            columns=columns,
            rows=rows,
        )
    ]
    robustness = document["robustness"]
    chips = [] if robustness is None else [p for p in robustness["points"] if p["seconds"] is not None]
    if chips:
        tables.append(
            PageTable(
                caption="On simulated chips: relative change of the weights, and test accuracy in percent.",
                columns=["method", "levels", "cell", "age", "change (%)", "accuracy", "lost"],
                rows=[
                    [
                        METHODS[p["method"]], p["levels"], p["disturbance"], duration_text(p["seconds"]),
                        percent(p["strength"]), mean_and_spread(p["mean"], p["std"]), percent(p["drop"]),
                    ]
                    for p in chips
                ],
            )
        )  # fmt: skip
    return tables

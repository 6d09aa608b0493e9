"""What the study of a year of drift shows: a text table, verdicts and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mho.config.durations import duration_text
from mho.experiments.hwa.tables import RULE, pick, status
from mho.report.drift import ARMS as NAMES
from mho.report.hwa_figures import AWARE, IDEALISED, MAIN, PLAIN, hwa_dashboard, hwa_figure
from mho.report.page import Figure, Page, PageTable, picture
from mho.report.texts import aligned, kind_name

if TYPE_CHECKING:
    import matplotlib.figure

Document = Mapping[str, Any]
Documents = Mapping[str, Document]
DASHBOARD = "dashboard.png"
HEAD = (
    "network", "protocol", "metric", "digital", "at {first}", "at {last}", "change", "A* at {last}", "status"
)  # fmt: skip


def hwa_text(documents: Documents) -> str:
    """The table of all modalities as aligned text, and the rule for the status."""
    head, rows = _rows(documents)
    lines = [line.rstrip() for line in aligned([head, *rows], left=(0, 1, 2, 8))]
    return "\n".join([*lines, "", RULE])


def hwa_verdicts(documents: Documents) -> list[str]:
    """For each modality: what the plain network lost on chip, what came back, whether it had converged."""
    return [f"{_verdict(name, document)} {_converged(document)}" for name, document in documents.items()]


def figures(documents: Documents) -> dict[str, matplotlib.figure.Figure]:
    """All figures by the name of their file: the dashboard of all modalities, and one of each."""
    summary = [row for document in documents.values() for row in document["summary"]]
    digital = {name: _digital(document) for name, document in documents.items()}
    titles = {name: _title(document) for name, document in documents.items()}
    each = {
        f"{name}.png": hwa_figure(document["summary"], digital[name], titles[name])
        for name, document in documents.items()
    }
    return {DASHBOARD: hwa_dashboard(summary, digital, titles), **each}


def hwa_page(documents: Documents, command: str, pictures: Mapping[str, matplotlib.figure.Figure]) -> Page:
    """The page of all modalities.

    Args:
        documents: the content of ``results.json`` of each modality.
        command: that ran them.
        pictures: what :func:`figures` drew; may be empty.
    """
    head, rows = _rows(documents)
    captions = {DASHBOARD: "All modalities together."}
    captions |= {
        f"{name}.png": f"{name}: over time, and every correction at the last time." for name in documents
    }
    return Page(
        title="A year of drift: images, texts and rows of words",
        lead=[_WHAT, *hwa_verdicts(documents), _IDEAL, _CAUTION],
        facts=[fact for name, document in documents.items() for fact in _facts(name, document)],
        figures=[_picture(drawn, captions[name]) for name, drawn in pictures.items()],
        tables=[
            PageTable(caption=RULE, columns=head, rows=rows),
            *(_corrections(name, document) for name, document in documents.items()),
            _networks(documents),
        ],
        configuration={name: {"study": d["study"], "test": d["test"]} for name, d in documents.items()},
        commands=[command],
        software=next(iter(documents.values()))["versions"],
    )


_WHAT = (
    "A digital teacher was trained. Two students began with its weights and got as many further steps over "
    "the same batches, with the same teacher: one as it is, one with weight noise, clipped weights and the "
    "converters in the loop. Both were programmed on the same simulated chips, aged, and tested with fresh "
    "read noise and each correction. No chip was met in training, nothing was chosen with the test data."
)
_IDEAL = (
    "The idealised protocol (one drift exponent for all cells, its exact inverse as compensation, no read "
    "noise) multiplies all weights by a number and divides by the same number: its drift loss is zero by "
    "construction, with or without hardware-aware training, and says nothing about chips."
)
_CAUTION = (
    "The intervals are over chips, for one training of each network; another training seed is another "
    "network."
)


def _title(document: Document) -> str:
    task = document["study"]["task"]
    return f"{kind_name(task['network'])} on {kind_name(task['data'])}"


def _digital(document: Document) -> dict[str, float]:
    return {arm: document["networks"][arm]["test_value"] for arm in NAMES}


def _value(metric: str, value: float) -> str:
    return f"{100 * value:.2f} %" if metric == "accuracy" else f"{value:.2f}"


def _change(metric: str, change: float) -> str:
    return f"{100 * change:+.2f}" if metric == "accuracy" else f"{change:+.2f}"


def _rows(documents: Documents) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table: each student on chips, and under the idealised protocol."""
    rows, times = [], set()
    for modality, document in documents.items():
        metric, digital = document["metric"], _digital(document)
        for correction, protocol in ((MAIN, "chips, compensated"), (IDEALISED, "idealised")):
            for arm in NAMES:
                first, last = (
                    pick(document["summary"], modality, arm, correction, last=end) for end in (False, True)
                )
                times.add((first["seconds"], last["seconds"]))
                rows.append(
                    [
                        f"{_title(document)}, {arm}",
                        protocol,
                        metric,
                        _value(metric, digital[arm]),
                        _value(metric, first["value"]),
                        _value(metric, last["value"]),
                        _change(metric, last["value"] - first["value"]),
                        "-" if last["normalised"] is None else f"{100 * last['normalised']:.2f} %",
                        status(first, last) if correction == MAIN else "zero by construction",
                    ]
                )
    ends = [duration_text(s) for s in times.pop()] if len(times) == 1 else ["the first time", "the last time"]
    names = dict(zip(("first", "last"), ends, strict=True))
    return [name.format(**names) for name in HEAD], rows


def _verdict(modality: str, document: Document) -> str:
    found = next(r for r in document["recovery"] if r["correction"] == MAIN)
    last = duration_text(pick(document["summary"], modality, PLAIN, MAIN)["seconds"])
    lost, left = (_loss(document, found[name]) for name in ("plain_loss", "aware_loss"))
    start = f"{modality}: after {last}, compensated, the plain network"
    if document["metric"] == "perplexity":
        start = f"{start}'s log-perplexity is {lost} above digital"
    else:
        start = f"{start} is {lost} points below digital"
    if found["recovered"] is None:
        why = _no_loss(document, found)
        return f"{start}, the hardware-aware one {left}; {why}: there is nothing to recover."
    apart = "do not overlap" if found["apart"] else "overlap"
    held = (
        "at least half is recovered" if found["holds"] else "the aim (half of it, intervals apart) is missed"
    )
    part = f"{100 * found['recovered']:.0f} %" if found["recovered"] > 0 else "nothing"
    return (
        f"{start}, the hardware-aware one {left}: {part} is recovered; the 95 % "
        f"intervals over {found['chips']} chips {apart}: {held}."
    )


def _no_loss(document: Document, found: Mapping[str, Any]) -> str:
    """Why no loss of the plain network is shown."""
    if found["plain_loss"] <= 0:
        return "the plain one loses nothing"
    low, high = (_loss(document, found[name]) for name in ("plain_loss_low", "plain_loss_high"))
    return f"the 95 % interval of the loss of the plain one ({low} to {high}) holds zero"


def _loss(document: Document, error: float) -> str:
    """Points of accuracy, or a difference of log-perplexities."""
    return f"{error:.4f}" if document["metric"] == "perplexity" else f"{100 * error:.2f}"


def _converged(document: Document) -> str:
    metric, networks = document["metric"], document["networks"]
    short, long = (networks[name]["test_value"] for name in (PLAIN, f"{PLAIN}-longer"))
    return (
        f"Digital, the plain network has {_value(metric, short)}, trained once more for as long "
        f"{_value(metric, long)}, the hardware-aware one {_value(metric, _digital(document)[AWARE])}."
    )


def _facts(name: str, document: Document) -> list[tuple[str, str]]:
    metric = document["metric"]
    facts = [(_value(metric, _digital(document)[PLAIN]), f"{name}, plain, digital")]
    for arm in NAMES:
        last = pick(document["summary"], name, arm, MAIN)
        facts.append((_value(metric, last["value"]), f"{name}, {arm}, {duration_text(last['seconds'])}"))
    return facts


def _picture(figure: Any, caption: str) -> Figure:
    told = f"{caption} Axes of values do not begin at zero."
    return picture(figure, f"{caption} The tables below hold the same figures.", told)


def _corrections(name: str, document: Document) -> PageTable:
    """Every arm and correction at every time."""
    metric, summary = document["metric"], document["summary"]
    times = sorted({row["seconds"] for row in summary})
    rows, notes = [], []
    for arm in NAMES:
        for correction in dict.fromkeys(row["correction"] for row in summary):
            cells = [
                row
                for seconds in times
                for row in summary
                if (row["arm"], row["correction"], row["seconds"]) == (arm, correction, seconds)
            ]
            rows.append([f"{arm}, {correction}", *(_value(metric, c["value"]) for c in cells)])
            notes.append(["", *(_interval(metric, c) for c in cells)])
    return PageTable(
        caption=f"{name}: mean over chips; below it the 95 % interval of the mean (Student's t).",
        columns=["network, correction", *(duration_text(s) for s in times)],
        rows=rows,
        notes=notes,
    )


def _interval(metric: str, row: Mapping[str, Any]) -> str:
    if row["value_low"] is None:
        return "one chip"
    return f"{_value(metric, row['value_low'])} to {_value(metric, row['value_high'])}"


def _networks(documents: Documents) -> PageTable:
    rows: list[Sequence[str]] = []
    for modality, document in documents.items():
        metric = document["metric"]
        for name, facts in document["networks"].items():
            values = (_value(metric, facts[f"{part}_value"]) for part in ("validation", "test"))
            rows.append([f"{modality}, {name}", *values, f"{facts['cpu_seconds']:.0f} s"])
    return PageTable(
        caption="The networks without a chip. plain-longer is the plain student trained once more for as "
        "long: how far the plain one is from where it would end.",
        columns=["network", "validation", "test", "CPU time"],
        rows=rows,
    )

"""A page about one memory cell: what it is, its parameters, and the pictures that apply."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from mho.config import to_dict
from mho.devices import Device
from mho.devices.dynamics import SwitchingModel, sine
from mho.devices.fitting import Card, Fit
from mho.report.device_figures import (
    SAMPLES,
    bipolar_switching,
    iv_family,
    loops_at_frequencies,
    time_trace,
)
from mho.report.device_statistics import drift_fan, fit_figure, programming_statistics, read_noise
from mho.report.docstrings import parameters, words
from mho.report.page import Page, PageTable, picture

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

AMPLITUDES = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0)  # volts that are tried
SLOWEST = 10.0  # seconds for a full switch, of a wave that is worth drawing


class Wave(NamedTuple):
    """A sine that switches a cell: volts and hertz."""

    amplitude: float
    frequency: float


class Picture(NamedTuple):
    """A figure with its words."""

    figure: matplotlib.figure.Figure
    alt: str
    caption: str


def switching_wave(
    model: SwitchingModel, amplitude: float | None = None, frequency: float | None = None
) -> Wave:
    """A sine under which the cell goes most of its way and back.

    The amplitude is the least of 0.5 to 5 V under which the middle state moves both ways (or one
    way, where it never moves the other) within 10 s; the
    frequency gives the slower half wave about the time for the whole span, at the velocity of the middle.

    Args:
        model: a model whose cells are alike.
        amplitude: volts, if it is known.
        frequency: hertz, if it is known.

    Raises:
        ValueError: no amplitude moves the cell; name one, and a frequency.
    """
    tried = AMPLITUDES if amplitude is None else (amplitude,)
    slowest = SLOWEST if amplitude is None else math.inf
    for both in (True, False):  # a cell that was measured one way moves one way
        for volts in tried:
            seconds = _switching_time(model, volts, both)
            if seconds <= slowest and math.isfinite(seconds):
                return Wave(volts, frequency if frequency is not None else float(f"{0.5 / seconds:.1g}"))
    if amplitude is not None and frequency is not None:
        return Wave(amplitude, frequency)
    raise ValueError(
        f"{type(model).__name__} does not move under up to {tried[-1]:g} V within {SLOWEST:g} s; "
        "name amplitude and frequency of the wave"
    )


def _switching_time(model: SwitchingModel, volts: float, both: bool) -> float:
    """Seconds for the whole span at the mean velocity of the middle state, in the slower direction.

    Args:
        model: a model whose cells are alike.
        volts: amplitude of a sine.
        both: whether the cell has to move both ways.
    """
    low, high = (float(b) for b in model.bounds)
    wave = volts * torch.sin(torch.linspace(0, math.pi, 65, dtype=torch.float64))
    middle = torch.full_like(wave, 0.5 * (low + high))
    speeds = [model.rate(middle, sign * wave).abs() for sign in (1, -1)]
    # A median of 0: only the tip of the wave is above the threshold.
    means = [float(s.mean()) for s in speeds if float(s.median()) > 0]
    return math.inf if len(means) < (2 if both else 1) else (high - low) / min(means)


def device_pictures(
    device: Device | SwitchingModel, wave: Wave | None = None, fit: Fit | None = None
) -> dict[str, Picture]:
    """The pictures that apply to a cell, by the name of their file.

    Args:
        device: a device, or a switching model whose cells are alike.
        wave: the sine for a switching model; default :func:`switching_wave`.
        fit: of this device, for the picture of the measurement.
    """
    made: dict[str, Picture] = {}
    if fit is not None:
        text = "Points: measured; line: the fitted law; below, what the law leaves."
        made["fit"] = Picture(fit_figure(fit), "The measurement and the fitted law.", text)
    drawn = _of_device(device) if isinstance(device, Device) else _of_model(device, wave)
    return made | {name: Picture(_figure(axes), alt, told) for name, (axes, alt, told) in drawn.items()}


def _of_device(device: Device) -> dict[str, tuple[matplotlib.axes.Axes, str, str]]:
    return {
        "programming": (
            programming_statistics(device),
            "Standard deviation of the programmed conductance over the target.",
            "The error of one programming, after clipping.",
        ),
        "drift": (
            drift_fan(device),
            "Quantiles of the conductance of three targets over time.",
            "4000 cells of each of three targets, with programming error and drift, without read noise.",
        ),
        "read_noise": (
            read_noise(device),
            "Standard deviation of one read over time, for three conductances.",
            "Cells that were written without error; one read of each.",
        ),
    }


def _of_model(model: SwitchingModel, wave: Wave | None) -> dict[str, tuple[matplotlib.axes.Axes, str, str]]:
    from matplotlib.ticker import EngFormatter

    wave = switching_wave(model) if wave is None else wave
    trace = model.simulate(*sine(wave.amplitude, wave.frequency, 2, SAMPLES))
    frequency = EngFormatter("Hz")(wave.frequency)
    text = f"Sine of {wave.amplitude:g} V and {frequency} from the model's initial state."
    return {
        "hysteresis": (
            loops_at_frequencies(model, wave),
            "Current over voltage at three frequencies.",
            f"Sines of {wave.amplitude:g} V: the loop is pinched at 0 V and closes as the frequency rises.",
        ),
        "switching": (bipolar_switching(trace), "Magnitude of the current over voltage.", text),
        "time": (time_trace(trace), "Conductance and voltage over time.", text),
        "states": (
            iv_family(model, wave.amplitude),
            "Current over voltage of nine frozen states.",
            "What a read sees: the state is held still.",
        ),
    }


def device_page(
    device: Device | SwitchingModel,
    pictures: Mapping[str, Picture],
    fit: Fit | None = None,
    commands: Sequence[str] = (),
    software: Mapping[str, str] | None = None,
) -> Page:
    """The page of a cell.

    Args:
        device: what it is about.
        pictures: what :func:`device_pictures` made.
        fit: where a device of your own comes from.
        commands: command lines that make the page again.
        software: names and versions.
    """
    said = words(type(device))
    tables = [PageTable("Laws", ("Quantity", "Law"), said.laws)] if said.laws else []
    tables.append(PageTable("Parameters", ("Name", "Value", "Meaning"), parameters(device)))
    title, lead = type(device).__name__, said.paragraphs
    if fit is not None:
        tables = [*_card_tables(fit.card), *tables]
        title, lead = f"{title} fitted to {fit.card.source}", [*_told(fit.card), *lead]
    return Page(
        title=title,
        lead=lead,
        facts=_facts(device),
        figures=[picture(*drawn) for drawn in pictures.values()],
        tables=tables,
        configuration=to_dict(device),
        commands=commands,
        software=software if software is not None else {},
    )


def _facts(device: Device | SwitchingModel) -> list[tuple[str, str]]:
    from matplotlib.ticker import EngFormatter

    siemens = EngFormatter("S", places=2)
    low, high = (float(g) for g in (device.g_min, device.g_max))
    facts = [(siemens(low), "lowest conductance"), (siemens(high), "highest conductance")]
    ratio = f"{high / low:.3g}" if low > 0 else "∞"
    return [*facts, (ratio, "highest over lowest conductance")]


def _told(card: Card) -> list[str]:
    """What the reader of a fit must know: first what the device leaves out."""
    left_out = [f"The measurement shows {words}; the device does not have it." for words in card.left_out]
    return [*left_out, *card.notes]


def _card_tables(card: Card) -> list[PageTable]:
    """Fitted parameters with errors, and where they come from."""
    fitted = [[e.name, f"{e.value:.6g}", f"{e.error:.2g}", e.unit] for e in card.parameters]
    chi2 = "not known" if card.reduced_chi2 is None else f"{card.reduced_chi2:.3g}"
    rows = [
        ["Source", card.source],
        ["SHA-256", card.sha256],
        ["Fitted", card.date],
        ["Rows", str(card.rows)],
        ["Measurement", type(card.measurement).__name__],
        *([f"Valid: {s.name}", f"{s.low:.4g} to {s.high:.4g} {s.unit}".rstrip()] for s in card.spans),
        ["R²", f"{card.r_squared:.6f}"],
        ["Reduced χ²", chi2],
        ["Noise", f"{card.noise:.3g}"],
        ["Correlation of neighbouring residuals", f"{card.correlation:.3f}"],
        ["Software", ", ".join(card.software)],
    ]
    return [
        PageTable("Fitted parameters, with one standard error", ("Name", "Value", "Error", "Unit"), fitted),
        PageTable("Card", ("", "Value"), rows),
    ]


def _figure(axes: matplotlib.axes.Axes) -> matplotlib.figure.Figure:
    from matplotlib.figure import Figure as Drawn

    assert isinstance(axes.figure, Drawn)
    return axes.figure

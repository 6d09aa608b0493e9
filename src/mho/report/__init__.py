"""From tables to what a reader sees: figures, text and one self-contained page.

Nothing here computes a result, and no other part of mho needs it: a program asks an experiment for
its tables and hands them over.
"""

from mho.config.durations import duration_text, parse_durations
from mho.report.axes import lines
from mho.report.budget import budget_figure
from mho.report.device_figures import bipolar_switching, hysteresis_loop, iv_family, time_trace
from mho.report.device_statistics import (
    conductance_map,
    drift_fan,
    fit_figure,
    programming_statistics,
    read_noise,
)
from mho.report.drift import drift_figure, drift_page, drift_text, drift_title, drift_verdict
from mho.report.page import Figure, Page, PageTable, render
from mho.report.profile import profile_figure

__all__ = [
    "Figure", "Page", "PageTable", "bipolar_switching", "budget_figure", "conductance_map", "drift_fan",
    "drift_figure", "drift_page", "drift_text", "drift_title", "drift_verdict", "duration_text",
    "fit_figure", "hysteresis_loop", "iv_family", "lines", "parse_durations", "profile_figure",
    "programming_statistics", "read_noise", "render", "time_trace",
]  # fmt: skip

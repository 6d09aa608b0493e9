"""From the errors of chips to tables: means and intervals, normalised accuracy, and what was recovered.

All arithmetic is on errors: 1 - accuracy, or the logarithm of the perplexity. The reference of both
students is the digital test error of the plain one, which has converged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mho.experiments.hwa.chips import IDEALISED
from mho.experiments.hwa.study import GLOBAL
from mho.experiments.hwa.tasks import shown
from mho.experiments.networks import ARMS, AWARE, PLAIN
from mho.experiments.statistics import MeanEstimate, estimate, paired
from mho.experiments.tables import records_of

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "modality", "metric", "seed", "arm", "correction", "seconds", "chip", "chip_seed", "value", "error",
    "normalised", "digital_value", "reference_error", "chance_error",
)  # fmt: skip
ISO, STABLE = 0.99, 0.01
RULE = (
    "Status. iso-accurate: the 95 % interval of the normalised accuracy A* at the last time lies above "
    "99 %. stable: not that, but A* falls by less than 1 point from the first time to the last. drifts: "
    "neither. A* = 1 - (error - reference) / (chance - reference): 1 is the digital plain network, 0 guesses."
)


def normalised(error: float, reference: float, chance: float) -> float:
    """Normalised accuracy A*: 1 for the error of the reference, 0 for that of guessing.

    NaN if the reference is no better than guessing: then there is nothing to keep.

    Source: M. J. Rasch et al., Nat. Commun. 14, 5282 (2023). For language models the errors are logarithms
    of perplexities, and guessing is a uniform choice among all words.

    >>> normalised(0.2, reference=0.1, chance=0.9)
    0.875
    """
    return 1 - (error - reference) / (chance - reference) if chance > reference else math.nan


def summarise(found: pd.DataFrame) -> list[dict[str, Any]]:
    """Mean, spread and 95 % interval over chips, for each arm, correction and time of each modality.

    Returns:
        Rows with ``modality, arm, correction, seconds, chips``, the ``error`` with its ``std, low, high``,
        what people read (``value, value_low, value_high``: accuracy, or perplexity at the mean logarithm),
        and ``normalised`` with ``normalised_low, normalised_high``. None where one chip gives no interval, or
        the reference is no better than guessing.
    """
    import pandas as pd

    rows, names = [], ["modality", "arm", "correction", "seconds"]
    for key, group in found.groupby(names, sort=False):
        first, e = group.iloc[0], estimate(group["error"].to_list())
        told = {**dict(zip(names, key, strict=True)), "metric": first["metric"], "chips": e.n}
        rows.append({**told, **_described(e, first)})
    return records_of(pd.DataFrame(rows))


def _described(e: MeanEstimate, first: Any) -> dict[str, float]:
    """An error and its interval, as error, as people write it, and normalised; NaN where one is not known."""
    values = [shown(first["metric"], error) for error in (e.low, e.high)]
    parts = [
        normalised(error, first["reference_error"], first["chance_error"])
        for error in (e.mean, e.high, e.low)
    ]
    return {
        "error": e.mean,
        "std": e.std,
        "low": e.low,
        "high": e.high,
        "value": shown(first["metric"], e.mean),
        "value_low": min(values),
        "value_high": max(values),
        **dict(zip(("normalised", "normalised_low", "normalised_high"), parts, strict=True)),
    }


def pick(
    summary: list[dict[str, Any]], modality: str, arm: str, correction: str, last: bool = True
) -> dict[str, Any]:
    """One row of a summary, at the last time or the first one."""
    rows = [
        row
        for row in summary
        if (row["modality"], row["arm"], row["correction"]) == (modality, arm, correction)
    ]
    if not rows:
        raise ValueError(f"no row of {modality}, {arm}, {correction}")
    return sorted(rows, key=lambda row: row["seconds"])[-1 if last else 0]


def status(first: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    """``"iso-accurate"``, ``"stable"`` or ``"drifts"``: see :data:`RULE`; ``"not learned"`` without A*."""
    low = last["normalised_low"]
    if last["normalised"] is None:
        return "not learned"
    if low is not None and low >= ISO:
        return "iso-accurate"
    return "stable" if first["normalised"] - last["normalised"] < STABLE else "drifts"


def recovery(found: pd.DataFrame, modality: str, correction: str = GLOBAL) -> dict[str, Any]:
    """What hardware-aware training gives back of the plain network's loss on chip, at the last time.

    Args:
        found: the table.
        modality: whose rows.
        correction: of the drift, the same for both.

    Returns:
        ``plain_loss`` and ``aware_loss`` (error minus that of the digital plain network), ``plain_loss_low``
        and ``plain_loss_high`` (its 95 % interval; None for one chip), ``recovered`` (1 - aware / plain:
        below 0 where the aware network loses more, None where no loss of the plain one is shown, for its
        interval holds zero), ``apart`` (the 95 % intervals of the two errors do not overlap, the aware one is
        lower), the mean ``gain`` paired by chip with its interval (None where there is no test), and
        ``holds``: at least half was recovered, and the intervals are apart. Intervals of errors that are the
        same on every chip say nothing: they are not apart.
    """
    rows = found[(found["modality"] == modality) & (found["correction"] == correction)]
    rows = rows[rows["seconds"] == rows["seconds"].max()]
    errors = {arm: rows[rows["arm"] == arm].sort_values("chip")["error"].to_list() for arm in ARMS}
    reference = float(rows["reference_error"].iloc[0])
    plain, aware = (estimate(errors[arm]) for arm in (PLAIN, AWARE))
    lost, left = plain.mean - reference, aware.mean - reference
    gain = paired(errors[PLAIN], errors[AWARE]).difference
    shown = plain.low > reference if plain.n > 1 else lost > 0
    recovered = 1 - left / lost if shown else math.nan
    apart = plain.varies and aware.varies and aware.high < plain.low
    row = {
        "modality": modality,
        "correction": correction,
        "chips": plain.n,
        "plain_loss": lost,
        "plain_loss_low": plain.low - reference,
        "plain_loss_high": plain.high - reference,
        "aware_loss": left,
        "recovered": recovered,
        "apart": apart,
        "gain": gain.mean,
        "gain_low": gain.low,
        "gain_high": gain.high,
        "holds": recovered >= 0.5 and apart,
    }
    return {name: None if value != value else value for name, value in row.items()}


def idealised_loss(found: pd.DataFrame, modality: str, arm: str) -> float:
    """Largest change of the error from the first time to any other, over chips, in the idealised protocol."""
    rows = found[(found["modality"] == modality) & (found["arm"] == arm) & (found["correction"] == IDEALISED)]
    wide = rows.pivot(index="chip", columns="seconds", values="error")
    return float((wide.sub(wide.iloc[:, 0], axis=0)).abs().to_numpy().max())

"""Tables of results: read again from their files, and as plain rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mho.experiments.statistics import MeanEstimate

if TYPE_CHECKING:
    import pandas as pd


def read_csv(path: Path, known: Mapping[str, Sequence[str]]) -> tuple[str, pd.DataFrame]:
    """The table of an earlier run, and whose it is.

    Args:
        path: ``results.csv``.
        known: the columns that a table must have, by whose table it then is.

    Raises:
        ValueError: the file is not such a table.
    """
    import pandas as pd

    table = pd.read_csv(path)
    for what, columns in known.items():
        if not table.empty and set(columns) <= set(table.columns):
            return what, table
    needed = " (or ".join(", ".join(columns) for columns in known.values()) + ")" * (len(known) - 1)
    raise ValueError(f"{path}: not a table of {' or '.join(known)}: it needs rows and the columns {needed}")


def estimates(
    table: pd.DataFrame, by: Sequence[str], of: Callable[[pd.DataFrame], MeanEstimate]
) -> pd.DataFrame:
    """Estimates for each group of rows.

    Args:
        table: tidy.
        by: columns that name a group.
        of: the estimate of the rows of a group.

    Returns:
        Columns ``by`` and ``chips, mean, std, low, high``; NaN where a figure is not defined.
    """
    import pandas as pd

    rows = []
    for key, group in table.groupby(list(by), sort=False):
        e = of(group)
        names = dict(zip(by, key, strict=True))
        rows.append({**names, "chips": e.n, "mean": e.mean, "std": e.std, "low": e.low, "high": e.high})
    found: pd.DataFrame = pd.DataFrame(rows)
    return found


def records_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain dicts, None where a figure is not defined."""
    rows: list[dict[str, Any]] = table.astype(object).where(table.notna(), None).to_dict("records")
    return rows

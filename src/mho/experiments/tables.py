"""Tables of results: read again from their files, and as plain rows."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mho.config.documents import read_text
from mho.config.sealed import DamagedFileError, checksum_of, read_sealed
from mho.errors import ConfigError
from mho.experiments.statistics import MeanEstimate
from mho.experiments.store import RESULTS, REWRITTEN

if TYPE_CHECKING:
    import pandas as pd

FIGURES = (
    "seconds",
    "accuracy",
    "digital_accuracy",
    "value",
    "error",
    "digital_value",
)  # finite where they are


def table_text(path: Path) -> str:
    """The text of a table, compared with the checksum in ``results.json`` beside it, if that has one.

    Raises:
        DamagedFileError: one of the two is not as it was written.
        ConfigError: the table is not UTF-8.
    """
    beside = path.with_name(RESULTS)
    sums = read_sealed(beside, REWRITTEN).get("checksums", {}) if beside.is_file() else {}
    if path.name in sums and sums[path.name] != checksum_of(path.read_bytes()):
        raise DamagedFileError(
            f"{path}: changed since it was written (its checksum in {RESULTS} does not fit); {REWRITTEN}. "
            "A table that you changed on purpose is read from another folder"
        )
    return read_text(path)


def read_csv(path: Path, known: Mapping[str, Sequence[str]]) -> tuple[str, pd.DataFrame]:
    """The table of an earlier run, and whose it is.

    Args:
        path: ``results.csv``.
        known: the columns that a table must have, by whose table it then is.

    Raises:
        ValueError: the file is not such a table, or a time or a figure in it is not finite; the message names
            the file and the line. Or it was changed since its run wrote it, see :func:`table_text`.
    """
    import pandas as pd

    try:
        table = pd.read_csv(io.StringIO(table_text(path)))
    except (ConfigError, DamagedFileError):
        raise
    except ValueError as error:  # what pandas raises for a file that is no table
        raise ValueError(f"{path}: not a table of {' or '.join(known)} ({error})") from None
    for what, columns in known.items():
        if not table.empty and set(columns) <= set(table.columns):
            for name in (name for name in FIGURES if name in columns):
                table[name] = _finite(table[name], path, name)
            return what, table
    needed = " (or ".join(", ".join(columns) for columns in known.values()) + ")" * (len(known) - 1)
    raise ValueError(f"{path}: not a table of {' or '.join(known)}: it needs rows and the columns {needed}")


def _finite(column: pd.Series[Any], path: Path, name: str) -> pd.Series[Any]:
    """A column of numbers; ``ValueError`` with the line of the first value that is none."""
    import pandas as pd

    numbers: pd.Series[Any] = pd.to_numeric(column, errors="coerce").astype(float)
    wrong = [k for k, v in enumerate(numbers) if not math.isfinite(v) or (name == "seconds" and v < 0)]
    if wrong:
        wanted = "a time since programming, 0 or more seconds" if name == "seconds" else "a finite number"
        raise ValueError(
            f"{path}, line {wrong[0] + 2}: {name} = {column.iloc[wrong[0]]}: it must be {wanted}"
        )
    return numbers


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

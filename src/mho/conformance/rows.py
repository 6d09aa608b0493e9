"""One row for each case: peer, ours, tolerance, verdict, who is right and why."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from enum import Enum
from pathlib import Path

import mho
from mho.config import write_whole


class Verdict(Enum):
    """What a comparison found."""

    AGREES = "agrees"
    EXPLAINED = "differs, explained"
    REFUSED = "refused by name"
    APART = "not compared"
    UNEXPLAINED = "UNEXPLAINED"


@dataclass(frozen=True)
class Row:
    """One case.

    Attributes:
        case: what was compared.
        peer: the other program, with its version.
        theirs, ours: the figure that says most, in words or numbers.
        difference: the largest one, relative to the tolerance's unit; None where no number is compared.
        tolerance: the largest difference that counts as agreement; None likewise.
        verdict: of the comparison.
        right: who is right where they differ: ``"both"``, ``"mho"``, or the peer.
        why: the reason, in a sentence; empty where they agree.
    """

    case: str
    peer: str
    theirs: str
    ours: str
    difference: float | None
    tolerance: float | None
    verdict: Verdict
    right: str = "both"
    why: str = ""


COLUMNS = tuple(field.name for field in fields(Row))


def compared(
    case: str, peer: str, theirs: float, ours: float, difference: float, tolerance: float,
    right: str = "both", why: str = "",
) -> Row:  # fmt: skip
    """A row of numbers.

    Args:
        right, why: where a difference is expected; it is then explained instead of agreement.
    """
    if difference <= tolerance:
        verdict = Verdict.EXPLAINED if why else Verdict.AGREES
    else:
        verdict = Verdict.UNEXPLAINED
    return Row(case, peer, f"{theirs:.6g}", f"{ours:.6g}", float(difference), tolerance, verdict, right, why)


def goldens(folder: str | os.PathLike[str] | None = None) -> Path:
    """The folder of reference numbers.

    They are not part of the installed package: 1.5 MB that only this command reads. A checkout of the
    repository has them in ``tests/reference/data``.

    Raises:
        ValueError: it is not there, or holds none.
    """
    given = folder is not None
    path = Path(folder) if folder is not None else Path(mho.__file__).parents[2] / "tests/reference/data"
    if not (path / "aihwkit" / "golden_mvm.npz").is_file():
        raise ValueError(
            f"{path}: no reference numbers; "
            + (
                "give the folder"
                if given
                else "this mho was not installed from a checkout: give --goldens, the folder"
            )
            + " tests/reference/data of the repository"
        )
    return path


def write_csv(rows: Iterable[Row], path: Path) -> None:
    """All rows as CSV, whole or not at all."""
    cells = [_cells(row) for row in rows]

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(cells)

    write_whole(path, write)


def _cells(row: Row) -> list[str]:
    values = asdict(row) | {"verdict": row.verdict.value}
    return ["" if value is None else str(value) for value in values.values()]


def text(rows: Sequence[Row]) -> str:
    """Counts of each peer, and one line for each reason why rows are more than agreement."""
    lines = [f"{peer}: {_counts([row for row in rows if row.peer == peer])}" for peer in _peers(rows)]
    reasons: dict[tuple[str, Verdict, str, str], list[str]] = {}
    for row in rows:
        if row.verdict is not Verdict.AGREES:
            reasons.setdefault((row.peer, row.verdict, row.right, row.why), []).append(row.case)
    for (peer, verdict, right, why), cases in reasons.items():
        more = f" and {len(cases) - 1} more" if len(cases) > 1 else ""
        lines.append(
            f"  {peer}, {cases[0]}{more}: {verdict.value}; right: {right}; {why or 'no reason known'}"
        )
    return "\n".join(lines)


def _peers(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.peer for row in rows))


def _counts(rows: Sequence[Row]) -> str:
    counts = {verdict: sum(row.verdict is verdict for row in rows) for verdict in Verdict}
    return "; ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count)

"""A study: a description, what it measures at one place of its grid, and what its columns mean."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch

from mho.experiments.progress import Progress
from mho.experiments.store import RESULTS, Log, Store

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas as pd

At = Mapping[str, Any]
Row = Mapping[str, Any]
TABLE = "results.csv"


class Column(NamedTuple):
    """What a column of the table means.

    Attributes:
        name: of the column.
        unit: of its values; empty for none.
        doc: what it is, in a few words.
        low, high: the values that are possible; another one is never recorded.
    """

    name: str
    unit: str = ""
    doc: str = ""
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class Work:
    """What a study works with.

    Attributes:
        store: its folder.
        data: folder with the files of a data set; None for data that has none.
        device: the torch device that computes.
        progress: told how far the work is.
        shared: folder of what other studies may find there, such as trained networks.
        recompute: make networks again that are stored but cannot be read.
    """

    store: Store
    data: Path | None
    device: torch.device
    progress: Progress
    shared: Path
    recompute: bool = False


@dataclass(frozen=True)
class Result:
    """What a study found.

    Attributes:
        table: tidy, as ``results.csv`` holds it.
        document: configuration, versions and what the study adds: the content of ``results.json``.
    """

    table: pd.DataFrame
    document: Mapping[str, Any]


def grid(**axes: Iterable[Any]) -> list[dict[str, Any]]:
    """Every combination of the values, the last name changing fastest.

    >>> grid(bits=(4, 8), chip=range(2))
    [{'bits': 4, 'chip': 0}, {'bits': 4, 'chip': 1}, {'bits': 8, 'chip': 0}, {'bits': 8, 'chip': 1}]
    """
    return [plain_row(dict(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())]


def plain_row(row: Row) -> dict[str, Any]:
    """A row whose numbers of numpy and tensors of one element are Python's.

    >>> plain_row({"a": torch.tensor(0.5), "b": "text"})
    {'a': 0.5, 'b': 'text'}
    """
    return {name: value.item() if hasattr(value, "item") else value for name, value in row.items()}


def csv_of(table: pd.DataFrame) -> str:
    """A table as the text of its file."""
    return str(table.to_csv(index=False, lineterminator="\n"))


class Study(ABC):
    """What is to be found out: a description (:func:`mho.config.config`) that can be measured.

    From these come its folder of results with resumption, its workers (:func:`~mho.experiments.harness.run`),
    its command and page (``mho.commands.study``) and its part in sweeps. A study of your own subclasses this.

    Attributes:
        measured: what columns of the table mean; it may have more.
        pieces: what the places are called, also the name of the file of finished ones.
        cpu_only: whether it computes on the CPU whatever device there is.
        stages: names of networks that must be trained first, stage by stage, by the title of the stage.
        beside: names of networks that no place waits for.
    """

    measured: ClassVar[tuple[Column, ...]] = ()
    pieces: ClassVar[str] = "places"
    cpu_only: ClassVar[bool] = False
    stages: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    beside: ClassVar[tuple[str, ...]] = ()

    @property
    def label(self) -> str:
        """Names this study beside others that share its workers."""
        return ""

    def identity(self) -> Any:
        """The description that a folder of results is bound to: what may change later is left out."""
        return self

    def fingerprint(self, data: Any) -> str | None:
        """What tells the data from other data of the same description; None if nothing does.

        Args:
            data: what :meth:`load` gave.
        """
        return None

    @abstractmethod
    def places(self) -> Sequence[At]:
        """The grid: where it is measured, as plain values by name, the same names everywhere."""

    def left(self, place: At, rows: Sequence[Row]) -> At | None:
        """What is still to be measured at a place, as a place; None for nothing.

        Args:
            place: one of :meth:`places`.
            rows: what an earlier run found there; what is found now is added to it.
        """
        return None if rows else place

    @abstractmethod
    def measure(self, place: At, shared: Any) -> Row | Iterable[Row]:
        """What is found at one place: one row of numbers and words by name, or several.

        Torch's global stream begins anew at each place, named by it and the field ``seed``: neither the
        order nor the number of the workers matters.

        Args:
            place: one of :meth:`places`.
            shared: what :meth:`prepare` made.
        """

    def load(self, folder: Path | None) -> Any:
        """Read the data, before a folder of results is made; by default the field ``data``, if there is one.

        Args:
            folder: where the files of the data set lie.
        """
        read = getattr(getattr(self, "data", None), "load", None)
        return None if read is None else read(folder)

    def prepare(self, work: Work, data: Any) -> Any:
        """What all places share: :mod:`mho.experiments.networks` if it trains, by default the data.

        Args:
            work: the folder, and what computes.
            data: what :meth:`load` gave.
        """
        return data

    def detail(self, place: At, rows: Sequence[Row], shared: Any) -> str:
        """A few words about a place that was measured, for the progress."""
        return ", ".join(f"{name}={value}" for name, value in place.items())

    def table(self, records: Sequence[Row], shared: Any) -> pd.DataFrame:
        """The tidy table: a row for each row of each place, in the order of the grid.

        Args:
            records: ``{**place, "rows": rows, "took": seconds, "cpu": seconds}`` of each place.
            shared: what :meth:`prepare` made.
        """
        import pandas as pd

        names = ("rows", "took", "cpu", "study")
        rows = [
            {**{k: v for k, v in record.items() if k not in names}, **row}
            for record in records
            for row in record["rows"]
        ]
        table: pd.DataFrame = pd.DataFrame(rows)
        return table

    def document(self, table: pd.DataFrame, shared: Any, work: Work) -> Mapping[str, Any]:
        """What ``results.json`` holds beside the description: plain values."""
        return {}

    def write(self, result: Result, shared: Any, work: Work) -> None:
        """Write the files of results into the folder: ``results.csv`` and ``results.json``."""
        work.store.write_text(TABLE, csv_of(result.table))
        work.store.write_json(RESULTS, result.document)

    def findings(self, table: pd.DataFrame) -> Sequence[str]:
        """What the table says, a sentence each: for the terminal and the page."""
        return ()

    def figures(self, table: pd.DataFrame) -> Mapping[str, matplotlib.figure.Figure]:
        """Pictures by the name of their file."""
        return {}

    def headline(self, table: pd.DataFrame) -> dict[str, float]:
        """The figures that a sweep compares; by default the mean of each column that has a meaning."""
        numbers = table.select_dtypes("number")
        return {c.name: float(numbers[c.name].mean()) for c in self.measured if c.name in numbers}

    def log(self, data: Any) -> Log:
        """The file of the finished places, with the bounds of what is recorded.

        Args:
            data: what :meth:`load` gave.
        """
        bounds = {c.name: (c.low, c.high) for c in self.measured}
        key = tuple(next(iter(self.places()), {}))
        bounds |= dict.fromkeys(("took", "cpu"), (0, math.inf))
        return Log(f"{self.pieces}.jsonl", key=key, bounds=bounds, needs=("rows",))

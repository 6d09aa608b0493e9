"""One published result: the networks of several seeds on chips, and the verdict on each figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import InstanceOf

from mho import random
from mho.config import Count, config, to_dict
from mho.experiments.data import Data, Digits, Source
from mho.experiments.harness import Column, Study, Work
from mho.experiments.real.base import digest_of
from mho.experiments.reproduce.base import Bench, Paper
from mho.experiments.reproduce.claims import MET, Figure, overall
from mho.experiments.reproduce.joshi import Joshi2020
from mho.experiments.statistics import MeanEstimate, estimate
from mho.experiments.tables import records_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Compared:
    """A published figure beside ours.

    Attributes:
        figure: the published one, with its tolerance.
        ours: mean over seeds, with its interval.
        verdict: on it.
    """

    figure: Figure
    ours: MeanEstimate
    verdict: str

    @property
    def row(self) -> dict[str, Any]:
        """As plain values; None for the ends of an interval that there is not."""
        figure, ours = self.figure, self.ours
        known = not math.isnan(ours.low)
        return {
            "key": figure.key, "what": figure.what, "published": figure.published, "unit": figure.unit,
            "tolerance": figure.tolerance, "seeds": ours.n, "ours": ours.mean,
            "low": ours.low if known else None, "high": ours.high if known else None,
            "verdict": self.verdict,
        }  # fmt: skip


@config
class ReproduceStudy(Study):
    """A published result, looked for with small networks on small images.

    Every seed has networks, batches and chips of its own and gives one value of each figure: a mean over
    chips where it has several. Mean and 95 % interval are those over seeds. A figure is met if the whole
    interval lies within its tolerance, which was written down before the first run.

    Attributes:
        paper: what is reproduced.
        data: the images.
        seeds: networks with their chips; more may be asked for later.
        chips: that each network is programmed on.
        images: of the test part that are tested, at most.
        seed: names all random numbers.
    """

    paper: InstanceOf[Paper] = Joshi2020()
    data: InstanceOf[Source] = Digits()
    seeds: Count = 5
    chips: Count = 5
    images: Count = 1000
    seed: int = 0

    measured = (
        Column("setting", "", "the network, and what is done to it"),
        Column("strength", "", "of the error, a ratio, bits or seconds, as the paper has it; 0: none", low=0),
        Column("chip", "", "number of the chip; -1: none", low=-1),
        Column("accuracy", "", "share of the test images that are told", 0, 1),
    )
    pieces = "seeds"

    @property
    def label(self) -> str:
        """The name of the claim."""
        return self.paper.claim.name

    def identity(self) -> ReproduceStudy:
        """More seeds may be asked for later."""
        return replace(self, seeds=1)

    def fingerprint(self, data: Data) -> str:
        """Of all images and labels, and of what the paper reads beside them."""
        images = digest_of([*data.train.tensors, *data.validation.tensors, *data.test.tensors])
        return images + self.paper.beside()[1]

    def places(self) -> list[dict[str, Any]]:
        """Each seed."""
        return [{"network": number} for number in range(self.seeds)]

    def prepare(self, work: Work, data: Data) -> Data:
        """The images."""
        return data

    def measure(self, place: Mapping[str, Any], shared: Data) -> list[dict[str, Any]]:
        """The rows of one seed."""
        seed = random.fork(self.seed, "network", str(place["network"])).initial_seed()
        bench = Bench(shared, self.data, seed, self.chips, self.images)
        return [dict(row) for row in self.paper.measure(bench)]

    def detail(self, place: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], shared: Data) -> str:
        """The seed and its figures."""
        units = {figure.key: figure.unit for figure in self.paper.claim.figures}
        figures = [
            f"{key} {value:.3g} {units[key]}".strip() for key, value in self.paper.figures(rows).items()
        ]
        return f"seed {place['network']}: {', '.join(figures)}"

    def document(self, table: pd.DataFrame, shared: Data, work: Work) -> dict[str, Any]:
        """What ``results.json`` holds beside the configuration."""
        claim, compared = self.paper.claim, self.compared(table)
        origin = f"{len(shared.test)} images of {type(self.data).__name__}, learned from {len(shared.train)}"
        more = self.paper.beside()[0]
        return {
            "study": to_dict(self),
            "claim": {name: getattr(claim, name) for name in ("name", "paper", "statement", "source")},
            "origin": f"{origin}; {more}" if more else origin,
            "compared": [one.row for one in compared],
            "verdict": overall(one.verdict for one in compared),
            "cpu_seconds": math.fsum(record["cpu"] for record in work.store.records),
        }

    def compared(self, table: pd.DataFrame) -> list[Compared]:
        """Each figure of the claim beside ours.

        Args:
            table: of this study.
        """
        each = [self.paper.figures(records_of(rows)) for _, rows in table.groupby("network")]
        found = []
        for figure in self.paper.claim.figures:
            ours = estimate([figures[figure.key] for figures in each])
            found.append(Compared(figure, ours, figure.verdict(ours)))
        return found

    def headline(self, table: pd.DataFrame) -> dict[str, float]:
        """The means of the figures by their keys, and how many are met."""
        compared = self.compared(table)
        means = {one.figure.key: one.ours.mean for one in compared}
        return {"met": float(sum(one.verdict == MET for one in compared)), **means}

"""Is a minimum flat, and does noise regularise? Networks trained with and without weight noise.

Networks of the same start, batches and steps are trained plainly, with weight noise, and with weight noise
and clipping. Then, digitally: the loss along random and worst directions of the weights, and the losses on
training and test images. :mod:`mho.experiments.sharpness` says how directions are measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field, InstanceOf
from torch import nn
from torch.utils.data import TensorDataset

import mho
from mho import random
from mho.config import Count, Fraction, NonNegative, Positive, config
from mho.experiments.data import Data, Digits, Source
from mho.experiments.fitting import Schedule, accuracy, fit, seeded
from mho.experiments.harness import Column, Study, grid
from mho.experiments.models import Network, SmallCNN
from mho.experiments.progress import Progress
from mho.experiments.sharpness import SCALES, Landscape, Scale
from mho.experiments.statistics import SAME32, estimate, holm, paired
from mho.experiments.tables import estimates
from mho.training import Recipe, WeightClip, WeightNoise, attach, detach

if TYPE_CHECKING:
    import pandas as pd

PLAIN, NOISE, CLIPPED = "plain", "noise", "noise and clipping"
ARMS = (PLAIN, NOISE, CLIPPED)
NETWORK = ["arm", "training"]
PROFILE = ["scale", "direction", "strength", "loss", "accuracy"]
RANDOM, WORST = "random", "worst"
Strengths = Annotated[tuple[Positive, ...], Field(min_length=1)]


@config
class LandscapeStudy(Study):
    """Everything that decides the result.

    Attributes:
        data: the images.
        model: the network.
        training: how every network is trained, from its random start.
        noise: standard deviation of the weight noise, as a fraction of the largest weight of a layer.
        ramp: fraction of the steps over which the noise rises from zero.
        clip: standard deviations of a layer's weights at which they are clipped.
        trainings: networks of each kind; the first of all kinds have the same start and batches, and so on.
        random_filter, random_layer: strengths along random directions.
        worst_filter, worst_layer: strengths along worst directions.
        directions: random directions for each network.
        ascent: steps of gradient ascent towards the worst direction, for each strength.
        images: training images that losses along directions are measured on, the first ones.
        seed: names all random numbers.
    """

    data: InstanceOf[Source] = Digits()
    model: InstanceOf[Network] = SmallCNN()
    training: Schedule = Schedule(epochs=30, learning_rate=0.05)
    noise: NonNegative = 0.1
    ramp: Fraction = 0.2
    clip: Positive = 2.5
    trainings: Count = 8
    random_filter: Strengths = (0.2, 0.4, 0.6, 0.8, 1.0)
    random_layer: Strengths = (0.05, 0.1, 0.15, 0.2, 0.3)
    worst_filter: Strengths = (0.01, 0.02, 0.03, 0.05, 0.075)
    worst_layer: Strengths = (0.001, 0.0025, 0.005, 0.01, 0.02)
    directions: Count = 8
    ascent: Count = 15
    images: Count = 300
    seed: int = 0

    def recipe(self, arm: str, steps: int) -> Recipe | None:
        """What is done to the weights in a training of so many steps; None for nothing."""
        noise = WeightNoise(std=self.noise, ramp_steps=round(self.ramp * steps))
        clipping = (WeightClip(sigmas=self.clip),) if arm == CLIPPED else ()
        return None if arm == PLAIN else Recipe(modifiers=(*clipping, noise))

    def strengths(self, direction: str, scale: Scale) -> tuple[float, ...]:
        """The strengths of one panel."""
        chosen: tuple[float, ...] = getattr(self, f"{direction}_{scale}")
        return chosen

    measured = (
        Column("strength", "", "of a direction; 0 for the weights themselves", low=0),
        Column("loss", "", "on training images, mean over the directions", low=0),
        Column("accuracy", "", "on training images", 0, 1),
        Column("test_accuracy", "", "of the network on all test images", 0, 1),
    )
    pieces = "networks"
    cpu_only = True

    def places(self) -> list[dict[str, Any]]:
        """Each training of each kind of network."""
        return grid(training=range(self.trainings), arm=ARMS)

    def measure(self, place: Mapping[str, Any], shared: Data) -> list[dict[str, Any]]:
        """The profile of one network, with its own figures in each row."""
        network = trained(self, place["arm"], place["training"], shared)
        landscape = Landscape(network, *(tensor[: self.images] for tensor in shared.train.tensors))
        curvatures = {f"curvature_{scale}": landscape.curvature(scale, self.seed) for scale in SCALES}
        facts = {**digital(network, shared), **curvatures}
        return [{**facts, **row} for row in profile(self, landscape, place["training"])]

    def detail(self, place: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], shared: Data) -> str:
        """The network, and its accuracy."""
        return f"{place['arm']}" + (f": test accuracy {100 * rows[0]['test_accuracy']:.1f} %" if rows else "")

    def headline(self, table: pd.DataFrame) -> dict[str, float]:
        """Means of each kind of network, and differences to the plain one."""
        figures: dict[str, float] = {}
        for arm, rows in networks(table).groupby("arm", sort=False):
            means = rows.drop(columns=["arm", "training"]).mean()
            figures |= {f"{arm}_{name}".replace(" ", "_"): float(value) for name, value in means.items()}
        for row in differences(table).to_dict("records"):
            name = f"{row['arm']}_minus_plain_{row['figure']}".replace(",", "").replace(" ", "_")
            figures[name] = float(row["difference"])
        return {"accuracy": figures[f"{NOISE}_test_accuracy"], **figures}


def profiles(table: pd.DataFrame) -> pd.DataFrame:
    """The losses around each network of the table of the study.

    Returns:
        One row for each network (``arm`` and ``training``), ``scale``, ``direction`` and ``strength`` (0 as
        well): ``loss`` and ``accuracy`` on training images, those of random directions averaged over the
        directions.
    """
    found: pd.DataFrame = table[[*NETWORK, *PROFILE]]
    return found


def networks(table: pd.DataFrame) -> pd.DataFrame:
    """The networks of the table of the study.

    Returns:
        One row for each (``arm`` and ``training``): ``train_loss``, ``train_accuracy``, ``test_loss``,
        ``test_accuracy``, and the largest curvature in each scale, ``curvature_filter`` and
        ``curvature_layer``.
    """
    found: pd.DataFrame = table.drop(columns=PROFILE).drop_duplicates(NETWORK).reset_index(drop=True)
    return found


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and 95 % interval over trainings at each strength, columns ``mean, low, high`` of the loss."""
    return estimates(table, ["arm", *PROFILE[:3]], lambda group: estimate(group["loss"].to_list()))


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """Each other arm minus plain, paired by training: mean, 95 % interval and p of Student's test.

    The intervals are of one difference each; ``p`` is corrected for all of them (Holm). Both are NaN
    where all trainings differ by the same.

    Figures: of each scale and direction, ``log10`` of the loss and the accuracy, averaged over the
    strengths above 0; of each network, its losses, accuracies, curvatures (``log10``) and the gaps of
    loss and accuracy between test and training images.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    wide = _figures(table).pivot_table("value", ["figure", "training"], "arm", sort=False)
    for name, each in wide.groupby("figure", sort=False):
        for arm in (arm for arm in ARMS if arm in each and arm != PLAIN):
            test = paired(each[arm].to_list(), each[PLAIN].to_list(), SAME32)
            e = test.difference
            row = {"figure": name, "arm": arm, "plain": float(each[PLAIN].mean()), "difference": e.mean}
            rows.append({**row, "low": e.low, "high": e.high, "p": test.p})
    made: pd.DataFrame = pd.DataFrame(rows)
    made["p"] = holm(made["p"].to_list())
    return made


def _figures(table: pd.DataFrame) -> pd.DataFrame:
    """Columns ``arm, training, figure, value``; the mean over the rows of a figure is what counts."""
    import numpy as np
    import pandas as pd

    moved = table[table["strength"] > 0]
    around = ", " + moved["direction"] + ", " + moved["scale"]
    own = networks(table).rename(columns=lambda name: name.replace("_", " "))
    own["loss gap"] = own["test loss"] - own["train loss"]
    own["accuracy gap"] = own["train accuracy"] - own["test accuracy"]
    for scale in SCALES:
        own[f"log10 curvature {scale}"] = np.log10(own.pop(f"curvature {scale}").clip(lower=1e-12))
    parts = [
        moved[NETWORK].assign(figure="log10 loss" + around, value=np.log10(moved["loss"])),
        moved[NETWORK].assign(figure="accuracy" + around, value=moved["accuracy"]),
        own.melt(NETWORK, var_name="figure"),
    ]
    found: pd.DataFrame = pd.concat(parts)
    return found


def trained(study: LandscapeStudy, arm: str, training: int, data: Data) -> nn.Module:
    """One network of one arm, digital, in evaluation mode."""
    names = ("landscape", str(training))
    with seeded(study.seed, *names, "weights"):
        network = study.model.build(data.channels, data.size, data.classes)
    recipe = study.recipe(arm, study.training.steps(len(data.train)))
    if recipe is not None:
        network = mho.convert(network, mho.Hardware())
        attach(network, recipe)
    with seeded(study.seed, *names, "noise"), Progress().stage("", study.training.epochs) as step:
        generator = random.fork(study.seed, *names, "batches")
        fit(network, data.train, study.data, study.training, generator, step)
    if recipe is not None:
        network.eval()  # the last clipping
        detach(network)
        network = mho.revert(network)
    return network.eval()


@torch.no_grad()
def digital(network: nn.Module, data: Data) -> dict[str, float]:
    """Loss and accuracy on all training and all test images."""
    facts = {}
    parts: Mapping[str, TensorDataset] = {"train": data.train, "test": data.test}
    for part, tensors in parts.items():
        images, labels = tensors.tensors
        facts[f"{part}_loss"] = float(F.cross_entropy(network(images), labels))
        facts[f"{part}_accuracy"] = accuracy(network, tensors)
    return facts


def profile(study: LandscapeStudy, landscape: Landscape, training: int) -> Iterator[dict[str, Any]]:
    """Loss and accuracy at each strength along random and worst directions, in both scales."""
    loss, right = landscape.at(None)
    for scale in SCALES:
        starts = [
            landscape.random(scale, study.seed, str(training), scale, str(k)) for k in range(study.directions)
        ]
        for direction in (RANDOM, WORST):
            key = {"scale": scale, "direction": direction}
            yield {**key, "strength": 0.0, "loss": loss, "accuracy": right}
            unit = starts[0]
            for strength in study.strengths(direction, scale):
                if direction == RANDOM:
                    found = [landscape.at(start, scale, strength) for start in starts]
                else:
                    unit = landscape.worst(unit, scale, strength, study.ascent)
                    found = [landscape.at(unit, scale, strength)]
                mean = [math.fsum(values) / len(found) for values in zip(*found, strict=True)]
                yield {**key, "strength": strength, "loss": mean[0], "accuracy": mean[1]}

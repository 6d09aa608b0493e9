"""Is a minimum flat, and does noise regularise? Networks trained with and without weight noise.

Networks of the same start, batches and steps are trained plainly, with weight noise, and with weight noise
and clipping. Then, digitally: the loss along random and worst directions of the weights, and the losses on
training and test images.

The size of a direction is measured in two ways. ``"filter"``: each filter (output of a layer) moves by a
fraction of its own norm, so that networks whose weights differ by a factor that later layers undo are the
same network. ``"layer"``: each weight moves by a fraction of the largest one of its layer, in the root mean
square: this is what the noise of analog arrays is.

Source: H. Li et al., "Visualizing the loss landscape of neural nets", NeurIPS 2018 (filter normalisation).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, InstanceOf
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import TensorDataset

import mho
from mho import random
from mho.config import Count, Fraction, NonNegative, Positive, config
from mho.experiments.data import Data, Digits, Source
from mho.experiments.fitting import Schedule, accuracy, fit, limited_threads, seeded
from mho.experiments.harness import Column, Study, grid
from mho.experiments.models import Network, SmallCNN
from mho.experiments.progress import Progress
from mho.experiments.statistics import SAME32, estimate, holm, paired
from mho.experiments.tables import estimates
from mho.training import Recipe, WeightClip, WeightNoise, attach, detach

if TYPE_CHECKING:
    import pandas as pd

PLAIN, NOISE, CLIPPED = "plain", "noise", "noise and clipping"
ARMS = (PLAIN, NOISE, CLIPPED)
RANDOM, WORST = "random", "worst"
Scale = Literal["filter", "layer"]
SCALES: tuple[Scale, ...] = ("filter", "layer")
Weights = dict[str, Tensor]
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
        facts, rows = one_network(self, place["arm"], place["training"], shared)
        return [{**facts, **row} for row in rows]

    def detail(self, place: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], shared: Data) -> str:
        """The network, and its accuracy."""
        return f"{place['arm']}" + (f": test accuracy {100 * rows[0]['test_accuracy']:.1f} %" if rows else "")

    def headline(self, table: pd.DataFrame) -> dict[str, float]:
        """Means of each kind of network, and differences to the plain one."""
        result = LandscapeResult.of(table)
        figures: dict[str, float] = {}
        for arm, rows in result.networks.groupby("arm", sort=False):
            means = rows.drop(columns=["arm", "training"]).mean()
            figures |= {f"{arm}_{name}".replace(" ", "_"): float(value) for name, value in means.items()}
        for row in result.differences().to_dict("records"):
            name = f"{row['arm']}_minus_plain_{row['figure']}".replace(",", "").replace(" ", "_")
            figures[name] = float(row["difference"])
        return {"accuracy": figures[f"{NOISE}_test_accuracy"], **figures}


@dataclass(frozen=True)
class LandscapeResult:
    """The tables of a study; a network is named by ``arm`` and ``training``.

    Attributes:
        profiles: one row for each network, ``scale``, ``direction`` and ``strength`` (0 as well): ``loss``
            and ``accuracy`` on training images, those of random directions averaged over the directions.
        networks: one row for each network: ``train_loss``, ``train_accuracy``, ``test_loss``,
            ``test_accuracy``, and the largest curvature in each scale, ``curvature_filter`` and
            ``curvature_layer``.
    """

    profiles: pd.DataFrame
    networks: pd.DataFrame

    @staticmethod
    def of(table: pd.DataFrame) -> LandscapeResult:
        """The tables in that of the study, which has the figures of a network in each row of its profile."""
        key, own = ["arm", "training"], ["scale", "direction", "strength", "loss", "accuracy"]
        networks = table[[*key, *(name for name in table if name not in (*key, *own))]].drop_duplicates(key)
        return LandscapeResult(table[[*key, *own]], networks.reset_index(drop=True))

    def summary(self) -> pd.DataFrame:
        """Mean and 95 % interval over trainings at each strength, columns ``mean, low, high`` of the loss."""
        keys = ["arm", "scale", "direction", "strength"]
        return estimates(self.profiles, keys, lambda group: estimate(group["loss"].to_list()))

    def differences(self) -> pd.DataFrame:
        """Each other arm minus plain, paired by training: mean, 95 % interval and p of Student's test.

        The intervals are of one difference each; ``p`` is corrected for all of them (Holm). Both are NaN
        where all trainings differ by the same.

        Figures: of each scale and direction, ``log10`` of the loss and the accuracy, averaged over the
        strengths above 0; of each network, its losses, accuracies, curvatures (``log10``) and the gaps of
        loss and accuracy between test and training images.
        """
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for name, table in self._figures().items():
            for arm in (a for a in table.columns if a != PLAIN):
                test = paired(table[arm].to_list(), table[PLAIN].to_list(), SAME32)
                e = test.difference
                row = {"figure": name, "arm": arm, "plain": float(table[PLAIN].mean()), "difference": e.mean}
                rows.append({**row, "low": e.low, "high": e.high, "p": test.p})
        made: pd.DataFrame = pd.DataFrame(rows)
        made["p"] = holm(made["p"].to_list())
        return made

    def _figures(self) -> dict[str, pd.DataFrame]:
        """Tables ``[training, arm]`` by the name of the figure."""
        import numpy as np

        found: dict[str, pd.DataFrame] = {}
        moved = self.profiles[self.profiles["strength"] > 0]
        moved = moved.assign(log_loss=np.log10(moved["loss"]))
        for (scale, direction), group in moved.groupby(["scale", "direction"], sort=False):
            for column, title in (("log_loss", "log10 loss"), ("accuracy", "accuracy")):
                wide = group.pivot_table(index="training", columns="arm", values=column, aggfunc="mean")
                found[f"{title}, {direction}, {scale}"] = wide
        table = self.networks.assign(
            loss_gap=self.networks["test_loss"] - self.networks["train_loss"],
            accuracy_gap=self.networks["train_accuracy"] - self.networks["test_accuracy"],
            **{
                f"log10_curvature_{s}": np.log10(self.networks[f"curvature_{s}"].clip(lower=1e-12))
                for s in SCALES
            },
        )
        names = ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "loss_gap", "accuracy_gap")
        for name in (*names, *(f"log10_curvature_{s}" for s in SCALES)):
            wide = table.pivot_table(index="training", columns="arm", values=name)
            found[name.replace("_", " ")] = wide
        return found


def run(
    study: LandscapeStudy,
    data_folder: Path | None = None,
    progress: Progress | None = None,
    threads: int = 1,
) -> LandscapeResult:
    """Train all networks and measure each; :func:`mho.experiments.harness.run` keeps them in a folder.

    Args:
        study: the configuration.
        data_folder: where the files of the data set lie, for data that has files.
        progress: told after each network.
        threads: threads on the CPU.

    Raises:
        MissingDataError: files of the data set are missing.
        ValueError: a training diverged.
    """
    import pandas as pd

    data, places = study.load(data_folder), study.places()
    progress = progress if progress is not None else Progress()
    table: list[dict[str, Any]] = []
    with limited_threads(threads), progress.stage(study.pieces, len(places)) as step:
        for place in places:
            rows = study.measure(place, data)
            table += rows
            step.advance(study.detail(place, rows, data))
    return LandscapeResult.of(pd.DataFrame(table))


def one_network(
    study: LandscapeStudy, arm: str, training: int, data: Data
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Train one network: its row of ``networks`` and its rows of ``profiles``."""
    network = trained(study, arm, training, data)
    key: dict[str, Any] = {"arm": arm, "training": training}
    facts = {**key, **digital(network, data)}
    images, labels = (t[: study.images] for t in data.train.tensors)
    landscape = Landscape(network, images, labels)
    for scale in SCALES:
        facts[f"curvature_{scale}"] = landscape.curvature(scale, study.seed)
    return facts, [{**key, **row} for row in profile(study, landscape, training)]


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


class Landscape:
    """The loss of a network around its weights. Biases stay where they are.

    A unit direction has the norm 1 in each group of weights: each filter, or each layer. It is scaled by
    the ``radius`` of the group: the norm of the filter; or the largest weight of the layer times the root
    of the number of its weights, so that strength 1 is a root mean square of the largest weight.

    Args:
        network: a digital network; it is not changed.
        images, labels: what the mean cross-entropy is measured on.
    """

    def __init__(self, network: nn.Module, images: Tensor, labels: Tensor) -> None:
        self.network, self.images, self.labels = network.eval(), images, labels
        self.weights: Weights = {
            name: parameter.detach() for name, parameter in network.named_parameters() if parameter.dim() > 1
        }

    def at(self, unit: Weights | None, scale: Scale = "filter", strength: float = 0.0) -> tuple[float, float]:
        """Loss and accuracy at a strength along a unit direction; at the weights themselves for None."""
        with torch.no_grad():
            scores = self._scores({} if unit is None else self._moved(unit, scale, strength))
            loss = F.cross_entropy(scores, self.labels)
            return float(loss), float((scores.argmax(1) == self.labels).double().mean())

    def random(self, scale: Scale, seed: int, *names: str) -> Weights:
        """A random unit direction, uniform on the sphere of each group."""
        return {
            name: _unit(random.normal(w.shape, seed, "direction", *names, name).to(w), scale)
            for name, w in self.weights.items()
        }

    def worst(self, start: Weights, scale: Scale, strength: float, steps: int) -> Weights:
        """The unit direction with the highest loss at a strength that gradient ascent finds.

        Each step turns the direction by up to 45 degrees towards the gradient, group by group; the best
        direction on the way counts.
        """
        unit, best, highest = start, start, self.at(start, scale, strength)[0]
        for _ in range(steps):
            slope = self._gradient(self._moved(unit, scale, strength))
            unit = {n: _unit(u + _unit(slope[n], scale), scale) for n, u in unit.items()}
            loss = self.at(unit, scale, strength)[0]
            if loss > highest:
                best, highest = unit, loss
        return best

    def curvature(self, scale: Scale, seed: int, steps: int = 20) -> float:
        """The largest eigenvalue of the Hessian, weights in units of their radius, by power iteration.

        Along the direction, at strength s for a root mean square weight, loss rises by ``s^2 / 2`` times
        this times the number of weights (in the quadratic approximation).
        """
        each = {n: _radius(w, scale) / math.sqrt(_size(w, scale)) for n, w in self.weights.items()}
        vector = self._normalised(self.random(scale, seed, "power"))
        value = 0.0
        for _ in range(steps):
            product = self._hessian_times({n: v * each[n] for n, v in vector.items()})
            product = {n: p * each[n] for n, p in product.items()}
            value = math.fsum(float((product[n] * v).sum()) for n, v in vector.items())
            vector = self._normalised(product)
        return value

    def _normalised(self, vector: Weights) -> Weights:
        norm = math.sqrt(math.fsum(float(v.square().sum()) for v in vector.values()))
        return {n: v / max(norm, 1e-30) for n, v in vector.items()}

    def _moved(self, unit: Weights, scale: Scale, strength: float) -> Weights:
        return {n: w + strength * _radius(w, scale) * unit[n] for n, w in self.weights.items()}

    def _scores(self, weights: Weights) -> Tensor:
        scores: Tensor = functional_call(self.network, weights, (self.images,))
        return scores

    def _gradient(self, weights: Weights) -> Weights:
        held = {n: w.detach().requires_grad_() for n, w in weights.items()}
        loss = F.cross_entropy(self._scores(held), self.labels)
        return dict(zip(held, torch.autograd.grad(loss, list(held.values())), strict=True))

    def _hessian_times(self, vector: Weights) -> Weights:
        held = {n: w.clone().requires_grad_() for n, w in self.weights.items()}
        loss = F.cross_entropy(self._scores(held), self.labels)
        slope = torch.autograd.grad(loss, list(held.values()), create_graph=True)
        along = torch.stack([(g * vector[n]).sum() for n, g in zip(held, slope, strict=True)]).sum()
        return dict(zip(held, torch.autograd.grad(along, list(held.values())), strict=True))


def _size(weight: Tensor, scale: Scale) -> int:
    """Number of weights of a group."""
    return weight[0].numel() if scale == "filter" else weight.numel()


def _norm(direction: Tensor, scale: Scale) -> Tensor:
    """Norm of each group, in a shape that multiplies the direction."""
    squares = direction.square()
    if scale == "layer":
        return squares.sum().sqrt()
    return squares.flatten(1).sum(1).sqrt().view(-1, *[1] * (direction.dim() - 1))


def _radius(weight: Tensor, scale: Scale) -> Tensor:
    """Norm of each group's perturbation at strength 1."""
    return weight.abs().amax() * math.sqrt(weight.numel()) if scale == "layer" else _norm(weight, scale)


def _unit(direction: Tensor, scale: Scale) -> Tensor:
    """Norm 1 in each group; a group of zeros stays zero."""
    return direction / _norm(direction, scale).clamp(min=1e-30)

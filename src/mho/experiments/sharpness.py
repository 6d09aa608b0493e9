"""The loss of a network around its weights: along directions, and its curvature.

The size of a direction is measured in two ways. ``"filter"``: each filter (output of a layer) moves by a
fraction of its own norm, so that networks whose weights differ by a factor that later layers undo are the
same network. ``"layer"``: each weight moves by a fraction of the largest one of its layer, in the root mean
square: this is what the noise of analog arrays is.

Source: H. Li et al., "Visualizing the loss landscape of neural nets", NeurIPS 2018 (filter normalisation).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from mho import random

Scale = Literal["filter", "layer"]
SCALES: tuple[Scale, ...] = ("filter", "layer")
Weights = dict[str, Tensor]


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

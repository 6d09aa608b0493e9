"""Training towards the levels that cells can hold: straight-through and alpha blending.

The Parameter keeps the full-precision weight; a quantiser says which level each weight goes to::

    forward of a training step    straight-through   w_used = Q(w)
                                  alpha blending     w_used = alpha Q(w) + (1 - alpha) w
    evaluation                    the Parameter, as always
    the network of levels         quantised(model): a copy whose Parameters are the levels

A modifier acts in training mode only. To evaluate, program, revert or save the network of levels, ask
for it with :func:`quantised`, at any time during training or after it: it is an ordinary converted
model. Quantising after a training that knew nothing of levels is the same call.

Sources: Y. Bengio et al., arXiv 1308.3432 (2013), straight-through estimator.
"""

from __future__ import annotations

import math
from typing import Literal, cast

import torch
from pydantic import InstanceOf
from torch import Tensor, nn

from mho.autograd import straight_through
from mho.chip.tile import check_finite
from mho.config import Count, Fraction, config
from mho.mapping.level_sets import LevelSet, Normalisation, Symmetric, nearest, table
from mho.nn import Crossbar, crossbars
from mho.nn.computed_weights import compute, copied, is_computed, make_plain
from mho.training.base import Modifier, holder
from mho.training.recipe import detach


@config
class Quantizer:
    """To which level each weight of a layer goes.

    Attributes:
        levels: the normalised weights that cells can hold.
        normalisation: how the layer's weights lie on them.

    >>> from mho.mapping import EvenLevels
    >>> q = Quantizer(levels=EvenLevels(count=3))
    >>> q.nearest(torch.tensor([[[0.1, 0.4, -0.6]]])).flatten().tolist()
    [0.0, 0.6000000238418579, -0.6000000238418579]
    """

    levels: InstanceOf[LevelSet]
    normalisation: InstanceOf[Normalisation] = Symmetric()

    def nearest(self, weight: Tensor) -> Tensor:
        """Each weight as its nearest level.

        Args:
            weight: ``weight[group, row, column]``.
        """
        clean = weight.detach()
        factor, shift = self.normalisation.fit(clean)
        levels = nearest(
            self._normalised(clean, factor, shift), table(self.levels, clean.dtype, clean.device)
        )
        return levels * factor if shift is None else torch.addcmul(shift, levels, factor)

    def inside(self, weight: Tensor) -> Tensor:
        """Where a weight lies between the outermost levels: bool, in the shape of ``weight``."""
        clean = weight.detach()
        return self._normalised(clean, *self.normalisation.fit(clean)).abs() <= 1

    def _normalised(self, weight: Tensor, factor: Tensor, shift: Tensor | None) -> Tensor:
        return weight / factor if shift is None else (weight - shift) / factor


@config
class STEQuantizer(Quantizer, Modifier):
    """Straight-through estimator: multiply by the nearest levels, train as if they were the weights.

    Attributes:
        levels: the normalised weights that cells can hold.
        normalisation: how the layer's weights lie on them.
        outside: what the gradient does at weights beyond the outermost levels (there are none with
            ``Maximum`` and ``Affine``): ``"pass"`` or ``"stop"``.

    >>> import mho
    >>> from mho.mapping import EvenLevels
    >>> analog = mho.convert(nn.Linear(4, 2), mho.Hardware())
    >>> recipe = mho.training.Recipe(modifiers=(STEQuantizer(levels=EvenLevels(count=5)),))
    >>> mho.training.attach(analog, recipe)
    """

    outside: Literal["pass", "stop"] = "pass"

    def modify(self, weight: Tensor, layer: Crossbar) -> Tensor:
        """``Q(weight)``, with the gradient of ``weight``."""
        matrix = layer.matrix(weight)
        used = self.nearest(matrix)
        if self.outside == "stop":
            matrix = torch.where(self.inside(matrix), matrix, matrix.detach())
        return layer.from_matrix(straight_through(matrix, used))


@config
class Annealing:
    """How alpha moves during training.

    With ``hold=1`` alpha changes in every step. With ``hold`` the number of steps of an epoch it is
    ``e / (E - 1)`` in epoch e of E (linear), from ``start`` in the first epoch to ``end`` in the last.

    A layer counts its own forwards: one that is called twice for each input counts two, and needs ``steps``
    and ``hold`` of twice the number. A recipe is for all layers alike.

    Attributes:
        steps: training forwards of a layer in the whole training.
        shape: ``"linear"``, or ``"cosine"`` (slow at both ends).
        hold: training forwards between two changes of alpha.
        start, end: alpha of the first and of the last steps.

    >>> annealing = Annealing(steps=6, hold=2)
    >>> [annealing.alpha(torch.tensor(step)).item() for step in range(7)]
    [0.0, 0.0, 0.5, 0.5, 1.0, 1.0, 1.0]
    """

    steps: Count
    shape: Literal["linear", "cosine"] = "linear"
    hold: Count = 1
    start: Fraction = 0.0
    end: Fraction = 1.0

    def alpha(self, step: Tensor) -> Tensor:
        """Alpha in the training forward of this number (from 0): float32, shape []."""
        stages = -(-self.steps // self.hold)
        if stages == 1:
            return torch.full((), self.end, device=step.device)
        stage = torch.div(step, self.hold, rounding_mode="floor").clamp(max=stages - 1)
        part = stage.to(torch.float32) / (stages - 1)
        if self.shape == "cosine":
            part = (1 - torch.cos(math.pi * part)) / 2
        return torch.lerp(torch.full_like(part, self.start), torch.full_like(part, self.end), part)


@config
class AlphaBlending(Quantizer, Modifier):
    """Blend the weights with their levels, more and more: ``alpha Q(w) + (1 - alpha) w``.

    The gradient flows through the full-precision path only, so it is ``1 - alpha`` times that of the
    weights used; at alpha = 1 the weights are exactly levels and the Parameter gets no gradient.

    Attributes:
        levels: the normalised weights that cells can hold.
        normalisation: how the layer's weights lie on them.
        annealing: alpha over the training forwards, counted by ``layer.training_step``.
    """

    annealing: Annealing

    def modify(self, weight: Tensor, layer: Crossbar) -> Tensor:
        """The blend at the present step."""
        step = cast("Tensor | None", layer.training_step)
        if step is None:
            raise RuntimeError("AlphaBlending counts steps: attach it with mho.training.attach")
        matrix = layer.matrix(weight)
        return layer.from_matrix(blend(matrix, self.nearest(matrix), self.annealing.alpha(step)))


def blend(weight: Tensor, levels: Tensor, alpha: float | Tensor) -> Tensor:
    """``alpha * levels + (1 - alpha) * weight``, the gradient through ``weight`` only.

    Args:
        weight: full-precision weights, any shape.
        levels: their nearest levels, same shape.
        alpha: from 0 to 1; a tensor (shape []) is not checked.

    Raises:
        ValueError: alpha is a number outside [0, 1].

    >>> blend(torch.tensor([0.4]), torch.tensor([1.0]), 0.5).item()
    0.699999988079071
    """
    if not isinstance(alpha, Tensor) and not 0 <= alpha <= 1:
        raise ValueError(f"alpha = {alpha!r}: the share of the levels lies between 0 and 1")
    return alpha * levels.detach() + (1 - alpha) * weight


def quantised(model: nn.Module, quantizer: Quantizer | None = None) -> nn.Module:
    """A copy of a converted model whose Parameters are the nearest levels, without a recipe.

    After a training that knew nothing of levels this is post-training quantisation. A weight that is
    computed (parametrised, normed or pruned) is a plain Parameter in the copy, with the levels nearest to
    its present values.

    Args:
        model: what ``mho.convert`` made; it is not changed, so training can go on.
        quantizer: acts on all analog layers; None for the ones attached to the layers.

    Raises:
        ValueError: no quantiser was given and a layer has none, or its weight is NaN or infinite.

    >>> import mho
    >>> from mho.mapping import EvenLevels
    >>> analog = mho.convert(nn.Linear(8, 4), mho.Hardware())
    >>> levels = quantised(analog, Quantizer(levels=EvenLevels(count=3)))
    >>> levels.weight.abs().unique().numel()
    2
    """
    made = copied(model)
    layers = crossbars(made)
    quantizers = {p: quantizer if quantizer is not None else _attached(m, p) for p, m in layers.items()}
    detach(made)
    found = []
    for path, layer in layers.items():
        weight = layer.present_weight().detach()
        check_finite(weight, path)
        wide = weight if weight.dtype in (torch.float32, torch.float64) else weight.float()
        found.append((layer, layer.from_matrix(quantizers[path].nearest(layer.matrix(wide)))))
    for layer, _ in found:  # all found before the first is set: two layers may share a Parameter
        module, name = holder(layer)
        if is_computed(module, name):
            make_plain(module, compute(module, name).clone(), name)
    with torch.no_grad():
        for layer, levels in found:
            layer.weight.copy_(levels)
    return made


def _attached(layer: Crossbar, path: str) -> Quantizer:
    found = [m for m in layer.modifiers if isinstance(m, Quantizer)]
    if len(found) != 1:
        raise ValueError(
            f"{len(found)} quantisers are attached to {path or 'the layer'!r}: attach one, or give the one "
            "to use: quantised(model, Quantizer(levels=...))"
        )
    return found[0]

"""Training on RRAM cells: an optimizer that knows the step of a conductance.

The Parameters are what the digital side adds up; the cells hold them to within one step. A step of an
array is the smallest change of a weight that its cells can show: the distance of two levels, or, without
levels, the standard deviation with which a cell in the middle of its range is written. After each step of
the base optimizer those cells are written again of which more than one step is pending; the others stay
as they are. The error of a cell is that of its device, as in ``mho.program`` with the seed of the chip.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mho.chip import tile
from mho.compat.rram._layer import TorchRRAMLinear, fresh_seed
from mho.config import python_number
from mho.lifecycle import train_on_chip
from mho.nn import Crossbar, crossbars
from mho.nn.crossbar import plain
from mho.random import normal

KEY = "rram"


class TorchRRAMOptimizer(torch.optim.Optimizer):
    """An optimizer of torch around another one, for networks whose weights lie in cells.

    From its making on the layers train on their cells: those that hold no chip are programmed, and training
    mode multiplies by what the cells hold, with the gradient straight through (``mho.train_on_chip``).

    Each array has a group of its own with the learning rate ``base_lr * rram_effects_scale * step / mean
    step``, the mean being the geometric one over all arrays: a layer of coarse steps moves as many steps
    as one of fine ones. Everything else (biases, digital layers) has ``base_lr``. Schedulers act on the
    groups as ever. ``state_dict`` holds what is pending too; with that of the model a training goes on
    bit for bit.

    Args:
        model: a network with ``TorchRRAMLinear`` or other analog layers.
        base_optimizer_class: of ``torch.optim``; called with groups, ``lr`` and ``options``.
        base_lr: learning rate.
        rram_effects_scale: factor on the learning rate of weights in cells.
        seed: of layers that hold no chip and have no seed; None to draw one by torch's global generator.
        options: of the base optimizer, such as ``weight_decay``.

    Attributes:
        base: the optimizer inside.
        written: cells that were written since the layers were programmed, by path.

    Raises:
        ValueError: no analog layer, or a rate that is none.
        TypeError: weights that are computed, or a bias in the rows of an array.

    >>> layer = TorchRRAMLinear(8, 4, seed=0)
    >>> optimizer = TorchRRAMOptimizer(nn.Sequential(layer), torch.optim.SGD, base_lr=0.1)
    >>> layer(torch.ones(1, 8)).sum().backward()
    >>> optimizer.step()
    """

    def __init__(
        self,
        model: nn.Module,
        base_optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        base_lr: float = 1e-3,
        rram_effects_scale: float = 1.0,
        *,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        lr, factor = _rate("base_lr", base_lr), _rate("rram_effects_scale", rram_effects_scale)
        self._arrays = crossbars(model)
        for path, array in self._arrays.items():
            _check(path, array)
        drawn = fresh_seed() if seed is None else int(seed)
        self._seeds = {path: _seed_of(array, drawn) for path, array in self._arrays.items()}
        for path, array in self._arrays.items():
            if not array.is_programmed or array.is_stale():
                _program(array, self._seeds[path])
        train_on_chip(model)
        self._held = {path: array.weight.detach().clone() for path, array in self._arrays.items()}
        self.written = dict.fromkeys(self._arrays, 0)
        make: Callable[..., torch.optim.Optimizer] = base_optimizer_class
        self.base = make(_groups(model, self._arrays, lr, factor), lr=lr, **options)
        super().__init__(self.base.param_groups, self.base.defaults)
        self._follow()
        self._ready = True

    def _follow(self) -> None:
        """Groups and state are those of the optimizer inside."""
        self.param_groups, self.state = self.base.param_groups, self.base.state

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Another group of digital Parameters, in the optimizer inside."""
        if "_ready" in self.__dict__:
            self.base.add_param_group(param_group)
        else:  # torch is making the groups of this one
            super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step of the optimizer inside; then cells are written of which more than one step is pending."""
        if closure is None:
            loss = self.base.step()
        else:
            with torch.enable_grad():
                loss = self.base.step(closure)
        for path, array in self._arrays.items():
            self._write(path, array)
        return loss

    def pending(self) -> dict[str, Tensor]:
        """What each weight has moved since its cell was written, in the shape of the weight, by path."""
        return {path: array.weight.detach() - self._held[path] for path, array in self._arrays.items()}

    # --- the cells -------------------------------------------------------------------------------

    def _write(self, path: str, array: Crossbar) -> None:
        """Write the cells of one array of which more than a step is pending."""
        weight, held = array.weight.detach(), self._held[path]
        step = weight_step(array)
        outside = weight.abs().amax() > array.require_chip("step").scale.amax() + step
        due = torch.ones_like(weight, dtype=torch.bool) if outside else (weight - held).abs() > step
        if not bool(due.any()):
            array.mark_fresh()
            return
        held[due] = weight[due]
        self.written[path] += int(due.sum())
        if outside:
            _program(array, self._seeds[path])  # the scale is another one
        else:
            self._rewrite(path, array, due)
        array.mark_fresh()

    def _rewrite(self, path: str, array: Crossbar, due: Tensor) -> None:
        layer, chip = array.owner, array.require_chip("step")
        if isinstance(layer, TorchRRAMLinear) and layer.rram_interface is not None:
            layer.program_rram_weights()  # a board takes whole matrices
            return
        hardware, device = array.hardware, array.hardware.device
        with plain():
            wanted = array.logical(self._held[path].to(chip.g.dtype)) / chip.scale
            targets = hardware.mapping.targets(wanted, device.g_min, device.g_max)
            made = tile.write_cells(hardware, targets, array.layout, self._seeds[path], array.path).g
            where = array.logical(due.to(chip.g.dtype)) > 0
            columns = where.shape[-1]
            g = chip.g.clone()
            g[..., :columns] = torch.where(where, made[..., :columns], g[..., :columns])
            array.set_chip(chip._replace(g=g))

    # --- going on --------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """That of the optimizer inside, and what the cells were written to."""
        own = {"held": self._held, "written": self.written, "seeds": self._seeds}
        return {**self.base.state_dict(), KEY: {name: _copied(value) for name, value in own.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where :meth:`state_dict` was taken; load the model's first.

        Raises:
            ValueError: it is that of another optimizer or another network.
        """
        given = dict(state_dict)
        own = given.pop(KEY, None)
        if own is None or {p: h.shape for p, h in own["held"].items()} != {
            p: h.shape for p, h in self._held.items()
        }:
            raise ValueError(
                "state_dict is not that of a TorchRRAMOptimizer for this network: make the optimizer for the "
                "network that it was saved for"
            )
        self.base.load_state_dict(given)
        self._follow()
        self._held = {path: held.to(self._held[path]).clone() for path, held in own["held"].items()}
        self.written, self._seeds = dict(own["written"]), dict(own["seeds"])


def weight_step(array: Crossbar) -> Tensor:
    """The smallest change of a weight that the cells of an array can show, in weights, ``[]``."""
    hardware, chip = array.hardware, array.require_chip("weight_step")
    device, mapping = hardware.device, hardware.mapping
    middle = mapping.targets(torch.zeros(1, 1, 1), device.g_min, device.g_max)
    count = getattr(mapping, "levels", None)
    if count:
        step = 2.0 / (count - 2 + count % 2)
    else:
        eps = normal((256, *middle.shape), 0, "conductance step").to(middle)
        spread = device.programmed(middle.expand_as(eps), eps).std(0).amax()
        step = float(2 * spread / (device.g_max - device.g_min))
    found: Tensor = step * chip.scale.amax()
    return found


def _groups(model: nn.Module, arrays: dict[str, Crossbar], lr: float, factor: float) -> list[dict[str, Any]]:
    """A group for the weights of each array, and one for the rest."""
    steps: dict[int, list[float]] = {}
    for array in arrays.values():
        (weight,) = array.sources()
        steps.setdefault(id(weight), []).append(float(weight_step(array)))
    each = {key: math.fsum(found) / len(found) for key, found in steps.items()}
    known = [math.log(step) for step in each.values() if step > 0]
    mean = math.exp(math.fsum(known) / len(known)) if known else 0.0
    groups: list[dict[str, Any]] = []
    rest = []
    for name, parameter in model.named_parameters():
        if id(parameter) in each:
            relative = each[id(parameter)] / mean if mean and each[id(parameter)] > 0 else 1.0
            groups.append({"params": [parameter], "lr": lr * factor * relative, "name": name})
        else:
            rest.append(parameter)
    return [*groups, {"params": rest, "lr": lr, "name": "digital"}] if rest else groups


def _check(path: str, array: Crossbar) -> None:
    where = path or "the layer"
    if len(array.sources()) != 1 or array.bias_rows or array.owner._parameters.get(array.weight_name) is None:
        raise TypeError(
            f"{where!r}: TorchRRAMOptimizer writes cells of plain Parameters; make parametrised weights "
            "plain, and give convert bias_rows=0"
        )


def _seed_of(array: Crossbar, drawn: int) -> int:
    """The seed of the chip, of the layer, or one that was drawn."""
    known = array.seed if array.seed is not None else getattr(array.owner, "seed", None)
    return drawn if known is None else known


def _program(array: Crossbar, seed: int) -> None:
    layer = array.owner
    if isinstance(layer, TorchRRAMLinear):
        layer.program_rram_weights()
    else:
        array.program(seed, array.path)


def _rate(name: str, value: float) -> float:
    given = python_number(value)
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < math.inf:
        raise ValueError(f"{name} = {value!r}: give a positive number")
    return float(given)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    return value.clone() if isinstance(value, Tensor) else value

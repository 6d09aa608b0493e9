"""The optimizer: a rule of learning for all pulsed arrays of a model, in any training loop of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mho import random
from mho.config import to_dict
from mho.nn import crossbars
from mho.nn.crossbar import plain
from mho.training.on_chip.backward import Backward
from mho.training.on_chip.bank import Bank, Events
from mho.training.on_chip.checks import (
    FORMAT,
    arrays_of,
    check_work,
    checked_state,
    one_process,
    parameters_on,
    rate,
    whole_steps,
)
from mho.training.on_chip.learner import Learner
from mho.training.on_chip.rules import SGD, Rule, Work
from mho.training.on_chip.weights import PulsedWeights, share_bank


class PulseList(NamedTuple):
    """Pulses on one array.

    Attributes:
        array: its path; ``path/fast`` and such for arrays that only the rule sees.
        cell: copy, group, row and column of each, ``[4, pulse]``.
        direction: 1 or -1 of each, int8.
    """

    array: str
    cell: Tensor
    direction: Tensor


class PulsedOptimizer(torch.optim.Optimizer):
    """Trains the arrays of a model by pulses alone.

    From then on the model is read by its chip in training mode, forward and backward, with converters and
    noise (as ``mho.train_on_chip``), and each :meth:`step` sends the pulses that its rule makes of all
    vectors since the step before, one vector after the other. The conductances of the chip change, and never
    the weights of the model: ``mho.revert(model, weights="programmed")`` puts what was learned into them, and
    programming anew would forget it. Digital parameters, biases among them, are for an ordinary optimizer
    beside this one (:func:`digital_parameters`).

    Learning rates are those of the weights: on cells without imbalance and noise, ``SGD`` changes them by
    ``-lr d x^T`` on average. Schedulers of torch, parameter groups, ``state_dict`` and going on bit for bit
    are as usual; what pulses draw comes from ``seed``.

    Args:
        params: a programmed model, whose arrays have ``mho.devices.Pulsed`` cells; or dicts with
            ``"model"``, a part of one, and its own ``"lr"``.
        lr: learning rate.
        rule: how to learn, such as ``SGD()`` or ``AGAD()``.
        backward: how errors are read.
        digital: an optimizer of the digital parameters, which steps with this one; its groups are among those
            of this one, so that schedulers see them, and its state is saved with it.
        refresh_every: steps between two looks for pairs of one-sided cells that are both high; they are
            reset, and their difference is written anew.
        seed: names the draws of arrays that only the rule sees, and those of the pulses.

    Raises:
        TypeError: no module, or a rule that is none.
        NotProgrammedError: an array without a chip.
        ValueError: an array whose cells do not move by pulses, or are not read as the rule asks; a rate that
            is negative; an array in two groups; several processes.

    >>> import mho
    >>> cells = mho.devices.Pulsed(
    ...     cell=mho.devices.pulsed.Idealized(), device=mho.devices.Ideal(g_min=15e-6, g_max=25e-6)
    ... )
    >>> mapping = mho.mapping.Offset(scale=mho.mapping.Fixed(weight=1.0))
    >>> analog = mho.convert(nn.Linear(4, 2), mho.Hardware(device=cells, mapping=mapping))
    >>> mho.program(analog, seed=0)
    >>> optimizer = PulsedOptimizer(analog, lr=0.005, rule=SGD())
    >>> before = mho.effective_weights(analog)[""].clone()
    >>> analog.train()(torch.ones(1, 4)).sum().backward()
    >>> _ = optimizer.step()
    >>> change = mho.effective_weights(analog)[""] - before
    >>> round(change.mean().item(), 3)
    -0.005
    """

    def __init__(
        self,
        params: nn.Module | Iterable[Mapping[str, Any]],
        lr: float = 0.01,
        rule: Rule = SGD(),  # noqa: B008 (a description, frozen)
        *,
        backward: Backward = Backward(),  # noqa: B008
        digital: torch.optim.Optimizer | None = None,
        refresh_every: int = 1,
        seed: int = 0,
    ) -> None:
        one_process()
        if not isinstance(rule, Rule):
            raise TypeError(f"rule = {rule!r}: give a rule of mho.training.on_chip, such as SGD()")
        self.rule, self.seed, self.digital = rule, seed, digital
        self.refresh_every, self.steps = whole_steps("refresh_every", refresh_every), 0
        self.generator = random.fork(seed, "pulses")
        groups = [{"model": params}] if isinstance(params, nn.Module) else [dict(group) for group in params]
        self.learners: dict[str, Learner] = {}
        made = []
        for group, arrays in arrays_of(groups):
            with plain():
                self.learners |= {p: Learner(array, rule, backward, seed) for p, array in arrays.items()}
            made.append({**group, "params": parameters_on(arrays), "paths": list(arrays)})
        super().__init__(made, {"lr": rate(lr)})
        for group in self.param_groups:
            rate(group["lr"])
        share_bank([array for learner in self.learners.values() for array in learner.held.arrays()])
        self._wanted = [(p, p.requires_grad) for group in self.param_groups for p in group["params"]]
        self._attach()
        if digital is not None:
            self.param_groups += digital.param_groups

    @property
    def _groups(self) -> list[dict[str, Any]]:
        """The groups of arrays."""
        return [group for group in self.param_groups if "paths" in group]

    def _attach(self) -> None:
        """Let the arrays be read by their chips, and show what their cells hold."""
        for parameter, _ in self._wanted:
            parameter.requires_grad_(False)  # its gradient is never made
        for bank in self._banks():
            bank.show(None, self.generator)
        for learner in self.learners.values():
            learner.crossbar.on_chip = True
            learner.crossbar._learner = learner
            with plain():
                learner.moved()

    def close(self) -> None:
        """Stop learning: the arrays are as after ``mho.program``, with the conductances they have now."""
        for learner in self.learners.values():
            learner.settle()
            if learner.crossbar._learner is learner:
                learner.crossbar._learner, learner.crossbar.on_chip = None, False
        for parameter, wanted in self._wanted:
            parameter.requires_grad_(wanted)

    def _banks(self) -> list[Bank]:
        """The cells of all arrays."""
        arrays = [array for learner in self.learners.values() for array in learner.held.arrays()]
        return list({id(array.bank): array.bank for array in arrays}.values())

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the vectors that were not sent."""
        for learner in self.learners.values():
            learner.forget()
        if self.digital is not None:
            self.digital.zero_grad(set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Send the pulses of all vectors since the last step; they are sent once.

        Args:
            closure: computes the loss anew, with its gradients.

        Raises:
            ValueError: the chip is not as old as just after programming, or an error is NaN or infinite;
                then no pulse is sent.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with plain():
            works = [work for group in self._groups for work in self._works(group)]
            for path, work in works:
                check_work(path, self.learners[path], work)
            self.rule.update([work for _, work in works], self.generator)
            self._between_batches()
            for learner in self.learners.values():
                learner.moved()
        if self.digital is not None:
            self.digital.step()
        return loss

    def _between_batches(self) -> None:
        """What cells do by themselves, and what is done to pairs that are full."""
        self.steps += 1
        for bank in self._banks():
            bank.pass_batch(self.generator)
        if self.steps % self.refresh_every == 0:
            for _, array in self._named_arrays():
                if array.signs.one_sided:
                    array.refresh(self.generator)

    def _works(self, group: dict[str, Any]) -> list[tuple[str, Work]]:
        """What the arrays of a group have seen, in units of their states."""
        works = []
        for path in group["paths"]:
            learner = self.learners[path]
            seen = learner.vectors()
            if seen is not None:
                works.append((path, Work(learner.held, seen.x, seen.d / learner.factors, float(group["lr"]))))
        return works

    # --- what was sent ---------------------------------------------------------------------------

    @contextmanager
    def recording(self) -> Iterator[list[PulseList]]:
        """Keep the pulses that are sent inside a ``with`` block, for a board to play.

        The list grows with each step. The pulses of one cell are in the order in which it gets them; between
        cells the order means nothing, for no cell looks at another one.
        """
        kept: list[PulseList] = []
        for bank in self._banks():
            bank.listener = partial(self._record, kept, bank)
        try:
            yield kept
        finally:
            for bank in self._banks():
                bank.listener = None

    def _record(self, kept: list[PulseList], bank: Bank, events: Events) -> None:
        for name, array in self._named_arrays():
            if array.bank is bank:
                inside = (events.cell >= array.cells.start) & (events.cell < array.cells.stop)
                if bool(inside.any()):
                    places = events.cell[inside] - array.cells.start
                    where = torch.unravel_index(places, array.shown().shape)
                    kept.append(PulseList(name, torch.stack(where), events.direction[inside].to(torch.int8)))

    def pulses(self) -> dict[str, Tensor]:
        """Pulses that each cell got since training began, ``[copy, group, row, column]``.

        By path of the array, and by path and name for arrays that only the rule sees (``fc/fast``).
        """
        return {name: array.pulses().clone() for name, array in self._named_arrays()}

    def clipped(self) -> dict[str, float]:
        """Share of the vectors whose pulses did not fit into their trains, by array: rate that is lost."""
        return {name: array.clipped / max(array.sent, 1) for name, array in self._named_arrays()}

    def _named_arrays(self) -> list[tuple[str, PulsedWeights]]:
        found = []
        for path, learner in self.learners.items():
            tiles = learner.held.tiles
            found += [(path if n == 0 else f"{path}/tile {n}", tiles[n]) for n in range(len(tiles))]
            found += [(f"{path}/{name}", array) for name, array in learner.held.hidden.items()]
        return found

    # --- going on --------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that going on bit for bit needs, besides the model's own ``state_dict``."""
        kept = super().state_dict()
        arrays = {
            name: {
                "weight": array.of_cells(array.bank.weight).clone(), "pulses": array.pulses().clone(),
                "shown": array.shown().clone(), "sent": array.sent, "clipped": array.clipped,
            }
            for name, array in self._named_arrays()
        }  # fmt: skip
        held = {
            path: {
                "memory": {name: value.clone() for name, value in learner.held.memory.items()},
                "counters": dict(learner.held.counters),
            }
            for path, learner in self.learners.items()
        }
        mine = {
            "format": FORMAT,
            "rule": to_dict(self.rule),
            "seed": self.seed,
            "steps": self.steps,
            "arrays": arrays,
            "held": held,
            "generator": self.generator.get_state(),
            "digital": None if self.digital is None else self.digital.state_dict(),
        }
        return {**kept, "on_chip": mine}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave, on a model that has its ``state_dict`` too.

        Raises:
            ValueError: the state is of another rule, seed, network or format; then nothing has changed.
        """
        arrays = dict(self._named_arrays())
        mine = checked_state(state_dict, self.rule, self.seed, self.digital, arrays)
        rest = {name: value for name, value in state_dict.items() if name != "on_chip"}
        with plain():
            for learner in self.learners.values():
                learner.adopt()
        if self.digital is not None:
            self.digital.load_state_dict(mine["digital"])
        super().load_state_dict(rest)
        if self.digital is not None:
            self.param_groups[len(self._groups) :] = self.digital.param_groups
        self.steps = mine["steps"]
        with plain():
            for name, array in arrays.items():
                saved = mine["arrays"][name]
                array.of_cells(array.bank.weight).copy_(saved["weight"])
                array.shown().copy_(saved["shown"])
                array.pulses().copy_(saved["pulses"])
                array.sent, array.clipped = saved["sent"], saved["clipped"]
            for path, learner in self.learners.items():
                for name, value in mine["held"][path]["memory"].items():
                    learner.held.memory[name].copy_(value)
                learner.held.counters.update(mine["held"][path]["counters"])
                learner.moved()
        self.generator.set_state(mine["generator"])


def digital_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The Parameters of a model that lie on no array, for an ordinary optimizer.

    >>> import mho
    >>> digital_parameters(mho.convert(nn.Linear(4, 2), mho.Hardware()))[0].shape
    torch.Size([2])
    """
    on_arrays = {id(p) for array in crossbars(model).values() for p in array.sources()}
    return [parameter for parameter in model.parameters() if id(parameter) not in on_arrays]

"""A train of identical pulses of which each cell gets as many as its target needs, without looking."""

from __future__ import annotations

from typing import Annotated, Any, cast

import torch
from pydantic import Field
from torch import Tensor

from mho import random
from mho.config import config
from mho.programming.base import (
    Cell,
    Programming,
    ProgrammingResult,
    Site,
    check_targets,
    drawn_cells,
    shared,
)
from mho.programming.pulsed_model import PulsedModel
from mho.programming.voltage import Train

_LONGEST = 30  # halvings: of up to 2^30 pulses


@config
class CountedPulses(Programming):
    """From a fresh cell, as many identical pulses as the law of the switching model says; no read between.

    A target takes the number of pulses after which the law is nearest to it. Where the pulses of the model
    scatter (:meth:`~mho.devices.dynamics.SwitchingModel.scatter`), the cell ends as far off the law as cells
    of the measured train did; ``program_scale`` of the device is a factor on that. A verified write
    (``WriteVerify(pulse=VoltagePulses(...))``) corrects it and takes a read for each pulse.

    The energy is that of the mean of the conductances before and after the train, at the voltage of its
    pulses.

    Attributes:
        train: voltage and width of a pulse; ``increment`` is 0. A train that lowers the conductance begins at
            the highest one.
        most: pulses for a cell, at most; one that needs as many counts as failed.

    Example:
        >>> from mho.devices import Switching
        >>> from mho.devices.dynamics import LinearStep
        >>> cell = Switching(model=LinearStep(step_up=1e-6, slope_up=0.0, noise_up=0.0))
        >>> target = torch.full((1, 1, 2, 2), 4.2e-6)
        >>> done = CountedPulses(train=Train(voltage=0.5, width=1e-6)).write(cell, target, seed=0)
        >>> int(done.pulses[0, 0, 0, 0]), round(float(done.g[0, 0, 0, 0]) * 1e6, 4)
        (3, 4.0)
    """

    train: Train
    most: Annotated[int, Field(ge=1, le=2**_LONGEST)] = 100_000

    def validate(self) -> None:
        """Identical pulses."""
        if self.train.increment != 0:
            raise ValueError(
                f"train.increment = {self.train.increment!r}: counted pulses are identical; give 0, or use "
                "WriteVerify(pulse=VoltagePulses(...))"
            )

    def check(self, device: Cell) -> None:
        """A switching model that the train moves."""
        model = getattr(device, "model", None)
        if model is None:
            raise ValueError(
                f"programming = CountedPulses(...): {type(device).__name__} has no state that a voltage "
                "moves; "
                "use device=devices.Switching(model=...), or programming=SingleShot()"
            )
        if self._way(model) == 0:
            raise ValueError(
                f"train.voltage = {self.train.voltage!r} V does not move {type(model).__name__}: it is below "
                "the threshold, or pulses of that direction were not measured"
            )

    def write(
        self, device: Cell, g_target: Tensor, seed: int, path: str = "", site: Site | None = None
    ) -> ProgrammingResult:
        """See :meth:`Programming.write`."""
        self.check(shared(device))
        check_targets(g_target)
        eps = random.normal(g_target.shape, seed, path, "program").to(g_target)
        cells = cast("Any", drawn_cells(device, g_target, seed, path))
        model, start = cells.model, self._fresh(cells.model, g_target)
        count = self._nearest(model, start, g_target)
        state = self._after(model, start, count)
        g = model.conductance(self._off(cells, start, state, count, eps)).to(g_target)
        seconds = count * self.train.width
        energy = self.train.voltage**2 * 0.5 * (model.conductance(start) + model.conductance(state)) * seconds
        return ProgrammingResult(g, count.to(torch.int32), count >= self.most, energy.to(g), seconds.to(g))

    def _way(self, model: Any) -> float:
        """1 where the train raises the conductance, -1 where it lowers it, 0 where it does neither."""
        low, high = (torch.as_tensor(b, dtype=torch.float64) for b in model.bounds)
        volts = torch.tensor(self.train.voltage, dtype=torch.float64)
        slope = 1.0 if float(model.conductance(high).mean()) > float(model.conductance(low).mean()) else -1.0
        return float(torch.sign(slope * model.rate((low + high) / 2, volts).mean()))

    def _fresh(self, model: PulsedModel, like: Tensor) -> Tensor:
        """The state that the train moves away from."""
        low, high = (torch.as_tensor(b, dtype=like.dtype, device=like.device) for b in model.bounds)
        raises = self._way(model) > 0
        rising = float(model.conductance(high).mean()) > float(model.conductance(low).mean())
        return (low if raises == rising else high).expand(like.shape).clone()

    def _after(self, model: PulsedModel, start: Tensor, count: Tensor) -> Tensor:
        """State after so many pulses, by the law."""
        volts = torch.full_like(start, self.train.voltage)
        return torch.where(count > 0, model.step(start, volts, count * self.train.width), start)

    def _nearest(self, model: PulsedModel, start: Tensor, g_target: Tensor) -> Tensor:
        """The number of pulses after which the law is nearest to each target, by halving."""
        way = self._way(model)

        def g(count: Tensor) -> Tensor:
            return way * model.conductance(self._after(model, start, count))

        wanted = way * g_target
        below, above = torch.zeros_like(g_target), torch.full_like(g_target, float(self.most))
        for _ in range(self.most.bit_length()):
            middle = ((below + above) / 2).floor()
            short = g(middle) < wanted
            below, above = torch.where(short, middle, below), torch.where(short, above, middle)
        near = (g(above) - wanted).abs() < (g(below) - wanted).abs()
        return torch.where(near, above, below)

    def _off(self, cells: Any, start: Tensor, state: Tensor, count: Tensor, eps: Tensor) -> Tensor:
        """The states with what the pulses scatter."""
        model = cells.model
        volts = torch.full_like(start, self.train.voltage)
        found = model.scatter(start, volts, count * self.train.width)
        if found is None or cells.program_scale == 0:
            return state
        std = torch.where(count > 0, found[1], 0.0)
        off: Tensor = model.deviated(state, cells.program_scale * std * eps)
        return off

"""How one cell answers the pulses of training: the interface of all pulsed cells, and what they share.

A state *w* is in units of the weight that training steps in: a pair of bounds such as -1 and 1. What a pulse
does is a pure function of the state, of parameters that differ from cell to cell, and of one standard normal
number for each pulse::

    cells = cell.parameters(eps)                      # once for each chip; frozen
    w = cell.pulsed(w, direction, cells, eps2)        # each pulse

Spread from cell to cell (*d2d*), of standard normal numbers xi drawn once: with the gain ``g = 1 +
dw_min_dtod xi`` (or ``exp(dw_min_dtod xi)``) and the imbalance ``r = up_down_dtod xi``, steps are scaled by

    up = dw_min |g + min(up_down, 0) + r|,    down = dw_min |g - max(up_down, 0) - r|:

a positive ``up_down`` weakens the steps down and leaves those up. Bounds are multiplied by ``1 + dtod xi``.
Spread from pulse to pulse (*c2c*): each step is multiplied by ``1 + dw_min_std xi`` or, additive, gets
``dw_min_std`` scales of a step more. The state is kept between its bounds after every pulse.

A cell with a *reference* is read against one that does not move: the weight is the difference of their
states, and the steps are those of the state of the cell, ``w + reference``.

Names and equations are those that M. J. Rasch et al., "A flexible and fast PyTorch toolkit for simulating
training and inference on analog crossbar arrays", IEEE AICAS (2021) made common, as documented there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from mho.config import Finite, Fraction, NonNegative, Positive, config

Parameters = dict[str, Tensor]
"""Parameters of cells by name, in the shape of the states."""

_BISECTIONS = 60
_FAR = 9.0  # no cell draws that


@config
class PulsedCell(ABC):
    """What one pulse does to a cell; see the module for the equations.

    Attributes:
        dw_min: step of a pulse, in units of weight.
        dw_min_dtod: its relative spread from cell to cell.
        dw_min_dtod_log_normal: spread of a log-normal law instead of a normal one.
        dw_min_std: spread from pulse to pulse, in steps.
        up_down: imbalance of steps up and down.
        up_down_dtod: its spread from cell to cell.
        w_max, w_min: bounds.
        w_max_dtod, w_min_dtod: their relative spread from cell to cell.
        mult_noise: whether the spread from pulse to pulse goes with the step, or with ``dw_min`` of the cell.
        reference_mean, reference_std: state of the reference, and its spread from cell to cell.
        subtract_symmetry_point: whether the reference is at the symmetry point of its own cell, besides.
        write_noise_std: error, in steps, with which a state shows itself after each pulse.
        corrupt_devices_prob: share of cells that no pulse moves.
        corrupt_devices_range: they are anywhere between plus and minus that.
        lifetime: batches after which a state has decayed to 1/e; None for no decay.
        lifetime_dtod: its relative spread from cell to cell.
        diffusion: standard deviation that a state moves by in each batch.
        diffusion_dtod: its relative spread from cell to cell.
        reset: state to which it decays, and to which a reset takes it.
        reset_dtod: its spread from cell to cell.
        reset_std: spread from reset to reset.
    """

    dw_min: Positive = 0.001
    dw_min_dtod: NonNegative = 0.3
    dw_min_dtod_log_normal: bool = False
    dw_min_std: NonNegative = 0.3
    up_down: Finite = 0.0
    up_down_dtod: NonNegative = 0.01
    w_max: Finite = 0.6
    w_max_dtod: NonNegative = 0.3
    w_min: Finite = -0.6
    w_min_dtod: NonNegative = 0.3
    mult_noise: bool = True
    reference_mean: Finite = 0.0
    reference_std: NonNegative = 0.0
    subtract_symmetry_point: bool = False
    write_noise_std: NonNegative = 0.0
    corrupt_devices_prob: Fraction = 0.0
    corrupt_devices_range: NonNegative = 0.1
    lifetime: Positive | None = None
    lifetime_dtod: NonNegative = 0.0
    diffusion: NonNegative = 0.0
    diffusion_dtod: NonNegative = 0.0
    reset: Finite = 0.0
    reset_dtod: NonNegative = 0.0
    reset_std: NonNegative = 0.01

    own_draws: ClassVar[tuple[str, ...]] = ()
    """Names of standard normal draws of each cell that a subclass takes."""

    _draws: ClassVar[tuple[str, ...]] = (
        "gain", "up_down", "w_max", "w_min", "reference", "corrupt", "corrupt_state",
        "lifetime", "diffusion", "reset",
    )  # fmt: skip

    def belongs(self, owner: type, name: str) -> str:
        """What to write instead of ``owner(name=cell)``, for the message of the error."""
        made = f"mho.devices.Pulsed(cell={type(self).__name__}(...))"
        return f"this is how a cell answers pulses; {made} makes a device of it"

    def validate(self) -> None:
        """Bounds in order, and a lifetime of more than a batch."""
        if not self.w_min < self.w_max:
            raise ValueError(f"w_min = {self.w_min!r} must be below w_max = {self.w_max!r}")
        if self.lifetime is not None and self.lifetime <= 1:
            raise ValueError(
                f"lifetime = {self.lifetime!r}: a state lives longer than one batch; None for ever"
            )

    @abstractmethod
    def steps(self, w: Tensor, cells: Parameters) -> tuple[Tensor, Tensor]:
        """Sizes of a step up and of one down, both positive, without spread from pulse to pulse.

        Args:
            w: states of the cells themselves, reference included.
            cells: what :meth:`parameters` gave.
        """

    def own_parameters(self, cells: Parameters, eps: dict[str, Tensor]) -> Parameters:
        """More parameters of each cell, by name.

        Args:
            cells: ``up``, ``down``, ``w_max`` and ``w_min`` of each cell.
            eps: the draws of :attr:`own_draws`.
        """
        return {}

    # --- parameters ------------------------------------------------------------------------------

    @property
    def draws(self) -> tuple[str, ...]:
        """Names of the standard normal numbers that :meth:`parameters` takes for each cell."""
        return (*self._draws, *self.own_draws)

    def parameters(self, eps: Tensor) -> Parameters:
        """The parameters of each cell.

        Args:
            eps: standard normal draws ``[draws, ...]``.

        Returns:
            By name, each of the shape of the cells: ``up``, ``down``, ``w_max``, ``w_min``, ``reference``,
            ``decay``, ``diffusion``, ``reset``, and those of the subclass.
        """
        xi = dict(zip(self.draws, eps, strict=True))
        gain = self.dw_min_dtod * xi["gain"]
        gain = torch.exp(gain) if self.dw_min_dtod_log_normal else 1 + gain
        imbalance = self.up_down_dtod * xi["up_down"]
        up = self.dw_min * (gain + min(self.up_down, 0.0) + imbalance).abs()
        down = self.dw_min * (gain - max(self.up_down, 0.0) - imbalance).abs()
        w_max, w_min = self._bounds(xi)
        corrupt = torch.special.ndtr(xi["corrupt"]) < self.corrupt_devices_prob
        stuck = self.corrupt_devices_range * (2 * torch.special.ndtr(xi["corrupt_state"]) - 1)
        cells: Parameters = {"up": up, "down": down, "w_max": w_max, "w_min": w_min}
        cells |= self.own_parameters(cells, {name: xi[name] for name in self.own_draws})
        cells["reference"] = self._reference(cells, xi["reference"])
        for name, value in (("up", 0.0), ("down", 0.0), ("w_max", stuck), ("w_min", stuck)):
            cells[name] = torch.where(corrupt, value, cells[name])
        cells["decay"] = self._decay(xi["lifetime"])
        cells["diffusion"] = (self.diffusion * (1 + self.diffusion_dtod * xi["diffusion"])).abs()
        cells["reset"] = self.reset + self.reset_dtod * xi["reset"]
        return cells

    def _bounds(self, xi: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Highest and lowest state of each cell, in order."""
        high = self.w_max * (1 + self.w_max_dtod * xi["w_max"])
        low = self.w_min * (1 + self.w_min_dtod * xi["w_min"])
        high, low = torch.maximum(high, low), torch.minimum(high, low)
        return high.abs() * _sign(self.w_max), low.abs() * _sign(self.w_min)

    def _reference(self, cells: Parameters, xi: Tensor) -> Tensor:
        reference = self.reference_mean + self.reference_std * xi
        return reference + self.symmetry_point(cells) if self.subtract_symmetry_point else reference

    def _decay(self, xi: Tensor) -> Tensor:
        """Share of the way to the reset state in one batch."""
        if self.lifetime is None:
            return torch.zeros_like(xi)
        return 1 / (self.lifetime * (1 + self.lifetime_dtod * xi)).abs().clamp(min=1)

    def nominal(self, like: Tensor) -> Parameters:
        """The parameters of a cell without spread, of the shape of ``like``."""
        eps = torch.zeros((len(self.draws), *like.shape), dtype=like.dtype, device=like.device)
        eps[self.draws.index("corrupt")] = _FAR
        return self.parameters(eps)

    @property
    def granularity(self) -> float:
        """The step that pulse trains are reckoned in, in units of weight."""
        return self.dw_min

    def symmetry_point(self, cells: Parameters) -> Tensor:
        """The state at which a step up is as large as one down; 0 for cells that have no such state."""
        low, high = (cells[name].clone() for name in ("w_min", "w_max"))

        def excess(w: Tensor) -> Tensor:
            up, down = self.steps(w, cells)
            return up - down

        found = (excess(low) > 0) & (excess(high) < 0)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            rising = excess(middle) > 0
            low, high = torch.where(rising, middle, low), torch.where(rising, high, middle)
        return torch.where(found, (low + high) / 2, 0.0)

    # --- pulses ----------------------------------------------------------------------------------

    def noise(self, w: Tensor, step: Tensor, scale: Tensor) -> Tensor:
        """Standard deviation of one pulse.

        Args:
            w: states.
            step: size of the step, as :meth:`steps` gives it.
            scale: ``up`` or ``down`` of the cell.
        """
        return self.dw_min_std * (step.abs() if self.mult_noise else scale)

    def pulsed(self, w: Tensor, direction: Tensor, cells: Parameters, eps: Tensor) -> Tensor:
        """Weights after one pulse.

        Args:
            w: weights: states less their references.
            direction: 1 for a pulse up, -1 for one down, 0 for none; same shape.
            cells: what :meth:`parameters` gave.
            eps: standard normal draws of the same shape.
        """
        state = w + cells["reference"]
        up, down = self.steps(state, cells)
        rising = direction > 0
        step = torch.where(rising, up, down)
        scale = torch.where(rising, cells["up"], cells["down"])
        if self.dw_min_std > 0:
            step = step + self.noise(state, step, scale) * eps
        return torch.where(direction == 0, w, self.kept(w + direction * step, cells))

    def kept(self, w: Tensor, cells: Parameters) -> Tensor:
        """Weights, kept between the bounds of their cells."""
        low, high = self.limits(cells)
        return torch.minimum(torch.maximum(w, low), high)

    def limits(self, cells: Parameters) -> tuple[Tensor, Tensor]:
        """Lowest and highest weight of each cell."""
        return cells["w_min"] - cells["reference"], cells["w_max"] - cells["reference"]

    def lines(self, cells: Parameters) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]] | None:
        """Steps up and down as ``scale - slope * state``; None where they are no straight lines.

        Returns:
            The scales of steps up and of steps down, and their slopes.
        """
        return None

    def shown(self, w: Tensor, eps: Tensor) -> Tensor:
        """Weights as they show themselves after a pulse, with the write noise."""
        return w + self.write_noise_std * self.dw_min * eps

    def passed(self, w: Tensor, cells: Parameters, eps: Tensor) -> Tensor:
        """Weights one batch later: decayed towards the reset state, and diffused."""
        rest = cells["reset"] - cells["reference"]
        return self.kept(w + cells["decay"] * (rest - w) + cells["diffusion"] * eps, cells)

    def restored(self, cells: Parameters, eps: Tensor) -> Tensor:
        """Weights after a reset."""
        return self.kept(cells["reset"] - cells["reference"] + self.reset_std * eps, cells)

    @property
    def settles(self) -> bool:
        """Whether states move by themselves between batches."""
        return self.lifetime is not None or self.diffusion > 0


def _sign(bound: float) -> float:
    """The side of zero on which a bound stays."""
    return -1.0 if bound < 0 else 1.0

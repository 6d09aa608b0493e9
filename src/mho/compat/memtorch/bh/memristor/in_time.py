"""A long signal on one cell: all samples of a stretch at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mho.devices.dynamics import Exact, Method, StepError, SwitchingModel
from mho.devices.dynamics.trace import Noisy

_STRETCH = 1 << 14  # samples that are solved together, at most
_SHORT = 16  # below it the samples go one after the other
_ROUNDS = 12  # of Newton's method on a stretch
_CLOSE = 1e-13  # of the span of the state: what is left of the correction


def states(
    model: SwitchingModel, volts: Tensor, dt: float, start: Tensor, method: Method | None, eps: Tensor | None
) -> Tensor:
    """States before the first and after each sample of a signal whose samples last ``dt`` each.

    The steps are those of the method, one for each sample, and the states solve ``x[n+1] = step(x[n])``
    to rounding. They are found for thousands of samples together: Newton's method on the whole stretch,
    in which each round steps all samples at once from guessed states and puts the deviations right with
    the slopes of the steps. What does not settle is cut off and done again from where it begins, in a
    shorter stretch, down to one sample after the other.

    Args:
        model: of one cell.
        volts: ``[samples]``.
        dt: seconds.
        start: the state before the first sample.
        method: of the steps; the closed form by default, else that of the model.
        eps: standard normal draws of the velocity in each sample; None for none.

    Returns:
        ``[samples + 1]``.
    """
    method = method or (Exact() if model.has_exact else model.method)
    low, high = (float(b) for b in model.bounds)
    close = _CLOSE * (high - low)
    found = torch.empty(len(volts) + 1, dtype=torch.float64)
    found[0] = start
    done, length = 0, _STRETCH
    while done < len(volts):
        part = slice(done, min(done + length, len(volts)))
        if length <= _SHORT:
            good = _singly(model, volts, dt, found, method, eps, part)
        else:
            flow: Any = model if eps is None else Noisy(model, eps[part])
            good = _together(flow, volts[part], dt, found, method, part, close)
        done += good
        length = min(_STRETCH, max(2 * good, _SHORT))
    return found


def _together(
    flow: Any, volts: Tensor, dt: float, found: Tensor, method: Method, part: slice, close: float
) -> int:
    """Newton's method on a stretch; how many of its states are right, and in ``found``."""
    low, high = (float(b) for b in flow.bounds)
    guess = found[part.start].expand(len(volts)).clone()  # before each sample
    for _ in range(_ROUNDS):
        with torch.enable_grad():
            before = guess.detach().requires_grad_()
            try:
                after = method.advance(flow, before, volts, volts, dt)
            except StepError:  # at a guess, perhaps not at the state: one after the other tells
                return 0
            (slope,) = torch.autograd.grad(after.sum(), before)
        after = after.detach()
        wrong = torch.zeros_like(guess)
        wrong[1:] = after[:-1] - guess[1:]
        shift = _carried(slope[:-1], wrong)
        settled = shift.abs() <= close
        if bool(settled.all()):
            break
        guess = (guess + torch.where(torch.isfinite(shift), shift, 0.0)).clamp(low, high)
    good = len(volts) if bool(settled.all()) else int((~settled).nonzero()[0])
    found[part.start + 1 : part.start + 1 + good] = after[:good]
    return good


def _carried(slope: Tensor, wrong: Tensor) -> Tensor:
    """``d[n+1] = slope[n] d[n] + wrong[n+1]`` from ``d[0] = wrong[0]``, by doubling."""
    total = wrong.clone()
    factor = torch.cat([slope.new_zeros(1), slope])  # of d[0]: nothing comes before it
    reach = 1
    while reach < len(total):
        total = torch.cat([total[:reach], total[reach:] + factor[reach:] * total[:-reach]])
        factor = torch.cat([factor[:reach], factor[reach:] * factor[:-reach]])
        reach *= 2
    return total


def _singly(
    model: SwitchingModel,
    volts: Tensor,
    dt: float,
    found: Tensor,
    method: Method,
    eps: Tensor | None,
    part: slice,
) -> int:
    """One sample after the other."""
    for n in range(part.start, part.stop):
        flow: Any = model if eps is None else Noisy(model, eps[n])
        found[n + 1] = method.advance(flow, found[n], volts[n], volts[n], dt)
    return int(part.stop) - int(part.start)

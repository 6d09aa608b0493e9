"""What each step of a calibration brings."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from mho.config import python_number
from mho.errors import NotCalibratedError

if TYPE_CHECKING:
    import pandas


class Step(NamedTuple):
    """One step.

    Attributes:
        step: its name.
        before: the metric before it; None if the model could not be evaluated without it.
        after: the metric after it.
    """

    step: str
    before: float | None
    after: float | None


class Steps(tuple[Step, ...]):
    """The steps in their order, as a table."""

    def to_frame(self) -> pandas.DataFrame:
        """The table as a ``pandas.DataFrame`` (needs pandas)."""
        import pandas

        frame: pandas.DataFrame = pandas.DataFrame(list(self), columns=list(Step._fields))
        return frame

    def __str__(self) -> str:
        lines = [("step", "before", "after", "change")]
        for step, before, after in self:
            change = "" if before is None or after is None else f"{after - before:+.4g}"
            lines.append((step, _text(before), _text(after), change))
        widths = [max(len(line[k]) for line in lines) for k in range(4)]
        return "\n".join(
            "  ".join(
                c.rjust(w) if k else c.ljust(w) for k, (c, w) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )


def before_after(
    model: nn.Module,
    metric: Callable[[nn.Module], float],
    steps: Mapping[str, Callable[[nn.Module], object]],
) -> Steps:
    """Do one step after the other and evaluate the model before and after each.

    Args:
        model: what ``mho.convert`` made; each step changes it.
        metric: the model to one number, called without gradients; it sets the mode that it wants
            (``model.eval()`` for the chip).
        steps: name to what is done, in order: converter ranges, drift compensation, affine correction,
            batch normalisation.

    Returns:
        The table. A metric that raises ``NotCalibratedError`` counts as unknown: None.

    >>> import torch, mho
    >>> analog = mho.convert(nn.Linear(4, 4), mho.Hardware(device=mho.devices.PCM(), adc=mho.ADC()))
    >>> mho.program(analog, seed=0)
    >>> data = [torch.randn(100, 4)]
    >>> error = lambda m: float((m.eval()(data[0]) - m.digital_forward(data[0])).square().mean())
    >>> [row.step for row in before_after(analog, error, {"ranges": lambda m: mho.calibrate(m, data)})]
    ['ranges']
    """
    value = _measured(metric, model)
    rows = []
    for name, step in steps.items():
        before = value
        step(model)
        value = _measured(metric, model)
        rows.append(Step(name, before, value))
    return Steps(rows)


def _measured(metric: Callable[[nn.Module], float], model: nn.Module) -> float | None:
    try:
        with torch.no_grad():
            value = metric(model)
    except NotCalibratedError:
        return None
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    value = python_number(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"metric(model) gave {value!r}: it must give one number")
    return float(value)


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

"""Whether a model is evaluated before it was programmed: said once, and only where it makes a difference."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import nn

from mho.autograd import constant_in_graphs
from mho.devices.effects.base import innermost
from mho.errors import NotProgrammedWarning
from mho.hardware import Hardware

_WITHIN = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]))


class Notice:
    """What the layers of one converted model share, so that one of them speaks for all.

    Attributes:
        model: type of the model.
        told: whether it was said, or need not be.
    """

    def __init__(self, model: str) -> None:
        self.model, self.told = model, False
        self._unchanged: Hardware | None = None  # the description looked at last

    def evaluated(self, path: str, hardware: Hardware) -> None:
        """A layer without a chip was evaluated: warn (``NotProgrammedWarning``), the first time."""
        if self.told or self._unchanged is hardware:
            return
        with ThreadPoolExecutor(1) as apart:  # from whatever traces this forward
            matters = apart.submit(programming_matters, hardware).result()
        if not matters:
            self._unchanged = hardware
            return
        self.told = True
        where = f", and {path!r} and the layers after it are" if path else " and is"
        warnings.warn(
            f"{self.model} holds no chip{where} evaluated with the conductances that were aimed at: no "
            "programming error, no drift, no noise. Call mho.program(model, seed=0) before you evaluate",
            NotProgrammedWarning,
            stacklevel=_level_of_the_caller(),
        )

    @constant_in_graphs
    def traced(self, path: str, hardware: Hardware) -> None:
        """:meth:`evaluated`, said when the graph is made."""
        self.evaluated(path, hardware)


def _level_of_the_caller() -> int:
    """The ``stacklevel`` of the first frame that is neither torch's nor mho's."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_WITHIN):
        frame, level = frame.f_back, level + 1
    return level


def programming_matters(hardware: Hardware) -> bool:
    """Whether a chip that was just programmed computes with other numbers than the mapped targets.

    >>> import mho
    >>> programming_matters(mho.Hardware()), programming_matters(mho.Hardware(device=mho.devices.PCM()))
    (False, True)
    """
    device, adc, dac = hardware.device, hardware.adc, hardware.dac
    if device is not innermost(device):
        return True
    draws = None if adc is None else adc.draw((1, 1, 1), [1], seed=0, path="")
    if adc is not None and draws is not None:
        if not torch.equal(adc.pack(draws), adc.pack(torch.zeros_like(draws))):
            return True
    if dac is not None and dac.mismatched:
        return True
    g = torch.linspace(device.g_min, device.g_max, 33).view(1, 1, -1, 1)
    error = (hardware.programming.write(device, g, seed=0).g - g).abs().max()
    return bool(error > 1e-6 * device.g_max) or bool((device.read_std(g, g, 0.0) > 0).any())


@contextlib.contextmanager
def on_purpose(model: nn.Module) -> Iterator[None]:
    """The mapped targets are what is asked for: evaluating them inside says nothing."""
    notices = {id(n): n for m in model.modules() if isinstance(n := m.__dict__.get("notice"), Notice)}
    before = {key: notice.told for key, notice in notices.items()}
    try:
        for notice in notices.values():
            notice.told = True
        yield
    finally:
        for key, notice in notices.items():
            notice.told = before[key]


def share_notice(model: nn.Module) -> None:
    """Give all analog layers of a model one notice."""
    notice = Notice(type(model).__name__)
    for module in model.modules():
        if isinstance(module.__dict__.get("notice"), Notice):
            module.notice = notice  # type: ignore[assignment]

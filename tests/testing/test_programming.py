"""Ways to program keep their contract; the check sees what it is there to see."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from mho.config import config
from mho.devices import PCM
from mho.programming import Programming, ProgrammingResult, SingleShot, WriteVerify
from mho.testing import check_programming


@pytest.mark.parametrize("programming", [SingleShot(), WriteVerify()], ids=lambda p: type(p).__name__)
def test_contract(programming: Programming) -> None:
    check_programming(programming, PCM())


def altered(result: ProgrammingResult, **parts: Any) -> ProgrammingResult:
    return dataclasses.replace(result, **parts)


@config
class Beyond(SingleShot):
    """It writes more than cells can hold."""

    def write(self, *given: Any, **named: Any) -> ProgrammingResult:
        result = super().write(*given, **named)
        return altered(result, g=result.g * 3)


@config
class Uncounted(SingleShot):
    """Pulses are no whole numbers."""

    def write(self, *given: Any, **named: Any) -> ProgrammingResult:
        result = super().write(*given, **named)
        return altered(result, pulses=result.pulses.float())


@config
class Loud(SingleShot):
    """It takes from torch's generator."""

    def write(self, *given: Any, **named: Any) -> ProgrammingResult:
        torch.rand(1)
        return super().write(*given, **named)


WRONG = {Beyond: "such as the device can be written to", Uncounted: "pulses must be", Loud: "leave torch's"}


@pytest.mark.parametrize("kind", WRONG)
def test_what_the_check_sees(kind: type[Programming]) -> None:
    with pytest.raises(AssertionError, match=WRONG[kind]):
        check_programming(kind(), PCM())

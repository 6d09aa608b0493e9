"""What one pulse does to a cell, and to its neighbours: the interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from mho.programming.base import Cell

Memory = tuple[Tensor, ...]  # what is known of each cell; tensors of one shape


class Moved(NamedTuple):
    """Cells after a pulse.

    Attributes:
        memory: what the pulse keeps of each cell.
        energy: joules, each cell.
        seconds: duration of the pulse, each cell.
    """

    memory: Memory
    energy: Tensor
    seconds: Tensor


class Drive(NamedTuple):
    """The next pulse of each cell, as an instrument is told it.

    Attributes:
        memory: what is kept of each cell, once the pulse was sent.
        volts: amplitude, with the sign that the device wants; 0 for no pulse.
        seconds: length.
    """

    memory: Memory
    volts: Tensor
    seconds: Tensor


@runtime_checkable
class Driven(Protocol):
    """Pulses whose volts and seconds follow from reads alone: those that a board can send.

    Tensors are flat lists of cells.
    """

    def begin(self, like: Tensor) -> Memory:
        """What is kept of cells before their first pulse, in the shape and dtype of ``like``."""

    def following(self, memory: Memory, step: Tensor, number: Tensor, span: float) -> Drive:
        """The next pulse of each cell.

        Args:
            memory: what :meth:`begin` or the last call gave.
            step: wanted change of conductance, siemens; 0 for no pulse.
            number: how many pulses each cell got before.
            span: between the lowest and the highest conductance, siemens.
        """


def joules(voltage: float, width: float, before: Tensor, after: Tensor) -> Tensor:
    """Energy of a pulse (volts, seconds) on cells that go from one conductance to another, siemens."""
    return (0.5 * voltage**2 * width) * (before + after)


class Pulse(ABC):
    """One programming pulse.

    Tensors are flat lists of cells; if :attr:`disturbs` they are whole arrays ``[..., row, column]``, each
    with the neighbours of its cells, and a cell with a step of 0 gets no pulse.
    """

    first: ClassVar[int] = 0
    """Pulses that :meth:`start` counts."""

    @abstractmethod
    def check(self, device: Cell) -> None:
        """Raise ``ValueError`` unless the device takes such pulses."""

    @property
    @abstractmethod
    def disturbs(self) -> bool:
        """Whether a pulse acts on the other cells of its row and column."""

    @abstractmethod
    def start(self, device: Cell, g_target: Tensor, eps: Tensor) -> Moved:
        """Cells before the first read.

        Args:
            device: the cells.
            g_target: wanted conductances, siemens.
            eps: standard normal draws of the same shape, those of a single shot.
        """

    @abstractmethod
    def conductance(self, device: Cell, memory: Memory) -> Tensor:
        """Conductance of the cells, siemens."""

    @abstractmethod
    def apply(
        self,
        device: Cell,
        memory: Memory,
        g_target: Tensor,
        step: Tensor,
        number: int,
        draw: Callable[..., Tensor],
    ) -> Moved:
        """Cells after one pulse.

        Args:
            device: the cells.
            memory: what the last call returned.
            g_target: wanted conductances, siemens.
            step: wanted change of conductance, siemens; 0 for no pulse.
            number: how many pulses the cells got before.
            draw: standard normal draws in the shape of the cells; names lead to other ones.
        """

"""Cells with a finite number of states."""

from __future__ import annotations

from torch import nn

import mho
from mho.devices import FiniteStates, UniformG


def apply_finite_conductance_states(layer: nn.Module, conductance_states: int) -> None:
    """Let cells rest in the nearest of so many conductances at even distances: ``mho.devices.FiniteStates``.

    What befell the cells before stays.

    Args:
        layer: a patched layer or network.
        conductance_states: how many, both bounds included.
    """
    mho.degrade(layer, FiniteStates(states=UniformG(count=conductance_states)), seed=0)

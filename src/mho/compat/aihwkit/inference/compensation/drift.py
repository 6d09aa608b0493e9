"""Factors that undo drift."""

from mho.foreign.aihwkit.inference import GlobalDriftCompensation, PerColumnDriftCompensation

__all__ = ["GlobalDriftCompensation", "PerColumnDriftCompensation"]

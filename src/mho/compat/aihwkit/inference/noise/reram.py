"""Resistive memory."""

from mho.foreign.aihwkit.inference import ReRamCMONoiseModel, ReRamWan2022NoiseModel

__all__ = ["ReRamCMONoiseModel", "ReRamWan2022NoiseModel"]

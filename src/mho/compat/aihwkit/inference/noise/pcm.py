"""Phase-change memory."""

from mho.foreign.aihwkit.inference import CustomDriftPCMLikeNoiseModel, PCMLikeNoiseModel

__all__ = ["CustomDriftPCMLikeNoiseModel", "PCMLikeNoiseModel"]

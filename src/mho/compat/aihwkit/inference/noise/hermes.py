"""Phase-change memory of the HERMES chip."""

from mho.foreign.aihwkit.inference import HermesNoiseModel

__all__ = ["HermesNoiseModel"]

"""Presets for inference, under aihwkit's names."""

from mho.foreign.aihwkit.presets import FloatingPointPreset as FloatingPointPreset
from mho.foreign.aihwkit.presets import StandardHWATrainingPreset as StandardHWATrainingPreset

"""Inference configurations, their tables and choices, under aihwkit's names."""

from typing import Any

from mho.errors import ConfigError
from mho.foreign.aihwkit.configs import InferenceRPUConfig as InferenceRPUConfig
from mho.foreign.aihwkit.configs import TorchInferenceRPUConfig as TorchInferenceRPUConfig
from mho.foreign.aihwkit.enums import AnalogMVType as AnalogMVType
from mho.foreign.aihwkit.enums import BoundManagementType as BoundManagementType
from mho.foreign.aihwkit.enums import NoiseManagementType as NoiseManagementType
from mho.foreign.aihwkit.enums import PulseType as PulseType
from mho.foreign.aihwkit.enums import RPUDataType as RPUDataType
from mho.foreign.aihwkit.enums import WeightClipType as WeightClipType
from mho.foreign.aihwkit.enums import WeightModifierType as WeightModifierType
from mho.foreign.aihwkit.enums import WeightNoiseType as WeightNoiseType
from mho.foreign.aihwkit.enums import WeightRemapType as WeightRemapType
from mho.foreign.aihwkit.parameters import InputRangeParameter as InputRangeParameter
from mho.foreign.aihwkit.parameters import IOParameters as IOParameters
from mho.foreign.aihwkit.parameters import MappingParameter as MappingParameter
from mho.foreign.aihwkit.parameters import PrePostProcessingParameter as PrePostProcessingParameter
from mho.foreign.aihwkit.parameters import UpdateParameters as UpdateParameters
from mho.foreign.aihwkit.parameters import WeightClipParameter as WeightClipParameter
from mho.foreign.aihwkit.parameters import WeightModifierParameter as WeightModifierParameter
from mho.foreign.aihwkit.parameters import WeightRemapParameter as WeightRemapParameter

_BY_PULSES = {
    "SingleRPUConfig", "UnitCellRPUConfig", "DigitalRankUpdateRPUConfig", "ConstantStepDevice",
    "LinearStepDevice", "SoftBoundsDevice", "SoftBoundsReferenceDevice", "ExpStepDevice", "PowStepDevice",
    "PiecewiseStepDevice", "TransferCompound", "ChoppedTransferCompound", "VectorUnitCell",
    "MixedPrecisionCompound", "DynamicTransferCompound",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Configurations that learn by pulses are not here, and say where they are."""
    if name in _BY_PULSES:
        raise ConfigError(
            f"{name}: it learns by pulses; mho.devices.Pulsed and mho.training.PulsedOptimizer do that here "
            "(docs/learning.md)"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

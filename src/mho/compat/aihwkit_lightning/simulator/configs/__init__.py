"""The configuration, with the defaults of aihwkit-lightning: no converters, no noise."""

from __future__ import annotations

from dataclasses import dataclass, field

from mho.foreign.aihwkit.enums import WeightClipType as WeightClipType
from mho.foreign.aihwkit.enums import WeightModifierType as WeightModifierType
from mho.foreign.aihwkit.lightning import IOParameters as IOParameters
from mho.foreign.aihwkit.parameters import InputRangeParameter as InputRangeParameter
from mho.foreign.aihwkit.parameters import PrePostProcessingParameter as PrePostProcessingParameter
from mho.foreign.aihwkit.parameters import WeightClipParameter as WeightClipParameter
from mho.foreign.aihwkit.parameters import WeightModifierParameter as WeightModifierParameter


@dataclass
class MappingParameter:
    """Rows of a tile; -1 for any number."""

    max_input_size: int = -1


@dataclass
class TorchInferenceRPUConfig:
    """A chip for inference, and what training does for it.

    >>> import mho
    >>> hardware = mho.Hardware.from_aihwkit(TorchInferenceRPUConfig())
    >>> hardware.dac, hardware.adc, type(hardware.device).__name__
    (None, None, 'Ideal')
    """

    forward: IOParameters = field(default_factory=IOParameters)
    clip: WeightClipParameter = field(default_factory=WeightClipParameter)
    modifier: WeightModifierParameter = field(default_factory=WeightModifierParameter)
    mapping: MappingParameter = field(default_factory=MappingParameter)
    pre_post: PrePostProcessingParameter = field(default_factory=PrePostProcessingParameter)

"""Presets of aihwkit 1.2.0 for inference."""

from __future__ import annotations

from dataclasses import dataclass, field

from mho.foreign.aihwkit.configs import InferenceRPUConfig, TorchInferenceRPUConfig
from mho.foreign.aihwkit.enums import (
    BoundManagementType,
    NoiseManagementType,
    WeightClipType,
    WeightNoiseType,
    WeightRemapType,
)
from mho.foreign.aihwkit.parameters import (
    InputRangeParameter,
    IOParameters,
    MappingParameter,
    PrePostProcessingParameter,
    WeightClipParameter,
    WeightRemapParameter,
)


def _standard_io() -> IOParameters:
    return IOParameters(
        inp_res=254.0, out_res=254.0, out_bound=10.0, out_noise=0.04, w_noise=0.0175, ir_drop=1.0,
        w_noise_type=WeightNoiseType.PCM_READ, bound_management=BoundManagementType.NONE,
        noise_management=NoiseManagementType.CONSTANT, nm_thres=1.0,
    )  # fmt: skip


def _standard_mapping() -> MappingParameter:
    return MappingParameter(
        weight_scaling_omega=1.0, weight_scaling_columnwise=True, max_output_size=0, learn_out_scaling=True,
        out_scaling_columnwise=True,
    )  # fmt: skip


@dataclass
class StandardHWATrainingPreset(InferenceRPUConfig):
    """The standard setting of M. J. Rasch et al., Nat. Commun. 14, 5282 (2023).

    Its noise of weights that is referred to the output and its approximate drop in the wires have no
    counterpart: ``ignore=["forward.w_noise", "forward.ir_drop"]`` leaves them to the read noise of the cells
    and to ``mho.array.Wires``.
    """

    mapping: MappingParameter = field(default_factory=_standard_mapping)
    forward: IOParameters = field(default_factory=_standard_io)
    remap: WeightRemapParameter = field(
        default_factory=lambda: WeightRemapParameter(type=WeightRemapType.CHANNELWISE_SYMMETRIC)
    )
    pre_post: PrePostProcessingParameter = field(
        default_factory=lambda: PrePostProcessingParameter(input_range=InputRangeParameter(enable=True))
    )
    clip: WeightClipParameter = field(
        default_factory=lambda: WeightClipParameter(type=WeightClipType.FIXED_VALUE, fixed_value=1.0)
    )


@dataclass
class FloatingPointPreset(TorchInferenceRPUConfig):
    """No converters, one tile: the weights alone."""

    mapping: MappingParameter = field(
        default_factory=lambda: MappingParameter(max_input_size=0, max_output_size=0)
    )
    forward: IOParameters = field(default_factory=lambda: IOParameters(is_perfect=True))

"""The inference configurations of aihwkit, under its names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mho.foreign.aihwkit.inference import GlobalDriftCompensation, PCMLikeNoiseModel
from mho.foreign.aihwkit.parameters import (
    IOParameters,
    MappingParameter,
    PrePostProcessingParameter,
    RuntimeParameter,
    UpdateParameters,
    WeightClipParameter,
    WeightModifierParameter,
    WeightRemapParameter,
)


@dataclass
class InferenceRPUConfig:
    """A chip for inference, and what training does for it."""

    mapping: MappingParameter = field(default_factory=MappingParameter)
    pre_post: PrePostProcessingParameter = field(default_factory=PrePostProcessingParameter)
    forward: IOParameters = field(default_factory=IOParameters)
    noise_model: Any = field(default_factory=PCMLikeNoiseModel)
    drift_compensation: Any = field(default_factory=GlobalDriftCompensation)
    clip: WeightClipParameter = field(default_factory=WeightClipParameter)
    remap: WeightRemapParameter = field(default_factory=WeightRemapParameter)
    modifier: WeightModifierParameter = field(default_factory=WeightModifierParameter)
    runtime: RuntimeParameter = field(default_factory=RuntimeParameter)
    backward: IOParameters = field(default_factory=lambda: IOParameters(is_perfect=True), init=False)
    update: UpdateParameters = field(default_factory=UpdateParameters, init=False)


@dataclass
class TorchInferenceRPUConfig(InferenceRPUConfig):
    """The same; there another program computes it, here it is one."""

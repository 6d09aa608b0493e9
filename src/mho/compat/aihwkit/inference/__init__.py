"""Noise models, converters and drift compensation, under aihwkit's names."""

from mho.foreign.aihwkit.inference import CustomDriftPCMLikeNoiseModel as CustomDriftPCMLikeNoiseModel
from mho.foreign.aihwkit.inference import DualPairConductanceConverter as DualPairConductanceConverter
from mho.foreign.aihwkit.inference import GlobalDriftCompensation as GlobalDriftCompensation
from mho.foreign.aihwkit.inference import HermesNoiseModel as HermesNoiseModel
from mho.foreign.aihwkit.inference import NPairConductanceConverter as NPairConductanceConverter
from mho.foreign.aihwkit.inference import PCMLikeNoiseModel as PCMLikeNoiseModel
from mho.foreign.aihwkit.inference import PerColumnDriftCompensation as PerColumnDriftCompensation
from mho.foreign.aihwkit.inference import ReRamCMONoiseModel as ReRamCMONoiseModel
from mho.foreign.aihwkit.inference import ReRamWan2022NoiseModel as ReRamWan2022NoiseModel
from mho.foreign.aihwkit.inference import SingleDeviceConductanceConverter as SingleDeviceConductanceConverter
from mho.foreign.aihwkit.inference import SinglePairConductanceConverter as SinglePairConductanceConverter
from mho.foreign.aihwkit.inference import StateIndependentNoiseModel as StateIndependentNoiseModel

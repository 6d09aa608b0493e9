"""Parameters of the simulation itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mho.compat.crosssim._tree import Parameters


class ConvolutionParameters(Parameters):
    """How a convolution is computed."""

    FIELDS: ClassVar[Mapping[str, Any]] = {"is_conv_core": False, "x_par": 1, "y_par": 1, "Nwindows": 1}
    RETIRED: ClassVar[Mapping[str, tuple[Any, str]]] = {
        "conv_matmul": (True, "all patches of an input are one product here; leave it out")
    }


class AnalyticsParameters(Parameters):
    """What is recorded."""

    FIELDS: ClassVar[Mapping[str, Any]] = {
        "profile_xbar_inputs": False,
        "profile_adc_inputs": False,
        "ntest": 0,
    }


class SimulationParameters(Parameters):
    """Of the simulation."""

    FIELDS: ClassVar[Mapping[str, Any]] = {
        "convolution": ConvolutionParameters,
        "analytics": AnalyticsParameters,
        "useGPU": False,
        "gpu_id": 0,
        "Niters_max_parasitics": 100,
        "Verr_th_mvm": 1e-3,
        "Verr_matmul_criterion": "max_max",
        "relaxation_gamma": 1.0,
        "disable_fast_balanced": False,
        "disable_fast_matmul": False,
        "disable_fast_nonlinear_IV": False,
        "hide_convergence_msg": False,
    }

"""The package ``simulator`` of CrossSim, as far as mho has a face for it."""

from typing import NoReturn

from mho.compat.crosssim.simulator.parameters import CrossSimParameters as CrossSimParameters


def __getattr__(name: str) -> NoReturn:
    if name == "AnalogCore":
        raise ImportError(
            "simulator.AnalogCore is no torch layer, and mho has no face for it: use AnalogLinear(params, "
            "inputs, outputs, bias=False) of simulator.algorithms.dnn.torch.linear; its weight is the matrix"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

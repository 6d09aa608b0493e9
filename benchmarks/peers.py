"""Adapters to other simulators, timed beside mho where they are installed.

None of them is installed by this project. ``pip install aihwkit-lightning`` or ``pip install aihwkit``
into the same environment adds a row.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable

from torch import nn


def _lightning(layer: nn.Linear) -> nn.Module:
    os.environ.setdefault("AIHWKIT_USE_TRITON", "0")
    from aihwkit_lightning.nn.conversion import convert_to_analog
    from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig

    config = TorchInferenceRPUConfig()
    config.forward.inp_res, config.forward.out_res, config.forward.out_bound = 254, 254, 10.0
    config.pre_post.input_range.enable = True
    config.mapping.max_input_size = 256
    return convert_to_analog(layer, config).eval()  # type: ignore[no-any-return]


def _aihwkit(layer: nn.Linear) -> nn.Module:
    from aihwkit.nn.conversion import convert_to_analog
    from aihwkit.simulator.configs import TorchInferenceRPUConfig

    config = TorchInferenceRPUConfig()
    config.forward.inp_res, config.forward.out_res, config.forward.out_bound = 254, 254, 10.0
    config.forward.out_noise = 0.0
    config.mapping.max_input_size = 256
    return convert_to_analog(layer, config).eval()  # type: ignore[no-any-return]


ADAPTERS: dict[str, tuple[str, Callable[[nn.Linear], nn.Module]]] = {
    "aihwkit-lightning": ("aihwkit_lightning", _lightning),
    "aihwkit (torch tile)": ("aihwkit", _aihwkit),
}


def installed() -> dict[str, Callable[[nn.Linear], nn.Module]]:
    """Adapters of the simulators that can be imported here; what cannot be is said on stderr."""
    found = {}
    for name, (module, build) in ADAPTERS.items():
        if importlib.util.find_spec(module) is None:
            print(f"{name}: not installed, no row", file=sys.stderr)
        else:
            found[name] = build
    return found

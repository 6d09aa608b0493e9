"""The names of the document "ML Framework Integration for RRAM Systems", on mho's physics.

``import mho.compat.rram; mho.compat.rram.install()`` lets ``from ml_framework_integration import ...`` find
them; docs/compat-rram.md says what each means. All that is computed is mho's.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from mho.boards import BoardError as BoardError
from mho.compat.rram._board import RRAMInterface as RRAMInterface
from mho.compat.rram._effects import RRAMEffects as RRAMEffects
from mho.compat.rram._layer import RRAMLinearLayer as RRAMLinearLayer
from mho.compat.rram._layer import TorchRRAMLinear as TorchRRAMLinear
from mho.compat.rram._networks import RRAMModelWrapper as RRAMModelWrapper
from mho.compat.rram._networks import benchmark_rram_model as benchmark_rram_model
from mho.compat.rram._networks import create_rram_neural_network as create_rram_neural_network
from mho.compat.rram._networks import train_with_rram_simulation as train_with_rram_simulation
from mho.compat.rram._optimizer import TorchRRAMOptimizer as TorchRRAMOptimizer

if TYPE_CHECKING:
    TensorFlowRRAMLayer: Any

NAME = "ml_framework_integration"


def install() -> None:
    """Let ``import ml_framework_integration`` find this module, for this process.

    Raises:
        ImportError: another module of that name was imported already.
    """
    here = sys.modules[__name__]
    if sys.modules.setdefault(NAME, here) is not here:
        raise ImportError(f"another {NAME} was imported already: call mho.compat.rram.install() before it")


def __getattr__(name: str) -> Any:
    """``TensorFlowRRAMLayer``, made where it is asked for: it needs Keras."""
    if name == "TensorFlowRRAMLayer":
        from mho.compat.rram._keras import layer_class

        return layer_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

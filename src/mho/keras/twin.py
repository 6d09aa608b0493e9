"""The torch side of an array: mho's own layer, which holds the chip.

Programming, ageing, correction and calibration happen there, by mho's own verbs, on the same code as for a
torch model. A :class:`Bridge` is a Keras model as such a verb sees it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mho.errors import NotProgrammedWarning
from mho.hardware import Hardware
from mho.keras.geometry import Geometry
from mho.nn.crossbar import Crossbar
from mho.nn.layer import AnalogLayer
from mho.nn.unprogrammed import Notice, programming_matters


class Twin(AnalogLayer):
    """The torch layer of one array, with copies of the Keras layer's weights in torch's order.

    Args:
        geometry: how the kernel lies on the array.
        hardware: its description.
        weight: shape of the canonical kernel.
        bias: whether there is a (digital) bias.
    """

    max_norm, norm_type, scale_grad_by_freq = None, 2.0, False  # of a table
    report_remark = ""

    def __init__(self, geometry: Geometry, hardware: Hardware, weight: tuple[int, ...], bias: bool) -> None:
        super().__init__()
        self.geometry = geometry
        shape = geometry.to_torch(np.empty(weight, "float32")).shape
        self.weight = nn.Parameter(torch.zeros(shape))
        self.bias = nn.Parameter(torch.zeros(geometry.outputs)) if bias else None
        self.setup(hardware)
        share_notice([self])
        self.eval()

    def make_arrays(self) -> dict[str, Crossbar]:
        """The array of the kernel."""
        return {"crossbar": self.geometry.crossbar(self)}

    def forward(self, x: Tensor) -> Tensor:
        """Read the array."""
        return self.array()(x)  # type: ignore[no-any-return]

    def digital_forward(self, *args: Any, **names: Any) -> Any:
        """What the digital layer gives."""
        return self.array().digital_forward(*args, **names)

    def take(self, kernel: Any, bias: Any) -> None:
        """Copy the weights of the Keras layer, canonical, from numpy."""
        _put(self.weight, self.geometry.to_torch(kernel))
        if self.bias is not None:
            _put(self.bias, self.geometry.columns_to_torch(bias))


def _put(parameter: nn.Parameter, values: Any) -> None:
    """New values, if they are others: a Parameter that did not change makes no chip stale."""
    given = torch.from_numpy(np.ascontiguousarray(values)).to(parameter.dtype)
    with torch.no_grad():
        if not torch.equal(parameter, given):
            parameter.copy_(given)


class KerasNotice(Notice):
    """Says once, for all arrays of a Keras model, that it is evaluated without a chip."""

    def evaluated(self, path: str, hardware: Hardware) -> None:
        """A layer without a chip was evaluated: warn (``NotProgrammedWarning``), the first time."""
        if self.told or not programming_matters(hardware):
            return
        self.told = True
        warnings.warn(
            f"{self.model} holds no chip and is evaluated with the conductances that were aimed at: no "
            "programming error, no drift, no noise. Call mho.keras.program(model, seed=0) before evaluating",
            NotProgrammedWarning,
            stacklevel=2,
        )


def share_notice(twins: Iterable[Twin]) -> None:
    """Let one array of a model speak for all."""
    arrays = [twin.array() for twin in twins]
    told = any(array.notice.told for array in arrays)
    notice = KerasNotice("the Keras model")
    notice.told = told
    for array in arrays:
        array.notice = notice


class Digital(nn.Module):
    """A Keras layer that stays digital, for the report: its weights, by name."""

    def __init__(self, weights: Mapping[str, Any]) -> None:
        super().__init__()
        for name, value in weights.items():
            self.register_parameter(
                name, nn.Parameter(torch.from_numpy(np.array(value)), requires_grad=False)
            )


class Bridge(nn.Module):
    """A Keras model as mho's verbs see it: its arrays under their paths, and a forward through them.

    Args:
        layers: twins and digital layers, by path; a path of nothing stands for the model itself.
        run: what the Keras model gives for torch tensors.
    """

    def __init__(self, layers: Mapping[str, nn.Module], run: Callable[..., Tensor]) -> None:
        super().__init__()
        self.__dict__["_run"] = run
        for path, layer in layers.items():
            at: nn.Module = self
            *above, name = path.split(".")
            for part in above:
                if part not in at._modules:
                    at.add_module(part, nn.Module())
                at = at.get_submodule(part)
            if name in at._modules:
                raise ValueError(f"two layers have the path {path!r}: give one of them another, with path=")
            at.add_module(name, layer)
        for module in self.modules():
            module.training = False  # eval() would look whether chips are stale, also for who programs anew

    def forward(self, *args: Any, **names: Any) -> Tensor:
        """The output of the Keras model, each array read by torch."""
        run: Any = self._run
        found: Tensor = run(*args, **names)
        return found

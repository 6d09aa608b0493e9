"""Networks on RRAM: made, converted, trained, measured."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mho.analysis.cost import cost
from mho.compat.rram import _keras
from mho.compat.rram._effects import RRAMEffects
from mho.compat.rram._layer import TorchRRAMLinear, checked_bits, fresh_seed
from mho.compat.rram._optimizer import TorchRRAMOptimizer
from mho.compat.rram._results import rates
from mho.convert import convert, convertible_modules, revert
from mho.costs import GENERIC_22, Technology
from mho.lifecycle import conductances, program
from mho.nn import crossbars
from mho.training import fit, supervised

Framework = Literal["torch", "tensorflow"]


def create_rram_neural_network(
    input_size: int,
    hidden_sizes: Sequence[int],
    output_size: int,
    rram_interface: Any = None,
    quantization_bits: int | None = 4,
    *,
    effects: RRAMEffects | None = None,
    enable_stochastic: bool = True,
    seed: int | None = None,
) -> nn.Sequential:
    """A network of ``TorchRRAMLinear`` layers with ReLU between them.

    Args:
        input_size, output_size: numbers of inputs and outputs.
        hidden_sizes: of the layers between; empty for none.
        rram_interface: a board, to which the layers are written one after the other, each read back at once;
            None for simulated cells.
        quantization_bits, effects, enable_stochastic: as in ``TorchRRAMLinear``.
        seed: of the first layer, each of the others has the next one; None to draw it.

    >>> len(create_rram_neural_network(8, [6, 4], 3, seed=0))
    5
    """
    sizes = [input_size, *hidden_sizes, output_size]
    first = fresh_seed() if seed is None else seed
    layers: list[nn.Module] = []
    for k, (rows, columns) in enumerate(pairwise(sizes)):
        layers += [nn.ReLU()] * (k > 0)
        layer = TorchRRAMLinear(
            rows, columns, True, rram_interface, quantization_bits, True, enable_stochastic, effects=effects,
            seed=first + k,
        )  # fmt: skip
        layer.path = str(len(layers))
        layers.append(layer)
    return nn.Sequential(*layers)


class RRAMModelWrapper:
    """A network of a framework, to be converted to RRAM.

    Args:
        model: a ``torch.nn.Module`` or a Keras model; it is not changed.
        framework: ``"torch"`` or ``"tensorflow"``.

    Raises:
        ValueError: another framework.
        TypeError: no model of that framework.
    """

    def __init__(self, model: Any, framework: Framework = "torch") -> None:
        if checked_framework(framework) == "torch" and not isinstance(model, nn.Module):
            raise TypeError(
                f"model is a {type(model).__name__}: give a torch.nn.Module, or another framework"
            )
        self.model, self.framework = model, framework

    def convert_to_rram_model(
        self,
        quantization_bits: int | None = 4,
        rram_interface: Any = None,
        *,
        effects: RRAMEffects | None = None,
        enable_stochastic: bool = True,
        seed: int | None = None,
    ) -> Any:
        """A copy whose weights lie in RRAM cells: linear layers as ``TorchRRAMLinear``, others on arrays.

        Layers that are not linear are programmed here; program them again (``mho.program``) when their
        weights change.

        Args:
            quantization_bits, rram_interface, effects, enable_stochastic: as in ``TorchRRAMLinear``; a board
                holds linear layers alone.
            seed: of the chip; None to draw one.

        Returns:
            The model, of the same framework.

        Raises:
            ValueError: nothing in the model can lie in cells.
        """
        bits, effects = checked_bits(quantization_bits), RRAMEffects() if effects is None else effects
        seed = fresh_seed() if seed is None else int(seed)
        if self.framework == "tensorflow":
            return _keras.converted(self.model, bits, effects, enable_stochastic, rram_interface, seed)
        return _converted(self.model, bits, rram_interface, effects, enable_stochastic, seed)


def _converted(
    model: nn.Module, bits: int | None, interface: Any, effects: RRAMEffects, stochastic: bool, seed: int
) -> nn.Module:
    plain = {path for path, module in model.named_modules() if type(module) is nn.Linear}
    others = [path for path in convertible_modules(model) if path not in plain]
    if not plain and not others:
        raise ValueError("the model has no layer whose weights can lie in cells, such as torch.nn.Linear")
    made = copy.deepcopy(model)
    if others:
        made = convert(model, effects.hardware(bits, stochastic), select=lambda path, _: path not in plain)
    for k, (path, module) in enumerate(list(made.named_modules())):
        if type(module) is nn.Linear:
            layer = _linear(module, path, bits, interface, effects, stochastic, seed + k)
            if not path:
                return layer
            parent, _, name = path.rpartition(".")
            setattr(made.get_submodule(parent), name, layer)
    if others:
        program(made, seed)
    return made.train(model.training)


def _linear(
    module: nn.Linear,
    path: str,
    bits: int | None,
    interface: Any,
    effects: RRAMEffects,
    stochastic: bool,
    seed: int,
) -> TorchRRAMLinear:
    """The layer with the Parameters of a linear one."""
    layer = TorchRRAMLinear(
        module.in_features, module.out_features, module.bias is not None, interface, bits, True, stochastic,
        effects=effects, seed=seed, device=module.weight.device, dtype=module.weight.dtype,
    )  # fmt: skip
    layer.weight, layer.bias = module.weight, module.bias
    layer.path = path
    return layer


def train_with_rram_simulation(
    model: Any,
    train_loader: Iterable[Any],
    epochs: int = 10,
    learning_rate: float = 1e-3,
    framework: Framework = "torch",
    *,
    loss: Callable[..., Any] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> dict[str, list[float]]:
    """Train a network on its cells.

    Args:
        model: with RRAM layers, of the framework.
        train_loader: batches ``(input, target)``, run through in each epoch.
        epochs: times.
        learning_rate: of ``TorchRRAMOptimizer``, or of Keras' Adam.
        framework: ``"torch"`` or ``"tensorflow"``.
        loss: of ``(output, target)``; None for the cross entropy of class numbers.
        optimizer: for torch, instead of a ``TorchRRAMOptimizer``.

    Returns:
        ``{"loss": [...]}``, the mean loss of each epoch.

    Raises:
        ValueError: another framework, or no RRAM layer.
    """
    if checked_framework(framework) == "tensorflow":
        return _keras.trained(model, train_loader, epochs, learning_rate, loss)
    crossbars(model)
    used = TorchRRAMOptimizer(model, base_lr=learning_rate) if optimizer is None else optimizer
    criterion = supervised(nn.functional.cross_entropy if loss is None else loss)
    return {"loss": [epoch.loss for epoch in fit(model, train_loader, criterion, used, epochs)]}


def benchmark_rram_model(
    model: Any,
    test_loader: Iterable[Any],
    framework: Framework = "torch",
    *,
    technology: Technology = GENERIC_22,
) -> dict[str, Any]:
    """What a network does on its cells, beside the digital network with the same weights.

    Args:
        model: with RRAM layers, of the framework.
        test_loader: batches ``(input, class number)``; a list or a loader that runs more than once.
        framework: ``"torch"`` or ``"tensorflow"``.
        technology: prices of the chip, for ``energy`` and ``chip_latency`` (see ``mho.cost``).

    Returns:
        ``accuracy`` (per cent); ``latency`` (seconds of this simulation for a sample) and ``throughput``
        (samples in a second); ``cells``; ``energy`` (joules) and ``chip_latency`` (seconds) of an inference
        on the chip, None where the layers have no DAC; and ``digital``: accuracy, latency,
        throughput and energy of the digital network.

    Raises:
        ValueError: another framework, no RRAM layer, or no samples.
    """
    batches = list(test_loader)
    if checked_framework(framework) == "tensorflow":
        return _keras.benchmarked(model, batches, technology)
    arrays = crossbars(model)
    for layer in model.modules():
        if isinstance(layer, TorchRRAMLinear) and layer.has_cells:
            layer._keep_programmed()
    training = model.training
    try:
        found = _measured(model.eval(), batches)
        found["cells"] = sum(g.numel() for g in conductances(model).values())
        priced = all(array.hardware.dac is not None for array in arrays.values())
        report = cost(model, [x for x, _ in batches], technology) if priced else None
        digital = _measured(revert(model).eval(), batches)
    finally:
        model.train(training)
    found["energy"] = None if report is None else report.joules
    found["chip_latency"] = None if report is None else report.seconds
    digital["energy"] = None if report is None else report.twin
    return {**found, "digital": digital}


@torch.no_grad()
def _measured(model: Callable[[Any], Tensor], batches: list[Any]) -> dict[str, Any]:
    """Accuracy and speed."""
    right = count = 0
    model(batches[0][0]) if batches else None  # what is made once is no part of the latency
    start = time.perf_counter()
    for x, target in batches:
        right += int((model(x).argmax(-1) == target).sum())
        count += len(target)
    return rates(right, count, time.perf_counter() - start)


def checked_framework(framework: str) -> str:
    """``"torch"`` or ``"tensorflow"``; ``ValueError`` for another."""
    if framework not in ("torch", "tensorflow"):
        raise ValueError(f"framework = {framework!r}: give 'torch' or 'tensorflow'")
    return framework

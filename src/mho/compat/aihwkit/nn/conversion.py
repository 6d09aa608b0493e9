"""From a digital network to an analog one and back, under aihwkit's names."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from typing import Any

from torch import nn

from mho.compat.aihwkit._recipe import recipe
from mho.compat.aihwkit._verbs import VERBS, Verb
from mho.compat.aihwkit.nn.modules import described
from mho.convert import analog_modules, convert, convertible_modules, revert
from mho.training import attach, detach


def convert_to_analog(
    module: nn.Module,
    rpu_config: Any,
    specific_rpu_config_fun: Callable[[str, nn.Module, Any], Any] | None = None,
    exclude_modules: Collection[str] | None = None,
    verbose: bool = False,
    *,
    ignore: Collection[str] = (),
) -> nn.Module:
    """A copy of a network with its layers on arrays, and aihwkit's verbs on it.

    Recurrent layers, attention and embeddings become analog too, which aihwkit leaves digital;
    ``analog.report`` lists what did and what did not.

    Args:
        module: any network.
        rpu_config: an inference configuration.
        specific_rpu_config_fun: of name, layer and a copy of the configuration; what it returns counts.
        exclude_modules: names of layers that stay digital.
        verbose: print the report.
        ignore: options that may be left out, such as ``["forward.ir_drop"]``.

    Raises:
        ConfigError: an option that mho has no counterpart for.
    """
    left = set(exclude_modules or ())
    configs, hardware, rows = {}, {}, {}
    for path, layer in convertible_modules(module).items():
        if path in left:
            continue
        config = copy.deepcopy(rpu_config)
        if specific_rpu_config_fun is not None:
            config = specific_rpu_config_fun(path, layer, config)
        weights = [p for name, p in layer.named_parameters() if "weight" in name and p.dim() > 1]
        largest = max(weights, key=lambda p: float(p.detach().abs().max()))
        configs[path] = config
        hardware[path], rows[path] = described(config, largest, ignore)
    analog = convert(module, hardware, bias_rows={path: count for path, count in rows.items() if count})
    for path, layer in analog_modules(analog).items():
        layer.rpu_config = configs[path]
        attach(layer, recipe(configs[path], ignore))
    if verbose:
        print(analog.report)  # noqa: T201
    analog.__dict__.update({name: Verb(name, analog) for name in VERBS})
    return analog


def convert_to_digital(module: nn.Module) -> nn.Module:
    """A copy with digital layers that hold the weights of the network."""
    plain = copy.deepcopy(module)
    detach(plain)
    return revert(plain)

"""From a network to a memristive one."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn

import mho
from mho import nn as analog
from mho.compat.memtorch.bh.crossbar.Crossbar import Crossbar as Cells
from mho.compat.memtorch.bh.crossbar.Crossbar import crossbars_of
from mho.compat.memtorch.bh.crossbar.scheme import Scheme
from mho.compat.memtorch.bh.memristor.Memristor import Memristor
from mho.compat.memtorch.bh.StochasticParameter import fresh_seed
from mho.compat.memtorch.hardware import described
from mho.compat.memtorch.map.Input import naive_scale
from mho.compat.memtorch.map.Module import naive_tune, transform
from mho.compat.memtorch.map.Parameter import naive_map
from mho.config import unknown_key
from mho.nn import AnalogLayer, Crossbar, crossbars

_TUNE = ("input_shape", "verbose")


def patch_model(
    model: nn.Module,
    memristor_model: type[Memristor],
    memristor_model_params: dict[str, Any],
    module_parameters_to_patch: Iterable[type[nn.Module]] = (),
    mapping_routine: Any = naive_map,
    transistor: bool = True,
    programming_routine: Any = None,
    programming_routine_params: dict[str, Any] | None = None,
    p_l: float | None = None,
    scheme: Scheme = Scheme.DoubleColumn,
    tile_shape: tuple[int, int] | None = None,
    max_input_voltage: float | None = None,
    scaling_routine: Any = naive_scale,
    scaling_routine_params: dict[str, Any] | None = None,
    source_resistance: float | None = None,
    line_resistance: float | None = None,
    ADC_resolution: int | None = None,
    ADC_overflow_rate: float = 0.0,
    quant_method: str | None = None,
    use_bindings: bool = True,
    random_crossbar_init: bool = False,
    verbose: bool = True,
    *,
    seed: int | None = None,
) -> nn.Module:
    """A copy of a network whose layers compute on a programmed chip, in training mode too.

    Args:
        model: it is not changed.
        memristor_model: a class of ``bh.memristor``.
        memristor_model_params: its parameters. ``r_on`` and ``r_off`` may be stochastic (normal): each cell
            then has bounds of its own.
        module_parameters_to_patch: classes of layers, such as ``torch.nn.Conv2d``.
        mapping_routine: ``naive_map``, or a ``mho.mapping.Mapping``.
        transistor: whether each cell has a transistor.
        programming_routine: None to set all cells exactly (with transistors only), ``naive_program`` for
            voltage pulses on each cell, or a ``mho.programming.Programming``.
        programming_routine_params: of ``naive_program``; see ``bh.crossbar.Program.write_verify``.
        p_l: fraction of the weights that are not clipped.
        scheme: a pair of columns for each output, or a single one.
        tile_shape: rows and columns of an array; None for one array that holds a layer.
        max_input_voltage: the largest input of each vector, volts; the output is scaled back.
        scaling_routine: ``naive_scale``, or a ``mho.DAC``.
        scaling_routine_params: ``{"force_scale": True}`` or nothing.
        source_resistance: of drivers and sense amplifiers, ohms; without transistors.
        line_resistance: of a segment of a line, ohms; without transistors.
        ADC_resolution: bits; None for no ADC.
        ADC_overflow_rate: fraction of the columns of an array that may exceed the range.
        quant_method: ``"linear"``, as by default.
        use_bindings: True; there are none to be left out.
        random_crossbar_init: False.
        verbose: print what became analog.
        seed: names the chip; None to draw one by torch's global generator.

    Returns:
        The network with ``tune_()`` and ``forward_legacy(on)``; its layers have ``forward_legacy(x)``,
        ``transform_output(y)``, ``memristor`` and ``crossbars``, and are ``mn.Linear``, ``mn.Conv2d``, ...

    Raises:
        ValueError: arguments that contradict each other, or that would have no effect.
    """
    if not use_bindings:
        raise ValueError("use_bindings = False: there is one way to compute here; leave it out")
    if random_crossbar_init:
        raise ValueError(
            "random_crossbar_init = True: pulses start from fresh cells, and without pulses the first state "
            "is overwritten; leave it out"
        )
    kinds = _layer_types(module_parameters_to_patch)
    hardware, memristor = described(
        memristor_model, memristor_model_params, mapping_routine=mapping_routine, transistor=transistor,
        programming_routine=programming_routine, programming_routine_params=programming_routine_params,
        p_l=p_l, scheme=scheme, tile_shape=tile_shape, max_input_voltage=max_input_voltage,
        scaling_routine=scaling_routine, scaling_routine_params=scaling_routine_params,
        source_resistance=source_resistance, line_resistance=line_resistance, ADC_resolution=ADC_resolution,
        ADC_overflow_rate=ADC_overflow_rate, quant_method=quant_method,
    )  # fmt: skip
    patched = mho.convert(model, hardware, select=lambda path, module: isinstance(module, kinds))
    for module in patched.modules():
        module.__class__ = _NAMED.get(type(module), type(module))
    layers = _layers(patched)
    mho.program(patched, fresh_seed() if seed is None else seed)
    mho.train_on_chip(patched)
    for layer in layers.values():
        layer.__dict__.update(
            memristor=copy.deepcopy(memristor),  # its state is its own
            forward_legacy=_Verb(_digital, layer),
            transform_output=_Verb(_corrected, layer),
        )
    patched.__dict__.update(tune_=_Verb(_tune, patched), forward_legacy=_Verb(_use_digital, patched))
    if verbose:
        print(patched.report)  # noqa: T201
    return patched


def _layer_types(given: Iterable[type[nn.Module]]) -> tuple[type[nn.Module], ...]:
    kinds = tuple(given)
    if not kinds or not all(isinstance(k, type) and issubclass(k, nn.Module) for k in kinds):
        raise ValueError(
            f"module_parameters_to_patch = {given!r}: give classes of layers, such as [torch.nn.Conv2d, "
            "torch.nn.Linear]"
        )
    return kinds


def _layers(model: nn.Module) -> dict[str, Any]:
    """The patched layers by path; of a layer of several matrices its arrays."""
    found: dict[str, Any] = {}
    for path, array in crossbars(model).items():
        owner = array.owner
        found[path] = owner if isinstance(owner, AnalogLayer) and owner.is_single else array
    return found


class _Verb:
    """A function of a module as its attribute: it is copied and pickled with the module."""

    def __init__(self, verb: Callable[..., Any], module: nn.Module) -> None:
        self.verb, self.module = verb, module

    def __call__(self, *args: Any, **names: Any) -> Any:
        return self.verb(self.module, *args, **names)


def _digital(layer: AnalogLayer | Crossbar, x: Tensor) -> Tensor:
    """What the digital layer gives."""
    return layer.digital_forward(x)


def _corrected(layer: AnalogLayer | Crossbar, y: Tensor) -> Tensor:
    """An output without bias after the correction that tuning found; the layer applies it by itself."""
    gain, shift = transform(layer)
    return gain * y + shift


def _use_digital(model: nn.Module, on: bool) -> None:
    """Let all patched layers compute digitally, or on their chip again."""
    for layer in _layers(model).values():
        if on:
            layer.__dict__["forward"] = layer.digital_forward
        else:
            layer.__dict__.pop("forward", None)


def _tune(
    model: nn.Module, tune_kwargs: dict[Any, dict[str, Any]] | None = None, *, seed: int | None = None
) -> None:
    """Tune all patched layers.

    Args:
        model: the patched network.
        tune_kwargs: arguments of ``naive_tune`` by layer class (``torch.nn.Linear``) or its name.
        seed: of the inputs; None to draw one by torch's global generator.
    """
    chosen = {_name(kind): kwargs for kind, kwargs in (tune_kwargs or {}).items()}
    layers = _layers(model)
    names = {path: type(layer).__name__.removeprefix("Analog") for path, layer in layers.items()}
    for name, kwargs in chosen.items():
        if name not in names.values():
            raise ValueError("tune_kwargs: " + unknown_key(name, sorted(set(names.values())), "the network"))
        for argument in kwargs:
            if argument not in _TUNE:
                raise TypeError(unknown_key(argument, list(_TUNE), "naive_tune"))
    seed = fresh_seed() if seed is None else seed
    for path, layer in layers.items():
        naive_tune(layer, **chosen.get(names[path], {}), seed=seed)


def _name(kind: Any) -> str:
    """``Linear`` for ``torch.nn.Linear``, its name, or ``str`` of one of MemTorch's layer classes."""
    name = kind.__name__ if isinstance(kind, type) else re.findall(r"\w+", str(kind))[-1]
    return str(name).removeprefix("Analog")


class Patched(AnalogLayer):
    """A patched layer.

    ``mn.Linear(layer, memristor_model, memristor_model_params, ...)`` is :func:`patch_model` of one layer.

    Args:
        args: the layer of torch, the class of the memristor, its parameters; the rest by name.
        options: as of :func:`patch_model`.
    """

    def __new__(cls, *args: Any, **options: Any) -> Any:
        """A layer of torch, patched; without arguments an empty one, for copies."""
        if not args and not options:
            return super().__new__(cls)
        base: Any = next(kind for kind in cls.__mro__ if kind.__module__.startswith("torch.nn"))
        if len(args) != 3 or not isinstance(args[0], base):
            raise TypeError(
                f"{cls.__name__}(...): give a torch.nn.{base.__name__}, memristor_model and "
                "memristor_model_params; all else by name"
            )
        return patch_model(*args, [base], **{"verbose": False, **options})

    def __init__(self, *args: Any, **options: Any) -> None:
        """``__new__`` made it."""

    @property
    def crossbars(self) -> list[Cells]:
        """The arrays of the layer: of each matrix the positive and the negative one, or a single one."""
        return crossbars_of(self)


class Linear(Patched, analog.AnalogLinear):
    """``torch.nn.Linear``, patched."""


class Conv1d(Patched, analog.AnalogConv1d):
    """``torch.nn.Conv1d``, patched."""


class Conv2d(Patched, analog.AnalogConv2d):
    """``torch.nn.Conv2d``, patched."""


class Conv3d(Patched, analog.AnalogConv3d):
    """``torch.nn.Conv3d``, patched."""


class RNN(Patched, analog.AnalogRNN):
    """``torch.nn.RNN``, patched."""


_NAMED: dict[type[nn.Module], type[nn.Module]] = {
    kind.__bases__[1]: kind for kind in (Linear, Conv1d, Conv2d, Conv3d, RNN)
}

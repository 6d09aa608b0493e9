"""The verbs on whole models: program, age, degrade, compensate, read out (``mho.calibration`` has its own).

>>> import mho, torch
>>> model = torch.nn.Sequential(torch.nn.Linear(8, 4))
>>> analog = mho.convert(model, mho.Hardware(device=mho.devices.PCM()))
>>> mho.program(analog, seed=0)
>>> mho.age(analog, 86_400)
>>> mho.compensate(analog)
>>> analog.eval()(torch.ones(1, 8)).shape
torch.Size([1, 4])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from mho.array import Array
from mho.calibration.batches import run_all
from mho.chip import tile
from mho.config.temperatures import seconds_of, temperatures
from mho.devices import Effect, Ideal
from mho.devices.effects.temperature import kept_at
from mho.hardware import Hardware
from mho.nn import Crossbar, crossbars
from mho.nn.crossbar import plain
from mho.nn.each import each_layer
from mho.periphery import Compensation, GlobalDrift
from mho.random import fork, fresh_normal_like


def program(model: nn.Module, seed: int, lean: bool = False) -> None:
    """Program one chip: every array of the model, from the present weights.

    The cells are brought to their targets as ``hardware.programming`` says; ``mho.programming_report`` tells
    what it took. The draws are frozen, saved in ``state_dict`` and repeated bit for bit by the same seed,
    whatever else is in the model. Ages and corrections of an earlier chip are gone. Layers of large models
    are programmed at the same time, in as many threads as torch has.

    A lean chip is the same chip in less memory: it keeps its seed and what cannot be drawn again, and no
    conductances. ``age``, ``compensate`` and loading draw its cells from the weights once more, so they take
    longer; a read takes as long as ever. The weights have to stay as they were programmed. What makes cells
    others than those drawn (``degrade``, pulses, a temperature of ``age``) makes the chip a whole one.

    Args:
        model: what ``mho.convert`` made.
        seed: names the chip; two seeds are two chips.
        lean: keep the seed instead of the conductances (``docs/large-chips.md``).

    Raises:
        TypeError: ``seed`` is no integer.
        ValueError: no analog layer, or a weight is NaN or infinite (then no layer is programmed).

    >>> import mho, torch
    >>> analog = mho.convert(torch.nn.Linear(64, 64), mho.Hardware(device=mho.devices.PCM()))
    >>> mho.program(analog, seed=0)
    >>> whole = mho.conductances(analog)[""]
    >>> mho.program(analog, seed=0, lean=True)
    >>> bool(torch.equal(mho.conductances(analog)[""], whole))
    True
    """
    layers = crossbars(model)
    fork(seed)  # an integer, or TypeError
    for path, layer in layers.items():
        tile.check_finite(layer.present_weight(), path)
    how = {"lean": True} if lean else {}  # layers of one's own may know no lean chips
    each_layer(layers, lambda path, layer: layer.program(seed, path, **how), lean)


def age(
    model: nn.Module, seconds: float | str, kelvin: float | Sequence[tuple[float | str, float]] | None = None
) -> None:
    """Let the chip drift to ``seconds`` after programming.

    The time is absolute: any order of calls gives the same chip at the same time. Corrections made by
    ``compensate`` at another time are undone.

    Args:
        model: a programmed model.
        seconds: time since the end of programming, in seconds or as people write it: ``"30d"``, ``"1y"`` of
            365 days.
        kelvin: temperature at which the chip was kept since programming and is read now; or what it went
            through, ``[("1000h", 398.0), ("9y", 328.0)]``, each time with its temperature, ``seconds`` in
            all; it is read at the last one. It goes into the hardware description and stays for later calls;
            None leaves what that says. What heat does is said by the device: ``mho.devices.Accelerated``,
            ``Drifting``, ``Temperature``, ``ThermalNoise`` and others.

    Raises:
        NotProgrammedError: no chip.
        TypeError: no time.
        ValueError: a negative time, or one at which the device is not known; a temperature for a device that
            says nothing of heat.

    >>> import mho, torch
    >>> device = mho.devices.Accelerated(activation=0.6, device=mho.devices.PCM())
    >>> analog = mho.convert(torch.nn.Linear(8, 4), mho.Hardware(device=device))
    >>> mho.program(analog, seed=0)
    >>> mho.age(analog, "1y", kelvin=358.15)
    """
    time = seconds_of("seconds", seconds)
    layers = crossbars(model)
    for layer in layers.values():
        layer.outline("age")
    heated = {} if kelvin is None else _heated(layers, *temperatures(time, kelvin))
    for path, layer in layers.items():
        heated.get(path, layer.hardware).device.check_time(time)
    for layer in layers.values():
        layer.check_chip()

    def to_time(path: str, layer: Crossbar) -> None:
        chip = layer.require_chip("age") if path in heated else layer.outline("age")
        with plain():
            if path in heated:
                layer.hardware = heated[path]
                chip = tile.described(layer.hardware, chip)
            layer.set_chip(tile.age(layer.hardware, chip, time))

    each_layer(layers, to_time, any(layer.is_lean for layer in layers.values()))


def _heated(
    layers: dict[str, Crossbar], kelvin: float, past: tuple[tuple[float, float], ...]
) -> dict[str, Hardware]:
    """The descriptions of arrays in a chip of this temperature."""
    return {
        path: replace(layer.hardware, device=kept_at(layer.hardware.device, kelvin, past))
        for path, layer in layers.items()
    }


def degrade(
    model: nn.Module,
    *effects: Effect | Array,
    seed: int,
    select: Callable[[str], bool] | None = None,
) -> None:
    """Let effects befall the cells: faults, finite states, wear, loss, noise, a bent current-voltage curve.

    Each effect goes around the device that a layer has, the first one innermost, also in its hardware
    description. A programmed chip keeps what it was programmed to, its drift, its age and its earlier
    effects; it becomes the chip that ``mho.program`` with this seed makes from the new description, also in
    what ``compensate`` remembers of it: the reference read just after programming. An
    array that is not programmed yet gets its draws at ``mho.program``, from the seed given there.

    Cells without Ohm's law are an array: ``mho.array.Nonlinear``, ``Simulated`` or ``Swept`` takes the place
    of the ideal wires of the hardware description. Conductances stay as they are; they are those at the read
    voltage, so that full-scale inputs give what they gave. Ranges of converters stay too: ``mho.calibrate``
    again where the smaller currents of smaller inputs matter.

    Args:
        model: what ``mho.convert`` made.
        effects: one or more, without a device of their own, such as ``mho.devices.StuckAt(lrs=0.1)``; and one
            array of cells without Ohm's law.
        seed: names the draws of the effects.
        select: which arrays, by path; all by default.

    Raises:
        TypeError: something that is no effect, or a seed that is no integer.
        ValueError: no effect, an effect with a device of its own, an effect that does not go around a
            layer's device, or no array selected; cells without Ohm's law where wires have resistance, where
            cells have a law already, or without a DAC; an effect with which the device is not known at the
            age of the chip. Then the model is as it was.

    >>> import mho, torch
    >>> analog = mho.convert(torch.nn.Linear(8, 4), mho.Hardware(device=mho.devices.PCM()))
    >>> mho.program(analog, seed=0)
    >>> mho.degrade(analog, mho.devices.StuckAt(lrs=0.1), seed=1)
    >>> mho.degrade(analog, mho.devices.StuckAt(hrs=0.1), seed=2)  # the first ones stay stuck
    >>> dac = mho.DAC(bits=8, range=mho.converters.Fixed(limit=1.0))
    >>> ohmic = mho.convert(torch.nn.Linear(8, 4), mho.Hardware(dac=dac))
    >>> mho.program(ohmic, seed=0)
    >>> mho.degrade(ohmic, mho.array.Nonlinear(law=mho.array.Sinh(v_c=0.1)), seed=0)
    """
    befalling, law = _sorted(effects)
    fork(seed)  # an integer, or TypeError
    layers = {path: layer for path, layer in crossbars(model).items() if select is None or select(path)}
    if not layers:
        raise ValueError("select chose no array; the paths are those of mho.conductances(model)")
    for layer in layers.values():
        if layer.is_programmed:
            layer.check_chip()
    with plain():
        made = {
            path: tile.degraded(layer.hardware, layer.chip, layer.layout, befalling, law, seed, path)
            for path, layer in layers.items()
        }
    for hardware, chip in made.values():
        if chip is not None:
            hardware.device.check_time(float(chip.seconds))
    for path, (hardware, chip) in made.items():
        layers[path].hardware = hardware
        if chip is not None:
            layers[path].set_chip(chip)


def _sorted(effects: tuple[Effect | Array, ...]) -> tuple[list[Effect], Array | None]:
    """Effects, and an array of cells without Ohm's law.

    Two stages are given in one list, and their classes tell them apart.
    """
    if not effects:
        raise ValueError("no effect: give at least one, such as mho.devices.StuckAt(lrs=0.1)")
    laws = [effect for effect in effects if isinstance(effect, Array) and effect.voltages]
    if len(laws) > 1:
        raise ValueError(
            f"effects = {effects!r}: cells have one current-voltage law; give one of these arrays"
        )
    befalling = []
    for effect in effects:
        if effect in laws:
            continue
        if not isinstance(effect, Effect):
            raise TypeError(
                f"{effect!r} is no effect: give one such as mho.devices.StuckAt(lrs=0.1), or cells without "
                "Ohm's law, such as mho.array.Nonlinear(law=mho.array.Sinh(v_c=0.1))"
            )
        if effect.device != Ideal():
            raise ValueError(
                f"{type(effect).__name__}.device = {effect.device!r}: the effect goes around the device that "
                "each layer has; leave it out, and give several effects one after the other"
            )
        befalling.append(effect)
    return befalling, laws[0] if laws else None


def compensate(
    model: nn.Module, method: Compensation | None = None, data: Iterable[Any] | None = None
) -> None:
    """Correct the chip's drift from reads of its arrays, at its present age.

    What a read gives now is compared with the *baseline*, what the array read just after programming, as it
    was then: at the temperature at which it was programmed, with its errors of programming, and with stuck
    and worn cells, finite states and wires, which were there already. So drift, lost retention, disturbance
    by reads and another temperature are corrected, whether an effect was in the description or came with
    ``degrade``; faults of fabrication are not: ``Affine()`` measures what they do to the outputs.

    Args:
        model: a programmed model.
        method: what is measured and corrected; ``mho.periphery.GlobalDrift()`` by default: one noisy
            read of each row of each array, and one gain for each layer. ``ColumnDrift()`` gives each
            column its own gain; ``Affine()`` a gain and a shift, fitted on ``data``, on top of what
            an earlier call measured; ``KnownDrift(nu=...)`` the exact inverse of a drift that is known, which
            no circuit has. Where ``Affine()`` gives much signal back (IR drop), later inputs grow:
            ``mho.calibrate`` again, or they clip.
        data: batches for ``Affine()``, as for ``mho.calibrate``.

    Raises:
        NotProgrammedError: no chip.
        ValueError: ``Affine()`` without data.
    """
    method = GlobalDrift() if method is None else method
    if not isinstance(method, Compensation):
        raise TypeError(f"method = {method!r}: give a mho.periphery.Compensation, such as GlobalDrift()")
    if method.needs_data != (data is not None):
        state = "needs data: compensate(model, method, data=loader)" if method.needs_data else "takes no data"
        raise ValueError(f"{type(method).__name__}() {state}")
    layers = crossbars(model)
    for layer in layers.values():
        layer.outline("compensate")
    for layer in layers.values():
        layer.check_chip()
    if data is not None:
        _fit_outputs(model, layers, data, method)
        return

    def correct(path: str, layer: Crossbar) -> None:
        with plain():
            chip = layer.outline("compensate")
            if method.needs_age:
                made = tile.compensated_by_age(chip, method)
            else:
                drawn = layer.drawn()
                eps = fresh_normal_like(chip.g if drawn is None else drawn.like())
                reference = tile.reference_read(layer.hardware, chip, layer.layout, eps, drawn)
                made = tile.compensated(chip, reference, method)
            layer.correct(made.gain, made.shift)

    for path, layer in layers.items():  # one after the other: the noise of reads is of one stream
        each_layer({path: layer}, correct, layer.is_lean)


def _fit_outputs(
    model: nn.Module, layers: dict[str, Crossbar], data: Iterable[Any], method: Compensation
) -> None:
    """Fit each layer's columns to its own digital output, on the inputs that it gets in the model.

    The digital bias is left out of the fit: the array never saw it.
    """
    fits = {path: method.from_outputs(f"the layer {path!r}" if path else "the layer") for path in layers}
    reached, handles = set(), []
    for path, layer in layers.items():

        def record(_: nn.Module, given: tuple[Any, ...], output: Tensor, path: str = path) -> None:
            layer = layers[path]
            wanted = layer.digital_forward(given[0])
            held = layer.digital_bias
            bias = 0.0 if held is None else held.detach().double()
            axis = layer.layout.output_axis
            lines = (y.detach().movedim(axis, -1) for y in (output, wanted))
            columns = (y.reshape(-1, y.shape[-1]) for y in lines)
            fits[path].add(*(y.double() - bias for y in columns))
            reached.add(path)

        handles.append(layer.register_forward_hook(record))
    try:
        run_all(model, data)
    finally:
        for handle in handles:
            handle.remove()
    found = {path: fit.solve() for path, fit in fits.items() if path in reached}  # others did not run
    for path, line in found.items():
        chip = layers[path].outline("compensate")
        with plain():
            gain, shift = (v.to(chip.gain) for v in line)
            layers[path].correct(chip.gain * gain, gain * chip.shift + shift)


def conductances(model: nn.Module) -> dict[str, Tensor]:
    """Conductances of every array at its present age, siemens, ``[copy, group, row, column]`` by path.

    Raises:
        NotProgrammedError: no chip.
    """
    with plain():
        return {
            path: tile.conductances(layer.hardware, layer.require_chip("conductances"))
            for path, layer in crossbars(model).items()
        }


def effective_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights that every array holds now, in the shape of its ``.weight``, by path.

    Programming error, drift and the compensation gain are in; read noise never.

    Raises:
        NotProgrammedError: no chip.
    """
    return {path: layer.effective_weight() for path, layer in crossbars(model).items()}


def train_on_chip(model: nn.Module, on: bool = True) -> None:
    """Let training mode multiply by the chip: in-the-loop training.

    The gradient goes back through the programmed, aged weights, and straight through to the Parameters.

    Raises:
        NotProgrammedError: no chip.
    """
    for layer in crossbars(model).values():
        if on:
            layer.outline("train_on_chip")
        layer.on_chip = on

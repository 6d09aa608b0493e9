"""What all analog layers share: one Parameter, one chip in buffers, one rule of what is computed.

What a layer computes:

- ``train()``: the clean Parameter plus the training modifiers, never the chip, unless
  ``mho.train_on_chip`` said so. Converters without a range yet are left out.
- ``eval()``: the programmed chip; before programming, the mapped targets through the converters.

Gradients go back through the matrix that was used, and straight through to the Parameter.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mho import tile
from mho.autograd import in_transform, learns
from mho.converters import DAC, ColumnConverter
from mho.cut import Cut, Limit, Lines, Read
from mho.damage import Rules, chip_entries, damage, range_damage, refuse, rules
from mho.errors import (
    ChipNotUsedWarning,
    NotCalibratedError,
    NotMappableError,
    NotProgrammedError,
    StaleChipWarning,
)
from mho.hardware import Hardware
from mho.nn.bias import BiasRows, check_bias_rows
from mho.nn.changes import sight
from mho.nn.computed import buffers_of, compute, parameters_of
from mho.nn.fingerprint import fingerprint
from mho.nn.kept import kept_limits
from mho.nn.loading import carry_over
from mho.nn.observer import Observer
from mho.nn.unprogrammed import Notice
from mho.programming import Summary
from mho.tile import TileState

CHIP = tuple(f"chip_{name}" for name in TileState._fields)
RANGES = ("input_range", "output_range")
SAVED = (*CHIP, "chip_weights", *RANGES)
_PLACE = {name: place for place, name in enumerate(SAVED)}
_WEIGHTS = ("chip_weights",)
_ACTING = (
    "chip_g",
    "chip_cells",
    "chip_scale",
    "chip_seconds",
    "chip_gain",
    "chip_converters",
    "chip_drivers",
)
"""What is packed: each comparison costs a graph its microseconds, and the shift is read as it is."""
_WEIGHT, _BOTH = ("weight",), ("weight", "bias")
_STEPS = ("packed_into", "packed_middle", "packed_scale")
_LINES = tuple(f"packed_line_{name}" for name in Lines._fields)
_PACKED = (
    "packed_kernel", "packed_variance", "packed_out", "packed_ones", "packed_levels", "packed_constant",
    "packed_bias", "packed_bias_variance", "packed_shot", "packed_bias_shot", "packed_thermal",
    *_LINES, *_STEPS,
)  # fmt: skip


class AnalogLayer(BiasRows):
    """Mixin of the analog layers; comes before the torch layer in the bases.

    Attributes:
        hardware: the description of the layer's arrays.
        bias_rows: rows of the array that hold the bias (see :class:`~mho.nn.bias.BiasRows`).
        cut: how the layer lies in tiles.
        path: the layer's path in its model, for messages.
        on_chip: whether training mode multiplies by the chip.
        modifiers: what training does to the weights, in order (see ``mho.training``).
        written: what the last programming took; None for a single shot, or if the chip was loaded.
        notice: says once that the model is evaluated without a chip.
    """

    ARRAY_ATTRIBUTES = (
        "hardware", "bias_rows", "cut", "path", "on_chip", "modifiers", "written", "notice",
        "_observer", "_rules", "_packed_from", "_seen", "_versions",
    )  # fmt: skip

    hardware: Hardware
    cut: Cut
    path: str
    on_chip: bool
    weight: Any  # the torch layer's own; Parameter, or a tensor computed by a parametrisation
    chip_g: Any  # the buffers: a tensor or None
    chip_shift: Any
    chip_weights: Any
    packed_kernel: Any
    packed_variance: Any
    packed_out: Any
    packed_ones: Any
    packed_levels: Any
    packed_constant: Any
    packed_bias: Any
    packed_bias_variance: Any
    packed_shot: Any
    packed_bias_shot: Any
    packed_line_currents: Any
    packed_thermal: Any
    packed_into: Any
    packed_middle: Any
    packed_scale: Any
    tile_index: Any
    training_step: Any
    input_range: Any
    output_range: Any

    # --- what a layer type brings ---------------------------------------------------------------

    def matrix(self, weight: Tensor) -> Tensor:
        """``weight`` (the Parameter's shape) as ``[group, row, column]``."""
        raise NotImplementedError

    def from_matrix(self, matrix: Tensor) -> Tensor:
        """``[group, row, column]`` in the shape of the Parameter."""
        raise NotImplementedError

    def make_cut(self) -> Cut:
        """The layer's cut for its hardware."""
        raise NotImplementedError

    output_axis = -1
    """Axis of the output columns in the layer's output."""

    def digital_forward(self, x: Tensor) -> Tensor:
        """What the digital layer gives for ``x``."""
        raise NotImplementedError

    # --- construction ----------------------------------------------------------------------------

    def setup(self, hardware: Hardware, bias_rows: int = 0) -> None:
        """Give a layer that has its Parameters an array, not programmed yet.

        Args:
            hardware: the description of the array.
            bias_rows: rows that hold the bias; without a bias there are none.
        """
        if not isinstance(hardware, Hardware):
            raise TypeError(f"hardware = {hardware!r}: give a mho.Hardware")
        if self.weight.numel() == 0:
            raise NotMappableError(
                f"weight has shape {tuple(self.weight.shape)}: an array needs a row and a column at least, "
                "leave such a layer digital"
            )
        if self.weight.is_complex():
            raise NotMappableError(
                f"weight has dtype {self.weight.dtype}: cells hold real numbers; use a layer for the real "
                "part and one of the imaginary part, or leave such a layer digital"
            )
        self.hardware = hardware
        self.bias_rows = check_bias_rows(bias_rows) if self.bias is not None else 0
        self.cut = self.make_cut()
        if self.cut.bias_rows != self.bias_rows:
            raise NotMappableError(
                f"bias_rows = {bias_rows!r}: make_cut of {type(self).__name__} has no rows for a bias; give 0"
            )
        self.path = ""
        self.on_chip = False
        self.modifiers: tuple[Any, ...] = ()
        self.written: Summary | None = None
        self._observer: Observer | None = None
        self._packed_from: list[Tensor | None] = [None] * (len(SAVED) + 1)
        self.notice = Notice(type(self).__name__)
        self._rules: Rules | None = None
        self._seen: tuple[tuple[int, ...], ...] = ()
        self._versions: tuple[int, ...] = ()
        for name in (*CHIP, "chip_weights"):
            self.register_buffer(name, None)
        for name in _PACKED:
            self.register_buffer(name, None, persistent=False)
        self.register_buffer("training_step", None)
        place, order = self.weight.device, self.cut.input_index()
        index = None if order is None else torch.tensor(order, device=place)
        self.register_buffer("tile_index", index, False)
        for name in RANGES:
            kept = kept_limits(hardware, self.cut, name)
            if kept is not None and kept.requires_grad:
                self.register_parameter(name, nn.Parameter(kept.detach().to(place)))
            else:
                self.register_buffer(name, None if kept is None else kept.to(place))

    # --- the chip --------------------------------------------------------------------------------

    @property
    def chip(self) -> TileState | None:
        """The programmed chip, or None."""
        if self.chip_g is None:
            return None
        return TileState(*(getattr(self, name) for name in CHIP))

    def require_chip(self, verb: str) -> TileState:
        """The chip, or ``NotProgrammedError`` naming the verb that needs one."""
        chip = self.chip
        if chip is None:
            raise NotProgrammedError(
                f"{verb} needs a programmed chip, and {self.path or 'this layer'!r} has none: "
                "call mho.program(model, seed=0) first"
            )
        return chip

    def set_chip(self, chip: TileState) -> None:
        """Take a chip and pack it; ``chip_weights`` is left alone.

        Raises:
            DamagedChipError: an entry can be that of no chip of this layer; then it keeps the one it has.
        """
        self._check_ranges()
        self._check_state(chip)
        for name, value in zip(CHIP, chip, strict=True):
            setattr(self, name, value)
        self._pack(chip)

    def correct(self, gain: Tensor, shift: Tensor) -> None:
        """Take other digital corrections ``[column]``; what is packed of the array stays, if it can."""
        chip = self.require_chip("compensate")._replace(gain=gain, shift=shift)
        refuse(self._damage({"gain": gain, "shift": shift}), self.path)
        ours = self._own(CHIP) and self._packed_from[-1] is self.packed_kernel
        if not (ours and tile.is_tiled(self.hardware) and self._versions == self._present_versions()):
            self.set_chip(chip)
            return
        self.chip_gain, self.chip_shift = gain, shift
        with plain():
            self.packed_out = tile.column_factors(chip).flatten()
        self._prepare()

    def stored_weight(self) -> Tensor:
        """The tensor that holds the weights: the Parameter, also where ``weight`` is a part of it.

        Where ``weight`` is computed (a parametrised or pruned layer), its present value.
        """
        stored = self._parameters.get("weight")
        return compute(self) if stored is None else stored

    def present_weight(self) -> Tensor:
        """The weights as they are now, computed anew where they are computed, without gradient."""
        return compute(self)

    def _present(self) -> Tensor:
        """What lies on the array once it is programmed."""
        bias = self.present_bias() if self.bias_rows else None
        return self.logical(_wide(self.present_weight()), bias)

    def _sources(self) -> list[nn.Parameter]:
        """The Parameters that make what lies on the array."""
        return parameters_of(self, _BOTH if self.bias_rows else _WEIGHT)

    def _sight(self) -> tuple[tuple[int, ...], ...]:
        """What can be known of them without reading them; it changes when they may have changed."""
        return tuple(map(sight, (*self._sources(), *self._masks())))

    def _masks(self) -> list[Tensor]:
        """The buffers that the weights are computed with."""
        return buffers_of(self, _BOTH if self.bias_rows else _WEIGHT)

    def _fingerprint(self) -> Tensor:
        """Of the weights, and of the bias where it lies on the array."""
        found = fingerprint(self.present_weight())
        bias = self.present_bias() if self.bias_rows else None
        return found if bias is None else fingerprint(torch.stack([found, fingerprint(bias)]))

    def wide_weight(self) -> Tensor:
        """The Parameter, at least in float32."""
        return _wide(self.weight)

    def set_range(self, name: str, value: Tensor) -> None:
        """Set the full scale of a converter, ``"input_range"`` or ``"output_range"``."""
        here = getattr(self, name)
        value = value.to(self.weight.device, torch.float32)
        refuse(range_damage(self.hardware, self.cut, name, value), self.path)
        if isinstance(here, nn.Parameter):
            here.data.copy_(value)
        else:
            setattr(self, name, value)
        if self.chip_g is not None:
            self._prepare()

    def program(self, seed: int, path: str) -> None:
        """Program one chip from the present weights."""
        with plain():
            chip, self.written = tile.write(self.hardware, self._present(), self.cut, seed, path)
            self.set_chip(chip)
            self._mark_fresh()

    def repack(self) -> None:
        """Rebuild what products need; to be called when the chip changed.

        Raises:
            DamagedChipError: an entry can be that of no chip of this layer.
        """
        chip = self.chip
        if chip is None:
            return
        self._check_ranges()
        self._check_state(chip)
        self._pack(chip)

    def _pack(self, chip: TileState) -> None:
        with plain():
            read = tile.pack(self.hardware, chip, self.cut)
        values = (
            read.kernel, read.variance, read.out, read.ones, read.levels, read.constant,
            read.bias, read.bias_variance, read.shot, read.bias_shot, read.thermal,
            *(read.lines or (None,) * len(_LINES)),
        )  # fmt: skip
        for name, value in zip(_PACKED, values, strict=False):
            setattr(self, name, value)
        self._prepare()

    def _prepare(self) -> None:
        """Make the constant factors of a read by this chip with these ranges."""
        dac, adc = self.hardware.dac, self.hardware.adc
        with plain():
            given, wanted = (
                _single(converter, getattr(self, name))
                for converter, name in zip((dac, adc), RANGES, strict=True)
            )
            read = tile.prepared(self.hardware, self._packed(), (given, wanted))
        for name, value in zip(_STEPS, read.steps or (None, None, None), strict=True):
            setattr(self, name, value)
        self._sync()

    def _packed(self) -> Read:
        return Read(
            kernel=self.packed_kernel,
            variance=self.packed_variance,
            out=self.packed_out,
            shift=self.chip_shift,
            ones=self.packed_ones,
            levels=self.packed_levels,
            constant=self.packed_constant,
            bias=self.packed_bias,
            bias_variance=self.packed_bias_variance,
            shot=self.packed_shot,
            bias_shot=self.packed_bias_shot,
            thermal=self.packed_thermal,
            lines=None if self.packed_line_currents is None else Lines(*(getattr(self, k) for k in _LINES)),
        )

    def _sync(self) -> None:
        """These very packed tensors belong to these very entries and ranges."""
        self._packed_from[:] = [*self._saved(), self.packed_kernel]
        self._versions = self._present_versions()

    def _saved(self) -> list[Tensor | None]:
        """The entries of the chip and the ranges, as they are held now."""
        buffers, parameters = self._buffers, self._parameters  # learned ranges are Parameters
        return [buffers[name] if name in buffers else parameters[name] for name in SAVED]

    def _present_versions(self) -> tuple[int, ...]:
        own = self._saved()
        own[len(CHIP)] = None  # the fingerprint is read where it is needed
        return tuple(-1 if t is None or t.is_inference() else t._version for t in own)

    def _mark_fresh(self) -> None:
        self.chip_weights = self._fingerprint()
        self._packed_from[len(CHIP)] = self.chip_weights
        self._seen = self._sight()

    def _check_state(self, chip: TileState) -> None:
        """Raise ``DamagedChipError`` unless each entry can be that of a chip of this layer."""
        refuse(self._damage(chip._asdict()), self.path)

    def _check_ranges(self) -> None:
        """Raise ``DamagedChipError`` unless the full scales are numbers above zero."""
        for name in RANGES:
            value = getattr(self, name)
            if value is not None and not torch.compiler.is_compiling():
                refuse(range_damage(self.hardware, self.cut, name, value), self.path)

    def _damage(self, entries: dict[str, Tensor | None]) -> str | None:
        """What is wrong with entries of a chip of this layer, in words."""
        if self._rules is None or self._rules.hardware is not self.hardware:
            # of its shape alone: the weight may be sharded
            groups, rows, columns = self.matrix(torch.empty(self.weight.shape, device="meta")).shape
            self._rules = rules(self.hardware, self.cut, (groups, rows + self.bias_rows, columns))
        return damage(self._rules, entries)

    def array_state(self) -> set[str]:
        """Names of the buffers and Parameters that the array adds to the torch layer."""
        recipe = {name for name in self._buffers if name.startswith("training_")}
        return {*CHIP, "chip_weights", *_PACKED, "tile_index", *recipe, *RANGES}

    def effective_weight(self) -> Tensor:
        """The weights that the chip holds now, in the Parameter's shape; read noise never."""
        with plain():
            chip = self.require_chip("effective_weight")
            matrix = tile.effective_weight(self.hardware, chip, self.cut)
            return self.from_matrix(matrix[:, : matrix.shape[1] - self.bias_rows])

    def effective_bias(self) -> Tensor | None:
        """The bias that the bias rows of the chip hold now, gain included; None if it is digital."""
        if not self.bias_rows:
            return None
        with plain():
            chip = self.require_chip("effective_bias")
            matrix = tile.effective_weight(self.hardware, chip, self.cut)
            return matrix[..., -self.bias_rows :, :].sum(-2).flatten()

    def is_stale(self) -> bool:
        """Whether the weights changed since the chip was programmed, in whatever way: it reads them all.

        So do :meth:`eval` and the verbs that act on a chip, which warn. A forward in evaluation looks
        without reading: it sees changes that torch counts, steps of optimizers and assignments to
        ``.data``, and misses changes in place through an alias, such as ``weight.data.add_(1)``.
        """
        if self.chip_g is None or self.chip_weights is None:
            return False
        return bool(self._fingerprint() != self.chip_weights)

    def check_chip(self) -> None:
        """Warn (``StaleChipWarning``) if the chip no longer holds the weights."""
        self._seen = self._sight()
        if self.is_stale():
            self._warn_stale()

    def _warn_stale(self) -> None:
        warnings.warn(
            f"the weights of {self.path or 'this layer'!r} changed after programming: the chip still "
            "holds the old ones; call mho.program again",
            StaleChipWarning,
            stacklevel=4,
        )

    # --- the forward pass ------------------------------------------------------------------------

    def read(self) -> Read:
        """The matrix that this forward multiplies by."""
        if self.training and not self.on_chip:
            self._notice_evaluation()
            for modifier in self.modifiers:
                modifier.constrain(self)
            weight = clean = self.wide_weight()
            for modifier in self.modifiers:
                weight = modifier.modify(weight, self)
            read = tile.training_read(self.hardware, self.logical(weight), self.logical(clean), self.cut)
        else:
            read = self._evaluation_read()
            if self._learns():
                read = tile.with_gradient(self.hardware, read, self.logical(self.wide_weight()), self.cut)
        return read.changed(inputs=self.tile_index)

    def _evaluation_read(self) -> Read:
        if self.chip_g is None:
            if self.training:
                self.require_chip("train_on_chip")
            if torch.compiler.is_compiling():
                self.notice.traced(self.path, self.hardware)
            elif self._observer is None:
                self.notice.evaluated(self.path, self.hardware)
            return tile.ideal_read(self.hardware, self.logical(self.wide_weight()), self.cut)
        compiling = torch.compiler.is_compiling()
        own = self._own(_ACTING if compiling else CHIP)
        alone = self._packed_from[-1] is self.packed_kernel  # nothing packed was given with the entries
        own_ranges = self._own(RANGES)
        if not (compiling or in_transform()) and not (own_ranges and self._own(_WEIGHTS)):
            self._notice_given()
        if not own:  # torch.func.functional_call gave entries of another chip
            if alone:
                return tile.pack(self.hardware, self.require_chip("forward"), self.cut, self._check_state)
        elif not compiling:
            self._notice_changes()
        read = self._packed()
        if self.packed_into is None or (alone and not own_ranges):
            return read
        return read.changed(steps=(self.packed_into, self.packed_middle, self.packed_scale))

    def _own(self, names: tuple[str, ...]) -> bool:
        """Whether these entries and ranges are the ones that were packed, whatever their values."""
        held, learned, packed = self._buffers, self._parameters, self._packed_from
        return all((held[name] if name in held else learned[name]) is packed[_PLACE[name]] for name in names)

    def _notice_given(self) -> None:
        """Checks of what ``functional_call`` gave beside the entries that are packed."""
        self._check_ranges()
        if not self._own(_WEIGHTS) and self.is_stale():
            self._warn_stale()

    def _learns(self) -> bool:
        """Whether something on the array wants a gradient."""
        return learns(self.weight, self.bias) if self.bias_rows else learns(self.weight)

    def _notice_evaluation(self) -> None:
        """Training mode without gradients, with a chip: most likely ``eval()`` was forgotten."""
        if self.chip_g is None or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return
        warnings.warn(
            f"{self.path or 'this layer'!r} holds a chip, but the model is in training mode, which uses "
            "the clean weights: call model.eval() to use the chip, or mho.train_on_chip(model)",
            ChipNotUsedWarning,
            stacklevel=6,
        )

    def _notice_changes(self) -> None:
        """Cheap checks before an eager read: were the weights or the conductances changed in place?"""
        if self._seen != self._sight() and all(isinstance(p, nn.Parameter) for p in self._sources()):
            self.check_chip()  # others are what torch.func gave
        if self._versions != self._present_versions():
            self.repack()

    def analog(self, x: Tensor) -> Tensor:
        """The layer's product for the input ``x``, with the bias."""
        if self._observer is not None:
            return self._observe(x, self._observer)
        y = self.product(self.read(), x)
        self.count_step()
        return y

    def product(self, read: Read, x: Tensor) -> Tensor:
        """The product of a matrix that :meth:`read` gave: one forward may use it for several inputs."""
        self._check_input(x)
        if self.training:
            for modifier in self.modifiers:
                x = modifier.modify_input(x, self)
        digital = self.training and not self.on_chip and not tile.is_tiled(self.hardware)
        limits = (
            self._limit(self.hardware.dac, self.input_range, "input_range"),
            self._limit(self.hardware.adc, self.output_range, "output_range"),
        )
        alike = x.dtype == read.kernel.dtype or torch.is_autocast_enabled(x.device.type)
        if digital and limits[0] is None and alike:
            return self._noisy(tile.matvec(self.hardware, read, self.cut, x, self.digital_bias, limits), x)
        wide = read.kernel.dtype
        bias = None if self.bias_rows or self.bias is None else self.bias.to(wide)

        def multiply(limits: tuple[Limit, Limit]) -> Tensor:
            return tile.matvec(self.hardware, read, self.cut, x.to(wide), bias, limits)

        with _no_autocast(x):
            y = self._converted(multiply, limits)
        return self._noisy(y.to(x.dtype), x)

    def _check_input(self, x: Tensor) -> None:
        if not x.is_floating_point():
            raise TypeError(
                f"x has dtype {x.dtype}: {self.path or type(self).__name__!r} takes floating-point numbers; "
                + ("give real and imaginary part apart" if x.is_complex() else "give x.float()")
            )

    def _converted(
        self, multiply: Callable[[tuple[Limit, Limit]], Tensor], limits: tuple[Limit, Limit]
    ) -> Tensor:
        """The product; while a recipe holds the converters back, blended with the one without them."""
        y = multiply(limits)
        if self.training and not self.on_chip:
            for modifier in self.modifiers:
                share = modifier.conversion(self)
                if share is not None:
                    y = torch.lerp(multiply((None, None)), y, share.to(y.dtype))
        return y

    def _noisy(self, y: Tensor, x: Tensor) -> Tensor:
        if self.training:
            for modifier in self.modifiers:
                y = modifier.modify_output(y, x, self)
        return y

    def count_step(self) -> None:
        """Count one training forward, for the ramps of the modifiers."""
        if self.training and self.training_step is not None:
            self.training_step.add_(1)

    def _limit(self, converter: DAC | ColumnConverter | None, stored: Tensor | None, name: str) -> Limit:
        if converter is None:
            return None
        given = converter.range.given()
        if isinstance(given, tuple):  # [channel, tile, column]
            return torch.tensor(given, device=self.weight.device).view(-1, 1, 1)
        limit = stored if given is None else given
        if limit is not None or self.training or converter.ideal:
            return limit
        if converter.range.shape(1, 1) is not None:
            raise NotCalibratedError(
                f"{name} of {self.path or 'this layer'!r} was left to calibration and none was made: call "
                "mho.calibrate(model, loader), or give the converter a Fixed, Learned or Dynamic range"
            )
        return None

    def _observe(self, x: Tensor, observer: Observer) -> Tensor:
        """A forward without converters that records what they would see."""
        self._check_input(x)
        read = tile.at_full_scale(self.hardware, self.read(), self.cut)
        wide = read.kernel.dtype
        v = self.cut.arrange(x.to(wide), self.tile_index)
        observer.add_inputs(self.cut, v)
        if tile.is_tiled(self.hardware):
            limit = (
                self._limit(self.hardware.dac, self.input_range, "input_range") if observer.streamed else None
            )
            observer.add_currents(self.hardware, self.cut, read, v, limit)
        bias = None if self.bias_rows or self.bias is None else self.bias.to(wide)
        return tile.matvec(self.hardware, read, self.cut, x.to(wide), bias, (None, None)).to(x.dtype)

    # --- moves, loading --------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Any:
        """Training mode; entering evaluation checks that the chip holds the weights."""
        if self.training and not mode:
            for modifier in self.modifiers:
                modifier.constrain(self)
        super().train(mode)
        if not mode:
            self.check_chip()
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Moves between devices move the chip; moves between dtypes leave it as it is."""
        fresh = self.chip_g is not None and not self.is_stale()
        known = self._seen == self._sight()
        names = [n for n in (*CHIP, *_PACKED, *RANGES) if getattr(self, n, None) is not None]
        before = {name: getattr(self, name).detach() for name in names}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, value in before.items():
            moved = getattr(self, name)
            if moved.dtype != value.dtype:
                if isinstance(moved, nn.Parameter):
                    moved.data = value.to(moved.device)
                else:
                    setattr(self, name, value.to(moved.device))
        if self.chip_g is not None:
            self._sync()
            if fresh:
                self._mark_fresh()
            elif known:  # a move changes no weight
                self._seen = self._sight()
        return self

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Any, strict: bool,
        missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        """Take the chip of the dict; a dict without one leaves the chip (stale if the weights differ)."""
        given = {name: state_dict[prefix + name] for name in SAVED if prefix + name in state_dict}
        self.refuse_state(state_dict, prefix)
        if not local_metadata.get("assign_to_params_buffers", False):
            carry_over(self, state_dict, prefix, {prefix: self})
        for name, value in given.items():
            here = getattr(self, name, None)
            if here is None or here.shape != value.shape or here.dtype != value.dtype:
                if not isinstance(here, nn.Parameter):
                    setattr(self, name, torch.empty_like(value, device=self.weight.device))
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        absent = {prefix + name for name in SAVED if name not in given}
        missing_keys[:] = [key for key in missing_keys if key not in absent]
        recipe = prefix + "training_"  # of an attached recipe; either side may be without one
        missing_keys[:] = [key for key in missing_keys if not key.startswith(recipe)]
        unexpected_keys[:] = [key for key in unexpected_keys if not key.startswith(recipe)]
        if "chip_g" in given:
            self.written = None
            self.repack()

    def refuse_state(self, state: Mapping[str, Any], prefix: str) -> None:
        """Raise ``DamagedChipError`` unless what a state dict says of this chip can be so; load nothing."""
        given = {name: state[prefix + name] for name in SAVED if prefix + name in state}
        refuse(self._refusal(given), prefix.removesuffix("."))

    def _refusal(self, given: dict[str, Tensor]) -> str | None:
        """Why saved entries are none of a chip of this layer; None if they are, or if there are none."""
        for name in RANGES:
            found = range_damage(self.hardware, self.cut, name, given[name]) if name in given else None
            if found is not None:
                return found
        chip = {name: value for name, value in given.items() if name.startswith("chip_")}
        if not chip:
            return None
        absent = [name for name in (*chip_entries(self.hardware), "chip_weights") if name not in chip]
        if absent:
            return f"a chip is whole or not there, and {', '.join(absent)} is missing: save and load them all"
        return self._damage({name.removeprefix("chip_"): value for name, value in chip.items()})

    def extra_repr(self) -> str:
        """The torch layer's line, and the state of the chip."""
        state = "programmed" if self.chip_g is not None else "not programmed"
        if self.bias_rows:
            state = f"bias_rows={self.bias_rows}, {state}"
        return f"{super().extra_repr()}, device={type(self.hardware.device).__name__}, {state}"


def _single(converter: DAC | ColumnConverter | None, stored: Tensor | None) -> Limit:
    """The one full scale that is known before a value comes, given or kept; None where there is none."""
    given = None if converter is None else converter.range.given()
    if given is None:
        return stored
    return None if isinstance(given, tuple) else given


def _wide(weight: Tensor) -> Tensor:
    return weight if weight.dtype in (torch.float32, torch.float64) else weight.float()


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """No gradients, and ordinary tensors even inside ``torch.inference_mode``."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def _no_autocast(x: Tensor) -> Any:
    if torch.is_autocast_enabled(x.device.type):
        return torch.autocast(x.device.type, enabled=False)
    return contextlib.nullcontext()

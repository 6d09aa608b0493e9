"""The chip of one array: its entries, what is packed of them, and what cannot be one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mho.chip import tile
from mho.chip.damage import Rules, chip_entries, damage, range_damage, refuse, rules
from mho.chip.layout import Layout
from mho.chip.layouts import ArraySize, MatrixLayout
from mho.chip.plan import ReadPlan
from mho.chip.reads import PACKED, Limit, Read, from_entries
from mho.chip.tile import TileState
from mho.converters import DAC, ColumnConverter
from mho.errors import NotMappableError, NotProgrammedError
from mho.hardware import Hardware
from mho.nn.crossbar.saved import unstamped, wrong
from mho.nn.crossbar.source import Part, WeightSource, check_bias_rows
from mho.nn.kept_ranges import kept_limits
from mho.nn.observer import Observer
from mho.nn.unprogrammed import Notice
from mho.programming import Summary

CHIP = tuple(f"chip_{name}" for name in TileState._fields)
RANGES = ("input_range", "output_range")
STAMP = ("chip_format", "chip_checksum")
SAVED = (*CHIP, "chip_weights", *RANGES)
PLACE = {name: place for place, name in enumerate(SAVED)}
PACKED_BUFFERS = tuple(f"packed_{name}" for name in PACKED)

MakeLayout = Callable[[tuple[int, ...], ArraySize], Layout]


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """No gradients, and ordinary tensors even inside ``torch.inference_mode``."""
    with torch.inference_mode(False), torch.no_grad():
        yield


class ChipHolder(WeightSource):
    """An array with its description, its chip in buffers, and what products by the chip need.

    Attributes:
        hardware: the description of the array.
        bias_rows: rows of the array that hold the bias.
        layout: how the matrix lies in tiles.
        make_layout: what made it.
        path: where the layer is in its model, for messages and random streams.
        written: what the last programming took; None for a single shot, or if the chip was loaded.
        notice: says once that the model is evaluated without a chip.
    """

    hardware: Hardware
    chip_g: Any  # the buffers: a tensor or None
    chip_gain: Any
    chip_shift: Any
    chip_weights: Any
    chip_format: Any
    chip_checksum: Any
    packed_kernel: Any
    packed_out: Any
    tile_index: Any
    training_step: Any
    input_range: Any
    output_range: Any

    def __init__(
        self,
        owner: nn.Module,
        weight: str = "weight",
        bias: str | None = None,
        part: Part = None,
        bias_part: Part = None,
        *,
        layout: MakeLayout = MatrixLayout.of,
    ) -> None:
        super().__init__(owner, weight, bias, part, bias_part)
        self.make_layout = layout

    def setup(self, hardware: Hardware, bias_rows: int = 0) -> None:
        """Describe the array, which is not programmed then.

        Args:
            hardware: the description of the array.
            bias_rows: rows that hold the bias; without a bias there are none.
        """
        if not isinstance(hardware, Hardware):
            raise TypeError(f"hardware = {hardware!r}: give a mho.Hardware")
        weight = self.weight
        _check_mappable(weight)
        self.hardware = hardware
        self.bias_rows = check_bias_rows(bias_rows) if self.bias is not None else 0
        size = hardware.tile
        self.layout = self.make_layout(
            tuple(weight.shape),
            ArraySize(size.rows, size.columns, size.full, self.bias_rows),
        )
        if self.layout.bias_rows != self.bias_rows:
            raise NotMappableError(
                f"bias_rows = {bias_rows!r}: the layout of {self.called} has no rows for a bias; give 0"
            )
        self.path = ""
        self.on_chip = False
        self.modifiers: tuple[Any, ...] = ()
        self.written: Summary | None = None
        self.notice = Notice(type(self._owner).__name__)
        self._observer: Observer | None = None
        self._packed_from: list[Tensor | None] = [None] * (len(SAVED) + 1)
        self._plan: ReadPlan | None = None
        self._rules: Rules | None = None
        self._seen: tuple[tuple[int, ...], ...] = ()
        self._versions: tuple[int, ...] = ()
        for name in (*CHIP, "chip_weights", *STAMP):
            self.register_buffer(name, None)
        for name in PACKED_BUFFERS:
            self.register_buffer(name, None, persistent=False)
        self.register_buffer("training_step", None)
        order = self.layout.input_index()
        index = None if order is None else torch.tensor(order, device=weight.device)
        self.register_buffer("tile_index", index, False)
        self._make_ranges(weight.device)

    def _make_ranges(self, place: torch.device) -> None:
        """The full scales: trained, brought along by the description, or not there yet."""
        for name in RANGES:
            kept = kept_limits(self.hardware, self.layout, name)
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
            DamagedChipError: an entry can be that of no chip of this array; then it keeps the one it has.
        """
        self._check_ranges()
        self._check_state(chip)
        for name, value in zip(CHIP, chip, strict=True):
            setattr(self, name, value)
        self._pack(chip)

    def correct(self, gain: Tensor, shift: Tensor) -> None:
        """Take other digital corrections ``[column]``; what is packed of the array stays, if it can."""
        chip = self.require_chip("compensate")._replace(gain=gain, shift=shift)
        refuse(self._damage({"gain": gain, "shift": shift}), self.key)
        ours = self._own(CHIP) and self._packed_from[-1] is self.packed_kernel
        if not (ours and tile.is_tiled(self.hardware) and self._versions == self._present_versions()):
            self.set_chip(chip)
            return
        self.chip_gain, self.chip_shift = gain, shift
        with plain():
            self.packed_out = tile.column_factors(chip).flatten()
        self._prepare()

    def program(self, seed: int, path: str) -> None:
        """Program one chip from the present weights."""
        with plain():
            chip, self.written = tile.write(self.hardware, self.present(), self.layout, seed, path)
            self.set_chip(chip)
            self.mark_fresh()

    def mark_fresh(self) -> None:
        """The chip holds the present weights."""
        self.chip_weights = self.fingerprint()
        self._packed_from[len(CHIP)] = self.chip_weights
        self._seen = self.sight()

    def set_range(self, name: str, value: Tensor) -> None:
        """Set the full scale of a converter, ``"input_range"`` or ``"output_range"``."""
        here = getattr(self, name)
        value = value.to(self.weight.device, torch.float32)
        refuse(range_damage(self.hardware, self.layout, name, value), self.key)
        if isinstance(here, nn.Parameter):
            here.data.copy_(value)
        else:
            setattr(self, name, value)
        if self.chip_g is not None:
            self._prepare()

    def effective_weight(self) -> Tensor:
        """The weights that the chip holds now, in the Parameter's shape; read noise never."""
        matrix = self._effective("effective_weight")
        with plain():
            return self.from_matrix(matrix[:, : matrix.shape[1] - self.bias_rows])

    def effective_bias(self) -> Tensor | None:
        """The bias that the bias rows of the chip hold now, gain included; None if it is digital."""
        if not self.bias_rows:
            return None
        with plain():
            return self._effective("effective_bias")[..., -self.bias_rows :, :].sum(-2).flatten()

    def _effective(self, verb: str) -> Tensor:
        with plain():
            return tile.effective_weight(self.hardware, self.require_chip(verb), self.layout)

    # --- what is packed --------------------------------------------------------------------------

    def repack(self) -> None:
        """Rebuild what products need; to be called when the chip changed.

        Raises:
            DamagedChipError: an entry can be that of no chip of this array.
        """
        chip = self.chip
        if chip is None:
            return
        self._check_ranges()
        self._check_state(chip)
        self._pack(chip)

    def _pack(self, chip: TileState) -> None:
        with plain():
            read = tile.pack(self.hardware, chip, self.layout)
        self._hold(read.changed(shift=None))
        if self.chip_format is None:
            self.chip_format, self.chip_checksum = unstamped(chip.g.device)
        self._prepare()

    def _hold(self, read: Read) -> None:
        """Keep the tensors of a read as buffers."""
        found = read.entries()
        for name, buffer in zip(PACKED, PACKED_BUFFERS, strict=True):
            setattr(self, buffer, found.get(name))

    def _prepare(self) -> None:
        """Make the constant factors of a read by this chip with these ranges."""
        dac, adc = self.hardware.dac, self.hardware.adc
        with plain():
            given, wanted = (
                _single(converter, getattr(self, name))
                for converter, name in zip((dac, adc), RANGES, strict=True)
            )
            self._hold(
                tile.prepared(self.hardware, self.packed().changed(steps=None, shift=None), (given, wanted))
            )
        self._sync()

    def packed(self) -> Read:
        """What is packed, with the corrections and the order of the inputs."""
        held = self._buffers
        read = from_entries({name: held[buffer] for name, buffer in zip(PACKED, PACKED_BUFFERS, strict=True)})
        return read.changed(shift=held["chip_shift"], inputs=held["tile_index"])

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

    def _own(self, names: tuple[str, ...]) -> bool:
        """Whether these entries and ranges are the ones that were packed, whatever their values."""
        held, learned, packed = self._buffers, self._parameters, self._packed_from
        return all((held[name] if name in held else learned[name]) is packed[PLACE[name]] for name in names)

    # --- damage ----------------------------------------------------------------------------------

    def _check_state(self, chip: TileState) -> None:
        """Raise ``DamagedChipError`` unless each entry can be that of a chip of this array."""
        refuse(self._damage(chip._asdict()), self.key)

    def _check_ranges(self) -> None:
        """Raise ``DamagedChipError`` unless the full scales are numbers above zero."""
        for name in RANGES:
            value = getattr(self, name)
            if value is not None and not torch.compiler.is_compiling():
                refuse(range_damage(self.hardware, self.layout, name, value), self.key)

    def _damage(self, entries: dict[str, Tensor | None]) -> str | None:
        """What is wrong with entries of a chip of this array, in words."""
        if self._rules is None or self._rules.hardware is not self.hardware:
            # of its shape alone: the weight may be sharded
            groups, rows, columns = self.matrix(torch.empty(self.weight.shape, device="meta")).shape
            self._rules = rules(self.hardware, self.layout, (groups, rows + self.bias_rows, columns))
        return damage(self._rules, entries)

    def refuse_state(self, state: Mapping[str, Any], prefix: str) -> None:
        """Raise ``DamagedChipError`` unless what a state dict says of this chip can be so; load nothing."""
        given = {name: state[prefix + name] for name in SAVED if prefix + name in state}
        stamped = {name: state[prefix + name] for name in STAMP if prefix + name in state}
        refuse(self._refusal(given, stamped), prefix.removesuffix("."))

    def _refusal(self, given: dict[str, Tensor], stamped: dict[str, Tensor]) -> str | None:
        """Why saved entries are none of a chip of this array; None if they are, or if there are none."""
        for name in RANGES:
            found = range_damage(self.hardware, self.layout, name, given[name]) if name in given else None
            if found is not None:
                return found
        chip = {name: value for name, value in given.items() if name.startswith("chip_")}
        if not chip:
            return None
        absent = [name for name in (*chip_entries(self.hardware), "chip_weights") if name not in chip]
        if absent:
            return f"a chip is whole or not there, and {', '.join(absent)} is missing: save and load them all"
        found = self._damage({name.removeprefix("chip_"): value for name, value in chip.items()})
        return found if found is not None else wrong({**chip, **stamped})

    def array_state(self) -> set[str]:
        """Names of the buffers and Parameters that the array has."""
        recipe = {name for name in self._buffers if name.startswith("training_")}
        return {*CHIP, "chip_weights", *STAMP, *PACKED_BUFFERS, "tile_index", *recipe, *RANGES}


def _single(converter: DAC | ColumnConverter | None, stored: Tensor | None) -> Limit:
    """The one full scale that is known before a value comes, given or kept; None where there is none."""
    given = None if converter is None else converter.range.given()
    if given is None:
        return stored
    return None if isinstance(given, tuple) else given


def _check_mappable(weight: Tensor) -> None:
    if weight.numel() == 0:
        raise NotMappableError(
            f"weight has shape {tuple(weight.shape)}: an array needs a row and a column at least, "
            "leave such a layer digital"
        )
    if weight.is_complex():
        raise NotMappableError(
            f"weight has dtype {weight.dtype}: cells hold real numbers; use a layer for the real "
            "part and one of the imaginary part, or leave such a layer digital"
        )

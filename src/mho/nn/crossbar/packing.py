"""What products by a chip need, kept beside it."""

from __future__ import annotations

import warnings

from torch import Tensor

from mho.chip import tile
from mho.chip.reads import PACKED, Limit, Read, from_entries
from mho.chip.tile import Drawn, TileState
from mho.converters import DAC, ColumnConverter
from mho.errors import RedrawnChipWarning
from mho.nn.crossbar.description import CHIP, PACKED_BUFFERS, PLACE, RANGES, SAVED
from mho.nn.crossbar.lean import HoldsChip
from mho.nn.crossbar.plain import plain
from mho.nn.crossbar.saved import unstamped
from mho.nn.fingerprint import fingerprint


class Packed(HoldsChip):
    """An array that keeps what products by its chip need."""

    def repack(self) -> None:
        """Rebuild what products need; to be called when the chip changed.

        Raises:
            DamagedChipError: an entry can be that of no chip of this array.
        """
        chip = self.held()
        if chip is None:
            return
        self._check_ranges()
        self._check_state(chip)
        self._pack(chip, self.drawn())
        if self._to_compare and self.chip_drawn is not None:
            with plain():
                if bool(fingerprint(self.packed_kernel) != self.chip_drawn):
                    self._warn_redrawn()
        self._to_compare = False

    def _warn_redrawn(self) -> None:
        warnings.warn(
            f"the cells of {self.path or 'this layer'!r} were drawn again with other last bits: its lean "
            "chip was saved on another kind of processor or by another torch; save chips without lean=True "
            "where bits must travel",
            RedrawnChipWarning,
            stacklevel=4,
        )

    def _pack(self, chip: TileState, drawn: Drawn | None) -> None:
        with plain():
            read = tile.pack(self.hardware, chip, self.layout, drawn=drawn)
        self._hold(read.changed(shift=None))
        if self.chip_format is None:
            self.chip_format, self.chip_checksum = unstamped(chip.scale.device, drawn is not None)
        self._prepare()

    def _hold(self, read: Read) -> None:
        """Keep the tensors of a read as buffers."""
        found = read.entries()
        for name, buffer in zip(PACKED, PACKED_BUFFERS, strict=True):
            setattr(self, buffer, found.get(name))

    def _drop_packed(self) -> None:
        """Keep nothing that is packed."""
        for buffer in PACKED_BUFFERS:
            setattr(self, buffer, None)
        self._packed_from[-1] = None

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


def _single(converter: DAC | ColumnConverter | None, stored: Tensor | None) -> Limit:
    """The one full scale that is known before a value comes, given or kept; None where there is none."""
    given = None if converter is None else converter.range.given()
    if given is None:
        return stored
    return None if isinstance(given, tuple) else given

"""What cannot be the chip of an array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mho.chip.damage import Rules, chip_entries, damage, range_damage, refuse, rules
from mho.chip.tile import TileState
from mho.nn.crossbar.description import RANGES, SAVED, STAMP, STREAM, Described
from mho.nn.crossbar.saved import LEFT_OUT, wrong


class Checked(Described):
    """An array that refuses what cannot be its chip."""

    def _check_state(self, chip: TileState) -> None:
        """Raise ``DamagedChipError`` unless each entry can be that of a chip of this array."""
        refuse(self._damage(chip._asdict()), self.key)

    def _check_ranges(self) -> None:
        """Raise ``DamagedChipError`` unless the full scales are numbers above zero."""
        for name in RANGES:
            value = getattr(self, name)
            if value is not None and not torch.compiler.is_compiling():
                refuse(range_damage(self.hardware, self.layout, name, value), self.key)

    def rules(self) -> Rules:
        """What the chips of this array may be."""
        if self._rules is None or self._rules.hardware is not self.hardware:
            # of its shape alone: the weight may be sharded
            groups, rows, columns = self.matrix(torch.empty(self.weight.shape, device="meta")).shape
            self._rules = rules(self.hardware, self.layout, (groups, rows + self.bias_rows, columns))
        return self._rules

    def _damage(self, entries: dict[str, Tensor | None]) -> str | None:
        """What is wrong with entries of a chip of this array, in words."""
        return damage(self.rules(), entries)

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
        stream = {name: chip.pop(name) for name in (STREAM,) if name in chip}
        drawn = [f"chip_{name}" for name in LEFT_OUT] if stream and "chip_g" not in chip else []
        whole = (*chip_entries(self.hardware), "chip_weights")
        absent = [name for name in whole if name not in chip and name not in drawn]
        if absent:
            return f"a chip is whole or not there, and {', '.join(absent)} is missing: save and load them all"
        found = self._damage({name.removeprefix("chip_"): value for name, value in chip.items()})
        return found if found is not None else wrong({**chip, **stream, **stamped})

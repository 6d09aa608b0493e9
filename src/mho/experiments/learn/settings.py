"""How each rule learns on each kind of cell: the one table of settings that ``mho learn`` runs.

They were chosen on the validation part, never on the test part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import InstanceOf

from mho.config import Positive, config, unknown_key
from mho.devices import pulsed
from mho.devices.pulsed import PulsedCell, SoftBounds
from mho.mapping import Fixed, Mapping, Offset, Residual
from mho.training import on_chip
from mho.training.on_chip import Rule

UNIT = Fixed(weight=1.0)


@config
class Setting:
    """How one rule learns on one kind of cell.

    Attributes:
        name: of the rule, in tables.
        preset: name of the cells, in tables.
        rule: of learning.
        cell: what a pulse does.
        mapping: how weights lie on cells.
        learning_rate: of the arrays.
        digital_rate: of what stays digital; None for that of the arrays.
    """

    name: str = "SGD"
    preset: str = "ReRamSB"
    rule: InstanceOf[Rule] = on_chip.SGD()
    cell: InstanceOf[PulsedCell] = SoftBounds()
    mapping: InstanceOf[Mapping] = Offset(scale=UNIT)
    learning_rate: Positive = 0.3
    digital_rate: Positive | None = None


_CHOPPED: dict[str, Any] = {"fast_lr": 0.5, "auto_scale": True, "auto_granularity": 1000.0}
_TWO_TILES = Residual(tiles=2, factor=0.25, scale=UNIT)
RULES: dict[str, tuple[Rule, Mapping]] = {
    "SGD": (on_chip.SGD(), Offset(scale=UNIT)),
    "TTv1": (on_chip.TikiTaka(), Offset(scale=UNIT)),
    "TTv2": (on_chip.ChoppedTikiTaka2(in_chop_prob=0.0, **_CHOPPED), Offset(scale=UNIT)),
    "c-TTv2": (on_chip.ChoppedTikiTaka2(in_chop_prob=0.01, **_CHOPPED), Offset(scale=UNIT)),
    "AGAD": (on_chip.AGAD(in_chop_prob=0.02, **_CHOPPED), Offset(scale=UNIT)),
    "mixed precision": (on_chip.MixedPrecision(), Offset(scale=UNIT)),
    "thresholded": (on_chip.MixedPrecision(threshold=30.0), Offset(scale=UNIT)),
    "residual": (on_chip.ResidualLearning(transfer_lr=0.2, warm_up=500), _TWO_TILES),
}
CELLS: dict[str, PulsedCell] = {
    "ReRamSB": pulsed.ReRamSB(),
    "ReRamArrayOM": pulsed.ReRamArrayOM(),
    "ReRamArrayHfO2": pulsed.ReRamArrayHfO2(),
    "ReRamES": pulsed.ReRamES(),
    "Capacitor": pulsed.Capacitor(),
    "EcRam": pulsed.EcRam(),
    "EcRamMO": pulsed.EcRamMO(),
    "GokmenVlasov": pulsed.GokmenVlasov(),
    "Idealized": pulsed.Idealized(),
}
USUAL = ("ReRamSB", "ReRamArrayOM")  # the presets that run if none are named

# Learning rates: of the rule, and where a preset wants another one.
RATES: dict[str, float] = {
    "SGD": 0.3, "TTv1": 1.0, "TTv2": 1.0, "c-TTv2": 1.0, "AGAD": 1.0, "mixed precision": 0.1,
    "thresholded": 0.3, "residual": 0.3,
}  # fmt: skip
RATES_ON: dict[tuple[str, str], float] = {
    ("mixed precision", "ReRamArrayOM"): 0.3, ("SGD", "ReRamArrayOM"): 0.05,
}  # fmt: skip
# Rules whose own fields or mapping differ on a preset.
RULES_ON: dict[tuple[str, str], tuple[Rule, Mapping]] = {
    ("thresholded", "ReRamArrayOM"): (
        on_chip.MixedPrecision(threshold=2.0), Offset(scale=Fixed(weight=0.6)),
    ),
}  # fmt: skip


def setting(name: str, preset: str) -> Setting:
    """The setting of a rule on a preset.

    >>> setting("mixed precision", "ReRamArrayOM").learning_rate
    0.3
    """
    rule, mapping = RULES_ON.get((name, preset), RULES[name])
    rate = RATES_ON.get((name, preset), RATES[name])
    return Setting(
        name=name, preset=preset, rule=rule, cell=CELLS[preset], mapping=mapping, learning_rate=rate
    )


def settings(names: Sequence[str] = tuple(RULES), presets: Sequence[str] = USUAL) -> tuple[Setting, ...]:
    """The settings of rules on presets, rule by rule.

    Raises:
        ValueError: a rule or a preset that is not in the table.
    """
    for given, known, what in ((names, RULES, "rules"), (presets, CELLS, "presets")):
        for one in given:
            if one not in known:
                raise ValueError(unknown_key(one, list(known), what))
    return tuple(setting(name, preset) for preset in presets for name in names)

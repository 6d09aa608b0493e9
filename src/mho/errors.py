"""The errors and warnings that mho raises by name.

Bad input always gives a ``ValueError`` or a ``TypeError`` that says which argument, which value,
what is allowed and what to do; the classes here only refine those two.
"""

from __future__ import annotations


class ConfigError(ValueError):
    """A hardware description does not hold together (unknown key, value out of range, wrong type)."""


class NotProgrammedError(RuntimeError):
    """A verb needs a programmed chip and the model has none: call ``mho.program`` first."""


class NotCalibratedError(RuntimeError):
    """A converter's range was left to calibration and none was made: call ``mho.calibrate`` first."""


class DamagedChipError(ValueError, RuntimeError):
    """The saved or changed state of a chip is that of no chip of its description.

    It is a ``RuntimeError`` too, as everything else that ``load_state_dict`` refuses.
    """


class NotMappableError(TypeError):
    """A layer was asked to be analog and no mapping onto arrays exists for it."""


class NotExportableError(ValueError):
    """A model was asked for in a format that cannot hold one of its operations."""


class ChipNotUsedWarning(UserWarning):
    """A programmed model is evaluated in training mode, which multiplies by the clean weights."""


class NotProgrammedWarning(UserWarning):
    """A model without a chip is evaluated: its weights are the mapped targets, without device errors."""


class RedrawnChipWarning(UserWarning):
    """A lean chip was drawn again with other last bits, on another kind of processor or by another torch."""


class StaleChipWarning(UserWarning):
    """The weights changed after programming: the chip still holds the old ones."""

"""How weights lie on arrays."""

from enum import Enum, auto


class Scheme(Enum):
    """Columns for each output: a pair that is subtracted, or one beside a digital offset."""

    SingleColumn = auto()
    DoubleColumn = auto()

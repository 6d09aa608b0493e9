"""What is measured and corrected when a chip has drifted."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mho.config import config


class Compensation(ABC):
    """A correction of the digital outputs, estimated from reads of the arrays."""

    @property
    @abstractmethod
    def needs_data(self) -> bool:
        """Whether it is estimated on input data rather than on a reference read."""


@config
class GlobalDrift(Compensation):
    """One gain for each layer: mean magnitude of a reference read after programming, over that now.

    Source: V. Joshi et al., Nat. Commun. 11, 2473 (2020); S. Ambrogio et al., IEDM 2019.
    """

    @property
    def needs_data(self) -> bool:
        """No."""
        return False


@config
class ColumnDrift(Compensation):
    """One gain for each output column, from the same reference read."""

    @property
    def needs_data(self) -> bool:
        """No."""
        return False


@config
class Affine(Compensation):
    """Gain and shift of each column, by least squares between the array and the digital layer on data.

    Attributes:
        per_column: each column has its own; else one gain and one shift for each layer.
    """

    per_column: bool = True

    @property
    def needs_data(self) -> bool:
        """Yes."""
        return True

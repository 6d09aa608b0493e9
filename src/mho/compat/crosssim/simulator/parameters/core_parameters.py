"""Parameters of the core: how a matrix becomes conductances."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, ClassVar

from mho.compat.crosssim._tree import Paired, Parameters


class CoreStyle(IntEnum):
    """How a signed weight is held."""

    BALANCED = 1
    BITSLICED = 2
    OFFSET = 3


class BalancedCoreStyle(IntEnum):
    """Which cells of a pair move."""

    ONE_SIDED = 1
    TWO_SIDED = 2


class BitSlicedCoreStyle(IntEnum):
    """Whether a slice is a pair of cells or one."""

    BALANCED = 1
    OFFSET = 3


class OffsetCoreStyle(IntEnum):
    """How the offset is subtracted."""

    DIGITAL_OFFSET = 1
    UNIT_COLUMN_SUBTRACTION = 2


class PartitionStrategy(IntEnum):
    """How a large matrix is cut: full arrays first, or even ones."""

    MAX = 1
    EQUAL = 2


class OutputDType(IntEnum):
    """The dtype of outputs."""

    NATIVE = 1
    MATRIX = 2
    INPUT = 3


class BalancedCoreParameters(Parameters):
    """Of differential pairs."""

    FIELDS: ClassVar[Mapping[str, Any]] = {
        "style": BalancedCoreStyle.ONE_SIDED,
        "interleaved_posneg": False,
        "subtract_current_in_xbar": True,
    }


class BitSlicedCoreParameters(Parameters):
    """Of bit slices."""

    FIELDS: ClassVar[Mapping[str, Any]] = {"style": BitSlicedCoreStyle.BALANCED, "num_slices": 2}


class OffsetCoreParameters(Parameters):
    """Of single cells with an offset."""

    FIELDS: ClassVar[Mapping[str, Any]] = {"style": OffsetCoreStyle.DIGITAL_OFFSET}


class MappingParameters(Parameters):
    """The range of inputs."""

    FIELDS: ClassVar[Mapping[str, Any]] = {"clipping": False, "min": -1.0, "max": 1.0, "percentile": None}
    OPTIONAL: ClassVar[frozenset[str]] = frozenset({"min", "max", "percentile"})

    def default(self, name: str) -> object:
        """A percentile is a number."""
        return 1.0 if name == "percentile" else super().default(name)


class WeightMappingParameters(Parameters):
    """The range of weights, and the cut into arrays."""

    FIELDS: ClassVar[Mapping[str, Any]] = {
        "clipping": True,
        "min": None,
        "max": None,
        "percentile": 1.0,
        "row_partition_priority": [],
        "col_partition_priority": [],
        "row_partition_strategy": PartitionStrategy.EQUAL,
        "col_partition_strategy": PartitionStrategy.EQUAL,
    }
    OPTIONAL: ClassVar[frozenset[str]] = frozenset({"min", "max", "percentile"})

    def default(self, name: str) -> object:
        """A limit is a number."""
        return 1.0 if name in self.OPTIONAL else super().default(name)


class MatmulParameters(Paired):
    """The range of inputs of both products."""

    FIELDS: ClassVar[Mapping[str, Any]] = {"_match": True, "mvm": MappingParameters, "vmm": MappingParameters}


class CoreMappingParameters(Parameters):
    """The ranges of weights and inputs."""

    FIELDS: ClassVar[Mapping[str, Any]] = {"weights": WeightMappingParameters, "inputs": MatmulParameters}


class CoreParameters(Parameters):
    """Of the core."""

    FIELDS: ClassVar[Mapping[str, Any]] = {
        "style": CoreStyle.BALANCED,
        "rows_max": 0,
        "cols_max": 0,
        "weight_bits": 0,
        "complex_matrix": False,
        "complex_input": False,
        "output_dtype": OutputDType.NATIVE,
        "balanced": BalancedCoreParameters,
        "bit_sliced": BitSlicedCoreParameters,
        "offset": OffsetCoreParameters,
        "mapping": CoreMappingParameters,
    }
    RETIRED: ClassVar[Mapping[str, tuple[Any, str]]] = {
        "complex_inputs": (
            False,
            "it is complex_input now; inputs are real here, give real and imaginary part as two inputs",
        )
    }

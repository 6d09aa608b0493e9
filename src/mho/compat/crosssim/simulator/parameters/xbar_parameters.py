"""Parameters of the crossbar: cells, wires, converters."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, ClassVar

from mho.compat.crosssim._tree import Paired, Parameters


class ADCRangeLimits(IntEnum):
    """Where the range of an ADC comes from."""

    CALIBRATED = 1
    MAX = 2
    GRANULAR = 3


class WeightErrorParameters(Parameters):
    """One kind of error of a cell."""

    FIELDS: ClassVar[Mapping[str, Any]] = {"enable": False, "model": "IdealDevice", "magnitude": 0.0}


class DeviceParameters(Parameters):
    """Of a cell."""

    FIELDS: ClassVar[Mapping[str, Any]] = {
        "cell_bits": 0,
        "Rmin": 1000.0,
        "Rmax": 10000.0,
        "Vread": 0.1,
        "time": 0.0,
        "infinite_on_off_ratio": False,
        "clip_conductance": False,
        "read_noise": WeightErrorParameters,
        "programming_error": WeightErrorParameters,
        "drift_error": WeightErrorParameters,
        "nonlinear_IV": WeightErrorParameters,
    }


class ParasiticParameters(Parameters):
    """Of the wires."""

    FIELDS: ClassVar[Mapping[str, Any]] = {
        "enable": False,
        "Rp_row": 0.0,
        "Rp_col": 0.0,
        "Rp_row_terminal": 0.0,
        "Rp_col_terminal": 0.0,
        "current_from_input": True,
        "selected_rows": "top",
    }
    RETIRED: ClassVar[Mapping[str, tuple[Any, str]]] = {
        "gate_input": (
            False,
            "it is current_from_input = False now; networks that depend on the input have no matrix, solve "
            "them one by one with mho.array.GatedWires",
        )
    }


class ArrayParameters(Parameters):
    """Of an array."""

    FIELDS: ClassVar[Mapping[str, Any]] = {"Icol_max": 0.0, "parasitics": ParasiticParameters}


_OPAMP = {"gain_db": 100.0}
_STAGES = {
    **_OPAMP,
    "sigma_C1": 0.0,
    "sigma_C2": 0.0,
    "sigma_Cpar": 0.0,
    "sigma_comparator": 0.0,
    "group_size": 8,
}
_CAPACITORS = {**_OPAMP, "sigma_capacitor": 0.0, "sigma_comparator": 0.0}
ADC_FIELDS: dict[str, dict[str, Any]] = {
    "RampADC": {**_CAPACITORS, "symmetric_cdac": True},
    "SarADC": {**_CAPACITORS, "split_cdac": True, "group_size": 8},
    "PipelineADC": _STAGES,
    "CyclicADC": _STAGES,
}
"""Further parameters of an ADC, by its model."""


class ADCParameters(Parameters):
    """Of an ADC; a model that is a circuit has further ones (:data:`ADC_FIELDS`)."""

    FIELDS: ClassVar[Mapping[str, Any]] = {
        "model": "IdealADC",
        "bits": 0,
        "signed": True,
        "stochastic_rounding": False,
        "adc_per_ibit": False,
        "calibrated_range": [],
        "adc_range_option": ADCRangeLimits.CALIBRATED,
    }

    def __init__(self, **values: Any) -> None:
        model = {"model": values.pop("model")} if "model" in values else {}
        super().__init__(**model, **values)

    def default(self, name: str) -> Any:
        """Of a leaf of any model."""
        return ADC_FIELDS.get(self.model, {}).get(name, self.FIELDS.get(name))

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "model":
            further, fields = ADC_FIELDS.get(value, {}), self._fields
            for gone in [n for n in fields if n not in self.FIELDS and n not in further]:
                del fields[gone]
            fields.update({n: v for n, v in further.items() if n not in fields})


class PairedADCParameters(Paired):
    """Of the ADCs of both products."""

    FIELDS: ClassVar[Mapping[str, Any]] = {"_match": True, "mvm": ADCParameters, "vmm": ADCParameters}


class DACParameters(Parameters):
    """Of a DAC."""

    FIELDS: ClassVar[Mapping[str, Any]] = {
        "model": "IdealDAC",
        "bits": 0,
        "input_bitslicing": False,
        "signed": True,
        "slice_size": 1,
    }


class PairedDACParameters(Paired):
    """Of the DACs of both products."""

    FIELDS: ClassVar[Mapping[str, Any]] = {"_match": True, "mvm": DACParameters, "vmm": DACParameters}


class XbarParameters(Parameters):
    """Of the crossbar."""

    FIELDS: ClassVar[Mapping[str, Any]] = {
        "device": DeviceParameters,
        "array": ArrayParameters,
        "adc": PairedADCParameters,
        "dac": PairedDACParameters,
    }

"""Parameters as they are read: one that was changed and never read is an error."""

from __future__ import annotations

from typing import Any

from mho.compat.crosssim._tree import Parameters
from mho.config import unknown_key
from mho.errors import ConfigError

INSTEAD = {
    "core.complex_matrix": "arrays hold real numbers; use two layers, real and imaginary part",
    "core.complex_input": "inputs are real; give real and imaginary part as two inputs",
    "core.output_dtype": "outputs have the dtype of the inputs; use layer.double() or y.to(dtype)",
    "core.balanced.style": "it counts for core.style = BALANCED",
    "core.balanced.subtract_current_in_xbar": "it counts for core.style = BALANCED; the two cells of a slice "
    "share a bit line",
    "core.balanced.interleaved_posneg": "it counts for BALANCED cores with xbar.array.parasitics.enable",
    "core.bit_sliced": "it counts for core.style = BITSLICED",
    "core.offset.style": "it counts for OFFSET cores and slices",
    "core.mapping.weights.clipping": "weights beyond the range are always clipped; choose a wider max",
    "core.mapping.weights.min": "it counts with percentile = None",
    "core.mapping.weights.max": "it counts with percentile = None",
    "core.mapping.weights.row_partition_priority": "use row_partition_strategy, or a make_cut of your own",
    "core.mapping.weights.col_partition_priority": "use col_partition_strategy, or a make_cut of your own",
    "core.mapping.weights.row_partition_strategy": "it counts where core.rows_max cuts the matrix",
    "core.mapping.weights.col_partition_strategy": "it counts where core.cols_max is set",
    "core.mapping.inputs.mvm.clipping": "a DAC clips at its range, with or without it; without one, set "
    "xbar.dac.mvm.model and bits",
    "core.mapping.inputs.mvm.percentile": "a range that depends on each batch is no range of a chip; give "
    "min and max, or let mho.calibrate measure it: mho.DAC(range=mho.converters.Calibrated(quantile=...))",
    "simulation.convolution": "all patches of an input are one product here; leave it out",
    "simulation.analytics": "it counts with profile_xbar_inputs or profile_adc_inputs; "
    "mho.calibration.profile(model, data) needs none of them",
    "simulation.gpu_id": "it counts with simulation.useGPU = True",
    "simulation.Niters_max_parasitics": "circuits are solved exactly, without iterations; leave it out",
    "simulation.Verr_th_mvm": "circuits are solved exactly, to rounding; leave it out",
    "simulation.Verr_matmul_criterion": "circuits are solved exactly, to rounding; leave it out",
    "simulation.relaxation_gamma": "circuits are solved exactly, without iterations; leave it out",
    "simulation.disable_fast": "there is one path, and it is exact; leave it out",
    "simulation.hide_convergence_msg": "circuits are solved exactly; there is no such message",
    "xbar.device.Vread": "currents are proportional to it, and outputs are free of it; it counts with "
    "nonlinear_IV. Native: v_read of a mho device",
    "xbar.device.time": "it counts with xbar.device.drift_error; without it nothing would age, and a "
    "programming error is never dropped here. Native: mho.age(model, seconds) with a device that drifts",
    "xbar.device.clip_conductance": "it counts with a programming_error and without SONOS drift",
    "xbar.device.read_noise": "set enable = True and a model; fits of measured devices have no magnitude",
    "xbar.device.programming_error": "set enable = True and a model; fits of measured devices have no "
    "magnitude",
    "xbar.device.drift_error": "set enable = True and a model; fits of measured devices have no magnitude",
    "xbar.device.nonlinear_IV": "set enable = True and a model; laws have no magnitude",
    "xbar.array.Icol_max": "a limit that columns reach has no place here; use "
    "mho.ADC(bits=24, range=mho.converters.Fixed(limit=Icol_max)) with "
    "mho.mapping.DifferentialPair(digital_subtraction=True): each bit line saturates there",
    "xbar.array.parasitics.current_from_input": "networks that depend on the input have no matrix; solve "
    "them one by one with mho.array.GatedWires",
    "xbar.array.parasitics.selected_rows": "it counts for gated arrays: driver and sense of "
    "mho.array.GatedWires",
    "xbar.array.parasitics": "it counts with xbar.array.parasitics.enable = True",
    "xbar.adc.mvm.stochastic_rounding": "use mho.ADC(noise=...), a normal noise before rounding",
    "xbar.adc.mvm.adc_per_ibit": "it counts with an ADC and xbar.dac.mvm.input_bitslicing",
    "xbar.adc.mvm.calibrated_range": "it counts with an ADC and adc_range_option = CALIBRATED",
    "xbar.adc.mvm": "it counts with another xbar.adc.mvm.model than IdealADC, and bits > 0",
    "xbar.dac.mvm.slice_size": "it counts with xbar.dac.mvm.input_bitslicing",
    "xbar.dac.mvm": "it counts with another xbar.dac.mvm.model than IdealDAC, and bits > 0",
    "_match": "layers multiply from rows to columns; give the other direction a layer of its own, with the "
    "transposed weight",
}
"""What to do instead, by the path of a leaf or the beginning of it; the longest one counts."""


class Reader:
    """The leaves of a tree, by dotted path, with a note of which were read."""

    def __init__(self, params: Parameters) -> None:
        self._values = params.flat()
        plain = type(params)()
        plain.xbar.adc.mvm.model = params.xbar.adc.mvm.model
        self._defaults = {**plain.flat(), "xbar.adc.mvm.model": "IdealADC"}
        self._read: set[str] = set()

    def __getitem__(self, path: str) -> Any:
        self._read.add(path)
        return self._values[path]

    def states(self, path: str, value: object) -> bool:
        """Whether a leaf is altered to ``value``, which says what is so in any case; then it is settled."""
        if self._values[path] != value:
            return False
        self._read.add(path)
        return True

    def refused(self, path: str, why: str) -> ConfigError:
        """An error about a leaf."""
        return ConfigError(f"{path} = {self._values[path]!r}: {why}")

    def one_of(self, path: str, known: list[str]) -> str:
        """A leaf that is one of several names."""
        value = str(self[path])
        if value not in known:
            raise self.refused(path, unknown_key(value, known, path))
        return value

    def finish(self) -> None:
        """Raise ``ConfigError`` if a leaf was changed that nothing depends on."""
        for path, value in self._values.items():
            if path not in self._read and value != self._defaults.get(path):
                raise self.refused(path, f"nothing here depends on it: {instead(path)}")


def instead(path: str) -> str:
    """What to do instead of setting a leaf."""
    if path.endswith("_match"):
        return INSTEAD["_match"]
    return INSTEAD[max((start for start in INSTEAD if path.startswith(start)), key=len)]

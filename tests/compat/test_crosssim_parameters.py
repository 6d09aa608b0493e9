"""The tree of parameters: CrossSim's names and defaults, edits, files; none of them without an effect."""

from __future__ import annotations

import copy
import functools
import json
import pickle
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
import torch

from mho.compat.crosssim import CrossSimParameters, hardware
from mho.compat.crosssim.simulator.algorithms.dnn.torch.linear import AnalogLinear
from mho.compat.crosssim.simulator.parameters.core_parameters import CoreStyle
from mho.compat.crosssim.simulator.parameters.xbar_parameters import ADC_FIELDS
from mho.errors import ConfigError

DEFAULTS = json.loads(
    (Path(__file__).parents[1] / "reference/data/crosssim/default_params_flat.json").read_text()
)


def flat(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found = {}
    for name, value in node.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def test_names_and_defaults_are_those_of_crosssim() -> None:
    assert flat(CrossSimParameters().as_dict()) == DEFAULTS


def test_files_copies_and_pickles(tmp_path: Path) -> None:
    params = CrossSimParameters()
    params.core.style = "OFFSET"
    params.xbar.adc.mvm.model = "SarADC"
    params.xbar.adc.mvm.group_size = 4
    params.xbar.adc.mvm.calibrated_range = [-1.5, 1.5]
    params.to_json(tmp_path / "chip.json")
    read = CrossSimParameters.from_json(tmp_path / "chip.json")
    copied = params.copy()
    for other in (read, copied, copy.deepcopy(params), pickle.loads(pickle.dumps(params))):
        assert other == params and other.core.style is CoreStyle.OFFSET
        assert other.xbar.adc.vmm is other.xbar.adc.mvm
    copied.xbar.adc.mvm.bits = 6
    assert params.xbar.adc.mvm.bits == 0 and copied != params
    assert "'group_size': 4" in repr(params)
    with pytest.raises(FileNotFoundError):
        CrossSimParameters.from_json(tmp_path / "none.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ConfigError, match="an object"):
        CrossSimParameters.from_json(tmp_path / "list.json")


def test_values_as_dicts_and_dotted_paths() -> None:
    params = CrossSimParameters(xbar={"device": {"Rmin": 1e4}}, core={"style": 2})
    params.update({"core.bit_sliced.num_slices": 4, "xbar.adc.mvm": {"model": "RampADC", "gain_db": 60}})
    assert params.xbar.device.Rmin == 1e4 and params.xbar.device.Rmax == 10000
    assert params.core.style is CoreStyle.BITSLICED and params.core.bit_sliced.num_slices == 4
    assert params.xbar.adc.vmm.gain_db == 60


def test_lists_are_assigned_not_edited() -> None:
    params = CrossSimParameters()
    given = [[-1.0, 1.0], [-2.0, 2.0]]
    params.xbar.adc.mvm.calibrated_range = given
    given[0][0] = 5.0
    assert params.xbar.adc.mvm.calibrated_range == ((-1.0, 1.0), (-2.0, 2.0))
    with pytest.raises(TypeError):
        params.xbar.adc.mvm.calibrated_range[0] = (0.0, 1.0)
    assert params.as_dict()["xbar"]["adc"]["vmm"]["calibrated_range"] == [[-1.0, 1.0], [-2.0, 2.0]]


def test_an_adc_has_the_parameters_of_its_model() -> None:
    adc = CrossSimParameters().xbar.adc.mvm
    for model, further in ADC_FIELDS.items():
        adc.model = model
        assert {name: getattr(adc, name) for name in further} == further
    adc.model = "QuantizerADC"
    with pytest.raises(AttributeError, match="ADCParameters has no 'gain_db'"):
        _ = adc.gain_db


@pytest.mark.parametrize(
    ("path", "value", "error", "match"),
    [
        ("xbar.device.cellbits", 4, AttributeError, "did you mean 'cell_bits'"),
        ("xbar.devices.cell_bits", 4, AttributeError, "did you mean 'device'"),
        ("core.style", "BALANCE", ValueError, "did you mean 'BALANCED'"),
        ("core.style", 7, ValueError, "BITSLICED"),
        ("core.rows_max", 1.5, TypeError, "of type int"),
        ("xbar.device.Rmin", "1k", TypeError, "a number"),
        ("xbar.device.Rmin", float("nan"), ValueError, "finite"),
        ("xbar.device.clip_conductance", 1, TypeError, "of type bool"),
        ("xbar.adc.mvm.calibrated_range", 2.0, TypeError, "a list"),
        ("core.mapping.weights.max", "1", TypeError, "or None"),
        ("xbar.device", 3, TypeError, "DeviceParameters or a dict"),
    ],
)
def test_unknown_names_and_wrong_types(path: str, value: Any, error: type, match: str) -> None:
    params = CrossSimParameters()
    with pytest.raises(error, match=match):
        params.update({path: value})
    assert params == CrossSimParameters()


def test_pairs_match_or_do_not() -> None:
    params = CrossSimParameters()
    params.xbar.dac.vmm.bits = 4
    assert params.xbar.dac.mvm.bits == 4 and params.xbar.dac.match
    params.xbar.dac.match = False
    params.xbar.dac.vmm.bits = 5
    assert params.xbar.dac.mvm.bits == 4
    params.xbar.dac.match = True
    assert params.xbar.dac.vmm.bits == 4
    with pytest.raises(ConfigError, match="differ"):
        CrossSimParameters(xbar={"dac": {"_match": True, "mvm": {"bits": 4}, "vmm": {"bits": 5}}})


# --- every parameter has an effect, or is refused --------------------------------------------------

DAC = {"xbar.dac.mvm.model": "SignMagnitudeDAC", "xbar.dac.mvm.bits": 4}
ADC = {
    "xbar.adc.mvm.model": "QuantizerADC",
    "xbar.adc.mvm.bits": 5,
    "xbar.adc.mvm.calibrated_range": [-2.0, 2.0],
}
ERROR = {
    f"xbar.device.{kind}.{name}": value
    for kind in ("programming_error", "read_noise")
    for name, value in (("enable", True), ("model", "NormalIndependentDevice"), ("magnitude", 0.1))
}
BASES: dict[str, dict[str, Any]] = {
    "default": {},
    "converters": {**DAC, **ADC},
    "errors": {k: v for k, v in ERROR.items() if "programming" in k},
    "reads": {k: v for k, v in ERROR.items() if "read_noise" in k},
    "drift": {
        "xbar.device.Rmin": 62500.0,
        "xbar.device.Rmax": 6.25e7,
        "xbar.device.drift_error.enable": True,
        "xbar.device.drift_error.model": "SONOS",
        "xbar.device.time": 1.0,
    },
    "curved": {
        "xbar.device.Vread": 0.5,
        "xbar.device.nonlinear_IV.enable": True,
        "xbar.device.nonlinear_IV.model": "CubicDevice",
    },
    "curved, with a DAC": {
        **DAC,
        "xbar.device.Vread": 0.5,
        "xbar.device.nonlinear_IV.enable": True,
        "xbar.device.nonlinear_IV.model": "CubicDevice",
    },
    "wires": {
        "xbar.array.parasitics.enable": True,
        "xbar.array.parasitics.Rp_row": 5.0,
        "xbar.array.parasitics.Rp_col": 3.0,
        "core.rows_max": 5,
        "core.cols_max": 3,
    },
    "streamed": {
        **DAC,
        **ADC,
        "xbar.dac.mvm.bits": 6,
        "xbar.dac.mvm.input_bitslicing": True,
        "xbar.adc.mvm.adc_per_ibit": True,
    },
    "sliced": {**DAC, **ADC, "core.style": "BITSLICED", "core.weight_bits": 6},
    "sliced offset": {
        **DAC,
        **ADC,
        "core.style": "BITSLICED",
        "core.weight_bits": 6,
        "core.bit_sliced.style": "OFFSET",
    },
    "offset": {**DAC, **ADC, "core.style": "OFFSET", "xbar.device.cell_bits": 4},
    "weights": {
        "core.mapping.weights.percentile": None,
        "core.mapping.weights.min": -0.2,
        "core.mapping.weights.max": 0.2,
    },
    "tiles": {**ADC, **DAC, "core.rows_max": 5, "core.cols_max": 3},
    "granular": {
        **DAC,
        "xbar.dac.mvm.input_bitslicing": True,
        "xbar.adc.mvm.adc_per_ibit": True,
        "xbar.adc.mvm.model": "SignMagnitudeADC",
        "xbar.adc.mvm.bits": 5,
        "xbar.adc.mvm.adc_range_option": "GRANULAR",
        "core.weight_bits": 4,
    },
    **{
        model: {
            **DAC,
            **ADC,
            "xbar.adc.mvm.model": model,
            "xbar.adc.mvm.gain_db": 40.0,
            "xbar.adc.mvm.sigma_comparator": 0.1,
            **(
                {"xbar.adc.mvm.sigma_capacitor": 0.1}
                if model in ("RampADC", "SarADC")
                else {"xbar.adc.mvm.sigma_C1": 0.1, "xbar.adc.mvm.sigma_C2": 0.1}
            ),
        }
        for model in ADC_FIELDS
    },
}

OTHER: dict[str, list[Any]] = {
    "xbar.device.programming_error.model": ["UniformProportionalDevice"],
    "xbar.device.read_noise.model": ["UniformProportionalDevice"],
    "xbar.device.Rmax": [40e3],
    "xbar.adc.mvm.model": ["SignMagnitudeADC", "SarADC", "NoADC"],
    "xbar.dac.mvm.model": ["QuantizerDAC", "NoDAC"],
    "xbar.array.parasitics.selected_rows": ["bottom"],
    "xbar.adc.mvm.group_size": [2],
    "xbar.adc.mvm.sigma_capacitor": [0.4],
    "xbar.adc.mvm.sigma_Cpar": [20.0],
    "core.rows_max": [2, 3],
    "xbar.adc.mvm.calibrated_range": [[-1.0, 1.0], []],
    "core.mapping.weights.percentile": [0.9, 1.5, None],
    "core.mapping.inputs.mvm.percentile": [0.99],
    "core.mapping.weights.row_partition_priority": [[2]],
    "core.mapping.weights.col_partition_priority": [[2]],
}


def made(base: dict[str, Any]) -> CrossSimParameters:
    params = CrossSimParameters()
    params.update(base)
    return params


def altered(path: str, value: Any) -> list[Any]:
    """Other values of a leaf."""
    if path in OTHER:
        return OTHER[path]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, IntEnum):
        return [other for other in type(value) if other is not value]
    if isinstance(value, int):
        return [value + 1, value + 2]
    if isinstance(value, str):
        return ["NoSuchThing"]
    return [0.5] if value is None else [value * 0.7 + 0.05]


Made = tuple[Any, ...]


def output(params: CrossSimParameters) -> tuple[Made, torch.Tensor]:
    """What is made: the cells, the arrays that they lie in, and where; and what the layer gives."""
    torch.manual_seed(1)
    layer = AnalogLinear(params, 12, 7, dtype=torch.float64, bias_rows=1)
    with torch.no_grad():
        x = torch.rand(6, 12, dtype=torch.float64) * 2 - 1
        place = layer.weight.device
        cells = layer.chip.g.cpu()
        made = (cells.shape, cells.flatten().tolist(), layer.layout.rows, layer.layout.columns, place)
        return made, layer(x.to(place)).cpu()


@functools.cache
def unaltered(base: str) -> tuple[Made, torch.Tensor]:
    """The same of one of the bases."""
    return output(made(BASES[base]))


LEAVES = sorted({leaf for base in BASES.values() for leaf in made(base).flat()})


def says_what_is_so(path: str, params: CrossSimParameters) -> bool:
    """Whether a value is one of those few that scripts of CrossSim give and that mean what is so anyway."""
    adc, dac = params.xbar.adc.mvm, params.xbar.dac.mvm
    return {
        "simulation.analytics.ntest": params.simulation.analytics.ntest == 1,
        "simulation.analytics.profile_xbar_inputs": True,  # a record, beside the result
        "core.offset.style": params.core.style == CoreStyle.BALANCED,
        "xbar.adc.mvm.model": adc.bits == 0,
        "xbar.dac.mvm.model": dac.bits == 0,
        # bit after bit, and digitised once: the same sum
        "xbar.dac.mvm.input_bitslicing": dac.input_bitslicing and not adc.adc_per_ibit,
    }.get(path, False)


@pytest.mark.parametrize("path", LEAVES)
def test_every_parameter_changes_the_result_or_raises(path: str) -> None:
    """In each chip: what comes out, or the cells and arrays that give it. In one at least what comes out."""
    taken, told = 0, 0
    for name, base in BASES.items():
        before = made(base)
        if path not in before.flat():
            continue
        chip, y = unaltered(name)
        for value in altered(path, before.flat()[path]):
            after = made(base)
            after.update({path: value})
            if after == before:
                continue
            try:
                other, z = output(after)
            except ValueError:
                continue
            if other == chip and torch.equal(y, z):
                assert says_what_is_so(path, after), (
                    f"{path} = {value!r} was taken in {name!r} and changes nothing"
                )
                continue
            taken += 1
            told += path == "simulation.useGPU" or not torch.equal(y, z)
    assert told > 0 or taken == 0, f"{path} changes the chip, but no result"


def test_the_test_above_sees_all_parameters() -> None:
    one_direction = {path for path in DEFAULTS if ".vmm." not in path}
    assert one_direction <= set(LEAVES)
    assert {f"xbar.adc.mvm.{name}" for further in ADC_FIELDS.values() for name in further} <= set(LEAVES)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"simulation.Niters_max_parasitics": 5}, "solved exactly"),
        ({"simulation.analytics.ntest": 5}, r"mho\.calibration\.profile"),
        ({"xbar.array.Icol_max": 1.0}, r"mho\.ADC\(bits=24"),
        ({"xbar.adc.mvm.bits": 8}, "another xbar.adc.mvm.model"),
        ({"xbar.dac.match": False}, "rows to columns"),
        ({"xbar.device.time": 1}, r"mho\.age"),
        ({"xbar.device.programming_error.magnitude": 0.1}, "set enable"),
        ({"xbar.device.programming_error.enable": True}, "IdealDevice"),
        ({**BASES["errors"], "xbar.device.programming_error.model": "RRAMWann"}, "did you mean 'RRAMWan'"),
        ({**BASES["errors"], "xbar.device.time": 1}, "never dropped"),
        ({**ADC, "xbar.adc.mvm.calibrated_range": []}, r"give \[min, max\]"),
        ({"core.style": "BITSLICED"}, "bits of a weight"),
        ({"core.complex_matrix": True}, "real and imaginary"),
        ({**DAC, "core.mapping.inputs.mvm.percentile": 0.9}, "counts|Calibrated"),
        ({**DAC, "core.mapping.inputs.mvm.min": -0.3}, "lopsided"),
        ({**BASES["wires"], "xbar.array.parasitics.current_from_input": False}, "GatedWires"),
        ({**BASES["drift"], "xbar.device.time": 9}, "SONOS is known from"),
        ({**BASES["drift"], "xbar.device.drift_error.model": "PCMJoshi"}, "no drift"),
        ({**BASES["errors"], "xbar.device.programming_error.model": "PCMJoshi",
          "xbar.device.programming_error.magnitude": 0.0}, "measured up to"),
    ],
)  # fmt: skip
def test_messages_say_what_to_do(change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        AnalogLinear(made(change), 4, 4)


def test_percentiles_of_weights_are_those_of_both_tails() -> None:
    params = made({"core.mapping.weights.percentile": 0.9})
    weight = torch.cat([torch.linspace(-1, 1, 101), torch.tensor([5.0])]).double()
    ends = torch.quantile(weight, torch.tensor([0.9, 0.1], dtype=torch.float64))
    found = hardware(params, 4).mapping.scale.reference(weight.view(1, -1, 1))
    assert float(found) == pytest.approx(float(ends.abs().max()), rel=1e-12)
    doubled = made({"core.mapping.weights.percentile": 2.0})
    assert float(hardware(doubled, 4).mapping.scale.reference(weight.view(1, -1, 1))) == 10.0

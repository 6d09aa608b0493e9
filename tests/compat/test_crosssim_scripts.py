"""What the parameter scripts of CrossSim give, taken as it is; and statements of the same, told from others.

``data/crosssim/scripts.json`` holds what its two scripts, ``mvm_params`` and ``dnn_inference_params``, set in
its tutorials and examples; ``scripts.npz`` its own products of the cases without chance.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mho.compat.crosssim import CrossSimParameters, hardware
from mho.compat.crosssim.simulator.algorithms.dnn.torch.convert import from_torch, synchronize
from mho.compat.crosssim.simulator.algorithms.dnn.torch.linear import AnalogLinear
from mho.errors import ConfigError

DATA = Path(__file__).parents[1] / "reference/data/crosssim"
SCRIPTS = json.loads((DATA / "scripts.json").read_text())
ARRAYS = np.load(DATA / "scripts.npz")
# Levels are half-way between two codes here, and sums in float32 decide which one it is: whole codes differ.
TIED = "dnn: granular range, balanced, 1 slices, signed inputs"
# Refused, with what to do, in test_what_is_refused below.
REFUSED = ["mvm: pipeline", "mvm: cyclic"]
EXACT = [name for name in SCRIPTS if f"y:{name}" in ARRAYS.files]


def made(values: dict[str, Any]) -> CrossSimParameters:
    params = CrossSimParameters()
    params.update(values)
    return params


def inputs(name: str) -> Tensor:
    x = torch.tensor(ARRAYS["X"]).double().T
    return {"X": x, "X - 1.5": x - 1.5, "100 (X - 1.5)": 100 * (x - 1.5)}[SCRIPTS[name]["inputs"]]


@pytest.mark.parametrize("name", EXACT)
def test_products_of_its_scripts(name: str) -> None:
    params = made(SCRIPTS[name]["params"])
    params.validate()
    layer = AnalogLinear(params, 16, 12, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(ARRAYS["W"]))
        got = layer(inputs(name)).T.numpy()
    wanted = ARRAYS[f"y:{name}"]
    if name == TIED:
        adc, dac, device = layer.hardware.adc, layer.hardware.dac, layer.hardware.device
        lsb = adc.range.limit / 127 * device.g_max / (device.g_max - device.g_min)
        unit = lsb * dac.range.limit / 127 * np.abs(ARRAYS["W"]).max()  # a code of the lowest bit of an input
        codes = np.rint((got - wanted) / unit)
        assert 0 < np.count_nonzero(codes) <= 2
        wanted = wanted + codes * unit
    assert np.abs(got - wanted).max() <= 1e-6 * np.abs(wanted).max()


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name not in REFUSED])
def test_networks_with_the_parameters_of_its_scripts(name: str) -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 4))
    x = torch.rand(3, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    analog = from_torch(model, made(SCRIPTS[name]["params"]))
    y = analog(x)
    assert y.shape == (3, 4) and bool(y.isfinite().all())
    y.sum().backward()
    assert bool(analog[0].weight.grad.isfinite().all())


# --- statements of the same ----------------------------------------------------------------------------

STATED: dict[str, tuple[dict[str, Any], str, list[Any], list[Any], str]] = {
    # name: the chip, a leaf of it, values that say what is so in any case, others, and what they are told
    "bits of a weight, balanced": (
        {"xbar.device.cell_bits": 7}, "core.weight_bits", [0, 8], [1, 6, 7, 9], "set xbar.device.cell_bits"
    ),
    "bits of a weight, two-sided": (
        {"xbar.device.cell_bits": 7, "core.balanced.style": 2},
        "core.weight_bits", [0, 8], [1, 7, 9], "set xbar.device.cell_bits",
    ),
    "bits of a weight, offset": (
        {"xbar.device.cell_bits": 8, "core.style": 3},
        "core.weight_bits", [0, 8], [1, 7, 9], "set xbar.device.cell_bits",
    ),
    "bits of a weight, any conductance": ({}, "core.weight_bits", [0], [1, 8], "set xbar.device.cell_bits"),
    "bits of a cell, none": ({}, "xbar.device.cell_bits", [0, -1], [-2], "0 for any conductance"),
    "bits of an offset cell, none": (
        {"core.style": 3}, "xbar.device.cell_bits", [0], [-1], "0 for any conductance"
    ),
    "bits of the cell of a slice": (
        {"core.style": 2, "core.weight_bits": 9, "core.bit_sliced.num_slices": 4},
        "xbar.device.cell_bits", [0, 2], [-1, 1, 3, 4, 8], "a slice has 2 bits",
    ),
    "a limit that no column reaches": ({}, "xbar.array.Icol_max", [0.0, 170.0, 1e6], [-1.0, 1.0, 16.0, 169.0],
                                       "From 170 on, for 17 rows"),
    "inputs of a record, without one": (
        {}, "simulation.analytics.ntest", [0, 1], [2, 100], r"mho\.calibration\.profile"
    ),
    "tolerance of the solver": (
        {"xbar.array.parasitics.enable": True, "xbar.array.parasitics.Rp_row": 1.0},
        "simulation.Verr_th_mvm", [1e-3, 2e-4], [1e-4], "solved exactly",
    ),
    "tolerance without wires": ({}, "simulation.Verr_th_mvm", [1e-3], [2e-4], "solved exactly"),
    "path of the solver": (
        {"xbar.array.parasitics.enable": True, "xbar.array.parasitics.Rp_row": 1.0},
        "simulation.relaxation_gamma", [1.0, 0.9], [0.8], "solved exactly",
    ),
    "criterion of the solver": (
        {"xbar.array.parasitics.enable": True, "xbar.array.parasitics.Rp_row": 1.0},
        "simulation.Verr_matmul_criterion", ["max_max", "max_mean"], ["mean_mean"], "solved exactly",
    ),
    "a DAC of no bits": (
        {}, "xbar.dac.mvm.model", ["IdealDAC", "QuantizerDAC", "SignMagnitudeDAC"], ["DAC"], "did you|has"
    ),
    "an ADC of no bits": (
        {}, "xbar.adc.mvm.model", ["IdealADC", "QuantizerADC", "SignMagnitudeADC", "RampADC", "SarADC",
                                   "PipelineADC", "CyclicADC"], ["ADC"], "did you mean|has",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STATED)
def test_values_that_say_what_is_so_are_taken_and_no_others(name: str) -> None:
    chip, path, same, others, match = STATED[name]
    torch.manual_seed(1)
    weight, x = torch.randn(4, 17), torch.randn(5, 17)

    def product(value: Any) -> Tensor:
        layer = AnalogLinear(made({**chip, path: value}), 17, 4, bias=False)
        with torch.no_grad():
            layer.weight.copy_(weight)
            return layer(x)

    wanted = product(same[0])
    for value in same[1:]:
        assert torch.equal(product(value), wanted)
    for value in others:
        with pytest.raises(ConfigError, match=match) as told:
            product(value)
        assert path in str(told.value)


def test_converters_of_no_bits_have_no_other_parameters() -> None:
    """Inputs pass as they are, also beyond the range."""
    free = {"core.mapping.inputs.mvm.max": 0.5, "core.mapping.inputs.mvm.min": -0.5}
    for change in (
        {"xbar.dac.mvm.model": "SignMagnitudeDAC"},
        {
            "xbar.dac.mvm.model": "QuantizerDAC",
            "xbar.dac.mvm.signed": False,
            "core.mapping.inputs.mvm.min": 0.0,
        },
    ):
        layer, x = AnalogLinear(made({**free, **change}), 6, 3), 9 * torch.randn(4, 6)
        assert torch.allclose(layer(x), nn.functional.linear(x, layer.weight, layer.bias), atol=1e-4)
        assert hardware(made({**free, **change}), 6).dac.ideal
    for change, match in (
        ({"xbar.adc.mvm.model": "RampADC", "xbar.adc.mvm.gain_db": 60}, "and bits > 0"),
        ({"xbar.adc.mvm.model": "QuantizerADC", "xbar.adc.mvm.adc_range_option": "MAX"}, "and bits > 0"),
        ({"xbar.dac.mvm.model": "SignMagnitudeDAC", "xbar.dac.mvm.input_bitslicing": True}, "and bits > 0"),
        ({"xbar.dac.mvm.model": "SignMagnitudeDAC", "xbar.dac.mvm.bits": -1}, "0 for none"),
    ):
        with pytest.raises(ConfigError, match=match):
            hardware(made(change), 6)


# --- names of older versions, files, numbers of other libraries -----------------------------------------


def test_names_of_older_versions() -> None:
    params = CrossSimParameters()
    for node, name, holds, match in (
        (params.simulation.convolution, "conv_matmul", True, "leave it out"),
        (params.core, "complex_inputs", False, "real and imaginary"),
        (params.xbar.array.parasitics, "gate_input", False, "GatedWires"),
    ):
        setattr(node, name, np.bool_(holds))
        assert getattr(node, name) is holds
        with pytest.raises(ConfigError, match=match):
            setattr(node, name, not holds)
    assert params == CrossSimParameters() and "conv_matmul" not in repr(params)


def test_the_spoken_and_the_written_digits() -> None:
    """Tutorial parts 2 and 3 of NICE 2024: CrossSim 3.2 refuses their cells too, and so names Rmin."""
    params = CrossSimParameters()
    params.xbar.device.cell_bits = 4
    params.xbar.device.programming_error.model = "SONOS"
    params.xbar.device.programming_error.enable = True
    params.simulation.convolution.conv_matmul = True
    params.xbar.adc.mvm.calibrated_range = [-1, 1]
    params.xbar.adc.mvm.bits = 4
    params.xbar.adc.mvm.model = "QuantizerADC"
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding="same"), nn.ReLU(), nn.Flatten(), nn.Linear(72, 4))
    with pytest.raises(ConfigError, match=r"xbar\.device\.Rmin = 1000\.0: 1 / Rmin is g_max.* 3\.2e-05 S"):
        from_torch(model, params)
    params.xbar.device.Rmin, params.xbar.device.Rmax = 4e4, 4e7
    analog = from_torch(model, params)
    optimizer = torch.optim.Adam(analog.parameters(), lr=1e-2)
    torch.manual_seed(2)
    x, target, losses = torch.rand(8, 1, 6, 6), torch.arange(8) % 4, []
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(analog(x), target)
        loss.backward()
        optimizer.step()
        synchronize(analog)
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_measured_devices_name_the_parameters_of_their_bounds() -> None:
    for model in ("SONOS", "RRAMMilo"):
        values = {"enable": True, "model": model}
        with pytest.raises(ConfigError, match=r"xbar\.device\.Rmin = 100: .*xbar\.device\.Rmax"):
            hardware(made({"xbar.device": {"Rmin": 100, "programming_error": values}}), 4)


def test_cells_that_drift_are_known_above_the_drift_at_time_zero() -> None:
    """As in CrossSim, whose configuration SONOS-TCAS has such cells."""
    kinds = ("programming_error", "drift_error")
    values: dict[str, Any] = {f"xbar.device.{kind}": {"enable": True, "model": "SONOS"} for kind in kinds}
    values |= {"xbar.device.Rmin": 35e3, "xbar.device.Rmax": 6e12}
    assert hardware(made(values), 4).device.g_max == 1 / 35e3
    with pytest.raises(ConfigError, match=r"1\.8e-05 S"):
        hardware(made({**values, "xbar.device.time": 1.0}), 4)
    values["xbar.device.Rmin"] = 6e4
    assert hardware(made(values), 4).device.drift_scale == 1


def test_validate_raises_what_a_layer_would() -> None:
    params = CrossSimParameters()
    params.validate()
    params.core.complex_matrix = True  # of an AnalogCore
    params.validate()
    with pytest.raises(ConfigError, match="real and imaginary"):
        AnalogLinear(params, 4, 3)
    params.core.rows_max = -1
    with pytest.raises(ConfigError, match="rows_max"):
        params.validate()
    largest = made({"core.rows_max": 64, "xbar.adc.mvm": {"model": "QuantizerADC", "bits": 8}})
    largest.xbar.adc.mvm.adc_range_option = "MAX"
    largest.validate()


def test_numbers_of_numpy_and_torch() -> None:
    params = CrossSimParameters()
    for path, value, plain in (
        ("xbar.device.Rmin", np.float32(1e4), 1e4),
        ("xbar.device.Rmax", np.int64(10**6), 10**6),
        ("xbar.device.cell_bits", np.int32(4), 4),
        ("xbar.device.infinite_on_off_ratio", np.bool_(True), True),
        ("core.mapping.inputs.mvm.max", np.array(2.0), 2.0),
        ("core.mapping.inputs.mvm.min", torch.tensor(-2.0), -2.0),
        ("xbar.device.programming_error.model", np.str_("SONOS"), "SONOS"),
    ):
        params.update({path: value})
        found = params.flat()[path]
        assert found == plain and type(found) in (int, float, bool, str), path
    params.xbar.adc.mvm.calibrated_range = np.array([-1, 1], dtype=np.float32)
    assert json.loads(json.dumps(params.as_dict()))["xbar"]["adc"]["mvm"]["calibrated_range"] == [-1.0, 1.0]
    for path, wrong in (("core.rows_max", np.float32(1.5)), ("xbar.device.clip_conductance", np.int64(1))):
        with pytest.raises(TypeError, match="of type"):
            params.update({path: wrong})


def test_files_of_its_layers_and_configurations_with_a_name(tmp_path: Path) -> None:
    """A convolution there notes in its parameters that it is one, and no range is written as null."""
    params = CrossSimParameters()
    params.xbar.device.Rmin = 5e3
    there = params.as_dict()
    there["simulation"]["convolution"] |= {"is_conv_core": True, "Nwindows": 36}
    there["xbar"]["adc"]["mvm"]["calibrated_range"] = None
    there["xbar"]["adc"]["vmm"]["calibrated_range"] = None
    (tmp_path / "conv.json").write_text(json.dumps(there))
    assert CrossSimParameters.from_json(tmp_path / "conv.json") == params
    with pytest.raises(FileNotFoundError, match=r"simulator/configs/ISAAC\.json"):
        CrossSimParameters.from_json("ISAAC")


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (SCRIPTS["mvm: pipeline"]["params"], r"sigma_C2 = 0\.0: both capacitors .* spread alike; give 0\.1"),
        (SCRIPTS["mvm: cyclic"]["params"], "both capacitors of a stage spread alike"),
        ({"simulation.analytics.ntest": 7}, r"mho\.calibration\.profile"),
        ({"core.mapping.inputs.mvm.clipping": True}, "a DAC clips at its range"),
        (
            {**SCRIPTS["dnn: later layer"]["params"], "core.mapping.inputs.mvm.clipping": True},
            "a DAC clips at its range",
        ),
        ({"xbar.device.Vread": 0.2}, "it counts with nonlinear_IV"),
        ({"xbar.device.Vread": 0.2, "xbar.device.programming_error": {"enable": True, "model": "SONOS"},
          "xbar.device.Rmin": 1e5}, r"measured at 0\.1 V"),
        ({**SCRIPTS["dnn: largest"]["params"], "xbar.adc.mvm.signed": False}, "both signs here; set it True"),
        ({**SCRIPTS["dnn: later layer"]["params"], "xbar.adc.mvm.signed": False}, r"begins at -3\.1"),
    ],
)  # fmt: skip
def test_what_is_refused(values: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        hardware(made(values), 16)

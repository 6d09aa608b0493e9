"""Files of other programs: out, and back to the same numbers."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

import mho
from mho import export
from mho.devices.dynamics import VTEAM, Biolek, Joglekar
from mho.devices.dynamics.vteam import ExponentialResistance
from mho.errors import NotMappableError, NotProgrammedError

X = torch.randn(3, 2, 9, 9, generator=torch.Generator().manual_seed(0))
SMALL = mho.Tile(rows=7, columns=3)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        digital = nn.Sequential(
            nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 3),
        )  # fmt: skip
    made = mho.convert(digital, mho.Hardware(device=mho.devices.PCM(read_scale=0.0), tile=SMALL)).eval()
    mho.program(made, seed=0)
    return made


# --- NeuroSim --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [2, 8, 12])
def test_a_trace_comes_back_as_the_same_integers(network: nn.Module, bits: int, tmp_path: Path) -> None:
    trace = export.trace_of(network, X, weight_bits=bits, input_bits=bits, rows=64, parallel=32)
    export.write_trace(trace, tmp_path)
    back = export.read_trace(tmp_path)
    assert back[1:] == trace[1:] == (bits, bits, 64, 32)
    for one, other in zip(trace.layers, back.layers, strict=True):
        assert one[:2] == other[:2]
        assert torch.equal(one.weights, other.weights) and torch.equal(one.inputs, other.inputs)
    assert [layer.shape for layer in trace.layers] == [
        (9, 9, 2, 3, 3, 4, 1, 2), (1, 1, 16, 1, 1, 5, 0, 1), (1, 1, 5, 1, 1, 3, 0, 1)
    ]  # fmt: skip


def test_a_trace_is_the_product(network: nn.Module) -> None:
    """Rows are inputs in torch's order: codes of inputs times codes of weights are the convolution."""
    first = export.trace_of(network, X, weight_bits=15, input_bits=15).layers[0]
    layer = network[0]
    wanted = nn.functional.conv2d(X[:1], layer.weight, None, layer.stride, layer.padding)[0].flatten(1)
    unit = float(layer.weight.detach().abs().max() * X[:1].abs().max()) / (2**14 - 1) ** 2
    found = (first.weights.t().double() @ first.inputs.double()) * unit
    torch.testing.assert_close(found, wanted.detach().double(), atol=2e-3, rtol=0)


def test_the_files_of_a_trace(network: nn.Module, tmp_path: Path) -> None:
    export.write_trace(export.trace_of(network, X, weight_bits=4, input_bits=3), tmp_path)
    command = (tmp_path / "trace_command.sh").read_text().split()
    assert command[:6] == ["./main", "NetWork.csv", "4", "3", "128", "128"]
    assert command[6:] == [
        "weight0.csv",
        "input0.csv",
        "weight4.csv",
        "input4.csv",
        "weight6.csv",
        "input6.csv",
    ]
    with (tmp_path / "weight6.csv").open() as file:
        rows = list(csv.reader(file))
    assert len(rows) == 5 and len(rows[0]) == 3
    assert all(re.fullmatch(r" *-?\d\.\d{5}", cell) and len(cell) == 10 for row in rows for cell in row)
    with (tmp_path / "input0.csv").open() as file:
        bits = list(csv.reader(file))
    assert len(bits) == 18 and len(bits[0]) == 25 * 3 and {cell for row in bits for cell in row} == {"0", "1"}


def test_negative_inputs_are_in_twos_complement(tmp_path: Path) -> None:
    model = mho.convert(nn.Linear(4, 1, bias=False), mho.Hardware())
    export.write_trace(export.trace_of(model, torch.tensor([[3.0, -1.0, 0.0, -3.0]]), input_bits=3), tmp_path)
    assert (tmp_path / "inputmodel.csv").read_text().split() == ["0,1,1", "1,1,1", "0,0,0", "1,0,1"]


def test_traces_that_are_none_are_refused(network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not there"):
        export.read_trace(tmp_path)
    (tmp_path / "trace_command.sh").write_text("./main")
    with pytest.raises(ValueError, match="no command of a trace"):
        export.read_trace(tmp_path)
    with pytest.raises(ValueError, match="input_bits = 1"):
        export.trace_of(network, X, input_bits=1)
    recurrent = mho.convert(nn.LSTM(3, 2), mho.Hardware())
    with pytest.raises(NotMappableError, match="AnalogLSTM"):
        export.trace_of(recurrent, torch.randn(2, 3))


def test_the_table_of_states(tmp_path: Path) -> None:
    mean, std = [2e-6, 1.1e-5, 2.3e-5, 4e-5], [1e-7, 3e-7, 5e-7, 9e-7]
    path = tmp_path / "mem_states.csv"
    export.write_states(mean, std, path)
    assert path.read_bytes().startswith(b"\xef\xbb\xbfstates,mean,std\n")
    back = export.read_states(path)
    assert back[0].tolist() == mean and back[1].tolist() == std
    fitted = mho.devices.fit(path)
    assert fitted.device.g_max == 4e-5
    with pytest.raises(ValueError, match="no table of states"):
        export.read_states(Path(__file__).parents[1] / "reference/data/irdrop/../README.md")


# --- AccelForge ------------------------------------------------------------------------------------


def test_the_workload_is_yaml_that_fits_itself(network: nn.Module, tmp_path: Path) -> None:
    export.write_workload(network, X, tmp_path, bits=6)
    document = yaml.safe_load((tmp_path / "workload.yaml").read_text())
    assert document == export.workload(network, X, bits=6)
    work = document["workload"]
    assert work["bits_per_value"] == {"All": 6}
    conv, first, last = work["einsums"]
    assert work["rank_sizes"] == {"M1": 1, "K1": 16, "N1": 5, "M2": 1, "K2": 5, "N2": 3}
    for made, n in ((first, 1), (last, 2)):
        ranks = {rank for access in made["tensor_accesses"] for rank in access["projection"]}
        assert ranks == {f"m{n}", f"k{n}", f"n{n}"}
        assert all(rank.upper() in work["rank_sizes"] for rank in ranks)
        assert [access.get("output", False) for access in made["tensor_accesses"]] == [False, False, True]
        assert {access["name"] for access in made["tensor_accesses"]} == set(made["renames"].values())
    # a string has tensors with indices, and each index a bound
    text, bounds = conv["einsum"], conv["iteration_space_shape"]
    assert text.count("=") == 1 and set(re.findall(r"([A-Z]\w*)\[", text)) == set(conv["renames"].values())
    assert "H: p0*2 + r0*1" in text
    sizes = dict(re.fullmatch(r"0 <= (\w+) < (\d+)", bound).groups() for bound in bounds)
    assert {name: int(size) for name, size in sizes.items()} == {
        "p0": 5, "q0": 5, "b0": 1, "m0": 4, "c0": 2, "r0": 3, "s0": 3
    }  # fmt: skip
    assert set(re.findall(r"\b[a-z]\d\b", text)) == set(sizes)


def test_histograms_are_those_of_the_network(network: nn.Module, tmp_path: Path) -> None:
    export.write_workload(network, X, tmp_path, bits=6)
    whole = yaml.safe_load((tmp_path / "histograms.yaml").read_text())["variables"]
    one = export.histograms(network, X, bits=6, layer="4")["variables"]
    for found in (whole, one):
        assert all(len(shares) == 2**6 - 1 and sum(shares) == pytest.approx(1) for shares in found.values())
    assert sum(one["inputs_hist"][:31]) == 0  # behind a ReLU
    codes = export.trace_of(network, X, weight_bits=6).layers[1].weights
    assert one["weights_hist"][31] == pytest.approx(float((codes == 0).double().mean()))
    assert whole != one
    with pytest.raises(ValueError, match=r"layer = '5': there are '0', '4', '6'"):
        export.histograms(network, X, layer="5")


# --- Fusion ----------------------------------------------------------------------------------------


def test_fusion_goes_out_and_comes_back(network: nn.Module, tmp_path: Path) -> None:
    layers = export.fusion_layers(network)
    path = tmp_path / "fusion.csv"
    export.write_fusion(layers, path)
    back = mho.devices.read_fusion(path)
    assert [layer[:4] for layer in back] == [layer[:4] for layer in layers]
    for one, other in zip(layers, back, strict=True):
        np.testing.assert_allclose(other.g, one.g, rtol=3e-16)
    export.write_fusion(back, tmp_path / "again.csv")
    again = mho.devices.read_fusion(tmp_path / "again.csv")
    assert all(np.array_equal(a.g, b.g) for a, b in zip(back, again, strict=True))
    for name, weight in export.fusion_weights(network, back).items():
        torch.testing.assert_close(weight, network.get_submodule(name).weight.detach(), rtol=1e-5, atol=1e-7)
    assert layers[0].shape == (4, 18) and max(layers[0].g) == pytest.approx(40e-6)


def test_measured_conductances_are_scaled_to_the_weights(network: nn.Module) -> None:
    """A chip with half the gain, and noise: the slope is undone, the noise stays."""
    rng = np.random.default_rng(0)
    measured = [
        layer._replace(g=layer.g * 0.5 + rng.normal(0, 5e-8, layer.g.shape))
        for layer in export.fusion_layers(network)
    ]
    for name, weight in export.fusion_weights(network, measured).items():
        wanted = network.get_submodule(name).weight.detach()
        assert 0 < float((weight - wanted).norm() / wanted.norm()) < 0.05
    with pytest.raises(ValueError, match="layer 'x'"):
        export.fusion_weights(network, [measured[0]._replace(name="x")])
    with pytest.raises(ValueError, match="g_max"):
        export.fusion_layers(network, g_max=1e-6)


# --- conductances ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mapping", [mho.mapping.DifferentialPair(), mho.mapping.Offset(unit_column=True)])
def test_conductances_by_tile(mapping: mho.mapping.Mapping, tmp_path: Path) -> None:
    hardware = mho.Hardware(device=mho.devices.PCM(), tile=SMALL, mapping=mapping)
    model = mho.convert(nn.Sequential(nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 3)), hardware)
    with pytest.raises(NotProgrammedError):
        export.write_conductances(model, tmp_path)
    mho.program(model, seed=0)
    mho.age(model, 3600.0)
    export.write_conductances(model, tmp_path)
    back, here = export.read_conductances(tmp_path), mho.conductances(model)
    assert set(back) == set(here)
    assert all(torch.equal(back[path], here[path]) for path in here)
    with (tmp_path / "tiles.csv").open() as file:
        index = list(csv.DictReader(file))
    assert {row["seconds"] for row in index} == {"3600.0"}
    assert all(int(row["rows"]) <= 7 and int(row["columns"]) <= 3 for row in index)
    assert len(index) == len(list(tmp_path.glob("array*.csv")))
    (tmp_path / index[0]["file"]).write_text("1.0\n")
    with pytest.raises(ValueError, match=r"tiles\.csv says"):
        export.read_conductances(tmp_path)


# --- cards -----------------------------------------------------------------------------------------

CELLS = [
    VTEAM(),
    VTEAM(r_on=1234.5, r_off=98765.4, k_on=-1.25, k_off=3e-3, alpha_on=2.5, window=Joglekar(p=3)),
    VTEAM(law=ExponentialResistance(), v_on=-0.7, v_off=0.55),
]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("write", [export.verilog_a, export.spice_card])
def test_a_card_comes_back_as_the_same_cell(cell: VTEAM, write) -> None:
    assert export.read_card(write(cell, "mine")) == cell


@pytest.mark.parametrize("cell", CELLS)
def test_the_formulas_of_a_card_are_those_of_the_cell(cell: VTEAM) -> None:
    """The sources of the subcircuit, evaluated at many states and voltages."""
    text = export.spice_card(cell)
    speed, current = (re.search(rf"^{name} i=(.*)$", text, re.M)[1] for name in (r"bx 0 x", r"bm p n"))
    held = {key: float(value) for key, value in re.findall(r"^\.param (\w+)=(.*)$", text, re.M)}
    functions = {
        "u": lambda x: float(x > 0), "pwr": lambda x, y: x**y, "min": min, "max": max, "exp": math.exp,
        "ln": math.log, "abs": abs,
    }  # fmt: skip
    for x in (0.05, 0.3, 0.95):
        for volts in (-1.3, -0.25, 0.0, 0.01, 0.6, 1.1):
            known = {**held, **functions, "x_": x, "v_": volts}
            formula = [e.replace("v(p,n)", "v_").replace("v(x)", "x_") for e in (speed, current)]
            found = [eval(e, {"__builtins__": {}}, known) for e in formula]
            state = torch.tensor(cell.x_on + x * (cell.x_off - cell.x_on), dtype=torch.float64)
            v = torch.tensor(volts, dtype=torch.float64)
            wanted = float(cell.rate(state, v)) / (cell.x_off - cell.x_on), float(cell.current(v, state))
            assert found == pytest.approx(wanted, rel=1e-9, abs=1e-18)


def test_cells_without_a_card_are_refused() -> None:
    with pytest.raises(NotMappableError, match="Biolek"):
        export.verilog_a(VTEAM(window=Biolek()))
    with pytest.raises(NotMappableError, match="Yakopcic"):
        export.spice_card(mho.devices.dynamics.Yakopcic())
    with pytest.raises(ValueError, match="name"):
        export.spice_card(VTEAM(), "1x")
    with pytest.raises(ValueError, match="is missing"):
        export.read_card("* nothing")

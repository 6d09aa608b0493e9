"""Programming of whole models: what hardware.programming does to a chip, and the report."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn

import mho
from mho import random
from mho.chip import tile
from mho.errors import NotProgrammedError
from mho.experiments.copies import chip_weights
from mho.programming import (
    Correction,
    GradientProgramming,
    SingleShot,
    Train,
    VoltagePulses,
    WriteVerify,
)

PCM = mho.devices.PCM(read_scale=0.0)
PULSES = VoltagePulses(up=Train(voltage=-0.3, width=1e-11), down=Train(voltage=0.03, width=1e-9))


def network() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 10))
    return model.eval().requires_grad_(False)


def programmed(hardware: mho.Hardware, seed: int = 0) -> nn.Module:
    analog = mho.convert(network(), hardware).eval()
    mho.program(analog, seed)
    return analog


X = torch.randn(5, 1, 6, 6, generator=torch.Generator().manual_seed(1))


def test_a_single_shot_is_the_chip_that_it_always_was() -> None:
    analog = programmed(mho.Hardware(device=PCM))
    layer = analog[3]
    weight = layer.matrix(layer.weight.detach())
    relative = weight / weight.abs().amax(-2, keepdim=True)
    g_target = layer.hardware.mapping.targets(relative, PCM.g_min, PCM.g_max)
    draws = random.normal(g_target.shape, 0, "3", "program")
    assert torch.equal(layer.chip_g, PCM.programmed(g_target, draws))
    assert mho.Hardware(device=PCM, programming=SingleShot()) == layer.hardware
    assert mho.programming_report(analog).layers == {}
    assert "no layer" in str(mho.programming_report(analog))


def test_write_verify_brings_the_outputs_nearer() -> None:
    digital = network()(X)
    errors = []
    for programming in (SingleShot(), WriteVerify(tolerance=0.02), WriteVerify(tolerance=0.002)):
        analog = programmed(mho.Hardware(device=PCM, programming=programming))
        errors.append(float((analog(X) - digital).norm() / digital.norm()))
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.03


def test_tile_size_and_other_layers_leave_a_cell_alone() -> None:
    verify = WriteVerify(read_noise=0.01)
    g = [
        mho.conductances(programmed(mho.Hardware(device=PCM, programming=verify, tile=t)))
        for t in (mho.Tile(), mho.Tile(rows=10, columns=3))
    ]
    assert all(torch.equal(g[0][path], g[1][path]) for path in g[0])


@pytest.mark.parametrize("mapping", [mho.mapping.Offset(unit_column=True), mho.mapping.BitSlicing(slices=2)])
@pytest.mark.parametrize(
    "programming",
    [WriteVerify(pulse=Correction(disturb=0.002)), GradientProgramming(rounds=3), WriteVerify()],
    ids=lambda p: type(p).__name__,
)
def test_every_mapping_is_programmed(mapping, programming) -> None:
    hardware = mho.Hardware(
        device=PCM, mapping=mapping, programming=programming, tile=mho.Tile(rows=20, columns=4)
    )
    analog = programmed(hardware)
    digital = network()(X)
    assert float((analog(X) - digital).norm() / digital.norm()) < 0.5
    assert mho.Hardware.from_json(hardware.to_json()) == hardware


def test_gradient_programming_makes_up_for_the_wires() -> None:
    digital = network()(X)
    wires = mho.array.Wires(row=5.0, column=5.0)
    first = WriteVerify(tolerance=0.005)
    errors = [
        float((programmed(mho.Hardware(device=PCM, array=wires, programming=p))(X) - digital).norm())
        for p in (first, GradientProgramming(first=first, rounds=100))
    ]
    assert errors[1] < 0.4 * errors[0]


@pytest.mark.parametrize("scheme", [None, mho.array.HalfVoltage()])
def test_switching_cells_hold_a_network(scheme) -> None:
    pulse = VoltagePulses(up=PULSES.up, down=PULSES.down, scheme=scheme)
    hardware = mho.Hardware(device=mho.devices.Switching(), programming=WriteVerify(pulse=pulse))
    analog = programmed(hardware)
    digital = network()(X)
    assert float((analog(X) - digital).norm() / digital.norm()) < 0.1
    assert mho.Hardware.from_json(hardware.to_json()) == hardware
    exact = programmed(mho.Hardware(device=mho.devices.Switching()))
    torch.testing.assert_close(exact(X), digital, rtol=1e-4, atol=1e-4)
    report = mho.programming_report(analog)
    assert report.failures == 0 and report.energy > 0 and report.pulses > 2 * 676


def test_report() -> None:
    analog = mho.convert(network(), mho.Hardware(device=PCM, programming=WriteVerify(tolerance=0.02)))
    with pytest.raises(NotProgrammedError):
        mho.programming_report(analog)
    mho.program(analog, 0)
    report = mho.programming_report(analog)
    rows = report.rows()
    assert [row["layer"] for row in rows] == ["0", "3"]
    assert [row["cells"] for row in rows] == [2 * 36, 2 * 640]
    assert report.pulses == sum(row["pulses"] for row in rows) >= 1352
    layer = analog[3]
    weight = layer.matrix(layer.weight.detach())
    done = tile.write_cells(
        layer.hardware,
        layer.hardware.mapping.targets(weight / weight.abs().amax(-2, keepdim=True), PCM.g_min, PCM.g_max),
        layer.layout,
        0,
        "3",
    )
    assert torch.equal(done.g, layer.chip_g)
    summary = report.layers["3"]
    assert summary.histogram == tuple(torch.bincount(done.pulses.flatten()).tolist())
    assert summary.pulses == int(done.pulses.sum()) and summary.failures == int(done.failed.sum())
    assert summary.energy == pytest.approx(float(done.energy.sum()), rel=1e-5)
    assert summary.seconds == pytest.approx(float(done.seconds.sum()), rel=1e-5)
    assert 0 < summary.error <= 0.02
    frame = report.to_frame()
    assert list(frame["cells"]) == [72, 1280] and frame["seconds"].sum() == pytest.approx(report.seconds)
    assert str(report).splitlines()[1].startswith("3: ")


def test_the_report_travels_with_the_model_and_not_with_its_state() -> None:
    hardware = mho.Hardware(device=PCM, programming=WriteVerify())
    analog = programmed(hardware)
    report = mho.programming_report(analog)
    assert mho.programming_report(copy.deepcopy(analog)) == report
    file = io.BytesIO()
    torch.save(analog, file)
    file.seek(0)
    assert mho.programming_report(torch.load(file, weights_only=False)) == report
    other = mho.convert(network(), hardware)
    other.load_state_dict(analog.state_dict())
    assert mho.programming_report(other).layers == {}
    assert torch.equal(other[3].chip_g, analog[3].chip_g)
    assert not any("written" in name for name in analog.state_dict())
    assert not hasattr(mho.revert(analog)[3], "written")


@pytest.mark.parametrize("programming", [SingleShot(), WriteVerify(tolerance=0.02)])
def test_stacked_chips_are_programmed_as_single_ones(programming) -> None:
    analog = mho.convert(network(), mho.Hardware(device=PCM, programming=programming)).eval()
    copies = chip_weights(analog, [3, 4])
    for number, seed in enumerate((3, 4)):
        mho.program(analog, seed)
        for path, weight in mho.effective_weights(analog).items():
            torch.testing.assert_close(copies[f"{path}.weight"][number], weight, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("device", "programming"),
    [
        (PCM, WriteVerify(tolerance=0.02)),
        (mho.devices.Switching(), WriteVerify(pulse=PULSES)),
        (PCM, GradientProgramming(rounds=3)),
    ],
    ids=["corrections", "pulses", "gradient"],
)
def test_effects_act_after_programming(device, programming) -> None:
    """A chip programmed with stuck cells is the chip whose cells got stuck later."""
    sound = programmed(mho.Hardware(device=device, programming=programming))
    stuck = mho.devices.StuckAt(device=device, lrs=0.2)
    made = programmed(mho.Hardware(device=stuck, programming=programming))
    mho.degrade(sound, mho.devices.StuckAt(lrs=0.2), seed=0)
    first, second = mho.conductances(made), mho.conductances(sound)
    assert all(torch.equal(first[path], second[path]) for path in first)
    assert float((first["3"] == device.g_max).double().mean()) > 0.1


def test_a_switching_device_is_copied_and_pickled() -> None:
    hardware = mho.Hardware(device=mho.devices.Switching(), programming=WriteVerify(pulse=PULSES))
    for other in (copy.deepcopy(hardware), pickle.loads(pickle.dumps(hardware))):
        assert other == hardware and other.device.g_max == hardware.device.g_max == 0.02


def test_biases_on_rows_are_programmed_too() -> None:
    torch.manual_seed(0)
    model = nn.Linear(20, 6).requires_grad_(False).eval()
    hardware = mho.Hardware(
        device=PCM, programming=WriteVerify(pulse=Correction(disturb=0.001)), tile=mho.Tile(rows=8, columns=4)
    )
    analog = mho.convert(model, hardware, bias_rows=2).eval()
    mho.program(analog, 0)
    assert mho.programming_report(analog).layers[""].cells == 2 * 22 * 6
    x = torch.randn(5, 20)
    assert float((analog(x) - model(x)).norm() / model(x).norm()) < 0.1

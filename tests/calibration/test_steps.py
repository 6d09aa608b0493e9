"""What each step of a calibration brings, on chips that aged."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mho
from mho.calibration import Step, before_after
from mho.periphery import Affine, AffineFit
from mho.training import re_estimate_batch_norm

YEAR = 31_536_000


def aged_network() -> tuple[nn.Module, list[Tensor]]:
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(24, 40), nn.BatchNorm1d(40), nn.ReLU(), nn.Linear(40, 8))
    data = [torch.randn(100, 24) for _ in range(5)]
    re_estimate_batch_norm(model, data)
    hardware = mho.Hardware(
        device=mho.devices.PCM(read_scale=0.0), dac=mho.DAC(), adc=mho.ADC(), tile=mho.Tile(rows=12)
    )
    analog = mho.convert(model.eval(), hardware)
    mho.program(analog, seed=0)
    mho.age(analog, YEAR)
    return analog, data


def test_a_year_old_chip_step_by_step() -> None:
    analog, data = aged_network()
    x = torch.cat(data)
    wanted = mho.revert(analog).eval()(x).detach()

    def error(model: nn.Module) -> Tensor:
        return (model.eval()(x) - wanted).norm() / wanted.norm()

    table = before_after(
        analog,
        error,
        {
            "ranges": partial(mho.calibrate, data=data),
            "drift": mho.compensate,
            "affine": partial(mho.compensate, method=Affine(), data=data),
            "batch norm": partial(re_estimate_batch_norm, data=data),
        },
    )
    assert [row.step for row in table] == ["ranges", "drift", "affine", "batch norm"]
    assert table[0].before is None
    for row, following in itertools.pairwise(table):
        assert row.after == following.before
    assert table[0].after > 2 * table[1].after and table[1].after > table[2].after
    assert table[3].after == pytest.approx(float(error(analog).detach()))
    frame = table.to_frame()
    assert list(frame.columns) == ["step", "before", "after"] and len(frame) == 4
    lines = str(table).splitlines()
    assert lines[0].split() == ["step", "before", "after", "change"]
    assert lines[1].split()[:2] == ["ranges", "-"] and lines[2].split()[-1].startswith("-")


@pytest.mark.parametrize("value", [None, True, "good", torch.ones(2)], ids=repr)
def test_a_metric_is_a_number(value: object) -> None:
    model = mho.convert(nn.Linear(2, 2), mho.Hardware())
    with pytest.raises(TypeError, match="it must give one number"):
        before_after(model, lambda _: value, {"nothing": lambda _: None})  # type: ignore[arg-type,return-value]
    assert before_after(model, lambda _: np.float32(0.5), {"nothing": lambda _: None}) == (
        Step("nothing", 0.5, 0.5),
    )


# --- affine: of each column, of each layer ----------------------------------------------------------


@pytest.mark.filterwarnings("ignore::mho.errors.NotProgrammedWarning")  # the targets are what is wanted
@pytest.mark.parametrize("bias", [True, False])
def test_one_line_for_a_layer_is_the_line_through_all_outputs(bias: bool) -> None:
    """Without the bias, which the array never saw (with it, the line would be another)."""
    layer = mho.convert(
        nn.Linear(20, 6, bias=bias), mho.Hardware(device=mho.devices.PCM(read_scale=0.0))
    ).eval()
    if bias:
        nn.init.uniform_(layer.bias, -5, 5)
    x = torch.rand(500, 20) * 2 - 1  # random inputs serve as well as data
    offset = layer.bias.detach() if bias else 0.0
    wanted = layer(x).detach() - offset
    mho.program(layer, seed=0)
    mho.age(layer, YEAR)
    measured = layer(x).detach() - offset
    slope, intercept = np.polyfit(measured.double().flatten(), wanted.double().flatten(), 1)
    mho.compensate(layer, Affine(per_column=False), data=x.split(64))
    assert layer.chip_gain.tolist() == pytest.approx([slope] * 6, rel=1e-5)
    assert layer.chip_shift.tolist() == pytest.approx([intercept] * 6, abs=1e-5)
    corrected = layer(x).detach() - offset
    assert float((corrected - wanted).norm()) < 0.5 * float((measured - wanted).norm())
    before = layer.chip_gain.clone()
    mho.compensate(layer, Affine(per_column=False), data=[x])  # again: nothing is left to correct
    torch.testing.assert_close(layer.chip_gain, before, rtol=1e-4, atol=0)


def test_one_line_from_running_sums() -> None:
    x = torch.randn(50, 3) + torch.tensor([0.0, 3.0, -2.0])
    y = 2 * x + torch.randn(50, 3)
    fit = AffineFit(together=True)
    fit.add(x, y)
    gain, shift = fit.solve()
    wanted = np.polyfit(x.double().flatten(), y.double().flatten(), 1)
    assert [gain.tolist(), shift.tolist()] == [pytest.approx([v] * 3) for v in wanted]


def test_a_layer_that_met_no_number_is_named() -> None:
    model = mho.convert(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)), mho.Hardware())
    mho.program(model, seed=0)
    with torch.no_grad():
        model[0].bias[0] = float("nan")
    with pytest.raises(ValueError, match="of the layer '0' met NaN"):
        mho.compensate(model, Affine(), data=[torch.ones(2, 3)])
    assert bool((model[1].chip_gain == 1).all())


# --- batch normalisation on chips -------------------------------------------------------------------


def test_statistics_of_an_aged_and_compensated_chip() -> None:
    analog, data = aged_network()
    mho.calibrate(analog, data)
    mho.compensate(analog)
    before = analog[1].running_var.clone()
    re_estimate_batch_norm(analog, data)
    hidden = [analog[0].eval()(x).detach() for x in data]
    torch.testing.assert_close(analog[1].running_mean, torch.stack([h.mean(0) for h in hidden]).mean(0))
    torch.testing.assert_close(analog[1].running_var, torch.stack([h.var(0) for h in hidden]).mean(0))
    assert not torch.equal(analog[1].running_var, before)


def test_statistics_that_cannot_be_measured_stay() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = nn.BatchNorm1d(3), nn.BatchNorm1d(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    model = Two()
    for norm in (model.used, model.spare):
        nn.init.uniform_(norm.running_mean)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for data, message in (
        ([], "data gave no batch"),
        ([torch.full((4, 3), float("nan"))], "'used' met NaN or infinite values"),
    ):
        with pytest.raises(ValueError, match=message):
            re_estimate_batch_norm(model, data)
        after = model.state_dict()
        assert all(torch.equal(v, after[k]) for k, v in before.items())
    with pytest.raises(TypeError, match="data is a Tensor: give batches"):
        re_estimate_batch_norm(model, torch.ones(4, 3))
    re_estimate_batch_norm(model, [torch.randn(9, 3)])
    assert torch.equal(model.spare.running_mean, before["spare.running_mean"])
    assert not torch.equal(model.used.running_mean, before["used.running_mean"])
    assert model.used.momentum == 0.1

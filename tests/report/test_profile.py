"""The small histograms show what was counted, and the full scales where they are."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import nn

import mho
from mho.calibration import calibrated_hardware
from mho.converters import Calibrated, EachSlice, Fixed, Learned, LeastSquares
from mho.mapping import BitSlicing
from mho.report.profile import full_scales, profile_figure

DATA = [torch.randn(200, 20)]


def analog(**hardware: object) -> nn.Module:
    model = nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 4))
    return mho.convert(model, mho.Hardware(dac=mho.DAC(), tile=mho.Tile(rows=10), **hardware))  # type: ignore[arg-type]


def test_a_row_for_each_layer_and_a_panel_for_each_slice() -> None:
    model = analog(mapping=BitSlicing(bits=7, slices=3), adc=mho.ADC())
    figure = profile_figure(mho.profile(model, DATA))
    assert len(figure.axes) == 2 * 4
    assert [axes.get_ylabel() for axes in figure.axes[::4]] == ["0", "2"]
    assert figure.axes[3].get_title(loc="left") == "currents of slice 2 (cell currents)"
    assert len(figure.axes[0].patches) == 2  # two tiles
    for axes in figure.axes:
        for steps in axes.patches:
            assert float(np.sum(steps.get_data().values)) == pytest.approx(1.0)
    figure.savefig(io.BytesIO(), format="png")


def test_full_scales_are_lines() -> None:
    model = analog(adc=mho.ADC(bits=4, range=LeastSquares(per_tile=True)))
    mho.calibrate(model, DATA)
    figure = profile_figure(mho.profile(model, DATA), {"found": calibrated_hardware(model)})
    inputs, currents = figure.axes[:2]
    limit = float(model[0].input_range)
    assert sorted(line.get_xdata()[0] for line in inputs.lines) == pytest.approx([-limit, limit])
    wanted = model[0].output_range.flatten().tolist()
    assert sorted(line.get_xdata()[0] for line in currents.lines)[2:] == pytest.approx(sorted(wanted))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["found"]
    figure.savefig(io.BytesIO(), format="png")


def test_the_full_scales_of_every_range() -> None:
    def of(range_: object, part: int = 1) -> list[float]:
        return full_scales(mho.ADC(range=range_), part)  # type: ignore[arg-type]

    assert of(Fixed(limit=2.0)) == [2.0] and of(Learned(initial=4.0)) == [4.0]
    assert of(EachSlice(limits=(1.0, 3.0))) == [3.0]
    assert of(Calibrated()) == [] and of(Calibrated(limits=((5.0,),))) == [5.0]
    assert of(Calibrated(per_tile=True, limits=((1.0, 2.0), (3.0, 4.0)))) == [3.0, 4.0]


def test_nothing_to_draw() -> None:
    model = nn.ModuleDict({"used": nn.Linear(2, 2), "spare": nn.Linear(2, 2)})

    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers["used"](x)

    made = mho.convert(One(), mho.Hardware(adc=mho.ADC()))
    seen = mho.profile(made, [torch.zeros(3, 2)])  # all zero: still a panel
    assert len(profile_figure(seen).axes) == 2
    seen.layers.pop("layers.used")
    with pytest.raises(ValueError, match="no layer of this profile was reached"):
        profile_figure(seen)

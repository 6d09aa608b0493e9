"""A full scale for each slice of the weights."""

from __future__ import annotations

import pytest
import torch

import mho
from mho.converters import SAR, Calibrated, EachSlice, Fixed
from mho.errors import ConfigError
from mho.nn import AnalogConv2d, AnalogEmbedding, AnalogLinear

LIMITS = (4.0, 2.0, 1.0)


def described(adc: mho.ADC | SAR) -> mho.Hardware:
    mapping = mho.mapping.BitSlicing(bits=7, slices=3)
    return mho.Hardware(mapping=mapping, adc=adc, tile=mho.Tile(rows=9))


@pytest.mark.parametrize("adc", [mho.ADC, SAR])
@torch.no_grad()
def test_equals_the_same_ranges_by_calibration(adc: type) -> None:
    for kind, arguments, x in (
        (AnalogLinear, (18, 5), torch.randn(4, 18)),
        (AnalogConv2d, (2, 5, 3), torch.randn(2, 2, 5, 5)),
        (AnalogEmbedding, (18, 5), torch.arange(18)),
    ):
        torch.manual_seed(0)
        given = kind(*arguments, hardware=described(adc(bits=6, range=EachSlice(limits=LIMITS)))).eval()
        found = kind(*arguments, hardware=described(adc(bits=6, range=Calibrated(per_tile=True)))).eval()
        found.load_state_dict(given.state_dict())
        found.set_range("output_range", torch.tensor(LIMITS).view(3, 1, 1).expand(3, 2, 1))
        for layer in (given, found):
            mho.program(layer, seed=0)
        assert torch.allclose(given(x), found(x), atol=1e-5)
        same = kind(*arguments, hardware=described(adc(bits=6, range=Fixed(limit=4.0)))).eval()
        same.load_state_dict({k: v for k, v in given.state_dict().items() if ".chip_" not in k})
        mho.program(same, seed=0)
        assert not torch.allclose(given(x), same(x), atol=1e-5)


def test_as_many_as_slices() -> None:
    with pytest.raises(ConfigError, match="3 channels"):
        described(mho.ADC(range=EachSlice(limits=(1.0, 2.0))))
    with pytest.raises(ConfigError, match="same inputs"):
        mho.Hardware(dac=mho.DAC(range=EachSlice(limits=(1.0,))))
    with pytest.raises(ConfigError, match="at least|one full scale"):
        EachSlice(limits=())

"""The gradient by the weights of a chip: that of the digital layer, however the chip is put together."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import mho
from mho.mapping import Mapping
from mho.periphery import Affine, ColumnDrift, Compensation, GlobalDrift

APART: dict[str, dict[str, Any]] = {"whole": {}, "tiles apart": {"adc": mho.ADC(bits=None)}}
MAPPINGS: dict[str, Mapping] = {
    "pair": mho.mapping.DifferentialPair(),
    "column scales": mho.mapping.DifferentialPair(scale=mho.mapping.Maximum(per_column=True)),
    "two channels": mho.mapping.DifferentialPair(digital_subtraction=True),
    "unit column": mho.mapping.Offset(unit_column=True),
    "slices": mho.mapping.BitSlicing(bits=6, slices=3),
}


@pytest.mark.filterwarnings("ignore::mho.StaleChipWarning")
@pytest.mark.parametrize("method", [GlobalDrift(), ColumnDrift(), Affine()], ids=repr)
@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("parts", APART)
def test_corrections_are_part_of_the_weights(parts: str, mapping: str, method: Compensation) -> None:
    """Digital gains, and weights that have moved since programming, leave the gradient straight through."""
    torch.manual_seed(0)
    digital, x = nn.Linear(6, 5), torch.randn(4, 6)
    hardware = mho.Hardware(
        device=mho.devices.PCM(read_scale=0.0),
        mapping=MAPPINGS[mapping],
        tile=mho.Tile(rows=4),
        **APART[parts],
    )
    chip = mho.convert(digital, hardware)
    mho.program(chip, seed=0)
    mho.age(chip, 1e6)
    mho.compensate(chip, method, [x] if method.needs_data else None)
    assert float((chip.chip_gain - 1).abs().min()) > 0.02
    mho.train_on_chip(chip)
    with torch.no_grad():
        chip.weight.mul_(1.5)
    y = chip.train()(x)
    (y * torch.linspace(-1, 1, y.numel()).view(y.shape)).sum().backward()
    z = digital(x)
    (z * torch.linspace(-1, 1, z.numel()).view(z.shape)).sum().backward()
    torch.testing.assert_close(chip.weight.grad, digital.weight.grad, rtol=1e-4, atol=1e-5)

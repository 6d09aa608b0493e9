"""Reads that move the state, against pulse after pulse of the switching model."""

from __future__ import annotations

import pytest
import torch

import mho
from mho.devices import PCM, Ideal, ReadDisturb, StuckAt
from mho.devices.dynamics import VTEAM, Joglekar
from mho.errors import ConfigError

MODEL = VTEAM(r_on=1e4, r_off=1e6)
CELL = Ideal(g_min=2e-6, g_max=50e-6)


@pytest.mark.parametrize(
    "model", [MODEL, VTEAM(r_on=1e4, r_off=1e6, window=Joglekar(p=2))], ids=["exact", "window"]
)
def test_many_pulses_one_after_the_other(model: VTEAM) -> None:
    g = torch.linspace(2e-6, 50e-6, 7, dtype=torch.float64)
    device = ReadDisturb(model=model, reads=20.0, pulse=1e-9, voltage=0.15, device=CELL)
    state = model.state_of(g)
    for _ in range(20):
        state = model.step(state, 0.15, 1e-9)
    wanted = model.conductance(state)
    now = device.aged(g, torch.empty(0, 7), 1e3)
    torch.testing.assert_close(now, wanted, rtol=1e-4, atol=0)
    assert bool((now < g).all()) and float((now / g).min()) < 0.95


def test_nothing_moves_without_reads_or_below_threshold() -> None:
    g = torch.linspace(2e-6, 50e-6, 7, dtype=torch.float64)
    for fields in ({"reads": 0.0}, {"pulse": 0.0}, {"voltage": 0.5 * MODEL.v_off}):
        given = {"reads": 1e6, "pulse": 1e-6, "voltage": 0.15, **fields}
        now = ReadDisturb(model=MODEL, device=CELL, **given).aged(g, torch.empty(0, 7), 0.0)  # type: ignore[arg-type]
        torch.testing.assert_close(now, g, rtol=1e-12, atol=0)


def test_on_a_programmed_network_with_stuck_cells() -> None:
    analog = mho.convert(torch.nn.Linear(12, 6), mho.Hardware(device=CELL)).eval()
    mho.program(analog, seed=0)
    mho.degrade(analog, StuckAt(lrs=0.2), seed=0)
    before = mho.conductances(analog)[""]
    mho.degrade(analog, ReadDisturb(model=MODEL, reads=20.0, pulse=1e-9, voltage=0.15), seed=0)
    after = mho.conductances(analog)[""]
    stuck = analog.chip_cells[0] >= 0
    assert torch.equal(after[stuck], before[stuck])
    assert bool((after[~stuck] <= before[~stuck]).all()) and bool((after < before).any())


def test_errors() -> None:
    with pytest.raises(ConfigError, match="narrow the device"):
        ReadDisturb(model=MODEL, reads=1.0, pulse=1e-9, device=PCM())
    varied = VTEAM().with_values(r_on=torch.full((3,), 60.0))
    with pytest.raises(ConfigError, match="differ by cell"):
        ReadDisturb(model=varied, reads=1.0, pulse=1e-9)

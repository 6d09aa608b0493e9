"""The composition: what a chip's state is made of, and what its description leaves alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import mho
from mho import blocks, mapping, random
from mho.chip import tile
from mho.nn import AnalogLinear
from mho.periphery import ColumnDrift, GlobalDrift

PCM = mho.devices.PCM()
MAPPINGS = {
    "pair": mapping.DifferentialPair(),
    "two-sided": mapping.DifferentialPair(two_sided=True, scale=mapping.Maximum(per_column=True)),
    "offset": mapping.Offset(),
    "unit column": mapping.Offset(unit_column=True),
    "slices": mapping.BitSlicing(bits=8, slices=4),
    "sliced column": mapping.BitSlicing(bits=8, slices=4, offset=True, unit_column=True),
    "significance": mapping.SignificancePairs(factors=(1.0, 3.0)),
}


def layer(device: mho.devices.Device = PCM, **hardware: object) -> AnalogLinear:
    torch.manual_seed(3)
    return AnalogLinear(24, 10, hardware=mho.Hardware(device=device, **hardware)).eval().requires_grad_(False)


def state(made: AnalogLinear, seed: int = 0, path: str = "fc") -> tile.TileState:
    return tile.program(made.hardware, made.matrix(made.weight), made.layout, seed, path)


@pytest.mark.parametrize("name", MAPPINGS)
def test_programming_is_target_and_draws(name: str) -> None:
    """Conductances and exponents are the device's, from the streams of seed, path and mechanism."""
    made = layer(mapping=MAPPINGS[name])
    chip = state(made, seed=5)
    w = made.matrix(made.weight)
    target = made.hardware.mapping.targets(w / chip.scale, PCM.g_min, PCM.g_max)
    assert torch.equal(chip.g, PCM.programmed(target, random.normal(target.shape, 5, "fc", "program")))
    assert torch.equal(chip.cells, PCM.drift_state(target, random.normal(target.shape, 5, "fc", "drift")))
    assert chip.g.shape[0] == made.hardware.mapping.copies
    assert float(chip.seconds) == 0 and chip.seconds.dtype == torch.float64
    assert bool((chip.gain == 1).all()) and not bool(chip.shift.any())
    own = ("converters", "drivers")  # a uniform ADC and a DAC without spread have no errors of their own
    assert chip.converters is None and chip.drivers is None
    assert all(isinstance(part, Tensor) for name, part in chip._asdict().items() if name not in own)


@pytest.mark.parametrize(
    "change",
    [{"tile": mho.Tile(rows=5, columns=3)}, {"dac": mho.DAC()}, {"adc": mho.ADC()}],
    ids=str,
)
def test_a_chip_does_not_depend_on_what_is_around_its_cells(change: dict) -> None:
    one, other = state(layer()), state(layer(**change))
    assert torch.equal(one.g, other.g) and torch.equal(one.cells, other.cells)
    assert int(one.hardware) != int(other.hardware)  # but it is known as another one


@pytest.mark.parametrize("name", MAPPINGS)
def test_ideal_cells_hold_the_mapped_weights(name: str) -> None:
    made = layer(mho.devices.Ideal(g_min=1e-6, g_max=20e-6), mapping=MAPPINGS[name])
    chip = state(made)
    held = tile.effective_weight(made.hardware, chip, made.layout)
    step = float(chip.scale.max()) / 127 if "slice" in name else 1e-5
    assert float((held - made.matrix(made.weight)).abs().max()) <= 0.51 * step
    # its reference read is the mean magnitude of what it holds
    wanted = (held / chip.scale).abs().mean(dim=-2).flatten()
    torch.testing.assert_close(chip.baseline, wanted, rtol=1e-4, atol=1e-6)


def test_a_reference_read_has_the_noise_of_its_cells() -> None:
    device = mho.devices.Generic(g_min=2e-6, read=mho.devices.Proportional(sigma=0.02))
    made = layer(device, mapping=mapping.Offset())
    chip = state(made)
    reads = torch.stack(
        [
            tile.reference_read(made.hardware, chip, made.layout, torch.randn_like(chip.g))
            for _ in range(4_000)
        ]
    )
    silent = tile.reference_read(made.hardware, chip, made.layout, torch.zeros_like(chip.g))
    w = (made.matrix(made.weight) / chip.scale)[0]
    torch.testing.assert_close(silent, w.abs().mean(0), rtol=1e-4, atol=1e-6)
    # weights far from zero keep their sign in a read: their noise is that of the conductance
    sigma = 0.02 * chip.g[0, 0] * 2 / (25e-6 - 2e-6)
    assert float((w.abs() > 4 * sigma).float().mean()) > 0.8
    spread = sigma.square().sum(0).sqrt() / 24
    torch.testing.assert_close(reads.std(0), spread, rtol=0.12, atol=0)


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large arrays go through their device block after block."""
    made = layer(adc=mho.ADC(range=mho.converters.Dynamic()))
    whole = state(made)
    eps = torch.randn_like(whole.g)
    aged = tile.age(made.hardware, whole, 1e6)
    now, read = (
        tile.conductances(made.hardware, aged),
        tile.reference_read(made.hardware, aged, made.layout, eps),
    )
    monkeypatch.setattr(blocks, "BLOCK", 100)
    cut = state(made)
    assert all(torch.equal(a, b) for a, b in zip(whole[:-2], cut[:-2], strict=True))
    assert whole._fields[-2:] == ("converters", "drivers") and whole[-2:] == cut[-2:] == (None, None)
    assert torch.equal(tile.conductances(made.hardware, aged), now)
    torch.testing.assert_close(tile.reference_read(made.hardware, aged, made.layout, eps), read)


def test_compensation_floors() -> None:
    """An array that reads nothing gets no infinite gain, and one that never read anything none at all."""
    made = layer(mho.devices.Ideal())
    chip = state(made)
    nothing = torch.zeros_like(chip.baseline)
    assert float(tile.compensated(chip, nothing, ColumnDrift()).gain.max()) <= 1e4
    empty = chip._replace(baseline=nothing)
    assert bool((tile.compensated(empty, nothing, GlobalDrift()).gain == 1).all())


def test_what_keeps_tiles_apart() -> None:
    assert not tile.is_tiled(mho.Hardware(dac=mho.DAC(), device=PCM))
    assert tile.is_tiled(mho.Hardware(adc=mho.ADC()))
    assert tile.is_tiled(mho.Hardware(dac=mho.DAC(range=mho.converters.Calibrated(per_tile=True))))
    assert tile.is_tiled(mho.Hardware(mapping=mapping.Offset(unit_column=True)))


@pytest.mark.parametrize("name", MAPPINGS)
@pytest.mark.parametrize("rows", [7, 24])
def test_reading_before_programming_is_reading_the_targets(name: str, rows: int) -> None:
    converters = {
        "dac": mho.DAC(range=mho.converters.Dynamic()),
        "adc": mho.ADC(range=mho.converters.Dynamic()),
    }
    made = layer(
        mho.devices.Ideal(g_min=1e-6),
        mapping=MAPPINGS[name],
        tile=mho.Tile(rows=rows, columns=4),
        **converters,
    )
    x = torch.randn(9, 24)
    before = made(x)
    mho.program(made, seed=0)
    torch.testing.assert_close(made(x), before, rtol=1e-5, atol=1e-6)


def test_cells_that_no_weight_needs_are_absent() -> None:
    """Padding is never programmed: an almost empty tile has no more current than its weights."""
    made = layer(mho.devices.PCM(read_scale=1.0), tile=mho.Tile(rows=23, columns=9, full=True))
    chip = state(made)
    assert chip.g.shape == (2, 1, 24, 10)
    assert [b - a for a, b in made.layout.rows] == [23, 1] and [b - a for a, b in made.layout.columns] == [
        9,
        1,
    ]
    assert nn.Linear(24, 10).weight.numel() * 2 == chip.g.numel()

"""Outputs with the statistics of a table."""

from __future__ import annotations

import math

import pytest
import torch

import mho
from mho.converters import Fixed, OutputErrors, with_bits
from mho.errors import ConfigError

TABLE = {"levels": [-7, -3, 0, 4, 7], "mean": [-6.5, -2.9, 0.2, 3.5, 6.0], "std": [0.5, 0.2, 0.1, 0.3, 0.6]}


def layer(adc: mho.ADC, **named: object) -> mho.nn.AnalogLinear:
    """An identity whose outputs are codes, once the ADC has the full scale 7."""
    hardware = mho.Hardware(adc=adc, mapping=mho.mapping.DifferentialPair(scale=mho.mapping.Fixed()), **named)
    made = mho.nn.AnalogLinear(1, 1, bias=False, dtype=torch.float64, hardware=hardware)
    torch.nn.init.ones_(made.weight)
    mho.program(made.eval(), seed=0)
    return made


def adc(**named: object) -> OutputErrors:
    return OutputErrors.of_codes(**TABLE, bits=4, range=Fixed(limit=7.0), **named)


@pytest.mark.parametrize("place", range(5))
def test_moments_of_each_level_are_those_of_the_table(place: int) -> None:
    torch.manual_seed(place)
    count = 20_000
    with torch.no_grad():
        y = layer(adc())(torch.full((count, 1), float(TABLE["levels"][place]), dtype=torch.float64))
    mean, std = TABLE["mean"][place], TABLE["std"][place]
    assert abs(float(y.mean()) - mean) < 4 * std / math.sqrt(count)
    assert abs(float(y.std()) - std) < 4 * std / math.sqrt(2 * count)


def test_between_levels_the_table_is_linear_and_beyond_it_the_error_stays() -> None:
    half = OutputErrors.of_codes([-2, 2], [-1.0, 3.0], [0.1, 0.3], bits=4)
    mean, std = half.errors(torch.tensor([-7.0, -2.0, 0.0, 1.0, 7.0], dtype=torch.float64))
    torch.testing.assert_close(mean, torch.tensor([-6.0, -1.0, 1.0, 2.0, 8.0], dtype=torch.float64))
    torch.testing.assert_close(std, torch.tensor([0.1, 0.1, 0.2, 0.25, 0.3], dtype=torch.float64))


def test_a_table_without_errors_is_the_adc() -> None:
    plain = mho.ADC(bits=4, range=Fixed(limit=7.0))
    exact = OutputErrors(bits=4, range=Fixed(limit=7.0), levels=(-1.0, 1.0), mean=(-1.0, 1.0), std=(0.0, 0.0))
    x = torch.linspace(-9, 9, 50, dtype=torch.float64).view(-1, 1)
    fixed = {"dac": mho.DAC(bits=8, range=Fixed(limit=9.0))}  # a read whose factors are made beforehand
    for named in ({}, fixed):
        torch.testing.assert_close(layer(exact, **named)(x), layer(plain, **named)(x), rtol=0, atol=1e-12)


def test_noise_is_drawn_anew_and_quiet_takes_it_off() -> None:
    x = torch.full((3, 1), 4.0, dtype=torch.float64)
    noisy = layer(adc())
    with torch.no_grad():
        assert len(set(noisy(x).flatten().tolist())) == 3
        assert layer(adc().quiet())(x).flatten().tolist() == pytest.approx([3.5] * 3)


def test_every_tile_has_its_own_errors() -> None:
    """Four conversions of 1 each: means add, variances add."""
    torch.manual_seed(0)
    given = OutputErrors.of_codes([0, 7], [0.5, 7.5], [0.1, 0.1], bits=4, range=Fixed(limit=7.0))
    hardware = mho.Hardware(
        adc=given, tile=mho.Tile(rows=1), mapping=mho.mapping.DifferentialPair(scale=mho.mapping.Fixed())
    )
    made = mho.nn.AnalogLinear(4, 1, bias=False, dtype=torch.float64, hardware=hardware)
    torch.nn.init.ones_(made.weight)
    mho.program(made.eval(), seed=0)
    with torch.no_grad():
        y = made(torch.ones(10_000, 4, dtype=torch.float64))
    assert abs(float(y.mean()) - 6.0) < 4 * 0.2 / 100
    assert abs(float(y.std()) - 0.2) < 4 * 0.2 / math.sqrt(20_000)


def test_it_goes_through_json_and_other_bits(tmp_path) -> None:
    hardware = mho.Hardware(adc=adc())
    assert mho.Hardware.from_json(hardware.to_json()) == hardware
    finer = with_bits(adc(), 8)
    assert finer.high == 127
    mean, _ = finer.errors(torch.tensor([127.0]))
    assert float(mean) == pytest.approx(6.0 / 7 * 127)
    path = tmp_path / "noise.csv"
    path.write_text("output,mean,std\n" + "\n".join(map("{},{},{}".format, *TABLE.values())))
    table = mho.devices.read_output_noise(path)
    read = OutputErrors.of_codes(table.output, table.mean, table.std, bits=4, range=Fixed(limit=7.0))
    assert read == adc()


def test_tables_that_are_none_are_refused() -> None:
    good = {"levels": (-1.0, 1.0), "mean": (-1.0, 1.0), "std": (0.0, 0.0)}
    for bad in (
        {"levels": (1.0, -1.0)},
        {"mean": (1.0,)},
        {"levels": (0.0,)},
        {"bits": None},
        {"std": (-1.0, 0.0)},
    ):
        with pytest.raises(ConfigError):
            OutputErrors(**{**good, **bad})

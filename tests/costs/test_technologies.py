"""Technologies against their papers: the sums follow from described parts and a traced layer."""

import csv
import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

import mho
from mho import costs
from mho.config import ConfigError, config, from_json, to_json
from mho.converters import ADC, DAC, Stream
from mho.costs import Part, Technology, Work
from mho.costs.base import Floor
from mho.costs.scaling import AREA, ENERGY, area_ratio, energy_ratio
from mho.mapping import BitSlicing
from mho.testing import check_cost

DATA = Path(__file__).parents[1] / "reference" / "data" / "cost"
CASES = json.loads((DATA / "cost_cases.json").read_text())


def about(value, rel=1e-6):
    """Without the absolute tolerance of pytest, which is a picojoule."""
    return pytest.approx(value, rel=rel, abs=0)


def chip(layer: nn.Linear, **parts) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    x = torch.rand(4, layer.in_features)
    model = mho.convert(layer, mho.Hardware(**parts)).eval()
    mho.calibrate(model, [x])
    mho.program(model, seed=0)
    return model, x


def isaac(**wide):
    size = {"in_features": 128, "out_features": 128, **wide}
    slices = BitSlicing(bits=16, slices=8, offset=True)
    dac = DAC(bits=16, signed=False, stream=Stream())
    tile = mho.Tile(rows=128, columns=128)
    model, x = chip(nn.Linear(**size, bias=False), mapping=slices, tile=tile, dac=dac, adc=ADC(bits=8))
    return mho.cost(model, [x], costs.ISAAC)


@pytest.mark.parametrize("name", costs.TECHNOLOGIES)
def test_each_technology_keeps_the_contract(name) -> None:
    technology = costs.TECHNOLOGIES[name]
    check_cost(technology)
    assert from_json(to_json(technology)) == technology
    for part in getattr(technology, "parts", ()):
        assert part.source, f"{name}: {part.name} says nowhere where its figures are from"


def test_isaac_adds_up() -> None:
    """The sums of Table I, from its parts and one layer that fills a core."""
    gold, report = CASES["isaac_ce"], isaac()
    peak = report.peak
    assert math.isclose(peak.power, gold["chip_W"], rel_tol=1e-6)
    assert math.isclose(peak.square_metres * 1e6, gold["chip_mm2"], rel_tol=1e-6)
    assert math.isclose(peak.tops, gold["chip_TOPS"], rel_tol=1e-9)
    assert math.isclose(peak.tops_per_watt, gold["chip_TOPS_per_W"], rel_tol=1e-6)
    for found, wanted in ((peak.watts, "tile_mW"), (peak.area, "tile_mm2")):
        of_tiles = math.fsum(v for part, v in found.items() if part != "HyperTransport") / 168
        scale = 1e3 if wanted == "tile_mW" else 1e6
        assert math.isclose(of_tiles * scale, gold[wanted], rel_tol=1e-6)
    core = ("ADC", "DAC", "sample and hold", "arrays", "shift and add", "input register", "output register")
    assert math.isclose(math.fsum(peak.watts[p] for p in core) / 168 / 12 * 1e3, gold["ima_mW"], rel_tol=1e-6)
    assert math.isclose(math.fsum(peak.area[p] for p in core) / 168 / 12 * 1e6, gold["ima_mm2"], rel_tol=1e-6)
    assert math.isclose(peak.vector, gold["vector_time_s"]) and report.seconds == peak.vector
    energy = report.layers[""].energy
    assert math.isclose(
        math.fsum(energy[p] for p in core) / 16384 * 1e12, gold["ima_pJ_per_mac"], rel_tol=1e-6
    )
    share = peak.watts["ADC"] / math.fsum(peak.watts[p] for p in core)
    assert math.isclose(share, gold["adc_share_of_ima_power"], rel_tol=1e-6)
    for printed, found in (
        ("tile_mW", 329.81),
        ("chip_W", peak.power),
        ("chip_mm2", peak.square_metres * 1e6),
    ):
        assert math.isclose(gold["printed"][printed], found, rel_tol=0.01)


def test_a_network_on_isaac_takes_whole_tiles() -> None:
    report = isaac(in_features=256, out_features=1664)  # 2 x 13 x 8 arrays
    assert report.layers[""].work.arrays == 208 and report.floor == Floor(288, 36, 3, 1)
    assert math.isclose(report.square_metres * 1e6, 3 * CASES["isaac_ce"]["tile_mm2"] + 22.88, rel_tol=1e-4)
    assert report.energy["eDRAM buffer"] == about(3 * 20.7e-3 * 1.6e-6)
    assert "HyperTransport" not in report.energy  # one chip has no links


@pytest.mark.parametrize("k", range(10))
def test_neurram_against_its_silicon(k) -> None:
    """Every point within 11 %, as the page of the closed form says; the closed form itself is exact."""
    gold, (out, wide, one_phase, tops, per_watt, *_) = CASES["neurram_closed_form"][k], SILICON[k]
    report = neurram(out, wide, bool(one_phase))
    for found, form, silicon in (
        (report.peak.tops, "TOPS", tops),
        (report.peak.tops_per_watt, "TOPS_per_W", per_watt),
    ):
        assert math.isclose(found, gold[form], rel_tol=1e-9)
        assert math.isclose(found, silicon, rel_tol=0.11)
    assert math.isclose(report.tops_per_watt, gold["TOPS_per_W"], rel_tol=1e-9)  # the layer fills a core
    assert math.isclose(report.seconds, gold["mvm_time_s"])


SILICON = json.loads((DATA / "neurram_cost_golden.json").read_text())["tops_and_tops_per_w"]["rows"]


def neurram(bits_out: int, bits_in: int, one_phase: bool):
    stream = Stream(each=False)
    dac = DAC(bits=bits_in, stream=stream) if bits_in > 1 else DAC(bits=1, signed=False, stream=stream)
    model, x = chip(
        nn.Linear(128, 256, bias=False), tile=mho.Tile(rows=128, columns=256), dac=dac, adc=ADC(bits=bits_out)
    )
    return mho.cost(model, [x], dataclasses.replace(costs.NEURRAM, one_phase=one_phase))


def test_six_of_ten_points_are_within_five_per_cent_and_the_core_has_its_area() -> None:
    reports = [neurram(out, wide, bool(one)).peak for out, wide, one, *_ in SILICON]
    for k, name in ((3, "tops"), (4, "tops_per_watt")):
        near = sum(
            abs(getattr(r, name) / row[k] - 1) <= 0.05 for r, row in zip(reports, SILICON, strict=True)
        )
        assert near >= 6, name
    core = {part: area / 48 * 1e12 for part, area in reports[0].area.items()}
    areas = json.loads((DATA / "neurram_cost_golden.json").read_text())["core_area_um2"]["rows"]
    for (_, reference, _), part in zip(areas, ("neurons", "drivers", "cells"), strict=True):
        assert math.isclose(core[part], reference, rel_tol=0.01)


def test_phases_of_hermes_take_time_at_equal_power() -> None:
    tile = mho.Tile(rows=256, columns=256)
    model, x = chip(nn.Linear(256, 256, bias=False), tile=tile, dac=DAC(), adc=ADC())
    one, four = (mho.cost(model, [x], t) for t in (costs.HERMES, costs.HERMES_FOUR_PHASES))
    gold = CASES["hermes_64core"]
    assert math.isclose(four.seconds / one.seconds, 3.92, rel_tol=1e-3)
    assert math.isclose(four.peak.power, gold["four_phase"]["chip_W"], rel_tol=0.01)
    assert math.isclose(one.peak.power, four.peak.power, rel_tol=1e-9)
    assert math.isclose(four.peak.tops_per_watt, 2.48, rel_tol=0.01)
    assert math.isclose(one.layers[""].joules, gold["one_phase"]["energy_per_mvm_per_core_J"], rel_tol=1e-6)


def test_puma_adds_up() -> None:
    """Its unit of eight slices is one matrix with one ADC for each slice and shared drivers."""
    tile = mho.Tile(rows=128, columns=128)
    slices = BitSlicing(bits=16, slices=8, offset=True)
    dac = DAC(bits=16, signed=False, stream=Stream())
    model, x = chip(nn.Linear(128, 128, bias=False), mapping=slices, tile=tile, dac=dac, adc=ADC(bits=8))
    peak, units = mho.cost(model, [x], costs.PUMA).peak, 138 * 8 * 2
    assert peak.watts["ADC"] + peak.watts["ADC leakage"] == about(units * 8 * 2e-3)
    assert peak.watts["arrays"] == about(units * 8 * 0.3e-3)
    assert peak.watts["DAC"] + peak.watts["DAC leakage"] == about(
        units * 128 * (0.00350625e-3 + 0.000390625e-3)
    )
    assert peak.area["ADC"] == about(units * 8 * 0.0012e-6)
    assert peak.tops == about(2 * units * 128 * 128 / 1.6e-6 / 1e12)


# --- converters --------------------------------------------------------------------------------------


def test_the_envelope_of_the_survey() -> None:
    best = costs.Survey(quality="optimistic")
    for bits, picojoules in CASES["adc_envelope_pJ"].items():
        assert math.isclose(best.joules(int(bits)) * 1e12, picojoules, rel_tol=1e-3)
    assert costs.Survey().joules(8) == 5 * best.joules(8)
    areas = [best.square_metres(bits) for bits in range(3, 15)]
    assert areas == sorted(areas) and areas[0] < areas[-1]
    assert [costs.Survey(steps=s).seconds(6) for s in ("flash", "sar", "ramp")] == [1e-9, 7e-9, 64e-9]


def test_qualities_lie_among_the_designs_of_the_survey() -> None:
    """At 32 nm and below: the envelope below the best design of each bin, typical within 4 of the median."""
    lines = (DATA / "adc_survey_bins.csv").read_text().splitlines()
    rows = [row for row in csv.DictReader(lines) if row["node_nm"] == "<=32"]
    for row in rows:
        bits = (int(row["enob_lo"]) + int(row["enob_hi"])) / 2
        optimistic = costs.Survey(quality="optimistic").joules(bits) * 1e12
        assert optimistic < 1.2 * float(row["E_min_pJ"])
        typical = costs.Survey(quality="typical").joules(bits) * 1e12
        assert 0.25 < typical / float(row["E_median_pJ"]) < 4
    area = costs.Survey(node=32e-9, clock=9e9).square_metres(8) * 1e12
    assert 6400 / 4 < area < 103_000


def test_converters_that_are_tabulated() -> None:
    adc = costs.ISAAC.adc
    assert adc.joules(8) * 1e12 == about(CASES["isaac_ce"]["adc_pJ_at_1p28GSps"])
    assert [adc.joules(b + 1) > adc.joules(b) for b in range(4, 10)] == [True] * 6
    with pytest.raises(
        ValueError, match=r"bits = 3: this technology knows such converters of 4, 5, .* 10 bits"
    ):
        adc.joules(3)
    with pytest.raises(ConfigError, match=r"bits has 2 entries, energies 1, areas 2"):
        costs.Tabulated(bits=(4, 5), energies=(1e-12,), areas=(0.0, 0.0), rate=1e9)
    with pytest.raises(ConfigError, match=r"bits = \(5, 4\): give each resolution once, the lowest first"):
        costs.Tabulated(bits=(5, 4), energies=(1e-12, 1e-12), areas=(0.0, 0.0), rate=1e9)
    assert costs.Walden(step_energy=1e-14).joules(8) == about(2.56e-12)


# --- nodes -------------------------------------------------------------------------------------------


def test_scaling_passes_through_its_nodes_and_falls_between() -> None:
    for table, ratio in ((ENERGY, energy_ratio), (AREA, area_ratio)):
        nodes = sorted(table)
        steps = [ratio(32e-9, n * 1e-9) for n in nodes]
        assert steps == sorted(steps) and ratio(32e-9, 32e-9) == 1
        assert ratio(65e-9, 32e-9) * ratio(32e-9, 65e-9) == about(1)
        assert ratio(32e-9, 20e-9) < ratio(32e-9, 22e-9) < 1
        with pytest.raises(ValueError, match=r"the scaling is known from 7 to 130 nm"):
            ratio(32e-9, 5e-9)
    a, b, c = ENERGY[45]
    assert energy_ratio(65e-9, 45e-9) == about((a * 0.64 + b * 0.8 + c) / 0.8598, rel=1e-3)


def test_only_digital_parts_scale() -> None:
    there = costs.GENERIC_32.scaled(14e-9)
    for before, after in zip(costs.GENERIC_32.parts, there.parts, strict=True):
        assert (after.joules < before.joules and after.area < before.area) == before.digital
        assert before.digital or before == after
    assert there.adc == costs.GENERIC_32.adc and there.cell_area == costs.GENERIC_32.cell_area


# --- parts and contracts -----------------------------------------------------------------------------


def test_parts_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"say by per which event takes them"):
        Part(name="a", each="row", joules=1e-12)
    part = Part(name="a", each="row")
    with pytest.raises(ConfigError, match=r"'a' is there twice"):
        costs.Chip(name="x", node=32e-9, parts=(part, part))
    with pytest.raises(ConfigError, match="each"):
        Part(name="a", each="line")


def test_written_cells() -> None:
    gold = CASES["write_pulse_J"]
    assert costs.Writing().joules(4e-6, 8.52) == about(gold["neurram_set_4uS"])
    assert costs.Writing(volts=2.0, seconds=40e-9).joules(1 / 1333, 1) == about(gold["isaac_set_lrs"])
    assert costs.Writing(volts=4.0, seconds=50e-9).joules(0.5e-6, 1) == about(gold["fefet_4V_50ns_0p5uS"])


@config
class Flat(Technology):
    """A picojoule for each product, a nanosecond for each vector, an array on a square millimetre."""

    picojoules: float = 1.0

    def floor(self, works):
        used = sum(work.arrays for work in works)
        return Floor(used, used, used, 1)

    def energy(self, work, floor):
        return {"all": self.picojoules * 1e-12 * work.products}

    def seconds(self, work):
        return 1e-9

    def area(self, work, floor):
        return {"arrays": 1e-6 * floor.arrays}

    def leakage(self, work, floor):
        return {}


@config
class Greedy(Flat):
    """Wrong: it charges for nothing."""

    def energy(self, work, floor):
        return {"all": 1e-12 * work.products, "idle": 1e-12}


@config
class Batched(Flat):
    """Wrong: the time of a vector is that of all."""

    def seconds(self, work):
        return 1e-9 * work.vectors


@config
class Shrinking(Flat):
    """Wrong: more arrays, less area."""

    def area(self, work, floor):
        return {"arrays": 1 / floor.arrays}


def test_a_technology_of_ones_own() -> None:
    check_cost(Flat())
    model, x = chip(nn.Linear(10, 7), dac=DAC(), adc=ADC())
    report = mho.cost(model, [x], Flat(picojoules=2.0))
    assert report.joules == about(140e-12) and report.seconds == 1e-9 and report.technology == "Flat"
    assert report.square_metres == 1e-6 and report.peak.tops == about(2 * 256 * 256 / 1e-9 / 1e12)


@pytest.mark.parametrize("wrong", [Greedy(), Batched(), Shrinking()], ids=lambda w: type(w).__name__)
def test_wrong_technologies_are_refused(wrong) -> None:
    with pytest.raises(AssertionError, match=type(wrong).__name__):
        check_cost(wrong)


def test_work_of_a_fraction() -> None:
    work = Work.one(vectors=10, power=5.0, arrays=3).over(10)
    assert work.vectors == 1 and work.power == 0.5 and work.arrays == 3

import dataclasses
import itertools
import json
import math
from contextlib import contextmanager, suppress
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import mho
from mho.config import config, digest, from_dict, kinds, to_dict
from mho.errors import ConfigError
from mho.experiments import search as search_module
from mho.experiments.chips import ChipStudy
from mho.experiments.experiment import Place, measure
from mho.experiments.fitting import Schedule
from mho.experiments.harness import run
from mho.experiments.models import SmallCNN
from mho.experiments.pareto import pareto_front
from mho.experiments.prices import counts
from mho.experiments.progress import Progress
from mho.experiments.search import HARDWARE, TABLE, Choice, SearchSpace, SearchStudy
from mho.experiments.store import OtherStudyError

pytest.importorskip("optuna", reason='optuna is not installed: pip install "mho[search]"')

BASE = ChipStudy(
    model=SmallCNN(first=2, second=4, hidden=16), training=Schedule(epochs=6, learning_rate=0.1), chips=1
)
SPACE = SearchSpace(
    adc_bits=(2, 4, 8), dac_bits=(4, 8), tile_rows=(32,), slices=(1, 2), tolerance=(0.01, 0.3)
)
STUDY = SearchStudy(base=BASE, space=SPACE, trials=22, loss=0.05)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    return run(STUDY, folder), folder


# --- the front -----------------------------------------------------------------------------------


def test_the_front_is_what_no_other_point_beats():
    rng = np.random.default_rng(0)
    costs, gains = rng.integers(0, 12, 200).astype(float), rng.integers(0, 12, 200).astype(float)
    front = pareto_front(costs.tolist(), gains.tolist())
    beaten = [
        any(
            costs[j] <= costs[i] and gains[j] >= gains[i] and (costs[j] < costs[i] or gains[j] > gains[i])
            for j in range(200)
        )
        for i in range(200)
    ]
    expected = {(costs[i], gains[i]) for i in range(200) if not beaten[i]}
    assert {(costs[i], gains[i]) for i in front} == expected
    assert len(front) == len(expected)
    assert sorted(front, key=lambda i: costs[i]) == front


def test_fronts_of_nothing_and_of_equal_points():
    assert pareto_front([], []) == []
    assert pareto_front([1.0, 1.0], [2.0, 2.0]) == [0]
    with pytest.raises(ValueError, match="as many of both"):
        pareto_front([1.0], [])


# --- costs ---------------------------------------------------------------------------------------


def analog(module, **fields):
    usual = {"tile": mho.Tile(rows=16, columns=8), "dac": mho.DAC(bits=6), "adc": mho.ADC(bits=5)}
    return mho.convert(module, mho.Hardware(**{**usual, **fields}))


@pytest.mark.parametrize(
    "module, x, fields, expected",
    [
        # 40 rows in 4 equal tiles, 10 columns in 2
        (nn.Linear(40, 10), (1, 40), {}, (4 * 10, 2 * 40, 2 * 400)),
        (nn.Linear(40, 10), (1, 7, 40), {}, (7 * 40, 7 * 80, 800)),
        # one patch for each of 36 pixels, 18 rows in 2 tiles
        (nn.Conv2d(2, 4, 3, padding=1), (1, 2, 6, 6), {}, (36 * 2 * 4, 36 * 18, 2 * 72)),
        (nn.Conv2d(4, 4, 3, groups=2), (1, 4, 5, 5), {}, (9 * 2 * 4, 9 * 36, 2 * 72)),
        # four slices are four conversions of a column, and arrays with drivers of their own
        (
            nn.Linear(16, 8),
            (1, 16),
            {"mapping": mho.mapping.BitSlicing(bits=9, slices=4)},
            (4 * 8, 4 * 16, 8 * 128),
        ),
        (nn.Linear(16, 8), (1, 16), {"mapping": mho.mapping.Offset()}, (8, 16, 128)),
    ],
)
def test_conversions_and_cells_by_hand(module, x, fields, expected):
    model = analog(module, **fields)
    mho.calibrate(model, [torch.ones(x)])
    mho.program(model, seed=0)
    cost = counts(model, torch.ones(x))
    assert (cost["adc_conversions"], cost["dac_conversions"], cost["cells"]) == expected


def test_pulses_are_geometric():
    study = replace(STUDY, pulse_error=0.04)
    rng = np.random.default_rng(0)
    tries = []
    for _ in range(4000):
        n = 1
        while abs(rng.normal(0, 0.04)) > 0.02:
            n += 1
        tries.append(n)
    assert study.pulses(0.02) == pytest.approx(np.mean(tries), abs=4 * np.std(tries) / math.sqrt(4000))
    assert study.pulses(1.0) == pytest.approx(1.0)


# --- chips ---------------------------------------------------------------------------------------


def run_chips(study, shared):
    """Its figures, in a folder of its own."""
    return measure(study, Place(shared / f"{digest(study):x}", shared))


def test_chips_share_a_network_and_repeat_bit_for_bit(tmp_path):
    one = run_chips(BASE, tmp_path)
    (network,) = tmp_path.glob("network-*.pt")
    written = network.stat().st_mtime_ns
    other = run_chips(replace(BASE, hardware=replace(BASE.hardware, adc=mho.ADC(bits=2))), tmp_path)
    assert network.stat().st_mtime_ns == written and list(tmp_path.glob("network-*.pt")) == [network]
    assert other["digital_accuracy"] == one["digital_accuracy"]
    assert other["accuracy"] < one["accuracy"] and other["energy"] < one["energy"]
    again = run_chips(BASE, tmp_path / "fresh")
    assert {k: v for k, v in again.items() if v == v} == {k: v for k, v in one.items() if v == v}


def test_chips_age_and_are_compensated(tmp_path):
    old = replace(BASE, chips=2, seconds=3.1536e7)
    raw, compensated = run_chips(old, tmp_path), run_chips(replace(old, compensated=True), tmp_path)
    assert raw["accuracy"] != compensated["accuracy"]
    with pytest.raises(ConfigError, match="is known from"):
        replace(BASE, hardware=replace(BASE.hardware, device=mho.devices.ReRAMWan2022()), seconds=1e12)


# --- the search ----------------------------------------------------------------------------------


def test_no_description_is_tried_twice_and_the_cheapest_keeps_the_target(finished):
    result, folder = finished
    table = result.table
    assert len(table) == 22
    assert not table.duplicated(["adc_bits", "dac_bits", "tile_rows", "slices", "tolerance"]).any()
    document = json.loads((folder / "results.json").read_text())
    assert document["target"] == pytest.approx(document["digital_accuracy"] - 0.05)
    front = [row["trial"] for row in document["front"]]
    assert front == pareto_front(table[STUDY.cost].tolist(), table["accuracy"].tolist())
    good = table[table["accuracy"] >= document["target"]]
    assert table["kept"].tolist() == (table["accuracy"] >= document["target"]).tolist()
    assert STUDY.headline(table)[STUDY.cost] == good[STUDY.cost].min()
    assert document["cheapest"][STUDY.cost] == good[STUDY.cost].min()
    assert from_dict(document["study"]) == STUDY
    assert mho.Hardware.load(folder / HARDWARE) == from_dict(document["hardware"])
    read = pd.read_csv(folder / TABLE, dtype={"error": str}).fillna({"error": ""})
    pd.testing.assert_frame_equal(read, table, check_dtype=False)


def test_the_hardware_of_a_choice():
    choice = Choice(adc_bits=5, dac_bits=4, tile_rows=32, slices=2, tolerance=0.03)
    hardware = STUDY.hardware(choice)
    assert (hardware.adc.bits, hardware.dac.bits, hardware.tile.rows) == (5, 4, 32)
    assert (hardware.mapping.slices, hardware.mapping.bits) == (2, 8)
    g = torch.full((20_000,), 10e-6)
    error = (hardware.device.programmed(g, torch.randn(20_000)) - g) / hardware.device.g_max
    assert error.abs().max() <= 0.03 * (1 + 1e-5)
    assert error.std().item() == pytest.approx(0.03 / math.sqrt(3), rel=0.03)


def unusual(cls):
    """A description with all fields that have another value than by default."""
    values = {}
    for field in dataclasses.fields(cls):
        usual = getattr(cls(), field.name)
        if field.name in ("bits", "steps"):
            continue
        if isinstance(usual, bool):
            tries = [not usual]
        elif isinstance(usual, (int, float)):
            tries = [usual + 2, usual + 0.01]
        elif field.name == "stream":
            tries = [mho.converters.Stream(bits=2, each=False)]
        else:
            tries = [mho.converters.Fixed(limit=3.0)] if field.name == "range" else []
        for value in tries:
            with suppress(ConfigError):
                made = cls(**{**values, field.name: value})
                if getattr(made, field.name) != usual:
                    values[field.name] = value
                    break
    return cls(**values)


ADCS = [
    c
    for c in kinds(mho.converters.ColumnConverter).values()
    if c.__module__.startswith("mho.")
    and c is not mho.converters.OutputErrors  # which no bits are chosen for
]


@pytest.mark.parametrize(
    "adc", [None, *map(unusual, ADCS), mho.ADC(steps=100)], ids=lambda c: type(c).__name__
)
@pytest.mark.parametrize("dac", [None, mho.DAC(steps=100), unusual(mho.DAC)], ids=["none", "steps", "all"])
def test_what_is_not_searched_stays(adc, dac):
    """Of every converter, and of the mapping and the tile."""
    mapping = mho.mapping.BitSlicing(bits=6, slices=3, offset=True, scale=mho.mapping.Percentile())
    base = replace(BASE.hardware, adc=adc, dac=dac, mapping=mapping, tile=mho.Tile(rows=64, full=True))
    made = replace(STUDY, base=replace(BASE, hardware=base)).hardware(Choice(4, 5, 32, 2, 0.03))
    searched = {"bits": None, "steps": None}
    for before, after, bits in ((adc or mho.ADC(), made.adc, 4), (dac or mho.DAC(), made.dac, 5)):
        assert (after.bits, getattr(after, "steps", None)) == (bits, None)
        assert type(after) is type(before)
        assert {**to_dict(after), **searched} == {**to_dict(before), **searched}
    assert made.mapping == replace(mapping, bits=8, slices=2)
    assert made.tile == replace(base.tile, rows=32)
    rest = {"device", "mapping", "tile", "adc", "dac"}
    assert all(getattr(made, f.name) == getattr(base, f.name) for f in fields(base) if f.name not in rest)


def test_unusual_converters_are_unusual():
    changed = {
        f.name for f in fields(mho.DAC) if getattr(unusual(mho.DAC), f.name) != getattr(mho.DAC(), f.name)
    }
    assert changed >= {"stream", "range", "noise", "gain", "offset"}
    sar = unusual(mho.converters.SAR)
    assert sar.capacitor and sar.noise and sar.comparator and not sar.split


def test_of_another_mapping_the_scale_stays():
    for mapping in (mho.mapping.Offset(scale=mho.mapping.Fixed(weight=2.0)), mho.mapping.DifferentialPair()):
        base = replace(BASE, hardware=replace(BASE.hardware, mapping=mapping))
        made = replace(STUDY, base=base).hardware(Choice(4, 5, 32, 2, 0.03)).mapping
        assert made == mho.mapping.BitSlicing(bits=8, slices=2, scale=mapping.scale)


def test_a_resolution_that_cannot_be_set_is_refused():
    @dataclasses.dataclass(frozen=True)
    class Sign(mho.converters.ColumnConverter):
        range = mho.converters.Fixed(limit=1.0)
        noise = 0.0

        def quantise(self, value, limit):
            return value.sign() * limit

    with pytest.raises(ValueError, match="has no field bits"):
        replace(STUDY, base=replace(BASE, hardware=replace(BASE.hardware, adc=Sign())))


def test_programming_to_the_tolerance_is_shared_by_the_inferences(tmp_path):
    writing = mho.costs.Writing(volts=0.0, verify=1e-9)  # a pulse takes 1 nJ, whatever the cell
    technology = replace(mho.costs.GENERIC_22, writing=writing)
    study = replace(STUDY, base=replace(BASE, technology=technology, inferences=1000.0), trials=2)
    table = run(study, tmp_path).table
    share = table["energy_with_programming"] - table["energy"]
    pulses = [study.pulses(tolerance) for tolerance in table["tolerance"]]
    assert share.to_numpy() == pytest.approx(table["cells"].to_numpy() * pulses * 1e-12)


@config
class SlowIfCheap(mho.costs.ConverterPrice):
    """A converter that takes less and longer with each bit."""

    def joules(self, bits):
        return 2.0**-bits * 1e-6

    def square_metres(self, bits):
        return (bits - 5) ** 2 * 1e-9

    def seconds(self, bits):
        return bits * 1e-7


def test_another_cost_finds_other_hardware(tmp_path):
    space = SearchSpace(adc_bits=(3, 5, 8), dac_bits=(8,), tile_rows=(32,), slices=(1,), tolerance=(0.1,))
    base = replace(BASE, technology=replace(mho.costs.GENERIC_22, adc=SlowIfCheap()))
    found = {}
    for minimise in ("energy", "latency", "area"):
        study = replace(STUDY, base=base, space=space, target=0.0, minimise=minimise)
        result = run(study, tmp_path / minimise, shared=tmp_path)
        found[minimise] = result.document["cheapest"]["adc_bits"]
        assert result.document["cheapest"][study.cost] == result.table[study.cost].min()
        assert study.headline(result.table)[study.cost] == result.table[study.cost].min()
    assert found == {"energy": 8, "latency": 3, "area": 5}


class Stop(Progress):
    def __init__(self, steps):
        self.steps = steps

    @contextmanager
    def stage(self, title, total, done=0):
        self.seen = (title, total, done)
        yield self

    def advance(self, detail=""):
        self.steps -= 1
        if self.steps == 0:
            raise KeyboardInterrupt


@pytest.mark.exhaustive
def test_a_stopped_search_goes_on_as_if_it_had_not_been(finished, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(STUDY, tmp_path, progress=Stop(21))
    watch = Stop(99)
    result = run(STUDY, tmp_path, progress=watch)
    assert watch.seen == ("trials", 22, 21)
    pd.testing.assert_frame_equal(result.table, finished[0].table)
    more = run(replace(STUDY, trials=99), tmp_path)
    assert len(more.table) == SPACE.size == 24
    with pytest.raises(ValueError, match="a search tries one description after another"):
        run(STUDY, tmp_path / "workers", workers=2)
    pd.testing.assert_frame_equal(more.table.head(22), finished[0].table)


def test_proposals_find_cheaper_hardware_than_chance():
    study, target = SearchStudy(), 0.9
    order = {name: sorted(values) for name, values in study.space.axes.items()}

    def truth(choice):
        """Energy and accuracy: each place costs a factor, and must be high enough for the accuracy."""
        places = [order[n].index(getattr(choice, n)) / (len(order[n]) - 1) for n in order]
        return math.exp(sum(places)), 1 - 0.2 * sum(max(0.0, 0.6 - p) for p in places)

    def cheapest(tried):
        return min(energy for energy, gain in tried if gain >= target)

    def searched(seed):
        known = {}
        for number in range(60):
            choice = search_module._propose(replace(study, seed=seed), number, known, target)
            assert choice not in known
            known[choice] = truth(choice)
        return cheapest(known.values())

    everything = [truth(Choice(*values)) for values in itertools.product(*order.values())]
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(everything))[:60] for _ in range(100)]
    chance = [cheapest([everything[i] for i in chosen]) for chosen in orders]
    found = [searched(seed) for seed in range(4)]
    assert np.mean(found) < np.quantile(chance, 0.2)


def test_a_trial_that_fails_is_recorded_and_the_others_go_on(tmp_path):
    space = SearchSpace(
        adc_bits=(1, 4, 8), dac_bits=(8,), tile_rows=(32,), slices=(1,), tolerance=(0.01, 0.3)
    )
    study = replace(STUDY, space=space, trials=6)
    for _ in range(2):  # computed, and found in the folder
        result = run(study, tmp_path)
        failed = result.table[result.table["adc_bits"] == 1]
        whole = result.table[result.table["adc_bits"] > 1]
        assert failed["error"].str.contains("bits = 1").all() and failed["accuracy"].isna().all()
        assert len(failed) == result.document["failed"] == 2
        assert (whole["error"] == "").all() and whole["accuracy"].notna().all() and len(whole) == 4
        front = result.document["front"]
        assert front and all(row["adc_bits"] > 1 for row in front)
    json.dumps(result.document, allow_nan=False)
    with pytest.raises(ValueError, match="all 2 trials failed; the first one: ConfigError: .*bits = 1"):
        run(replace(study, space=replace(space, adc_bits=(1,)), trials=2), tmp_path / "all")


def test_proposals_keep_away_from_what_failed():
    axes = SearchSpace().axes
    every = [Choice(*values) for values in itertools.product(*axes.values())]
    known = {c: None if c.adc_bits < 6 else (1e-9, 0.9) for c in every[::7]}
    asked = [search_module._asked(axes, known, 0.9, seed) for seed in range(20)]
    assert sum(choice.adc_bits < 6 for choice in asked) <= 5  # half of all choices
    assert search_module._asked(axes, dict.fromkeys(every[:3]), 0.9, 0) in every


def test_what_the_base_says_about_its_cells_stays():
    generic = mho.devices.Generic(
        g_max=1e-4, nu=mho.devices.ConstantNu(mean=0.05), read=mho.devices.Independent(sigma=0.01)
    )
    device = mho.devices.StuckAt(device=generic, hrs=0.1)
    hardware = replace(BASE.hardware, device=device)
    study = replace(STUDY, base=replace(BASE, hardware=hardware, seconds=1e6))
    made = study.hardware(Choice(4, 4, 32, 1, 0.02)).device
    assert isinstance(made, mho.devices.StuckAt) and made.hrs == 0.1
    assert (made.device.nu, made.device.read, made.device.g_max) == (generic.nu, generic.read, 1e-4)
    assert made.device.program.width.sigma == 0.04


def test_an_unreachable_target_says_so(tmp_path):
    result = run(replace(STUDY, target=1.0, trials=2), tmp_path)
    assert result.document["cheapest"] is result.document["hardware"] is None
    assert not (tmp_path / HARDWARE).exists()


def test_a_folder_of_another_search_is_refused(finished):
    with pytest.raises(OtherStudyError, match="weight_bits: it has 8, this run has 7"):
        run(replace(STUDY, weight_bits=7), finished[1])


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: SearchSpace(adc_bits=()), "SearchSpace.adc_bits"),
        (lambda: SearchSpace(adc_bits=(0,)), "adc_bits.0 = 0"),
        (lambda: SearchSpace(tolerance=(0.1, -0.1)), "tolerance.1 = -0.1"),
        (lambda: SearchSpace(tile_rows=(32, 32)), "tile_rows = .*a value is there twice"),
        (lambda: SearchStudy(minimise="power"), "minimise = 'power'"),
        (lambda: SearchStudy(target=1.5), "SearchStudy.target = 1.5"),
        (lambda: SearchStudy(base=replace(BASE, seconds=60.0)), "seconds = 60: .* and the device is a PCM"),
        (lambda: SearchStudy(weight_bits=3, space=SearchSpace(slices=(4,))), "slices = 4"),
    ],
)
def test_bad_searches(make, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make()


def test_the_study_travels():
    assert from_dict(json.loads(json.dumps(to_dict(STUDY)))) == STUDY

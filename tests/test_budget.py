"""The error budget: closed forms on linear layers, its intervals, and what it asks for."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from scipy import stats
from torch import nn

import mho
from mho.analysis.budget import Budget, Interval
from mho.array import Wires
from mho.devices import PCM, ConstantNu, FiniteStates, Generic, Independent, StuckAt, UniformG
from mho.errors import NotCalibratedError
from mho.periphery import Affine, GlobalDrift, KnownDrift

DAY = 86_400.0


def layer(rows: int = 40, columns: int = 20) -> nn.Linear:
    made = nn.Linear(rows, columns, bias=False)
    with torch.no_grad():  # away from the ends of the range, so that no error is clipped
        made.weight.copy_(torch.linspace(-0.5, 0.5, rows * columns).view(columns, rows))
        made.weight[0, 0] = 1.0
    return made.double()


def negative_error(model: nn.Module, x: torch.Tensor):
    wanted = model(x).detach()
    return lambda chip: -float((chip(x) - wanted).square().mean())


def cells(program: float = 0.0, read: float = 0.0) -> Generic:
    return Generic(g_min=5e-6, g_max=25e-6, program=Independent(sigma=program), read=Independent(sigma=read))


def test_errors_of_independent_mechanisms_add_up() -> None:
    """Weights err by two cells: variance 2 (sigma w_ref g_max / (g_max - g_min))^2, frozen and fresh."""
    model, x = layer(), torch.randn(400, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = mho.budget(model, mho.Hardware(device=cells(0.02, 0.03)), negative_error(model, x), chips=60)
    power = float(x.square().sum(1).mean() * model.weight.detach().abs().amax(1).square().mean())
    expected = {
        name: 2 * (s * 1.25) ** 2 * power for name, s in (("programming", 0.02), ("read noise", 0.03))
    }
    assert [part.name for part in found.mechanisms] == list(expected)
    for part in found.mechanisms:
        for interval in (part.alone, part.without):
            # three intervals: 4 / 1.96 of a half width, about 6e-5 each
            assert abs(interval.mean - expected[part.name]) < 2.1 * (interval.high - interval.mean)
            assert interval.high - interval.low < 0.1 * interval.mean  # and it is no empty claim
    assert found.total.mean == pytest.approx(sum(expected.values()), rel=0.05)


def test_drift_in_closed_form_beside_another_mechanism() -> None:
    """The weight itself as metric: drift takes its share, programming error nothing on average."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, 0.7)
    device = Generic(program=Independent(sigma=0.01), nu=ConstantNu(mean=0.1))

    def weight(chip: nn.Module) -> float:
        return float(chip(torch.ones(1, 1, dtype=torch.float64)))

    found = mho.budget(model, mho.Hardware(device=device), weight, seconds=DAY, chips=4)
    drift = found.mechanisms[1]
    lost = 0.7 * (1 - (1 + DAY) ** -0.1)
    assert drift.alone.mean == pytest.approx(lost, rel=1e-6)
    assert drift.alone.high - drift.alone.low < 1e-9
    assert drift.without.low < lost < drift.without.high


def test_one_mechanism_alone_is_what_leaving_it_out_brings() -> None:
    model, x = layer(), torch.randn(20, 40, dtype=torch.float64)
    found = mho.budget(model, mho.Hardware(device=cells(0.05)), negative_error(model, x), chips=3)
    (part,), (only,) = found.mechanisms, found.layers
    assert part.alone == part.without == found.total == only.alone == only.without
    assert part.alone.mean > 0


def test_no_mechanism_no_loss() -> None:
    model, x = layer(), torch.randn(20, 40, dtype=torch.float64)
    found = mho.budget(model, mho.Hardware(), negative_error(model, x), chips=2)
    assert found.mechanisms == () and found.total == Interval(0.0, 0.0, 0.0)
    assert found.layers[0].alone == found.layers[0].without == found.total
    assert found.ideal == pytest.approx(found.digital, abs=1e-12)


def test_intervals_cover_as_often_as_they_say() -> None:
    """A metric whose true loss is known: a weight with a normal error of mean zero costs nothing."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 0.7)
    hardware = mho.Hardware(device=cells(0.01))
    seeds = 100
    hits = 0
    for seed in range(seeds):
        found = mho.budget(
            model, hardware, lambda chip: float(chip(torch.ones(1, 1))), chips=3, seed=seed, layers=False
        )
        hits += found.mechanisms[0].alone.low <= 0 <= found.mechanisms[0].alone.high
    assert stats.binom.ppf(1e-4, seeds, 0.95) <= hits <= stats.binom.ppf(1 - 1e-4, seeds, 0.95)


def test_interval_is_students() -> None:
    values = [0.3, 0.1, 0.25, 0.4]
    low, high = stats.t.interval(0.95, 3, loc=0.2625, scale=stats.sem(values))
    found = Interval.of(values)
    assert (found.mean, found.low, found.high) == pytest.approx((0.2625, low, high))
    one = Interval.of([0.5])
    assert one.mean == 0.5 and math.isnan(one.low) and math.isnan(one.high)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 4))


EVERYTHING = mho.Hardware(
    device=StuckAt(lrs=0.05, device=FiniteStates(states=UniformG(count=16), device=PCM())),
    array=Wires(row=5.0, column=5.0),
    dac=mho.DAC(bits=4),
    adc=mho.ADC(bits=5),
)


def test_every_part_changes_something(network: nn.Module) -> None:
    x = torch.randn(50, 16, generator=torch.Generator().manual_seed(1))
    found = mho.budget(network, EVERYTHING, negative_error(network, x), data=[x], seconds=DAY, chips=2)
    names = ["programming", "FiniteStates", "StuckAt", "drift", "read noise", "wires", "DAC", "ADC"]
    assert [part.name for part in found.mechanisms] == names
    assert [part.name for part in found.layers] == ["0", "2"]
    assert all(part.alone.mean > 1e-7 and part.without.mean != 0 for part in found.parts)
    assert found.total.mean > max(part.alone.mean for part in found.parts) * 0.5


def test_hardware_of_each_layer(network: nn.Module) -> None:
    """Layers that stay digital have no row; a layer's mechanisms are those of its own hardware."""
    x = torch.randn(50, 16)
    metric = negative_error(network, x)
    found = mho.budget(network, {"2": mho.Hardware(device=cells(0.05))}, metric, chips=2)
    assert [(part.kind, part.name) for part in found.parts] == [("mechanism", "programming"), ("layer", "2")]
    both = [mho.Hardware(device=cells(0.05)), mho.Hardware(device=cells(0.0, 0.05))]
    found = mho.budget(network, both, metric, chips=2)
    assert [part.name for part in found.mechanisms] == ["programming", "read noise"]
    programming, read, first, second = found.parts
    assert programming.alone == first.alone and read.without == second.without
    assert mho.budget(network, both, metric, chips=2, layers=False).layers == ()


def test_compensation_takes_part(network: nn.Module) -> None:
    x = torch.randn(50, 16)
    hardware = mho.Hardware(device=PCM(program_scale=0.0, read_scale=0.0))
    raw, corrected, fitted = (
        mho.budget(
            network,
            hardware,
            negative_error(network, x),
            data=[x],
            seconds=DAY,
            compensation=c,
            chips=2,
            layers=False,
        )
        for c in (None, GlobalDrift(), Affine())
    )
    assert corrected.total.mean < 0.3 * raw.total.mean
    assert fitted.total.mean < 0.3 * raw.total.mean
    assert corrected.ideal == pytest.approx(raw.ideal, abs=1e-9)  # nothing to correct: a gain of one


def test_accuracy_of_batches(network: nn.Module) -> None:
    x = torch.randn(60, 16)
    labels = network(x).argmax(1)
    labels[:6] = (labels[:6] + 1) % 4
    batches = [(x[:40], labels[:40]), (x[40:], labels[40:])]
    hardware = mho.Hardware(device=cells(0.1))
    found = mho.budget(network, hardware, batches, chips=3)
    assert found.digital == found.ideal == pytest.approx(0.9)

    def accuracy(chip: nn.Module) -> float:
        return float((chip(x).argmax(1) == labels).float().mean())

    same = mho.budget(network, hardware, accuracy, chips=3)
    assert found.total.mean == pytest.approx(same.total.mean) and found.total.mean > 0


def test_repeats_and_leaves_all_as_it_was(network: nn.Module) -> None:
    model, x = copy.deepcopy(network).train(), torch.randn(20, 16)
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    metric = negative_error(model, x)
    calls: list[tuple[int, int]] = []
    arguments = {"seconds": DAY, "chips": 2}
    first = mho.budget(
        model, mho.Hardware(device=PCM()), metric, **arguments, progress=lambda *n: calls.append(n)
    )
    assert torch.equal(torch.get_rng_state(), state) and model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert first == mho.budget(model, mho.Hardware(device=PCM()), metric, **arguments)
    assert first != mho.budget(model, mho.Hardware(device=PCM()), metric, **arguments, seed=1)
    # two layers: one alone is the other left out; 1 + 1 + 3 + 3 + 2 sets of hardware, two chips each
    assert calls == [(n + 1, 20) for n in range(20)]


def test_tables(network: nn.Module) -> None:
    x = torch.randn(20, 16)
    found: Budget = mho.budget(network, mho.Hardware(device=PCM()), negative_error(network, x), chips=2)
    rows = found.rows()
    assert [row["name"] for row in rows] == ["everything", "programming", "read noise", "0", "2"]
    frame = found.to_frame()
    assert frame.to_dict("records") == rows
    text = str(found).splitlines()
    assert text[0].startswith("digital ") and "2 chips" in text[0]
    order = [line.split()[0] for line in text[4:6]]
    brings = {part.name.split()[0]: part.without.mean for part in found.mechanisms}
    assert order == sorted(brings, key=brings.__getitem__, reverse=True)


def test_a_correction_that_no_circuit_has_is_said(network: nn.Module) -> None:
    x, known = torch.randn(20, 16), KnownDrift(nu=0.05, t0=20.0, counts_from_t0=True)
    metric, hardware = negative_error(network, x), mho.Hardware(device=PCM())
    for method, said in ((known, True), (GlobalDrift(), False)):
        found = mho.budget(network, hardware, metric, seconds=DAY, chips=1, compensation=method)
        assert ("idealised: no circuit knows it" in str(found)) == said


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"model": 3}, TypeError, "model is a int"),
        ({"chips": 0}, ValueError, "chips = 0"),
        ({"chips": 2.0}, ValueError, "chips = 2.0"),
        ({"metric": torch.zeros(3)}, TypeError, "metric is a Tensor"),
        ({"metric": [torch.zeros(3, 16)]}, TypeError, "batch of the metric"),
        ({"metric": []}, ValueError, "metric gave no batch"),
        ({"metric": lambda chip: math.nan}, ValueError, "metric gave nan"),
        ({"data": iter([torch.zeros(3, 16)])}, TypeError, "data is an iterator"),
        ({"hardware": mho.Hardware(adc=mho.ADC())}, NotCalibratedError, "calibrate"),
        ({"hardware": {"7": mho.Hardware()}}, ValueError, "7"),
        ({"hardware": mho.Hardware(device=PCM()), "seconds": -1.0}, ValueError, "seconds"),
        ({"model": nn.ReLU()}, ValueError, "no analog layer"),
    ],
)
def test_what_is_wrong_is_said(network: nn.Module, changes, error: type[Exception], words: str) -> None:
    given = {
        "model": network,
        "hardware": mho.Hardware(device=cells(0.1)),
        "metric": lambda chip: float(chip(torch.ones(1, 16)).sum()),
        "chips": 1,
        **changes,
    }
    with pytest.raises(error, match=words):
        mho.budget(given.pop("model"), given.pop("hardware"), given.pop("metric"), **given)


def test_a_converted_model_is_refused(network: nn.Module) -> None:
    analog = mho.convert(network, mho.Hardware())
    with pytest.raises(TypeError, match="revert"):
        mho.budget(analog, mho.Hardware(), lambda chip: 0.0)

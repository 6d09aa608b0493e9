"""Pulsed cells: spread from cell to cell, noise from pulse to pulse, bounds, decay."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

import mho
import mho.testing
from mho.config import config
from mho.devices import Pulsed, pulsed
from mho.devices.pulsed import Parameters, PulsedCell
from mho.errors import ConfigError
from mho.training.on_chip import PulsedWeights

ALL: list[PulsedCell] = [
    pulsed.GokmenVlasov(), pulsed.Idealized(), pulsed.ReRamES(), pulsed.ReRamSB(), pulsed.ReRamArrayOM(),
    pulsed.ReRamArrayHfO2(), pulsed.Capacitor(), pulsed.EcRam(), pulsed.EcRamMO(), pulsed.PCM(),
    pulsed.PowerSteps(
        w_max=1.0, w_min=-1.0, pow_up_down=0.2, reference_std=0.05, subtract_symmetry_point=True
    ),
    pulsed.TableSteps(up=(1.0, 0.2), down=(0.1, 1.0)),
]  # fmt: skip
NAMES = [f"{type(cell).__name__}-{cell.dw_min:g}" for cell in ALL]


def drawn(cell: PulsedCell, cells: int, seed: int = 0) -> Parameters:
    generator = torch.Generator().manual_seed(seed)
    return cell.parameters(torch.randn(len(cell.draws), cells, generator=generator, dtype=torch.float64))


def weights(cell: PulsedCell, cells: int, at: float = 0.0) -> PulsedWeights:
    parameters = {name: v.view(1, 1, 1, -1) for name, v in drawn(cell, cells).items()}
    return PulsedWeights(cell, parameters, torch.full((1, 1, 1, cells), at, dtype=torch.float64))


@pytest.mark.parametrize("up_down", [0.26, -0.26, 0.0])
@pytest.mark.parametrize("log_normal", [False, True])
def test_spread_of_the_steps(up_down: float, log_normal: bool) -> None:
    """A positive up_down weakens the steps down and leaves those up."""
    cell = pulsed.ConstantSteps(
        dw_min=0.001, dw_min_dtod=0.1, up_down=up_down, up_down_dtod=0.05, dw_min_dtod_log_normal=log_normal
    )
    found = drawn(cell, 20_000)
    generator = torch.Generator().manual_seed(9)
    gain, imbalance = torch.randn(2, 20_000, generator=generator, dtype=torch.float64)
    gain = torch.exp(0.1 * gain) if log_normal else 1 + 0.1 * gain
    up = 0.001 * (gain + min(up_down, 0) + 0.05 * imbalance).abs()
    down = 0.001 * (gain - max(up_down, 0) - 0.05 * imbalance).abs()
    for name, law in (("up", up), ("down", down)):
        assert stats.ks_2samp(found[name].numpy(), law.numpy()).pvalue > 0.01
    both = torch.stack([found[n] for n in ("up", "down")])
    wanted = torch.corrcoef(torch.stack([up, down]))[0, 1]
    assert float(torch.corrcoef(both)[0, 1]) == pytest.approx(float(wanted), abs=0.04)


def test_bounds_are_in_order_whatever_their_spread() -> None:
    found = drawn(pulsed.SoftBounds(w_max=1.0, w_min=-1.0, w_max_dtod=0.6, w_min_dtod=0.6), 20_000)
    high, low = found["w_max"], found["w_min"]
    assert bool((high >= 0).all())
    assert bool((low <= 0).all())


def test_corrupt_cells_do_not_move() -> None:
    cell = pulsed.SoftBounds(corrupt_devices_prob=0.1348, corrupt_devices_range=0.1, dw_min=0.05)
    array = weights(cell, 20_000)
    stuck = array.of_cells(array.bank.parameters["up"]) == 0
    assert float(stuck.double().mean()) == pytest.approx(0.1348, abs=4 * math.sqrt(0.1348 * 0.8652 / 20_000))
    before = array.weights().clone()
    array.send(torch.ones(1, 1, 1, 20_000, dtype=torch.float64), torch.Generator().manual_seed(0))
    moved = array.weights() != before
    assert not bool(moved[stuck[0]].any())
    assert bool(moved[~stuck[0]].all())
    assert float(array.weights()[stuck[0]].abs().max()) <= 0.1


@pytest.mark.parametrize("cell", ALL, ids=NAMES)
def test_bounds_are_never_passed(cell: PulsedCell) -> None:
    array, generator = weights(cell, 500), torch.Generator().manual_seed(1)
    low, high = array.bank.low, array.bank.high
    for sign in (1.0, -1.0, 1.0):
        array.send(sign * torch.full((3, 1, 1, 500), 40.0, dtype=torch.float64), generator)
        assert bool((array.bank.weight >= low).all())
        assert bool((array.bank.weight <= high).all())
    assert int(array.pulses().min()) == 360


@pytest.mark.parametrize("cell", ALL, ids=NAMES)
def test_many_pulses_at_once_are_pulses_one_by_one(cell: PulsedCell) -> None:
    """The order in which a bank sends pulses changes nothing."""
    quiet = mho.config.from_dict({**mho.config.to_dict(cell), "dw_min_std": 0.0, "write_noise_std": 0.0})
    generator = torch.Generator().manual_seed(2)
    counts = torch.randint(-3, 4, (6, 1, 1, 40), generator=generator).double()
    together, alone = weights(quiet, 40), weights(quiet, 40)
    together.send(counts, generator)
    w, cells = alone.bank.weight.clone(), alone.bank.parameters
    for vector in counts.flatten(1):
        for k in range(3):
            w = quiet.pulsed(w, vector.sign() * (vector.abs() > k), cells, torch.zeros_like(w))
    assert torch.allclose(together.bank.weight, w, rtol=0, atol=1e-12)
    assert torch.equal(together.pulses().flatten(), counts.abs().sum(0).flatten().long())


@pytest.mark.parametrize("multiplicative", [True, False])
@pytest.mark.parametrize("at", [0.0, 0.6])
def test_noise_of_a_pulse(multiplicative: bool, at: float) -> None:
    cell = pulsed.SoftBounds(
        dw_min=0.002, dw_min_dtod=0.0, up_down_dtod=0.0, w_max=1.0, w_min=-1.0, w_max_dtod=0.0,
        w_min_dtod=0.0, dw_min_std=0.5, mult_noise=multiplicative,
    )  # fmt: skip
    array = weights(cell, 20_000, at)
    array.send(torch.ones(1, 1, 1, 20_000, dtype=torch.float64), torch.Generator().manual_seed(3))
    step = array.weights().flatten() - at
    mean, std = 0.002 * (1 - at), 0.5 * 0.002 * ((1 - at) if multiplicative else 1.0)
    assert stats.kstest(step.numpy(), "norm", args=(mean, std)).pvalue > 0.01


def test_noise_of_a_pcm_pulse_grows_with_its_state() -> None:
    """std = .6 (step + .042 + .108 |w|)."""
    cell = mho.config.from_dict(
        {**mho.config.to_dict(pulsed.PCM()), "dw_min_dtod": 0.0, "up_down_dtod": 0.0, "w_max_dtod": 0.0}
    )
    array = weights(cell, 20_000, 1.0)
    array.send(torch.ones(1, 1, 1, 20_000, dtype=torch.float64), torch.Generator().manual_seed(3))
    step = 0.01 * (1 + 27.235 * math.exp(-2.5))
    law = stats.norm(step, 0.6 * (step + 0.042 + 0.108))
    assert stats.kstest((array.weights().flatten() - 1).numpy(), law.cdf).pvalue > 0.01


@pytest.mark.parametrize("step", [0.01, 0.0949, 0.4622])
def test_spread_of_a_random_walk(step: float) -> None:
    """Random pulses up and down on soft bounds: sqrt(a / (2 - a))."""
    cell = pulsed.SoftBounds(
        dw_min=step, dw_min_dtod=0.0, up_down_dtod=0.0, w_max=1.0, w_min=-1.0, w_max_dtod=0.0, w_min_dtod=0.0,
        dw_min_std=0.0,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(4)
    array, squares = weights(cell, 4096), []
    for turn in range(40):
        pulses = (
            torch.randint(0, 2, (max(int(2 / step), 8), 1, 1, 4096), generator=generator).double() * 2 - 1
        )
        array.send(pulses, generator)
        if turn >= 8:
            squares.append(array.weights().square().mean())
    assert float(torch.stack(squares).mean().sqrt()) == pytest.approx(math.sqrt(step / (2 - step)), rel=0.02)


def test_write_noise_is_drawn_for_cells_that_are_pulsed() -> None:
    cell = pulsed.SoftBounds(
        dw_min=0.002, dw_min_dtod=0.0, up_down_dtod=0.0, w_max=1.25, w_min=-0.75, w_max_dtod=0.0,
        w_min_dtod=0.0, dw_min_std=0.0, write_noise_std=56.0,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(5)
    array = weights(cell, 20_000, 0.3)
    array.bank.show(None, generator)
    before = array.weights().clone()
    assert stats.kstest(before.flatten().numpy(), "norm", args=(0.3, 0.112)).pvalue > 0.01
    counts = torch.zeros(1, 1, 1, 20_000, dtype=torch.float64)
    counts[..., :10_000] = 1
    array.send(counts, generator)
    assert torch.equal(array.weights()[..., 10_000:], before[..., 10_000:])
    held = 0.3 + 0.002 * (1 - 0.3 / 1.25)
    pulsed_cells = array.weights()[..., :10_000].flatten()
    assert stats.kstest(pulsed_cells.numpy(), "norm", args=(held, 0.112)).pvalue > 0.01
    assert torch.allclose(
        array.of_cells(array.bank.weight)[..., :10_000], torch.tensor(held, dtype=torch.float64)
    )


def test_decay_and_diffusion_of_a_batch() -> None:
    cell = pulsed.ConstantSteps(
        lifetime=100.0, reset=0.05, diffusion=0.01, w_max=10.0, w_min=-10.0, w_max_dtod=0.0, w_min_dtod=0.0
    )
    array = weights(cell, 20_000, 0.4)
    array.bank.pass_batch(torch.Generator().manual_seed(6))
    law = stats.norm((0.4 - 0.05) * 0.99 + 0.05, 0.01)
    assert stats.kstest(array.weights().flatten().numpy(), law.cdf).pvalue > 0.01


def test_references_take_off_the_symmetry_point() -> None:
    cell = pulsed.SoftBounds(
        up_down_dtod=0.2, subtract_symmetry_point=True, reference_std=0.05, w_max=1.0, w_min=-1.0
    )
    found = drawn(cell, 20_000)
    error = found["reference"] - cell.symmetry_point(found)
    assert stats.kstest(error.numpy(), "norm", args=(0, 0.05)).pvalue > 0.01


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((0.8, 0.3), 0.2677),
        ((0.3, 0.8), -0.2677),
        ((0.8, 0.2), 0.6),
        ((0.7, 0.3), 0.4),
        ((0.8, 0.78), 0.0199),
    ],
)
def test_refreshing_a_pair(before: tuple[float, float], after: float) -> None:
    """Both are reset, their difference is pulsed anew with 31 pulses at most; aihwkit's values."""
    cell = pulsed.SoftBounds(
        dw_min=0.01, w_max=1.0, w_min=0.0, dw_min_dtod=0.0, up_down_dtod=0.0, w_max_dtod=0.0, dw_min_std=0.0,
        reset_std=0.0,
    )  # fmt: skip
    states = torch.tensor(before).view(2, 1, 1, 1)
    pair = PulsedWeights(
        cell, cell.nominal(states), states, mho.training.on_chip.weights.Signs((1, -1), True)
    )
    pair.refresh(torch.Generator())
    assert float(pair.weights()) == pytest.approx(after, abs=1e-4)


# --- measured cells ----------------------------------------------------------------------------


def test_a_switching_model_is_pulsed_as_it_says() -> None:
    """Pulses of training are those of the model: the same states as its own steps give."""
    model = mho.devices.dynamics.VTEAM(r_on=50.0, r_off=1000.0)
    cell = pulsed.SwitchingSteps(
        model=model, up_voltage=-0.6, down_voltage=0.4, up_width=1e-9, down_width=1e-9
    )
    w = torch.zeros(1, 1, 1, 3, dtype=torch.float64)
    array = PulsedWeights(cell, cell.nominal(w), w)
    array.send(torch.tensor([[[[1.0, -1.0, 0.0]]]], dtype=torch.float64), torch.Generator())
    g = (model.g_min + model.g_max) / 2
    state = model.state_of(torch.tensor(g, dtype=torch.float64))
    found = array.weights().flatten()
    for weight, volts in zip(found, (-0.6, 0.4), strict=False):
        after = float(model.conductance(model.step(state, volts, 1e-9)))
        wanted = 2 * (after - model.g_min) / (model.g_max - model.g_min) - 1
        assert float(weight) == pytest.approx(wanted, abs=1e-6)
    assert found[0] > 0 > found[1]
    assert float(found[2]) == 0


def test_jumps_are_drawn_from_their_table() -> None:
    """The law of the table, here uniform, in units of half the range."""
    up = mho.devices.Jumps(g=(0.0, 20e-6), change=(0.0, 2e-6), cdf=((0.0, 1.0), (0.0, 1.0)))
    down = mho.devices.Jumps(g=(0.0, 20e-6), change=(-2e-6, 0.0), cdf=((0.0, 1.0), (0.0, 1.0)))
    cell = pulsed.JumpSteps(jumps=mho.devices.JumpCell(up=up, down=down))
    assert cell.dw_min == pytest.approx(0.1)  # the median, 1 uS, in units of 10 uS
    array = weights(cell, 20_000)
    array.send(torch.ones(1, 1, 1, 20_000, dtype=torch.float64), torch.Generator().manual_seed(7))
    assert stats.kstest(array.weights().flatten().numpy(), "uniform", args=(0, 0.2)).pvalue > 0.01


def test_cells_that_no_pulse_moves_are_refused() -> None:
    model = mho.devices.dynamics.VTEAM(r_on=50.0, r_off=1000.0)
    with pytest.raises(ConfigError, match="moves nothing"):
        pulsed.SwitchingSteps(model=model, up_voltage=-1e-3, down_voltage=1e-3)
    with pytest.raises(ConfigError, match="swap their signs"):
        pulsed.SwitchingSteps(model=model, up_voltage=0.4, down_voltage=-0.6)
    up = mho.devices.Jumps(g=(0.0, 20e-6), change=(0.0, 2e-6), cdf=((0.0, 1.0), (0.0, 1.0)))
    with pytest.raises(ConfigError, match=r"jumps\.down = None"):
        pulsed.JumpSteps(jumps=mho.devices.JumpCell(up=up))


# --- cells of others ---------------------------------------------------------------------------


@config
class Threshold(PulsedCell):
    """A stranger's cell: steps only above half of its range."""

    def steps(self, w: Tensor, cells: Parameters) -> tuple[Tensor, Tensor]:
        """A step up where the state is above zero, none below."""
        return cells["up"] * (w > 0), cells["down"] * torch.ones_like(w)


@pytest.mark.parametrize("cell", [*ALL, Threshold()], ids=[*NAMES, "stranger"])
def test_each_cell_keeps_the_contract(cell: PulsedCell) -> None:
    mho.testing.check_cell(cell)


def test_a_strangers_cell_learns() -> None:
    array = weights(Threshold(dw_min=0.05), 50, 0.1)
    array.send(torch.ones(1, 1, 1, 50, dtype=torch.float64), torch.Generator().manual_seed(0))
    assert bool((array.weights() > 0.1).any())


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"steps": lambda self, w, cells: (w / 0, w)}, "must be finite between the bounds"),
        (
            {"pulsed": lambda self, w, direction, cells, eps: w + 9 * direction},
            "between the bounds of each cell",
        ),
        ({"pulsed": lambda self, w, direction, cells, eps: self.kept(w + 0.1, cells)}, "that get no pulse"),
        (
            {"lines": lambda self, cells: ((cells["up"],) * 2, (cells["up"],) * 2)},
            r"lines\(\) must be the steps",
        ),
        ({"granularity": 0.0}, "granularity must be positive"),
    ],
)
def test_cells_that_break_it_are_named(broken: dict[str, Any], sentence: str) -> None:
    wrong = config(type("Wrong", (Threshold,), {**broken, "__module__": __name__, "__annotations__": {}}))
    with pytest.raises(AssertionError, match=sentence):
        mho.testing.check_cell(wrong())


# --- as devices --------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ALL, ids=NAMES)
def test_a_device_of_each_cell(cell: PulsedCell) -> None:
    """Programmed, saved, read and aged like any other chip; equal after a trip through JSON."""
    one_sided = cell.w_min == 0
    device = Pulsed(cell=cell, device=mho.devices.Ideal(g_min=20e-6, g_max=30e-6), one_sided=one_sided)
    assert mho.config.from_json(mho.config.to_json(device)) == device
    analog = mho.convert(torch.nn.Linear(20, 10), mho.Hardware(device=device))
    mho.program(analog, seed=0)
    other = mho.convert(torch.nn.Linear(20, 10), mho.Hardware(device=device))
    other.load_state_dict(analog.state_dict())
    x = torch.randn(3, 20)
    assert torch.equal(analog.eval()(x), other.eval()(x))
    mho.age(analog, 1e6)
    assert torch.equal(analog(x), other(x))


def test_states_and_conductances() -> None:
    device = Pulsed(cell=pulsed.ReRamSB(), device=mho.devices.Ideal(g_min=20e-6, g_max=30e-6))
    states = torch.tensor([-1.0, 0.0, 1.25], dtype=torch.float64)
    g = device.conductance(states)
    assert (g * 1e6).tolist() == pytest.approx([20.0, 25.0, 31.25])
    assert torch.allclose(device.state(g), states)


def test_cells_without_room_below_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"g_min of at least .* S"):
        Pulsed(cell=pulsed.ReRamArrayOM(), device=mho.devices.Ideal(g_min=1e-6))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: pulsed.SoftBounds(w_min=0.5, w_max=0.1), "w_min = 0.5 must be below w_max = 0.1"),
        (lambda: pulsed.LinearSteps(w_min=0.0), "give bounds on both sides"),
        (lambda: pulsed.TableSteps(up=(1.0,), down=(1.0,)), "two or more"),
        (lambda: pulsed.Capacitor().__class__(lifetime=0.5), "longer than one batch"),
        (lambda: pulsed.SoftBounds(dw_min=-1.0), "dw_min"),
        (lambda: pulsed.SoftBounds(corrupt_devices_prob=1.5), "corrupt_devices_prob"),
    ],
)
def test_bad_cells_are_refused(make: object, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        make()  # type: ignore[operator]


def test_parameters_are_tensors_of_the_cells() -> None:
    for value in drawn(pulsed.EcRam(), 7).values():
        assert isinstance(value, Tensor)
        assert value.shape == (7,)

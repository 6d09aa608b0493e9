"""Parameters that differ from cell to cell and from pulse to pulse."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from scipy import stats
from torch import nn
from torch.distributions import Gamma, LogNormal, Normal

import mho
from mho import Hardware, devices, random
from mho.config import ConfigError, digest, from_json, to_json
from mho.devices import PCM, Device, FiniteStates, RetentionLoss, Spread, Switching, UniformG, Varied
from mho.devices.dynamics import (
    JART,
    VTEAM,
    DataDriven2018,
    DataDriven2021,
    LinearIonDrift,
    LinearStep,
    StanfordPKU,
    SwitchingModel,
    Yakopcic,
)
from mho.programming import (
    GradientProgramming,
    JumpPulses,
    SingleShot,
    VoltagePulses,
    WriteVerify,
    suited_pulses,
    write_verify,
)

K_OFF = Spread(distribution=LogNormal(-7.6, 0.2))
PAIR = {"r_on": Spread(mean=500.0, std=300.0, low=10.0), "r_off": Spread(mean=1000.0, std=300.0)}


def vteam(**laws: Spread) -> Varied:
    return Varied(device=Switching(model=VTEAM()), spreads=laws)


def chip(device: Device, seed: int = 0, programming: Any = None, tile: Any = None) -> nn.Module:
    hardware = Hardware(device=device, programming=programming or SingleShot(), tile=tile or mho.Tile())
    torch.manual_seed(0)
    model = mho.convert(nn.Linear(60, 40, bias=False), hardware)
    mho.program(model, seed)
    return model


def values(model: Any, name: str) -> torch.Tensor:
    """The own values of a parameter on the chip."""
    device = model.hardware.device
    assert isinstance(device, Varied)
    found: torch.Tensor = model.chip_cells[device.names.index(name)]
    return found


# --- the laws of the cells of a chip ---------------------------------------------------------------


@pytest.mark.parametrize(
    "law, reference",
    [
        (K_OFF, stats.lognorm(0.2, scale=5.0e-4 * 1.0009116)),
        (Spread(mean=5e-4, std=1e-4), stats.truncnorm(-5, torch.inf, 5e-4, 1e-4)),
        (Spread(mean=5e-4, std=1e-4, low=5e-4), stats.truncnorm(0, torch.inf, 5e-4, 1e-4)),
        (Spread(distribution=Gamma(4.0, 8000.0), low=1e-5), stats.gamma(4, scale=1 / 8000)),
    ],
    ids=["lognormal", "normal", "half", "gamma"],
)
def test_cells_of_a_chip_follow_the_law(law: Spread, reference: Any) -> None:
    own = values(chip(vteam(k_off=law)), "k_off").flatten().numpy()
    if law is K_OFF:
        reference = stats.lognorm(0.2, scale=float(torch.exp(torch.tensor(-7.6, dtype=torch.float64))))
    assert len(own) == 4800
    assert stats.kstest(own, reference.cdf).pvalue > 1e-3


def test_a_pair_is_in_order_in_each_cell() -> None:
    model = chip(vteam(**PAIR))
    on, off = values(model, "r_on"), values(model, "r_off")
    assert bool((on < off).all())
    assert on.unique().numel() > 4700 and off.unique().numel() > 4700  # nothing piles up
    below = PAIR["r_on"]
    law = stats.truncnorm((10 - 500) / 300, (1000 + 6 * 300 - 500) / 300, 500, 300)
    assert below.mean == 500 and stats.kstest(on.flatten().numpy(), law.cdf).pvalue > 1e-3
    place = (stats.norm.cdf(off, 1000, 300) - stats.norm.cdf(on, 1000, 300)) / stats.norm.sf(on, 1000, 300)
    assert stats.kstest(place.flatten(), "uniform").pvalue > 1e-3  # the part of the law above the own r_on


def test_a_parameter_stays_in_order_with_one_that_all_cells_share() -> None:
    off = values(chip(vteam(r_off=Spread(mean=60.0, std=20.0))), "r_off")
    assert float(off.min()) > 50.0
    assert stats.kstest(off.flatten().numpy(), stats.truncnorm(-0.5, torch.inf, 60, 20).cdf).pvalue > 1e-3
    on = values(chip(vteam(r_on=Spread(mean=900.0, std=200.0))), "r_on")
    assert float(on.max()) < 1000.0


def test_one_seed_is_one_chip() -> None:
    first, again, other = (chip(vteam(k_off=K_OFF, **PAIR), seed) for seed in (3, 3, 4))
    assert torch.equal(first.chip_cells, again.chip_cells) and torch.equal(first.chip_g, again.chip_g)
    assert not torch.equal(first.chip_cells, other.chip_cells)


def test_a_parameter_more_moves_no_other_draw() -> None:
    one, both = chip(vteam(k_off=K_OFF)), chip(vteam(k_off=K_OFF, **PAIR))
    assert torch.equal(values(one, "k_off"), values(both, "k_off"))


def test_neither_tiles_nor_other_layers_move_the_draws() -> None:
    device = vteam(k_off=K_OFF)
    whole, cut = chip(device), chip(device, tile=mho.Tile(rows=16, columns=16))
    assert torch.equal(whole.chip_cells, cut.chip_cells)
    torch.manual_seed(1)
    two = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 4))
    hardware = Hardware(device=device)
    together, alone = mho.convert(two, hardware), mho.convert(nn.Sequential(nn.Identity(), two[1]), hardware)
    mho.program(together, 0)
    mho.program(alone, 0)
    assert torch.equal(together[1].chip_cells, alone[1].chip_cells)


def test_a_saved_chip_comes_back(tmp_path: Any) -> None:
    model = chip(vteam(k_off=K_OFF, **PAIR))
    torch.save(model.state_dict(), tmp_path / "chip.pt")
    other = mho.convert(nn.Linear(60, 40, bias=False), model.hardware)
    other.load_state_dict(torch.load(tmp_path / "chip.pt"))
    assert torch.equal(other.chip_cells, model.chip_cells)


# --- each cell behaves as a device of its own ------------------------------------------------------

STATISTICAL = [
    (PCM(), {"g_max": Spread(mean=25e-6, std=2e-6, low=10e-6), "t0": Spread(mean=20.0, std=2.0, low=5.0)}),
    (PCM(nu=devices.ConstantNu(mean=0.05, std=0.01)), {"nu.mean": Spread(mean=0.05, std=0.02, low=None)}),
    (devices.HermesPCM(), {"g_max": Spread(mean=20e-6, std=2e-6, low=10e-6)}),
    (devices.ConstantDrift(nu_std=0.01), {"nu": Spread(distribution=LogNormal(-3.0, 0.3))}),
    (devices.ReRAMCMO(), {"g_max": Spread(mean=80e-6, std=4e-6, low=60e-6, high=88e-6)}),
    (
        devices.Generic(
            program=devices.Independent(sigma=0.05), read=devices.Proportional(sigma=0.1), clip=True
        ),
        {"program.sigma": Spread(mean=0.05, std=0.02), "read.sigma": Spread(mean=0.1, std=0.05)},
    ),
    (RetentionLoss(nu=0.1, device=PCM()), {"nu": Spread(distribution=LogNormal(-2.3, 0.3))}),
    (Switching(model=VTEAM()), PAIR),
]


@pytest.mark.parametrize("device, laws", STATISTICAL, ids=lambda x: type(x).__name__)
def test_a_cell_is_a_device_with_its_numbers(device: Device, laws: dict[str, Spread]) -> None:
    varied = Varied(device=device, spreads=laws)
    count = 12
    draws = [random.normal((count,), 0, "own", str(k)).double() for k in range(len(laws) + 2)]
    own = varied.own_state(torch.stack(draws[: len(laws)]))
    eps, drift = draws[-2:]
    g = torch.linspace(device.g_min, device.g_max, count, dtype=torch.float64)
    inner = varied.device
    taken = len([0 for e in devices.effects.base.effects(inner) for _ in range(e.draws)])
    rest = drift.expand(1 + taken, count)
    cells = varied.drift_state(g, torch.cat((torch.stack(draws[: len(laws)]), rest)))
    now = varied.aged(g, cells, 1e3)
    moments = torch.stack(varied.read_moments(g, cells, now, 1e3))
    one = varied.one_read(g, cells, now, 1e3, eps)
    for k in range(count):
        numbers = dict(zip(varied.names, own[:, k].tolist(), strict=True))
        owner = device.model if isinstance(device, Switching) else device
        made = devices.own_values.rebuilt(owner, numbers)
        alone = Switching(model=made) if isinstance(made, SwitchingModel) else made
        its = alone.drift_state(g[k], rest[:, k] if taken else rest[0, k])
        torch.testing.assert_close(cells[len(laws) :, k], its)
        torch.testing.assert_close(now[k], alone.aged(g[k], its, 1e3))
        torch.testing.assert_close(moments[:, k], torch.stack(alone.read_moments(g[k], its, now[k], 1e3)))
        torch.testing.assert_close(one[k], alone.one_read(g[k], its, now[k], 1e3, eps[k]))


MODELS = [
    VTEAM(),
    LinearIonDrift(),
    Yakopcic(),
    StanfordPKU(),
    DataDriven2018(),
    DataDriven2021(),
    LinearStep(),
    JART(),
]


AT_AN_END: set[tuple[str, str]] = set()


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_any_number_of_a_model_can_differ(model: Any) -> None:
    for field in dataclasses.fields(model):
        number = getattr(model, field.name)
        if not isinstance(number, float) or field.name == "v_read" or number == 0:
            continue
        law = Spread(mean=number, std=1e-3 * abs(number), low=None)
        if (type(model).__name__, field.name) in AT_AN_END:
            with pytest.raises(ConfigError, match="truncate"):
                Varied(device=Switching(model=model), spreads={field.name: law})
            continue
        varied = Varied(device=Switching(model=model), spreads={field.name: law})
        eps = torch.tensor([[-1.0, 0.0, 1.5]], dtype=torch.float64)
        own = varied.own_state(eps)
        cells = varied.of_cells(own).model
        middle = 0.5 * (model.bounds[0] + model.bounds[1])
        state = torch.full((3,), float(middle), dtype=torch.float64)
        volts = torch.tensor(0.9, dtype=torch.float64)
        moved = cells.step(state, volts, 1e-12)
        for k in range(3):
            alone = dataclasses.replace(model, **{field.name: float(own[0, k])})
            torch.testing.assert_close(moved[k], alone.step(state[k], volts, 1e-12), rtol=1e-6, atol=0)


@pytest.mark.parametrize("way", ["verify", "gradient", "shot"])
def test_programming_uses_the_own_parameters(way: str) -> None:
    laws = {"r_off": Spread(mean=1000.0, std=200.0, low=100.0), "k_off": K_OFF}
    varied = vteam(**laws)
    pulses = suited_pulses(VTEAM())
    routine: Any = {
        "verify": WriteVerify(pulse=pulses, tolerance=0.01, max_pulses=30),
        "gradient": GradientProgramming(first=WriteVerify(pulse=pulses, max_pulses=3), rounds=3, batch=4),
        "shot": SingleShot(),
    }[way]
    target = torch.linspace(0.0012, 0.019, 6, dtype=torch.float64).reshape(1, 1, 2, 3)
    done = routine.write(varied, target, seed=0)
    again = routine.write(varied, target, seed=0)
    assert torch.equal(done.g, again.g)
    own = varied.own_state(
        torch.stack([random.normal(target.shape, 0, "", name).to(target) for name in varied.streams])
    )
    cells = varied.of_cells(own)
    assert bool((done.g >= cells.g_min * (1 - 1e-9)).all() and (done.g <= cells.g_max * (1 + 1e-9)).all())
    if way == "gradient":
        return
    for k in range(6):
        numbers = dict(zip(varied.names, own.flatten(1)[:, k].tolist(), strict=True))
        alone = Switching(model=VTEAM(**numbers))
        one = target.flatten()[k].reshape(1, 1, 1, 1)
        its = routine.write(alone, one, seed=0)
        torch.testing.assert_close(done.g.flatten()[k], its.g.flatten()[0])
        assert int(done.pulses.flatten()[k]) == int(its.pulses.flatten()[0])


def test_a_chip_is_programmed_with_the_parameters_that_it_ages_with() -> None:
    device = Varied(device=PCM(), spreads={"g_max": Spread(mean=25e-6, std=4e-6, low=5e-6, high=40e-6)})
    model: Any = chip(device)
    own = values(model, "g_max")
    eps = random.normal(model.chip_g.shape, 0, "", "program")
    scale = model.hardware.mapping.scale.reference(model.weight.t().reshape(1, 60, 40))
    wanted = model.hardware.mapping.targets(model.weight.t().reshape(1, 60, 40) / scale, 0.0, 25e-6)
    expected = device.of_cells(own.unsqueeze(0)).programmed(torch.minimum(wanted, own), eps)
    torch.testing.assert_close(model.chip_g, expected)


def test_effects_go_around_it() -> None:
    device = FiniteStates(states=UniformG(count=5), device=vteam(k_off=K_OFF))
    model: Any = chip(device)
    found = next(iter(mho.conductances(model).values()))
    assert found.unique().numel() == 5


# --- from pulse to pulse -----------------------------------------------------------------------------


def cycling(**laws: Spread) -> Varied:
    return Varied(device=Switching(model=VTEAM()), spreads={"k_off": K_OFF}, cycle=laws)


def pulsed(varied: Varied, count: int, turns: int) -> list[torch.Tensor]:
    """The factors on r_off after each of some pulses on all cells but the first."""
    shape = (count,)
    cells = varied.drawn(lambda name: random.normal(shape, 0, name).double())
    pulses: VoltagePulses = suited_pulses(VTEAM())
    source = write_verify.DrawSource(0, "", torch.arange(count), torch.float64)
    target = torch.full(shape, 0.01, dtype=torch.float64)
    memory = pulses.start(cells, target, torch.zeros_like(target)).memory
    found = []
    for number in range(turns):
        step = torch.full_like(target, -1e-3)
        step[0] = 0
        draw = write_verify.pulse_draws(source, number)
        memory = pulses.apply(cells, memory, target, step, number, draw).memory
        found.append(memory[-1] / 1000.0)
        torch.testing.assert_close(
            pulses.conductance(cells, memory), cells.model.replaced(r_off=memory[-1]).conductance(memory[0])
        )
    return found


def test_each_pulse_draws_anew() -> None:
    law = Spread(mean=1.0, std=0.1, low=0.1)
    found = pulsed(cycling(r_off=law), 4000, 3)
    for factors in found:
        assert float(factors[0]) == 1.0  # no pulse, no new draw
        assert stats.kstest(factors[1:].numpy(), stats.norm(1.0, 0.1).cdf).pvalue > 1e-3
    for a, b in ((0, 1), (1, 2), (0, 2)):
        assert abs(stats.pearsonr(found[a][1:], found[b][1:]).statistic) < 4 / 4000**0.5


def test_factors_keep_a_pair_in_order() -> None:
    law = Spread(distribution=LogNormal(0.0, 2.0))
    factors = pulsed(cycling(r_off=law), 4000, 1)[0][1:]
    assert float(factors.min()) > 0.05  # r_on is 50
    inside = stats.lognorm(2.0).sf(0.05)
    place = (stats.lognorm(2.0).cdf(factors) - (1 - inside)) / inside
    assert stats.kstest(place, "uniform").pvalue > 1e-3


def test_pulses_find_the_target_all_the_same() -> None:
    target = torch.linspace(0.002, 0.018, 400, dtype=torch.float64).reshape(1, 1, 20, 20)
    routine = WriteVerify(pulse=suited_pulses(VTEAM()), tolerance=0.01, max_pulses=100)
    varied = cycling(k_off=Spread(mean=1.0, std=0.3, low=0.1))
    one, again, other = (routine.write(varied, target, seed=s) for s in (0, 0, 1))
    assert not bool(one.failed.any())
    assert torch.equal(one.g, again.g) and not torch.equal(one.g, other.g)
    still = routine.write(vteam(k_off=K_OFF), target, seed=0)
    assert not torch.equal(one.g, still.g)


def test_portions_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    target = torch.linspace(0.002, 0.018, 60, dtype=torch.float64).reshape(1, 1, 6, 10)
    routine = WriteVerify(pulse=suited_pulses(VTEAM()), max_pulses=40)
    varied = cycling(k_off=Spread(mean=1.0, std=0.3, low=0.1), r_off=Spread(mean=1.0, std=0.01, low=0.1))
    whole = routine.write(varied, target, seed=0)
    monkeypatch.setattr(write_verify, "_CHUNK", 7)
    assert torch.equal(routine.write(varied, target, seed=0).g, whole.g)


def test_neighbours_feel_pulses_with_their_own_parameters() -> None:
    scheme = mho.array.HalfVoltage()
    routine = WriteVerify(pulse=suited_pulses(VTEAM(), scheme), tolerance=0.05, max_pulses=60)
    varied = cycling(k_off=Spread(mean=1.0, std=0.1, low=0.1))
    model: Any = chip(varied, programming=routine, tile=mho.Tile(rows=30, columns=20))
    assert torch.isfinite(model.chip_g).all()
    assert torch.equal(
        model.chip_g, chip(varied, programming=routine, tile=mho.Tile(rows=30, columns=20)).chip_g
    )


# --- descriptions ----------------------------------------------------------------------------------


def test_a_description_travels() -> None:
    varied = Varied(
        device=Switching(model=VTEAM()), spreads=dict(PAIR), cycle={"k_off": Spread(mean=1.0, std=0.1)}
    )
    back = from_json(to_json(varied))
    assert back == varied and hash(back) == hash(varied) and digest(back) == digest(varied)
    swapped = dataclasses.replace(varied, spreads=dict(reversed(PAIR.items())))
    assert swapped == varied and digest(swapped) == digest(varied) and swapped.names == varied.names


@pytest.mark.parametrize(
    "made, says",
    [
        (lambda: Varied(device=PCM()), "name a parameter"),
        (lambda: Varied(device=PCM(), spreads={"gmax": K_OFF}), "did you mean 'g_max'"),
        (lambda: Varied(device=PCM(), spreads={"v_read": K_OFF}), "the same for all cells"),
        (lambda: Varied(device=PCM(), spreads={"nu": K_OFF}), "one float"),
        (lambda: Varied(device=PCM(), spreads={"t_read": Spread(mean=1e-6, std=1e-6, low=None)}), "truncate"),
        (lambda: Varied(device=PCM(), cycle={"t0": Spread(mean=1.0, std=0.1)}), "programming error"),
        (lambda: vteam(r_on=Spread(mean=5e4, std=1.0)), "did you swap"),
        (lambda: vteam(r_on=Spread(mean=5e4, std=10.0), r_off=PAIR["r_off"]), "did you swap"),
        (lambda: vteam(alpha_of=Spread(mean=5e4, std=1.0)), "alpha_off"),
        (lambda: cycling(k_off=Spread(mean=1.0, std=1.0, low=None)), "positive"),
        (lambda: Varied(device=vteam(k_off=K_OFF), spreads={"k_off": K_OFF}), "one of them"),
        (
            lambda: Varied(device=devices.ConstantDrift(), spreads={"t0": Spread(mean=1.0, std=0.1)}),
            "cannot compute with t0",
        ),
    ],
)
def test_what_is_refused(made: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        made()


def test_it_is_no_effect_of_a_programmed_chip() -> None:
    model = chip(Switching(model=VTEAM()))
    with pytest.raises(ValueError, match="when they are programmed"):
        mho.degrade(model, Varied(spreads={"k_off": K_OFF}), seed=0)


def test_normal_of_torch_is_the_short_form() -> None:
    a = values(chip(vteam(k_off=Spread(mean=5e-4, std=1e-5))), "k_off")
    b = values(chip(vteam(k_off=Spread(distribution=Normal(5e-4, 1e-5)))), "k_off")
    torch.testing.assert_close(a, b)


def test_pulses_that_ask_more_of_a_device() -> None:
    steps = devices.Jumps(g=(1e-6, 9e-6), change=(-1e-7, 3e-7), cdf=((0.0, 1.0), (0.0, 1.0)))
    back = devices.Jumps(g=(1e-6, 9e-6), change=(-3e-7, 1e-7), cdf=((0.0, 1.0), (0.0, 1.0)))
    cell = devices.JumpCell(up=steps, down=back, read=devices.Proportional(sigma=0.01))
    varied = Varied(device=cell, spreads={"read.sigma": Spread(mean=0.01, std=0.005)})
    target = torch.linspace(2e-6, 8e-6, 200).reshape(1, 1, 10, 20)
    routine = WriteVerify(pulse=JumpPulses(), tolerance=0.05, max_pulses=200)
    one, again, alike = (routine.write(d, target, seed=0) for d in (varied, varied, cell))
    assert torch.equal(one.g, again.g) and not torch.equal(one.g, alike.g)
    assert float(one.failed.float().mean()) < 0.05
    with pytest.raises(ValueError, match="Switching is a switching model|VoltagePulses"):
        WriteVerify().write(vteam(k_off=K_OFF), target, seed=0)

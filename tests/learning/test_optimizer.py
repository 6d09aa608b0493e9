"""Training a model by pulses: mean steps, every layer, going on, and what is refused."""

from __future__ import annotations

import copy
import io
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mho
from mho.devices import Pulsed, pulsed
from mho.errors import ConfigError, NotProgrammedError, StaleChipWarning
from mho.mapping import DifferentialPair, Fixed, Offset, Residual
from mho.training.on_chip import (
    AGAD,
    SGD,
    Backward,
    ChoppedTikiTaka2,
    Deterministic,
    MixedPrecision,
    PulsedOptimizer,
    ResidualLearning,
    Rule,
    TikiTaka,
    TikiTaka2,
    digital_parameters,
)

SCALE = Fixed(weight=1.0)
INSIDE = mho.devices.Ideal(g_min=20e-6, g_max=30e-6)
IDEAL = pulsed.ConstantSteps(
    dw_min=1e-4, dw_min_dtod=0.0, up_down_dtod=0.0, dw_min_std=0.0, w_max=1.0, w_min=-1.0, w_max_dtod=0.0,
    w_min_dtod=0.0,
)  # fmt: skip
FINE = Deterministic(desired_bl=4000)
RULES: dict[str, tuple[Rule, Any]] = {
    "sgd": (SGD(), Offset(scale=SCALE)),
    "tiki-taka": (TikiTaka(), Offset(scale=SCALE)),
    "tiki-taka 2": (TikiTaka2(), Offset(scale=SCALE)),
    "chopped": (ChoppedTikiTaka2(auto_scale=True, fast_lr=0.5), Offset(scale=SCALE)),
    "agad": (AGAD(auto_scale=True, fast_lr=0.5), Offset(scale=SCALE)),
    "mixed": (MixedPrecision(), Offset(scale=SCALE)),
    "residual": (ResidualLearning(warm_up=2), Residual(tiles=3, factor=0.2, scale=SCALE)),
}


def hardware(cell: Any = IDEAL, mapping: Any = None, **more: Any) -> mho.Hardware:
    one_sided = more.pop("one_sided", False)
    device = Pulsed(cell=cell, device=more.pop("inside", INSIDE), one_sided=one_sided)
    return mho.Hardware(device=device, mapping=mapping or Offset(scale=SCALE), **more)


def on_chip(model: nn.Module, described: mho.Hardware, seed: int = 0, **options: Any) -> nn.Module:
    analog = mho.convert(model, described, **options)
    mho.program(analog, seed=seed)
    return analog.train()


def changes(model: nn.Module, x: Tensor, rule: Rule, described: mho.Hardware, lr: float) -> dict[str, Tensor]:
    """What one step changes of the weights of each array."""
    analog = on_chip(model, described)
    optimizer = PulsedOptimizer(analog, lr=lr, rule=rule)
    before = {path: w.clone() for path, w in mho.effective_weights(analog).items()}
    y = analog(x)
    y = y[0] if isinstance(y, tuple) else y
    (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
    optimizer.step()
    return {path: w - before[path] for path, w in mho.effective_weights(analog).items()}


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x)[0]  # type: ignore[no-any-return]


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bilinear = nn.Bilinear(4, 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.bilinear(x, x)  # type: ignore[no-any-return]


class Again(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(torch.tanh(self.layer(x)))  # type: ignore[no-any-return]


MODELS: dict[str, tuple[Any, Tensor]] = {
    "linear": (lambda: nn.Linear(5, 3), torch.rand(2, 5)),
    "no bias": (lambda: nn.Linear(5, 3, bias=False), torch.rand(2, 5)),
    "mlp": (lambda: nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)), torch.rand(2, 5)),
    "conv": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Tanh(), nn.Conv2d(3, 2, 2, stride=2)),
        torch.rand(2, 2, 4, 4),
    ),
    "grouped": (lambda: nn.Conv1d(4, 4, 3, groups=2), torch.rand(1, 4, 5)),
    "transposed": (lambda: nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1), torch.rand(1, 2, 3, 3)),
    "embedding": (lambda: nn.Embedding(6, 3), torch.tensor([[0, 5], [5, 2]])),
    "lstm": (lambda: nn.LSTM(4, 3, batch_first=True), torch.rand(2, 3, 4)),
    "gru": (lambda: nn.GRU(4, 3, bidirectional=True), torch.rand(2, 2, 4)),
    "rnn": (lambda: nn.RNN(4, 3), torch.rand(2, 2, 4)),
    "bilinear": (Twice, torch.rand(2, 4)),
    "attention": (Attention, torch.rand(1, 3, 6)),
    "used twice": (Again, torch.rand(2, 4)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_step_on_fine_ideal_cells_is_a_step_of_sgd(name: str) -> None:
    """Every kind of layer: what the pulses change is -lr times the gradient, to a step for each vector."""
    torch.manual_seed(0)
    make, x = MODELS[name]
    model = make()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.4, 0.4)
    y = model(x)
    y = y[0] if isinstance(y, tuple) else y
    (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
    found = changes(model, x, SGD(train=FINE), hardware(), 0.05)
    crossbars = mho.nn.crossbars(mho.convert(copy.deepcopy(model), hardware()))
    for path, array in crossbars.items():
        gradient = array.stored_weight()  # the owner's
        owner = dict(model.named_parameters())
        held = next(p for p in owner.values() if p.shape == gradient.shape and torch.equal(p, gradient))
        assert held.grad is not None
        part = held.grad if array.part is None else held.grad[slice(*array.part)]
        assert float(part.abs().max()) > 0
        assert torch.allclose(found[path], -0.05 * part, atol=1e-4 * 30, rtol=0.02)


def test_pulses_on_average_are_the_gradient() -> None:
    """10,000 draws of one update: the mean is -lr d x^T within four standard errors, and so is the spread."""
    runs, lr = 10_000, 0.01
    cell = mho.config.from_dict({**mho.config.to_dict(IDEAL), "dw_min": 0.001})
    x, d = torch.tensor([[1.0, -0.4, 0.1]]), torch.tensor([0.8, -0.3])
    analog = on_chip(nn.Linear(3, 2, bias=False), hardware(cell, inside=INSIDE))
    optimizer = PulsedOptimizer(analog, lr=lr)
    found = []
    for _ in range(runs // 100):
        before = mho.effective_weights(analog)[""].clone()
        for _ in range(100):
            (analog(x) * d).sum().backward()
        optimizer.step()  # a sequence of 100 updates
        found.append((mho.effective_weights(analog)[""] - before) / 100)
        mho_restore(optimizer)
    each = torch.stack(found)
    wanted = -lr * d.unsqueeze(1) * x
    error = each.std(0) / math.sqrt(len(found))
    assert ((each.mean(0) - wanted).abs() <= 4 * error + 1e-7).all()


def mho_restore(optimizer: PulsedOptimizer) -> None:
    """Set the weights to zero again, far from the bounds."""
    for learner in optimizer.learners.values():
        learner.held.weights.bank.weight.zero_()
        learner.moved()


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("cell", [pulsed.ReRamSB(), pulsed.ReRamArrayOM()], ids=["SB", "OM"])
def test_going_on_is_going_through(name: str, cell: Any) -> None:
    """Saved after some steps and loaded into a model made anew: the same weights to the bit."""
    rule, mapping = RULES[name]
    x, y = torch.rand(12, 4), torch.randint(0, 3, (12,))

    def made() -> tuple[nn.Module, PulsedOptimizer, Any]:
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
        analog = on_chip(model, hardware(cell, mapping), seed=3)
        optimizer = PulsedOptimizer(analog, lr=0.3, rule=rule, seed=5)
        return analog, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)

    def train(analog: nn.Module, optimizer: PulsedOptimizer, scheduler: Any, first: int, last: int) -> None:
        for step in range(first, last):
            some = slice(3 * (step % 4), 3 * (step % 4) + 3)
            optimizer.zero_grad()
            nn.functional.cross_entropy(analog(x[some]), y[some]).backward()
            optimizer.step()
            scheduler.step()

    through = made()
    train(*through, 0, 8)
    begun = made()
    train(*begun, 0, 4)
    file = io.BytesIO()
    torch.save([part.state_dict() for part in begun], file)
    file.seek(0)
    again = made()
    for part, state in zip(again, torch.load(file), strict=True):
        part.load_state_dict(state)
    train(*again, 4, 8)
    for path, value in mho.conductances(through[0]).items():
        assert torch.equal(value, mho.conductances(again[0])[path])
    for path, value in through[1].pulses().items():
        assert torch.equal(value, again[1].pulses()[path])
    assert any(bool((v > 0).any()) for v in through[1].pulses().values())


def test_the_weights_of_the_model_stay_and_the_chip_learns() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    analog = on_chip(model, hardware(pulsed.Idealized()))
    optimizer = PulsedOptimizer(analog, lr=0.1, rule=SGD(train=Deterministic(desired_bl=1000)))
    analog(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    assert torch.equal(analog.weight, model.weight)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("error", StaleChipWarning)
        y = analog.eval()(torch.ones(1, 4))
    learned = mho.effective_weights(analog)[""]
    assert float((learned - model.weight.detach()).mean()) == pytest.approx(-0.1, abs=0.03)
    assert torch.allclose(y, learned.sum(1) + model.bias, atol=1e-5)
    back = mho.revert(analog, weights="programmed")
    assert torch.allclose(back.weight, learned)  # type: ignore[arg-type]


def test_training_mode_reads_the_chip_with_converters_and_noise() -> None:
    noisy = mho.devices.Generic(g_min=20e-6, g_max=30e-6, read=mho.devices.Independent(sigma=0.01))
    dac = mho.DAC(bits=4, range=mho.converters.Fixed(limit=1.0))
    analog = on_chip(nn.Linear(6, 3), hardware(inside=noisy, dac=dac))
    optimizer = PulsedOptimizer(analog, lr=0.1)
    x = torch.rand(1, 6).expand(500, 6)
    y = analog(x)
    spread = y.std(0)
    assert bool((spread > 0).all())
    assert torch.allclose(spread, analog.eval()(x).std(0), rtol=0.2)
    optimizer.close()
    assert torch.equal(analog.train()(x)[0], analog.train()(x)[1])  # the clean weights again


@pytest.mark.parametrize("bits", [3, 8])
def test_errors_go_back_through_the_array(bits: int) -> None:
    """Rounded by the DAC of the columns and the ADC of the rows, over the largest of each vector."""
    dac = mho.DAC(bits=bits, range=mho.converters.Fixed(limit=1.0))
    analog = on_chip(nn.Linear(6, 5), hardware(dac=dac))
    PulsedOptimizer(analog, lr=0.0)
    x = torch.rand(2, 6, requires_grad=True)
    d = torch.randn(2, 5)
    (analog(x) * d).sum().backward()
    steps = 2 ** (bits - 1) - 1
    top = d.abs().amax(1, keepdim=True) / steps
    wanted = (d / top).round() * top @ mho.effective_weights(analog)[""]
    assert x.grad is not None
    assert torch.allclose(x.grad, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("dac", "steps"),
    [
        (mho.DAC(bits=None, steps=6, range=mho.converters.Fixed(limit=1.0)), 3),
        (mho.DAC(bits=3, signed=False, range=mho.converters.Fixed(limit=1.0)), 7),
        (mho.DAC(bits=None, range=mho.converters.Fixed(limit=1.0)), None),
    ],
    ids=["steps", "unsigned", "ideal"],
)
def test_errors_are_rounded_by_any_converter(dac: mho.DAC, steps: int | None) -> None:
    """Its own levels, however they are told; errors have both signs where inputs have one."""
    analog = on_chip(nn.Linear(6, 5), hardware(dac=dac))
    PulsedOptimizer(analog, lr=0.0)
    x, d = torch.rand(2, 6, requires_grad=True), torch.randn(2, 5)
    (analog(x) * d).sum().backward()
    if steps is not None:
        top = d.abs().amax(1, keepdim=True) / steps
        d = (d / top).round() * top
    assert x.grad is not None
    assert torch.allclose(x.grad, d @ mho.effective_weights(analog)[""], atol=1e-5)


def test_learning_through_wires() -> None:
    """Each step is of the weights as wires let them through, and evaluation reads the same chip."""
    wires = mho.array.Wires(row=2.0, column=2.0)
    analog = on_chip(nn.Linear(6, 5, bias=False), hardware(pulsed.EcRam(), array=wires))
    optimizer = PulsedOptimizer(analog, lr=0.3)
    x = torch.rand(3, 6)
    for _ in range(2):
        optimizer.zero_grad()
        y = analog(x)
        y.sum().backward()
        optimizer.step()
    assert torch.allclose(analog(x), analog.eval()(x), atol=1e-5)
    assert not torch.allclose(y, analog(x), atol=1e-3)
    assert torch.allclose(analog(x), x @ mho.effective_weights(analog)[""].t(), atol=1e-5)


def test_errors_may_go_back_exactly() -> None:
    noisy = mho.devices.Generic(g_min=20e-6, g_max=30e-6, read=mho.devices.Independent(sigma=0.01))
    dac = mho.DAC(bits=3, range=mho.converters.Fixed(limit=1.0))
    analog = on_chip(nn.Linear(6, 5), hardware(inside=noisy, dac=dac))
    PulsedOptimizer(analog, lr=0.0, backward=Backward(converters=False, noise=False))
    x, d = torch.rand(2, 6, requires_grad=True), torch.randn(2, 5)
    (analog(x) * d).sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad, d @ mho.effective_weights(analog)[""], atol=1e-5)


def test_noise_of_the_backward_read() -> None:
    """Its spread is that of the cells: sqrt(sum of (sigma d)^2)."""
    noisy = mho.devices.Generic(g_min=20e-6, g_max=30e-6, read=mho.devices.Independent(sigma=0.01))
    analog = on_chip(nn.Linear(2, 5), hardware(inside=noisy))
    PulsedOptimizer(analog, lr=0.0)
    x, d = torch.rand(4000, 2, requires_grad=True), torch.randn(5)
    (analog(x) * d).sum().backward()
    sigma = 0.01 * 30e-6 / 5e-6  # siemens over those of one unit of weight
    assert x.grad is not None
    assert torch.allclose(x.grad.std(0), sigma * d.norm().expand(2), rtol=0.06)


def test_pairs_of_one_sided_cells() -> None:
    """What raises a weight pulses one cell of the pair up, what lowers it the other one; none goes down."""
    described = hardware(pulsed.PCM(), DifferentialPair(scale=Fixed(weight=1.0)), one_sided=True)
    analog = on_chip(nn.Linear(4, 2, bias=False), described)
    optimizer = PulsedOptimizer(analog, lr=0.5)
    before = mho.conductances(analog)[""].clone()
    d = torch.tensor([1.0, -1.0])
    for _ in range(5):
        (analog(torch.ones(1, 4)) * d).sum().backward()
    optimizer.step()
    up = mho.conductances(analog)[""] - before
    counts = optimizer.pulses()[""]
    assert counts[0, 0, :, 0].sum() == 0
    assert counts[1, 0, :, 1].sum() == 0
    assert bool((counts[1, 0, :, 0] > 0).all())
    assert bool((counts[0, 0, :, 1] > 0).all())
    assert float(up[1, 0, :, 0].mean()) > 0
    assert float(up[0, 0, :, 1].mean()) > 0


def test_pairs_of_cells_that_move_both_ways() -> None:
    """Both cells of a pair are pulsed, one up and the other one down: half a step of the weight each."""
    described = hardware(mapping=DifferentialPair(two_sided=True, scale=SCALE))
    analog = on_chip(nn.Linear(4, 2, bias=False), described)
    optimizer = PulsedOptimizer(analog, lr=0.05, rule=SGD(train=FINE))
    before = mho.effective_weights(analog)[""].clone()
    (analog(torch.ones(1, 4)) * torch.tensor([1.0, -0.5])).sum().backward()
    optimizer.step()
    change = mho.effective_weights(analog)[""] - before
    assert torch.allclose(change, -0.05 * torch.tensor([[1.0], [-0.5]]).expand(2, 4), atol=4e-4)
    plus, minus = optimizer.pulses()[""]
    assert torch.equal(plus, minus)
    assert optimizer.learners[""].held.weights.granularity == 2e-4


def test_bias_rows_learn_too() -> None:
    analog = on_chip(nn.Linear(4, 2), hardware(), bias_rows=2)
    optimizer = PulsedOptimizer(analog, lr=0.1, rule=SGD(train=FINE))
    before = analog.effective_bias().clone()  # type: ignore[operator]
    analog(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    change = analog.effective_bias() - before  # type: ignore[operator]
    assert torch.allclose(change, torch.full((2,), -0.2), atol=0.01)  # both rows get the gradient
    assert digital_parameters(analog) == []


def test_two_groups_with_their_own_rates() -> None:
    analog = on_chip(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), hardware())
    groups = [{"model": analog[0], "lr": 0.0}, {"model": analog[1]}]  # type: ignore[index]
    optimizer = PulsedOptimizer(groups, lr=0.1)
    analog(torch.rand(5, 4)).sum().backward()
    optimizer.step()
    sent = {path: int(counts.sum()) for path, counts in optimizer.pulses().items()}
    assert sent["0"] == 0
    assert sent["1"] > 0


def test_gradients_gather_until_they_are_sent_or_forgotten() -> None:
    analog = on_chip(nn.Linear(4, 2), hardware())
    optimizer = PulsedOptimizer(analog, lr=0.1)
    analog(torch.rand(2, 4)).sum().backward()
    optimizer.zero_grad()
    optimizer.step()
    assert int(optimizer.pulses()[""].sum()) == 0
    for _ in range(2):
        analog(torch.rand(2, 4)).sum().backward()
    assert optimizer.learners[""].seen[1][0] == 2
    optimizer.step()
    sent = int(optimizer.pulses()[""].sum())
    assert sent > 0
    optimizer.step()  # nothing twice
    assert int(optimizer.pulses()[""].sum()) == sent


def test_closures() -> None:
    analog = on_chip(nn.Linear(4, 2), hardware())
    optimizer = PulsedOptimizer(analog, lr=0.1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = analog(torch.ones(1, 4)).sum()
        loss.backward()
        return loss  # type: ignore[no-any-return]

    loss = optimizer.step(closure)
    assert isinstance(loss, Tensor)
    assert int(optimizer.pulses()[""].sum()) > 0


def test_a_trained_chip_drifts_and_is_compensated() -> None:
    """Ageing goes on from the trained conductances, and compensation from a read of them."""
    drifting = mho.devices.PCM(g_min=5e-6, g_max=25e-6, program_scale=0.0, read_scale=0.0)
    cell = pulsed.SoftBounds(w_max=1.0, w_min=-1.0, w_min_dtod=0.05, w_max_dtod=0.05)
    referred = Offset(unit_column=True, scale=SCALE)  # the reference drifts with the cells
    analog = on_chip(nn.Linear(8, 4), hardware(cell, referred, inside=drifting))
    optimizer = PulsedOptimizer(analog, lr=0.5)
    for _ in range(10):
        optimizer.zero_grad()
        (analog(torch.rand(4, 8)) * torch.tensor([1.0, -1.0, 0.5, 0.0])).sum().backward()
        optimizer.step()
    trained = mho.effective_weights(analog)[""].clone()
    programmed = mho.conductances(analog)[""].clone()
    optimizer.close()
    mho.age(analog, 86_400)
    aged = mho.conductances(analog)[""]
    assert bool((aged < programmed).all())
    mho.compensate(analog)
    crossbar = mho.nn.crossbars(analog)[""]
    assert float(crossbar.chip_gain[0]) > 1
    mho.age(analog, 0)
    assert torch.allclose(mho.effective_weights(analog)[""], trained, atol=1e-6)


def test_copies_and_files_have_the_chip_as_it_is() -> None:
    analog = on_chip(nn.Linear(4, 2), hardware())
    optimizer = PulsedOptimizer(analog, lr=0.1)
    analog(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    twin = copy.deepcopy(analog)
    assert torch.equal(twin.eval()(torch.ones(1, 4)), analog.eval()(torch.ones(1, 4)))
    assert mho.nn.crossbars(twin)[""]._learner is None


def test_a_chip_that_is_loaded_in_between_is_trained_on() -> None:
    """The optimizer takes the chip that is there, and never writes back the one that it knew."""
    analog = on_chip(nn.Linear(4, 2), hardware())
    optimizer = PulsedOptimizer(analog, lr=0.1)
    begun = copy.deepcopy(analog.state_dict())

    def step() -> None:
        optimizer.zero_grad()
        analog(torch.ones(1, 4)).sum().backward()
        optimizer.step()

    step()
    after_one = mho.conductances(analog)[""].clone()
    step()
    step()  # not looked at before the chip is loaded
    analog.load_state_dict(begun)
    assert torch.equal(mho.conductances(analog)[""], begun["crossbar.chip_g"])
    step()
    assert torch.allclose(mho.conductances(analog)[""], after_one, rtol=1e-6)
    mho.program(analog, seed=7)
    analog.train()
    spread = on_chip(nn.Linear(4, 2), hardware(pulsed.EcRam()))
    other = PulsedOptimizer(spread, lr=0.1)
    mho.program(spread, seed=7)
    with pytest.raises(ValueError, match="other cells"):
        spread.train()(torch.ones(1, 4)).sum().backward()
    del other


def test_effects_around_pulsed_cells_act_on_reads() -> None:
    device = mho.devices.StuckAt(hrs=0.3, device=Pulsed(cell=IDEAL, device=INSIDE))
    analog = on_chip(nn.Linear(10, 8, bias=False), mho.Hardware(device=device, mapping=Offset(scale=SCALE)))
    optimizer = PulsedOptimizer(analog, lr=0.5)
    before = mho.effective_weights(analog)[""].clone()
    for _ in range(3):
        analog(torch.ones(1, 10)).sum().backward()
    optimizer.step()
    stuck = mho.effective_weights(analog)[""] == before
    assert 0.1 < float(stuck.float().mean()) < 0.5


def test_saturated_vectors_are_counted() -> None:
    analog = on_chip(nn.Linear(4, 2), hardware())
    optimizer = PulsedOptimizer(analog, lr=10.0)
    analog(torch.ones(3, 4)).sum().backward()
    optimizer.step()
    assert optimizer.clipped() == {"": 1.0}
    assert int(optimizer.pulses()[""].min()) == 3 * 31


def test_the_pulses_can_be_had() -> None:
    """A list that another chip plays ends in the same counts, cell by cell."""
    analog = on_chip(nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)), hardware(pulsed.ReRamSB()))
    optimizer = PulsedOptimizer(analog, lr=0.3, rule=TikiTaka2())
    with optimizer.recording() as sent:
        for _ in range(3):
            optimizer.zero_grad()
            analog(torch.rand(6, 5)).sum().backward()
            optimizer.step()
    for path, counts in optimizer.pulses().items():
        played = torch.zeros_like(counts)
        for one in sent:
            if one.array == path:
                played.index_put_(tuple(one.cell), one.direction.abs().long(), accumulate=True)
        assert torch.equal(played, counts)
    before = len(sent)
    analog(torch.rand(6, 5)).sum().backward()
    optimizer.step()
    assert len(sent) == before


def test_a_digital_optimizer_goes_along() -> None:
    """One optimizer for all of a model: rates, schedules and states of both."""

    def made() -> tuple[nn.Module, PulsedOptimizer, Any]:
        torch.manual_seed(2)
        analog = on_chip(
            nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)), hardware(pulsed.ReRamSB())
        )
        digital = torch.optim.SGD(digital_parameters(analog), lr=0.2, momentum=0.9)
        optimizer = PulsedOptimizer(analog, lr=0.4, digital=digital)
        return analog, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)

    def step(analog: nn.Module, optimizer: PulsedOptimizer, scheduler: Any) -> None:
        optimizer.zero_grad()
        analog(torch.ones(2, 5)).sum().backward()
        optimizer.step()
        scheduler.step()

    first = made()
    biases = [p.clone() for p in digital_parameters(first[0])]
    step(*first)
    assert [group["lr"] for group in first[1].param_groups] == [0.2, 0.1]
    assert all(not torch.equal(a, b) for a, b in zip(biases, digital_parameters(first[0]), strict=True))
    again = made()
    for part, state in zip(again, [copy.deepcopy(part.state_dict()) for part in first], strict=True):
        part.load_state_dict(state)
    for run in (first, again):
        step(*run)
    for a, b in zip(digital_parameters(first[0]), digital_parameters(again[0]), strict=True):
        assert torch.equal(a, b)
    assert again[1].digital is not None
    assert again[1].digital.param_groups[0]["lr"] == again[1].param_groups[1]["lr"] == 0.05
    with pytest.raises(ValueError, match="without it"):
        PulsedOptimizer(made()[0], lr=0.1).load_state_dict(first[1].state_dict())


def test_in_the_loop_of_mho(tmp_path: Path) -> None:
    """``mho.training.fit`` trains it, stops and goes on bit for bit."""
    x, y = torch.rand(20, 5), torch.randint(0, 3, (20,))
    loader = [(x[k : k + 5], y[k : k + 5]) for k in range(0, 20, 5)]

    def trained(epochs: list[int], folder: str) -> nn.Module:
        for last in epochs:
            torch.manual_seed(3)
            analog = on_chip(nn.Linear(5, 3), hardware(pulsed.EcRam()))
            digital = torch.optim.SGD(digital_parameters(analog), lr=0.1)
            optimizer = PulsedOptimizer(analog, lr=0.1, digital=digital)
            loss = mho.training.supervised(nn.functional.cross_entropy)
            checkpoint = tmp_path / folder / "c.pt"
            mho.training.fit(analog, loader, loss, optimizer, last, checkpoint=checkpoint)
        return analog

    through, stopped = trained([4], "a"), trained([2, 4], "b")
    assert torch.equal(mho.conductances(through)[""], mho.conductances(stopped)[""])


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_in_lightning() -> None:
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.analog = on_chip(nn.Linear(5, 3), hardware(pulsed.EcRam()))

        def training_step(self, batch: Any, number: int) -> Tensor:
            return nn.functional.cross_entropy(self.analog(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            digital = torch.optim.SGD(digital_parameters(self.analog), lr=0.1)
            return PulsedOptimizer(self.analog, lr=0.1, digital=digital)

    data = torch.utils.data.TensorDataset(torch.rand(20, 5), torch.randint(0, 3, (20,)))
    module = Module()
    before = mho.conductances(module.analog)[""].clone()
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=5))
    assert not torch.equal(mho.conductances(module.analog)[""], before)


def test_full_pairs_are_refreshed() -> None:
    """Pulses up and down in turn fill both cells of one-sided pairs; resets make room."""
    described = hardware(pulsed.PCM(), DifferentialPair(scale=Fixed(weight=1.0)), one_sided=True)
    for every, full in ((1, False), (1000, True)):
        analog = on_chip(nn.Linear(2, 2, bias=False), described)
        optimizer = PulsedOptimizer(analog, lr=5.0, refresh_every=every)
        for turn in range(60):
            (analog(torch.ones(1, 2)) * (-1.0) ** turn).sum().backward()
            optimizer.step()
        states = optimizer.learners[""].held.weights.shown()
        assert bool((states.amin(0) > 0.75 * 2.0).any()) == full
    with pytest.raises(ValueError, match="refresh_every = 0"):
        PulsedOptimizer(analog, refresh_every=0)


# --- what is refused ---------------------------------------------------------------------------


def test_an_array_without_pulses_is_refused() -> None:
    analog = on_chip(nn.Linear(4, 2), mho.Hardware(device=mho.devices.PCM()))
    with pytest.raises(ValueError, match=r"convert with device=mho\.devices\.Pulsed"):
        PulsedOptimizer(analog)


def test_a_model_without_a_chip_is_refused() -> None:
    with pytest.raises(NotProgrammedError, match="PulsedOptimizer needs a programmed chip"):
        PulsedOptimizer(mho.convert(nn.Linear(4, 2), hardware()))


@pytest.mark.parametrize(
    ("rule", "mapping", "sentence"),
    [
        (ResidualLearning(), Offset(scale=SCALE), "learns on 2 tiles"),
        (SGD(), Residual(tiles=2, scale=SCALE), "learns on one tile"),
        (SGD(), mho.mapping.BitSlicing(), "learns on one tile"),
    ],
)
def test_a_rule_says_how_many_tiles_it_needs(rule: Rule, mapping: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        PulsedOptimizer(on_chip(nn.Linear(4, 2), hardware(mapping=mapping)), rule=rule)


def test_one_sided_cells_need_pairs() -> None:
    with pytest.raises(ValueError, match="learn in pairs"):
        PulsedOptimizer(on_chip(nn.Linear(4, 2), hardware(pulsed.PCM(), one_sided=True)))


@pytest.mark.parametrize("lr", [-0.1, math.nan, math.inf, True])
def test_rates_that_are_none(lr: Any) -> None:
    analog = on_chip(nn.Linear(4, 2), hardware())
    with pytest.raises(ValueError, match="learning rate"):
        PulsedOptimizer(analog, lr=lr)


def test_an_array_in_two_groups() -> None:
    analog = on_chip(nn.Linear(4, 2), hardware())
    with pytest.raises(ValueError, match="in two groups"):
        PulsedOptimizer([{"model": analog}, {"model": analog}])
    with pytest.raises(TypeError, match="give a model"):
        PulsedOptimizer([{"params": analog.weight}])
    with pytest.raises(TypeError, match="give a rule"):
        PulsedOptimizer(analog, rule="agad")  # type: ignore[arg-type]


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    analog = on_chip(nn.Linear(4, 2), hardware())
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(ValueError, match="there are 2 processes"):
        PulsedOptimizer(analog)


def test_an_aged_chip_is_not_pulsed() -> None:
    analog = on_chip(nn.Linear(4, 2), hardware())
    optimizer = PulsedOptimizer(analog, lr=0.1)
    mho.age(analog, 60)
    analog.train()(torch.ones(1, 4)).sum().backward()
    with pytest.raises(ValueError, match=r"60 s old.*mho\.age\(model, 0\)"):
        optimizer.step()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_errors_that_are_no_numbers_send_nothing(bad: float) -> None:
    analog = on_chip(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), hardware())
    optimizer = PulsedOptimizer(analog, lr=0.1)
    (analog(torch.ones(1, 4)) * torch.tensor([1.0, bad])).sum().backward()
    with pytest.raises(ValueError, match="NaN or infinite: no pulse was sent"):
        optimizer.step()
    assert all(int(counts.sum()) == 0 for counts in optimizer.pulses().values())


def test_a_state_of_something_else_is_refused() -> None:
    def made(rule: Rule, seed: int = 0, size: int = 4) -> PulsedOptimizer:
        return PulsedOptimizer(on_chip(nn.Linear(size, 2), hardware()), lr=0.1, rule=rule, seed=seed)

    here = made(SGD())
    for other, sentence in (
        (made(MixedPrecision()), "rule = "), (made(SGD(), seed=1), "seed = 1"),
        (made(SGD(), size=5), "has cells"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=sentence):
            here.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match="none of a PulsedOptimizer"):
        here.load_state_dict(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1).state_dict())


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="choose one of them"):
        AGAD(auto_scale=True, correct_gradient_magnitudes=True)

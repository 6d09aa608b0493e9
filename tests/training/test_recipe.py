"""Recipes: what comes in over time, what is learned, and what is left when they are detached."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
import torch._dynamo.testing
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import mho
from mho import training as tr
from mho.converters import Dynamic, Fixed, Learned
from mho.errors import ConfigError
from mho.training import Modifier, Recipe, attach, detach

LAYERS = {
    "linear": (lambda: nn.Linear(7, 5), (3, 7)),
    "conv": (lambda: nn.Conv2d(4, 6, 3, groups=2), (2, 4, 5, 5)),
    "transposed": (lambda: nn.ConvTranspose1d(4, 6, 3, groups=2), (2, 4, 5)),
    "lstm": (lambda: nn.LSTM(3, 4, num_layers=2), (5, 2, 3)),
    "attention": (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0), (5, 2, 8)),
}
EVERYTHING = (
    tr.WeightRange(every=3),
    tr.FixedClip(limit=1.0, relative_to="range"),
    tr.OutputScale(),
    tr.LearnedClip(sigmas=50.0),
    tr.WeightNoise(std=0.05, relative_to="range", ramp_steps=4),
    tr.MultiplicativeNoise(std=0.02),
    tr.PolynomialNoise(relative_to="column"),
    tr.ProgrammingNoise(),
    tr.DriftNoise(),
    tr.DropConnect(p=0.01),
    tr.InputNoise(std=0.01),
    tr.OutputNoise(std=0.01),
    tr.ConverterSchedule(off_steps=1, ramp_steps=2),
)


def first(y: object) -> Tensor:
    return y[0] if isinstance(y, tuple) else y  # type: ignore[return-value]


def converted(layer: nn.Module, *modifiers: Modifier, **hardware: object) -> nn.Module:
    analog = mho.convert(layer, mho.Hardware(**hardware))
    attach(analog, Recipe(modifiers=modifiers))
    return analog.train()


@pytest.mark.filterwarnings("ignore::mho.errors.NotProgrammedWarning")  # the targets are what is wanted
@pytest.mark.parametrize("kind", LAYERS)
def test_everything_together_and_nothing_left(kind: str) -> None:
    """All modifiers train every layer; detached before a step, the model is bit for bit what it was."""
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    device = mho.devices.PCM()
    analog = mho.convert(make(), mho.Hardware(device=device, dac=mho.DAC(range=Learned(initial=2.0))))
    before = {k: v.clone() for k, v in analog.state_dict().items()}
    parameters = dict(analog.named_parameters())
    x = torch.randn(shape)
    wanted = first(analog.eval()(x))
    attach(analog, Recipe(modifiers=EVERYTHING))
    torch.testing.assert_close(first(analog.eval()(x)), wanted)  # scales and clips start as the identity
    optimizer = torch.optim.SGD(analog.parameters(), lr=0.01)
    analog.train()
    for _ in range(5):
        optimizer.zero_grad()
        first(analog(x)).square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in analog.parameters())
    detach(analog)
    after = analog.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[k], before[k]) for k in before)
    assert {k: id(v) for k, v in analog.named_parameters()} == {k: id(v) for k, v in parameters.items()}
    assert type(analog) is type(mho.convert(make(), mho.Hardware()))
    assert not any(
        "training" in name for m in analog.modules() for name in m._buffers if m._buffers[name] is not None
    )
    attach(analog, Recipe(modifiers=EVERYTHING))
    optimizer = torch.optim.SGD(analog.parameters(), lr=0.01)
    analog.train()
    for _ in range(3):
        optimizer.zero_grad()
        first(analog(x)).square().mean().backward()
        optimizer.step()
    wanted = first(analog.eval()(x))
    detach(analog)  # learned scales are folded: what is computed stays
    torch.testing.assert_close(first(analog.eval()(x)), wanted)
    reverted = mho.revert(analog)
    assert list(reverted.state_dict()) == list(make().state_dict())


def test_learned_scale() -> None:
    """y = s_j (W x)_j + b: the gradient of s_j is that of the column's output without bias."""
    layer = nn.Linear(6, 4)
    analog = converted(layer, tr.OutputScale())
    x = torch.randn(9, 6)
    scale = analog.parametrizations.weight[0].scale
    assert torch.equal(scale, torch.ones(4))
    y = analog(x)
    torch.testing.assert_close(y, layer(x))
    weigh = torch.randn_like(y)
    (y * weigh).sum().backward()
    torch.testing.assert_close(scale.grad, ((layer(x) - layer.bias) * weigh).sum(0))
    with torch.no_grad():
        scale.copy_(torch.tensor([1.0, 2.0, 0.5, -1.0]))
    wanted = (layer(x) - layer.bias) * scale + layer.bias
    torch.testing.assert_close(analog.eval()(x), wanted)  # evaluation has it,
    mho.program(analog, seed=0)
    torch.testing.assert_close(analog(x), wanted)  # the chip,
    torch.testing.assert_close(mho.revert(analog)(x), wanted)  # and the plain layer
    kept = copy.deepcopy(analog)
    detach(kept, fold=False)
    assert torch.equal(kept.parametrizations.weight[0].scale, scale)
    attach(kept, Recipe(modifiers=(tr.OutputScale(),)))
    torch.testing.assert_close(kept.eval()(x), wanted)
    detach(kept)
    assert "parametrizations" not in kept._modules and torch.equal(kept.weight, scale[:, None] * layer.weight)
    torch.testing.assert_close(analog.eval()(x), wanted)  # the copy's class was its own
    detach(analog)
    torch.testing.assert_close(analog(x), wanted)
    one = converted(nn.Linear(6, 4), tr.OutputScale(relative_to="tensor"))
    assert one.parametrizations.weight[0].scale.shape == (1,)


def test_columns_of_groups_have_scales_of_their_own() -> None:
    """Where a column is not an axis of the Parameter."""
    layer = nn.ConvTranspose1d(4, 6, 3, groups=2, bias=False)
    analog = converted(layer, tr.OutputScale())
    with torch.no_grad():
        analog.parametrizations.weight[0].scale.copy_(torch.arange(1.0, 7.0))
    x = torch.randn(2, 4, 5)
    torch.testing.assert_close(analog(x), layer(x) * torch.arange(1.0, 7.0).view(1, 6, 1))


def test_learned_clip() -> None:
    layer = nn.Linear(40, 30, bias=False)
    nn.init.normal_(layer.weight)
    analog = converted(layer, tr.LearnedClip(sigmas=1.5))
    limit = analog.parametrizations.weight[0].limit
    assert limit.item() == pytest.approx(1.5 * layer.weight.std().item())
    x, weigh = torch.randn(8, 40), torch.randn(8, 30)
    y = analog(x)
    w = layer.weight.detach()
    clipped = w.clamp(-limit.item(), limit.item())
    torch.testing.assert_close(y, x @ clipped.T)
    (y * weigh).sum().backward()
    grad = weigh.T @ x
    out = w.abs() > limit
    assert 0.05 < float(out.float().mean()) < 0.25
    torch.testing.assert_close(limit.grad.sum(), (grad * w.sign())[out].sum())
    torch.testing.assert_close(analog.parametrizations.weight.original.grad, grad.masked_fill(out, 0))
    detach(analog)
    torch.testing.assert_close(analog.weight.detach(), clipped)


@pytest.mark.parametrize("relative_to", ["tensor", "column"])
def test_range_at_the_start_and_again(relative_to: str) -> None:
    """The range is measured at the start and every third forward; clipping keeps the weights in it."""
    layer = nn.Linear(20, 6)
    analog = converted(layer, tr.WeightRange(relative_to=relative_to, every=3))
    x = torch.randn(4, 20)
    torch.testing.assert_close(analog(x), layer(x))  # a range changes no output
    peak = (
        layer.weight.detach().abs().amax(1) if relative_to == "column" else layer.weight.detach().abs().amax()
    )
    torch.testing.assert_close(analog.crossbar.training_range.flatten(), peak.flatten())
    with torch.no_grad():
        analog.weight.mul_(2)
    for step in range(1, 5):
        analog(x)
        factor = 1 if step < 3 else 2
        torch.testing.assert_close(analog.crossbar.training_range.flatten(), factor * peak.flatten())
    fixed = converted(
        copy.deepcopy(layer),
        tr.WeightRange(relative_to=relative_to),
        tr.FixedClip(limit=0.5, relative_to="range"),
    )
    fixed(x)
    bound = 0.5 * (peak.view(-1, 1) if relative_to == "column" else peak)
    torch.testing.assert_close(fixed.weight.detach(), layer.weight.detach().clamp(-bound, bound))
    fan = converted(nn.Linear(12, 3), tr.WeightRange(start="fan_in", relative_to=relative_to))
    assert fan.crossbar.training_range.unique().tolist() == [pytest.approx(0.5)]


def test_range_and_noise_under_a_learned_scale() -> None:
    """The range is that of the weights before the scale; noise in it is scaled with them."""
    layer = nn.Linear(50, 40, bias=False)
    noise = tr.WeightNoise(std=0.1, relative_to="range")
    analog = converted(layer, tr.OutputScale(), tr.WeightRange(every=1), noise)
    with torch.no_grad():
        analog.parametrizations.weight[0].scale.mul_(3)
    for _ in range(2):
        used = analog(torch.eye(50)).detach().T
    w = layer.weight.detach()
    torch.testing.assert_close(analog.crossbar.training_range.flatten(), w.abs().amax(1))
    z = (used - 3 * w) / (0.3 * w.abs().amax(1, keepdim=True))
    assert float(z.std()) == pytest.approx(1, abs=0.08)


def test_fixed_clip() -> None:
    analog = converted(nn.Linear(20, 6), tr.FixedClip(limit=0.1))
    before = analog.weight.detach().clone()
    analog(torch.randn(4, 20))
    assert torch.equal(analog.weight, before.clamp(-0.1, 0.1))
    with torch.no_grad():
        analog.weight.mul_(9)
    analog.eval()
    assert float(analog.weight.detach().abs().max()) == pytest.approx(0.1)


def test_learned_input_range_follows_its_rule() -> None:
    """grad beta = beta (sum_{x >= beta} min(g, 0) - sum_{x <= -beta} max(g, 0)) + decay beta if few clip."""
    for bound, pulls in ((1.0, False), (3.5, True)):
        hardware = mho.Hardware(dac=mho.DAC(bits=None, range=Learned(initial=bound)))
        analog = mho.convert(nn.Linear(8, 5), hardware)
        attach(analog, Recipe(modifiers=(tr.OutputScale(),)))
        torch.manual_seed(3)
        x = (1.2 * torch.randn(60, 8)).requires_grad_()
        analog.train()(x).square().sum().backward()
        clean = x.detach().clamp(-bound, bound).requires_grad_()
        F.linear(clean, analog.weight.detach(), analog.bias.detach()).square().sum().backward()
        g, v = clean.grad, x.detach()
        rule = bound * (g[v >= bound].clamp(max=0).sum() - g[v <= -bound].clamp(min=0).sum())
        assert bool(((v.abs() < bound).float().mean() > 0.95) == pulls)
        torch.testing.assert_close(analog.input_range.grad, rule + 1e-3 * bound * pulls)
        torch.testing.assert_close(x.grad, g.masked_fill(v.abs() > bound, 0))


def test_converters_come_in() -> None:
    """Off, then a blend, then on."""
    hardware = {
        "dac": mho.DAC(bits=3, range=Fixed(limit=2.0)),
        "adc": mho.ADC(bits=3, range=Fixed(limit=6.0)),
    }
    layer = nn.Linear(16, 4)
    plain = mho.convert(layer, mho.Hardware(**hardware)).train()
    analog = converted(layer, tr.ConverterSchedule(off_steps=2, ramp_steps=4), **hardware)
    x = torch.randn(10, 16)
    on, off = plain(x), layer(x)
    assert float((on - off).detach().abs().max()) > 0.05
    for share in (0, 0, 0, 0.25, 0.5, 0.75, 1, 1):
        torch.testing.assert_close(analog(x), off + share * (on - off))
    assert torch.equal(analog.eval()(x), plain.eval()(x))
    sudden = converted(layer, tr.ConverterSchedule(off_steps=1), **hardware)
    torch.testing.assert_close(sudden(x), off)
    torch.testing.assert_close(sudden(x), on)
    held = converted(layer, tr.ConverterSchedule(off_steps=9), **hardware)
    mho.program(held, seed=0)
    mho.train_on_chip(held)
    assert torch.equal(held.train()(x), held.eval()(x))  # a chip has its converters
    table = converted(nn.Embedding(9, 4), tr.ConverterSchedule(off_steps=1), adc=hardware["adc"])
    ids = torch.arange(9)
    torch.testing.assert_close(table(ids), table.weight)
    assert not torch.allclose(table(ids), table.weight, atol=0.01)


@pytest.mark.parametrize("kind", ["wires", "bias rows", "slices"])
def test_everything_on_other_hardware(kind: str) -> None:
    """Lines with resistance, a bias on the array, weights in slices behind an ADC."""
    options = {
        "wires": {"array": mho.array.Wires(row=2.0, column=2.0)},
        "bias rows": {},
        "slices": {
            "mapping": mho.mapping.BitSlicing(),
            "dac": mho.DAC(range=Fixed(limit=3.0)),
            "adc": mho.ADC(range=Fixed(limit=4.0)),
        },
    }[kind]
    hardware = mho.Hardware(device=mho.devices.PCM(), tile=mho.Tile(rows=4, columns=4), **options)
    rows = {"bias_rows": 1} if kind == "bias rows" else {}
    analog = mho.convert(nn.Linear(9, 6), hardware, **rows).train()
    attach(analog, Recipe(modifiers=EVERYTHING))
    x = torch.randn(5, 9)
    for _ in range(4):
        y = analog(x)
    y.square().sum().backward()
    assert not torch.equal(y, analog(x))
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in analog.parameters())
    assert all(float(p.grad.abs().sum()) > 0 for name, p in analog.named_parameters() if "limit" not in name)


@pytest.mark.parametrize("modifiers", [(), EVERYTHING[:-1]], ids=["plain", "everything"])
def test_models_in_half_precision_train(modifiers: tuple[Modifier, ...]) -> None:
    """Parameters and activations in bfloat16; the arithmetic of the array is wide."""
    layer = nn.Conv2d(4, 6, 3)
    analog = mho.convert(layer, mho.Hardware(device=mho.devices.PCM())).to(torch.bfloat16).train()
    attach(analog, Recipe(modifiers=modifiers))
    x = torch.randn(2, 4, 5, 5)
    y = analog(x.bfloat16())
    y.square().sum().backward()
    assert y.dtype == torch.bfloat16 == analog.bias.grad.dtype
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in analog.parameters())
    if not modifiers:
        torch.testing.assert_close(y.float(), layer(x), atol=0.05, rtol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert analog.float()(x).dtype == torch.bfloat16


def test_ramps_are_not_compiled_again() -> None:
    """One graph serves all steps of all ramps, and all of it is one graph."""
    torch._dynamo.reset()
    model = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Conv1d(8, 4, 1))
    hardware = mho.Hardware(device=mho.devices.PCM(), dac=mho.DAC(range=Learned(initial=2.0)))
    analog = mho.convert(model[0], hardware)
    attach(analog, Recipe(modifiers=EVERYTHING))
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(analog.train(), fullgraph=True, backend=counter)
    x = torch.randn(4, 12)
    draws = []
    for step in range(6):
        assert int(analog.training_step) == step
        draws.append(compiled(x))
        draws[-1].square().sum().backward()
    assert counter.frame_count == 1
    assert not torch.equal(draws[4], draws[5])
    assert all(bool(p.grad.isfinite().all()) for p in analog.parameters())


def test_distillation_is_the_formula() -> None:
    torch.manual_seed(1)
    student, teacher = torch.randn(5, 7, 10, requires_grad=True), torch.randn(5, 7, 10, requires_grad=True)
    labels = torch.randint(10, (5, 7))
    task = F.cross_entropy(student.flatten(0, 1), labels.flatten())
    p, q = (F.softmax(s / 3.0, -1) for s in (teacher, student))
    divergence = (p * (p.log() - q.log())).sum(-1).mean()
    loss = tr.Distillation(temperature=3.0, weight=0.7)(task, student, teacher)
    torch.testing.assert_close(loss, 0.3 * task + 0.7 * 9 * divergence)
    loss.backward()
    assert teacher.grad is None and student.grad is not None
    with pytest.raises(ValueError, match=r"teacher has scores of shape \(2, 3\), student of \(2, 4\)"):
        tr.Distillation()(task, torch.ones(2, 4), torch.ones(2, 3))
    network = nn.Linear(4, 3).train()
    x, y = torch.randn(6, 4), torch.randint(3, (6,))
    total = tr.Distillation().taught(F.cross_entropy, network)
    student = nn.Linear(4, 3)
    scores = student(x)
    wanted = tr.Distillation()(F.cross_entropy(scores, y), scores, network(x))
    torch.testing.assert_close(total(student, (x, y)), wanted)
    total(student, (x, y)).backward()
    assert network.weight.grad is None and student.weight.grad is not None


def test_presets_are_the_published_settings() -> None:
    for preset, epochs in ((tr.presets.wide_resnet, 10), (tr.presets.lstm, 2), (tr.presets.bert, 1)):
        recipe = preset(steps_per_epoch=7)
        span, noise, drop = recipe.modifiers
        assert noise.strength == 3 and noise.ramp_steps == 7 * epochs and drop.p == 0.01
        assert recipe.distillation == tr.Distillation(temperature=4.0, weight=0.9)
        analog = mho.convert(nn.Linear(48, 3, bias=False), mho.Hardware())
        attach(analog, recipe)
        assert (
            analog.crossbar.training_range.item() == pytest.approx(math.sqrt(3 / 48))
            and span.start == "fan_in"
        )
    with pytest.raises(ValueError, match=r"steps_per_epoch = 0"):
        tr.presets.bert(0)


@pytest.mark.parametrize("name", ["recipe.json", "recipe.yaml"])
def test_recipes_travel(name: str, tmp_path: Path) -> None:
    recipe = Recipe(modifiers=EVERYTHING, distillation=tr.Distillation())
    recipe.save(tmp_path / name)
    assert Recipe.load(tmp_path / name) == recipe
    assert Recipe.from_json(recipe.to_json()) == recipe
    with pytest.raises(ConfigError, match="this describes a Hardware, not a Recipe"):
        Recipe.from_json(mho.Hardware().to_json())


def test_with_quantisers_and_batch_norm() -> None:
    """Levels, noise and learned scales together; then the statistics of the network of levels."""
    levels = mho.mapping.EvenLevels(count=15)
    for quantiser in (
        tr.STEQuantizer(levels=levels),
        tr.AlphaBlending(levels=levels, annealing=tr.Annealing(steps=6)),
    ):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
        analog = converted(model, tr.OutputScale(), quantiser, tr.WeightNoise(std=0.02, ramp_steps=3))
        optimizer = torch.optim.SGD(analog.parameters(), lr=0.05)
        x, y = torch.randn(64, 8), torch.randint(3, (64,))
        scale = analog[0].parametrizations.weight[0].scale
        for _ in range(6):
            optimizer.zero_grad()
            F.cross_entropy(analog(x), y).backward()
            optimizer.step()
        assert not torch.equal(scale, torch.ones(16))
        stepped = analog[0].weight.detach().clone()
        network = tr.quantised(analog)
        assert network[0].weight.unique().numel() <= 15
        wanted = quantiser.nearest(stepped.t().unsqueeze(0))[0].t()
        torch.testing.assert_close(network[0].weight.detach(), wanted)
        torch.testing.assert_close(analog[0].weight.detach(), stepped)  # the original still trains
        F.cross_entropy(analog(x), y).backward()
        mho.program(network, seed=0)
        kept = network[0].weight.detach().clone()
        tr.re_estimate_batch_norm(network, [x])
        torch.testing.assert_close(
            network[1].running_mean, F.linear(x, kept, network[0].bias).mean(0).detach()
        )
        assert torch.equal(network[0].weight, kept)


WRONG = {
    "no range": (
        lambda: converted(nn.Linear(3, 2), tr.WeightNoise(relative_to="range")),
        "relative_to = 'range' needs a weight range: put WeightRange",
    ),
    "always on": (
        lambda: converted(nn.Linear(3, 2), tr.ConverterSchedule(), dac=mho.DAC(range=Dynamic())),
        "the dac of .* has a Dynamic range, which is always on",
    ),
    "not exact": (
        lambda: converted(
            nn.Linear(3, 2), tr.WeightNoise(each="vector"), adc=mho.ADC(range=Fixed(limit=1.0))
        ),
        "each = 'vector': .* has an ADC",
    ),
    "before the device is known": (
        lambda: converted(nn.Linear(3, 2), tr.DriftNoise(first=0.5), device=mho.devices.ConstantDrift()),
        "seconds = 0.5: ConstantDrift is known from 1 s",
    ),
    "backward": (
        lambda: tr.DriftNoise(first=9.0, last=3.0),
        r"first = 9\.0 s must not be later than last = 3\.0",
    ),
    "no coefficient": (lambda: tr.PolynomialNoise(coefficients=()), r"coefficients = \(\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_recipes_are_named(name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        make()


def test_what_cannot_be_learned_is_refused_and_nothing_attached() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
            self.b.weight = self.a.weight

    analog = mho.convert(Tied(), mho.Hardware())
    names = list(analog.state_dict())
    with pytest.raises(ValueError, match="the weight of 'a' is shared with another layer"):
        attach(analog, Recipe(modifiers=(tr.WeightRange(), tr.OutputScale())))
    assert list(analog.state_dict()) == names and analog.a.weight is analog.b.weight
    normed = mho.convert(parametrizations.weight_norm(nn.Linear(4, 4)), mho.Hardware())
    with pytest.raises(TypeError, match="OutputScale changes the Parameter itself"):
        attach(normed, Recipe(modifiers=(tr.OutputScale(),)))
    assert normed.modifiers == ()

"""Layers whose arrays have wires with resistance."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import mho
from mho.array import Wires

from .cases import make

WIRES = Wires(row=5.0, column=5.0)
DEVICE = mho.devices.Ideal(g_min=1e-6, g_max=50e-6)
NAMES = ["linear", "conv2d, groups", "conv transpose 1d"]


def truth(layer: nn.Module, tile: mho.Tile) -> torch.Tensor:
    """The weights seen through the wires, solved tile by tile and copy by copy."""
    analog = mho.convert(layer, mho.Hardware(device=DEVICE, tile=tile))
    weight = analog.matrix(layer.weight.detach())
    scale = weight.abs().amax(-2, keepdim=True)  # of each column
    seen = torch.zeros_like(weight)
    for sign, g in zip(
        (1, -1), mho.mapping.DifferentialPair().targets(weight / scale, 1e-6, 50e-6), strict=True
    ):
        for group in range(weight.shape[0]):
            for a, b in analog.layout.rows:
                for c, d in analog.layout.columns:
                    part = WIRES.effective_conductance(g[group, a:b, c:d])
                    seen[group, a:b, c:d] += sign * part * scale[group, :, c:d] / 49e-6
    return analog.from_matrix(seen)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("converters", [{}, {"adc": mho.ADC(bits=None)}])
def test_each_tile_is_seen_through_its_wires(name: str, converters: dict) -> None:
    layer, x = make(name, torch.float64)
    tile = mho.Tile(rows=7, columns=3)
    wanted = truth(layer, tile)
    analog = mho.convert(layer, mho.Hardware(device=DEVICE, tile=tile, array=WIRES, **converters))
    layer.weight.data = wanted.contiguous()
    assert (analog.eval()(x) - layer(x)).abs().max() < 1e-10
    assert (analog.train()(x) - layer(x)).abs().max() < 1e-10
    mho.program(analog, seed=0)
    assert (mho.effective_weights(analog)[""] - wanted).abs().max() < 1e-10
    assert (analog.eval()(x) - layer(x)).abs().max() < 1e-10


@pytest.mark.parametrize("name", NAMES)
def test_training_has_the_gradient_of_the_circuit(name: str) -> None:
    layer, x = make(name, torch.float64)
    analog = mho.convert(layer, mho.Hardware(device=DEVICE, tile=mho.Tile(rows=7, columns=3), array=WIRES))
    size = analog.matrix(analog.weight.detach().abs())
    peaks = analog.from_matrix(size == size.amax(-2, keepdim=True)).flatten()  # set the scales: held

    def loss(weight: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(analog.train(), {"weight": weight}, (x,)).square().sum()

    weight = layer.weight.detach().clone().requires_grad_()
    (grad,) = torch.autograd.grad(loss(weight), weight)
    for place in [k for k in (0, 5, 11, 17) if not peaks[k]]:
        step = torch.zeros_like(weight).flatten()
        step[place] = 1e-5
        step = step.view_as(weight)
        numeric = (loss(weight.detach() + step) - loss(weight.detach() - step)) / 2e-5
        torch.testing.assert_close(grad.flatten()[place], numeric, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", [*NAMES, "conv transpose 2d, groups"])
def test_the_largest_weights_have_the_gradient_with_the_scales_held(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weight that sets the scale of its column is one like the others while that scale is held."""
    layer, x = make(name, torch.float64)
    analog = mho.convert(layer, mho.Hardware(device=DEVICE, tile=mho.Tile(rows=7, columns=3), array=WIRES))
    size = analog.matrix(analog.weight.detach().abs())
    largest = size.amax(-2, keepdim=True)
    monkeypatch.setattr(mho.mapping.Maximum, "reference", lambda self, weight: 1.001 * largest)

    def loss(weight: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(analog.train(), {"weight": weight}, (x,)).square().sum()

    weight = layer.weight.detach().clone().requires_grad_()
    (grad,) = torch.autograd.grad(loss(weight), weight)
    for place in analog.from_matrix(size == largest).flatten().nonzero().flatten().tolist():
        step = torch.zeros_like(weight).flatten()
        step[place] = 1e-5
        step = step.view_as(weight)
        numeric = (loss(weight.detach() + step) - loss(weight.detach() - step)) / 2e-5
        torch.testing.assert_close(grad.flatten()[place], numeric, rtol=1e-5, atol=1e-8)


def test_wires_are_solved_again_as_the_chip_ages() -> None:
    layer = nn.Linear(40, 8)
    hardware = mho.Hardware(device=mho.devices.PCM(read_scale=0.0), array=Wires(row=20.0, column=20.0))
    ideal = mho.Hardware(device=mho.devices.PCM(read_scale=0.0))
    worn = []
    for description in (hardware, ideal):
        analog = mho.convert(layer, description)
        mho.program(analog, seed=3)
        ratio = []
        for seconds in (0.0, 31_536_000.0):
            mho.age(analog, seconds)
            ratio.append(mho.effective_weights(analog)[""].abs().mean())
        worn.append(ratio)
    loss = [float(with_wires / without) for with_wires, without in zip(*worn, strict=True)]
    assert loss[0] < loss[1] < 1.0  # a drifted cell draws less current: less voltage is lost on the way


def test_read_noise_passes_the_wires() -> None:
    layer = nn.Linear(30, 4)
    hardware = mho.Hardware(device=mho.devices.PCM(), array=Wires(row=10.0, column=10.0))
    analog = mho.convert(layer, hardware).eval()
    mho.program(analog, seed=0)
    vector = torch.randn(30)
    with torch.no_grad():
        y = analog(vector.expand(4000, 30)) - layer.bias
    chip, device = analog.chip, hardware.device
    g = mho.conductances(analog)[""]
    noisy = (g + device.read_std(chip.g, g, 0.0) * torch.randn(600, *g.shape)).clamp(min=0)
    seen = hardware.array.effective_conductance(noisy)
    weights = (seen[:, 0, 0] - seen[:, 1, 0]) * chip.scale[0] / device.g_max
    drawn = torch.einsum("r,drc->dc", vector, weights)
    assert bool(((y.std(0) / drawn.std(0) - 1).abs() < 0.15).all())
    assert bool(((y.mean(0) - drawn.mean(0)).abs() < 5 * drawn.std(0) / 600**0.5).all())


def test_noise_beyond_the_largest_weight_keeps_its_gradient() -> None:
    """Wires of almost no resistance change nothing, also for weights that no cell could hold."""
    layer, x = make("linear", torch.float64)
    noise = mho.training.Recipe(modifiers=(mho.training.WeightNoise(std=0.5),))
    grads = []
    for array in (mho.array.Ideal(), Wires(row=1e-9, column=1e-9)):
        analog = mho.convert(layer, mho.Hardware(device=DEVICE, array=array)).train()
        mho.training.attach(analog, noise)
        torch.manual_seed(0)
        analog(x).square().sum().backward()
        grads.append(analog.weight.grad)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-6, atol=1e-8)


def dense(g: torch.Tensor, ohm: float) -> torch.Tensor:
    """The matrix that an array multiplies by, from Kirchhoff's laws at each node: differentiable in ``g``."""
    rows, columns = g.shape
    word = torch.arange(rows * columns).view(rows, columns)
    bit = word + rows * columns
    metal = torch.zeros(2 * rows * columns, 2 * rows * columns, dtype=g.dtype)
    for a, b in ((word[:, :-1], word[:, 1:]), (bit[:-1], bit[1:])):
        pairs = torch.cat([torch.stack([a, b], -1), torch.stack([b, a], -1)]).view(-1, 2)
        metal[pairs[:, 0], pairs[:, 1]] = -1 / ohm
    metal.diagonal().copy_(-metal.sum(1))
    metal.diagonal()[torch.cat([word[:, 0], bit[-1]])] += 1 / ohm  # to the drivers, to virtual ground
    wiring = torch.eye(rows * columns, dtype=g.dtype)
    wiring = torch.cat([wiring, -wiring])  # each cell joins its word and its bit node
    driven = torch.zeros(2 * rows * columns, rows, dtype=g.dtype)
    driven[word[:, 0], torch.arange(rows)] = 1 / ohm
    voltages = torch.linalg.solve(metal + (wiring * g.flatten()) @ wiring.T, driven)
    return voltages[bit[-1]].T / ohm


def test_a_transformer_block_trains_through_the_wires_as_through_the_whole_circuit() -> None:
    """Gradients of every Parameter are those of dense nodal analysis, and a step along them helps."""
    lines, ohm, g_max = 8, 300.0, DEVICE.g_max
    torch.manual_seed(0)
    block = nn.TransformerEncoderLayer(lines, 2, 2 * lines, dropout=0.0, batch_first=True).double()
    x, wanted = torch.randn(2, 3, 5, lines, dtype=torch.float64)

    def loss_of(y: torch.Tensor) -> torch.Tensor:
        return (y - wanted).square().mean()

    def through_circuits(weight: torch.Tensor) -> torch.Tensor:
        """``[output, input]``, cut into arrays of 8 x 8; the scale of a column is held."""
        scale = weight.detach().abs().amax(1, keepdim=True)
        pair = mho.mapping.DifferentialPair().targets((weight / scale).T[None], DEVICE.g_min, g_max)[:, 0]
        seen = [
            torch.cat([dense(part, ohm) for part in strip.split(lines, 1)], 1)
            for g in pair
            for strip in g.split(lines)
        ]
        plus, minus = torch.cat(seen).chunk(2)
        return (plus - minus).T * scale / (g_max - DEVICE.g_min)

    given = dict(block.named_parameters())
    on_arrays = {n: through_circuits(p) if p.dim() == 2 else p for n, p in given.items()}
    truth = loss_of(torch.func.functional_call(block.train(), on_arrays, (x,)))
    gradients = dict(zip(given, torch.autograd.grad(truth, list(given.values())), strict=True))

    wires = Wires(row=ohm, column=ohm)
    hardware = mho.Hardware(device=DEVICE, tile=mho.Tile(rows=lines, columns=lines), array=wires)
    analog = mho.convert(block, hardware).train()
    found = loss_of(analog(x))
    found.backward()
    assert (found - loss_of(block(x))).abs() > 0.01 * found  # the wires matter
    torch.testing.assert_close(found, truth, rtol=1e-9, atol=0.0)
    trained = dict(analog.named_parameters())
    assert set(trained) == set(given)
    for name, wanted_gradient in gradients.items():
        torch.testing.assert_close(trained[name].grad, wanted_gradient, rtol=1e-7, atol=1e-10, msg=name)
    torch.optim.SGD(analog.parameters(), lr=0.02).step()
    assert loss_of(analog(x)) < found

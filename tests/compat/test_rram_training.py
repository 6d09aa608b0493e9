"""TorchRRAMOptimizer, training and benchmark: what is written into cells, when, and how it goes on."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

import mho
import mho.export
from mho.compat.rram import (
    RRAMEffects,
    RRAMModelWrapper,
    TorchRRAMLinear,
    TorchRRAMOptimizer,
    benchmark_rram_model,
    create_rram_neural_network,
    train_with_rram_simulation,
)
from mho.compat.rram._optimizer import weight_step

EFFECTS = RRAMEffects(read_noise=0.0, bandwidth=None)


def network(bits=4, effects=EFFECTS):
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        return create_rram_neural_network(8, [12], 3, quantization_bits=bits, effects=effects, seed=5)


def batches(count=8):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, 16, 8, generator=generator)
    return [(each, each[:, :3].argmax(1)) for each in x]


def train(model, optimizer, loader, scheduler=None):
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return loss.item()


def test_learning_rates_follow_the_steps_of_the_conductances():
    model = nn.Sequential(
        TorchRRAMLinear(8, 8, quantization_bits=3, seed=0), TorchRRAMLinear(8, 8, quantization_bits=6, seed=1)
    )
    model[0].weight.data.clamp_(-0.2, 0.2)[0, 0] = 0.2
    model[1].weight.data.clamp_(-0.2, 0.2)[0, 0] = 0.2
    optimizer = TorchRRAMOptimizer(model, torch.optim.SGD, base_lr=0.01, rram_effects_scale=0.5, momentum=0.9)
    coarse, fine, digital = (group["lr"] for group in optimizer.param_groups)
    assert coarse / fine == pytest.approx(62 / 6)  # 2^b - 2 steps from one end to the other
    assert math.sqrt(coarse * fine) == pytest.approx(0.01 * 0.5) and digital == 0.01
    assert weight_step(model[0].crossbar).item() == pytest.approx(2 * 0.2 / 6)
    assert {id(p) for g in optimizer.param_groups for p in g["params"]} == {id(p) for p in model.parameters()}
    assert all(group["momentum"] == 0.9 for group in optimizer.param_groups)


def test_the_step_of_cells_without_levels_is_their_error():
    layer = TorchRRAMLinear(
        8, 8, quantization_bits=None, effects=RRAMEffects(variability=0.04), seed=0
    ).eval()
    scale = layer.weight.abs().max().item()
    expected = 2 * 0.04 * 20.5 / 39 * scale  # of a cell at 20.5 microsiemens between 1 and 40
    assert weight_step(layer.crossbar).item() == pytest.approx(expected, rel=0.15)


def test_cells_are_written_when_more_than_a_step_is_pending():
    model = nn.Sequential(TorchRRAMLinear(4, 3, quantization_bits=4, effects=EFFECTS, seed=0))
    layer = model[0]
    layer.weight.data.fill_(0.1)[0, 0] = 1.0
    layer.bias.requires_grad_(False)
    optimizer = TorchRRAMOptimizer(model, torch.optim.SGD, base_lr=1.0)
    step = weight_step(layer.crossbar).item()
    assert step == pytest.approx(1 / 7)
    before = layer.crossbar.chip_g.clone()

    def move(amount):
        layer.weight.grad = torch.zeros_like(layer.weight)
        layer.weight.grad[2, 1] = -amount * step
        optimizer.step()

    move(0.6)
    assert torch.equal(layer.crossbar.chip_g, before) and optimizer.written == {"0": 0}
    assert optimizer.pending()["0"][2, 1].item() == pytest.approx(0.6 * step)
    assert not layer.is_stale()
    move(0.6)
    changed = layer.crossbar.chip_g != before
    assert changed.sum() == 1 and changed[0, 0, 1, 2] and optimizer.written == {"0": 1}
    assert optimizer.pending()["0"][2, 1] == 0
    chip = layer.crossbar.chip_g.clone()
    layer.program_rram_weights()  # the same seed has the same errors
    assert torch.equal(layer.crossbar.chip_g, chip)


def test_a_weight_beyond_the_range_of_its_cells_gives_the_layer_another_scale():
    model = nn.Sequential(TorchRRAMLinear(4, 3, quantization_bits=4, effects=EFFECTS, seed=0))
    optimizer = TorchRRAMOptimizer(model, torch.optim.SGD, base_lr=1.0)
    weight = model[0].weight
    weight.grad = torch.zeros_like(weight)
    weight.grad[0, 0] = -10.0
    optimizer.step()
    assert model[0].crossbar.chip_scale.item() == weight.abs().max().item() > 9
    assert optimizer.written["0"] == 12


def test_it_learns_on_its_cells():
    model = network()
    optimizer = TorchRRAMOptimizer(model, base_lr=0.02)
    first = train(model, optimizer, batches())
    for _ in range(8):
        last = train(model, optimizer, batches())
    assert last < 0.6 * first
    assert 0 < sum(optimizer.written.values()) < 9 * 8 * 132  # some cells, not all in each step
    held = model[0].effective_weight()
    model.eval()(batches()[0][0])
    assert torch.equal(model[0].effective_weight(), held)  # evaluation goes on with the cells of training
    x, y = batches()[0]
    gap = (model[0].weight - held).abs().max() / weight_step(model[0].crossbar)
    assert gap < 2.5  # pending, rounding, and the error of the cell
    assert (model(x).argmax(1) == y).float().mean() > 0.7


@pytest.mark.parametrize("base", [torch.optim.Adam, torch.optim.SGD])
def test_it_goes_on_bit_for_bit(base):
    def start():
        model = network()
        optimizer = TorchRRAMOptimizer(model, base, base_lr=0.02, seed=2)
        return model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 3, gamma=0.5)

    whole = start()
    train(whole[0], whole[1], batches(), whole[2])
    half = start()
    train(half[0], half[1], batches()[:4], half[2])
    saved = copy.deepcopy([part.state_dict() for part in half])
    again = start()
    train(again[0], again[1], batches()[2:5], again[2])  # it was elsewhere
    for part, state in zip(again, saved, strict=True):
        part.load_state_dict(state)
    train(again[0], again[1], batches()[4:], again[2])
    for name, value in whole[0].state_dict().items():
        assert torch.equal(value, again[0].state_dict()[name]), name
    assert whole[1].written == again[1].written
    assert [g["lr"] for g in whole[1].param_groups] == [g["lr"] for g in again[1].param_groups]
    assert whole[1].param_groups[0]["lr"] < 0.02  # the scheduler acted


def test_what_cannot_be_optimised_or_loaded():
    model = network()
    for lr in (0, -1.0, math.inf, "1"):
        with pytest.raises(ValueError, match="base_lr = .*: give a positive number"):
            TorchRRAMOptimizer(model, base_lr=lr)
    with pytest.raises(ValueError, match="no analog layer"):
        TorchRRAMOptimizer(nn.Linear(4, 2))
    rows = mho.convert(nn.Linear(4, 2), mho.Hardware(), bias_rows=1)
    with pytest.raises(TypeError, match="give convert bias_rows=0"):
        TorchRRAMOptimizer(rows)
    optimizer = TorchRRAMOptimizer(model)
    for state in (
        torch.optim.Adam(model.parameters()).state_dict(),
        TorchRRAMOptimizer(nn.Sequential(TorchRRAMLinear(8, 2))).state_dict(),
    ):
        with pytest.raises(ValueError, match="not that of a TorchRRAMOptimizer for this network"):
            optimizer.load_state_dict(state)


# --- conversion, training, benchmark -------------------------------------------------------------


def mixed():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10, bias=False), nn.Linear(10, 3)
    )


def test_conversion_keeps_the_network_and_puts_all_weights_into_cells():
    torch.manual_seed(0)
    model, x = mixed().eval(), torch.randn(5, 1, 8, 8)
    quiet = RRAMEffects(dac_bits=None, adc_bits=None)
    made = RRAMModelWrapper(model, framework="torch").convert_to_rram_model(
        quantization_bits=12, effects=quiet, enable_stochastic=False, seed=0
    )
    assert [type(m).__name__ for m in made] == [
        "AnalogConv2d",
        "ReLU",
        "Flatten",
        "TorchRRAMLinear",
        "TorchRRAMLinear",
    ]
    assert torch.allclose(made(x), model(x), atol=2e-3) and type(model[3]) is nn.Linear
    assert made[3].bias is None and made[4].path == "4" and not made.training
    coarse = RRAMModelWrapper(model).convert_to_rram_model(
        quantization_bits=3, effects=quiet, enable_stochastic=False
    )
    coarse(x)
    assert all(w.unique().numel() <= 8 for w in mho.effective_weights(coarse).values())
    single = RRAMModelWrapper(nn.Linear(4, 2)).convert_to_rram_model()
    assert isinstance(single, TorchRRAMLinear)


def test_what_cannot_be_converted():
    with pytest.raises(ValueError, match="no layer whose weights can lie in cells"):
        RRAMModelWrapper(nn.ReLU()).convert_to_rram_model()
    with pytest.raises(ValueError, match="framework = 'jax': give 'torch' or 'tensorflow'"):
        RRAMModelWrapper(nn.ReLU(), "jax")
    with pytest.raises(TypeError, match="model is a str"):
        RRAMModelWrapper("model")


def test_training_and_benchmark_of_a_network():
    model = network(effects=RRAMEffects())
    before = benchmark_rram_model(model, batches())
    history = train_with_rram_simulation(model, batches(), epochs=12, learning_rate=0.02, framework="torch")
    assert len(history["loss"]) == 12 and history["loss"][-1] < 0.6 * history["loss"][0]
    assert model.training
    found = benchmark_rram_model(model, batches(), framework="torch")
    assert model.training and found["accuracy"] > before["accuracy"] + 10
    assert found["cells"] == 8 * 12 + 12 * 3
    assert found["latency"] * found["throughput"] == pytest.approx(1)
    model.eval()
    report = mho.cost(model, [x for x, _ in batches()])
    assert (
        found["energy"] == pytest.approx(report.joules, rel=1e-6) and found["chip_latency"] == report.seconds
    )
    digital = mho.revert(model)
    right = sum(int((digital(x).argmax(1) == y).sum()) for x, y in batches())
    assert found["digital"]["accuracy"] == 100 * right / 128
    assert found["digital"]["energy"] == report.twin


def test_a_benchmark_without_converters_has_no_energy():
    model = network(effects=RRAMEffects(dac_bits=None, adc_bits=None))
    found = benchmark_rram_model(model, batches(1))
    assert found["energy"] is None and found["chip_latency"] is None
    with pytest.raises(ValueError, match="test_loader gave no samples"):
        benchmark_rram_model(model, [])


def test_a_network_on_cells_goes_into_files(tmp_path):
    model, x = network(effects=RRAMEffects(read_noise=0.0, bandwidth=None)).eval(), batches()[0][0]
    y = model(x)
    mho.save_chip(model, tmp_path / "chip.safetensors")
    again = network(effects=RRAMEffects(read_noise=0.0, bandwidth=None))
    again[0].seed = again[2].seed = 77
    again.eval()
    assert not torch.equal(again(x), y)
    mho.load_chip(again, tmp_path / "chip.safetensors")
    assert torch.equal(again(x), y) and again[0].crossbar.seed == 5
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime runs the twins")
    mho.export.onnx_twin(model, tmp_path / "twin.onnx", x)
    (found,) = runtime.InferenceSession(str(tmp_path / "twin.onnx")).run(None, {"input": x.numpy()})
    assert torch.allclose(torch.from_numpy(found), y.detach(), atol=1e-6)

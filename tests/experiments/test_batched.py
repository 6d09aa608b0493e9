import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.utils.data import TensorDataset

import mho
from mho import random
from mho.experiments import batched
from mho.experiments.batched import accuracies, outputs
from mho.experiments.copies import array_weights, chip_weights, noisy_weights
from mho.experiments.fitting import accuracy, seeded
from mho.experiments.models import ResNet20, SmallCNN


def cnn():
    return SmallCNN(first=4, second=8, hidden=16).build(1, 8, 10)


def resnet():
    return ResNet20().build(3, 8, 10)


def depthwise():
    return nn.Sequential(
        nn.Conv1d(2, 4, 3, groups=2), nn.ConvTranspose1d(4, 2, 3, bias=False), nn.Flatten(), nn.LazyLinear(3)
    )


NETWORKS = {
    "cnn": (cnn, (30, 1, 8, 8)),
    "resnet": (resnet, (12, 3, 8, 8)),
    "mlp": (lambda: nn.Sequential(nn.Linear(700, 40), nn.Tanh(), nn.Linear(40, 3)), (25, 700)),
    "groups, transposed, no bias": (depthwise, (6, 2, 9)),
}


@pytest.fixture(params=NETWORKS)
def case(request):
    build, shape = NETWORKS[request.param]
    network, x = build().eval(), torch.randn(shape)
    network(x)
    return network, x


def loop(network, copies, x):
    """Each copy on its own, by plain means."""
    results = []
    state = {k: v.clone() for k, v in network.state_dict().items()}
    for number in range(len(next(iter(copies.values())))):
        network.load_state_dict({**state, **{name: stack[number] for name, stack in copies.items()}})
        with torch.no_grad():
            results.append(network(x))
    network.load_state_dict(state)
    return torch.stack(results)


@pytest.mark.parametrize("chunk", [None, 1, 2, 5, 7, 100])
def test_all_copies_together_have_the_bits_of_the_loop(case, chunk):
    network, x = case
    copies = noisy_weights(network, [0.1] * 7, range(7), seed=3)
    expected = loop(network, copies, x)
    assert torch.equal(outputs(network, copies, x, chunk), expected)
    assert expected.std(0).max() > 1e-3


def test_grouped_kernels_agree_within_rounding(case):
    network, x = case
    copies = noisy_weights(network, [0.1] * 4, range(4), seed=3)
    expected = loop(network, copies, x)
    torch.testing.assert_close(
        outputs(network, copies, x, chunk=4, exact=False), expected, rtol=1e-4, atol=1e-4
    )


def test_the_mode_and_the_weights_of_the_network_stay(case):
    network, x = case
    before = {k: v.clone() for k, v in network.state_dict().items()}
    outputs(network.train(), noisy_weights(network, [0.1], [0], seed=0), x)
    assert network.training
    assert all(torch.equal(network.state_dict()[k], v) for k, v in before.items())


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_accuracies_are_those_of_the_ordinary_test(workers):
    network = cnn()
    data = TensorDataset(torch.randn(50, 1, 8, 8), torch.arange(50) % 10)
    copies = noisy_weights(network, [0.0, 0.5, 2.0], [0, 1, 2], seed=1)
    found = accuracies(network, copies, data, workers=workers)
    state = network.state_dict()
    expected = []
    for number in range(3):
        network.load_state_dict({**state, **{k: v[number] for k, v in copies.items()}})
        expected.append(accuracy(network, data))
    assert found == expected


def test_out_of_memory_halves_the_chunk_and_one_copy_alone_fails(monkeypatch):
    network, x = cnn(), torch.randn(3, 1, 8, 8)
    copies = noisy_weights(network, [0.1] * 5, range(5), seed=0)
    expected = outputs(network, copies, x, chunk=1)
    sizes, most = [], 2
    real = batched._runner

    def short_of_memory(*arguments):
        run = real(*arguments)

        def checked(part, size):
            sizes.append(size)
            if size > most:
                raise torch.OutOfMemoryError("too much")
            return run(part, size)

        return checked

    monkeypatch.setattr(batched, "_runner", short_of_memory)
    assert torch.equal(outputs(network, copies, x, chunk=5), expected)
    assert sizes == [5, 3, 2, 1, 2]
    most = 0
    with pytest.raises(torch.OutOfMemoryError):
        outputs(network, copies, x, chunk=5)


def test_copies_that_do_not_fit_the_network():
    network = cnn()
    with pytest.raises(ValueError, match=r"copies\['head.weight'\] .* no such weight"):
        outputs(network, {"head.weight": torch.zeros(2, 3)}, torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match=r"has \[copy, 4, 1, 3, 3\]"):
        outputs(network, {"0.weight": torch.zeros(2, 4, 1, 3)}, torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="at least one"):
        outputs(network, {}, torch.zeros(1, 1, 8, 8))


# --- noise ---------------------------------------------------------------------------------------


def test_noise_is_normal_and_in_proportion_to_each_weight():
    network = nn.Linear(200, 50)
    network.weight.data[0] = 0.0
    (stack,) = noisy_weights(network, [0.2] * 3, range(3), seed=0).values()
    error = (stack - network.weight) / network.weight.abs()
    assert torch.equal(stack[:, 0], torch.zeros(3, 200))
    assert stats.kstest((error[:, 1:].flatten() / 0.2).detach().numpy(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(error[0, 1:].flatten().detach(), error[1, 1:].flatten().detach())[0, 1]) < 0.05


def test_draws_are_named_by_seed_weight_and_repeat():
    network = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2))
    copies = noisy_weights(network, [0.1, 0.3, 0.1], [5, 5, 6], seed=9)
    weight = network[1].weight.detach()
    eps = random.normal(weight.shape, 9, "1.weight", "weight noise", "5")
    torch.testing.assert_close(copies["1.weight"][0], weight + 0.1 * weight.abs() * eps)
    torch.testing.assert_close(copies["1.weight"][1], weight + 0.3 * weight.abs() * eps)
    assert not torch.equal(copies["1.weight"][0], copies["1.weight"][2])


def test_bad_noise():
    with pytest.raises(ValueError, match="at least 0"):
        noisy_weights(nn.Linear(2, 2), [-0.1], [0], seed=0)
    with pytest.raises(ValueError, match="one repeat for each copy"):
        noisy_weights(nn.Linear(2, 2), [0.1, 0.2], [0], seed=0)
    with pytest.raises(ValueError, match="no linear layer and no convolution"):
        array_weights(nn.Sequential(nn.ReLU()))


# --- chips ---------------------------------------------------------------------------------------

HARDWARE = {
    "pcm": mho.Hardware(device=mho.devices.PCM(read_scale=0.0)),
    "offset column": mho.Hardware(
        device=mho.devices.PCM(read_scale=0.0), mapping=mho.mapping.Offset(unit_column=False)
    ),
    "scale per column": mho.Hardware(
        device=mho.devices.ReRAMWan2022(read_scale=0.0),
        mapping=mho.mapping.DifferentialPair(two_sided=True, scale=mho.mapping.Maximum(per_column=True)),
    ),
    "pairs with factors": mho.Hardware(
        device=mho.devices.PCM(read_scale=0.0), mapping=mho.mapping.SignificancePairs(factors=(1.0, 3.0))
    ),
}


@pytest.mark.parametrize("name", HARDWARE)
@pytest.mark.parametrize("compensated", [False, True])
def test_chips_made_together_have_the_bits_of_the_verbs(case, name, compensated):
    network, x = case
    hardware = HARDWARE[name]
    seconds = min(max(hardware.device.times[0], 86_400.0), hardware.device.times[1])
    model = mho.convert(network, hardware).eval()
    seeds = [0, 11, -4]
    copies = chip_weights(model, seeds, seconds, compensated)
    assert copies.keys() == array_weights(network).keys()
    found = outputs(network, copies, x)
    for number, seed in enumerate(seeds):
        mho.program(model, seed)
        mho.age(model, seconds)
        if compensated:
            with seeded(seed, "compensate", repr(seconds)):
                mho.compensate(model)
        for path, weight in mho.effective_weights(model).items():
            torch.testing.assert_close(copies[f"{path}.weight"][number], weight)
        with torch.no_grad():
            y = model(x)
        if len(mho.tile.readout(hardware).analog) == 1 and mho.tile.readout(hardware).offset == 0:
            assert torch.equal(found[number], y)
        torch.testing.assert_close(found[number], y, rtol=1e-3, atol=1e-3)


def test_chips_in_wires_and_not_aged():
    network = nn.Linear(12, 5)
    hardware = mho.Hardware(
        device=mho.devices.PCM(read_scale=0.0), array=mho.array.Wires(row=20.0, column=20.0)
    )
    model = mho.convert(network, hardware).eval()
    copies = chip_weights(model, [3])
    mho.program(model, 3)
    torch.testing.assert_close(copies["weight"][0], mho.effective_weights(model)[""])
    clean = chip_weights(mho.convert(network, HARDWARE["pcm"]), [3])
    assert not torch.allclose(copies["weight"], clean["weight"], rtol=1e-4)


@pytest.mark.parametrize(
    "change", [{"device": mho.devices.PCM()}, {"adc": mho.ADC(bits=8)}, {"dac": mho.DAC(bits=8)}]
)
def test_what_acts_on_every_read_is_no_property_of_a_copy(change):
    model = mho.convert(nn.Linear(3, 2), dataclasses.replace(HARDWARE["pcm"], **change))
    with pytest.raises(ValueError, match="converters or read noise, which act on every read anew"):
        chip_weights(model, [0])


def test_chips_of_bad_models_and_times():
    with pytest.raises(ValueError, match="copies are made of linear layers and convolutions"):
        chip_weights(mho.convert(nn.LSTM(3, 2), HARDWARE["pcm"]), [0])
    with pytest.raises(ValueError, match="is known from"):
        chip_weights(mho.convert(nn.Linear(3, 2), HARDWARE["scale per column"]), [0], seconds=1e12)

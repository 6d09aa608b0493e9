import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn
from torch.utils.data import TensorDataset

import mho
from mho import random
from mho.experiments.batched import accuracies, outputs
from mho.experiments.copies import array_weights, chip_weights, noisy_weights
from mho.experiments.fitting import accuracy, seeded
from mho.experiments.models import ResNet20, SmallCNN

from ..compositions.covering import covering


def cnn():
    return SmallCNN(first=4, second=8, hidden=16).build(1, 8, 10)


def resnet():
    return ResNet20().build(3, 8, 10)


class Attention(nn.Module):
    def __init__(self, need_weights):
        super().__init__()
        self.attend, self.out = nn.MultiheadAttention(32, 4, batch_first=True), nn.Linear(32, 10)
        self.need_weights = need_weights

    def forward(self, x):
        return self.out(self.attend(x, x, x, need_weights=self.need_weights)[0]).mean(1)


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cells, self.out = kind(32, 16, batch_first=True), nn.Linear(16, 10)

    def forward(self, x):
        return self.out(self.cells(x)[0][:, -1])


class Products(nn.Module):
    """Attention by hand, also by the functions of torch."""

    def __init__(self, how):
        super().__init__()
        self.q, self.out, self.how = nn.Linear(32, 96), nn.Linear(32, 10), how

    def forward(self, x):
        q, k, v = self.q(x).chunk(3, -1)
        if self.how == "sdpa":
            y = F.scaled_dot_product_attention(q, k, v)
        elif self.how == "function":
            y, none = F.multi_head_attention_forward(
                x, x, x, 32, 4, self.q.weight, self.q.bias, None, None, False, 0.0,
                self.out.weight.new_ones(32, 32), None, training=False, need_weights=False,
            )  # fmt: skip
            assert none is None
        else:
            y = torch.softmax(q @ k.transpose(-1, -2), -1) @ v
        return self.out(y).mean(1)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(32, 32), nn.Linear(32, 32)
        self.b.weight = self.a.weight
        self.c = self.a

    def forward(self, x):
        return self.c(self.b(self.a(x).relu())).mean(1)


def norms(padding):
    layers = nn.Conv2d(3, 8, 3, padding=1, padding_mode=padding), nn.GroupNorm(2, 8), nn.ReLU(inplace=True)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 361, 5))


def depthwise():
    return nn.Sequential(
        nn.Conv1d(2, 4, 3, groups=2), nn.ConvTranspose1d(4, 2, 3, bias=False), nn.Flatten(), nn.LazyLinear(3)
    )


NETWORKS = {
    "cnn": (cnn, (30, 1, 8, 8)),
    "resnet": (resnet, (12, 3, 8, 8)),
    "mlp": (lambda: nn.Sequential(nn.Linear(700, 40), nn.Tanh(), nn.Linear(40, 3)), (25, 700)),
    "groups, transposed, no bias": (depthwise, (6, 2, 9)),
    "group norm": (lambda: norms("zeros"), (16, 3, 19, 19)),
    "group norm, circular": (lambda: norms("circular"), (16, 3, 19, 19)),
    "products": (lambda: Products("@"), (20, 11, 32)),
    "sdpa": (lambda: Products("sdpa"), (20, 11, 32)),
    "tied": (Tied, (20, 11, 32)),
}
OTHERS = {
    "attention": (lambda: Attention(True), (20, 11, 32)),
    "attention alone": (lambda: Attention(False), (20, 11, 32)),
    "attention function": (lambda: Products("function"), (20, 11, 32)),
    "transformer": (lambda: nn.TransformerEncoderLayer(32, 4, 40, batch_first=True), (20, 11, 32)),
    "lstm": (lambda: Recurrent(nn.LSTM), (20, 11, 32)),
    "gru": (lambda: Recurrent(nn.GRU), (20, 11, 32)),
}


def made(build, shape):
    network, x = build().eval(), torch.randn(shape)
    network(x)
    return network, x


@pytest.fixture(params=NETWORKS)
def case(request):
    """Those that chips can be made of."""
    return made(*NETWORKS[request.param])


@pytest.fixture(params=NETWORKS | OTHERS)
def any_case(request):
    return made(*(NETWORKS | OTHERS)[request.param])


def loop(network, copies, x):
    """Each copy on its own, by plain means."""
    results = []
    state = {k: v.clone() for k, v in network.state_dict().items()}
    for number in range(len(next(iter(copies.values())))):
        own = {name: p for name, p in network.named_parameters() if name in copies}
        for name, parameter in own.items():
            parameter.data.copy_(copies[name][number])
        with torch.no_grad():
            results.append(network(x))
    network.load_state_dict(state)
    return torch.stack(results)


@pytest.mark.usefixtures("kernels")
def test_all_copies_together_have_the_bits_of_the_loop(any_case):
    network, x = any_case
    copies = noisy_weights(network, [0.1] * 7, range(7), seed=3)
    expected = loop(network, copies, x)
    assert torch.equal(outputs(network, copies, x), expected)
    assert expected.std(0).max() > 1e-3


def test_grouped_kernels_agree_within_rounding(case):
    network, x = case
    copies = noisy_weights(network, [0.1] * 7, range(7), seed=3)
    expected = loop(network, copies, x)
    for chunk in (None, 1, 2, 5, 7, 100):
        found = outputs(network, copies, x, chunk, exact=False)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


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
    expected = outputs(network, copies, x)
    sizes, most = [], 2
    real = torch.func.vmap

    def short_of_memory(function):
        def checked(part):
            sizes.append(len(part["0.weight"]))
            if sizes[-1] > most:
                raise torch.OutOfMemoryError("too much")
            return real(function)(part)

        return checked

    monkeypatch.setattr(torch.func, "vmap", short_of_memory)
    torch.testing.assert_close(outputs(network, copies, x, chunk=5, exact=False), expected)
    assert sizes == [5, 3, 2, 1, 2]
    most = 0
    with pytest.raises(torch.OutOfMemoryError):
        outputs(network, copies, x, chunk=5, exact=False)


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


def by_convert(network):
    """The Parameters whose change alone moves an array of the converted network."""
    found = []
    for name, parameter in network.named_parameters():
        before = [layer.weight.clone() for layer in mho.nn.analog_layers(converted(network)).values()]
        kept = parameter.data.clone()
        parameter.data.add_(1.0)
        after = [layer.weight for layer in mho.nn.analog_layers(converted(network)).values()]
        parameter.data.copy_(kept)
        if any(not torch.equal(b, a) for b, a in zip(before, after, strict=True)):
            found.append(name)
    return found


def converted(network):
    return mho.convert(network, mho.Hardware())


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2),
        lambda: nn.GRUCell(3, 2),
        lambda: nn.MultiheadAttention(8, 2),
        lambda: nn.MultiheadAttention(8, 2, kdim=4, vdim=6),
        lambda: nn.TransformerEncoderLayer(8, 2, 12),
        lambda: nn.Sequential(
            nn.Embedding(5, 3), nn.Conv1d(5, 2, 1), nn.BatchNorm1d(2), nn.Bilinear(3, 3, 2)
        ),
        Tied,
    ],
)
def test_the_weights_that_are_disturbed_are_those_that_convert_puts_on_arrays(build):
    network = build()
    found = array_weights(network)
    assert sorted(found) == sorted(by_convert(network))
    assert all(found[name] is network.get_parameter(name) for name in found)
    assert noisy_weights(network, [0.1], [0], seed=0).keys() == found.keys()


def test_computed_weights_are_refused():
    layers = (
        nn.utils.parametrizations.weight_norm(nn.Linear(4, 2)),
        nn.utils.prune.l1_unstructured(nn.Linear(4, 2), "weight", amount=0.5),
    )
    for layer in layers:
        network = nn.Sequential(nn.Linear(3, 4), layer)
        with pytest.raises(ValueError, match="weight of '1' is no Parameter but computed"):
            noisy_weights(network, [0.1], [0], seed=0)
        with pytest.raises(ValueError, match="weight of '1' is no Parameter but computed"):
            chip_weights(mho.convert(network, HARDWARE["pcm"]), [0])


def test_a_shape_that_is_not_known_yet():
    with pytest.raises(ValueError, match="shape of '1' is not known yet: run the network once"):
        array_weights(nn.Sequential(nn.Linear(3, 2), nn.LazyLinear(2)))


def test_bad_noise():
    with pytest.raises(ValueError, match="at least 0"):
        noisy_weights(nn.Linear(2, 2), [-0.1], [0], seed=0)
    with pytest.raises(ValueError, match="one repeat for each copy"):
        noisy_weights(nn.Linear(2, 2), [0.1, 0.2], [0], seed=0)
    with pytest.raises(ValueError, match="no linear layer, no convolution and no other layer"):
        array_weights(nn.Sequential(nn.ReLU()))


# --- chips ---------------------------------------------------------------------------------------

HARDWARE = {
    "pcm": mho.Hardware(device=mho.devices.PCM(read_scale=0.0)),
    "offset column": mho.Hardware(
        device=mho.devices.PCM(read_scale=0.0), mapping=mho.mapping.Offset(unit_column=False)
    ),
    "offset": mho.Hardware(device=mho.devices.PCM(read_scale=0.0), mapping=mho.mapping.Offset()),
    "unit column": mho.Hardware(
        device=mho.devices.PCM(read_scale=0.0), mapping=mho.mapping.Offset(unit_column=True)
    ),
    "scale per column": mho.Hardware(
        device=mho.devices.ReRAMWan2022(read_scale=0.0),
        mapping=mho.mapping.DifferentialPair(two_sided=True, scale=mho.mapping.Maximum(per_column=True)),
    ),
    "pairs with factors": mho.Hardware(
        device=mho.devices.PCM(read_scale=0.0), mapping=mho.mapping.SignificancePairs(factors=(1.0, 3.0))
    ),
}


@pytest.mark.parametrize(
    ("case", "kernels", "name", "compensated"),
    covering([list(NETWORKS), ["own", "other"], list(HARDWARE), [False, True]]),
    indirect=["case", "kernels"],
)
def test_chips_made_together_have_the_bits_of_the_verbs(case, kernels, name, compensated):
    network, x = case
    hardware = HARDWARE[name]
    seconds = min(max(hardware.device.times[0], 86_400.0), hardware.device.times[1])
    model = mho.convert(network, hardware).eval()
    seeds = [0, 11, -4]
    copies = chip_weights(model, seeds, seconds, compensated)
    assert copies.keys() >= array_weights(network).keys()  # a chip holds a tied weight twice
    found = outputs(network, copies, x)
    for number, seed in enumerate(seeds):
        mho.program(model, seed)
        mho.age(model, seconds)
        if compensated:
            with seeded(seed, "compensate", repr(seconds)):
                mho.compensate(model)
        for path, weight in mho.effective_weights(model).items():
            assert torch.equal(copies[f"{path}.weight"][number], weight)
        with torch.no_grad():
            y = model(x)
        if not mho.chip.tile.readout(hardware).unit_column:
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

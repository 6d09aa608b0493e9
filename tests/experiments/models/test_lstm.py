import math

import pytest
import torch
from torch.nn.functional import cross_entropy

import mho
from mho.errors import ConfigError
from mho.experiments.data import windows
from mho.experiments.models import LSTM, perplexity


def weights(network):
    return sum(p.numel() for p in network.parameters())


def counted(words, embedding, hidden, layers, tied):
    """Four gates, each from the input, from the hidden state, and with two biases."""
    total = words * embedding + words + (0 if tied else words * hidden)
    for inputs in (embedding, *[hidden] * (layers - 1)):
        total += 4 * hidden * (inputs + hidden + 2)
    return total


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_number_of_weights(layers, tied):
    model = LSTM(embedding=24, hidden=24, layers=layers, tied=tied).build(100)
    assert weights(model) == counted(100, 24, 24, layers, tied)


def test_the_small_network_of_the_paper():
    """Zaremba et al.: two layers of 200 units on the 10000 words of Penn Treebank, about 4.65 million."""
    assert weights(LSTM().build(10_000)) == counted(10_000, 200, 200, 2, False) == 4_653_200


def test_scores_have_the_classes_first_and_begin_at_chance():
    model = LSTM(embedding=16, hidden=32, dropout=0.0).build(50)
    x, y = windows(torch.randint(50, (401,), generator=torch.Generator().manual_seed(0)), 20).tensors
    scores = model(x)
    assert scores.shape == (20, 50, 20)
    assert perplexity(float(cross_entropy(scores, y).detach())) == pytest.approx(50, rel=0.02)
    assert perplexity(0.0) == 1.0
    assert perplexity(math.log(7)) == pytest.approx(7)


def test_a_text_in_pieces_gives_what_the_whole_gives():
    model = LSTM(embedding=8, hidden=8, dropout=0.5).build(30).eval()
    words = torch.randint(30, (3, 12), generator=torch.Generator().manual_seed(0))
    whole = model(words)
    first, state = model.carry(words[:, :5], None)
    second, _ = model.carry(words[:, 5:], state)
    torch.testing.assert_close(torch.cat((first, second), -1), whole)
    assert not any(s.requires_grad for s in state)


def test_no_score_sees_a_later_word():
    model = LSTM(embedding=8, hidden=8).build(30).eval()
    words = torch.randint(30, (1, 10), generator=torch.Generator().manual_seed(0))
    other = words.clone()
    other[0, 6:] = (other[0, 6:] + 1) % 30
    before, after = model(words), model(other)
    assert torch.equal(before[..., :6], after[..., :6])
    assert not torch.equal(before[..., 6:], after[..., 6:])


def test_it_learns_a_text_that_can_be_known():
    """Words that go round: the next one is certain, so the perplexity falls towards 1."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LSTM(embedding=16, hidden=16, dropout=0.0, tied=True).build(7)
        x, y = windows(torch.arange(7 * 40) % 7, 10).tensors
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(120):
            loss = cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert perplexity(float(loss.detach())) < 1.3


@pytest.mark.parametrize("tied", [False, True])
def test_it_goes_on_a_chip_and_carries_its_memory_there(tied):
    model = LSTM(embedding=16, hidden=16, tied=tied).build(40).eval()
    analog = mho.convert(model, mho.Hardware(device=mho.devices.PCM())).eval()
    paths = {path.split(".")[0] for path in mho.nn.analog_layers(analog)}
    assert {"lstm", "scores"} <= paths
    ideal = mho.convert(model, mho.Hardware()).eval()
    words = torch.randint(40, (2, 6), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ideal(words), model(words), atol=1e-4, rtol=1e-4)
    mho.program(analog, seed=0)
    scores, state = analog.carry(words, None)
    assert scores.shape == (2, 40, 6)
    assert analog.carry(words, state)[0].isfinite().all()
    assert not torch.allclose(scores, model(words), atol=1e-3)


def test_bad_descriptions_are_refused():
    with pytest.raises(ConfigError, match="embedding = 100 and hidden = 200 must be equal"):
        LSTM(embedding=100, tied=True)
    with pytest.raises(ConfigError, match="dropout = 1"):
        LSTM(dropout=1.0)

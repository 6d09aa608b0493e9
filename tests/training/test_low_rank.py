"""Low-rank adapters of peft beside arrays: the chip stays as it is and the adapters learn its errors."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mho
from mho.errors import StaleChipWarning
from mho.nn import AnalogLayer

peft = pytest.importorskip("peft")

MONTH = 30 * 86_400.0
NOISY = mho.Hardware(
    device=mho.devices.PCM(program_scale=2.0, drift_scale=2.0), tile=mho.Tile(rows=16, columns=16)
)
STILL = mho.Hardware(device=mho.devices.PCM(read_scale=0.0), tile=mho.Tile(rows=16, columns=16))


def adapters(model: nn.Module, names: Any = "all-linear", rank: int = 4) -> nn.Module:
    return peft.get_peft_model(model, peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=names))


def spread(model: nn.Module) -> None:
    """Adapters that do something (peft starts them at nothing)."""
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(12, 20), nn.Tanh(), nn.Linear(20, 5))


def chip(hardware: mho.Hardware = STILL, seed: int = 0) -> nn.Module:
    analog = mho.convert(network(), hardware).eval()
    mho.program(analog, seed=seed)
    mho.age(analog, MONTH)
    return analog


def test_an_aged_chip_is_mended() -> None:
    """Three chips, a month old: on unseen digits the loss with adapters is well below that without."""
    from mho.experiments.data import Digits

    data = Digits().load()
    (x, y), (unseen, wanted) = data.train.tensors, data.test.tensors
    x, unseen = x.flatten(1), unseen.flatten(1)

    def learn(model: nn.Module, steps: int, rate: float) -> nn.Module:
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate)
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        return model

    @torch.no_grad()
    def loss(model: nn.Module) -> float:
        return float(F.cross_entropy(model(unseen), wanted))

    torch.manual_seed(0)
    digital = learn(nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)), 100, 1e-2)
    for seed in range(3):
        aged = mho.convert(digital, NOISY).eval()
        mho.program(aged, seed=seed)
        mho.age(aged, MONTH)
        mho.compensate(aged)
        before = loss(aged)
        model = adapters(copy.deepcopy(aged))
        mho.train_on_chip(model)
        learn(model.train(), 80, 5e-3)
        assert loss(model.eval()) < 0.9 * before
        for path, g in mho.conductances(aged).items():
            assert torch.equal(g, mho.conductances(model)[path])


def test_gradients_go_through_the_chip() -> None:
    """Adapters get those of the programmed weights; weights and conductances get none."""
    analog = chip()
    x, weigh = torch.randn(6, 12), torch.randn(6, 5)
    held = mho.effective_weights(analog)
    by_hand = network()
    with torch.no_grad():
        for path in ("0", "2"):
            by_hand.get_submodule(path).weight.copy_(held[path])
    models = [adapters(model) for model in (analog, by_hand)]
    spread(models[0])
    models[1].load_state_dict({k: v for k, v in models[0].state_dict().items() if "lora" in k}, strict=False)
    mho.train_on_chip(models[0])
    for model in models:
        model.train()
        (model(x) * weigh).sum().backward()
    ours, theirs = ({n: p for n, p in m.named_parameters() if p.grad is not None} for m in models)
    assert ours.keys() == theirs.keys() and len(ours) == 4 and all("lora_" in name for name in ours)
    for name, parameter in ours.items():
        torch.testing.assert_close(parameter.grad, theirs[name].grad, rtol=1e-3, atol=1e-5)


def test_training_reads_fresh_noise() -> None:
    model = adapters(chip(mho.Hardware(device=mho.devices.PCM())))
    mho.train_on_chip(model)
    x = torch.randn(3, 12)
    assert not torch.equal(model.train()(x), model(x)) and not torch.equal(model.eval()(x), model(x))


@pytest.mark.parametrize("when", ["around the chip", "before converting", "injected"])
def test_the_chip_is_the_same_in_the_wrapper(when: str) -> None:
    """Programming, aging and compensation give the same conductances with and without adapters."""
    plain = mho.convert(network(), STILL)
    config = peft.LoraConfig(target_modules=["0", "2"])
    if when == "before converting":
        model = peft.get_peft_model(network(), config)
        model = mho.convert(model, STILL, select=lambda path, _: "lora_" not in path)
    elif when == "injected":
        model = peft.inject_adapter_in_model(config, mho.convert(network(), STILL))
    else:
        model = peft.get_peft_model(mho.convert(network(), STILL), config)
    x = torch.randn(4, 12)
    for analog in (plain, model):
        mho.program(analog.eval(), seed=3)
        mho.age(analog, MONTH)
        mho.compensate(analog)
    ours, theirs = mho.conductances(model), mho.conductances(plain)
    assert list(ours) == list(theirs) == ["0", "2"]
    assert all(torch.equal(ours[path], theirs[path]) for path in theirs)
    assert torch.equal(model(x), plain(x))  # adapters start at nothing


def test_the_report_calls_adapters_digital() -> None:
    model = adapters(chip())
    rows = {row.path: row for row in model.report.rows}
    assert rows["0.base_layer"].analog and rows["2.base_layer"].analog
    added = [row for path, row in rows.items() if "lora_" in path]
    assert len(added) == 4
    assert all(not row.analog and row.note == "added after the conversion" for row in added)


def test_save_and_load(tmp_path: Path) -> None:
    """The chip in a file of its own, the adapters in peft's; or all in one state_dict."""
    analog, x = chip(), torch.randn(4, 12)
    torch.save(analog.state_dict(), tmp_path / "chip.pt")
    model = adapters(analog).eval()
    spread(model)
    wanted = model(x)
    model.save_pretrained(tmp_path / "adapters")
    again = mho.convert(network(), STILL).eval()
    again.load_state_dict(torch.load(tmp_path / "chip.pt"))
    again = peft.PeftModel.from_pretrained(again, tmp_path / "adapters").eval()
    assert torch.equal(again(x), wanted)
    other = adapters(mho.convert(network(), STILL)).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(x), wanted)
    files = [p.stat().st_size for p in (tmp_path / "adapters").glob("*.safetensors")]
    assert sum(files) < (tmp_path / "chip.pt").stat().st_size / 2  # no chip among the adapters


@pytest.mark.parametrize("verb", ["eval", "age", "compensate", "load"])
def test_merging_is_told(verb: str) -> None:
    """Merged adapters are in the Parameters and not on the chip: entering evaluation and the verbs say so."""
    model = adapters(chip()).train()
    spread(model)
    merged = model.merge_and_unload()
    assert isinstance(merged[0], AnalogLayer)
    verbs = {
        "eval": merged.eval,
        "age": lambda: mho.age(merged, 2 * MONTH),
        "compensate": lambda: mho.compensate(merged),
    }
    if verb == "load":  # the saved chip is stale in the next process too
        again = mho.convert(network(), STILL)
        again.load_state_dict(merged.state_dict())
        verbs["load"] = again.eval
    with pytest.warns(StaleChipWarning, match="the weights of '[02]' changed .* call mho.program again"):
        verbs[verb]()
    mho.program(merged, seed=0)
    merged.eval()
    weight, held = merged[0].weight.detach(), mho.effective_weights(merged)["0"]
    assert (held - weight).std() < 0.3 * (weight - network()[0].weight).std()


def test_what_the_chip_holds_can_be_merged() -> None:
    """revert gives a digital network that computes what chip and adapters compute; that one merges."""
    model = adapters(chip()).eval()
    spread(model)
    x = torch.randn(4, 12)
    digital = mho.revert(model, weights="programmed").merge_and_unload()
    assert type(digital[0]) is nn.Linear
    torch.testing.assert_close(digital(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_transformer() -> None:
    """The array of each adapted layer keeps its name, and its chip."""
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48
    )
    digital = transformers.BertModel(config)
    plain = mho.convert(digital, STILL)
    model = adapters(mho.convert(digital, STILL), ["query", "value", "dense"]).eval()
    for analog in (plain, model):
        mho.program(analog, seed=0)
    ours, theirs = (mho.conductances(m) for m in (model, plain))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[path], theirs[path]) for path in theirs)
    learns(model, torch.randint(0, 50, (2, 7)))


def test_other_layers_are_adapted_before_they_are_converted() -> None:
    """peft makes the adapter of a convolution from the type of the layer, which must be torch's."""

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.conv = nn.Embedding(10, 6), nn.Conv1d(6, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(self.words(x).transpose(1, 2))

    model = adapters(Small(), ["words", "conv"])
    model = mho.convert(model, STILL, select=lambda path, _: "lora_" not in path)
    after = adapters(mho.convert(Small(), STILL), ["words"])  # an embedding is adapted either way
    for analog in (model, after):
        mho.program(analog, seed=0)
        assert list(mho.conductances(analog)) == ["words", "conv"]
        learns(analog, torch.randint(0, 10, (2, 7)))


def learns(model: nn.Module, tokens: Tensor) -> None:
    """Trained on the chip, the adapters learn and nothing else does."""
    mho.train_on_chip(model)
    out = model.train()(tokens)
    (out if isinstance(out, Tensor) else out.last_hidden_state).square().sum().backward()
    learned = [n for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert learned and all("lora_" in name for name in learned)

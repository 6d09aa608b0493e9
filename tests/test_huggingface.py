"""Models of Hugging Face, small and random: whole on arrays, and still themselves."""

from __future__ import annotations

import copy
import functools
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mho
from mho.nn import AnalogEmbedding, AnalogPositions, AnalogTransposedLinear
from mho.testing import check_visible

transformers = pytest.importorskip("transformers")

SIZES = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48}
PCM = mho.Hardware(device=mho.devices.PCM(read_scale=0.0))
GENERATE = {"max_new_tokens": 5, "do_sample": False}


def words() -> Tensor:
    return torch.randint(3, 50, (2, 7))


def bert(layers: int) -> tuple[nn.Module, dict[str, Tensor]]:
    config = transformers.BertConfig(
        vocab_size=50, max_position_embeddings=12, num_hidden_layers=layers, **SIZES
    )
    mask = torch.ones(2, 7, dtype=torch.long)
    mask[0, 5:] = 0
    return transformers.BertModel(config), {"input_ids": words(), "attention_mask": mask}


def distilbert(layers: int) -> tuple[nn.Module, dict[str, Tensor]]:
    config = transformers.DistilBertConfig(
        vocab_size=50, dim=32, n_layers=layers, n_heads=2, hidden_dim=48, max_position_embeddings=12
    )
    return transformers.DistilBertForMaskedLM(config), {"input_ids": words()}


def gpt2(layers: int) -> tuple[nn.Module, dict[str, Tensor]]:
    config = transformers.GPT2Config(
        vocab_size=50,
        n_embd=32,
        n_layer=layers,
        n_head=2,
        n_positions=20,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return transformers.GPT2LMHeadModel(config), {"input_ids": words()}


def llama(layers: int) -> tuple[nn.Module, dict[str, Tensor]]:
    config = transformers.LlamaConfig(
        vocab_size=50,
        max_position_embeddings=20,
        num_hidden_layers=layers,
        num_key_value_heads=1,
        tie_word_embeddings=True,
        pad_token_id=0,
        **SIZES,
    )
    return transformers.LlamaForCausalLM(config), {"input_ids": words()}


def vit(layers: int) -> tuple[nn.Module, dict[str, Tensor]]:
    config = transformers.ViTConfig(image_size=16, patch_size=4, num_hidden_layers=layers, **SIZES)
    return transformers.ViTForImageClassification(config), {"pixel_values": torch.randn(2, 3, 16, 16)}


def whisper(layers: int) -> tuple[nn.Module, dict[str, Tensor]]:
    sizes = {"layers": layers, "attention_heads": 2, "ffn_dim": 48}
    small = {f"{part}_{what}": size for part in ("encoder", "decoder") for what, size in sizes.items()}
    config = transformers.WhisperConfig(
        vocab_size=50, num_mel_bins=8, d_model=32, max_source_positions=10, max_target_positions=20,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
        suppress_tokens=None, begin_suppress_tokens=None, **small,
    )  # fmt: skip
    model = transformers.WhisperForConditionalGeneration(config)
    return model, {"input_features": torch.randn(2, 8, 20), "decoder_input_ids": words()}


def t5(layers: int) -> tuple[nn.Module, dict[str, Tensor]]:
    config = transformers.T5Config(
        vocab_size=50,
        d_model=32,
        d_kv=16,
        d_ff=48,
        num_layers=layers,
        num_heads=2,
        decoder_start_token_id=0,
        pad_token_id=0,
    )
    return transformers.T5ForConditionalGeneration(config), {
        "input_ids": words(),
        "decoder_input_ids": words(),
    }


FAMILIES: dict[str, Callable[[int], tuple[nn.Module, dict[str, Tensor]]]] = {
    f.__name__: f for f in (bert, distilbert, gpt2, llama, vit, whisper, t5)
}
TIED = {"distilbert", "gpt2", "llama", "whisper", "t5"}
COMPILED = {"bert", "gpt2"}
WRITES = {"gpt2", "llama", "whisper", "t5"}
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def made(name: str, layers: int = 2) -> tuple[nn.Module, dict[str, Tensor]]:
    torch.manual_seed(0)
    model, example = FAMILIES[name](layers)
    return model.eval(), example


def first(output: Any) -> Tensor:
    return output[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_whole_model_is_on_arrays(name: str) -> None:
    """``strict`` is content, the output is the digital one, only products of activations stay digital."""
    model, example = made(name)
    analog = mho.convert(model, mho.Hardware(), strict=True).eval()
    assert type(analog) is type(model) and analog.config == model.config
    assert analog.state_dict().keys() >= model.state_dict().keys()
    with torch.no_grad():
        wanted = first(model(**example))
        assert (first(analog(**example)) - wanted).abs().max() < 1e-5 * wanted.abs().max() + 1e-6
    analog.report.measure(example)
    macs = analog.report.macs
    assert macs.weights == 0 and macs.activations > 0 and macs.analog > 5 * macs.activations
    assert "products of activations (QK^T, PV) and stay digital" in str(analog.report)
    attention = [row for row in analog.report.rows if "attention" in row.layer.lower() and row.macs]
    assert len(attention) >= 2 and all(
        row.note == "products of activations stay digital" for row in attention
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_noise_is_visible(name: str) -> None:
    """Compiled too, an encoder and a decoder, with one layer of each kind: the compiler unrolls the others.

    Single layers are compiled in test_visible.py.
    """
    compiler = functools.partial(torch.compile, backend="eager") if name in COMPILED else None
    torch._dynamo.reset()
    model, example = made(name, layers=1 if compiler else 2)
    check_visible(mho.convert(model, PCM, select=lambda path, _: path != "shared"), example, compiler)


def test_noise_of_positions_is_visible_compiled() -> None:
    torch._dynamo.reset()
    positions = mho.convert(made("whisper", layers=1)[0].model.decoder, PCM).embed_positions
    check_visible(positions, words(), functools.partial(torch.compile, backend="eager"))


def test_a_table_that_is_never_called_is_found() -> None:
    """T5 holds a third table, tied to the two that it uses."""
    model, example = made("t5", layers=1)
    with pytest.raises(AssertionError, match="do not change the output: 'shared' in eval"):
        check_visible(mho.convert(model, PCM), example)


@pytest.mark.parametrize("name", sorted(TIED))
def test_ties_stay(name: str) -> None:
    model, example = made(name)
    analog = mho.convert(model, PCM)
    embedding, head = analog.get_input_embeddings(), analog.get_output_embeddings()
    if head is None:
        head = analog.vocab_projector
    assert head.weight is embedding.weight and isinstance(embedding, AnalogEmbedding)
    assert len(list(analog.parameters())) == len(list(model.parameters()))
    mho.program(analog, seed=0)
    assert not torch.equal(head.chip_g, embedding.chip_g.transpose(-1, -2))
    back = mho.revert(analog)
    assert [type(m) for m in back.modules()] == [type(m) for m in model.modules()]
    with torch.no_grad():
        assert torch.equal(first(back.eval()(**example)), first(model(**example)))


@pytest.mark.parametrize("name", sorted(WRITES))
def test_generate(name: str) -> None:
    """Ideal arrays write the same words; a chip repeats itself, and equals the model with its weights."""
    model, example = made(name)
    prompt = {k: v for k, v in example.items() if k != "decoder_input_ids"}
    ideal = mho.convert(model, mho.Hardware()).eval()
    assert torch.equal(ideal.generate(**prompt, **GENERATE), model.generate(**prompt, **GENERATE))
    analog = mho.convert(model, PCM)
    mho.program(analog, seed=1)
    mho.age(analog, 1e7)
    written = analog.eval().generate(**prompt, **GENERATE)
    truth = mho.revert(analog, weights="programmed").eval()
    assert torch.equal(written, analog.generate(**prompt, **GENERATE))
    with torch.no_grad():
        torch.testing.assert_close(first(analog(**example)), first(truth(**example)), rtol=1e-4, atol=1e-5)


def test_layers_of_their_own() -> None:
    gpt = mho.convert(made("gpt2")[0], PCM)
    assert isinstance(gpt.transformer.h[0].attn.c_attn, AnalogTransposedLinear)
    assert isinstance(mho.convert(made("whisper")[0], PCM).model.decoder.embed_positions, AnalogPositions)


@pytest.mark.parametrize("name", ["gpt2", "whisper"])
def test_training(name: str) -> None:
    """The models' own loss, with gradients through the chip."""
    model, example = made(name)
    labels = example["decoder_input_ids" if name == "whisper" else "input_ids"]
    analog = mho.convert(model, PCM)
    mho.program(analog, seed=0)
    truth = mho.revert(copy.deepcopy(analog), weights="programmed").eval()
    losses = []
    for each in (analog.eval(), truth):
        loss = each(**example, labels=labels).loss
        loss.backward()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    untied, wanted = 0, dict(truth.named_parameters())
    for path, parameter in analog.named_parameters():
        assert not parameter.requires_grad or parameter.grad is not None
        if "embed_tokens" not in path and "wte" not in path and parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, wanted[path].grad, rtol=1e-3, atol=1e-5)
            untied += 1
    assert untied > 20


def test_calibrated_converters() -> None:
    model, example = made("bert")
    analog = mho.convert(
        model, mho.Hardware(tile=mho.Tile(rows=16), dac=mho.DAC(bits=8), adc=mho.ADC(bits=10))
    )
    mho.calibrate(analog, [example])
    mho.program(analog, seed=0)
    with torch.no_grad():
        wanted, got = first(model(**example)), first(analog.eval()(**example))
    kept = example["attention_mask"].bool()
    assert nn.functional.cosine_similarity(wanted[kept], got[kept], dim=-1).min() > 0.99


def test_a_saved_model_says_what_from_pretrained_drops(tmp_path: Path) -> None:
    analog: Any = mho.convert(bert(1)[0], PCM)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mho.convert(bert(1)[0], PCM).save_pretrained(tmp_path)  # nothing of arrays is there yet
    mho.program(analog, seed=0)
    analog = pickle.loads(pickle.dumps(copy.deepcopy(analog)))
    with pytest.warns(UserWarning, match=r"BertModel.from_pretrained makes .* it drops all \d+ "):
        analog.save_pretrained(tmp_path)
    chip, description = tmp_path / "chip.pt", tmp_path / "hardware.json"  # as the warning says
    torch.save(analog.state_dict(), chip)
    layers = {path: layer.hardware for path, layer in mho.analog_modules(analog).items()}
    mho.calibration.save_hardware(layers, description)
    digital = transformers.BertModel.from_pretrained(tmp_path)
    again = mho.convert(digital, mho.calibration.load_hardware(description)).eval()
    again.load_state_dict(torch.load(chip))
    ids = words()
    assert torch.equal(again(ids)[0], analog.eval()(ids)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mho.revert(analog).save_pretrained(tmp_path)

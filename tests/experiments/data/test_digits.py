from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from mho.config import digest
from mho.experiments.data import Digits


def test_the_three_parts_are_all_the_digits_in_their_order():
    data = Digits().load()
    images = torch.cat([part.tensors[0] for part in (data.train, data.validation, data.test)])
    labels = torch.cat([part.tensors[1] for part in (data.train, data.validation, data.test)])
    bunch = load_digits()
    pixels = images * data.std[0] + data.mean[0]
    torch.testing.assert_close(pixels[:, 0], torch.tensor(bunch.images, dtype=torch.float32) / 16)
    assert labels.tolist() == bunch.target.tolist()
    assert [len(part) for part in (data.train, data.validation, data.test)] == [1000, 197, 600]


def test_the_training_part_is_normalised():
    data = Digits().load()
    images = data.train.tensors[0]
    assert images.dtype == torch.float32
    assert abs(float(images.mean())) < 1e-5
    assert abs(float(images.std()) - 1) < 1e-5
    assert (data.channels, data.size, data.classes) == (1, 8, 10)


def test_shuffled_digits_are_those_of_published_figures():
    """The split of the runs of aihwkit 1.2.0 that the study of learning is compared with."""
    data, bunch = Digits(shuffled=True).load(), load_digits()
    order = np.random.default_rng(0).permutation(1797)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [1100, 337, 360]
    assert data.test.tensors[1].tolist() == bunch.target[order[1437:]].tolist()
    pixels = data.test.tensors[0] * data.std[0] + data.mean[0]
    wanted = torch.tensor(bunch.images[order[1437:]], dtype=torch.float32) / 16
    torch.testing.assert_close(pixels[:, 0], wanted)


def test_studies_of_before_are_those_of_digits_in_their_order():
    assert digest(Digits(shuffled=False)) == digest(Digits()) != digest(Digits(shuffled=True))


def test_a_folder_is_refused():
    with pytest.raises(ValueError, match="come with scikit-learn"):
        Digits().load(Path("somewhere"))

from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits

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


def test_a_folder_is_refused():
    with pytest.raises(ValueError, match="come with scikit-learn"):
        Digits().load(Path("somewhere"))

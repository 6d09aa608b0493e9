import gzip
import struct

import numpy as np
import pytest
import torch

from mho.experiments.data import MNIST, MissingDataError
from mho.experiments.data.mnist import FILES, read_idx


def idx_bytes(array):
    """The published layout, written independently of the reader."""
    head = b"\x00\x00\x08" + bytes([array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_set(folder, train=12, test=5, packed=False):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    written = {}
    for part, n in (("train", train), ("test", test)):
        images, labels = rng.integers(0, 256, (n, 28, 28)), rng.integers(0, 10, n)
        written[part] = (images, labels)
        for name, array in zip(FILES[part], (images, labels), strict=True):
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array)))
            else:
                (folder / name).write_bytes(idx_bytes(array))
    return written


@pytest.mark.parametrize("inner", ["", "MNIST/raw"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_published_files_are_read(tmp_path, inner, packed):
    written = write_set(tmp_path / inner, packed=packed)
    data = MNIST(validation=4).load(tmp_path)
    assert [len(p) for p in (data.train, data.validation, data.test)] == [8, 4, 5]
    assert data.test.tensors[1].tolist() == written["test"][1].tolist()
    assert data.validation.tensors[1].tolist() == written["train"][1][8:].tolist()
    pixels = (data.test.tensors[0] * data.std[0] + data.mean[0]) * 255
    np.testing.assert_allclose(pixels[:, 0].numpy(), written["test"][0], atol=1e-3)
    assert (data.channels, data.size, data.classes) == (1, 28, 10)


def test_missing_files_are_named(tmp_path):
    write_set(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(MissingDataError) as error:
        MNIST(validation=4).load(tmp_path)
    for names in FILES.values():
        assert all(name in str(error.value) for name in names)
    assert str(tmp_path) in str(error.value)
    assert "https://" in str(error.value)


def test_no_folder_and_an_absent_folder_say_so(tmp_path):
    with pytest.raises(MissingDataError, match="--data FOLDER"):
        MNIST().load()
    with pytest.raises(MissingDataError, match="no such folder"):
        MNIST().load(tmp_path / "absent")


def test_a_validation_part_that_leaves_nothing_is_refused(tmp_path):
    write_set(tmp_path)
    with pytest.raises(ValueError, match="validation = 12"):
        MNIST(validation=12).load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a", b"", "not an idx file"),
        ("a", b"\x00\x00\x0d\x01\x00\x00\x00\x01\x00", "not an idx file"),
        ("a", idx_bytes(np.zeros((3, 2)))[:-1], "damaged"),
        ("a", idx_bytes(np.zeros((3, 2))) + b"x", "damaged"),
        ("a", b"\x00\x00\x08\x03\x00\x00", "damaged"),
        ("a.gz", gzip.compress(idx_bytes(np.zeros((300, 2))), mtime=0)[:-9], "damaged"),
        ("a.gz", b"not packed", "damaged"),
    ],
    ids=["empty", "other type", "too short", "too long", "no sizes", "cut archive", "not packed"],
)
def test_a_damaged_file_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_idx(path)
    assert str(path) in str(error.value)


def test_images_and_labels_must_agree(tmp_path):
    write_set(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(4)))
    with pytest.raises(ValueError, match="5 images and 4 labels"):
        MNIST(validation=4).load(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.full(5, 10)))
    with pytest.raises(ValueError, match="between 0 and 9"):
        MNIST(validation=4).load(tmp_path)


def test_any_number_of_dimensions_is_read(tmp_path):
    array = np.arange(24).reshape(2, 3, 4)
    (tmp_path / "a").write_bytes(idx_bytes(array))
    assert torch.equal(read_idx(tmp_path / "a"), torch.tensor(array, dtype=torch.uint8))

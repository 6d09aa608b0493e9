import os
import pickle
import pickletools
import tarfile

import numpy as np
import pytest
import torch

from mho.experiments.data import CIFAR10, CIFAR100, MissingDataError
from mho.experiments.data.cifar import safe_unpickle


def python2_pickle(content):
    """A pickle as the published files are: protocol 2, byte strings as Python 2 strings, numpy 1 names."""

    def text(value):
        short = len(value) < 256
        return (b"U" + bytes([len(value)]) if short else b"T" + len(value).to_bytes(4, "little")) + value

    def number(value):
        return b"K" + bytes([value])

    def array(value):
        tuple_of_shape = b"(" + b"".join(b"M" + n.to_bytes(2, "little") for n in value.shape) + b"t"
        return (
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + text(b"b") + b"tR"
            b"(K\x01" + tuple_of_shape + b"cnumpy\ndtype\n(" + text(b"u1") + b"K\x00K\x01tR"
            b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
            b"\x89" + text(value.tobytes()) + b"tb"
        )

    out = b"\x80\x02}("
    for key, value in content.items():
        out += text(key)
        if isinstance(value, np.ndarray):
            out += array(value)
        elif isinstance(value, bytes):
            out += text(value)
        else:
            out += b"](" + b"".join(number(v) for v in value) + b"e"
    return out + b"u."


def batch(n, key=b"labels", seed=0, classes=10):
    rng = np.random.default_rng(seed)
    return {
        b"data": rng.integers(0, 256, (n, 3072)).astype(np.uint8),
        key: rng.integers(0, classes, n).tolist(),
        b"batch_label": b"testing batch",
    }


def write_cifar10(folder):
    inner = folder / "cifar-10-batches-py"
    inner.mkdir(parents=True)
    contents = {f"data_batch_{i}": batch(3, seed=i) for i in range(1, 6)}
    contents["test_batch"] = batch(4, seed=9)
    for name, content in contents.items():
        (inner / name).write_bytes(python2_pickle(content))
    return contents


def test_the_published_folder_is_read(tmp_path):
    written = write_cifar10(tmp_path)
    data = CIFAR10(validation=2).load(tmp_path)
    assert [len(p) for p in (data.train, data.validation, data.test)] == [13, 2, 4]
    assert (data.channels, data.size, data.classes) == (3, 32, 10)
    labels = [label for i in range(1, 6) for label in written[f"data_batch_{i}"][b"labels"]]
    assert data.train.tensors[1].tolist() + data.validation.tensors[1].tolist() == labels
    mean, std = torch.tensor(data.mean)[:, None, None], torch.tensor(data.std)[:, None, None]
    pixels = data.test.tensors[0] * std + mean
    expected = written["test_batch"][b"data"].reshape(4, 3, 32, 32) / 255
    np.testing.assert_allclose(pixels.numpy(), expected, atol=1e-5)


def test_the_inner_folder_and_the_archive_give_the_same(tmp_path):
    write_cifar10(tmp_path / "a")
    packed = tmp_path / "b"
    packed.mkdir()
    with tarfile.open(packed / "cifar-10-python.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "a" / "cifar-10-batches-py", "cifar-10-batches-py")
    folders = (tmp_path / "a", tmp_path / "a" / "cifar-10-batches-py", packed)
    first, second, third = (CIFAR10(validation=2).load(folder) for folder in folders)
    assert torch.equal(first.train.tensors[0], second.train.tensors[0])
    assert torch.equal(first.train.tensors[0], third.train.tensors[0])
    assert torch.equal(first.test.tensors[1], third.test.tensors[1])


def test_cifar100_takes_the_fine_labels(tmp_path):
    inner = tmp_path / "cifar-100-python"
    inner.mkdir()
    for name, n in (("train", 6), ("test", 3)):
        content = {**batch(n, b"fine_labels", classes=100), b"coarse_labels": [0] * n}
        (inner / name).write_bytes(python2_pickle(content))
    data = CIFAR100(validation=1).load(tmp_path)
    assert data.classes == 100
    assert data.test.tensors[1].tolist() == batch(3, b"fine_labels", classes=100)[b"fine_labels"]


def test_missing_files_are_named(tmp_path):
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_4").unlink()
    with pytest.raises(MissingDataError, match="cifar-10-batches-py/data_batch_4") as error:
        CIFAR10().load(tmp_path)
    assert "cifar-10-python.tar.gz" in str(error.value)
    with pytest.raises(MissingDataError, match="--data FOLDER"):
        CIFAR100().load()


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"nothing packed")
    with pytest.raises(ValueError, match=r"cifar-10-python\.tar\.gz: the archive is damaged"):
        CIFAR10().load(tmp_path)


class Runs:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def test_a_pickle_that_runs_something_is_refused_and_does_not_run(tmp_path):
    marker = str(tmp_path / "ran")
    with pytest.raises(ValueError, match=r"batch: it asks to run \w+\.mkdir"):
        safe_unpickle(pickle.dumps({b"data": Runs(marker)}), "batch")
    assert not os.path.exists(marker)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_bytes_and_numbers_pass_in_every_protocol(protocol):
    content = {b"data": np.arange(6, dtype=np.uint8).reshape(2, 3), b"labels": [1, 2], "name": "x"}
    read = safe_unpickle(pickle.dumps(content, protocol=protocol), "batch")
    assert read[b"data"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (read[b"labels"], read["name"]) == ([1, 2], "x")


def test_the_hand_made_pickle_is_of_python_2():
    names = [op.name for op, _, _ in pickletools.genops(python2_pickle(batch(1)))]
    assert {"SHORT_BINSTRING", "BINSTRING", "GLOBAL"} <= set(names)
    assert "SHORT_BINBYTES" not in names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable pickle"),
        (b"\x80\x02}q", "not a readable pickle"),
        (pickle.dumps([1]), "not a CIFAR batch"),
        (python2_pickle({b"data": np.zeros((1, 3), np.uint8), b"labels": [1]}), r"\[n, 3072\]"),
    ],
)
def test_a_damaged_batch_is_named(tmp_path, content, message):
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        CIFAR10(validation=2).load(tmp_path)
    assert "test_batch" in str(error.value)


def test_augmentation_moves_and_mirrors_each_image():
    image = torch.rand(1, 3, 32, 32)
    varied = CIFAR10().augmented(image.expand(64, -1, -1, -1), torch.Generator().manual_seed(0))
    windows = torch.nn.functional.pad(image, (4, 4, 4, 4))[0]
    allowed = [windows[:, t : t + 32, x : x + 32] for t in range(9) for x in range(9)]
    allowed = torch.stack(allowed + [w.flip(-1) for w in allowed]).flatten(1)
    distance = torch.cdist(varied.flatten(1).double(), allowed.double())
    assert float(distance.min(1).values.max()) < 1e-5
    assert len(set(distance.argmin(1).tolist())) > 30
    again = CIFAR10().augmented(image.expand(64, -1, -1, -1), torch.Generator().manual_seed(0))
    assert torch.equal(varied, again)

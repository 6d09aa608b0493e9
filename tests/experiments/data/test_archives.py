"""Packed files that unpack to more than any published one."""

import gzip
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from mho.config.sealed import DamagedFileError, load_tensors, save_tensors
from mho.experiments.data import CIFAR10, archives
from mho.experiments.data.cifar import safe_unpickle
from mho.experiments.data.mnist import read_idx

MEGABYTE = 2**20


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(archives, "MOST", MEGABYTE)


def limited(path):
    return archives.Unpacked(path, archives.MOST)


def test_a_gzip_bomb_ends_with_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr("mho.experiments.data.mnist.Unpacked", limited)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(bytes(4 * MEGABYTE)))
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.gz: it unpacks to more than 1 MB"):
        read_idx(path)


@pytest.mark.parametrize("member", ["cifar-10-batches-py/data_batch_1", "other", "./././data_batch_1"])
def test_a_tar_bomb_ends_with_its_name(tmp_path, monkeypatch, member):
    monkeypatch.setattr("mho.experiments.data.cifar.Unpacked", limited)
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as tar:
        head = tarfile.TarInfo(member)
        head.size = 4 * MEGABYTE
        tar.addfile(head, io.BytesIO(bytes(head.size)))
    with pytest.raises(ValueError, match=r"cifar-10-python.tar.gz: .*unpacks to more than 1 MB"):
        CIFAR10().load(tmp_path)


class _Huge:
    """A pickle of an array that says it has a terabyte of pixels."""

    def __reduce__(self):
        return np.ndarray, ((3 * 10**8, 3072), np.dtype(np.uint8))


def test_a_batch_that_claims_more_than_it_holds(tmp_path):
    from mho.experiments.data.cifar import _batch

    raw = pickle.dumps({b"data": _Huge(), b"labels": [0]}, protocol=2)
    with pytest.raises(ValueError, match="data_batch_1: "):
        _batch(raw, b"labels", "data_batch_1")
    deep = b"(" * 10 + b"\x8e" + b"\xff" * 8 + b"."  # a text of 2^64 bytes
    with pytest.raises(ValueError, match="x: not a readable pickle"):
        safe_unpickle(deep, "x")


def test_packed_tensors_are_refused(tmp_path):
    path, packed = tmp_path / "a.pt", tmp_path / "b.pt"
    save_tensors(path, {"state": torch.zeros(1000)})
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    load_tensors(path, {})
    with pytest.raises(DamagedFileError, match="b.pt: damaged .*packed"):
        load_tensors(packed, {})

"""MNIST, from its published idx files."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mho.config import Count, config
from mho.experiments.data.archives import Unpacked
from mho.experiments.data.base import Data, Source, kept_back, missing, normalised

ORIGIN = "https://ossci-datasets.s3.amazonaws.com/mnist/ (a mirror of http://yann.lecun.com/exdb/mnist/)"
FOLDERS = ("", "MNIST/raw", "raw")
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_UBYTE = 0x08  # the type code of unsigned bytes in an idx file


@config
class MNIST(Source):
    """28x28 images of handwritten digits (Y. LeCun et al., Proc. IEEE 86, 2278, 1998).

    Attributes:
        validation: how many of the 60000 training images, the last ones, are kept for validation.
    """

    validation: Count = 5000

    def load(self, folder: Path | None = None) -> Data:
        """Read the four idx files, packed (``.gz``) or not, in ``folder`` or ``folder/MNIST/raw``."""
        found = {part: [_find(folder, name) for name in names] for part, names in FILES.items()}
        parts = {part: (read_idx(paths[0])[:, None], read_idx(paths[1])) for part, paths in found.items()}
        images, labels = parts["train"]
        cut = kept_back(len(images), self.validation, "images")
        return normalised(
            [(images[:cut], labels[:cut]), (images[cut:], labels[cut:]), parts["test"]], classes=10
        )


def _find(folder: Path | None, name: str) -> Path:
    for inner in FOLDERS if folder is not None else ():
        for path in (Path(str(folder), inner, name), Path(str(folder), inner, name + ".gz")):
            if path.is_file():
                return path
    expected = [f"{file} (or {file}.gz)" for names in FILES.values() for file in names]
    raise missing("MNIST", folder, [*expected, "there or in its folder MNIST/raw"], ORIGIN)


def read_idx(path: Path) -> Tensor:
    """The array of an idx file of unsigned bytes, packed with gzip or not.

    The layout: two zero bytes, the type code 0x08, the number of dimensions, each dimension as a
    big-endian 32-bit number, then the bytes in C order.

    Args:
        path: the file; a name ending in ``.gz`` is unpacked.

    Returns:
        uint8 tensor of the shape that the file states.

    Raises:
        ValueError: the file is not of this format, or is cut short.
    """
    if path.suffix != ".gz":
        raw = path.read_bytes()
    else:
        try:
            with Unpacked(path) as stream:
                raw = stream.read()
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path}: the packed file is damaged ({error}); fetch it again") from None
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != _UBYTE or raw[3] == 0:
        raise ValueError(f"{path}: not an idx file of unsigned bytes (it starts with {raw[:4].hex()!r})")
    start = 4 + 4 * raw[3]
    shape = tuple(np.frombuffer(raw[4:start], dtype=">u4").tolist()) if len(raw) >= start else ()
    if not shape or len(raw) - start != math.prod(shape):
        raise ValueError(
            f"{path}: {len(raw)} bytes, which is not what its head says (shape {shape}); "
            "the file is damaged, fetch it again"
        )
    return torch.from_numpy(np.frombuffer(raw, dtype=np.uint8, offset=start).copy()).reshape(shape)

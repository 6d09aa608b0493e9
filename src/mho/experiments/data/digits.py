"""The 1797 handwritten digits that come with scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mho.config import config, later
from mho.experiments.data.base import Data, Source, normalised

TRAIN = slice(0, 1000)
VALIDATION = slice(1000, 1197)
TEST = slice(1197, 1797)
SHUFFLED = slice(0, 1100), slice(1100, 1437), slice(1437, 1797)  # parts of the shuffled digits


@config
class Digits(Source):
    """8x8 images of handwritten digits: 1000 for training, 197 for validation, 600 for test.

    The set is the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak,
    UCI Machine Learning Repository, 1998) as embedded in scikit-learn. The parts are consecutive, not
    shuffled: digits of one writer stand next to each other, so a shuffled split would test on the
    writers that the network was trained on.

    Attributes:
        shuffled: split by chance all the same, always in the same order: 1100 for training, 337 for
            validation, 360 for test. Published figures of small networks on this set are of such splits, and
            some points higher.
    """

    shuffled: bool = later(default=False)

    def load(self, folder: Path | None = None) -> Data:
        """Read the images out of scikit-learn; no files are needed.

        Raises:
            ValueError: a folder was given.
        """
        if folder is not None:
            raise ValueError(f"--data {folder}: the digits come with scikit-learn; leave --data out")
        from sklearn.datasets import load_digits

        bunch = load_digits()
        images = torch.tensor(bunch.images, dtype=torch.float32)[:, None] / 16.0
        labels = torch.tensor(bunch.target, dtype=torch.int64)
        parts = (TRAIN, VALIDATION, TEST)
        if self.shuffled:
            order = torch.from_numpy(np.random.default_rng(0).permutation(len(labels)))
            images, labels, parts = images[order], labels[order], SHUFFLED
        return normalised([(images[part], labels[part]) for part in parts], classes=10)

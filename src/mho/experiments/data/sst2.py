"""SST-2, the sentiment of sentences from film reviews, from the files of GLUE."""

from __future__ import annotations

from pathlib import Path

import torch

from mho.config import Count, config
from mho.config.documents import read_text
from mho.experiments.data.arrow import arrow_parts
from mho.experiments.data.base import kept_back, missing
from mho.experiments.data.language import Labelled, Texts, TextSource

ORIGIN = "https://dl.fbaipublicfiles.com/glue/data/SST-2.zip"
FOLDERS = ("", "SST-2", "glue_data/SST-2")
FILES = ("train.tsv", "dev.tsv")
CLASSES = ("negative", "positive")
HEAD = "sentence\tlabel"


@config
class SST2(TextSource):
    """Is this sentence of a film review positive? 67349 texts to learn from, 872 for the test.

    R. Socher et al., EMNLP 2013; as a task of GLUE, A. Wang et al., ICLR 2019. The labels of GLUE's own
    test part are secret, so its development part is the test, as in most papers, and the validation part
    is taken off the training part. Phrases of one sentence are texts of their own in the training part:
    the validation part holds phrases of sentences that were trained on, the test part does not.

    Attributes:
        validation: how many of the training texts, the last ones, are kept for validation; None for a
            tenth of them.
    """

    validation: Count | None = None

    def load(self, folder: Path | None = None) -> Texts:
        """Read ``train.tsv`` and ``dev.tsv``, or the Arrow files of ``datasets``, in ``folder``."""
        train, test, origin = _read(folder)
        cut = kept_back(len(train), self.validation, "texts")
        return Texts(train[:cut], train[cut:], test, CLASSES, origin)


def _read(folder: Path | None) -> tuple[Labelled, Labelled, str]:
    for inner in FOLDERS if folder is not None else ():
        paths = [Path(str(folder), inner, name) for name in FILES]
        if all(path.is_file() for path in paths):
            return read_tsv(paths[0]), read_tsv(paths[1]), "GLUE SST-2, train.tsv and dev.tsv"
    parts = arrow_parts(folder, ("train", "validation")) if folder is not None and folder.is_dir() else None
    if parts is None:
        expected = [*FILES, "there or in its folder SST-2", "or the Arrow files of datasets for glue/sst2"]
        raise missing("SST2", folder, expected, ORIGIN)
    if any(not {"sentence", "label"} <= set(part.column_names) for part in parts):
        raise ValueError(f"--data {folder}: these Arrow files are not SST-2: no columns 'sentence', 'label'")
    train, test = (_labelled(list(zip(p["sentence"], p["label"], strict=True)), str(folder)) for p in parts)
    return train, test, "GLUE SST-2, Arrow files"


def read_tsv(path: Path) -> Labelled:
    """The sentences of one file of GLUE: a head, then a sentence, a tab and 0 or 1 on each line.

    Args:
        path: ``train.tsv`` or ``dev.tsv``.

    Raises:
        ValueError: a line is not of this form.
    """
    lines = read_text(path).split("\n")
    if lines[0].rstrip("\r") != HEAD:
        raise ValueError(f"{path}: its first line must be {HEAD!r}, not {lines[0][:60]!r}")
    pairs = []
    for number, line in enumerate(lines[1:], start=2):
        if line.strip():
            sentence, tab, label = line.rstrip("\r").rpartition("\t")
            if not tab or label not in ("0", "1"):
                raise ValueError(
                    f"{path}, line {number}: {line[:60]!r} is no sentence, tab and 0 or 1; fetch it again"
                )
            pairs.append((sentence, int(label)))
    return _labelled(pairs, str(path))


def _labelled(pairs: list[tuple[str, int]], name: str) -> Labelled:
    if not pairs or any(label not in (0, 1) for _, label in pairs):
        raise ValueError(f"{name}: a part has no texts, or labels other than 0 and 1; is the file whole?")
    return Labelled(tuple(text.strip() for text, _ in pairs), torch.tensor([label for _, label in pairs]))

"""What an experiment on language learns from: labelled texts, or one long row of words."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import TensorDataset
from typing_extensions import Self

from mho.experiments.data.base import AnySource

UNKNOWN, END = "<unk>", "<eos>"
TENTH = 10  # validation and test get one text in so many each


@dataclass(frozen=True)
class Labelled:
    """Texts and what they are.

    Attributes:
        texts: plain text, one line each.
        labels: int64 ``[n]``.
    """

    texts: tuple[str, ...]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, part: slice) -> Labelled:
        return Labelled(self.texts[part], self.labels[part])


@dataclass(frozen=True)
class _Parts:
    """Three parts that can be cut short."""

    def limited(
        self, train: int | None = None, validation: int | None = None, test: int | None = None
    ) -> Self:
        """The same with at most so many texts or words in each part; None leaves a part whole."""
        most = {"train": train, "validation": validation, "test": test}
        return replace(self, **{name: getattr(self, name)[:count] for name, count in most.items()})


@dataclass(frozen=True)
class Texts(_Parts):
    """Labelled texts in three parts that share no text.

    Attributes:
        train: texts to learn from.
        validation: texts to choose settings with.
        test: texts for the figures that are reported; nothing is chosen with them.
        classes: the names of the labels.
        origin: where the texts come from, with the version of the source.
    """

    train: Labelled
    validation: Labelled
    test: Labelled
    classes: tuple[str, ...]
    origin: str

    @property
    def digest(self) -> str:
        """SHA-256 of every text and label: two machines have the same data if this is the same."""
        return _digest(
            f"{label}\t{text}"
            for part in (self.train, self.validation, self.test)
            for text, label in (*zip(part.texts, part.labels.tolist(), strict=True), ("", -1))
        )


class TextSource(AnySource[Texts]):
    """Labelled texts by description."""


@dataclass(frozen=True)
class Words(_Parts):
    """One long row of words in three parts, as numbers.

    Attributes:
        train: int64 ``[n]``, to learn from.
        validation: int64 ``[m]``, to choose settings with.
        test: int64 ``[k]``, for the figures that are reported; nothing is chosen with it.
        vocabulary: the words by number; ``<unk>`` is 0 and stands for every word that is not listed.
        origin: where the text comes from, with the version of the source.
    """

    train: Tensor
    validation: Tensor
    test: Tensor
    vocabulary: tuple[str, ...]
    origin: str

    @property
    def digest(self) -> str:
        """SHA-256 of the vocabulary and every word: two machines have the same data if this is the same."""
        parts = (self.train, self.validation, self.test)
        return _digest(["\n".join(self.vocabulary), *(" ".join(map(str, part.tolist())) for part in parts)])


class WordSource(AnySource[Words]):
    """A text to be continued word by word, by description."""


def windows(words: Tensor, length: int) -> TensorDataset:
    """A row of words cut into pieces, each with the words that follow one place later.

    What is left at the end and fills no piece is dropped.

    Args:
        words: int64 ``[n]``.
        length: words in a piece.

    Returns:
        Inputs and targets, int64 ``[pieces, length]``.

    Raises:
        ValueError: there is not one whole piece.

    Example:
        >>> windows(torch.arange(6), 2).tensors
        (tensor([[0, 1],
                [2, 3]]), tensor([[1, 2],
                [3, 4]]))
    """
    pieces = (len(words) - 1) // length if length > 0 else 0
    if pieces < 1:
        raise ValueError(
            f"length = {length}: {len(words)} words hold no whole piece of {length} words and the next one; "
            "choose a length from 1 to one less than the words"
        )
    used = pieces * length
    return TensorDataset(words[:used].view(pieces, length), words[1 : used + 1].view(pieces, length))


def rows(words: Tensor, count: int) -> Tensor:
    """A row of words as so many shorter rows, side by side, for training that carries its state on.

    Args:
        words: int64 ``[n]``.
        count: rows.

    Returns:
        int64 ``[count, n // count]``; what is left at the end is dropped.

    Raises:
        ValueError: there are fewer words than rows.
    """
    if not 0 < count <= len(words):
        raise ValueError(f"count = {count}: from 1 to the number of words, {len(words)}")
    return words[: len(words) // count * count].view(count, -1)


def numbered(parts: Sequence[Sequence[str]], most: int | None, origin: str) -> Words:
    """Words as numbers; the vocabulary is that of the first part, most frequent first.

    Args:
        parts: the words of the training, validation and test part.
        most: size of the vocabulary, ``<unk>`` included; None for every word of the training part.
        origin: where the text comes from.

    Raises:
        ValueError: a part is empty.
    """
    for title, part in zip(("training", "validation", "test"), parts, strict=True):
        if not part:
            raise ValueError(f"the {title} part has no words; is the file whole?")
    counts = Counter(parts[0])
    counts.pop(UNKNOWN, None)
    listed = sorted(counts, key=lambda word: (-counts[word], word))
    vocabulary = (UNKNOWN, *(listed if most is None else listed[: most - 1]))
    number = {word: n for n, word in enumerate(vocabulary)}
    train, validation, test = (torch.tensor([number.get(word, 0) for word in part]) for part in parts)
    return Words(train, validation, test, vocabulary, origin)


def balanced(groups: Mapping[str, Iterable[str]], seed: int, origin: str) -> Texts:
    """Labelled texts in three parts, with as many texts of every class in each.

    A text that comes twice, also in other capitals, is taken once; one that comes in two classes not
    at all. The order is that of a hash, so that it is the same on every machine and a text more or
    less moves no other one. In each part the classes take turns: the first n texts are balanced too.

    Args:
        groups: texts by class.
        seed: names the split.
        origin: where the texts come from.

    Raises:
        ValueError: a class has fewer than ten texts.
    """
    homes: dict[str, tuple[str, str] | None] = {}
    for name, texts in groups.items():
        for text in texts:
            known = homes.setdefault(text.casefold(), (name, text))
            if known is not None and known[0] != name:
                homes[text.casefold()] = None
    chosen: dict[str, list[str]] = {name: [] for name in groups}
    for home in homes.values():
        if home is not None:
            chosen[home[0]].append(home[1])
    count = min(len(texts) for texts in chosen.values())
    if count < TENTH:
        poorest = min(chosen, key=lambda name: len(chosen[name]))
        raise ValueError(f"{origin}: only {count} texts of {poorest!r}; a class needs {TENTH}")
    for texts in chosen.values():
        texts.sort(key=lambda text: shuffled(seed, text))
    names, tenth = tuple(groups), count // TENTH
    cuts = ((2 * tenth, count), (tenth, 2 * tenth), (0, tenth))
    train, validation, test = (
        Labelled(
            tuple(chosen[name][k] for k in range(*cut) for name in names),
            torch.arange(len(names)).repeat(cut[1] - cut[0]),
        )
        for cut in cuts
    )
    return Texts(train, validation, test, names, origin)


def shuffled(seed: int, text: str) -> bytes:
    """A sort key that puts texts in an order without meaning, the same one everywhere."""
    return hashlib.sha256(f"{seed}\x1f{text.casefold()}".encode()).digest()


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()

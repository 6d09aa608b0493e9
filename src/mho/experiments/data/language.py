"""What an experiment on language learns from: labelled texts, or one long row of words."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

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

    def first(self, count: int | None) -> Labelled:
        """The first so many; all of them for None."""
        return Labelled(self.texts[:count], self.labels[:count])


@dataclass(frozen=True)
class Texts:
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

    def limited(
        self, train: int | None = None, validation: int | None = None, test: int | None = None
    ) -> Texts:
        """The same with at most so many texts in each part; None leaves a part whole."""
        return replace(
            self,
            train=self.train.first(train),
            validation=self.validation.first(validation),
            test=self.test.first(test),
        )


class TextSource(ABC):
    """A set of labelled texts by description; a source of your own subclasses this one."""

    @abstractmethod
    def load(self, folder: Path | None = None) -> Texts:
        """Read the texts.

        Args:
            folder: where the published files lie; None for texts that need no files.

        Raises:
            MissingDataError: the texts are not there; the message says what is expected where.
            ValueError: a file is damaged.
        """


@dataclass(frozen=True)
class Words:
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

    def limited(
        self, train: int | None = None, validation: int | None = None, test: int | None = None
    ) -> Words:
        """The same with at most so many words in each part; None leaves a part whole."""
        return replace(
            self, train=self.train[:train], validation=self.validation[:validation], test=self.test[:test]
        )


class WordSource(ABC):
    """A text to be continued word by word, by description; a source of your own subclasses this one."""

    @abstractmethod
    def load(self, folder: Path | None = None) -> Words:
        """Read the text.

        Args:
            folder: where the published files lie; None for a text that needs no files.

        Raises:
            MissingDataError: the text is not there; the message says what is expected where.
            ValueError: a file is damaged.
        """


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

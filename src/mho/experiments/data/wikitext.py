"""WikiText-2, articles of Wikipedia as rows of words, from its published files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field

from mho.config import config
from mho.config.documents import read_text
from mho.experiments.data.arrow import arrow_parts
from mho.experiments.data.base import missing
from mho.experiments.data.language import END, Words, WordSource, numbered

ORIGIN = "https://s3.amazonaws.com/research.metamind.io/wikitext/wikitext-2-v1.zip"
FOLDERS = ("", "wikitext-2")
FILES = ("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens")


@config
class WikiText2(WordSource):
    """Two million words of Wikipedia, 33278 different ones (S. Merity et al., ICLR 2017).

    A line ends with ``<eos>``, as in the published perplexities.

    Attributes:
        vocabulary: number of words that are told apart, ``<unk>`` included; None for all of them, which
            published perplexities need.
    """

    vocabulary: Annotated[int, Field(ge=3)] | None = None

    def load(self, folder: Path | None = None) -> Words:
        """Read the three files of words, or the Arrow files of ``datasets``, in ``folder``."""
        lines, origin = _read(folder)
        parts = [[word for line in part for word in (*line.split(), END)] for part in lines]
        return numbered(parts, self.vocabulary, origin)


def _read(folder: Path | None) -> tuple[list[Iterable[str]], str]:
    for inner in FOLDERS if folder is not None else ():
        paths = [Path(str(folder), inner, name) for name in FILES]
        if all(path.is_file() for path in paths):
            return [_lines(path) for path in paths], f"WikiText-2, {', '.join(FILES)}"
    names = ("train", "validation", "test")
    parts = arrow_parts(folder, names) if folder is not None and folder.is_dir() else None
    if parts is None:
        expected = [
            *FILES,
            "there or in its folder wikitext-2",
            "or the Arrow files of datasets for wikitext/wikitext-2-v1",
        ]
        raise missing("WikiText2", folder, expected, ORIGIN)
    if any("text" not in part.column_names for part in parts):
        raise ValueError(f"--data {folder}: these Arrow files are not WikiText-2: no column 'text'")
    return [list(part["text"]) for part in parts], "WikiText-2, Arrow files"


def _lines(path: Path) -> list[str]:
    lines = read_text(path).split("\n")
    return lines[:-1] if lines[-1] == "" else lines

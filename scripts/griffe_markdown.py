"""Docstrings for the documentation: the habits of Python docstrings as Markdown."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:py:)?[a-z]+:`~?([^`]+)`")  # :func:`f` -> `f`
LITERAL = re.compile(r"::$", re.MULTILINE)  # "thus::" -> "thus:"
EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)  # griffe knows the plural only
DOCTEST = re.compile(r"^(?=>>> )(?:.+\n?)+", re.MULTILINE)  # from >>> to the next empty line
TABLE = re.compile(r"^(=+ [= ]+\n)(?:.+\n)+?\1", re.MULTILINE)  # between two lines of =


class Markdown(griffe.Extension):
    """Rewrites each docstring before mkdocstrings reads it."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring:
            text = LITERAL.sub(":", ROLE.sub(r"`\1`", obj.docstring.value))
            text = EXAMPLE.sub("Examples:", text)
            text = DOCTEST.sub(lambda m: f"```pycon\n{m[0].rstrip()}\n```\n", text)
            obj.docstring.value = TABLE.sub(lambda m: f"```text\n{m[0].rstrip()}\n```\n", text)

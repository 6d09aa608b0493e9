"""English that is on every machine with Python: the language reference, and docstrings of the library."""

from __future__ import annotations

import ast
import inspect
import platform
import re
import sysconfig
import warnings
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from mho.config import config
from mho.experiments.data.base import MissingDataError
from mho.experiments.data.language import (
    END,
    TENTH,
    Texts,
    TextSource,
    Words,
    WordSource,
    balanced,
    numbered,
    shuffled,
)

# Modules by what they are for, roughly the chapters of the library reference. Left out is what some
# systems install separately (tkinter, idlelib, distutils, the test suite).
SUBJECTS: dict[str, str] = {
    "mail": "email mailbox smtplib imaplib poplib mimetypes quopri mailcap nntplib smtpd",
    "web": (
        "http urllib wsgiref xmlrpc webbrowser cgi cgitb html ipaddress ssl socket socketserver ftplib "
        "telnetlib uuid"
    ),
    "concurrency": (
        "asyncio multiprocessing threading concurrent subprocess queue sched selectors asyncore asynchat "
        "signal _threading_local contextvars"
    ),
    "diagnosis": (
        "unittest doctest pdb bdb trace traceback tracemalloc timeit logging warnings profile pstats cProfile"
    ),
    "files": (
        "pathlib tarfile zipfile shutil tempfile gzip bz2 lzma _compression io _pyio os ntpath posixpath "
        "genericpath stat fnmatch glob fileinput filecmp csv pickle shelve dbm sqlite3 plistlib "
        "configparser json tomllib"
    ),
    "numbers": (
        "_pydecimal decimal datetime _pydatetime statistics calendar numbers random fractions heapq bisect "
        "operator colorsys _strptime zoneinfo hashlib hmac secrets"
    ),
    "language": (
        "importlib inspect typing enum dis ast pydoc symtable pickletools types dataclasses abc functools "
        "contextlib collections _collections_abc pyclbr tokenize pkgutil runpy code codeop weakref copy "
        "copyreg modulefinder zipimport reprlib graphlib"
    ),
    "text": (
        "xml codecs re sre_parse sre_compile string textwrap difflib locale gettext optparse "
        "argparse cmd pprint shlex getopt rlcompleter"
    ),
}
FEWEST_WORDS, MOST_WORDS = 5, 60
TELLING = 10  # a shorter paragraph seldom says what it is about
LARGEST = 0.03  # a document with more than this part of the words is only trained on

_WORD = re.compile(r"[a-z_][a-z0-9_]*(?:'[a-z]+)?|[0-9]+|[^\sa-z0-9_]")


@config
class PythonSubjects(TextSource):
    """What is this paragraph about? Docstrings of Python's library, by the subject of their module.

    Eight subjects: mail, web, concurrency, diagnosis, files, numbers, language, text. It needs Python
    alone. The texts differ a little between versions of Python, so a result names its ``origin`` and
    ``digest``. Paragraphs of one module lie in all parts: the task is to know the subjects of modules
    that were seen, not of new ones.

    Attributes:
        seed: names the split.
    """

    seed: int = 0

    def load(self, folder: Path | None = None) -> Texts:
        """Read the docstrings out of Python's library, without importing it.

        Raises:
            ValueError: a folder was given.
        """
        _no_folder(folder)
        homes = {module: subject for subject, names in SUBJECTS.items() for module in names.split()}
        groups: dict[str, list[str]] = {subject: [] for subject in SUBJECTS}
        for name, paragraphs in library().items():
            groups[homes[name.split(".")[0]]] += [p for p in paragraphs if len(p.split()) >= TELLING]
        return balanced(groups, self.seed, f"docstrings of the library of Python {_version()}")


@config
class PythonProse(WordSource):
    """Python's language reference and the docstrings of its library, as one row of words.

    It needs Python alone. Words are in lower case, signs are words, a paragraph ends with ``<eos>``.
    The parts are whole documents: topics and modules. The text differs a little between versions of
    Python, so a result names its ``origin`` and ``digest``.

    Attributes:
        vocabulary: number of words that are told apart, ``<unk>`` included. A perplexity compares only
            with one at the same vocabulary.
        seed: names the split.
    """

    vocabulary: Annotated[int, Field(ge=3)] = 4000
    seed: int = 0

    def load(self, folder: Path | None = None) -> Words:
        """Read the text out of Python's library, without importing it.

        Raises:
            ValueError: a folder was given.
        """
        _no_folder(folder)
        seen: set[str] = set()
        documents: dict[str, list[str]] = {}
        for name, paragraphs in {**reference(), **library()}.items():
            fresh = [p for p in dict.fromkeys(paragraphs) if p.casefold() not in seen]
            seen.update(p.casefold() for p in fresh)
            documents[name] = [word for p in fresh for word in (*split_words(p), END)]
        return numbered(
            self._parts(documents), self.vocabulary, f"reference and docstrings of Python {_version()}"
        )

    def _parts(self, documents: Mapping[str, list[str]]) -> list[list[str]]:
        """Words of the training, validation and test part: a tenth for each of the last two."""
        total = sum(len(words) for words in documents.values())
        parts: list[list[str]] = [[], [], []]
        for name in sorted(documents, key=lambda name: shuffled(self.seed, name)):
            words = documents[name]
            small = len(words) <= LARGEST * total
            part = next((k for k in (2, 1) if small and len(parts[k]) < total // TENTH), 0)
            parts[part] += words
        return parts


def split_words(text: str) -> list[str]:
    """Words, numbers and signs of a text, in lower case.

    Example:
        >>> split_words("Don't open 12 files (or None).")
        ["don't", 'open', '12', 'files', '(', 'or', 'none', ')', '.']
    """
    return _WORD.findall(text.lower())


def reference() -> dict[str, list[str]]:
    """Paragraphs of plain English in Python's language reference, by topic.

    Raises:
        MissingDataError: this Python comes without it.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise MissingDataError(
            "this Python comes without its language reference (pydoc_data.topics); use a whole Python"
        ) from None
    return {f"topic {name}": list(prose(topics[name])) for name in sorted(topics)}


def library() -> dict[str, list[str]]:
    """Paragraphs of plain English in the docstrings of Python's library, by module.

    The sources are parsed, not run: nothing is imported, and ``python -OO`` has the docstrings too.

    Raises:
        MissingDataError: this Python comes without the sources of its library.
    """
    root = Path(sysconfig.get_path("stdlib"))
    found = _library(root)
    if not any(found.values()):
        raise MissingDataError(f"{root}: this Python comes without the sources of its library")
    return dict(found)


@lru_cache(maxsize=1)
def _library(root: Path) -> dict[str, list[str]]:
    found = {}
    for top in sorted(name for names in SUBJECTS.values() for name in names.split()):
        for path in (root / f"{top}.py", *sorted((root / top).rglob("*.py"))):
            parts = path.relative_to(root).with_suffix("").parts
            if path.is_file() and not {"test", "tests"}.intersection(parts):
                found[".".join(parts)] = [p for text in _docstrings(path) for p in prose(text)]
    return found


def prose(text: str) -> Iterator[str]:
    r"""Paragraphs of plain English, each on one line; code, tables and signatures are left out.

    Example:
        >>> list(prose("Open a file and return it to you.\n\n   >>> open(1)\n\nx -> y"))
        ['Open a file and return it to you.']
    """
    for paragraph in re.split(r"\n[ \t]*\n", inspect.cleandoc(text)):
        line = " ".join(paragraph.replace("’", "'").split())
        words = re.findall(r"(?<![\w.])[A-Za-z][a-z']*(?![\w(])", line)
        if not FEWEST_WORDS <= len(line.split()) <= MOST_WORDS or paragraph[:1].isspace():
            continue
        if (
            line[0].isalpha()
            and len(words) >= 0.7 * len(line.split())
            and not re.search(r">>>|::=|--|==|->", line)
        ):
            yield line


def _docstrings(path: Path) -> Iterator[str]:
    """Docstrings of a module, its classes and its functions, in the order of the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of the library's own regular expressions
        waiting: list[ast.AST] = [ast.parse(path.read_bytes())]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""
            if isinstance(node, ast.Module | ast.ClassDef):
                waiting += node.body


def _no_folder(folder: Path | None) -> None:
    if folder is not None:
        raise ValueError(f"--data {folder}: this text comes with Python; leave --data out")


def _version() -> str:
    return f"{platform.python_version()} ({platform.python_implementation()})"

"""What all commands share: errors as sentences, descriptions by name, files, and the command itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

NEEDS_STUDY = 'the command line needs more packages: pip install "mho[study]"'

try:
    import typer
except ModuleNotFoundError:
    # The console script imports this module before it calls anything: the sentence must come from here.
    raise SystemExit(f"mho: {NEEDS_STUDY}") from None

if TYPE_CHECKING:
    import matplotlib.figure

    from mho.report.page import Page

__all__ = [
    "INTERRUPTED", "chosen", "clean_errors", "draw", "fail", "kept", "named", "need_study", "needs",
    "present", "save_figure", "typer", "write_text", "write_together",
]  # fmt: skip
STUDY_PACKAGES = ("sklearn", "pandas", "matplotlib", "rich", "yaml", "jinja2")
OTHER_EXTRAS = {"ray": "ray", "optuna": "search"}
INTERRUPTED = 130  # exit status of a program that Ctrl-C ended
T = TypeVar("T")


@contextmanager
def clean_errors() -> Iterator[None]:
    """Bad input and missing packages as one sentence, without a traceback."""
    from mho.config.documents import in_words
    from mho.errors import NotMappableError

    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name in OTHER_EXTRAS:
            fail(f'{name} is missing: pip install "mho[{OTHER_EXTRAS[name]}]"')
        if name not in STUDY_PACKAGES:
            raise
        fail(f"{NEEDS_STUDY} ({error.name} is missing)")
    except OSError as error:
        fail(in_words(error))
    except (ValueError, NotMappableError) as error:
        fail(str(error))
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        reason = str(error).partition("\n")[0]
        fail(f"not enough memory ({reason}); choose a smaller model or batch, or compute on another device")


def _out_of_memory(error: RuntimeError | MemoryError) -> bool:
    """Whether memory is full: that of this machine, or of a device, as torch says if it is loaded at all."""
    torch = sys.modules.get("torch")
    full = isinstance(error, MemoryError) or "can't allocate memory" in str(error)
    return full or (torch is not None and isinstance(error, torch.OutOfMemoryError))


def need_study(without: tuple[str, ...] = ()) -> None:
    """Miss a package before an hour of computing, not after it."""
    import importlib

    for name in STUDY_PACKAGES:
        if name not in without:
            importlib.import_module(name)


def fail(sentence: str) -> NoReturn:
    """Say what is wrong on standard error, and end with status 2."""
    typer.echo(f"mho: {sentence}", err=True)
    raise typer.Exit(2)


def chosen(option: str, text: str, base: type) -> Any:
    """The description that an option names, with its defaults."""
    return named(option, text, (base,), str.lower)()


def named(option: str, text: str, bases: tuple[type, ...], shown: Callable[[str], str] = str) -> Any:
    """The class of a description by its name; case, hyphens and underscores do not matter."""
    from mho.config import kinds, unknown_key
    from mho.errors import ConfigError

    known = {shown(cls.__name__): cls for base in bases for cls in kinds(base).values()}
    plain = text.lower().replace("-", "").replace("_", "")
    found = [cls for name, cls in known.items() if name.lower() == plain]
    if not found:
        raise ConfigError(unknown_key(shown(text), list(known), option))
    return found[0]


def needs(cls: Any) -> str:
    """The fields of a description without a default."""
    return ", ".join(f.name for f in fields(cls) if MISSING is f.default is f.default_factory)


def save_figure(figure: matplotlib.figure.Figure, path: Path) -> None:
    """Write a figure, whole or not at all."""
    from mho.config import write_whole

    if path.suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(f"--output {path}: the name of a picture ends in .png, .svg or .pdf")
    write_whole(path, figure.savefig)


def write_text(text: str, path: Path) -> None:
    """Write a page or a table, whole or not at all."""
    from mho.config import write_whole

    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline=""))


@contextmanager
def kept(folder: Path, pieces: str, are: str = "are") -> Iterator[None]:
    """Ctrl-C ends the work on a folder with a sentence about what is kept there."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\nStopped. {pieces} {are} kept in {folder}; the same command goes on from there.")
        raise typer.Exit(INTERRUPTED) from None


def draw(
    folder: Path, figures: Callable[[], Mapping[str, matplotlib.figure.Figure]]
) -> Mapping[str, matplotlib.figure.Figure]:
    """Draw figures into a folder under their names; without matplotlib none, and a word about it."""
    try:
        pictures = figures()
        for name, picture in pictures.items():
            save_figure(picture, folder / name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        typer.echo("matplotlib is missing: the figures are left out, the results are whole", err=True)
        return {}
    return pictures


def write_together(folder: Path, table: str, document: Mapping[str, Any]) -> None:
    """``results.csv`` and ``results.json`` of several studies, in the folder above theirs.

    Args:
        folder: of the run.
        table: text of the table of all.
        document: what ``results.json`` says.
    """
    from mho.config.sealed import checksum_of
    from mho.experiments.harness.study import TABLE
    from mho.experiments.store import RESULTS, document_text

    write_text(table, folder / TABLE)
    write_text(document_text(document, {TABLE: checksum_of(table.encode())}), folder / RESULTS)


def present(
    folder: Path,
    figures: Callable[[], Mapping[str, matplotlib.figure.Figure]],
    page: Callable[[Mapping[str, matplotlib.figure.Figure]], Page],
    told: Iterable[str],
    files: Iterable[str] = ("results.csv", "results.json"),
) -> None:
    """What a study found: figures and their page in the folder, words on the terminal.

    Args:
        folder: of the results.
        figures: draws them, by the name of their file.
        page: of the figures that could be drawn.
        told: the words.
        files: the others of the folder.
    """
    from mho.report.page import render

    pictures, path = draw(folder, figures), folder / "report.html"
    write_text(render(page(pictures)), path)
    for text in told:
        typer.echo(text)
    typer.echo(f"{path}  (also {', '.join([*pictures, *files])})")

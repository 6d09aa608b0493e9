"""The command of any study: its options, its folder, its figures and its page, from its description alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mho.commands.common import kept, present, typer
from mho.commands.options import DATA, ON, OUTPUT, THREADS, WORKERS, Given, Option, command, fields
from mho.config import digest
from mho.experiments.harness import Result, Study, run
from mho.experiments.progress import for_terminal
from mho.report.docstrings import words
from mho.report.study import study_page

WITHOUT = ("sklearn", "yaml", "matplotlib")
RUN = (DATA, OUTPUT, ON, THREADS, WORKERS)


def folder_of(study: Any, *names: str) -> Path:
    """A folder in runs/ of its own for each configuration, the same every time."""
    return Path("runs", f"{'-'.join(names).lower()}-{digest(study):016x}"[:-10])


def carried_out(given: Given, study: Study, folder: Path) -> Result:
    """Run a study, or what an earlier run left of it, as the options of a command say."""
    typer.echo(f"results go to {folder}")
    with kept(folder, f"Finished {study.pieces}"):
        return run(
            study, folder, given.get("data"), progress=for_terminal(), device=given.on,
            threads=given.threads, workers=given.workers,
        )  # fmt: skip


def study_command(app: typer.Typer, kind: type[Study], name: str, usual: Study | None = None) -> None:
    """Add the command of a study to a program: an option for each field that one word can say."""
    started = kind() if usual is None else usual
    own = fields(started)
    reads = kind.load is not Study.load or hasattr(started, "data")
    names = {option.name for option in own} | (set() if reads else {DATA.name})
    shared: Sequence[Option] = [option for option in RUN if option.name not in names]

    def do(given: Given) -> None:
        study = given.study(started)
        folder = given.output if given.output is not None else folder_of(study, name)
        result = carried_out(given, study, folder)
        table = result.table.to_string(index=False, max_rows=40, float_format=lambda v: f"{v:.5g}")
        present(
            folder,
            lambda: study.figures(result.table),
            lambda pictures: study_page(study, result, pictures, given.line),
            [table, *study.findings(result.table)],
        )

    command(app, name, [*own, *shared], do, WITHOUT, doc="\n\n".join(words(kind).paragraphs))


def main(kind: type[Study], given: Sequence[str] | None = None) -> None:
    """The program of one study: what a script calls when it is run.

    Args:
        kind: the study; its defaults stand for what is not given.
        given: the words of the command line; None for those of the program.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    study_command(app, kind, kind.__name__.lower())
    app(given, standalone_mode=given is None)

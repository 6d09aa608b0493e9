"""Run examples/memtorch_tutorial.py as a notebook and keep it with its outputs in docs/.

The example is written in cells (`# %%`), which jupytext reads. The notebook runs in a kernel of its own, in
an empty folder. A test compares the cells of the two.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "memtorch_tutorial.py"
NOTEBOOK = ROOT / "docs" / "memtorch-notebook.ipynb"
ARGUMENTS = """\
import sys

sys.argv = ["memtorch_tutorial.py"]  # as on the command line, without options"""


def cells() -> nbformat.NotebookNode:
    """The notebook without outputs."""
    book = jupytext.read(EXAMPLE, fmt="py:percent")
    first = next(n for n, cell in enumerate(book.cells) if cell.cell_type == "code")
    book.cells.insert(first, nbformat.v4.new_code_cell(ARGUMENTS))
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number}"  # the same in each run
        cell.metadata = {}
    book.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return book


def main() -> None:
    book = cells()
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            book,
            timeout=3600,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    for cell in book.cells:
        cell.metadata = {}
    book.metadata.pop("language_info", None)
    nbformat.write(nbformat.from_dict(book), NOTEBOOK)
    print(NOTEBOOK.relative_to(ROOT), f"{NOTEBOOK.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()

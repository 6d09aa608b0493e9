"""The notebook in the documentation is the example, and it was run."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("jupytext")
nbformat = pytest.importorskip("nbformat")


def test_the_notebook_is_the_example_and_was_run() -> None:
    spec = importlib.util.spec_from_file_location("notebook", ROOT / "scripts" / "notebook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    book = nbformat.read(module.NOTEBOOK, as_version=4)
    nbformat.validate(book)
    wanted = [(cell.cell_type, cell.source) for cell in module.cells().cells]
    assert [(cell.cell_type, cell.source) for cell in book.cells] == wanted, "run make notebook"
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    text = "".join(output.text for output in outputs if output.output_type == "stream")
    assert "no transistors, naive_program" in text and "did you swap them" in text
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 9
    assert module.NOTEBOOK.stat().st_size < 1_000_000

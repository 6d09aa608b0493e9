"""What SECURITY.md says, held against the code."""

from __future__ import annotations

import ast
import io
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import mho
from mho.config import documents, from_dict, parse_json
from mho.config.sealed import DamagedFileError, load_tensors
from mho.errors import ConfigError
from mho.experiments import plan
from mho.experiments.data import archives
from mho.experiments.fitting import Schedule
from mho.experiments.store import Log, Store
from mho.experiments.worker import run_cell
from mho.report.page import Page, PageTable, render
from mho.training import checkpoint

SOURCES = Path(mho.__file__).parent
SAID = Path(__file__).parents[1] / "SECURITY.md"
STUDY = Schedule(epochs=1, learning_rate=0.1)


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Each call in the source of mho: the file, the name that is called, the call."""
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path.relative_to(SOURCES).as_posix(), ast.unparse(node.func), node


CALLS = list(calls())
RUNS = re.compile(
    r"(eval|exec|__import__|compile|(pickle|_pickle|dill|joblib|marshal|shelve)\.\w+|(np|numpy)\.(load|fromfile)"
    r"|torch\.(jit\.load|hub\.\w+|package\.\w+)|os\.(system|popen|exec\w*)|yaml\.(load|unsafe_load|full_load\w*)"
    r"|pd\.read_pickle|tar\.(extract|extractall)|run_path|(importlib\.)?import_module|resolve_name|subprocess\.\w+)$"
)
ALLOWED = {
    ("compat/crosssim/simulator/algorithms/dnn/torch/profile.py", "pickle.dumps"),  # written, never read
    ("config/documents.py", "yaml.load"),  # with a loader of plain values
    (
        "devices/dynamics/symbols.py",
        "exec",
    ),  # operations of a fixed list on numbers
    ("devices/dynamics/symbols.py", "compile"),  # the same
    *(
        (f"conformance/{peer}.py", "np.load") for peer in ("aihwkit", "crosssim", "wires")
    ),  # allow_pickle is off
    *(
        (f"conformance/peers/run_{peer}.py", "np.load")
        for peer in ("aihwkit", "badcrossbar", "crosssim", "lightning")
    ),  # the same
    ("conformance/installed.py", "subprocess.run"),  # simulators that are installed, in their interpreters
    ("experiments/worker.py", "run_path"),  # --allow-imports
    ("experiments/worker.py", "importlib.import_module"),  # the same
    ("experiments/models/bert.py", "import_module"),  # transformers
    ("experiments/data/arrow.py", "import_module"),  # datasets
    ("commands/common.py", "importlib.import_module"),  # packages of the studies, named in the code
    ("experiments/worker.py", "resolve_name"),  # what its own process asks for
    ("experiments/engines.py", "subprocess.Popen"),  # a worker
    ("experiments/data/debian.py", "subprocess.run"),  # apt-cache dumpavail
    ("experiments/real/series.py", "import_module"),  # mnist1d
    ("experiments/real/retrieval.py", "import_module"),  # modules of Python's library, named in the code
    ("experiments/real/speakers.py", "subprocess.run"),  # espeak-ng
}


def test_tensors_are_loaded_as_tensors_alone() -> None:
    loads = [(path, call) for path, name, call in CALLS if name == "torch.load"]
    assert [path for path, _ in loads] == ["config/sealed.py"]
    assert {k.arg: ast.unparse(k.value) for k in loads[0][1].keywords}["weights_only"] == "True"


def test_nothing_else_runs_what_a_file_says() -> None:
    assert {(path, name) for path, name, _ in CALLS if RUNS.match(name)} == ALLOWED
    keywords = {k.arg: ast.unparse(k.value) for _, _, call in CALLS for k in call.keywords}
    assert keywords["local_files_only"] == "True" and "trust_remote_code" not in keywords


class _Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, to: Path) -> None:
        self.to = to

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.to,)


def evil(path: Path, mark: Path, kind: str) -> None:
    """A file that would make ``mark``: a whole archive of torch, or a bare pickle."""
    if kind == "torch":
        torch.save({"study": 1, "state": _Evil(mark), "facts": {}}, path)
    else:
        path.write_bytes(pickle.dumps(_Evil(mark)))


def by_store(path: Path) -> Any:
    with Store(path.parent, STUDY) as store:
        return store.load_network(path.stem)


def by_checkpoint(path: Path) -> Any:
    model = nn.Linear(2, 2)
    return checkpoint.load(path, model, torch.optim.SGD(model.parameters(), lr=0.1), None)


@pytest.mark.parametrize("kind", ["torch", "pickle"])
@pytest.mark.parametrize("read", [load_tensors, by_store, by_checkpoint])
def test_a_pickle_that_runs_something_is_refused(
    read: Callable[[Path], Any], kind: str, tmp_path: Path
) -> None:
    path, mark = tmp_path / "net.pt", tmp_path / "mark"
    evil(path, mark, kind)
    if kind == "torch":
        torch.load(path, weights_only=False)  # it does what it says
        assert mark.exists()
        mark.unlink()
    with pytest.raises(ValueError, match=r"net\.pt"):
        read(path)
    assert not mark.exists()


def test_a_packed_file_of_tensors_is_refused(tmp_path: Path) -> None:
    path, whole = tmp_path / "net.pt", io.BytesIO()
    torch.save({"w": torch.zeros(100_000)}, whole)
    with zipfile.ZipFile(whole) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(DamagedFileError, match=r"net\.pt: .*packed"):
        load_tensors(path)


@pytest.mark.parametrize("kind", ["os.system", "subprocess.Popen", "builtins.exec", "mho.cli"])
def test_a_kind_is_looked_up_and_never_imported(kind: str) -> None:
    with pytest.raises(ConfigError, match=f"mho has no '{kind}'"):
        from_dict(parse_json(f'{{"kind": "{kind}", "args": ["true"]}}'))


@pytest.mark.parametrize("name", ["chips.jsonl", ".lock", ".lock-holder", "workers.log", "cells"])
def test_links_in_a_folder_are_refused_and_not_followed(name: str, tmp_path: Path) -> None:
    mine, folder = tmp_path / "mine", tmp_path / "folder"
    mine.write_text("my own words\n")
    folder.mkdir()
    (folder / name).symlink_to(mine)
    with pytest.raises(ValueError, match=rf"{re.escape(name)}: this is a link"):
        Store(folder, STUDY, Log("chips.jsonl", key=("chip",)))
    assert mine.read_text() == "my own words\n"
    (folder / name).unlink()
    Store(folder, STUDY, Log("chips.jsonl", key=("chip",))).close()


def test_the_trace_of_a_failed_cell_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("my own words\n")
    (tmp_path / "error.txt").symlink_to(tmp_path / "mine")
    assert "error" in run_cell({"imports": ["no_such_module"], "folder": str(tmp_path), "work": "x:y"})
    assert (tmp_path / "mine").read_text() == "my own words\n"
    assert "no_such_module" in (tmp_path / "error.txt").read_text()


def test_a_page_escapes_what_it_shows() -> None:
    table = PageTable("<evil>", ("<evil>",), (("<evil>",),))
    evil = {name: f"<script>{name}</script>" for name in ("title", "lead", "facts", "commands", "software")}
    html = render(
        Page(
            title=evil["title"], lead=[evil["lead"]], facts=[(evil["facts"], "<evil>")], tables=[table],
            configuration={"<evil>": "<evil>"}, commands=[evil["commands"]],
            software={evil["software"]: "<evil>"},
        )
    )  # fmt: skip
    assert all(f"<script>{name}" not in html and f"&lt;script&gt;{name}" in html for name in evil)
    assert "<evil>" not in html
    assert not re.search(r"""(src|href)=["']?(https?:|//)""", html)  # it loads nothing


def test_the_limits_are_those_of_the_code() -> None:
    limit = re.compile(r"^\| (.+?) \| ([\d,]+(?: [MG]B)?) \|", re.MULTILINE)
    rows = dict(limit.findall(SAID.read_text(encoding="utf-8")))
    assert set(rows.values()) == {
        f"{documents.MOST_JSON // 2**20} MB",
        f"{documents.MOST_YAML // 2**20} MB",
        f"{documents.DEEPEST}",
        f"{documents.MOST_VALUES:,}",
        f"{plan.MOST_CELLS:,}",
        f"{archives.MOST // 2**30} GB",
    }
    assert len(rows) == 6


def test_names_in_the_page_are_those_of_files() -> None:
    said = SAID.read_text(encoding="utf-8")
    for name in re.findall(r"`(mho(?:\.\w+)+)`", said):
        home = SOURCES.joinpath(*name.split(".")[1:])
        assert any(p.exists() for p in (home, home.with_suffix(".py"), home.parent.with_suffix(".py"))) or (
            hasattr(mho, name.split(".")[1])
        ), name
    assert os.path.exists(SAID.parent / "docs/trust.md")

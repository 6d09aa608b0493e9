"""The package as a whole: what importing it does, what it exports, what its wheel holds."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import pytest

import mho

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "mho"
HEAVY = (
    "matplotlib",
    "pandas",
    "sklearn",
    "transformers",
    "typer",
    "rich",
    "jinja2",
    "yaml",
    "scipy.sparse.linalg",
    "torch._dynamo",
    "torch._inductor",
)


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a new interpreter whose working, home and temporary folder is ``folder``."""
    home = {name: str(folder) for name in ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, **home, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


STATE = """
import json, sys, torch
def state():
    return (str(torch.get_default_dtype()), torch.get_num_threads(), torch.is_grad_enabled(),
            torch.get_rng_state().tolist(), torch.backends.mkldnn.enabled)
before, loaded = state(), set(sys.modules)
import mho
print(json.dumps({"same": state() == before, "added": sorted(set(sys.modules) - loaded)}))
"""


Imported = tuple[subprocess.CompletedProcess[str], list[Path]]


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """What a process printed that imported mho, and the files that it left."""
    folder = tmp_path_factory.mktemp("home")
    return python(STATE, folder), list(folder.rglob("*"))


def test_import_prints_nothing_and_creates_nothing(imported: Imported) -> None:
    done, files = imported
    assert len(done.stdout.splitlines()) == 1 and done.stdout.startswith('{"same"')
    assert done.stderr == ""
    assert files == []


def test_import_brings_no_heavy_package(imported: Imported) -> None:
    added = json.loads(imported[0].stdout)["added"]
    assert "mho.config" in added
    assert [name for name in added if name.startswith(HEAVY)] == []


def test_import_leaves_torch_as_it_was(imported: Imported) -> None:
    assert json.loads(imported[0].stdout)["same"] is True


def test_public_names_are_few_and_resolve() -> None:
    names = mho.__all__
    assert len(names) == len(set(names)) <= 38
    assert all(hasattr(mho, name) for name in names)
    # What an import statement of __init__ leaves behind is public too: it must be meant.
    public = {name for name in vars(mho) if not name.startswith("_")}
    extra = {n for n in public - set(names) if not isinstance(vars(mho)[n], types.ModuleType)}
    assert extra - {"annotations"} == set()


def test_version_is_that_of_the_metadata() -> None:
    declared = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert declared is not None
    installed = importlib.metadata.version("mho")
    assert installed == declared[1], "the environment is older than pyproject.toml: run `make test`"
    assert getattr(mho, "__version__", installed) == installed
    assert f"## [{declared[1]}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"\nversion: {declared[1]}\n" in (ROOT / "CITATION.cff").read_text()


def test_every_folder_is_a_package() -> None:
    folders = {file.parent for file in SOURCE.rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_every_module_imports() -> None:
    for file in sorted(SOURCE.rglob("*.py")):
        parts = file.relative_to(SOURCE.parent).with_suffix("").parts
        if "keras" in parts and importlib.util.find_spec("keras") is None:
            continue
        importlib.import_module(".".join(p for p in parts if p != "__init__"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.iterdir()
    return built


def test_wheel_is_pure_python(wheel: Path) -> None:
    assert wheel.name == f"mho-{importlib.metadata.version('mho')}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        (info,) = [name for name in archive.namelist() if name.endswith(".dist-info/WHEEL")]
        assert "Root-Is-Purelib: true" in archive.read(info).decode()


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    held = {name for name in names if ".dist-info/" not in name}
    here = {
        file.relative_to(SOURCE.parent).as_posix()
        for file in SOURCE.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert held == here
    assert "mho/py.typed" in held
    about = {name.split(".dist-info/")[1] for name in names - held}
    assert {"licenses/LICENSE", "METADATA", "entry_points.txt"} <= about


def test_wheel_pins_no_torch(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        text = archive.read(metadata).decode()
    needs = re.findall(r"^Requires-Dist: (torch\b.*)$", text, re.MULTILINE)
    assert needs
    assert not [need for need in needs if "==" in need]
    assert "License-Expression: Apache-2.0" in text

"""What holds a tree to another one (digests of what mho computes, times), and imports without circles."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from benchmarks.compare import lines, source, table

SCRIPTS = Path(__file__).parents[1] / "scripts"


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A file of ``scripts/``, which finds its neighbours there."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


# --- digests -------------------------------------------------------------------------------------


def test_one_bit_in_one_place_is_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    digest = script("digest_rows", monkeypatch).digest
    x = torch.linspace(0.1, 1.0, 12).view(3, 4)
    moved = x.clone()
    moved[2, 1] = torch.nextafter(moved[2, 1], torch.tensor(2.0))
    others = [moved, x.view(4, 3), x.double(), x.bfloat16(), -x]
    assert len({digest(v) for v in [x, *others]}) == 6
    assert digest(x.t().contiguous().t()) == digest(x), "strides are no part of a value"
    assert digest(torch.tensor(0.0)) != digest(torch.tensor(-0.0))


def test_combinations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every two parts that may meet do, in a fixed order; names are unique."""
    made = script("digest_rows", monkeypatch)
    rows = made.rows()
    assert rows == made.rows() and len(rows) > 300
    for k, axis in enumerate(made.AXES):
        assert {row[k] for row in rows} == set(axis)
    assert len({(row.device, row.adc) for row in rows}) == len(made.AXES[0]) * len(made.AXES[5])
    assert all(made.allowed(row) for row in rows)


@pytest.mark.filterwarnings("ignore")
def test_a_row_is_recorded_twice_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    made = script("digest_rows", monkeypatch)
    row = next(r for r in made.rows() if r.layer == "Linear" and r.array == "ideal")
    first = made.life(row)
    assert first == made.life(row) and {"aged: conductances", "programmed: gradient of weight"} <= set(first)


OLD = {
    "a": {"output": "float32 2 00 norm 1", "chip": "float32 2 11 norm 2"},
    "b": {"output": "float32 2 22 norm 1"},
    "c": {"output": "float32 2 33 norm 1"},
}


@pytest.mark.parametrize(
    "change, allowed, status, said",
    [
        (lambda d: None, "", 0, "3 equal to the bit"),
        (
            lambda d: d["a"].update(output="float32 2 01 norm 1"),
            "",
            1,
            "output: float32 2, other bits; norm 1",
        ),
        (lambda d: d["a"].update(output="float32 3 01 norm 1"), "", 1, "float32 2 -> float32 3"),
        (
            lambda d: d["a"].update(output="float32 2 00 norm 1.5"),
            "",
            0,
            "3 equal",
        ),
        (lambda d: d["a"].pop("chip"), "", 1, "chip: missing in the new record"),
        (lambda d: d["a"].update(more="float32 2 00 norm 1"), "", 1, "more: only in the new record"),
        (lambda d: d.pop("b"), "", 1, "missing in the new record"),
        (lambda d: d.update(e={}), "", 1, "only in the new record"),
        (lambda d: d["a"].update(failed="ValueError: no"), "", 1, "failed"),
        (lambda d: d.pop("b"), "b: was never sound\n", 0, "1 differ as allowed"),
        (lambda d: d["a"].pop("chip"), "# why\n\na / chip: gone on purpose\n", 0, "1 differ as allowed"),
        (lambda d: d["a"].pop("chip"), "a / output: something else\n", 1, "no difference: a / output"),
        (lambda d: d["a"].pop("chip"), "a*: all of it\n", 0, "1 differ as allowed"),
    ],
)
def test_comparing(change, allowed, status, said, tmp_path, capsys, monkeypatch) -> None:
    digests = script("digests", monkeypatch)
    new = json.loads(json.dumps(OLD))
    change(new)
    for name, held in (("old", OLD), ("new", new)):
        (tmp_path / name).write_text(json.dumps({"environment": {}, "digests": held}))
    (tmp_path / "allowed").write_text(allowed)
    found = digests.compare(tmp_path / "old", tmp_path / "new", tmp_path / "allowed")
    text = capsys.readouterr().out
    assert found == status and said in text
    assert "3 combinations" in text or "4 combinations" in text


def test_what_failed_on_both_sides_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    digests = script("digests", monkeypatch)
    broken = {"a": {"failed": "ValueError: no"}}
    assert digests.differences(broken, broken)


def test_an_allowed_difference_has_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "allowed").write_text("a\n")
    with pytest.raises(SystemExit, match="name: reason"):
        script("digests", monkeypatch).read_allowed(tmp_path / "allowed")


# --- times ---------------------------------------------------------------------------------------


def test_two_trees_side_by_side() -> None:
    old = [
        {"small": 20.0, "large": 1.0, "gone": 1.0},
        {"small": 19.0, "large": 1.2},
        {"small": 21.0, "large": 1.0},
    ]
    new = [{"small": 10.0, "large": 1.1}, {"small": 11.0, "large": 1.1}, {"small": 12.0, "large": 1.3}]
    small, large = lines(old, new)
    assert (small.row, small.old, small.new, small.faster) == ("small", 20.0, 11.0, 3)
    assert small.ratio == pytest.approx(0.55) and not small.slower(1.05)
    assert (large.low, large.high) == pytest.approx((1.0, 1.2)) and large.faster == 1
    assert not large.slower(1.05), "the old tree is as far from itself"
    assert large._replace(high=1.02).slower(1.05)
    assert "-45.0%" in table([small, large], 3, 1.05) and "SLOWER" not in table([small, large], 3, 1.05)


def test_a_tree_has_a_source(tmp_path: Path) -> None:
    assert source(SCRIPTS.parent) == SCRIPTS.parent / "src" == source(SCRIPTS.parent / "src")
    with pytest.raises(SystemExit, match="give a checkout"):
        source(tmp_path)


# --- circles of imports --------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five modules: two that need each other's types, two with an import in a function, one that is alone."""
    folder = tmp_path / "housewithcircles"
    folder.mkdir()
    files = {
        "__init__": "",
        "a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from housewithcircles.b import B\n",
        "b": "from housewithcircles.a import A\n",
        "c": "def f():\n    from housewithcircles import d\n",
        "d": "import housewithcircles.c\n",
        "e": "from housewithcircles import a, c\n",
    }
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def circle(*names: str) -> frozenset[str]:
    return frozenset(f"housewithcircles.{name}" for name in names)


def test_circles_are_found(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("grimp")
    found = script("import_circles", monkeypatch).circles("housewithcircles")
    assert set(found) == {circle("a", "b"), circle("c", "d")}
    assert found[circle("c", "d")] == [
        "housewithcircles.c:2 imports housewithcircles.d",
        "housewithcircles.d:1 imports housewithcircles.c",
    ]


def test_the_list_of_circles_may_only_shrink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("grimp")
    made = script("import_circles", monkeypatch)
    found = {circle("a", "b"): ["a:1 imports b", "b:1 imports a"]}
    assert made.problems(found, [circle("a", "b")]) == []
    (new,) = made.problems(found, [])
    assert "a new circle" in new and "b:1 imports a" in new
    smaller, gone = made.problems(found, [circle("a", "b", "c")])
    assert "smaller" in smaller and "take it out" in gone
    (gone,) = made.problems({}, [circle("a", "b")])
    assert "take it out" in gone
    (tmp_path / "known.txt").write_text("# why\n\nx.a x.b\n")
    assert made.read_known(tmp_path / "known.txt") == {frozenset({"x.a", "x.b"})}

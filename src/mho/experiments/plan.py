"""What a sweep runs: one experiment over a grid and a list of fields.

::

    study:
      kind: experiments.ChipStudy          # any experiment; what is not given keeps its default
      chips: 3
    grid:                                  # every combination
      hardware.adc.bits: [4, 6, 8]
      seed: [0, 1]
    list:                                  # each row with every combination of the grid
      - {hardware.tile.rows: 64}
      - {hardware.tile.rows: 128}
    imports: [my_package.my_devices]       # modules with descriptions of your own

Fields are named by their path in the description's JSON. A value may be a whole description with its
``kind``.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mho.config import digest, from_dict, kinds, parse_json, read_plain, to_dict, unknown_key
from mho.errors import ConfigError
from mho.experiments.experiment import experiments
from mho.experiments.worker import import_all

KEYS = ("study", "grid", "list", "imports", "report")
REPORT_KEYS = {
    "metric": "the name of a figure, such as accuracy",
    "cost": "the name of a figure, or null for none",
    "fields": "a list of swept fields, such as [seed]",
}
MOST_CELLS = 100_000
COLUMNS = ("cell", "error")  # of the table of every sweep


@dataclass(frozen=True)
class SweepCell:
    """One experiment of a sweep.

    Attributes:
        number: its place in the table, from 0.
        fields: the swept fields and their values.
        study: the description as plain values; it may turn out to be invalid.
    """

    number: int
    fields: Mapping[str, Any]
    study: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Names the experiment, whatever the sweep: 16 digits."""
        return f"{digest(self.study):016x}"

    @property
    def label(self) -> str:
        """The fields in words."""
        return ", ".join(f"{name.rpartition('.')[2]}={plain(value)}" for name, value in self.fields.items())


@dataclass(frozen=True)
class Plan:
    """A sweep.

    Attributes:
        kind: of the experiment.
        cells: all experiments, in the order of the table.
        imports: modules to import before a description is made.
        report: what the comparison shows: ``metric``, ``cost`` and ``fields``.
    """

    kind: str
    cells: tuple[SweepCell, ...]
    imports: tuple[str, ...] = ()
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fields(self) -> list[str]:
        """The swept fields of all cells."""
        return list(dict.fromkeys(name for cell in self.cells for name in cell.fields))


def read_plan(path: str | Path, allow_imports: bool = False) -> Plan:
    """Read a sweep from a ``.yaml`` or ``.json`` file.

    Args:
        path: the file.
        allow_imports: whether it may name modules to import, which run with your rights.

    Raises:
        ConfigError: an unknown key, experiment or field, a field without values, two equal cells, or modules
            to import that are not allowed.
    """
    document = read_plain(path)
    names = document.get("imports") if isinstance(document, Mapping) else None
    if names and not allow_imports:
        raise ConfigError(
            f"{path}: imports = {names!r}: a module runs with your rights. If you trust this file, say "
            "--allow-imports (in Python read_plan(path, allow_imports=True))"
        )
    try:
        return make_plan(document)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def make_plan(document: Any) -> Plan:
    """The sweep of a document (see the module)."""
    if not isinstance(document, Mapping) or "study" not in document:
        raise ConfigError("a sweep is a mapping with a 'study', and a 'grid' or a 'list'")
    for key in document:
        if key not in KEYS:
            raise ConfigError(unknown_key(str(key), list(KEYS), "a sweep"))
    imports, report = _imports(document.get("imports")), _report(document.get("report"))
    import_all(imports)
    base = _base(document["study"])
    axes = _axes(document.get("grid"))
    cells: dict[str, SweepCell] = {}
    rows = _rows(document.get("list"))
    _refuse_too_many(len(rows), axes)
    for row, values in itertools.product(rows, itertools.product(*axes.values())):
        fields = {**row, **dict(zip(axes, values, strict=True))}
        study = copy.deepcopy(base)
        for name, value in fields.items():
            if name in COLUMNS:
                raise ConfigError(f"{name}: every table has a column of that name; rename the field")
            put(study, name, value)
        cell = SweepCell(len(cells), fields, study)
        known = cells.setdefault(cell.key, cell)
        if known is not cell:
            raise ConfigError(
                f"cells {known.number} and {cell.number} are the same experiment ({cell.label}): "
                "remove a repeated value from the grid or the list"
            )
    return Plan(str(base["kind"]), tuple(cells.values()), imports, report)


def _refuse_too_many(rows: int, axes: Mapping[str, Sequence[Any]]) -> None:
    """Raise ``ConfigError`` before more cells are made than any machine runs."""
    count = rows * math.prod(map(len, axes.values()))
    if count > MOST_CELLS:
        sizes = " x ".join(f"{len(values)} ({name})" for name, values in axes.items())
        listed = f"{rows} (list) x " if rows > 1 else ""
        raise ConfigError(
            f"grid: {listed}{sizes} = {count:,} cells; a sweep has {MOST_CELLS:,} at most: sweep fewer "
            "fields at once, or name the cells you mean in the list"
        )


def _imports(names: Any) -> tuple[str, ...]:
    if names is None:
        return ()
    if not isinstance(names, list) or not all(
        isinstance(name, str) and name.strip(".") and name[0] != "." for name in names
    ):
        raise ConfigError(f"imports = {names!r}: give a list of modules, such as [my_package.my_devices]")
    return tuple(names)


def _report(wanted: Any) -> dict[str, Any]:
    if wanted is None:
        return {}
    if not isinstance(wanted, Mapping):
        raise ConfigError(f"report = {wanted!r}: give what to compare, such as {{metric: accuracy}}")
    for key, value in wanted.items():
        if key not in REPORT_KEYS:
            raise ConfigError(unknown_key(str(key), list(REPORT_KEYS), "report"))
        names = value if key == "fields" else [value]
        known = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if not known and not (key == "cost" and value is None):
            raise ConfigError(f"report.{key} = {value!r}: give {REPORT_KEYS[key]}")
    return dict(wanted)


def _base(study: Any) -> dict[str, Any]:
    """The description of all cells, whole: defaults, and what was given over them."""
    measured = set(experiments())
    known = {kind: cls for kind, cls in kinds().items() if cls in measured}
    if not isinstance(study, Mapping) or "kind" not in study:
        raise ConfigError(f"study needs a 'kind', one of {', '.join(known)}")
    if not isinstance(study["kind"], str) or study["kind"] not in known:
        raise ConfigError(unknown_key(str(study["kind"]), list(known), "study"))
    base: dict[str, Any] = _plain(to_dict(known[study["kind"]]()))
    return merged(base, study, "study")


def merged(base: Mapping[str, Any], given: Mapping[str, Any], path: str) -> dict[str, Any]:
    """``given`` over ``base``; a description of another kind replaces the whole one.

    Raises:
        ConfigError: a key that ``base`` does not have.
    """
    for key in given:
        if key not in base:
            raise ConfigError(unknown_key(str(key), [k for k in base if k != "kind"], path))
    return {**base, **{key: _over(base[key], value, f"{path}.{key}") for key, value in given.items()}}


def _over(old: Any, value: Any, path: str) -> Any:
    """A value in the place of another one; a description of the same kind keeps what is not given."""
    both = isinstance(old, Mapping) and isinstance(value, Mapping)
    if both and value.get("kind", old.get("kind")) == old.get("kind"):
        return merged(old, value, path)
    return _plain(value)


def put(study: dict[str, Any], name: str, value: Any) -> None:
    """Set the field with this path.

    Raises:
        ConfigError: there is no such field.
    """
    parts, here = name.split("."), study
    for number, part in enumerate(parts):
        owner = ".".join(parts[:number]) or str(study["kind"])
        if not isinstance(here, dict):
            raise ConfigError(
                f"{name}: {owner} is {plain(here)}, which has no {part!r}; sweep {owner} itself"
            )
        if part not in here or part == "kind":
            raise ConfigError(unknown_key(part, [k for k in here if k != "kind"], owner))
        above, here = here, here[part]
    above[parts[-1]] = _over(here, value, name)


def _rows(rows: Any) -> list[dict[str, Any]]:
    if rows is None:
        return [{}]
    if not isinstance(rows, list) or not rows or not all(isinstance(row, Mapping) and row for row in rows):
        raise ConfigError("list: give rows of fields, such as [{seed: 1}, {seed: 2}]")
    return [{str(k): v for k, v in row.items()} for row in rows]


def _axes(grid: Any) -> dict[str, list[Any]]:
    if grid is None:
        return {}
    if not isinstance(grid, Mapping):
        raise ConfigError("grid: give fields with lists of values, such as {seed: [0, 1]}")
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ConfigError(f"grid.{name} = {values!r}: give a list of at least one value")
    return {str(k): list(v) for k, v in grid.items()}


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    return parse_json(json.dumps(to_dict(value)))


def plain(value: Any) -> str:
    """A field's value as short text; a description is its kind and what differs from its defaults."""
    if isinstance(value, Mapping) and "kind" in value:
        known = kinds().get(str(value["kind"]))
        try:
            usual = _plain(to_dict(known())) if known is not None else {}
        except ConfigError:
            usual = {}
        own = {k: v for k, v in value.items() if k != "kind" and usual.get(k) != v}
        inside = ", ".join(f"{k}={plain(v)}" for k, v in own.items())
        name = str(value["kind"]).rpartition(".")[2]
        return f"{name}({inside})" if inside else name
    return value if isinstance(value, str) else json.dumps(value)


def description(cell: SweepCell) -> Any:
    """The experiment of a cell; ``ConfigError`` if its values do not hold together."""
    return from_dict(dict(cell.study))

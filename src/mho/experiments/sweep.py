"""A sweep: any experiment over many hardware, training or seed fields.

Each finished cell is a line in ``cells.jsonl`` as soon as it ends, and the table ``results.csv`` is
brought up to date. A run that was stopped or killed goes on with the cells that are not there. A cell
that fails is recorded with its error, and the others go on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mho.config import config, from_dict
from mho.experiments.engines import Engine
from mho.experiments.experiment import Place, measure
from mho.experiments.fitting import checked_threads
from mho.experiments.plan import COLUMNS, Plan, SweepCell, plain
from mho.experiments.progress import Progress
from mho.experiments.store import Log, Store
from mho.experiments.worker import Job, sentence

if TYPE_CHECKING:
    import pandas as pd

LOG = Log("cells.jsonl", key=("cell",), bounds={"metrics": (-math.inf, math.inf), "took": (0, math.inf)})
TABLE, WORKERS_LOG = "results.csv", "workers.log"


@config
class SweepFolder:
    """What a folder of sweeps holds: cells of one kind of experiment.

    Attributes:
        experiment: its kind.
    """

    experiment: str


def run(
    plan: Plan,
    output: Path,
    engine: Engine,
    data: Path | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
    threads: int = 1,
    retry: bool = False,
) -> pd.DataFrame:
    """Run the cells that the folder does not hold yet.

    Args:
        plan: the sweep; it may have grown since an earlier run.
        output: folder for the results; one kind of experiment and one process each.
        engine: where the cells run; no result depends on it.
        data: folder with the files of the data set.
        progress: told after each cell.
        device: the torch device that computes.
        threads: threads of a cell on the CPU.
        retry: run cells again that failed before.

    Returns:
        The table: one row for each cell in the order of the plan, its fields, its figures, its error.

    Raises:
        FolderInUseError: another process works in the folder.
        OtherStudyError: the folder holds cells of another experiment.
        DamagedRecordError: a finished cell is not as it was written.
    """
    progress = progress if progress is not None else Progress()
    with Store(output, SweepFolder(experiment=plan.kind), LOG) as store:
        outcomes = _outcomes(store, [*COLUMNS, *plan.fields], retry)
        todo = [cell for cell in plan.cells if cell.key not in outcomes]
        threads = checked_threads(threads)
        place = {"data": None if data is None else str(data.resolve()), "device": device, "threads": threads}
        jobs = [_job(cell, plan, store.folder) | place for cell in todo]
        stage, failed = progress.stage("cells", len(plan.cells), len(plan.cells) - len(todo)), 0
        with stage as step, closing(engine.run(jobs)) as ended:
            for number, outcome in ended:
                cell = todo[number]
                store.append({"cell": cell.key, "fields": dict(cell.fields), **outcome})
                outcomes[cell.key] = outcome
                failed += "error" in outcome
                _write(plan, outcomes, store)
                step.advance(_detail(cell, outcome, failed))
        return _write(plan, outcomes, store)


def _detail(cell: SweepCell, outcome: Mapping[str, Any], failed: int) -> str:
    told = "failed" if "error" in outcome else _headline(outcome["metrics"])
    return f"{cell.label}: {told}" + (f" ({failed} failed)" if failed else "")


def _headline(metrics: Mapping[str, Any]) -> str:
    name, value = next(iter(metrics.items()))
    return f"{name} {value:.4g}" if value is not None else f"{name} not defined"


def _outcomes(store: Store, taken: Sequence[str], retry: bool) -> dict[str, Any]:
    """Outcome of each cell that is done."""
    found = {record["cell"]: _checked(record, taken) for record in store.records}
    return {key: record for key, record in found.items() if not (retry and "error" in record)}


def _checked(record: Mapping[str, Any], taken: Sequence[str]) -> Mapping[str, Any]:
    """A failed outcome for figures that do not fit into the table of this plan."""
    if "error" in record:
        return record
    try:
        figures(record.get("metrics"), taken)
    except (TypeError, ValueError) as error:
        return {"error": sentence(error)}
    return record


def _job(cell: SweepCell, plan: Plan, output: Path) -> dict[str, Any]:
    return {
        "work": f"{__name__}:cell_done",
        "study": dict(cell.study),
        "folder": str((output / "cells" / cell.key).resolve()),
        "shared": str((output / "shared").resolve()),
        "imports": list(plan.imports),
        "taken": [*COLUMNS, *plan.fields],
    }


def cell_done(job: Job) -> dict[str, Any]:
    """The figures of one cell, in whatever process."""
    data = None if job["data"] is None else Path(job["data"])
    place = Place(Path(job["folder"]), Path(job["shared"]), data, job["device"], job["threads"])
    return {"metrics": figures(measure(from_dict(dict(job["study"])), place), job["taken"])}


def figures(found: Any, taken: Sequence[str]) -> dict[str, float | None]:
    """What an experiment returned as plain numbers; None for what is not defined: JSON has no NaN.

    Args:
        found: figures by name.
        taken: names of other columns of the table.

    Raises:
        TypeError: it is no mapping from names to numbers.
        ValueError: there is no figure, or one has the name of another column.
    """
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        raise TypeError(f"the experiment gave {found!r:.80}: it must return its figures by name, as a dict")
    if not found:
        raise ValueError("the experiment gave no figure: it must return at least one, by name")
    plain: dict[str, float | None] = {}
    for name, value in found.items():
        if name in taken:
            raise ValueError(f"figure {name!r}: the table has a column of that name; give it another one")
        try:
            number = math.nan if value is None else float(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"figure {name!r} = {value!r:.80}: it must be a number ({error})") from None
        plain[name] = number if math.isfinite(number) else None
    return plain


def table_of(plan: Plan, outcomes: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """One row for each cell that has ended."""
    import pandas as pd

    ended = [(cell, outcomes[cell.key]) for cell in plan.cells if cell.key in outcomes]
    metrics = list(dict.fromkeys(name for _, outcome in ended for name in outcome.get("metrics", ())))
    rows = [
        {
            "cell": cell.number,
            **{name: _cell_value(cell.fields.get(name)) for name in plan.fields},
            **dict.fromkeys(metrics, math.nan),
            **{k: math.nan if v is None else v for k, v in outcome.get("metrics", {}).items()},
            "error": outcome.get("error", ""),
        }
        for cell, outcome in ended
    ]
    table: pd.DataFrame = pd.DataFrame(rows, columns=["cell", *plan.fields, *metrics, "error"])
    return table


def _cell_value(value: Any) -> Any:
    """Numbers and text as they are, descriptions and lists as short text."""
    return value if value is None or isinstance(value, (int, float, str)) else plain(value)


def _write(plan: Plan, outcomes: Mapping[str, Mapping[str, Any]], store: Store) -> pd.DataFrame:
    table = table_of(plan, outcomes)
    store.write_text(TABLE, table.to_csv(index=False, lineterminator="\n"))
    return table

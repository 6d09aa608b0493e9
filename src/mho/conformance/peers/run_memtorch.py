"""MemTorch: the currents and states of ``memtorch/*.csv`` again."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

# a model, what differs from its defaults, and amplitude, frequency and samples of a sine; None: the voltages
# of the file
RUNS: dict[str, tuple[str, dict[str, float], tuple[float, float, int] | None]] = {
    "VTEAM_hysteresis": ("VTEAM", {}, (1.0, 50e6, 2001)),
    "VTEAM_bipolar": ("VTEAM", {}, None),
    "Stanford_PKU_hysteresis": ("Stanford_PKU", {}, (1.5, 10.0, 5001)),
    "Data_Driven_hysteresis": ("Data_Driven", {}, (1.5, 10e3, 12_001)),
    "Data_Driven2021_hysteresis_dt1e-8": (
        "Data_Driven2021", {"time_series_resolution": 1e-8}, (1.5, 10e3, 12_001)
    ),
}  # fmt: skip


def run(goldens: Path, out: Path) -> dict[str, str]:
    """Sample by sample, for its objects keep no states of before."""
    import memtorch
    import memtorch.bh.memristor

    (out / "memtorch").mkdir()
    failed = {}
    for name, (kind, named, wave) in RUNS.items():
        path = goldens / "memtorch" / (name + ".csv")
        recorded = np.loadtxt(path, delimiter=",", skiprows=1)
        try:
            model = getattr(memtorch.bh.memristor, kind)(**named)
            table = _run(model, recorded, wave)
        except Exception as error:  # of the simulator, which may raise anything
            failed[f"currents {name}"] = f"{type(error).__name__}: {error}"
            continue
        header = path.read_text().splitlines()[0]
        np.savetxt(
            out / "memtorch" / path.name, table, delimiter=",", header=header, comments="", fmt="%.17g"
        )
    return failed


def _run(model: Any, recorded: Any, wave: tuple[float, float, int] | None) -> Any:
    """Columns as recorded, for the samples of the file that the wave has."""
    index = recorded[:, 0].astype(int)
    volts = recorded[:, 2]
    if wave is not None:
        amplitude, frequency, samples = wave
        step = float(model.time_series_resolution)
        volts = amplitude * np.sin(2 * np.pi * frequency * np.arange(samples) * step)
    kept = index[index < len(volts)]
    volts = volts[: kept[-1] + 1]
    currents = np.asarray(copy.deepcopy(model).simulate(volts, return_current=True), dtype=float)
    states = []
    for sample in range(len(volts)):
        model.simulate(volts[sample : sample + 1])
        states.append(_state(model))
    made = recorded[: len(kept)].copy()
    made[:, 2], made[:, 3], made[:, 5] = volts[kept], currents[kept], np.array(states)[kept]
    return made


def _state(model: Any) -> float:
    """The state of a cell: a gap, a length, or the resistance that a cell without either has."""
    for name in ("gap", "x"):
        if hasattr(model, name):
            return float(getattr(model, name))
    return 1.0 / float(model.g)


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]))))  # noqa: T201

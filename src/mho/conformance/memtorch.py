"""Device models of MemTorch 1.1.6: the current of each sample under a waveform."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mho.compat.memtorch.bh.memristor import VTEAM, Data_Driven, Data_Driven2021, Stanford_PKU
from mho.conformance.rows import Row, compared

PEER = "MemTorch 1.1.6"
_RUNS: dict[str, tuple[Any, dict[str, Any], tuple[float, float, int] | None]] = {
    "VTEAM_hysteresis": (VTEAM, {}, (1.0, 50e6, 2001)),
    "VTEAM_bipolar": (VTEAM, {}, None),
    "Stanford_PKU_hysteresis": (Stanford_PKU, {}, (1.5, 10.0, 5001)),
    "Data_Driven_hysteresis": (Data_Driven, {}, (1.5, 10e3, 12_001)),
    "Data_Driven2021_hysteresis_dt1e-8": (
        Data_Driven2021, {"time_series_resolution": 1e-8}, (1.5, 10e3, 12_001)
    ),
}  # fmt: skip


def rows(folder: Path, peer: str = PEER) -> Iterator[Row]:
    """The largest error of a current, relative to the largest current, and of the last state likewise."""
    for name, (kind, named, wave) in _RUNS.items():
        path = folder / "memtorch" / f"{name}.csv"
        if not path.is_file():
            continue
        table = np.loadtxt(path, delimiter=",", skiprows=1).T
        index, _, volts, amperes, _, states = table
        index, cell = index.astype(int), kind(**named)
        signal = volts if wave is None else _sine(cell, *wave)
        kept = index < len(signal)
        current = np.asarray(cell.simulate(signal[: index[kept][-1] + 1], return_current=True))
        peak = float(np.abs(amperes).max())
        difference = float(np.abs(current[index[kept]] - amperes[kept]).max()) / peak
        state = float(cell.state)
        last = abs(state - float(states[kept][-1])) / float(np.abs(states).max())
        yield compared(f"currents {name}", peer, peak, float(np.abs(current).max()), difference, 2e-6)
        yield compared(f"last state {name}", peer, float(states[kept][-1]), state, last, 1e-6)


def _sine(cell: Any, amplitude: float, frequency: float, samples: int) -> Any:
    time = np.arange(samples) * cell.time_series_resolution
    return amplitude * np.sin(2 * np.pi * frequency * time)

"""Crossbars with line resistance: badcrossbar 1.1.0 and ngspice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from mho.array import Wires
from mho.conformance.rows import Row, compared

TOLERANCE = 1e-9


def rows(folder: Path) -> Iterator[Row]:
    """The currents of every crossbar, relative to the largest."""
    golden = np.load(folder / "irdrop" / "crossbars.npz")
    for case in sorted(name.removeprefix("Geff_") for name in golden.files if name.startswith("Geff_")):
        size, row, column = case.split("_")
        g = torch.from_numpy(golden[f"G_{size}"])
        held = Wires(row=float(row[2:]), column=float(column[2:])).effective_conductance(g)
        ours = (torch.from_numpy(golden[f"V_{size}"]).T @ held).numpy()
        for peer, key in (("badcrossbar 1.1.0", "I_badcrossbar"), ("ngspice", "I_ngspice")):
            theirs = golden[f"{key}_{case}"]
            peak = float(np.abs(theirs).max())
            difference = float(np.abs(ours - theirs).max()) / peak
            yield compared(f"currents {case}", peer, peak, float(np.abs(ours).max()), difference, TOLERANCE)

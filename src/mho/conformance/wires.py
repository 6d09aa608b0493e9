"""Crossbars with line resistance: badcrossbar 1.1.0 and ngspice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from mho.array import Wires
from mho.conformance.rows import Row, compared

TOLERANCE = 1e-9
PEERS = {"I_badcrossbar_": "badcrossbar 1.1.0", "I_ngspice_": "ngspice"}


def rows(folder: Path, peers: Mapping[str, str] = PEERS) -> Iterator[Row]:
    """The currents of every crossbar, relative to the largest.

    Args:
        peers: what the rows call the programs, by the beginning of the names of their currents.
    """
    golden = np.load(folder / "irdrop" / "crossbars.npz")
    named = [(key, name) for key in peers for name in golden.files if name.startswith(key)]
    for case in sorted({name.removeprefix(key) for key, name in named}):
        size, row, column = case.split("_")
        g = torch.from_numpy(golden[f"G_{size}"])
        held = Wires(row=float(row[2:]), column=float(column[2:])).effective_conductance(g)
        ours = (torch.from_numpy(golden[f"V_{size}"]).T @ held).numpy()
        for key, peer in peers.items():
            theirs = golden[f"{key}{case}"]
            peak = float(np.abs(theirs).max())
            difference = float(np.abs(ours - theirs).max()) / peak
            yield compared(f"currents {case}", peer, peak, float(np.abs(ours).max()), difference, TOLERANCE)

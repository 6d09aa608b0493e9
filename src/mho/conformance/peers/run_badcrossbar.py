"""badcrossbar: the currents of ``irdrop/crossbars.npz`` again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np


def run(goldens: Path, out: Path) -> dict[str, str]:
    """Every size and every resistance of the lines."""
    import badcrossbar

    recorded = np.load(goldens / "irdrop/crossbars.npz")
    arrays = {name: recorded[name] for name in recorded.files if name[:2] in ("G_", "V_")}
    failed = {}
    for name in recorded.files:
        if not name.startswith("I_badcrossbar_"):
            continue
        size, row, column = name[len("I_badcrossbar_") :].split("_")
        try:
            solution = badcrossbar.compute(
                recorded["V_" + size],
                1 / recorded["G_" + size],
                r_i_word_line=float(row[2:]),
                r_i_bit_line=float(column[2:]),
            )
            arrays[name] = np.asarray(solution.currents.output)
        except Exception as error:  # of the simulator, which may raise anything
            failed["currents " + name[len("I_badcrossbar_") :]] = f"{type(error).__name__}: {error}"
    (out / "irdrop").mkdir()
    np.savez(out / "irdrop/crossbars.npz", **arrays)
    return failed


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]))))  # noqa: T201

"""Cells that are a view of others are worked on without a word."""

from __future__ import annotations

import pytest

from ..forks import Ended, run_each

LIVES = {
    "interpolated": """
device = mho.devices.Generic(nu=mho.devices.TableNu(g=(0.0, 25e-6), mean=(0.1, 0.05), std=(0.0, 0.01)))
device.drift_state(g, eps)
""",
    "jumps": """
cdf = ((0.0, 0.3, 1.0), (0.1, 0.4, 0.9), (0.3, 0.8, 1.0))
device = mho.devices.JumpCell(up=mho.devices.Jumps(g=(1e-6, 5e-6, 2e-5), change=(-1e-6, 0.0, 2e-6), cdf=cdf))
device.programmed(g, eps)
""",
    "levels": """
from mho.mapping.level_sets import EvenLevels, nearest, table
nearest(eps, table(EvenLevels(count=3), torch.float32))
""",
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    start = "import mho, torch\ng, eps = torch.full((5, 3), 1e-5).t(), torch.randn(5, 3).t()\n"
    programs = {name: start + life for name, life in LIVES.items()}
    return run_each(programs, tmp_path_factory.mktemp("views"), "-W", "error::UserWarning")


@pytest.mark.parametrize("name", LIVES)
def test_no_warning(name: str, ended: dict[str, Ended]) -> None:
    """torch warns of a search for values that do not lie one behind the other, once in a process."""
    assert ended[name].status == 0, ended[name].err

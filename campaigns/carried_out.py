"""One campaign from beginning to end."""

from __future__ import annotations

import functools
import gc
import importlib
from collections.abc import Callable
from types import ModuleType

from campaigns.forks import each
from campaigns.outcomes import Outcome, Setting, Tally

CAMPAIGNS = ("crash", "damage", "documents", "chips", "company")
# What commands import when they need it: once, and not in each fork.
_NEEDED = (
    "mho.cli", "pandas", "scipy.stats", "sklearn.datasets", "yaml", "jinja2", "rich.progress", "optuna",
    "matplotlib.figure", "matplotlib.backends.backend_agg", "torch._dynamo",
)  # fmt: skip
Told = Callable[[int, int, int], None]


def ready() -> None:
    """Import everything, before anything is forked."""
    import torch

    torch.set_num_threads(1)
    for name in _NEEDED:
        importlib.import_module(name)


def carried_out(
    name: str, setting: Setting, told: Told, failed: Callable[[str, Outcome], object] = lambda *_: None
) -> Tally:
    """Try the cases of a campaign.

    Args:
        name: of the campaign.
        setting: of all its cases.
        told: hears how many are done, of how many, and how many of them failed.
        failed: hears of each failure.
    """
    campaign = importlib.import_module(f"campaigns.{name}")
    cases = [case for case in campaign.cases(setting) if case.startswith(setting.only)]
    gc.collect()
    gc.freeze()  # a fork that collects would copy all that it looks at
    if setting.only in cases:
        cases = [setting.only]
    tally = Tally()
    told(0, len(cases), 0)
    tried: Callable[[str], Outcome] = functools.partial(_tried, campaign, setting)
    results = each(cases, tried, setting.work, campaign.LIMIT, campaign.CHUNK)
    for done, (case, outcome) in enumerate(results, 1):
        tally.add(case, outcome)
        if not outcome.good:
            failed(case, outcome)
        told(done, len(cases), len(tally.failures))
    return tally


def _tried(campaign: ModuleType, setting: Setting, case: str) -> Outcome:
    outcome: Outcome = campaign.tried(setting, case)
    return outcome

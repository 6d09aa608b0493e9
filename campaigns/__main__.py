"""``python -m campaigns``: crash, damage, documents, chips and company, or those that are named.

The seed is the first thing that is said; with it and with the name of a case (``--only``) a failure comes
again. The exit status is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shlex
import sys
import tempfile
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # a framework that is imported says nothing

from campaigns.carried_out import CAMPAIGNS, Told, carried_out, ready  # noqa: E402
from campaigns.outcomes import Outcome, Setting, table  # noqa: E402


def main() -> int:
    """Run what the command line says."""
    options = _options()
    print(f"seed {options.seed}", flush=True)
    ready()
    tallies, failed = [], False
    for name in options.names or CAMPAIGNS:
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"mho-{name}-", ignore_cleanup_errors=True) as folder:
            setting = Setting(options.seed, options.quick, Path(folder), options.handful, options.only)
            tally = carried_out(
                name,
                setting,
                _progress(name, sys.stderr.isatty()),
                lambda *found, name=name: print(_failure(name, *found, options), flush=True),
            )
        print(f"{name}: {tally.total.total()} cases in {time.monotonic() - start:.0f} s", flush=True)
        if options.verbose:
            print("\n".join(f"  {count:>6}  {what}" for what, count in tally.names.most_common()))
        tallies.append((name, tally))
        failed |= bool(tally.failures)
    print(table(tallies))
    return int(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m campaigns", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"among {', '.join(CAMPAIGNS)}; all if none")
    parser.add_argument("--quick", action="store_true", help="a part of the cases: minutes")
    parser.add_argument("--handful", action="store_true", help="a few cases, which show that it works")
    parser.add_argument("--seed", type=int, help="of all that is drawn; a fresh one if not given")
    parser.add_argument(
        "--only", metavar="CASE", default="", help="one case, by its name or the beginning of it"
    )
    parser.add_argument("--verbose", action="store_true", help="list what was said about what was refused")
    options = parser.parse_args()
    wrong = [name for name in options.names if name not in CAMPAIGNS]
    if wrong:
        parser.error(f"there is no campaign {wrong[0]!r}; choose among {', '.join(CAMPAIGNS)}")
    if options.seed is None:
        options.seed = secrets.randbelow(1_000_000)
    return options


def _progress(name: str, terminal: bool) -> Told:
    """A bar on a terminal, a line at each tenth elsewhere."""

    def told(done: int, total: int, failed: int) -> None:
        text = f"{name}: {done}/{total}" + (f", {failed} failed" if failed else "")
        if terminal:
            bar = "#" * (30 * done // max(total, 1))
            print(f"\r{bar:<30} {text}", end="\n" if done == total else "", file=sys.stderr, flush=True)
        elif done == total or 10 * done // total > 10 * (done - 1) // total:
            print(text, file=sys.stderr, flush=True)

    return told


def _failure(name: str, case: str, outcome: Outcome, options: argparse.Namespace) -> str:
    words = ["python", "-m", "campaigns", name, "--seed", str(options.seed)]
    words += ["--quick"] * options.quick + ["--handful"] * options.handful + ["--only", case]
    detail = "\n".join(f"    {line}" for line in outcome.detail.strip().splitlines()[-12:])
    return f"FAILED {case}: {outcome.how}\n{detail}\n    again: {shlex.join(words)}"


if __name__ == "__main__":
    sys.exit(main())

"""Other simulators themselves, where they are installed: they make their numbers again, now."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mho.config import parse_json
from mho.conformance import aihwkit, crosssim, memtorch, peers, wires
from mho.conformance.faults import FAULTS
from mho.conformance.peers.probe import SIMULATORS
from mho.conformance.rows import Row, Verdict, goldens

_SCRIPTS = Path(peers.__file__).parent
_PARTS: dict[str, tuple[str, Callable[[Path, str], Iterable[Row]]]] = {
    "aihwkit": ("run_aihwkit.py", lambda folder, label: aihwkit.rows(folder, aihwkit=label)),
    "aihwkit-lightning": ("run_lightning.py", lambda folder, label: aihwkit.rows(folder, lightning=label)),
    "CrossSim": ("run_crosssim.py", crosssim.rows),
    "MemTorch": ("run_memtorch.py", memtorch.rows),
    "badcrossbar": (
        "run_badcrossbar.py",
        lambda folder, label: wires.rows(folder, {"I_badcrossbar_": label}),
    ),
}


@dataclass(frozen=True)
class Peer:
    """A simulator that is there.

    Attributes:
        name: as its authors call it.
        version: that is installed.
        python: the interpreter that can import it.
    """

    name: str
    version: str
    python: str

    @property
    def label(self) -> str:
        """What its rows call it."""
        return f"{self.name} {self.version}, installed"


def find_peers(pythons: Sequence[str | os.PathLike[str]] = ()) -> list[Peer]:
    """The simulators that this interpreter or one of the given ones can import.

    Args:
        pythons: other interpreters, of virtual environments that hold what does not go with the rest. Each
            simulator is taken from the first that has it; this interpreter comes last.

    Raises:
        ValueError: one of them is no interpreter.

    >>> [peer.name for peer in find_peers() if peer.name not in SIMULATORS]
    []
    """
    found: dict[str, Peer] = {}
    for python in [*map(str, pythons), sys.executable]:
        try:
            done = _run([python, str(_SCRIPTS / "probe.py")], 120.0)
        except OSError as error:
            raise ValueError(f"{python}: {error.strerror}; give the path of a Python interpreter") from None
        if done.returncode:
            raise ValueError(
                f"{python}: no Python interpreter of 3.8 or later; it said: {_last(done.stderr)}"
            )
        for name, version in parse_json(_last(done.stdout)).items():
            found.setdefault(name, Peer(name, version, python))
    return [found[name] for name in SIMULATORS if name in found]


def peer_rows(peer: Peer, folder: str | os.PathLike[str] | None = None, seconds: float = 3600.0) -> list[Row]:
    """mho beside a simulator that is installed, on the cases of the reference numbers.

    It runs in a process of its own: it may end, or change what it likes.

    Args:
        peer: one of ``find_peers``.
        folder: of the reference numbers, for the cases; None for those of the checkout.
        seconds: after which it is given up.
    """
    script, compare = _PARTS[peer.name]
    with tempfile.TemporaryDirectory() as made:
        try:
            done = _run([peer.python, str(_SCRIPTS / script), str(goldens(folder)), made], seconds)
        except subprocess.TimeoutExpired:
            return [_apart(peer, "all", f"it did not end within {seconds:g} s")]
        if done.returncode:
            said = _last(done.stderr) or f"status {done.returncode}"
            return [_apart(peer, "all", f"it ended with an error: {said}")]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            rows = [*compare(Path(made), peer.label), *_silent(peer, Path(made) / "silent.json")]
        return rows + [_apart(peer, *each) for each in parse_json(_last(done.stdout)).items()]


def _silent(peer: Peer, found: Path) -> Iterator[Row]:
    """A row for each silent error that it was asked about: whether it makes it, and whether mho does."""
    asked = parse_json(found.read_text(encoding="utf-8")) if found.is_file() else {}
    for fault in (fault for fault in FAULTS if fault.case in asked):
        does = asked[fault.case]
        theirs = fault.theirs if does else "not any more"
        why = f"{fault.theirs}, in silence; here {fault.ours}" if does else ""
        if not fault.holds():
            verdict = Verdict.UNEXPLAINED
        else:
            verdict = Verdict.EXPLAINED if does else Verdict.AGREES
        right = "mho" if does else "both"
        yield Row(fault.case, peer.label, theirs, fault.ours, None, None, verdict, right, why)


def _apart(peer: Peer, case: str, why: str) -> Row:
    return Row(case, peer.label, "", "", None, None, Verdict.APART, "both", why)


def _run(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=seconds, env=quiet, check=False
    )


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""

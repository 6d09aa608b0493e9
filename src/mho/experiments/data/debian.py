"""What Debian's packages do, from the lists that apt keeps on the machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from mho.config import config
from mho.experiments.data.base import MissingDataError
from mho.experiments.data.language import Texts, TextSource, balanced

FILE = "dumpavail.txt"
SECTIONS = ("games", "sound", "graphics", "science", "fonts", "net", "math", "web")
FEWEST_WORDS = 4
_COMMAND = ("apt-cache", "dumpavail")


@config
class DebianPackages(TextSource):
    """What is this program for? One-line descriptions of Debian packages, by the section of the archive.

    Eight sections: games, sound, graphics, science, fonts, net, math, web. The texts are those of
    the package lists on the machine (``apt-cache dumpavail``; nothing is fetched) and differ between
    machines, so a result names its ``origin`` and ``digest``. What apt printed elsewhere can be given as
    a file.

    Attributes:
        seed: names the split.
    """

    seed: int = 0

    def load(self, folder: Path | None = None) -> Texts:
        """Ask apt, or read ``dumpavail.txt`` in ``folder``.

        Raises:
            MissingDataError: there is neither apt with package lists, nor the file.
            ValueError: a section has too few packages.
        """
        if folder is None:
            return packages(_ask_apt(), self.seed, "Debian packages, apt-cache dumpavail of this machine")
        path = folder / FILE
        if not path.is_file():
            raise MissingDataError(
                f"--data {folder}: DebianPackages is read from {FILE}, which is not there. Make it on a "
                f"Debian machine with\n  {' '.join(_COMMAND)} > {path}\n"
                "or leave --data out to ask this machine's apt."
            )
        text = path.read_text(encoding="utf-8", errors="replace")
        return packages(text, self.seed, f"Debian packages, {FILE}")


def packages(text: str, seed: int, origin: str) -> Texts:
    """Descriptions by section, out of what ``apt-cache dumpavail`` prints.

    Args:
        text: paragraphs of ``Field: value`` lines, one paragraph for a package.
        seed: names the split.
        origin: where the text comes from.

    Raises:
        ValueError: a section has too few packages.
    """
    groups: dict[str, list[str]] = {section: [] for section in SECTIONS}
    for paragraph in text.split("\n\n"):
        section = _field(paragraph, "Section").rpartition("/")[2]
        if section in groups:
            described = _plain(_field(paragraph, "Description") or _field(paragraph, "Description-en"))
            if len(described.split()) >= FEWEST_WORDS:
                groups[section].append(described)
    return balanced({section: _families(texts) for section, texts in groups.items()}, seed, origin)


def _field(paragraph: str, name: str) -> str:
    found = re.search(rf"^{name}: *(.*)$", paragraph, re.MULTILINE)
    return found.group(1) if found else ""


def _plain(described: str) -> str:
    """Without what tells one package of a family from another: "(data files)", " - documentation"."""
    return re.sub(r"\s+(-+ .*|\([^)]*\))$", "", described).strip()


def _families(texts: Iterable[str]) -> list[str]:
    """One text, the first in the alphabet, for all that begin with the same four words."""
    first: dict[str, str] = {}
    for text in sorted(texts):
        first.setdefault(" ".join(text.casefold().split()[:FEWEST_WORDS]), text)
    return list(first.values())


def _ask_apt() -> str:
    other = f"give --data FOLDER with its output in {FILE}; PythonSubjects needs Python alone"
    if shutil.which(_COMMAND[0]) is None:
        raise MissingDataError(
            f"DebianPackages asks apt, and there is no {_COMMAND[0]} on this machine: {other}"
        )
    done = subprocess.run(_COMMAND, capture_output=True, check=False)
    if done.returncode != 0 or not done.stdout.strip():
        raise MissingDataError(
            f"{' '.join(_COMMAND)} printed no package (exit status {done.returncode}): the lists of this "
            f"machine are empty; run apt-get update, or {other}"
        )
    return done.stdout.decode("utf-8", errors="replace")

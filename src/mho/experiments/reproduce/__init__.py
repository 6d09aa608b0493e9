"""Published results, looked for with small networks: figure, source and tolerance stand before the run.

>>> list(PAPERS)
['xiao-2022', 'mehonic-2019', 'neurosim', 'rasch-2023', 'analognas', 'joshi-2020']
"""

from mho.experiments.reproduce.analognas import AnalogNAS
from mho.experiments.reproduce.base import Bench, Paper
from mho.experiments.reproduce.claims import MET, NOT_MET, UNDECIDED, Claim, Figure, overall
from mho.experiments.reproduce.joshi import Joshi2020
from mho.experiments.reproduce.mehonic import Mehonic2019
from mho.experiments.reproduce.neurosim import NeuroSim
from mho.experiments.reproduce.rasch import Rasch2023
from mho.experiments.reproduce.study import Compared, ReproduceStudy
from mho.experiments.reproduce.words import NextWord
from mho.experiments.reproduce.xiao import Xiao2022

PAPERS: dict[str, Paper] = {
    paper.claim.name: paper
    for paper in (Xiao2022(), Mehonic2019(), NeuroSim(), Rasch2023(), AnalogNAS(), Joshi2020())
}
QUICK: dict[str, Paper] = {
    paper.claim.name: paper
    for paper in (
        Xiao2022(steps=160),
        Mehonic2019(steps=500),
        NeuroSim(steps=200),
        Rasch2023(steps=200, language=NextWord(train=30_000, test=4000)),
        AnalogNAS(steps=160),
        Joshi2020(steps=200),
    )
}

__all__ = [
    "MET", "NOT_MET", "PAPERS", "QUICK", "UNDECIDED", "AnalogNAS", "Bench", "Claim", "Compared", "Figure",
    "Joshi2020", "Mehonic2019", "NeuroSim", "NextWord", "Paper", "Rasch2023", "ReproduceStudy", "Xiao2022",
    "overall",
]  # fmt: skip

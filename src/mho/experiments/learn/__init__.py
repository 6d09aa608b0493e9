"""Learning on the chip: classifiers trained by pulses, and how many states each rule needs.

>>> study = LearnStudy(seeds=3)
>>> len(study.places()), study.settings[0].name
(51, 'SGD')
"""

from mho.experiments.learn.regression import RESIDUAL, RegressionStudy
from mho.experiments.learn.settings import CELLS, RULES, USUAL, Setting, setting, settings
from mho.experiments.learn.study import FLOAT, LearnStudy, summarise

__all__ = [
    "CELLS", "FLOAT", "RESIDUAL", "RULES", "USUAL", "LearnStudy", "RegressionStudy", "Setting", "setting",
    "settings", "summarise",
]  # fmt: skip

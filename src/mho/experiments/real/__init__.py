"""Pretrained networks on tasks whose right answers are known, over a year on chips.

>>> RealStudy(task=Pitch(tones=64)).label
'pitch'
"""

from dataclasses import replace

from mho.experiments.real.base import Exam, RealTask
from mho.experiments.real.digits import HandwrittenDigits
from mho.experiments.real.pitch import Pitch
from mho.experiments.real.retrieval import Retrieval
from mho.experiments.real.series import Series, SeriesCNN, SeriesGRU, SeriesMLP
from mho.experiments.real.speakers import Speakers
from mho.experiments.real.study import CORRECTIONS, RealStudy, summarise

SHORT = replace(Series.training, epochs=10)

TASKS: dict[str, RealTask] = {
    task.title: task
    for task in (
        Pitch(),
        Retrieval(),
        Speakers(),
        HandwrittenDigits(),
        SeriesMLP(),
        SeriesCNN(),
        SeriesGRU(),
    )
}
QUICK: dict[str, RealTask] = {
    task.title: task
    for task in (
        Pitch(tones=64, seen=64),
        Retrieval(pairs=64, seen=32),
        Speakers(voices=6),
        HandwrittenDigits(),
        SeriesMLP(training=SHORT),
        SeriesCNN(training=SHORT),
        SeriesGRU(training=SHORT),
    )
}

__all__ = [
    "CORRECTIONS", "QUICK", "TASKS", "Exam", "HandwrittenDigits", "Pitch", "RealStudy", "RealTask",
    "Retrieval", "Series", "SeriesCNN", "SeriesGRU", "SeriesMLP", "Speakers", "summarise",
]  # fmt: skip

"""Networks that survive a year of drift: images, texts and rows of words, on one kind of chip.

A digital teacher is trained. Two students start from its weights and learn from it for as many steps: one
as it is (plain), one with the hardware in the loop (hardware-aware). Both are programmed on chips, aged
and tested with each correction; beside it stands the idealised protocol, which cannot show a loss.

>>> study = HWAStudy()
>>> study.task.modality, study.hardware.tile.rows, ChipTest().times
('vision', 256, (1.0, 3600.0, 86400.0, 31536000.0))
"""

from mho.experiments.hwa.experiment import HWAExperiment, finished
from mho.experiments.hwa.settings import MODALITIES, study_for
from mho.experiments.hwa.study import (
    GLOBAL,
    ChipTest,
    Course,
    DriftAndClip,
    HWAStudy,
    InTheLoop,
    NoiseAndClip,
    Published,
)
from mho.experiments.hwa.tables import (
    idealised_loss,
    normalised,
    pick,
    recovery,
    status,
    summarise,
)
from mho.experiments.hwa.tasks import Problem, Sequence, Task, Text, Vision
from mho.experiments.networks import MissingNetworkError

__all__ = [
    "GLOBAL", "MODALITIES", "ChipTest", "Course", "DriftAndClip", "HWAExperiment", "HWAStudy",
    "InTheLoop", "MissingNetworkError", "NoiseAndClip", "Problem", "Published", "Sequence", "Task",
    "Text", "Vision", "finished", "idealised_loss", "normalised", "pick", "recovery", "status",
    "study_for", "summarise",
]  # fmt: skip

"""The error budget of a network that is trained once: what each mechanism and each layer costs.

>>> BudgetStudy().base.seconds
86400.0
"""

from __future__ import annotations

from pathlib import Path

import mho
from mho.analysis.budget import Budget
from mho.config import config
from mho.experiments.chips import BATCH_OF_CALIBRATION, ChipStudy, trained
from mho.experiments.fitting import accuracy, limited_threads
from mho.experiments.harness.measuring import Place, measure
from mho.experiments.machine import usable_device
from mho.experiments.progress import Progress, counting


@config
class BudgetStudy:
    """Everything that decides the result.

    Attributes:
        base: the network, its training, and the chips; the budget is made at their age.
    """

    base: ChipStudy = ChipStudy(chips=10, seconds=86_400.0)


def run(
    study: BudgetStudy,
    shared: Path,
    data_folder: Path | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> Budget:
    """Train the network, or find it in ``shared``, and make the budget of its accuracy on test images.

    Args:
        study: the configuration.
        shared: folder of trained networks.
        data_folder: where the files of the data set lie, for data that has files.
        progress: told after each test of a chip.
        device: the torch device that computes.
        threads: threads on the CPU.
    """
    base = study.base
    images = base.data.load(data_folder)
    with limited_threads(threads):
        network = trained(base, images, shared, usable_device(device))
        with counting(progress if progress is not None else Progress(), "tests of chips") as told:
            return mho.budget(
                network,
                base.hardware,
                lambda chip: accuracy(chip, images.test),
                data=images.train.tensors[0].split(BATCH_OF_CALIBRATION),
                seconds=base.seconds,
                compensation=mho.periphery.GlobalDrift() if base.compensated else None,
                chips=base.chips,
                seed=base.seed,
                progress=told,
            )


@measure.register
def _(study: BudgetStudy, place: Place) -> dict[str, float]:
    found = run(study, place.shared, place.data, device=place.device, threads=place.threads)
    figures = {"digital": found.digital, "ideal": found.ideal, "total": found.total.mean}
    for part in found.parts:
        name = f"{part.kind}_{part.name}"
        figures |= {f"{name}_alone": part.alone.mean, f"{name}_without": part.without.mean}
    return {"accuracy": found.ideal - found.total.mean, **figures}

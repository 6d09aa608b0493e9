"""Any experiment of mho as a function from its description to figures: what a sweep runs.

A study (:class:`mho.experiments.harness.Study`) is one. Any other description takes part once a function is
registered for it, in a module that the sweep imports::

    @measure.register
    def _(study: MyStudy, place: Place) -> dict[str, float]: ...

where ``MyStudy`` is a description (:func:`mho.config.config`).
"""

from mho.experiments import (  # noqa: F401 (each registers its own)
    budgets,
    chips,
    cost,
    drift,
    hwa,
    landscape,
    learn,
    quantization,
    real,
    reproduce,
    search,
    wires,
)
from mho.experiments.harness.measuring import Place, experiments, measure

__all__ = ["Place", "experiments", "measure"]

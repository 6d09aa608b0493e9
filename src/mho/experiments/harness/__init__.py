"""What all studies share: a description says what is measured where; running and keeping it is here.

>>> from mho.config import Count, config
>>> @config
... class Halves(Study):
...     depth: Count = 2
...     measured = (Column("value", "V", "what is left"),)
...
...     def places(self):
...         return grid(depth=range(self.depth))
...
...     def measure(self, place, shared):
...         return {"value": 0.5 ** place["depth"]}
>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     run(Halves(), Path(folder)).table["value"].tolist()
[1.0, 0.5]
"""

from pathlib import Path as Path

from mho.experiments.harness.runner import run, run_together
from mho.experiments.harness.study import Column, Result, Study, Work, grid

__all__ = ["Column", "Result", "Study", "Work", "grid", "run", "run_together"]

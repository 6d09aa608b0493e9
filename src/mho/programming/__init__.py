"""Programming: from target conductances to conductances.

:class:`SingleShot` takes the device's own statistics. :class:`WriteVerify` reads each cell, pulses it and
reads again until it is within a tolerance; :class:`CountedPulses` sends as many identical pulses as the law
of a switching model says. :class:`GradientProgramming` reads whole arrays and lowers the error of their
products. What one pulse does is a :class:`Pulse`: :class:`Correction` for statistical devices,
:class:`VoltagePulses` for switching models, :class:`VIPI` for the same with a controlled amplitude,
:class:`JumpPulses` for cells with a table of jumps.
"""

from mho.programming.base import Cell as Cell
from mho.programming.base import Programming as Programming
from mho.programming.base import ProgrammingResult as ProgrammingResult
from mho.programming.base import Site as Site
from mho.programming.base import Summary as Summary
from mho.programming.correction import Correction as Correction
from mho.programming.counted import CountedPulses as CountedPulses
from mho.programming.gradient import GradientProgramming as GradientProgramming
from mho.programming.jumps import JumpPulses as JumpPulses
from mho.programming.pulse import Drive as Drive
from mho.programming.pulse import Driven as Driven
from mho.programming.pulse import Pulse as Pulse
from mho.programming.single_shot import SingleShot as SingleShot
from mho.programming.suited import set_polarity as set_polarity
from mho.programming.suited import suited_pulses as suited_pulses
from mho.programming.vipi import VIPI as VIPI
from mho.programming.voltage import Train as Train
from mho.programming.voltage import VoltagePulses as VoltagePulses
from mho.programming.write_verify import WriteVerify as WriteVerify

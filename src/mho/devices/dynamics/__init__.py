"""Switching models: how the state of a memristor moves under voltage."""

from mho.devices.dynamics.base import SwitchingModel as SwitchingModel
from mho.devices.dynamics.integrate import Adaptive as Adaptive
from mho.devices.dynamics.integrate import Euler as Euler
from mho.devices.dynamics.integrate import Exact as Exact
from mho.devices.dynamics.integrate import Implicit as Implicit
from mho.devices.dynamics.integrate import Method as Method
from mho.devices.dynamics.integrate import StepError as StepError
from mho.devices.dynamics.linear_ion_drift import LinearIonDrift as LinearIonDrift
from mho.devices.dynamics.trace import Trace as Trace
from mho.devices.dynamics.vteam import VTEAM as VTEAM
from mho.devices.dynamics.vteam import ExponentialResistance as ExponentialResistance
from mho.devices.dynamics.vteam import LinearResistance as LinearResistance
from mho.devices.dynamics.waveforms import Waveform as Waveform
from mho.devices.dynamics.waveforms import pulses as pulses
from mho.devices.dynamics.waveforms import sine as sine
from mho.devices.dynamics.waveforms import staircase as staircase
from mho.devices.dynamics.waveforms import triangle as triangle
from mho.devices.dynamics.windows import Biolek as Biolek
from mho.devices.dynamics.windows import Joglekar as Joglekar
from mho.devices.dynamics.windows import Kvatinsky as Kvatinsky
from mho.devices.dynamics.windows import Prodromakis as Prodromakis
from mho.devices.dynamics.windows import Rectangular as Rectangular
from mho.devices.dynamics.windows import Window as Window

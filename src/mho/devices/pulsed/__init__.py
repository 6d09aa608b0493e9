"""Cells that pulses move a step at a time, for training on the chip.

Laws of the step: :class:`ConstantSteps`, :class:`LinearSteps`, :class:`SoftBounds`,
:class:`ExponentialSteps`, :class:`PowerSteps`, :class:`TableSteps`; of a measured table of jumps,
:class:`JumpSteps`, and of any switching model, :class:`SwitchingSteps`. Cells of the literature:
:func:`ReRamES`, :func:`ReRamSB`, :func:`ReRamArrayOM`, :func:`ReRamArrayHfO2`, :func:`Capacitor`,
:func:`EcRam`, :func:`EcRamMO`, :func:`PCM`, :func:`GokmenVlasov`, :func:`Idealized`.
:class:`Pulsed` makes a device of a cell.
"""

from mho.devices.pulsed.base import Parameters as Parameters
from mho.devices.pulsed.base import PulsedCell as PulsedCell
from mho.devices.pulsed.constant import ConstantSteps as ConstantSteps
from mho.devices.pulsed.device import Pulsed as Pulsed
from mho.devices.pulsed.exponential import ExponentialSteps as ExponentialSteps
from mho.devices.pulsed.linear import LinearSteps as LinearSteps
from mho.devices.pulsed.linear import SoftBounds as SoftBounds
from mho.devices.pulsed.measured import JumpSteps as JumpSteps
from mho.devices.pulsed.measured import SwitchingSteps as SwitchingSteps
from mho.devices.pulsed.power import PowerSteps as PowerSteps
from mho.devices.pulsed.presets import PCM as PCM
from mho.devices.pulsed.presets import Capacitor as Capacitor
from mho.devices.pulsed.presets import EcRam as EcRam
from mho.devices.pulsed.presets import EcRamMO as EcRamMO
from mho.devices.pulsed.presets import GokmenVlasov as GokmenVlasov
from mho.devices.pulsed.presets import Idealized as Idealized
from mho.devices.pulsed.presets import ReRamArrayHfO2 as ReRamArrayHfO2
from mho.devices.pulsed.presets import ReRamArrayOM as ReRamArrayOM
from mho.devices.pulsed.presets import ReRamES as ReRamES
from mho.devices.pulsed.presets import ReRamSB as ReRamSB
from mho.devices.pulsed.table import TableSteps as TableSteps

"""Memory cells, one file each.

Devices: :class:`PCM`, :class:`HermesPCM`, :class:`HermesPCMSingle`, :class:`ReRAMWan2022`,
:class:`ReRAMMilo2021`, :class:`ReRAMCMO`, :class:`SONOS`, :class:`NORFlash` are measured ones,
:class:`ChargeSRAM` has the capacitors of a process; :class:`Ideal`, :class:`ConstantDrift`,
:class:`CustomPCM` and :class:`Generic` are for studies and for a device of your own, :class:`Switching`
makes a device of a model of :mod:`mho.devices.dynamics`, :class:`JumpCell` one of a table of jumps.
:func:`fit` makes one of your own from a measurement: :class:`PulseTrain`, :class:`States`,
:class:`JumpTable`, :class:`Fusion`, :class:`Retention`, :class:`Bake`, :class:`Cycling`, :class:`Loop`.

Cells that training moves by pulses: :class:`Pulsed`, with the laws of :mod:`mho.devices.pulsed`.

Parameters that differ from cell to cell: :class:`Varied` with the laws of :func:`Stochastic`.

Effects, devices around a device: :class:`StuckAt`, :class:`FiniteStates`, :class:`OwnBounds`,
:class:`Varied`, :class:`Endurance`, :class:`Worn`, :class:`Drifting`, :class:`RetentionLoss`,
:class:`RetentionFailure`, :class:`Temperature`, :class:`Accelerated`, :class:`ReadDisturb`,
:class:`RandomTelegraphNoise`, :class:`FlickerNoise`, :class:`ThermalNoise`, :class:`ShotNoise`.
"""

from mho.devices import dynamics as dynamics
from mho.devices import pulsed as pulsed
from mho.devices.base import Device as Device
from mho.devices.bias_laws import Bias as Bias
from mho.devices.bias_laws import PolynomialBias as PolynomialBias
from mho.devices.bias_laws import TableBias as TableBias
from mho.devices.bias_laws import Unbiased as Unbiased
from mho.devices.charge_sram import ChargeSRAM as ChargeSRAM
from mho.devices.cmo import ReRAMCMO as ReRAMCMO
from mho.devices.constant_drift import ConstantDrift as ConstantDrift
from mho.devices.custom_pcm import CustomPCM as CustomPCM
from mho.devices.effects import Accelerated as Accelerated
from mho.devices.effects import Drifting as Drifting
from mho.devices.effects import Effect as Effect
from mho.devices.effects import Endurance as Endurance
from mho.devices.effects import Failure as Failure
from mho.devices.effects import FiniteStates as FiniteStates
from mho.devices.effects import FlickerNoise as FlickerNoise
from mho.devices.effects import GradualFailure as GradualFailure
from mho.devices.effects import Logarithmic as Logarithmic
from mho.devices.effects import Measured as Measured
from mho.devices.effects import OwnBounds as OwnBounds
from mho.devices.effects import RandomTelegraphNoise as RandomTelegraphNoise
from mho.devices.effects import ReadDisturb as ReadDisturb
from mho.devices.effects import RetentionFailure as RetentionFailure
from mho.devices.effects import RetentionLoss as RetentionLoss
from mho.devices.effects import ShotNoise as ShotNoise
from mho.devices.effects import StateSet as StateSet
from mho.devices.effects import StuckAt as StuckAt
from mho.devices.effects import SuddenFailure as SuddenFailure
from mho.devices.effects import Temperature as Temperature
from mho.devices.effects import ThermalNoise as ThermalNoise
from mho.devices.effects import UniformG as UniformG
from mho.devices.effects import UniformR as UniformR
from mho.devices.effects import Varied as Varied
from mho.devices.effects import Worn as Worn
from mho.devices.effects import at_stop_voltage as at_stop_voltage
from mho.devices.error_laws import Error as Error
from mho.devices.error_laws import Independent as Independent
from mho.devices.error_laws import Inverse as Inverse
from mho.devices.error_laws import LogNormal as LogNormal
from mho.devices.error_laws import Polynomial as Polynomial
from mho.devices.error_laws import Proportional as Proportional
from mho.devices.error_laws import Table as Table
from mho.devices.error_laws import Uniform as Uniform
from mho.devices.exponents import ConstantNu as ConstantNu
from mho.devices.exponents import Exponent as Exponent
from mho.devices.exponents import JoshiNu as JoshiNu
from mho.devices.exponents import SignedNu as SignedNu
from mho.devices.exponents import TableNu as TableNu
from mho.devices.fitting import Bake as Bake
from mho.devices.fitting import Card as Card
from mho.devices.fitting import Cycling as Cycling
from mho.devices.fitting import Fit as Fit
from mho.devices.fitting import Fusion as Fusion
from mho.devices.fitting import FusionLayer as FusionLayer
from mho.devices.fitting import JumpTable as JumpTable
from mho.devices.fitting import Loop as Loop
from mho.devices.fitting import Measurement as Measurement
from mho.devices.fitting import OutputNoise as OutputNoise
from mho.devices.fitting import PulseTrain as PulseTrain
from mho.devices.fitting import Retention as Retention
from mho.devices.fitting import States as States
from mho.devices.fitting import fit as fit
from mho.devices.fitting import read_fusion as read_fusion
from mho.devices.fitting import read_output_noise as read_output_noise
from mho.devices.generic import Generic as Generic
from mho.devices.hermes import HermesPCM as HermesPCM
from mho.devices.hermes import HermesPCMSingle as HermesPCMSingle
from mho.devices.ideal import Ideal as Ideal
from mho.devices.jumps import JumpCell as JumpCell
from mho.devices.jumps import Jumps as Jumps
from mho.devices.milo import ReRAMMilo2021 as ReRAMMilo2021
from mho.devices.moments import rectified_moments as rectified_moments
from mho.devices.nor_flash import NORFlash as NORFlash
from mho.devices.pcm import PCM as PCM
from mho.devices.phase_change import PhaseChange as PhaseChange
from mho.devices.pulsed import Pulsed as Pulsed
from mho.devices.sonos import SONOS as SONOS
from mho.devices.spread import Spread as Spread
from mho.devices.spread import Stochastic as Stochastic
from mho.devices.switching import Switching as Switching
from mho.devices.torch_distribution import TorchDistribution as TorchDistribution
from mho.devices.wan import ReRAMWan2022 as ReRAMWan2022

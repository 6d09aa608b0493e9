"""A device from your own measurement: :func:`fit` and what it can read."""

from mho.devices.fitting.bake import Bake as Bake
from mho.devices.fitting.base import Estimate as Estimate
from mho.devices.fitting.base import Measurement as Measurement
from mho.devices.fitting.base import Span as Span
from mho.devices.fitting.card import Card as Card
from mho.devices.fitting.card import Fit as Fit
from mho.devices.fitting.card import fit as fit
from mho.devices.fitting.cycling import Cycling as Cycling
from mho.devices.fitting.fusion import Fusion as Fusion
from mho.devices.fitting.fusion import FusionLayer as FusionLayer
from mho.devices.fitting.fusion import read_fusion as read_fusion
from mho.devices.fitting.jumps import JumpTable as JumpTable
from mho.devices.fitting.loop import Loop as Loop
from mho.devices.fitting.output_noise import OutputNoise as OutputNoise
from mho.devices.fitting.output_noise import read_output_noise as read_output_noise
from mho.devices.fitting.pulse_train import PulseTrain as PulseTrain
from mho.devices.fitting.retention import Retention as Retention
from mho.devices.fitting.states import States as States

"""Training with the hardware in the loop: modifiers of the weights, and recipes of them."""

from mho.training.base import Modifier as Modifier
from mho.training.batch_norm import re_estimate_batch_norm as re_estimate_batch_norm
from mho.training.clip import WeightClip as WeightClip
from mho.training.noise import DropConnect as DropConnect
from mho.training.noise import ProgrammingNoise as ProgrammingNoise
from mho.training.noise import WeightNoise as WeightNoise
from mho.training.quantise import AlphaBlending as AlphaBlending
from mho.training.quantise import Annealing as Annealing
from mho.training.quantise import Quantizer as Quantizer
from mho.training.quantise import STEQuantizer as STEQuantizer
from mho.training.quantise import blend as blend
from mho.training.quantise import quantised as quantised
from mho.training.recipe import Recipe as Recipe
from mho.training.recipe import attach as attach
from mho.training.recipe import detach as detach

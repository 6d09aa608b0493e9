"""From weights to conductances: mappings, their scale, and the cut into tiles."""

from mho.mapping.base import Mapping as Mapping
from mho.mapping.base import Readout as Readout
from mho.mapping.bit_slicing import BitSlicing as BitSlicing
from mho.mapping.differential import DifferentialPair as DifferentialPair
from mho.mapping.level_sets import Affine as Affine
from mho.mapping.level_sets import DevicePair as DevicePair
from mho.mapping.level_sets import EvenLevels as EvenLevels
from mho.mapping.level_sets import LevelSet as LevelSet
from mho.mapping.level_sets import LogLevels as LogLevels
from mho.mapping.level_sets import Normalisation as Normalisation
from mho.mapping.level_sets import SingleDevice as SingleDevice
from mho.mapping.level_sets import Symmetric as Symmetric
from mho.mapping.level_sets import measured_states as measured_states
from mho.mapping.level_sets import read_states as read_states
from mho.mapping.offset import Offset as Offset
from mho.mapping.residual import Residual as Residual
from mho.mapping.scale import Fixed as Fixed
from mho.mapping.scale import Maximum as Maximum
from mho.mapping.scale import Percentile as Percentile
from mho.mapping.scale import Scale as Scale
from mho.mapping.significance import SignificancePairs as SignificancePairs
from mho.mapping.tiling import spans as spans
from mho.mapping.tiling import without_bias_rows as without_bias_rows

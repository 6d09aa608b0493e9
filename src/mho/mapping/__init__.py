"""From weights to conductances: mappings, their scale, and the cut into tiles."""

from mho.mapping.base import Mapping as Mapping
from mho.mapping.base import Readout as Readout
from mho.mapping.bit_slicing import BitSlicing as BitSlicing
from mho.mapping.differential import DifferentialPair as DifferentialPair
from mho.mapping.offset import Offset as Offset
from mho.mapping.scale import Fixed as Fixed
from mho.mapping.scale import Maximum as Maximum
from mho.mapping.scale import Percentile as Percentile
from mho.mapping.scale import Scale as Scale
from mho.mapping.significance import SignificancePairs as SignificancePairs
from mho.mapping.tiling import spans as spans

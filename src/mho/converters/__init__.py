"""Digital to analog and back."""

from mho.converters.adc import ADC as ADC
from mho.converters.auto_range import AutoRange as AutoRange
from mho.converters.auto_range import TwosComplement as TwosComplement
from mho.converters.base import ColumnConverter as ColumnConverter
from mho.converters.base import with_bits as with_bits
from mho.converters.circuit import Circuit as Circuit
from mho.converters.dac import DAC as DAC
from mho.converters.flash import Flash as Flash
from mho.converters.grid import Grid as Grid
from mho.converters.grid import Uniform as Uniform
from mho.converters.histogram import Histogram as Histogram
from mho.converters.measured import Measured as Measured
from mho.converters.pipeline import Cyclic as Cyclic
from mho.converters.pipeline import Pipeline as Pipeline
from mho.converters.ramp import Ramp as Ramp
from mho.converters.ranges import Calibrated as Calibrated
from mho.converters.ranges import Dynamic as Dynamic
from mho.converters.ranges import EachSlice as EachSlice
from mho.converters.ranges import Fixed as Fixed
from mho.converters.ranges import Learned as Learned
from mho.converters.ranges import LeastSquares as LeastSquares
from mho.converters.ranges import OnData as OnData
from mho.converters.ranges import Range as Range
from mho.converters.ready import Ready as Ready
from mho.converters.sar import SAR as SAR
from mho.converters.stream import Stream as Stream

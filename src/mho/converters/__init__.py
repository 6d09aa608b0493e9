"""Digital to analog and back."""

from mho.converters.adc import ADC as ADC
from mho.converters.dac import DAC as DAC
from mho.converters.grid import Grid as Grid
from mho.converters.grid import Uniform as Uniform
from mho.converters.histogram import Histogram as Histogram
from mho.converters.ranges import Calibrated as Calibrated
from mho.converters.ranges import Dynamic as Dynamic
from mho.converters.ranges import Fixed as Fixed
from mho.converters.ranges import Learned as Learned
from mho.converters.ranges import Range as Range

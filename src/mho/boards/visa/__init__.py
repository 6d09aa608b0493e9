"""Source-measure units with a switch matrix, over pyvisa: SCPI and TSP."""

from mho.boards.visa.dialects import SCPI as SCPI
from mho.boards.visa.dialects import TSP as TSP
from mho.boards.visa.dialects import Dialect as Dialect
from mho.boards.visa.loopback import Loopback as Loopback
from mho.boards.visa.source_measure import SourceMeasureBoard as SourceMeasureBoard
from mho.boards.visa.source_measure import open_visa as open_visa

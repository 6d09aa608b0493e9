"""Arrays on a bench: boards and instruments behind one interface, with the rules of the bench."""

from mho.boards.base import Answer as Answer
from mho.boards.base import Board as Board
from mho.boards.base import Capabilities as Capabilities
from mho.boards.base import Cells as Cells
from mho.boards.base import Pulses as Pulses
from mho.boards.bench import Bench as Bench
from mho.boards.calibrated import Calibration as Calibration
from mho.boards.errors import BadAnswer as BadAnswer
from mho.boards.errors import BoardError as BoardError
from mho.boards.errors import LostReply as LostReply
from mho.boards.errors import PowerCut as PowerCut
from mho.boards.limits import disturb_voltage as disturb_voltage
from mho.boards.log import Log as Log
from mho.boards.log import read_log as read_log
from mho.boards.replay import Replay as Replay
from mho.boards.simulated import SimulatedBoard as SimulatedBoard
from mho.boards.unreliable import LineFaults as LineFaults
from mho.boards.unreliable import Unreliable as Unreliable
from mho.boards.wiring import Wiring as Wiring
from mho.boards.writing import write as write

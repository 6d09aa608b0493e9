"""What chips cost: energy, time and area of their parts, one technology a file, with sources."""

from mho.costs.base import Floor as Floor
from mho.costs.base import Technology as Technology
from mho.costs.base import Work as Work
from mho.costs.converters import ConverterPrice as ConverterPrice
from mho.costs.converters import Drivers as Drivers
from mho.costs.converters import Survey as Survey
from mho.costs.converters import Tabulated as Tabulated
from mho.costs.converters import Walden as Walden
from mho.costs.digital import Digital as Digital
from mho.costs.generic import GENERIC_22 as GENERIC_22
from mho.costs.generic import GENERIC_32 as GENERIC_32
from mho.costs.hermes import HERMES as HERMES
from mho.costs.hermes import HERMES_FOUR_PHASES as HERMES_FOUR_PHASES
from mho.costs.isaac import ISAAC as ISAAC
from mho.costs.neurram import NEURRAM as NEURRAM
from mho.costs.neurram import NeuRRAM as NeuRRAM
from mho.costs.parts import Chip as Chip
from mho.costs.parts import Part as Part
from mho.costs.puma import PUMA as PUMA
from mho.costs.writing import Writing as Writing

TECHNOLOGIES: dict[str, Technology] = {
    "generic-22nm": GENERIC_22,
    "generic-32nm": GENERIC_32,
    "isaac": ISAAC,
    "puma": PUMA,
    "neurram": NEURRAM,
    "hermes": HERMES,
}

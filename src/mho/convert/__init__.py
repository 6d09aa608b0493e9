"""From a torch model to an analog one and back."""

from mho.convert.conversion import TWINS as TWINS
from mho.convert.conversion import analog_modules as analog_modules
from mho.convert.conversion import convert as convert
from mho.convert.conversion import convertible_modules as convertible_modules
from mho.convert.conversion import inconvertible_modules as inconvertible_modules
from mho.convert.conversion import revert as revert
from mho.convert.report import Report as Report
from mho.convert.report import Row as Row

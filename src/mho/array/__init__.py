"""The wires around the cells."""

from mho.array.base import Array as Array
from mho.array.ideal import Ideal as Ideal

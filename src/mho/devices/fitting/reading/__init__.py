"""A measured file as a grid of cells: bytes, encoding, dialect, heads and units, one module for each step."""

from mho.devices.fitting.reading.grid import Grid as Grid
from mho.devices.fitting.reading.grid import read_grid as read_grid

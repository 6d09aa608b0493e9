"""Contracts of the stages, to certify parts of your own.

Call one of these on a part of your own in your own test-suite; it returns nothing when the part keeps
the contract of its stage and raises an ``AssertionError`` that says what is wrong when it does not:
:func:`check_device` (an effect too), :func:`check_cell` (of training by pulses), :func:`check_mapping`,
:func:`check_programming`, :func:`check_array`,
:func:`check_law` (of nonlinear cells), :func:`check_adc` (a DAC too), :func:`check_range`,
:func:`check_compensation`, :func:`check_cost` (of technologies), :func:`check_board`, :func:`check_layer` and
:func:`check_study`.
:func:`check_visible` checks a whole model: no array in it is bypassed.
"""

from mho.testing.array import check_array as check_array
from mho.testing.array import check_law as check_law
from mho.testing.board import check_board as check_board
from mho.testing.compensation import check_compensation as check_compensation
from mho.testing.converter import check_adc as check_adc
from mho.testing.cost import check_cost as check_cost
from mho.testing.device import check_device as check_device
from mho.testing.layer import check_layer as check_layer
from mho.testing.mapping import check_mapping as check_mapping
from mho.testing.programming import check_programming as check_programming
from mho.testing.pulsed import check_cell as check_cell
from mho.testing.range import check_range as check_range
from mho.testing.study import check_study as check_study
from mho.testing.visible import check_visible as check_visible

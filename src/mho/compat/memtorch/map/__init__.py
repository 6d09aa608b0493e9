"""Routines that bring inputs and weights onto arrays, and correct outputs."""

from mho.compat.memtorch.map import Input as Input
from mho.compat.memtorch.map import Module as Module
from mho.compat.memtorch.map import Parameter as Parameter

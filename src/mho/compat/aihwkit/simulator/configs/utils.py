"""Tables and choices, under the path of older scripts."""

from mho.compat.aihwkit.simulator.parameters import *  # noqa: F403

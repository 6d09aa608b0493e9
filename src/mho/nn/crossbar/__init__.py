"""One array of a layer, and all that belongs to it."""

from mho.nn.crossbar.moving import Crossbar as Crossbar
from mho.nn.crossbar.plain import plain as plain
from mho.nn.crossbar.source import check_bias_rows as check_bias_rows

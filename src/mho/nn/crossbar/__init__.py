"""One array of a layer, and all that belongs to it."""

from mho.nn.crossbar.description import check_bias_rows as check_bias_rows
from mho.nn.crossbar.moving import Crossbar as Crossbar
from mho.nn.crossbar.plain import plain as plain

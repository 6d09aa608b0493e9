"""Memory cells, one file each."""

from mho.devices.base import Device as Device
from mho.devices.ideal import Ideal as Ideal

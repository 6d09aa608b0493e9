"""Chips in files that other programs read too: safetensors, with JSON in their metadata."""

from mho.chip_file.content import ChipFile as ChipFile
from mho.chip_file.content import read as read
from mho.chip_file.verbs import load_chip as load_chip
from mho.chip_file.verbs import save_chip as save_chip

"""Torch layers with CrossSim's interface: ``convert``, ``linear``, ``conv``, ``layer``."""

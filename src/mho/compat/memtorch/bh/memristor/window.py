"""Window functions, by their published formulas; those of MemTorch 1.1.6 do not vanish at the ends."""

from __future__ import annotations

import torch

from mho.devices.dynamics import windows


def Jogelkar(x: float, p: int) -> float:
    """``1 - (2x - 1)^(2p)`` (Joglekar and Wolf, Eur. J. Phys. 30, 661, 2009), under MemTorch's spelling.

    >>> Jogelkar(0.0, 1), Jogelkar(0.5, 1), Jogelkar(1.0, 1)
    (0.0, 1.0, 0.0)
    """
    return _at(windows.Joglekar(p=p), x, 0.0)


def Biolek(voltage: float, x: float, p: int) -> float:
    """``1 - (x - step(-V))^(2p)``: it vanishes at the wall ahead (Biolek, Radioengineering 18, 210, 2009).

    >>> Biolek(1.0, 0.0, 1), Biolek(-1.0, 0.0, 1), Biolek(1.0, 1.0, 1)
    (1.0, 0.0, 0.0)
    """
    return _at(windows.Biolek(p=p), x, voltage)


def Prodromakis(x: float, p: float, j: float) -> float:
    """``j (1 - ((x - 1/2)^2 + 3/4)^p)`` (Prodromakis et al., IEEE Trans. Electron Devices 58, 3099, 2011).

    >>> Prodromakis(0.5, 1.0, 1.0), Prodromakis(0.0, 1.0, 1.0)
    (0.25, 0.0)
    """
    return _at(windows.Prodromakis(p=p, j=j), x, 0.0)


def _at(window: windows.Window, x: float, direction: float) -> float:
    place, way = (torch.tensor(value, dtype=torch.float64) for value in (x, direction))
    return float(window(place, way))

"""A switching cell as a compact model: Verilog-A and SPICE, with the fitted parameters in it.

The state is an internal node whose voltage is the position over its span: ``V(x)`` runs from 0 (on) to 1
(off). A positive voltage from ``p`` to ``n`` raises the resistance, as in ``mho.devices.dynamics.VTEAM``.
"""

from __future__ import annotations

import re

from mho.devices.dynamics.vteam import VTEAM, ExponentialResistance, LinearResistance
from mho.devices.dynamics.windows import Joglekar, Rectangular, Window
from mho.errors import NotMappableError

_NUMBERS = (
    "r_on", "r_off", "x_on", "x_off", "k_on", "k_off", "alpha_on", "alpha_off", "v_on", "v_off", "v_read",
)  # fmt: skip
_ASSIGNED = re.compile(r"(?:parameter real )?\b(\w+)\s*=\s*([-+0-9.eE]+)")


def verilog_a(model: VTEAM, name: str = "memristor") -> str:
    """A Verilog-A module of a VTEAM cell.

    Args:
        model: as it was fitted; without a window or with that of Joglekar.
        name: of the module.

    Raises:
        NotMappableError: another model or window.
        ValueError: ``name`` is no identifier.

    >>> from mho.devices.dynamics import VTEAM
    >>> "parameter real r_off = 1000.0;" in verilog_a(VTEAM())
    True
    """
    _check(model, name)
    parameters = "\n".join(f"  parameter real {key} = {getattr(model, key)!r};" for key in _NUMBERS)
    window = _window(model.window, "min(max(V(x), 0), 1)", "pow")
    return f"""// {_title(model, name)}
`include "disciplines.vams"
module {name}(p, n);
  inout p, n;
  electrical p, n, x;
{parameters}
  parameter real x0 = 0.0;
  real speed, ohms;
  analog begin
    @(initial_step) V(x) <+ x0;
    if (V(p, n) > v_off) speed = k_off * pow(V(p, n) / v_off - 1, alpha_off);
    else if (V(p, n) < v_on) speed = k_on * pow(V(p, n) / v_on - 1, alpha_on);
    else speed = 0;
    speed = speed * {window} / (x_off - x_on);
    if ((V(x) >= 1 && speed > 0) || (V(x) <= 0 && speed < 0)) speed = 0;
    ohms = {_ohms(model, "min(max(V(x), 0), 1)")};
    I(x) <+ ddt(V(x)) - speed;
    I(p, n) <+ V(p, n) / ohms;
  end
endmodule
"""


def spice_card(model: VTEAM, name: str = "memristor") -> str:
    """A SPICE subcircuit of a VTEAM cell, for ngspice; arguments and errors as :func:`verilog_a`.

    >>> from mho.devices.dynamics import VTEAM
    >>> spice_card(VTEAM()).splitlines()[1]
    '.subckt memristor p n params: x0=0.0'
    """
    _check(model, name)
    parameters = "\n".join(f".param {key}={getattr(model, key)!r}" for key in _NUMBERS)
    x = "min(max(v(x),0),1)"
    rise = "k_off*pwr(max(v(p,n)/v_off-1,0),alpha_off)*u(v(p,n))*u(1-v(x))"
    fall = "k_on*pwr(max(v(p,n)/v_on-1,0),alpha_on)*u(-v(p,n))*u(v(x))"
    return f"""* {_title(model, name)}
.subckt {name} p n params: x0=0.0
{parameters}
cx x 0 1 ic={{x0}}
rx x 0 1e12
bx 0 x i=({rise}+{fall})*{_window(model.window, x, "pwr")}/(x_off-x_on)
bm p n i=v(p,n)/({_ohms(model, x)})
.ends {name}
"""


def read_card(text: str) -> VTEAM:
    """The cell that :func:`verilog_a` or :func:`spice_card` wrote: the same parameters.

    The law of the resistance and the window are read from the formulas.

    Raises:
        ValueError: a parameter is missing.
    """
    found = {key: float(value) for key, value in _ASSIGNED.findall(text) if key in _NUMBERS}
    missing = [key for key in _NUMBERS if key not in found]
    if missing:
        raise ValueError(f"no card of a VTEAM cell: {', '.join(missing)} is missing")
    law = ExponentialResistance() if "exp(" in text else LinearResistance()
    order = re.search(r"Joglekar window, p = (\d+)", text)
    window: Window = Rectangular() if order is None else Joglekar(p=int(order[1]))
    return VTEAM(**found, law=law, window=window)


def _check(model: VTEAM, name: str) -> None:
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise ValueError(f"name = {name!r}: give letters, digits and underscores, a letter first")
    if type(model) is not VTEAM:
        raise NotMappableError(
            f"model = {type(model).__name__}(...): a card is of a VTEAM cell; fit one with "
            "mho.devices.Loop(model=VTEAM(), ...)"
        )
    _window(model.window, "x", "pow")


def _title(model: VTEAM, name: str) -> str:
    window = f", Joglekar window, p = {model.window.p}" if isinstance(model.window, Joglekar) else ""
    return f"{name}: VTEAM cell (S. Kvatinsky et al., IEEE TCAS-II 62, 786, 2015){window}, written by mho"


def _ohms(model: VTEAM, x: str) -> str:
    if isinstance(model.law, LinearResistance):
        return f"r_on + (r_off - r_on) * {x}"
    return f"r_on * exp({x} * ln(r_off / r_on))"


def _window(window: Window, x: str, power: str) -> str:
    """The factor of the velocity."""
    if isinstance(window, Rectangular):
        return "1"
    if isinstance(window, Joglekar):
        return f"(1 - {power}(abs(2 * {x} - 1), {2 * window.p}))"
    raise NotMappableError(
        f"window = {window!r}: a card has cells without a window, or with Joglekar's; fit with one of these"
    )

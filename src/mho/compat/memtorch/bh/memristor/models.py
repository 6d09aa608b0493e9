"""MemTorch's models by name: which of mho's they are, and how their parameters translate."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from mho.compat.memtorch.bh.memristor.Memristor import EULER, Memristor, Wave
from mho.compat.memtorch.bh.StochasticParameter import fresh_seed
from mho.devices import dynamics
from mho.devices.dynamics import Joglekar, Method, SwitchingModel
from mho.random import normal


def _floats(values: dict[str, Any]) -> dict[str, Any]:
    """Numbers as floats, polynomials as tuples of them."""
    return {
        name: tuple(float(x) for x in v) if isinstance(v, (list, tuple)) else float(v)
        for name, v in values.items()
    }


class VTEAM(Memristor):
    """``mho.devices.dynamics.VTEAM``; a positive voltage raises the resistance."""

    resolution = 1e-10
    loop = Wave(200e-9, 1.0, 50e6)
    switching = Wave(0.0, 1.5, 50e6)
    defaults: ClassVar[dict[str, Any]] = {
        "r_off": 1000.0, "r_on": 50.0, "d": 3e-9, "k_on": -10.0, "k_off": 5e-4, "alpha_on": 3.0,
        "alpha_off": 1.0, "v_on": -0.2, "v_off": 0.02, "x_on": 0.0, "x_off": 3e-9,
    }  # fmt: skip

    @classmethod
    def translated(cls, values: dict[str, Any], given: frozenset[str]) -> SwitchingModel:
        """``d`` is the way from ``x_on`` to ``x_off``."""
        values = _floats(values)
        d = values.pop("d")
        if "d" in given and "x_off" not in given:
            values["x_off"] = values["x_on"] + d
        elif "d" in given and not math.isclose(d, values["x_off"] - values["x_on"]):
            raise ValueError(f"d = {d!r} and x_off - x_on = {values['x_off'] - values['x_on']!r}: give one")
        return dynamics.VTEAM(**values)


class LinearIonDrift(Memristor):
    """``mho.devices.dynamics.LinearIonDrift`` with thresholds and Joglekar's window.

    A fresh cell has the doped fraction 0.1: at 0, where the window vanishes, it would stay for ever.
    """

    resolution = 1e-4
    loop = Wave(4.0, 5.0, 2.5)
    switching = Wave(0.0, 5.0, 2.5)
    defaults: ClassVar[dict[str, Any]] = {
        "u_v": 1e-14, "d": 10e-9, "r_on": 100.0, "r_off": 16e3, "pos_write_threshold": 0.55,
        "neg_write_threshold": -0.55, "p": 1,
    }  # fmt: skip

    @classmethod
    def translated(cls, values: dict[str, Any], given: frozenset[str]) -> SwitchingModel:
        """Other names; the negative threshold is its magnitude."""
        power, values = int(values["p"]), _floats({k: v for k, v in values.items() if k != "p"})
        return dynamics.LinearIonDrift(
            r_on=values["r_on"],
            r_off=values["r_off"],
            mobility=values["u_v"],
            thickness=values["d"],
            v_set=values["pos_write_threshold"],
            v_reset=-values["neg_write_threshold"],
            window=Joglekar(p=power),
        )


class Stanford_PKU(Memristor):
    """``mho.devices.dynamics.StanfordPKU``; ``model_switch=1`` adds the noise of the velocity."""

    resolution = 1e-4
    loop = Wave(0.5, 1.5, 10.0)
    switching = Wave(0.0, 1.5, 0.05)
    method: ClassVar[Method | None] = EULER
    names: ClassVar[dict[str, str]] = {
        "r_off": "r_off", "r_on": "r_on", "gap_init": "gap_init", "g_0": "x_0", "V_0": "v_0", "I_0": "i_0",
        "read_voltage": "v_read", "T_init": "t_ambient", "R_th": "r_th", "gamma_init": "gamma_0",
        "beta": "beta", "t_ox": "t_ox", "F_min": "f_min", "vel_0": "speed", "E_a": "e_a", "a_0": "a_0",
        "delta_g_init": "delta_gap", "T_crit": "t_crit", "T_smth": "t_smooth",
    }  # fmt: skip
    defaults: ClassVar[dict[str, Any]] = {
        "r_off": 218586.0, "r_on": 542.0, "gap_init": 2e-10, "g_0": 0.25e-9, "V_0": 0.25, "I_0": 1e-3,
        "read_voltage": 0.1, "T_init": 298.0, "R_th": 2.1e3, "gamma_init": 16.0, "beta": 0.8, "t_ox": 12e-9,
        "F_min": 1.4e9, "vel_0": 10.0, "E_a": 0.6, "a_0": 0.25e-9, "delta_g_init": 0.02, "model_switch": 0,
        "T_crit": 450.0, "T_smth": 500.0,
    }  # fmt: skip

    @classmethod
    def translated(cls, values: dict[str, Any], given: frozenset[str]) -> SwitchingModel:
        """Other names."""
        if values["model_switch"] not in (0, 1):
            raise ValueError(f"model_switch = {values['model_switch']!r}: 0 without noise, 1 with noise")
        unused = sorted(given & {"delta_g_init", "T_crit", "T_smth"})
        if unused and not values["model_switch"]:
            raise ValueError(f"{', '.join(unused)}: they belong to model_switch=1, the noise")
        translated = {ours: values[theirs] for theirs, ours in cls.names.items()}
        return dynamics.StanfordPKU(**_floats(translated))

    def noise(self, samples: int) -> Tensor | None:
        """With ``model_switch=1``."""
        if not self.parameters.get("model_switch"):
            return None
        return normal((samples,), fresh_seed(), "memristor").double()


class _DataDriven(Memristor):
    """A state that is the resistance at small voltages, which MemTorch calls 1 / g."""

    reads_after = False
    loop = Wave(1e-3, 1.5, 10e3)
    switching = Wave(0.0, 1.5, 10e3)
    names: ClassVar[dict[str, str]] = {
        "r_off": "r_off", "r_on": "r_on", "A_p": "a_p", "A_n": "a_n", "t_p": "t_p", "t_n": "t_n",
        "r_p": "r_p", "r_n": "r_n", "a_p": "current_p", "a_n": "current_n", "b_p": "b_p", "b_n": "b_n",
    }  # fmt: skip

    @property
    def g(self) -> float:
        """1 / state, siemens: without the ``a sinh(b V)`` of the current."""
        return 1 / float(self.state)

    def set_conductance(self, conductance: float) -> None:
        """Put the cell into the state ``1 / conductance``, ohms."""
        low, high = self.r_on, self.r_off
        if not low * (1 - 1e-9) <= 1 / conductance <= high * (1 + 1e-9):
            raise ValueError(
                f"conductance = {conductance!r} S: a cell has from {1 / high:g} to {1 / low:g} S"
            )
        self.state = torch.tensor(1 / float(conductance), dtype=torch.float64).clamp(low, high)


class Data_Driven(_DataDriven):
    """``mho.devices.dynamics.DataDriven2018``; a positive voltage raises the resistance."""

    resolution = 1e-8
    defaults: ClassVar[dict[str, Any]] = {
        "r_off": 17e3, "r_on": 1280.0, "A_p": 743.47, "A_n": -68012.28374, "t_p": 6.51, "t_n": 0.31645,
        "k_p": 5.11e-4, "k_n": 1.17e-3, "r_p": (16719.0, 0.0), "r_n": (29304.82557, 23692.77225),
        "eta": 1, "a_p": 0.24, "a_n": 0.24, "b_p": 3.0, "b_n": 3.0,
    }  # fmt: skip

    @classmethod
    def translated(cls, values: dict[str, Any], given: frozenset[str]) -> SwitchingModel:
        """Other names."""
        if values["eta"] != 1:
            raise ValueError(f"eta = {values['eta']!r}: only 1 is published; swap the sets p and n instead")
        names = {**cls.names, "k_p": "k_p", "k_n": "k_n"}
        translated = {ours: values[theirs] for theirs, ours in names.items()}
        return dynamics.DataDriven2018(**_floats(translated))


class Data_Driven2021(_DataDriven):
    """``mho.devices.dynamics.DataDriven2021``; a positive voltage lowers the resistance."""

    resolution = 1e-10
    defaults: ClassVar[dict[str, Any]] = {
        "r_off": 3000.0, "r_on": 1600.0, "A_p": 600.10075, "A_n": -34.5988399, "t_p": -0.0212028,
        "t_n": -0.05343997, "r_p": (2699.2336, -672.930205), "r_n": (649.413746, -1474.32358),
        "a_p": 0.32046175, "a_n": 0.32046175, "b_p": 2.71689828, "b_n": 2.71689828,
    }  # fmt: skip

    @classmethod
    def translated(cls, values: dict[str, Any], given: frozenset[str]) -> SwitchingModel:
        """Other names."""
        translated = {ours: values[theirs] for theirs, ours in cls.names.items()}
        return dynamics.DataDriven2021(**_floats(translated))

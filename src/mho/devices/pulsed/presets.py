"""Cells of the literature, fitted by others: the constants that aihwkit 1.2 publishes under these names.

Constants of other cells are those of :class:`~mho.devices.pulsed.PulsedCell`. Conductances are not among
them: they are those of the device that the cell is put around.

>>> import mho
>>> cells = mho.devices.Pulsed(cell=ReRamSB(), device=mho.devices.Ideal(g_min=15e-6, g_max=25e-6))
>>> cells.cell.dw_min
0.002
"""

from __future__ import annotations

from mho.devices.pulsed.constant import ConstantSteps
from mho.devices.pulsed.exponential import ExponentialSteps
from mho.devices.pulsed.linear import LinearSteps, SoftBounds


def GokmenVlasov() -> ConstantSteps:
    """The cell asked for by T. Gokmen and Y. Vlasov, Front. Neurosci. 10, 333 (2016)."""
    return ConstantSteps(dw_min=0.0016, w_max=1.0, w_min=-1.0)


def Idealized() -> ConstantSteps:
    """10,000 states without imbalance, for comparison."""
    return ConstantSteps(dw_min=0.0002, w_max=1.0, w_min=-1.0, up_down_dtod=0.0)


def ReRamES() -> ExponentialSteps:
    """ReRAM with exponential steps: a fit of N. Gong et al., Nat. Commun. 9, 2102 (2018)."""
    return ExponentialSteps(
        dw_min=0.00135, dw_min_dtod=0.2, dw_min_std=5.0, up_down=0.259359, up_down_dtod=0.05,
        w_max=1.0, w_min=-1.0, write_noise_std=75.0,
        A_up=-1.18445, A_down=-0.081404, gamma_up=5.0, gamma_down=5.0, a=-0.5, b=-0.5,
    )  # fmt: skip


def ReRamSB() -> SoftBounds:
    """ReRAM with soft bounds: a looser fit of N. Gong et al., Nat. Commun. 9, 2102 (2018)."""
    return SoftBounds(
        dw_min=0.002, dw_min_std=3.75, mult_noise=False, w_max=1.25, w_max_dtod=0.24, w_min=-0.75,
        w_min_dtod=0.4, write_noise_std=56.0,
    )  # fmt: skip


def ReRamArrayOM() -> SoftBounds:
    """Optimised ReRAM of an array, each cell against a reference: N. Gong et al., IEDM (2022)."""
    return SoftBounds(
        dw_min=0.0949, dw_min_dtod=0.7829, dw_min_dtod_log_normal=True, dw_min_std=0.4158, mult_noise=False,
        w_max=1.0, w_max_dtod=0.3499, w_min=-1.0, w_min_dtod=0.5695, write_noise_std=1.4113,
        reference_std=0.05, subtract_symmetry_point=True, corrupt_devices_range=0.01,
    )  # fmt: skip


def ReRamArrayHfO2() -> SoftBounds:
    """Plain HfO2 ReRAM of an array, each cell against a reference: N. Gong et al., IEDM (2022)."""
    return SoftBounds(
        dw_min=0.4622, dw_min_dtod=0.7125, dw_min_dtod_log_normal=True, dw_min_std=0.2174, mult_noise=False,
        w_max=1.0, w_max_dtod=0.4295, w_min=-1.0, w_min_dtod=0.599, write_noise_std=0.5841,
        reference_std=0.05, subtract_symmetry_point=True, corrupt_devices_range=0.01,
    )  # fmt: skip


def Capacitor() -> LinearSteps:
    """A trench capacitor that leaks: Y. Li et al., VLSI (2018)."""
    return LinearSteps(
        dw_min=0.005, dw_min_dtod=0.1, up_down_dtod=0.06, w_max=1.0, w_max_dtod=0.07, w_min=-1.0,
        w_min_dtod=0.07, gamma_up=0.05, gamma_down=0.05, gamma_up_dtod=0.01, gamma_down_dtod=0.01,
        mult_noise=False, lifetime=1e6, lifetime_dtod=0.3,
    )  # fmt: skip


def EcRam() -> LinearSteps:
    """Electrochemical memory: J. Tang et al., IEDM (2018)."""
    return LinearSteps(
        dw_min=0.002, dw_min_dtod=0.1, w_max=1.1724, w_max_dtod=0.05, w_min=-0.8276, w_min_dtod=0.05,
        gamma_up=0.1153, gamma_down=0.5085,
    )  # fmt: skip


def EcRamMO() -> LinearSteps:
    """Electrochemical memory of metal oxides: S. Kim et al., IEDM (2019)."""
    return LinearSteps(
        dw_min=2.8214e-4, dw_min_dtod=0.1, dw_min_std=2.0, w_max=1.1714, w_max_dtod=0.05, w_min=-0.8286,
        w_min_dtod=0.05, gamma_up=0.4152, gamma_down=0.7342,
    )  # fmt: skip


def PCM() -> ExponentialSteps:
    """Phase-change memory that pulses only crystallise, for pairs (``Pulsed(one_sided=True)``).

    S. R. Nandakumar et al., J. Appl. Phys. 124, 152135 (2018).
    """
    return ExponentialSteps(
        dw_min=0.01, dw_min_dtod=0.2, dw_min_std=0.6, up_down_dtod=0.05, w_max=2.0, w_max_dtod=0.1,
        w_min=0.0, w_min_dtod=0.0, reset=0.01, reset_dtod=0.02,
        A_up=-27.235, A_down=-2.235, gamma_up=2.5, gamma_down=2.5, a=-1.0, b=0.0,
        dw_min_std_add=0.042, dw_min_std_slope=0.108,
    )  # fmt: skip

"""Noise models, converters and compensations of aihwkit: what they were given, nothing computed."""

from __future__ import annotations

from typing import Any


class _Described:
    """Keeps what it was given as attributes."""

    g_max: float
    g_min: float

    def __init__(self, **given: Any) -> None:
        vars(self).update(given)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"

    __hash__ = None  # type: ignore[assignment]


class SinglePairConductanceConverter(_Described):
    """Two cells for each weight; the largest weight of the tile has ``g_max`` microsiemens."""

    def __init__(self, g_max: float | None = None, g_min: float | None = None) -> None:
        super().__init__(g_max=25.0 if g_max is None else g_max, g_min=0.0 if g_min is None else g_min)


class SingleDeviceConductanceConverter(_Described):
    """One cell for each weight, the smallest weight of the tile at ``g_min``."""

    def __init__(self, g_max: float | None = None, g_min: float | None = None) -> None:
        super().__init__(g_max=88.199997 if g_max is None else g_max, g_min=9.0 if g_min is None else g_min)


class NPairConductanceConverter(_Described):
    """Several pairs for each weight, with factors."""

    def __init__(self, f_lst: list[float], g_max: float | None = None, g_min: float | None = None) -> None:
        super().__init__(
            f_lst=f_lst, g_max=25.0 if g_max is None else g_max, g_min=0.0 if g_min is None else g_min
        )


class DualPairConductanceConverter(NPairConductanceConverter):
    """Two pairs for each weight."""


class PCMLikeNoiseModel(_Described):
    """Phase-change memory; conductances in microsiemens."""

    def __init__(
        self, prog_coeff: list[float] | None = None, g_converter: Any = None, g_max: float | None = None,
        t_read: float = 250.0e-9, t_0: float = 20.0, prog_noise_scale: float = 1.0,
        read_noise_scale: float = 1.0, drift_scale: float = 1.0,
        prog_coeff_g_max_reference: float | None = None,
    ) -> None:  # fmt: skip
        converter: Any = g_converter or SinglePairConductanceConverter(g_max=g_max)
        reference = prog_coeff_g_max_reference
        if reference is None:
            reference = 25.0 if prog_coeff is None else converter.g_max
        super().__init__(
            g_converter=converter, g_max=converter.g_max, prog_coeff=prog_coeff or [0.26348, 1.9650, -1.1731],
            t_read=t_read, t_0=t_0, prog_noise_scale=prog_noise_scale, read_noise_scale=read_noise_scale,
            drift_scale=drift_scale, prog_coeff_g_max_reference=reference,
        )  # fmt: skip


class CustomDriftPCMLikeNoiseModel(PCMLikeNoiseModel):
    """The same with a table of drift exponents: ``g_lst``, ``nu_mean_lst``, ``nu_std_lst``."""

    def __init__(self, custom_drift_model: dict[str, list[float]], **given: Any) -> None:
        super().__init__(**given)
        self.custom_drift_model = custom_drift_model


class HermesNoiseModel(_Described):
    """Phase-change memory of the HERMES chip, one or two cells in parallel."""

    def __init__(
        self, num_devices: int = 2, prog_coeff: list[float] | None = None, g_converter: Any = None,
        g_max: float | None = None, t_read: float = 512.0e-9, t_0: float | None = None,
        prog_noise_scale: float = 1.0, read_noise_scale: float = 1.0, drift_scale: float = 1.0,
    ) -> None:  # fmt: skip
        most = g_max or (20.7 if num_devices == 2 else 10.35)
        converter: Any = g_converter or SinglePairConductanceConverter(g_max=most)
        super().__init__(
            num_devices=num_devices, prog_coeff=prog_coeff, g_converter=converter, g_max=converter.g_max,
            t_read=t_read, t_0=t_0 or (300.0 if num_devices == 2 else 200.0),
            prog_noise_scale=prog_noise_scale, read_noise_scale=read_noise_scale, drift_scale=drift_scale,
        )  # fmt: skip


class StateIndependentNoiseModel(_Described):
    """Cells whose drift and read noise do not depend on their state."""

    def __init__(
        self, g_converter: Any = None, g_max: float | None = None, prog_coeff: list[float] | None = None,
        prog_noise_scale: float = 1.0, drift_nu_mean: float = 0.1, drift_nu_std: float = 0.05,
        drift_scale: float = 1.0, t_0: float = 20.0, read_noise_scale: float = 1.0, t_read: float = 250.0e-9,
    ) -> None:  # fmt: skip
        converter: Any = g_converter or SinglePairConductanceConverter(g_max=g_max)
        super().__init__(
            g_converter=converter, g_max=converter.g_max, prog_coeff=prog_coeff or [0.2, 0.0, 0.0],
            prog_noise_scale=prog_noise_scale, drift_nu_mean=drift_nu_mean, drift_nu_std=drift_nu_std,
            drift_scale=drift_scale, t_0=t_0, read_noise_scale=read_noise_scale, t_read=t_read,
        )  # fmt: skip


class ReRamWan2022NoiseModel(_Described):
    """Resistive memory of the NeuRRAM chip."""

    def __init__(
        self, coeff_dic: dict[float, list[float]] | None = None, g_converter: Any = None,
        g_max: float | None = None, noise_scale: float = 1.0,
    ) -> None:  # fmt: skip
        converter: Any = g_converter or SinglePairConductanceConverter(g_max=g_max)
        super().__init__(
            g_converter=converter, g_max=converter.g_max, coeff_dic=coeff_dic, noise_scale=noise_scale
        )


class ReRamCMONoiseModel(_Described):
    """Resistive memory of conductive metal oxide on HfOx."""

    def __init__(
        self, g_max: float | None = None, g_min: float | None = None, prog_noise_scale: float = 1.0,
        read_noise_scale: float = 1.0, drift_scale: float = 1.0, acceptance_range: float = 2e-2,
    ) -> None:  # fmt: skip
        converter: Any = SingleDeviceConductanceConverter(g_max=g_max, g_min=g_min)
        super().__init__(
            g_converter=converter, g_max=converter.g_max, g_min=converter.g_min,
            prog_noise_scale=prog_noise_scale, read_noise_scale=read_noise_scale, drift_scale=drift_scale,
            acceptance_range=acceptance_range,
        )  # fmt: skip


class GlobalDriftCompensation(_Described):
    """One factor for each tile, from a read of all its rows."""

    def __init__(self) -> None:
        super().__init__()


class PerColumnDriftCompensation(_Described):
    """One factor for each column."""

    def __init__(self) -> None:
        super().__init__()

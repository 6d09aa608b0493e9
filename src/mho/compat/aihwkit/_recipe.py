"""What training does for the hardware, and what undoes drift, as recipes and compensations."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mho import training
from mho.errors import ConfigError
from mho.foreign.aihwkit.parameters import (
    WeightClipParameter,
    WeightModifierParameter,
    WeightRemapParameter,
)
from mho.foreign.aihwkit.ranges import steps
from mho.foreign.aihwkit.reader import Reader, name_of
from mho.mapping import EvenLevels
from mho.periphery import ColumnDrift, Compensation, GlobalDrift
from mho.training.base import Modifier

_PHASE_CHANGE = (
    "pcm_zero_thres", "pcm_t_inference", "pcm_prob_at_reset", "pcm_prob_at_gmax", "pcm_prob_at_random",
    "pcm_t0", "g_max",
)  # fmt: skip


def recipe(rpu_config: Any, ignore: Collection[str] = ()) -> training.Recipe:
    """What an inference configuration does to the weights in training, for ``mho.training.attach``.

    Args:
        rpu_config: an ``InferenceRPUConfig``.
        ignore: options that may be left out.

    Raises:
        ConfigError: an option without a counterpart.

    >>> from mho.compat.aihwkit.simulator.configs import InferenceRPUConfig, WeightModifierType
    >>> config = InferenceRPUConfig()
    >>> config.modifier.type, config.modifier.std_dev = WeightModifierType.ADD_NORMAL, 0.1
    >>> recipe(config).modifiers
    (WeightNoise(std=0.1, relative_to='tensor', ramp_steps=0, each='batch'),)
    """
    mapping = getattr(rpu_config, "mapping", None)
    omega = float(getattr(mapping, "weight_scaling_omega", 0.0))
    column = omega > 0 and bool(getattr(mapping, "weight_scaling_columnwise", False))
    relative = "column" if column or _remapped(rpu_config, ignore) == "CHANNELWISE_SYMMETRIC" else "tensor"
    modifiers: list[Modifier] = [*_clips(rpu_config, omega, relative, ignore)]
    if getattr(mapping, "learn_out_scaling", False):
        each = getattr(mapping, "out_scaling_columnwise", False)
        modifiers.append(training.OutputScale(relative_to="column" if each else "tensor"))
    modifiers += _noise(rpu_config, relative, ignore)
    return training.Recipe(modifiers=tuple(modifiers))


def compensation(rpu_config: Any) -> Compensation | None:
    """The correction of drift that a configuration asks for; None for none.

    Raises:
        ConfigError: one that mho does not have.
    """
    how = getattr(rpu_config, "drift_compensation", None)
    if how is None:
        return None
    known: dict[str, Compensation] = {
        "GlobalDriftCompensation": GlobalDrift(),
        "PerColumnDriftCompensation": ColumnDrift(),
    }
    name = type(how).__name__
    if name not in known:
        raise ConfigError(
            f"drift_compensation = {name}(): mho has {', '.join(known)} and None; a reference that no array "
            "can read is none, and mho.periphery.Affine fits outputs on data"
        )
    return known[name]


def _remapped(rpu_config: Any, ignore: Collection[str]) -> str:
    """How weights are remapped; here the mapping gives them the full range whenever they are programmed."""
    how = Reader(getattr(rpu_config, "remap", None), "remap", WeightRemapParameter(), ignore)
    name = name_of(how["type"])
    if name != "NONE":
        how.refuse(
            remapped_wmax="the largest weight has the full range of the cells here; leave it 1",
            max_scale_range="scales of columns are not bounded here; leave it 0",
            max_scale_ref="scales of columns are not bounded here; leave it 0",
        )
    return name


def _clips(rpu_config: Any, omega: float, relative: str, ignore: Collection[str]) -> list[Modifier]:
    clip = Reader(getattr(rpu_config, "clip", None), "clip", WeightClipParameter(), ignore)
    kind, fixed = name_of(clip["type"]), float(clip["fixed_value"])
    if kind in ("NONE", "None"):
        return []
    if kind not in ("FIXED_VALUE", "LAYER_GAUSSIAN"):
        if clip.is_ignored("type"):
            return []
        raise clip.refused("type", "mho has FIXED_VALUE and LAYER_GAUSSIAN; choose one of these")
    made: list[Modifier] = []
    if kind == "LAYER_GAUSSIAN":
        made.append(training.WeightClip(sigmas=float(clip["sigma"])))
    if fixed > 0 and omega <= 0:
        made.append(training.FixedClip(limit=fixed))
    elif fixed > 0 and _remapped(rpu_config, ignore) == "NONE":  # else weights fill the range again and again
        made.append(training.WeightRange(relative_to=relative))  # type: ignore[arg-type]
        made.append(training.FixedClip(limit=fixed / omega, relative_to="range"))
    return made


def _noise(rpu_config: Any, relative: str, ignore: Collection[str]) -> list[Modifier]:
    given = Reader(getattr(rpu_config, "modifier", None), "modifier", WeightModifierParameter(), ignore)
    kind, std, drop = name_of(given["type"]), float(given["std_dev"]), float(given["pdrop"])
    made: list[Modifier] = []
    if kind not in ("NONE", "None", "COPY", "DROP_CONNECT"):
        given.refuse(
            rel_to_actual_wmax="noise is relative to the largest weight that there is; leave it True",
            enable_during_test="evaluation uses the chip here; leave it False",
            copy_last_column="a bias is digital, or has rows of its own; leave it False",
            sto_round="levels are the nearest ones here; leave it False",
        )
        made += _of_kind(given, kind, std, relative)
    given.without_effect(
        "per_batch_sample", "res", "dorefa_clip", "assumed_wmax", "coeffs", "rel_to_actual_wmax", "sto_round",
        "enable_during_test", "copy_last_column", *_PHASE_CHANGE,
    )  # fmt: skip
    given.finish()
    return [*made, training.DropConnect(p=drop)] if drop > 0 else made


def _of_kind(given: Reader, kind: str, std: float, relative: str) -> list[Modifier]:
    """Levels and noise; a draw is of a whole batch."""
    named: Any = {"relative_to": relative}
    levels: list[Modifier] = []
    if kind.startswith("DISCRETIZE"):
        count = steps(float(given["res"]))
        if count is None:
            raise given.refused("res", "give the number of steps between the levels, or one over it")
        levels = [training.STEQuantizer(levels=EvenLevels(count=count + 1))]
    if kind == "DISCRETIZE":
        return levels
    if kind in ("ADD_NORMAL", "DISCRETIZE_ADD_NORMAL"):
        return [*levels, training.WeightNoise(std=std, **named)]
    if kind == "MULT_NORMAL":
        return [training.MultiplicativeNoise(std=std)]
    if kind == "POLY":
        coefficients = tuple(map(float, given["coeffs"]))
        return [training.PolynomialNoise(coefficients=coefficients, strength=std, **named)]
    if given.is_ignored("type"):
        return []
    raise given.refused(
        "type",
        "mho has DISCRETIZE, ADD_NORMAL, MULT_NORMAL, DISCRETIZE_ADD_NORMAL, POLY and DROP_CONNECT; "
        "mho.training.ProgrammingNoise has the error of the device",
    )

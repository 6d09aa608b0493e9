"""One chip: programmed, aged and tested with each correction; and the idealised protocol beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

import mho
from mho.devices import ConstantDrift
from mho.experiments.fitting import seeded
from mho.experiments.hwa.networks import HWANetworks
from mho.experiments.hwa.study import AFFINE, COLUMN, CORRECTIONS, GLOBAL, NORMS, ChipTest
from mho.nn import crossbars
from mho.periphery import Affine, ColumnDrift
from mho.training import re_estimate_batch_norm

IDEALISED = "idealised"
Rows = list[dict[str, Any]]


def has_norms(network: nn.Module) -> bool:
    """Whether there is a batch normalisation with statistics that can be measured again."""
    kind = nn.modules.batchnorm._NormBase
    return any(isinstance(m, kind) and m.track_running_stats for m in network.modules())


def one_chip(networks: HWANetworks, test: ChipTest, analog: nn.Module, arm: str, chip: int) -> Rows:
    """Program one chip and test it at every time with every correction.

    Each test reads the chip anew, with read noise of its own: of the arrays in the network, and of the
    reference that a correction is measured from.

    Args:
        networks: of the study; its test part is used, and training inputs for corrections.
        test: the times.
        analog: a converted and calibrated network; it is programmed here.
        arm: names the read noise.
        chip: number of the chip.

    Returns:
        ``correction``, ``seconds`` and ``error`` of each test.
    """
    problem, study = networks.problem, networks.study
    mho.program(analog, seed=study.chip_seed(chip))
    found = []
    for seconds in test.times:
        mho.age(analog, seconds)  # undoes earlier corrections
        for correction in CORRECTIONS if has_norms(analog) else CORRECTIONS[:-1]:
            names = ("read", arm, str(chip), repr(seconds), correction)
            with seeded(study.seed, *names), _norms_kept(analog):
                _correct(networks, analog, correction)
                error = problem.error(analog, problem.test)
                found.append({"correction": correction, "seconds": seconds, "error": error})
    return found


def _correct(networks: HWANetworks, analog: nn.Module, correction: str) -> None:
    """What is done about the drift: each measures anew, the last two on top of one gain for each layer."""
    if correction in (GLOBAL, AFFINE, NORMS):
        mho.compensate(analog)
    if correction == COLUMN:
        mho.compensate(analog, ColumnDrift())
    if correction == AFFINE:
        mho.compensate(analog, Affine(), data=networks.calibration())
    if correction == NORMS:
        re_estimate_batch_norm(analog, networks.calibration())


@contextmanager
def _norms_kept(network: nn.Module) -> Iterator[None]:
    """Statistics of batch normalisations as they were, afterwards."""
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    before = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)


def idealised(networks: HWANetworks, test: ChipTest, digital: nn.Module, chip: int) -> Rows:
    """The same network under the idealised protocol: nothing is left that a chip could lose to drift.

    All cells drift with one exponent, the compensation knows it and multiplies by the exact inverse, reads
    have no noise and converters no steps. Only the programming error of one second is left.

    Returns:
        ``correction``, ``seconds`` and ``error`` at each time.
    """
    study, problem = networks.study, networks.problem
    device = ConstantDrift(nu=test.idealised_nu)
    hardware = mho.Hardware(device=device, mapping=study.hardware.mapping, tile=study.hardware.tile)
    analog = networks.converted(digital, hardware).eval()
    mho.program(analog, seed=study.chip_seed(chip))
    found = []
    for seconds in test.times:
        mho.age(analog, seconds)
        inverse = (seconds / device.t0) ** device.nu
        for layer in crossbars(analog).values():
            state = layer.require_chip("idealised")
            layer.set_chip(state._replace(gain=torch.full_like(state.gain, inverse)))
        error = problem.error(analog, problem.test)
        found.append({"correction": IDEALISED, "seconds": seconds, "error": error})
    return found

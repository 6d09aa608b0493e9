"""One piece of the study, in a process of its own: a network is trained, or a chip is tested."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from mho import config as _config
from mho.config import config
from mho.experiments.experiment import Place, measure
from mho.experiments.fitting import limited_threads
from mho.experiments.hwa.chips import IDEALISED, idealised, one_chip
from mho.experiments.hwa.networks import Networks
from mho.experiments.hwa.study import ChipTest, HWAStudy
from mho.experiments.machine import usable_device
from mho.experiments.progress import Progress
from mho.experiments.store import Store


@config
class Piece:
    """What a worker does.

    Attributes:
        study: of which the folder holds the results.
        test: times of a chip's tests.
        network: the network to train, or to test.
        chip: number of the chip that is tested; -1 to train the network.
        protocol: ``"measured"``, or ``"idealised"``.
    """

    study: HWAStudy = HWAStudy()
    test: ChipTest = ChipTest()
    network: str = "teacher"
    chip: int = -1
    protocol: str = "measured"


@measure.register
def _(piece: Piece, place: Place) -> dict[str, float]:
    with limited_threads(place.threads):
        return do(piece, networks_of(_config.to_json(piece.study), place))


def do(piece: Piece, networks: Networks) -> dict[str, float]:
    """Do a piece of work; a network is stored, a chip's errors come back; and the seconds it took."""
    start, cpu = time.perf_counter(), time.process_time()
    found: dict[str, float] = {}
    if piece.chip < 0:
        networks.train(piece.network)
    elif piece.protocol == IDEALISED:
        found = idealised(networks, piece.test, networks.digital(piece.network), piece.chip)
    else:
        analog = _analog(networks, piece.network)
        found = one_chip(networks, piece.test, analog, piece.network, piece.chip)
    spent = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
    return {**found, **spent}


@lru_cache(maxsize=1)
def networks_of(study: str, place: Place) -> Networks:
    """The networks of a study (JSON) in a folder; a worker reads the data once."""
    described = _config.from_json(study)
    if not isinstance(described, HWAStudy):
        raise ValueError(f"this describes a {type(described).__name__}, not an HWAStudy")
    store = Store(Path(place.folder), described, helps=True)  # who shares the work out keeps the log
    problem = described.task.load(place.data)
    return Networks(described, problem, store, Progress(), torch.device(usable_device(place.device)))


@lru_cache(maxsize=2)
def _analog(networks: Networks, name: str) -> nn.Module:
    return networks.analog(name)

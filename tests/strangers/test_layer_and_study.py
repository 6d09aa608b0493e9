"""A layer and a study of one's own, one file each outside of mho, and the sweep of all parts."""

from __future__ import annotations

import copy
import dataclasses
import io
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, vmap

import mho
from mho.config import from_json, to_dict, to_json
from mho.experiments.engines import LocalEngine
from mho.experiments.experiment import Place, measure
from mho.experiments.harness import run
from mho.experiments.plan import make_plan
from mho.experiments.sweep import run as sweep
from mho.testing import check_layer, check_study, check_visible

from . import layer as own_layer
from . import study as own_study
from .layer import AnalogGated, Gated
from .life import DATA, SECONDS, X
from .study import Averages
from .test_strangers import FILES, STRANGERS, alike

ROOT = str(Path(__file__).parents[2])
HARDWARE = mho.Hardware(
    device=mho.devices.PCM(read_scale=0.0),
    dac=mho.DAC(),
    adc=mho.ADC(bits=10),
    tile=mho.Tile(rows=5, columns=4),
)

# --- a layer -----------------------------------------------------------------------------------------


def converted() -> AnalogGated:
    torch.manual_seed(3)
    layer = mho.convert(Gated(12, 6), HARDWARE, strict=True).eval()
    mho.calibrate(layer, [DATA])
    return layer


def lived(seed: int = 0) -> AnalogGated:
    layer = converted()
    mho.program(layer, seed=seed)
    mho.age(layer, SECONDS)
    mho.compensate(layer)
    return layer


def test_the_layer_keeps_the_contract() -> None:
    check_layer(AnalogGated(8, 5, hardware=mho.Hardware()), torch.randn(7, 8))
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), Gated(8, 5))
    check_visible(mho.convert(model, mho.Hardware(device=mho.devices.PCM())), torch.randn(7, 8))


@pytest.mark.parametrize("wrong", own_layer.WRONG, ids=lambda kind: kind.__name__)
def test_a_wrong_layer_is_refused(wrong) -> None:
    with pytest.raises(AssertionError, match=wrong.__name__):
        check_layer(wrong(8, 5, hardware=mho.Hardware()), torch.randn(7, 8))


@torch.no_grad()
def test_the_layer_computes_its_formula_saved_loaded_and_compiled() -> None:
    layer = lived()
    wanted = own_layer.by_formula(layer, X)
    alike(layer(X), wanted)
    digital = layer.digital_forward(X)
    assert 1e-3 < float((layer(X) - digital).std() / digital.std()) < 0.5
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    again = converted()
    again.load_state_dict(torch.load(file))
    assert torch.equal(again(X), layer(X)) and torch.equal(copy.deepcopy(layer)(X), layer(X))
    torch.compiler.reset()
    alike(torch.compile(layer, fullgraph=True, backend="aot_eager")(X), layer(X))
    assert torch.equal(mho.revert(layer)(X), digital)
    hardware = mho.Hardware.from_json(layer.hardware.to_json())
    assert mho.convert(Gated(12, 6), hardware).hardware == layer.hardware


def test_chips_of_the_layer_are_stacked_and_each_entry_acts() -> None:
    here, there = lived(), lived(1)
    chips = [{k: v for k, v in one.state_dict().items() if ".chip_" in k} for one in (here, there)]
    stacked = {key: torch.stack([chip[key] for chip in chips]) for key in chips[0]}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)  # torch's
        both = vmap(lambda chip: functional_call(here, chip, (X,)))(stacked)
        alike(both[0], here(X))
        alike(both[1], there(X))
        for entry in (k for k in chips[0] if k.endswith(("chip_g", "chip_gain", "chip_cells"))):
            loaded = copy.deepcopy(here)
            kept = {k: v for k, v in here.state_dict().items() if not k.endswith("chip_checksum")}
            loaded.load_state_dict({**kept, entry: chips[1][entry]})
            given: Tensor = functional_call(here, {entry: chips[1][entry]}, (X,))
            alike(given, loaded(X))
            assert not torch.equal(given, here(X)), entry


# --- a study -----------------------------------------------------------------------------------------


def test_the_study_keeps_the_contract() -> None:
    check_study(Averages(counts=(4, 9), repeats=5))
    assert from_json(to_json(Averages(seed=3))) == Averages(seed=3)


@pytest.mark.parametrize("wrong", own_study.WRONG, ids=lambda study: type(study).__name__)
def test_a_wrong_study_is_refused(wrong) -> None:
    with pytest.raises(AssertionError, match=type(wrong).__name__):
        check_study(dataclasses.replace(wrong, repeats=3))


@pytest.mark.exhaustive
def test_the_study_finds_its_formula_with_workers_and_in_a_sweep(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ROOT, prepend=":")
    study = Averages()
    table = run(study, tmp_path / "workers", workers=2).table
    assert table.equals(run(study, tmp_path / "alone").table) and len(table) == 8
    for count, error in zip(table["count"], table["rms"], strict=True):
        mean, spread = own_study.by_formula(count, study.repeats)
        assert abs(error - mean) < 5 * spread
    figures = measure(study, Place(tmp_path / "here", tmp_path / "shared"))
    document = {"imports": ["tests.strangers.study"], "study": {"kind": "experiments.Averages"}}
    plan = make_plan({**document, "grid": {"repeats": [100]}})
    swept = sweep(plan, tmp_path / "sweep", LocalEngine(workers=1))
    assert swept["error"].tolist() == [""] and swept["rms"].tolist() == [figures["rms"]]


# --- the sweep of all parts --------------------------------------------------------------------------


@pytest.mark.exhaustive
def test_each_part_is_swept(tmp_path, monkeypatch) -> None:
    """In a worker, which imports the files of the parts by name."""
    monkeypatch.setenv("PYTHONPATH", ROOT, prepend=":")
    rows = [{"hardware": to_dict(stranger.hardware(stranger.part))} for stranger in STRANGERS]
    rows = [row for k, row in enumerate(rows) if row not in rows[:k]]  # corrections are no part of a hardware
    study = {"kind": "experiments.ChipStudy", "chips": 1, "training": {"epochs": 4}}
    plan = make_plan({"imports": [file.__name__ for file in FILES], "study": study, "list": rows})
    table = sweep(plan, tmp_path, LocalEngine(workers=1))
    assert table["error"].tolist() == [""] * len(rows) and len(rows) >= len(STRANGERS) - 1
    assert (
        bool((table["accuracy"] > 0.5 * table["digital_accuracy"]).all())
        and table["digital_accuracy"].nunique() == 1
    )

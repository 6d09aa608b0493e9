"""One flipped bit in any file of a run, or of a chip: the same result, or an error that names the file.

Each run is made once. Its files are damaged one after the other, a bit at a time, and the same command runs
again.
"""

import json
import random
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import nn

import mho
from mho.calibration import calibrated_hardware, load_hardware, save_hardware
from mho.commands import hwa as hwa_command
from mho.config import to_dict
from mho.config.sealed import DamagedFileError, load_tensors, save_tensors
from mho.errors import ConfigError
from mho.experiments.chips import ChipStudy
from mho.experiments.data import Digits, PythonProse
from mho.experiments.drift import DriftStudy
from mho.experiments.engines import Engine
from mho.experiments.fitting import Schedule
from mho.experiments.harness import run, run_together
from mho.experiments.hwa import ChipTest, Course, HWAExperiment, HWAStudy, Sequence, Vision
from mho.experiments.models import LSTM, SmallCNN
from mho.experiments.networks import Networks
from mho.experiments.plan import make_plan
from mho.experiments.search import SearchSpace, SearchStudy
from mho.experiments.store import CONFIGURATION, RESULTS, Store
from mho.experiments.sweep import run as sweep
from mho.experiments.tables import read_csv, table_text
from mho.experiments.worker import run_cell
from mho.training import checkpoint

FLIPS = 40
CNN = SmallCNN(first=2, second=2, hidden=8)
SHORT = Schedule(epochs=1, learning_rate=0.1)
YEAR = (1.0, 31_536_000.0)
PLAN = make_plan(
    {
        "study": to_dict(ChipStudy(model=CNN, training=SHORT, chips=1)),
        "grid": {"hardware.adc.bits": [4, 8]},
    }
)


class Here(Engine):
    """Runs every job in this process."""

    def run(self, jobs):
        yield from ((number, run_cell(job)) for number, job in enumerate(jobs))


def drift(folder):
    """As ``mho drift``."""
    study = DriftStudy(model=CNN, training=SHORT, fine_tuning=SHORT, chips=1, times=YEAR)
    run(study, folder)


def search(folder):
    """As ``mho search``."""
    pytest.importorskip("optuna")
    space = SearchSpace(adc_bits=(8,), dac_bits=(8,), tile_rows=(64,), slices=(1,), tolerance=(0.01, 0.2))
    run(SearchStudy(base=ChipStudy(model=CNN, training=SHORT, chips=1), space=space, target=0.0), folder)


def sweeping(folder):
    """As ``mho sweep``."""
    sweep(PLAN, folder, Here())


def hwa(folder):
    """As ``mho hwa --modality vision`` in a folder that holds another modality too."""
    course = Course(epochs=1, learning_rate=0.1)
    tuning = Course(epochs=1, learning_rate=0.02)
    vision = HWAStudy(task=Vision(network=CNN, test=50), teaching=course, tuning=tuning, calibration=64)
    task = Sequence(
        data=PythonProse(vocabulary=50),
        network=LSTM(embedding=8, hidden=8, layers=1, tied=True),
        length=8, train=1001, validation=201, test=201,
    )  # fmt: skip
    words = replace(vision, task=task, calibration=32)
    studies = {"vision": vision} | ({} if (folder / "sequence").exists() else {"sequence": words})
    for name, study in studies.items():
        test = ChipTest(chips=1, times=YEAR, idealised_chips=1)
        run_together({folder / name: HWAExperiment(study=study, test=test)})
    show(folder)


def show(folder):
    """The tables of all modalities, after that of one."""
    hwa_command.show(folder, "mho hwa")


@dataclass(frozen=True)
class Made:
    """A finished run: its folder, all its bytes, and how it is run again."""

    folder: Path
    again: Callable[[Path], None]
    files: dict[str, bytes]

    def restore(self):
        """Every file as it was; what came later is removed."""
        for path in self.folder.rglob("*"):
            if path.is_file() and str(path.relative_to(self.folder)) not in self.files:
                path.unlink()
        for name, content in self.files.items():
            if (self.folder / name).read_bytes() != content:
                (self.folder / name).write_bytes(content)

    def tables(self):
        """All tables of figures."""
        return {path: path.read_bytes() for path in sorted(self.folder.rglob("*.csv"))}


def contents(folder):
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.startswith(".")]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


# The files of each run that the same command reads, and some names that all others have.
READ = {
    drift: {"study.json", "chips.jsonl", "float32.pt", "plain.pt", "hardware-aware.pt"},
    sweeping: {"study.json", "cells.jsonl"},
    search: {"study.json", "trials.jsonl"},
    hwa: {
        *(f"vision/{name}" for name in ("study.json", "chips.jsonl")),
        *(f"vision/{name}.pt" for name in ("teacher", "plain", "hardware-aware", "plain-longer")),
        "sequence/results.csv",
        "sequence/results.json",
    },
}


@pytest.fixture(scope="module", params=READ, ids=lambda made: made.__name__)
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param.__name__) / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hwa_command, "present", lambda *_: None)  # pages and figures are never read
        patch.setattr(Networks, "conversion", lambda *_: [])  # nor is this, which takes most of the time
        data = Digits().load()
        patch.setattr(Digits, "load", lambda self, folder=None: data)
        request.param(folder)
        yield Made(folder, request.param, contents(folder))


def places(size, seed, count=FLIPS):
    """Bytes all over a file, the first and the last ones among them, with a bit of each."""
    chance = random.Random(seed)
    spread = {min(size - 1, int((k + chance.random()) * size / count)) for k in range(count)}
    return [(place, 1 << chance.randrange(8)) for place in sorted({0, size - 1, *spread})]


def flipped(content, place, bit):
    return content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]


def outcome(made, name=""):
    """None if the run gives its tables again, with or without a warning; the sentence if it refuses."""
    again = show if name.startswith("sequence/") else made.again
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a network of a search that is damaged is trained again, with one
        try:
            again(made.folder)
        except (ValueError, OSError) as error:
            return str(error)
    return None


def test_one_flipped_bit_in_a_file_that_a_run_reads_is_named_or_changes_nothing(made):
    before, named = made.tables(), dict.fromkeys(READ[made.again], 0)
    networks = [name for name in made.files if name.startswith("network-")]
    for name in (*named, *networks):
        path, content = made.folder / name, made.files[name]
        for place, bit in places(len(content), name, FLIPS if name in named else FLIPS // 4):
            path.write_bytes(flipped(content, place, bit))
            said = outcome(made, name)
            if said is None:
                assert made.tables() == before, (name, place, bit)
            else:
                assert path.name in said and "run" in said, (name, place, bit, said)
                named[name] += 1
            made.restore()
    assert all(count > FLIPS // 2 for count in named.values()), named


def test_all_other_files_of_a_run_are_never_read(made):
    before, rest = made.tables(), made.files.keys() - READ[made.again]
    assert {Path(name).name for name in rest} >= {"results.csv"}
    for k in range(2):
        for name in rest:
            content = made.files[name]
            for place, bit in places(len(content), f"{name} {k}")[:: FLIPS // 4] if content else ():
                (made.folder / name).write_bytes(flipped(content, place, bit))
        assert outcome(made) is None
        kept = [path for path in before if "cells" not in path.parts and "sequence" not in path.parts]
        assert kept and all(made.tables()[path] == before[path] for path in kept)
        made.restore()


# --- tables that are plotted, chips, checkpoints -------------------------------------------------


def test_a_table_that_was_changed_is_named_when_it_is_read(tmp_path):
    with Store(tmp_path, SHORT) as store:
        path = store.write_text("results.csv", "accuracy\n0.5\n0.25\n")
        store.write_json(RESULTS, {"format": 1})
    assert read_csv(path, {"it": ("accuracy",)})[1]["accuracy"].tolist() == [0.5, 0.25]
    for place, bit in places(path.stat().st_size, "table"):
        path.write_bytes(flipped(b"accuracy\n0.5\n0.25\n", place, bit))
        with pytest.raises(
            DamagedFileError, match=r"results\.csv: changed since .* run the same command again"
        ):
            read_csv(path, {"it": ("accuracy",)})
    elsewhere = tmp_path / "mine"
    elsewhere.mkdir()
    (elsewhere / "results.csv").write_text("accuracy\n0.75\n")  # what the sentence says
    assert table_text(elsewhere / "results.csv") == "accuracy\n0.75\n"


def programmed():
    model = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 3))
    analog = mho.convert(model.eval(), mho.Hardware(device=mho.devices.PCM(), adc=mho.ADC(), dac=mho.DAC()))
    mho.calibrate(analog, [torch.randn(8, 6)])
    mho.program(analog, seed=0)
    return analog


def test_one_flipped_bit_in_a_chip_is_named_with_its_tensor_or_changes_nothing(tmp_path):
    analog, path = programmed(), tmp_path / "chip.pt"
    whole = analog.state_dict()
    save_tensors(path, whole)
    content, named = path.read_bytes(), set()
    for place, bit in places(len(content), "chip", 300):
        path.write_bytes(flipped(content, place, bit))
        try:
            found = load_tensors(path)
        except DamagedFileError as error:
            said = str(error)
            named |= {name for name in whole if f"the checksum of {name} does not fit" in said}
            if not said.startswith(f"{path}: damaged"):
                raise
        else:
            assert found.keys() == whole.keys()
            assert all(torch.equal(found[k], v) and found[k].dtype == v.dtype for k, v in whole.items())
    assert "0.crossbar.chip_g" in named


@pytest.mark.parametrize("name", ["0.weight", "1.bias", "3.bias"])  # also where the chip has no checksum
def test_the_damaged_tensor_of_a_chip_is_named(name, tmp_path):
    state, path = programmed().state_dict(), tmp_path / "chip.pt"
    state[name] = torch.full_like(state[name], 0.123)
    save_tensors(path, state)
    content = path.read_bytes()
    place = content.index(state[name].numpy().tobytes())
    path.write_bytes(flipped(content, place, 1))
    assert not torch.equal(torch.load(path, weights_only=True)[name], state[name])  # torch says nothing
    with pytest.raises(DamagedFileError, match=rf"the checksum of {name} does not fit"):
        load_tensors(path)


def test_a_chip_that_torch_saved_is_compared_too(tmp_path):
    analog, path = programmed(), tmp_path / "chip.pt"
    torch.save(analog.state_dict(), path)
    again = mho.convert(mho.revert(analog), analog[0].hardware)
    again.load_state_dict(load_tensors(path))
    held, there = mho.effective_weights(analog), mho.effective_weights(again)
    assert held.keys() == there.keys() and all(torch.equal(there[k], v) for k, v in held.items())


def test_one_flipped_bit_in_the_hardware_of_a_chip_is_named_or_changes_nothing(tmp_path):
    path = tmp_path / "hardware.json"
    hardware = calibrated_hardware(programmed())
    save_hardware(hardware, path)
    content = path.read_bytes()
    for place, bit in places(len(content), "hardware", 100):
        path.write_bytes(flipped(content, place, bit))
        try:
            assert load_hardware(path) == hardware
        except ConfigError as error:
            if "hardware.json" not in str(error):
                raise
    document = json.loads(content)
    document["layers"]["0"]["g_max"] = 1
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match="its checksum is not that of its content; .* drop the key 'check'"):
        load_hardware(path)
    old = {name: value for name, value in json.loads(content).items() if name != "check"}
    path.write_text(json.dumps(old))
    assert load_hardware(path) == hardware


def test_one_flipped_bit_in_a_checkpoint_is_named_or_changes_nothing(tmp_path):
    path = tmp_path / "training.checkpoint"

    def parts():
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    model, optimizer = parts()
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    checkpoint.save(path, model, optimizer, None, [], checkpoint.Position(epoch=1))
    content = path.read_bytes()
    for place, bit in places(len(content), "checkpoint"):
        path.write_bytes(flipped(content, place, bit))
        fresh, other = parts()
        try:
            checkpoint.load(path, fresh, other, None)
        except ValueError as error:
            if not re.search("training.checkpoint.*delete it to begin anew", str(error)):
                raise
        else:
            assert torch.equal(fresh.weight, model.weight) and torch.equal(fresh.bias, model.bias)


# --- files of before, and what the sentences say -------------------------------------------------


def test_files_without_a_checksum_are_read(tmp_path):
    path = tmp_path / CONFIGURATION
    with Store(tmp_path, SHORT) as store:
        store.save_network("net", {"w": torch.ones(2)}, {})
    old = {name: value for name, value in json.loads(path.read_text()).items() if name != "check"}
    path.write_text(json.dumps(old))
    with Store(tmp_path, SHORT) as store:
        assert torch.equal(store.load_network("net")[0]["w"], torch.ones(2))


def test_a_damaged_configuration_is_removed_and_the_others_say_whose_they_are(tmp_path):
    path = tmp_path / CONFIGURATION
    with Store(tmp_path, SHORT) as store:
        store.save_network("net", {"w": torch.ones(2)}, {})
    path.write_text(path.read_text().replace('"epochs": 1', '"epochs": 3'))
    with pytest.raises(
        DamagedFileError, match=r"study\.json: damaged .*; remove it and run the same command"
    ):
        Store(tmp_path, replace(SHORT, epochs=3))  # not even for whom it seems to be
    path.unlink()
    with (
        Store(tmp_path, replace(SHORT, epochs=3)) as store,
        pytest.raises(ValueError, match=r"net\.pt: trained"),
    ):
        store.load_network("net")
    path.unlink()
    with Store(tmp_path, SHORT) as store:
        assert store.load_network("net")

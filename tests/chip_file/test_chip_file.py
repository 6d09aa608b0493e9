"""Chips in files: what was saved comes back, and what cannot be that chip is refused before it is loaded."""

from __future__ import annotations

import copy
import json
import struct

import numpy as np
import pytest
import torch
from torch import nn

import mho
from mho.chip_file import read
from mho.config.sealed import DamagedFileError

HARDWARE = mho.Hardware(
    device=mho.devices.StuckAt(lrs=0.02, device=mho.devices.PCM(read_scale=0.0)),
    tile=mho.Tile(rows=12, columns=8),
    dac=mho.DAC(bits=8),
    adc=mho.ADC(bits=8),
)


class Mixed(nn.Module):
    """Layers of several kinds: one matrix, a convolution, several matrices, a table."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 6)
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.conv = nn.Conv1d(5, 4, 3, padding=1)
        self.out = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.lstm(self.table(x))[0]
        return self.out(self.conv(y.transpose(1, 2)).mean(-1))


WORDS = torch.arange(28).reshape(4, 7) % 7


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Mixed()


def converted(network, hardware=HARDWARE):
    return mho.convert(network, hardware).eval()


@pytest.fixture(scope="module")
def chip(network):
    """A chip that was aged and corrected."""
    analog = converted(network)
    mho.calibrate(analog, [WORDS])
    mho.program(analog, seed=3)
    mho.age(analog, 86_400)
    mho.compensate(analog, mho.periphery.Affine(), data=[WORDS])
    return analog


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("most", [5_000_000_000, 2_000])
def test_a_chip_comes_back_bit_for_bit_and_goes_on(network, chip, tmp_path, most):
    path = tmp_path / "chip.safetensors"
    mho.save_chip(chip, path, max_bytes=most)
    parts = [file.name for file in tmp_path.iterdir()]
    assert (len(parts) > 5 and path.name not in parts) if most == 2_000 else parts == [path.name]
    again = converted(network)
    mho.load_chip(again, path)
    again(WORDS), chip(WORDS)
    assert same(again.state_dict(), chip.state_dict())
    assert torch.equal(again(WORDS), chip(WORDS))
    for model in (again, older := copy.deepcopy(chip)):
        mho.age(model, 31_536_000)
    assert torch.equal(again(WORDS), older(WORDS))
    assert not torch.equal(again(WORDS), chip(WORDS))  # ageing did something


def test_the_file_says_where_the_chip_comes_from(chip, tmp_path):
    mho.save_chip(chip, tmp_path / "chip.safetensors")
    file = read(tmp_path / "chip.safetensors")
    said = file.arrays["lstm.arrays.weight_hh_l0"]
    assert (said["seed"], said["seconds"], file.document["mho"]) == (3, 86_400.0, mho.__version__)
    assert file.hardware("out") == HARDWARE
    for path, g in mho.conductances(chip).items():
        assert torch.equal(file.conductance(path), g)
        assert not torch.equal(file.conductance(path), file.entries(path)["g"])  # it drifted


def test_the_seed_goes_with_the_file_and_not_with_another_state(network, chip, tmp_path):
    mho.save_chip(chip, tmp_path / "chip.safetensors")
    again = converted(network)
    mho.load_chip(again, tmp_path / "chip.safetensors")
    mho.save_chip(again, tmp_path / "again.safetensors")
    assert read(tmp_path / "again.safetensors").arrays["out"]["seed"] == 3
    again.load_state_dict(chip.state_dict())
    mho.save_chip(again, tmp_path / "again.safetensors")
    assert read(tmp_path / "again.safetensors").arrays["out"]["seed"] is None


def test_a_smaller_chip_in_the_place_of_a_larger_one_leaves_no_parts(chip, tmp_path):
    path = tmp_path / "chip.safetensors"
    mho.save_chip(chip, path, max_bytes=2_000)
    mho.save_chip(chip, path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    mho.save_chip(chip, path, max_bytes=2_000)
    assert not path.exists() and read(path).arrays


# --- what is refused -----------------------------------------------------------------------------


@pytest.fixture
def saved(chip, tmp_path):
    path = tmp_path / "chip.safetensors"
    mho.save_chip(chip, path)
    return path


def refused(network, path, error, match, hardware=HARDWARE):
    """Loading is refused, and the model holds no part of the chip."""
    analog = converted(network, hardware)
    before = analog.state_dict()
    with pytest.raises(error, match=match):
        mho.load_chip(analog, path)
    assert same(analog.state_dict(), before)


def rewritten(path, change):
    """The file with another document, checksums made anew."""
    from mho.chip_file import parts

    document, tensors = parts.read(path)
    change(document, tensors)
    parts.write(path, {k: v for k, v in document.items() if k not in ("check", "checksums")}, tensors, 10**9)


def test_another_format(network, saved):
    rewritten(saved, lambda document, _: document.update(format=2))
    refused(network, saved, ValueError, "format = 2: this mho reads format 1; update mho")


def test_another_network(network, saved):
    other = copy.deepcopy(network)
    other.out = nn.Sequential(nn.Linear(4, 3))
    refused(other, saved, ValueError, r"another network: it lacks \['out.0'\]")
    other.out = nn.Linear(4, 2)
    refused(
        other, saved, ValueError, r"'out': another network, its weight has shape \(3, 4\) and not \(2, 4\)"
    )
    other = copy.deepcopy(network)
    other.conv.weight.data[0, 0, 0] += 1
    refused(other, saved, ValueError, "'conv': another network, the chip was programmed from other weights")


def test_another_hardware(network, saved):
    other = mho.Hardware(device=mho.devices.PCM(), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8))
    refused(network, saved, ValueError, "another hardware; convert the network with the description", other)


def test_entries_that_are_no_chip(network, saved):
    def negative(document, tensors):
        tensors["conv.g"] = -tensors["conv.g"]

    rewritten(saved, negative)
    refused(network, saved, ValueError, "'conv': .*chip_g")


@pytest.mark.parametrize("part", range(12))
def test_one_flipped_bit(network, saved, part):
    data = bytearray(saved.read_bytes())
    (head,) = struct.unpack("<Q", data[:8])
    text = data[8 : 8 + head].rstrip()
    places = [3, 9, *np.random.default_rng(part).integers(8, 8 + len(text), 4), len(data) - 1 - part]
    places += np.random.default_rng(part).integers(8 + head, len(data), 4).tolist()
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1 << (part % 8)
        saved.write_bytes(damaged)
        refused(network, saved, DamagedFileError, "damaged, or no chip file")


def test_a_missing_or_foreign_part(network, chip, tmp_path):
    path = tmp_path / "chip.safetensors"
    mho.save_chip(chip, path, max_bytes=2_000)
    index = tmp_path / "chip.safetensors.index.json"
    said = json.loads(index.read_text())
    part = tmp_path / said["weight_map"]["conv.g"]
    kept = part.read_bytes()
    part.unlink()
    refused(network, path, FileNotFoundError, part.name)
    part.write_bytes((tmp_path / said["weight_map"]["out.g"]).read_bytes())
    refused(network, path, DamagedFileError, "not those that its document names")
    part.write_bytes(kept)
    said["weight_map"]["conv.g"] = "../elsewhere.safetensors"
    index.write_text(json.dumps(said))
    refused(network, path, DamagedFileError, "does not lie beside it")


def test_no_chip_no_suffix_no_size(network, chip, tmp_path):
    with pytest.raises(mho.errors.NotProgrammedError, match="save_chip needs a programmed chip"):
        mho.save_chip(converted(network), tmp_path / "chip.safetensors")
    with pytest.raises(ValueError, match="ends with .safetensors"):
        mho.save_chip(chip, tmp_path / "chip.pt")
    with pytest.raises(ValueError, match="max_bytes = 0: give a whole number"):
        mho.save_chip(chip, tmp_path / "chip.safetensors", max_bytes=0)
    with pytest.raises(FileNotFoundError):
        mho.load_chip(chip, tmp_path / "other.safetensors")
    assert list(tmp_path.iterdir()) == []

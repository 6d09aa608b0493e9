from dataclasses import replace

import pandas as pd
import pytest
import torch

from mho.experiments import chips
from mho.experiments.chips import ChipStudy, on_chips, trained
from mho.experiments.fitting import Schedule
from mho.experiments.harness import run
from mho.experiments.models import SmallCNN

STUDY = ChipStudy(
    model=SmallCNN(first=2, second=4, hidden=8), training=Schedule(epochs=1, learning_rate=0.1), chips=1
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data():
    return STUDY.data.load()


@pytest.fixture
def stored(data, tmp_path):
    network = trained(STUDY, data, tmp_path, CPU)
    (path,) = tmp_path.glob("network-*.pt")
    return network.state_dict(), path


def test_a_stored_network_is_found(data, stored, monkeypatch):
    truth, path = stored
    monkeypatch.setattr(chips, "fit", None)
    again = trained(STUDY, data, path.parent, CPU)
    assert not again.training
    assert all(torch.equal(v, truth[k]) for k, v in again.state_dict().items())


def cut(path):
    path.write_bytes(path.read_bytes()[:3000])


def flip(path):
    content = bytearray(path.read_bytes())
    place = content.find(torch.load(path)["state"]["8.weight"].numpy().tobytes())
    content[place + 2] ^= 4
    path.write_bytes(content)


def other(path):
    torch.save({"weights": torch.zeros(3)}, path)


def reshaped(path):
    content = torch.load(path)
    torch.save({**content, "state": {k: v[None] for k, v in content["state"].items()}}, path)


def nothing(path):
    torch.save({**torch.load(path), "state": [1, 2]}, path)


def swapped(path):
    """That of another training, of the same shape."""
    content = torch.load(path)
    other = {k: torch.zeros_like(v) for k, v in content["state"].items()}
    torch.save({"name": "network-0123456789abcdef", "state": other}, path)


@pytest.mark.parametrize("damage", [cut, flip, other, reshaped, nothing, swapped])
def test_one_that_cannot_be_read_is_trained_again_with_a_warning(data, stored, damage):
    truth, path = stored
    whole = path.read_bytes()
    damage(path)
    assert path.read_bytes() != whole
    with pytest.warns(UserWarning, match=r"network-.*\.pt: .*the network is trained again"):
        again = trained(STUDY, data, path.parent, CPU)
    assert all(torch.equal(v, truth[k]) for k, v in again.state_dict().items())
    assert all(torch.equal(v, truth[k]) for k, v in torch.load(path)["state"].items())


def test_a_network_of_an_earlier_version_is_taken(data, stored, monkeypatch):
    truth, path = stored
    torch.save(torch.load(path)["state"], path)
    monkeypatch.setattr(chips, "fit", None)
    again = trained(STUDY, data, path.parent, CPU)
    assert all(torch.equal(v, truth[k]) for k, v in again.state_dict().items())


def short_of_memory(*arguments, **options):
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_out_of_memory_says_what_to_change(data, tmp_path, monkeypatch):
    network = trained(STUDY, data, tmp_path, CPU)
    with monkeypatch.context() as patch:
        patch.setattr(chips, "accuracy", short_of_memory)
        with pytest.raises(ValueError, match="on chips needs more memory than cpu has; compute on the CPU"):
            on_chips(STUDY, network, data)
    monkeypatch.setattr(chips, "fit", short_of_memory)
    with pytest.raises(ValueError, match="batch = 64: a training step needs more memory than cpu has; lower"):
        trained(STUDY, data, tmp_path / "other", CPU)


@pytest.mark.exhaustive
def test_workers_share_the_chips_and_the_network(data, tmp_path):
    study = replace(STUDY, chips=3)
    alone = run(study, tmp_path / "alone", shared=tmp_path)
    (path,) = tmp_path.glob("network-*.pt")
    written = path.stat().st_mtime_ns
    found = run(study, tmp_path / "out", shared=tmp_path, workers=2)
    pd.testing.assert_frame_equal(found.table, alone.table)
    assert path.stat().st_mtime_ns == written and not [*(tmp_path / "out").glob("*.pt")]
    assert study.headline(found.table) == on_chips(study, trained(study, data, tmp_path, CPU), data)

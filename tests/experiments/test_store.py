import json

import pytest
import torch

from mho.experiments.data import MNIST
from mho.experiments.files import DamagedFileError
from mho.experiments.fitting import Schedule
from mho.experiments.store import CONFIGURATION, LOG, OtherStudyError, Store, differences

STUDY = Schedule(epochs=3, learning_rate=0.1)


def test_records_survive(tmp_path):
    Store(tmp_path / "out", STUDY).append({"chip": 0, "accuracy": 0.5})
    second = Store(tmp_path / "out", STUDY)
    second.append({"chip": 1, "accuracy": 0.25})
    assert [(r["chip"], r["accuracy"]) for r in second.records] == [(0, 0.5), (1, 0.25)]
    assert Store(tmp_path / "out", STUDY).records == second.records


@pytest.mark.parametrize("torn", ["{", '{"study": 12, "chip": 1', '{"chip": 7}'])
def test_a_line_cut_short_is_dropped_and_the_next_one_is_whole(tmp_path, torn):
    Store(tmp_path, STUDY).append({"chip": 0})
    with (tmp_path / LOG).open("a") as file:
        file.write(torn)
    again = Store(tmp_path, STUDY)
    assert [r["chip"] for r in again.records] == [0]
    again.append({"chip": 1})
    assert [json.loads(line)["chip"] for line in (tmp_path / LOG).read_text().splitlines()] == [0, 1]


def test_a_damaged_line_is_named(tmp_path):
    Store(tmp_path, STUDY).append({"chip": 0})
    with (tmp_path / LOG).open("a") as file:
        file.write("garbage\n")
    with pytest.raises(ValueError, match=r"chips.jsonl, line 2: damaged"):
        Store(tmp_path, STUDY)


def test_another_configuration_is_refused_with_the_field(tmp_path):
    Store(tmp_path, STUDY).append({"chip": 0})
    with pytest.raises(OtherStudyError, match="study.epochs: it has 3, this run has 4") as error:
        Store(tmp_path, Schedule(epochs=4, learning_rate=0.1))
    assert str(tmp_path) in str(error.value)
    assert "Choose another output folder" in str(error.value)
    assert json.loads((tmp_path / CONFIGURATION).read_text())["study"]["epochs"] == 3


def test_records_and_networks_of_another_configuration_are_refused(tmp_path):
    other = Schedule(epochs=9, learning_rate=0.1)
    Store(tmp_path / "a", other).append({"chip": 0})
    Store(tmp_path / "a", other).save_network("net", {"w": torch.ones(2)}, {"seconds": 1.0})
    store = Store(tmp_path / "b", STUDY)
    (tmp_path / "a" / "net.pt").rename(tmp_path / "b" / "net.pt")
    with pytest.raises(OtherStudyError, match="net.pt"):
        store.load_network("net")
    (tmp_path / "a" / LOG).rename(tmp_path / "b" / LOG)
    with pytest.raises(OtherStudyError, match="line 1"):
        Store(tmp_path / "b", STUDY)


def test_networks_come_back_bit_for_bit(tmp_path):
    store = Store(tmp_path, STUDY)
    state = {
        "w": torch.randn(3, 4),
        "n": torch.tensor(7),
        "t": torch.tensor(31_536_000.5, dtype=torch.float64),
    }
    assert not store.has("net")
    store.save_network("net", state, {"seconds": 2.5})
    loaded, facts = store.load_network("net")
    assert store.has("net")
    assert facts == {"seconds": 2.5}
    assert all(torch.equal(loaded[k], v) and loaded[k].dtype == v.dtype for k, v in state.items())


def test_a_folder_without_results_belongs_to_who_asks_next(tmp_path):
    other = Schedule(epochs=4, learning_rate=0.1)
    Store(tmp_path, STUDY)
    Store(tmp_path, other)
    assert json.loads((tmp_path / CONFIGURATION).read_text())["study"]["epochs"] == 4
    (tmp_path / CONFIGURATION).write_text("{")
    Store(tmp_path, other).save_network("net", {"w": torch.ones(2)}, {})
    with pytest.raises(OtherStudyError, match="epochs: it has 4, this run has 3"):
        Store(tmp_path, STUDY)


def test_other_images_are_another_configuration(tmp_path):
    Store(tmp_path, STUDY, images="a").append({"chip": 0})
    assert len(Store(tmp_path, STUDY, images="a").records) == 1
    with pytest.raises(OtherStudyError, match='images: it has "a", this run has "b"'):
        Store(tmp_path, STUDY, images="b")


def test_a_damaged_network_is_named(tmp_path):
    store = Store(tmp_path, STUDY)
    store.save_network("net", {"w": torch.ones(2000)}, {"seconds": 2.5})
    whole = (tmp_path / "net.pt").read_bytes()
    for broken in (whole[:3000], whole.replace(torch.ones(1).numpy().tobytes(), b"0123", 1)):
        (tmp_path / "net.pt").write_bytes(broken)
        with pytest.raises(DamagedFileError, match="net.pt: damaged"):
            store.load_network("net")


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(ValueError, match="this is a file"):
        Store(tmp_path / "out", STUDY)


def test_nothing_half_written_is_left(tmp_path):
    store = Store(tmp_path, STUDY)
    with pytest.raises(ValueError, match="JSON"):
        store.write_json("a.json", {"x": float("nan")})
    assert sorted(p.name for p in tmp_path.iterdir()) == [CONFIGURATION]


def test_differences_go_into_nested_values():
    held = {"a": {"b": 1, "c": [1, 2]}, "gone": 1}
    wanted = {"a": {"b": 2, "c": [1, 2]}, "new": 3}
    assert differences(held, wanted) == [
        "a.b: it has 1, this run has 2",
        'gone: it has 1, this run has "nothing"',
        'new: it has "nothing", this run has 3',
    ]
    assert differences(held, held) == []


def test_a_kind_that_differs_is_named(tmp_path):
    Store(tmp_path, STUDY).append({"chip": 0})
    with pytest.raises(OtherStudyError, match="kind"):
        Store(tmp_path, MNIST())


def test_another_version_is_refused(tmp_path, monkeypatch):
    Store(tmp_path, STUDY).append({"chip": 0})
    monkeypatch.setattr("mho.__version__", "99.0")
    with pytest.raises(OtherStudyError, match=r"mho: it has .*, this run has .99\.0"):
        Store(tmp_path, STUDY)

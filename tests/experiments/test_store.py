import errno
import json
import math
import os

import pytest
import torch

from mho.config import digest
from mho.config.sealed import DamagedFileError, sealed
from mho.experiments.data import MNIST
from mho.experiments.fitting import Schedule
from mho.experiments.lock import FolderInUseError
from mho.experiments.store import (
    CONFIGURATION,
    DamagedRecordError,
    Log,
    OtherStudyError,
    Store,
    differences,
)

STUDY = Schedule(epochs=3, learning_rate=0.1)
LOG = Log("chips.jsonl", key=("chip",), bounds={"accuracy": (0, 1), "took": (0, math.inf)})


def visible(folder):
    """Files that are no business of the lock."""
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))


def append(folder, record, study=STUDY):
    with Store(folder, study, LOG) as store:
        store.append(record)


def test_records_survive(tmp_path):
    with Store(tmp_path / "out", STUDY, LOG) as first:
        first.append({"chip": 0, "accuracy": 0.5})
    with Store(tmp_path / "out", STUDY, LOG) as second:
        second.append({"chip": 1, "accuracy": 0.25})
    assert [(r["chip"], r["accuracy"]) for r in second.records] == [(0, 0.5), (1, 0.25)]
    with Store(tmp_path / "out", STUDY, LOG) as third:
        assert third.records == second.records


@pytest.mark.parametrize("torn", ["{", '{"study": 12, "chip": 1', '{"chip": 7}'])
def test_a_line_cut_short_is_dropped_and_the_next_one_is_whole(tmp_path, torn):
    append(tmp_path, {"chip": 0})
    with (tmp_path / LOG.name).open("a") as file:
        file.write(torn)
    with Store(tmp_path, STUDY, LOG) as again:
        assert [r["chip"] for r in again.records] == [0]
        again.append({"chip": 1})
    assert [json.loads(line)["chip"] for line in (tmp_path / LOG.name).read_text().splitlines()] == [0, 1]


def test_a_damaged_line_is_named(tmp_path):
    append(tmp_path, {"chip": 0})
    with (tmp_path / LOG.name).open("a") as file:
        file.write("garbage\n")
    with pytest.raises(DamagedRecordError, match=r"chips.jsonl, line 2: damaged"):
        Store(tmp_path, STUDY, LOG)


def test_another_configuration_is_refused_with_the_field(tmp_path):
    append(tmp_path, {"chip": 0})
    with pytest.raises(OtherStudyError, match="study.epochs: it has 3, this run has 4") as error:
        Store(tmp_path, Schedule(epochs=4, learning_rate=0.1))
    assert str(tmp_path) in str(error.value)
    assert "Choose another output folder" in str(error.value)
    assert json.loads((tmp_path / CONFIGURATION).read_text())["study"]["epochs"] == 3


def test_records_and_networks_of_another_configuration_are_refused(tmp_path):
    other = Schedule(epochs=9, learning_rate=0.1)
    append(tmp_path / "a", {"chip": 0}, other)
    with Store(tmp_path / "a", other) as store:
        store.save_network("net", {"w": torch.ones(2)}, {"seconds": 1.0})
    with Store(tmp_path / "b", STUDY) as store:
        (tmp_path / "a" / "net.pt").rename(tmp_path / "b" / "net.pt")
        with pytest.raises(OtherStudyError, match="net.pt"):
            store.load_network("net")
    (tmp_path / "a" / LOG.name).rename(tmp_path / "b" / LOG.name)
    with pytest.raises(OtherStudyError, match="line 1"):
        Store(tmp_path / "b", STUDY, LOG)


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
    with Store(tmp_path, STUDY, LOG, images="a") as store:
        store.append({"chip": 0})
    with Store(tmp_path, STUDY, LOG, images="a") as store:
        assert len(store.records) == 1
    with pytest.raises(OtherStudyError, match='images: it has "a", this run has "b"'):
        Store(tmp_path, STUDY, images="b")


def test_networks_that_were_swapped_are_named(tmp_path):
    """They fit each other's description, and would be tested in each other's name."""
    store = Store(tmp_path, STUDY)
    for name in ("plain", "aware"):
        store.save_network(name, {"w": torch.ones(2)}, {"seconds": 2.5})
    (tmp_path / "plain.pt").replace(tmp_path / "aware.pt")
    with pytest.raises(DamagedFileError, match=r"aware.pt: this is the network 'plain'; remove it and run"):
        store.load_network("aware")


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
    assert visible(tmp_path) == [CONFIGURATION]


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
    append(tmp_path, {"chip": 0})
    with pytest.raises(OtherStudyError, match="kind"):
        Store(tmp_path, MNIST())


def test_another_version_is_refused(tmp_path, monkeypatch):
    append(tmp_path, {"chip": 0})
    monkeypatch.setattr("mho.__version__", "99.0")
    with pytest.raises(OtherStudyError, match=r"mho: it has .*, this run has .99\.0"):
        Store(tmp_path, STUDY)


# --- one process at a time -----------------------------------------------------------------------


def test_a_folder_in_use_is_refused_by_name_and_free_again_afterwards(tmp_path):
    with (
        Store(tmp_path, STUDY, LOG),
        pytest.raises(FolderInUseError, match=rf"{tmp_path}: process {os.getpid()} on .* is working"),
    ):
        Store(tmp_path, STUDY, LOG)
    Store(tmp_path, STUDY, LOG).close()


def test_a_store_that_is_refused_leaves_no_lock(tmp_path):
    append(tmp_path, {"chip": 0})
    with pytest.raises(OtherStudyError):
        Store(tmp_path, Schedule(epochs=4, learning_rate=0.1), LOG)
    Store(tmp_path, STUDY, LOG).close()


def test_helpers_of_the_holder_come_in(tmp_path):
    with Store(tmp_path, STUDY, LOG) as store:
        Store(tmp_path, STUDY, helps=True).save_network("net", {"w": torch.ones(2)}, {})
        assert store.has("net")
        with pytest.raises(ValueError, match="keeps no records"):
            Store(tmp_path, STUDY, helps=True).append({"chip": 0})


def test_a_file_system_without_locks_warns_and_lets_in(tmp_path, monkeypatch):
    def refused(self, **_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("filelock.FileLock.acquire", refused)
    with pytest.warns(UserWarning, match="no locks .* one process at a time"):
        store = Store(tmp_path, STUDY, LOG)
    store.append({"chip": 0})
    store.close()


def test_a_piece_that_was_done_twice_counts_once(tmp_path):
    append(tmp_path, {"chip": 0, "accuracy": 0.5})
    append(tmp_path, {"chip": 1, "accuracy": 0.25})
    lines = (tmp_path / LOG.name).read_text()
    (tmp_path / LOG.name).write_text(lines + lines)  # as two processes without locks would have it
    with Store(tmp_path, STUDY, LOG) as store:
        assert [(r["chip"], r["accuracy"]) for r in store.records] == [(0, 0.5), (1, 0.25)]
        store.append({"chip": 0, "accuracy": 0.75})  # done anew: the last one counts
        assert [(r["chip"], r["accuracy"]) for r in store.records] == [(0, 0.75), (1, 0.25)]


# --- records that were changed -------------------------------------------------------------------


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        ("0.512345", "7.5", r"accuracy = 7.5, which is not within 0 and 1"),
        ("0.512345", "NaN", r"accuracy = nan"),
        ("0.512345", "Infinity", r"accuracy = inf"),
        ("0.512345", "-0.1", r"accuracy = -0.1"),
        ("0.512345", "0.521345", "its checksum is not that of its content"),
        ("0.512345", "0.512346", "its checksum is not that of its content"),
        ('"chip": 1', '"chip": 2', "its checksum is not that of its content"),
        ('"chip": 1,', "", "its checksum is not that of its content"),
        ('"chip": 1', '"chip": 1, "chip": 2', "'chip' is there twice"),
        ('"check"', '"old"', "it has no checksum"),
        ('{"study"', '{"student"', "it is no record"),
    ],
)
def test_a_record_that_was_changed_is_noticed(tmp_path, old, new, sentence):
    append(tmp_path, {"chip": 0, "accuracy": 0.5})
    append(tmp_path, {"chip": 1, "accuracy": 0.512345, "took": 1.5})
    path = tmp_path / LOG.name
    text = path.read_text()
    assert text.count(old) in (1, 2)
    first, second = text.splitlines(keepends=True)
    path.write_text(first + second.replace(old, new))
    with pytest.raises(DamagedRecordError, match=rf"chips.jsonl, line 2: .*{sentence}.*remove this line"):
        Store(tmp_path, STUDY, LOG)
    path.write_text(first)  # what the sentence says
    with Store(tmp_path, STUDY, LOG) as store:
        assert [r["chip"] for r in store.records] == [0]


@pytest.mark.parametrize("value", [7.5, math.nan, -math.inf])
def test_an_impossible_figure_is_not_recorded(tmp_path, value):
    with Store(tmp_path, STUDY, LOG) as store, pytest.raises(ValueError, match="accuracy = .* impossible"):
        store.append({"chip": 0, "rows": [{"accuracy": 0.5}, {"accuracy": value}]})
    assert not (tmp_path / LOG.name).exists()


def test_spaces_and_order_of_a_record_do_not_matter(tmp_path):
    append(tmp_path, {"chip": 0, "accuracy": 1e-17 + 0.1, "zero": -0.0})
    path = tmp_path / LOG.name
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(fields.items())), separators=(",", ":")) + "\n")
    with Store(tmp_path, STUDY, LOG) as store:
        assert len(store.records) == 1


def test_a_field_that_a_description_has_got_since_is_at_its_default(tmp_path):
    append(tmp_path, {"chip": 0})
    path, log = tmp_path / CONFIGURATION, tmp_path / LOG.name
    held = json.loads(path.read_text())
    del held["check"], held["study"]["momentum"]  # as if Schedule had no momentum then
    record = json.loads(log.read_text())
    path.write_text(json.dumps(held))
    log.write_text(json.dumps(sealed({"study": digest(held), "chip": record["chip"]})) + "\n")
    with Store(tmp_path, STUDY, LOG) as store:
        assert [r["chip"] for r in store.records] == [0]
        store.append({"chip": 1})
    with Store(tmp_path, STUDY, LOG) as store:
        assert [r["chip"] for r in store.records] == [0, 1]
    with pytest.raises(OtherStudyError, match=r"study\.momentum: it has 0\.9, this run has 0\.5"):
        Store(tmp_path, Schedule(epochs=3, learning_rate=0.1, momentum=0.5), LOG)

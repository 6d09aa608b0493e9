import pytest

from mho.experiments.data import SST2, MissingDataError
from mho.experiments.data.sst2 import read_tsv

TRAIN = [
    ("hide new secretions from the parental units ", 0),
    ("contains no wit , only labored gags ", 0),
    ("that loves its characters and communicates something rather beautiful about human nature ", 1),
    ("remains utterly satisfied to remain the same throughout ", 0),
    ('" the " \\ film ', 1),
]
DEV = [("it 's a charming and often affecting journey . ", 1), ("unflinchingly bleak and desperate ", 0)]


def write_tsv(path, pairs, end="\n"):
    """The published layout: a head, then a sentence that ends in a space (not in dev), a tab, the label."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["sentence\tlabel", *(f"{text}\t{label}" for text, label in pairs)]
    path.write_bytes((end.join(lines) + end).encode())


def write_glue(folder, end="\n"):
    write_tsv(folder / "train.tsv", TRAIN, end)
    write_tsv(folder / "dev.tsv", DEV, end)
    (folder / "test.tsv").write_text("index\tsentence\n0\tuneasy mishmash of styles and genres .\n")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("inner", ["", "SST-2", "glue_data/SST-2"])
def test_the_files_of_glue_are_read(tmp_path, inner, end):
    write_glue(tmp_path / inner, end)
    data = SST2(validation=2).load(tmp_path)
    assert data.classes == ("negative", "positive")
    assert data.train.texts == tuple(text.strip() for text, _ in TRAIN[:3])
    assert data.train.labels.tolist() == [0, 0, 1]
    assert data.validation.texts[1] == '" the " \\ film'
    assert data.test.texts[0] == "it 's a charming and often affecting journey ."
    assert data.test.labels.tolist() == [1, 0]


def test_a_tenth_is_validation_by_default(tmp_path):
    write_glue(tmp_path)
    write_tsv(tmp_path / "train.tsv", TRAIN * 8)
    data = SST2().load(tmp_path)
    assert (len(data.train), len(data.validation)) == (36, 4)
    with pytest.raises(ValueError, match="validation = 40: it must leave some of the 40"):
        SST2(validation=40).load(tmp_path)


def test_missing_files_are_named(tmp_path):
    write_glue(tmp_path)
    (tmp_path / "dev.tsv").unlink()
    with pytest.raises(MissingDataError, match=r"dev\.tsv") as error:
        SST2().load(tmp_path)
    assert "train.tsv" in str(error.value)
    assert str(tmp_path) in str(error.value)
    with pytest.raises(MissingDataError, match="--data FOLDER"):
        SST2().load()
    with pytest.raises(MissingDataError, match="no such folder"):
        SST2().load(tmp_path / "absent")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "first line must be"),
        ("index\tsentence\n0\tgood\n", "first line must be"),
        ("sentence\tlabel\ngood film\n", "line 2: 'good film'"),
        ("sentence\tlabel\ngood film\t1\nbad film\t2\n", "line 3: 'bad film"),
        ("sentence\tlabel\n", "no texts"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, message):
    path = tmp_path / "train.tsv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        read_tsv(path)
    assert str(path) in str(error.value)


def columns(pairs):
    return {"sentence": [t for t, _ in pairs], "label": [n for _, n in pairs], "idx": list(range(len(pairs)))}


@pytest.mark.parametrize("layout", ["save_to_disk", "cache"])
def test_the_arrow_files_of_datasets_are_read(tmp_path, layout):
    datasets = pytest.importorskip("datasets")
    parts = {"train": TRAIN, "validation": DEV, "test": [(text, -1) for text, _ in DEV]}
    made = {name: datasets.Dataset.from_dict(columns(pairs)) for name, pairs in parts.items()}
    if layout == "save_to_disk":
        datasets.DatasetDict(made).save_to_disk(tmp_path / "sst2")
    else:
        inner = tmp_path / "glue" / "sst2" / "0.0.0" / "abc"
        inner.mkdir(parents=True)
        for name, part in made.items():
            part.save_to_disk(tmp_path / "made" / name)
            (tmp_path / "made" / name / "data-00000-of-00001.arrow").rename(inner / f"glue-{name}.arrow")
    data = SST2(validation=2).load(tmp_path)
    assert data.train.texts == tuple(text.strip() for text, _ in TRAIN[:3])
    assert data.test.labels.tolist() == [1, 0]
    assert "Arrow" in data.origin


def test_two_data_sets_in_one_folder_are_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "train").mkdir(parents=True)
        (tmp_path / name / "train" / "data-00000-of-00001.arrow").touch()
    with pytest.raises(ValueError, match="more than one data set"):
        SST2().load(tmp_path)


def test_other_arrow_files_are_refused(tmp_path):
    datasets = pytest.importorskip("datasets")
    part = datasets.Dataset.from_dict({"text": ["a"]})
    datasets.DatasetDict({"train": part, "validation": part}).save_to_disk(tmp_path)
    with pytest.raises(ValueError, match="not SST-2"):
        SST2().load(tmp_path)

import pytest

from mho.experiments.data import MissingDataError, WikiText2
from mho.experiments.data.wikitext import FILES

# As published: a line begins and ends with a space, empty lines hold one space, rare words are <unk>.
TRAIN = " \n = Valkyria Chronicles = \n \n Senjō no <unk> 3 : the game the @-@ war \n"
VALID = " \n = Robert = \n \n the game of <unk> \n"
TEST = " \n the war \n"


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip(FILES, (TRAIN, VALID, TEST), strict=True):
        (folder / name).write_text(text, encoding="utf-8")


def spelt(words, part):
    return " ".join(words.vocabulary[n] for n in getattr(words, part).tolist())


@pytest.mark.parametrize("inner", ["", "wikitext-2"])
def test_the_published_files_are_read(tmp_path, inner):
    write(tmp_path / inner)
    words = WikiText2().load(tmp_path)
    assert spelt(words, "train") == (
        "<eos> = Valkyria Chronicles = <eos> <eos> Senjō no <unk> 3 : the game the @-@ war <eos>"
    )
    assert spelt(words, "validation") == "<eos> = <unk> = <eos> <eos> the game <unk> <unk> <eos>"
    assert spelt(words, "test") == "<eos> the war <eos>"
    assert len(words.vocabulary) == 13


def test_a_cap_on_the_vocabulary(tmp_path):
    write(tmp_path)
    words = WikiText2(vocabulary=4).load(tmp_path)
    assert words.vocabulary == ("<unk>", "<eos>", "=", "the")
    assert spelt(words, "test") == "<eos> the <unk> <eos>"


def test_missing_files_are_named(tmp_path):
    write(tmp_path)
    (tmp_path / "wiki.valid.tokens").unlink()
    with pytest.raises(MissingDataError) as error:
        WikiText2().load(tmp_path)
    assert all(name in str(error.value) for name in FILES)
    with pytest.raises(MissingDataError, match="--data FOLDER"):
        WikiText2().load()
    with pytest.raises(MissingDataError, match="no such folder"):
        WikiText2().load(tmp_path / "absent")


def test_an_empty_file_is_named(tmp_path):
    write(tmp_path)
    (tmp_path / "wiki.valid.tokens").write_text("")
    with pytest.raises(ValueError, match="the validation part has no words"):
        WikiText2().load(tmp_path)


def test_the_arrow_files_of_datasets_hold_the_same_words(tmp_path):
    datasets = pytest.importorskip("datasets")
    write(tmp_path / "files")
    names = ("train", "validation", "test")
    parts = {
        name: datasets.Dataset.from_dict({"text": [line.strip(" ") for line in text.splitlines()]})
        for name, text in zip(names, (TRAIN, VALID, TEST), strict=True)
    }
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "arrow")
    assert WikiText2().load(tmp_path / "arrow").digest == WikiText2().load(tmp_path / "files").digest

import hashlib
import math

import pytest
import torch

from mho.experiments.data.language import UNKNOWN, balanced, numbered, rows, windows


def groups(**counts):
    return {name: [f"{name} text {k}" for k in range(n)] for name, n in counts.items()}


def test_the_target_of_each_word_is_the_next_one_and_no_word_is_used_twice():
    words = torch.arange(100, 123)
    x, y = windows(words, 5).tensors
    assert x.shape == y.shape == (4, 5)
    assert torch.equal(x.flatten(), words[:20])
    assert torch.equal(y, x + 1)


@pytest.mark.parametrize("length", [0, -1, 3, 4])
def test_a_window_that_does_not_fit_is_refused(length):
    with pytest.raises(ValueError, match=f"length = {length}: 3 words hold no whole piece"):
        windows(torch.arange(3), length)


def test_the_smallest_window():
    x, y = windows(torch.tensor([7, 8]), 1).tensors
    assert x.tolist() == [[7]]
    assert y.tolist() == [[8]]


def test_rows_are_consecutive_and_equally_long():
    found = rows(torch.arange(11), 3)
    assert found.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    with pytest.raises(ValueError, match="count = 12"):
        rows(torch.arange(11), 12)


def test_the_vocabulary_is_that_of_the_training_part_by_frequency():
    words = numbered([["b", "a", "b", UNKNOWN, "c"], ["a", "z"], ["c"]], None, "here")
    assert words.vocabulary == (UNKNOWN, "b", "a", "c")
    assert words.train.tolist() == [1, 2, 1, 0, 3]
    assert words.validation.tolist() == [2, 0]
    assert words.test.dtype == torch.int64


def test_a_cap_keeps_the_most_frequent_words():
    words = numbered([["b", "a", "b", "c"], ["a"], ["c"]], 2, "here")
    assert words.vocabulary == (UNKNOWN, "b")
    assert words.train.tolist() == [1, 0, 1, 0]


def test_an_empty_part_is_refused():
    with pytest.raises(ValueError, match="the validation part has no words"):
        numbered([["a"], [], ["a"]], None, "here")


def test_every_part_and_every_beginning_of_it_is_balanced():
    data = balanced(groups(a=57, b=203, c=41), 0, "here")
    assert [len(p) for p in (data.train, data.validation, data.test)] == [3 * 33, 3 * 4, 3 * 4]
    for part in (data.train[:30], data.validation, data.test):
        assert torch.bincount(part.labels).unique().numel() == 1
        assert all(text.startswith(data.classes[k]) for text, k in zip(part.texts, part.labels, strict=True))


def test_no_text_is_in_two_parts_or_twice_in_one():
    twice = {name: texts + [t.upper() for t in texts] for name, texts in groups(a=40, b=40).items()}
    data = balanced(twice, 0, "here")
    everything = [t.casefold() for p in (data.train, data.validation, data.test) for t in p.texts]
    assert len(everything) == len(set(everything)) == 80


def test_a_text_of_two_classes_is_in_none():
    found = groups(a=20, b=20)
    found["b"].append("A text 3")
    data = balanced(found, 0, "here")
    texts = {t.casefold() for p in (data.train, data.validation, data.test) for t in p.texts}
    assert "a text 3" not in texts
    assert len([t for t in texts if t.startswith("a")]) == 19


def test_the_split_follows_the_seed_and_not_the_order_of_the_texts():
    found = groups(a=60, b=60)
    turned = {name: texts[::-1] for name, texts in found.items()}
    first, again, other = balanced(found, 0, "x"), balanced(turned, 0, "x"), balanced(found, 1, "x")
    assert first.train.texts == again.train.texts
    assert first.digest == again.digest
    assert set(first.test.texts) != set(other.test.texts)


def test_a_text_more_moves_few_others():
    """The order is one of hashes: where a text stands does not depend on how many there are."""
    found = groups(a=500, b=500)
    before = balanced(found, 0, "x")
    found["a"].append("one more")
    after = balanced(found, 0, "x")
    assert len(set(before.test.texts) & set(after.test.texts)) >= len(before.test) - 2


def test_a_poor_class_is_named():
    with pytest.raises(ValueError, match="only 9 texts of 'b'"):
        balanced(groups(a=40, b=9), 0, "here")


def test_digests_tell_any_change():
    data = balanced(groups(a=20, b=20), 0, "here")
    digests = {data.digest, data.limited(train=10).digest, data.limited(test=2).digest}
    words = numbered([["a", "b"], ["a"], ["b"]], None, "here")
    digests |= {
        words.digest,
        words.limited(train=1).digest,
        numbered([["a"], ["b"], ["a"]], None, "x").digest,
    }
    assert len(digests) == 6
    assert all(len(digest) == hashlib.sha256().digest_size * 2 for digest in digests)


def test_the_hash_splits_like_chance():
    """A tenth of the texts is the test part of seed 0 and of seed 1: a hundredth is in both."""
    found = groups(a=2000)
    found = {"a": found["a"], "b": [t.replace("a", "b") for t in found["a"]]}
    common = set(balanced(found, 0, "x").test.texts) & set(balanced(found, 1, "x").test.texts)
    assert abs(len(common) - 40) < 5 * math.sqrt(40)

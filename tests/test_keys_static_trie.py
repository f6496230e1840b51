"""``StaticTrie`` against a dictionary and the sorted words: Unicode, batches, prefixes, bad input, memory."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from sys import getsizeof
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragcourse.indexes.keys import StaticTrie, Trie
from ragcourse.indexes.keys.trie import Node
from ragcourse.words import english_words

# Letters of one to four bytes, halves of a surrogate pair, and the bytes that mark ends inside the trie.
LETTERS = "ab\x00\x7fé\u0800\ud83d\ude00\U0001f600\U0010ffff"
WORDS = st.text(alphabet=LETTERS, max_size=4)


@given(words=st.lists(WORDS, unique=True, max_size=200), others=st.lists(WORDS, max_size=20))
def test_agrees_with_a_dictionary(words: list[str], others: list[str]) -> None:
    trie: StaticTrie[int] = StaticTrie(words)
    trie.check()
    places = {word: place for place, word in enumerate(words)}
    batch = [*words, *others, *reversed(words)]
    assert trie.find_many(batch).tolist() == [places.get(word, -1) for word in batch]
    assert list(trie) == sorted(places.items())
    assert len(trie) == len(words)
    for word in others:
        assert trie.get(word) == ([places[word]] if word in places else [])
        assert (word in trie) is (word in places)


@given(words=st.lists(WORDS, unique=True, max_size=40), prefix=WORDS, limit=st.none() | st.integers(0, 4))
def test_prefixes(words: list[str], prefix: str, limit: int | None) -> None:
    trie = StaticTrie(words, values=[word.upper() for word in words])
    expected = [(word, word.upper()) for word in sorted(words) if word.startswith(prefix)]
    assert list(trie.prefix(prefix, limit)) == expected[:limit]


@given(words=st.lists(st.text(max_size=8), unique=True), others=st.lists(st.text(max_size=8)))
def test_all_of_unicode(words: list[str], others: list[str]) -> None:
    trie: StaticTrie[int] = StaticTrie(words)
    found = trie.find_many(words + others).tolist()
    assert found == [words.index(word) if word in words else -1 for word in words + others]
    assert [word for word, _ in trie.prefix("")] == sorted(words)


def test_english_words() -> None:
    words = random.Random(0).sample(english_words(), 5_000)
    known, unknown = words[::2], words[1::2]
    trie: StaticTrie[int] = StaticTrie(known)
    trie.check()
    assert (trie.find_many(known) == np.arange(len(known))).all()
    assert (trie.find_many(unknown) == -1).all()
    assert (trie.find_many([word[:-1] for word in known if word[:-1] not in set(known)]) == -1).all()
    assert sum(1 for _ in trie.prefix("un")) == sum(word.startswith("un") for word in known)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 128, 129])
def test_batches_of_any_size(count: int) -> None:
    words = [f"{number:03}" for number in range(200)]
    trie: StaticTrie[int] = StaticTrie(words)
    found = trie.find_many(words[:count])
    assert found.dtype == np.int64
    assert found.tolist() == list(range(count))


@pytest.mark.parametrize("words", [[], [""], ["a"], ["", "a"], ["a" * 5_000, "a" * 5_000 + "b"], ("b", "a")])
def test_few_and_strange_words(words: Any) -> None:
    trie: StaticTrie[int] = StaticTrie(words)
    trie.check()
    assert [word for word, _ in trie] == sorted(words)
    assert [trie.get(word) for word in words] == [[place] for place in range(len(words))]
    assert trie.get("absent") == []
    assert trie.get("aa") == []


def test_256_different_beginnings() -> None:
    words = [chr(point) for point in range(0x3000)]
    trie: StaticTrie[int] = StaticTrie(words)
    trie.check()
    assert (trie.find_many(words) == np.arange(len(words))).all()


def none_of(words: Any) -> Callable[[], object]:
    return lambda: StaticTrie(words)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (none_of(["a", "b", "a"]), ValueError, "the word 'a' is there twice"),
        (none_of(["", ""]), ValueError, "the word '' is there twice"),
        (none_of(["a", 3]), TypeError, "the key 3 is of type int; a trie wants str"),
        (none_of([b"a"]), TypeError, "a trie wants str"),
        (none_of("cat"), TypeError, "'cat' is one word; give a sequence of words"),
        (lambda: StaticTrie(["a"], values=[]), ValueError, "there are 1 words and 0 values"),
        (lambda: StaticTrie(["a"]).find_many("a"), TypeError, "'a' is one word"),
        (lambda: StaticTrie(["a"]).find_many(["a", None]), TypeError, "the key None"),  # type: ignore[list-item]
        (lambda: StaticTrie(["a"]).get(3), TypeError, "the key 3"),  # type: ignore[arg-type]
        (lambda: StaticTrie(["a"]).prefix("a", limit=-1), ValueError, "limit is -1"),
    ],
)
def test_bad_input(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def bytes_of_objects(trie: Trie[int]) -> int:
    """Nodes, their tables of children, their lists of values; not the letters and values themselves."""
    total, stack = 0, [trie._root]
    while stack:
        node: Node = stack.pop()
        stack.extend(node.children.values())
        collector = 16  # bytes that the garbage collector keeps before each node
        total += getsizeof(node) + collector + getsizeof(node.children)
        total += 0 if node.values is None else getsizeof(node.values)
    return total


def test_memory_is_a_thirtieth_of_objects() -> None:
    words = english_words()[::20]
    trie: Trie[int] = Trie()
    trie.add_all(zip(words, range(len(words)), strict=True))
    assert StaticTrie(words).memory_bytes * 30 < bytes_of_objects(trie)


def test_no_read_outside_the_arrays(tmp_path: Any) -> None:
    """The compiler can check every index, where it is asked to, in a process of its own."""
    program = """
from ragcourse.indexes.keys import StaticTrie
words = ["", "a", "ab", "abc", "b\\U0001f600", "\\U0001f600", "zzzz"]
for count in range(len(words) + 1):
    trie = StaticTrie(words[:count])
    trie.check()
    trie.find_many([*words, "abcd", "zz", "zzzzz", "\\U0010ffff", "\\x00"] * 20)
print("inside")
"""
    settings = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=settings, capture_output=True, text=True)
    assert done.stdout.strip() == "inside", done.stderr

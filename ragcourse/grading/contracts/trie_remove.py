"""Exercise 3.1: take a value out of a trie, and with the last one every node that leads nowhere.

The lesson's trie is a dictionary of dictionaries, so the contract can say what must be left of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ragcourse.grading.cases import for_each
from ragcourse.grading.contract import Contract
from ragcourse.grading.expect import Mismatch, expect_equal, expect_error

contract = Contract("3.1", task="remove a value from a trie, and prune what leads to no word any more")

END = ""  # the key under which a node keeps the values of the word that ends there
Pairs = list[tuple[str, int]]
Nested = dict[str, Any]


def _nested(pairs: Sequence[tuple[str, int]]) -> Nested:
    """The trie that has these words, and no node more."""
    root: Nested = {}
    for word, value in pairs:
        node = root
        for letter in word:
            node = node.setdefault(letter, {})
        node.setdefault(END, []).append(value)
    return root


def _filled(implementation: Any, pairs: Sequence[tuple[str, int]]) -> Any:
    trie = implementation()
    for word, value in pairs:
        trie.add(word, value)
    return trie


def _without(pairs: Pairs, gone: tuple[str, int]) -> Pairs:
    place = pairs.index(gone)
    return pairs[:place] + pairs[place + 1 :]


def _expect_values(trie: Any, pairs: Pairs, words: Sequence[str], given: object, cause: str) -> None:
    expected = {word: [value for known, value in pairs if known == word] for word in words}
    expect_equal({word: trie.get(word) for word in words}, expected, given=given, cause=cause)


def _try(implementation: Any, words: Sequence[str], gone: str, cause: str) -> None:
    """One value a word, one word removed: what get() says afterwards."""
    pairs = [(word, value) for value, word in enumerate(words)]
    left = _without(pairs, (gone, words.index(gone)))
    trie = _filled(implementation, pairs)
    trie.remove(gone, words.index(gone))
    _expect_values(trie, left, words, f"words {' '.join(words)}; remove {gone!r}", cause)


def _letters(rng: np.random.Generator, length: int) -> str:
    return "".join(rng.choice(list("abcdefgh"), size=length, replace=False))


@contract.check(
    "a removed word is gone, the others stay", points=1, cause="does remove() find the word's node?"
)
def gone(Trie: Any, rng: np.random.Generator) -> None:
    word, other = _letters(rng, 3), "zoo"
    _try(Trie, [word, other], word, "after remove(word, value) get(word) is empty")
    _try(Trie, [word, other], other, "after remove(word, value) get(word) is empty")


@contract.check("a word goes on as the beginning of longer ones", points=2)
def beginning(Trie: Any, rng: np.random.Generator) -> None:
    stem = _letters(rng, 3)
    cause = "only the end mark goes: the node itself is still on the way to longer words"
    _try(Trie, [stem, stem + "s"], stem, cause)
    _try(Trie, [stem + "x", stem, stem + "yz"], stem, cause)
    _try(Trie, ["", stem], "", cause)


@contract.check("a shorter word on the same path stays", points=2)
def shorter(Trie: Any, rng: np.random.Generator) -> None:
    stem = _letters(rng, 3)
    cause = "prune upwards, but stop at a node where another word ends or from which another branch leaves"
    _try(Trie, [stem, stem + "s"], stem + "s", cause)
    _try(Trie, [stem[:1], stem], stem, cause)
    _try(Trie, [stem + "ab", stem + "ac"], stem + "ab", cause)


@contract.check("one value of several goes, the others stay in order", points=2)
def values(Trie: Any, rng: np.random.Generator) -> None:
    word = _letters(rng, 3)
    numbers = rng.permutation(9)[:3].tolist()
    for place in range(3):
        pairs: Pairs = [(word, number) for number in numbers]
        trie = _filled(Trie, pairs)
        trie.remove(word, numbers[place])
        given = f"{word!r} with {numbers}; remove({word!r}, {numbers[place]})"
        cause = "take this one value off the list; the word goes when the list is empty"
        _expect_values(trie, _without(pairs, pairs[place]), [word], given, cause)
    twice: Pairs = [(word, 7), (word, 1), (word, 7)]
    trie = _filled(Trie, twice)
    trie.remove(word, 7)
    cause = "of equal values the first goes, and no other"
    _expect_values(trie, twice[1:], [word], f"{word!r} with [7, 1, 7]; remove({word!r}, 7)", cause)


@contract.check("no node is left that leads to no word", points=3)
def pruned(Trie: Any, rng: np.random.Generator) -> None:
    cause = (
        "cut from the end of the word upwards, each node that has become empty; an empty list of values, too"
    )
    stem = _letters(rng, 4)
    for words in ([stem], [stem[:1], stem], [stem[:2] + "x", stem], [stem, stem + "st"], ["", stem]):
        pairs: Pairs = [(word, value) for value, word in enumerate(words)]
        for victim in pairs:
            trie = _filled(Trie, pairs)
            trie.remove(*victim)
            given = f"words {' '.join(map(repr, words))}; remove {victim[0]!r}; then trie.root"
            expect_equal(trie.root, _nested(_without(pairs, victim)), given=given, cause=cause)


@contract.check("what is not there is a KeyError, and nothing changes", points=2)
def unknown(Trie: Any, rng: np.random.Generator) -> None:
    word = _letters(rng, 4)
    pairs: Pairs = [(word, 1), (word + "s", 2)]
    for absent, value in ((word[:2], 1), (word + "st", 1), ("zoo", 1), ("", 1), (word, 2)):
        trie = _filled(Trie, pairs)
        given = f"words {word} (value 1), {word}s (value 2); remove({absent!r}, {value})"
        cause = "raise KeyError(word) when the word, or this value of it, is not there"
        expect_error(KeyError, lambda: trie.remove(absent, value), mentions=absent, given=given, cause=cause)  # noqa: B023
        cause = "look first, change afterwards: an unknown word must leave the trie as it was"
        expect_equal(trie.root, _nested(pairs), given=given, cause=cause)


@contract.check(
    "a long key is no problem",
    points=1,
    cause="a loop over the path has no limit; a function that calls itself has",
)
def long_key(Trie: Any, rng: np.random.Generator) -> None:
    stem = "ab" * 1500
    pairs: Pairs = [(stem + "x", 1), (stem + "y", 2)]
    trie = _filled(Trie, pairs)
    try:
        trie.remove(stem + "x", 1)
    except RecursionError as error:
        raise Mismatch(
            "Python allows about a thousand calls inside each other",
            given="two keys of 3,001 letters; remove one",
            expected="the key is removed",
            got="RecursionError",
            cause="keep the nodes of the path in a list, and go through it backwards",
        ) from error
    found = [trie.get(stem + "x"), trie.get(stem + "y")]
    expect_equal(found, [[], [2]], given="two keys of 3,001 letters; remove one, then get both")


@contract.check("after many additions and removals only what should be there is", points=2)
def random_operations(Trie: Any, rng: np.random.Generator) -> None:
    def test(steps: list[tuple[str, int]]) -> None:
        left: Pairs = []
        for step in steps:
            left = _without(left, step) if step in left else [*left, step]
        trie, there = Trie(), set[tuple[str, int]]()
        for step in steps:
            (trie.remove if step in there else trie.add)(*step)
            there ^= {step}
        cause = (
            "a step adds what is not there and removes what is; all that is left must be as if never touched"
        )
        expect_equal(trie.root, _nested(left), cause=cause)

    words = ["a", "ab", "abc", "abd", "b", "ba", "", "abcd"]
    cases = [[(words[rng.integers(8)], int(rng.integers(2))) for _ in range(n)] for n in (4, 8, 16, 32)]
    for_each(cases, test, valid=lambda steps: len(steps) > 0)

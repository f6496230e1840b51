"""A trie that does not change, as four flat arrays in level order: no objects, no pointers.

Source: E. Fredkin, "Trie Memory", Communications of the ACM 3(9), 1960, for the trie; D. R. Morrison,
"PATRICIA", Journal of the ACM 15(4), 1968, for keeping the unshared rest of a word in one piece.

Idea: number the nodes level by level; then siblings are neighbours, and a node need only say where its
children begin. Below the point where a word parts from all others there are no nodes: the rest of its
letters is its *tail*, compared in one go. A word that is the beginning of another gets a child of its
own, the letter "end of word": so each word ends in one leaf, and the leaf knows the word's number.

| symbol | shape and type | meaning |
|---|---|---|
| n, s | | words; slots: a node each, and one after each group of siblings |
| letter | | a byte of the word in UTF-8, plus 1; 0 is the end of the word, 255 the end of a group |
| label | (s,) uint8 | the letter that leads to the node; sorted within a group; 255 after a group |
| first | (s,) int32 | the slot where the node's children begin; of a leaf: -1 - number of its word |
| tail_start | (n + 1,) int32 | where the tail of each word begins in ``tails`` |
| tails | (t,) uint8 | the letters that follow the leaf of each word |

Complexity: a look-up O(m) for m letters, with at most 254 siblings to pass at each; building
O(n log n + letters); memory 5 bytes a slot, 4 a word and 1 a letter of a tail.

Loses when words come and go: it is built once. One look-up from Python costs more in the call than
in the trie, which is why ``find_many`` takes a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Generic

import numpy as np

from ragcourse.indexes.keys.base import V, shortened
from ragcourse.indexes.keys.static_trie_kernels import (
    END_OF_GROUP,
    END_OF_WORD,
    NOWHERE,
    Ints,
    Letters,
    copy_tails,
    find,
    lay_out,
    shared,
)
from ragcourse.indexes.keys.trie import text


class StaticTrie(Generic[V]):
    """A dictionary of different words, any Unicode, that is built once.

    The value of a word is its place in ``words``, or in ``values`` if there are any. ``ValueError`` for a
    word that is there twice.

    >>> trie = StaticTrie(["cat", "car", "cart"])
    >>> trie.get("cart")
    [2]
    >>> trie.find_many(["car", "ca", "cat"]).tolist()
    [1, -1, 0]
    >>> list(trie.prefix("car"))
    [('car', 1), ('cart', 2)]
    """

    def __init__(self, words: Sequence[str], values: Sequence[V] | None = None) -> None:
        if values is not None and len(values) != len(words):
            raise ValueError(f"there are {len(words)} words and {len(values)} values; give one for each")
        data, start = letters(words)
        if len(data) + len(words) >= -NOWHERE // 2:
            raise ValueError(f"the words have {len(data):,} bytes; the most is about a thousand million")
        self._values = values
        order = np.array(sorted(range(len(words)), key=words.__getitem__), np.int64)  # that of UTF-8 too
        alike = shared(data, start, order)  # (n + 1,)
        twice = np.flatnonzero(alike < 0)
        if len(twice):
            raise ValueError(f"the word {words[order[twice[0]]]!r} is there twice")
        self._label, self._first, used = lay_out(data, start, order, alike)
        self._tail_start = np.zeros(len(words) + 1, np.int32)
        np.cumsum(start[1:] - start[:-1] - used, out=self._tail_start[1:])
        self._tails = np.empty(self._tail_start[-1], np.uint8)
        copy_tails(data, start, used, self._tail_start, self._tails)

    def __len__(self) -> int:
        """How many words are in it."""
        return len(self._tail_start) - 1

    def __contains__(self, word: str) -> bool:
        return bool(self.get(word))

    def __iter__(self) -> Iterator[tuple[str, V]]:
        return self.items()

    def __repr__(self) -> str:
        return f"<StaticTrie with {len(self):,} words in {self.memory_bytes:,} bytes>"

    @property
    def memory_bytes(self) -> int:
        """Bytes of the arrays; the values are the caller's."""
        return self._label.nbytes + self._first.nbytes + self._tail_start.nbytes + self._tails.nbytes

    def get(self, key: str) -> list[V]:
        """The value of a word in a list, ``[]`` for an unknown one. O(m)."""
        number = int(self.find_many([key])[0])
        return [] if number < 0 else [self._value(number)]

    def find_many(self, words: Sequence[str]) -> Ints:
        """The places of ``words`` among those that the trie was built from (n,); -1 for an unknown one."""
        data, start = letters(words)
        found = np.empty(len(words), np.int64)
        find(self._label, self._first, self._tail_start, self._tails, data, start, found)
        return found

    def prefix(self, prefix: str, limit: int | None = None) -> Iterator[tuple[str, V]]:
        """The ``(word, value)`` whose word starts with ``prefix``, in key order; at most ``limit`` of them.

        ``""`` gives all. O(m) to begin, then O(1) a letter.
        """
        if limit is not None and limit < 0:
            raise ValueError(f"limit is {limit}; give 0 or more, or None for all")
        data = letters([prefix])[0].tobytes()
        at, used = 0, 0
        while at >= 0 and used < len(data):
            place = self._group(at).find(data[used])
            if place < 0:
                return iter(())
            at, used = int(self._first[at + place]), used + 1
        if at < 0 and not self._tail(-1 - at).startswith(data[used:]):
            return iter(())
        return islice(self._below(at, data[:used]), limit)

    def items(self) -> Iterator[tuple[str, V]]:
        """Every ``(word, value)`` in key order."""
        return self._below(0, b"")

    def check(self) -> None:
        """Each slot is reached once, labels are sorted, every word has one leaf and is found again."""
        seen = np.zeros(len(self._label), np.bool_)
        numbers: list[int] = []
        groups = [0]
        while groups:
            at, label, before = groups.pop(), -1, -2
            while label != END_OF_GROUP:
                self._must(0 <= at < len(seen), f"a group reaches to slot {at}, which is outside")
                self._must(seen[at] == 0, f"slot {at} is in two groups")
                label, child = int(self._label[at]), int(self._first[at])
                self._must(before < label, f"the labels up to slot {at} are not sorted")
                if label == END_OF_GROUP:
                    self._must(child == NOWHERE, f"the end of a group at slot {at} leads to {child}")
                elif child < 0:
                    numbers.append(-1 - child)
                else:
                    self._must(label != END_OF_WORD, f"the end of a word at slot {at} is no leaf")
                    groups.append(child)
                seen[at] = 1
                at, before = at + 1, label
        self._must(bool(seen.all()), f"slot {int(seen.argmin())} is in no group")
        self._must(sorted(numbers) == list(range(len(self))), "not every word has one leaf")
        steps = np.diff(self._tail_start)
        ends = self._tail_start[0] == 0 and self._tail_start[-1] == len(self._tails)
        self._must(bool(ends and (steps >= 0).all()), "the tails do not lie one after the other")
        try:
            words = [word for word, _ in self.items()]
        except UnicodeDecodeError as error:
            self._must(False, f"a word is not UTF-8: {error}")
        self._must(words == sorted(set(words)), "the words are not in key order")
        self._must(sorted(self.find_many(words)) == list(range(len(self))), "a word is not found again")

    def dump(self) -> str:
        """One line a slot."""
        names = {END_OF_WORD: "end of word", END_OF_GROUP: "end of group"}
        lines = []
        for slot, (label, first) in enumerate(zip(self._label.tolist(), self._first.tolist(), strict=True)):
            leads = f"slot {first}" if first >= 0 else f"word {-1 - first}" if first != NOWHERE else "nowhere"
            lines.append(f"{slot}: {names.get(label, f'byte {label - 1:#04x}')} → {leads}")
        return "\n".join(lines)

    def _must(self, holds: bool, what: str) -> None:
        if not holds:
            raise AssertionError(f"StaticTrie: {what}\n{shortened(self.dump())}")

    def _value(self, number: int) -> Any:
        return number if self._values is None else self._values[number]

    def _tail(self, number: int) -> bytes:
        return self._tails[self._tail_start[number] : self._tail_start[number + 1]].tobytes()

    def _group(self, at: int) -> bytes:
        """The labels of the siblings from slot ``at`` on."""
        return self._label[at : at + END_OF_GROUP].tobytes().partition(bytes([END_OF_GROUP]))[0]

    def _below(self, at: int, word: bytes) -> Iterator[tuple[str, V]]:
        """The words of a leaf (at < 0) or of the group that begins at ``at``; ``word`` leads there."""
        stack = [(at, word)]
        while stack:
            at, word = stack.pop()
            if at < 0:
                yield spelt(word + self._tail(-1 - at)), self._value(-1 - at)
            else:
                group = self._group(at)
                nodes = self._first[at : at + len(group)].tolist()
                below = [(node, word + bytes([letter])) for node, letter in zip(nodes, group, strict=True)]
                stack.extend(reversed(below))


def letters(words: Sequence[str]) -> tuple[Letters, Ints]:
    """All letters of ``words`` in a row (letters,) and where each word begins and the last ends (n + 1,)."""
    if isinstance(words, str):
        raise TypeError(f"{words!r} is one word; give a sequence of words")
    try:
        joined = "".join(words)
    except TypeError:
        for word in words:
            text(word)
        raise
    data = np.frombuffer(joined.encode("utf-8", "surrogatepass"), np.uint8)
    start = np.zeros(len(words) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, words), np.int64, len(words)), out=start[1:])
    if not joined.isascii():  # from characters to bytes: where is each character's first?
        start = np.append(np.flatnonzero(data & 0xC0 != 0x80), len(data))[start]
    return data + np.uint8(1), start


def spelt(word: bytes) -> str:
    """The text of letters."""
    return bytes(letter - 1 for letter in word if letter).decode("utf-8", "surrogatepass")

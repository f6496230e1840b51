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
from numpy.typing import NDArray

from ragcourse.compiled import kernel
from ragcourse.indexes.keys.base import V
from ragcourse.indexes.keys.trie import text

Bytes = NDArray[np.uint8]
_END_OF_GROUP = 255
_NOWHERE = -(2**31)  # no leaf: there are fewer words


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
        if len(data) + len(words) >= -_NOWHERE // 2:
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

    def find_many(self, words: Sequence[str]) -> NDArray[np.int64]:
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
        data, _ = letters([prefix])
        at, used = follow(self._label, self._first, data, 0, len(data))
        if at == _NOWHERE or (at < 0 and not self._tail(-1 - at).startswith(data[used:].tobytes())):
            return iter(())
        return islice(self._below(at, data[:used].tobytes()), limit)

    def items(self) -> Iterator[tuple[str, V]]:
        """Every ``(word, value)`` in key order."""
        return self._below(0, b"")

    def check(self) -> None:
        """Each slot is reached once, labels are sorted, every word has one leaf and is found again."""
        seen = np.zeros(len(self._label), np.int64)
        numbers = []
        groups = [0]
        while groups:
            at = groups.pop()
            while True:
                self._must(0 <= at < len(seen), f"a group runs to slot {at}, outside")
                seen[at] += 1
                if self._label[at] == _END_OF_GROUP:
                    break
                self._must(self._label[at] < self._label[at + 1], f"the labels at slot {at} are not sorted")
                child = int(self._first[at])
                self._must(self._label[at] > 0 or child < 0, f"the end of a word at slot {at} is no leaf")
                (groups.append if child >= 0 else numbers.append)(child)
                self._must(seen[at] == 1, f"slot {at} is in two groups")
                at += 1
        self._must(bool((seen == 1).all()), f"slot {int(seen.argmin())} is in no group")
        self._must(sorted(numbers) == list(range(-len(self), 0)), "not every word has one leaf")
        steps = np.diff(self._tail_start)
        ends = self._tail_start[0] == 0 and self._tail_start[-1] == len(self._tails)
        self._must(bool(ends and (steps >= 0).all()), "the tails do not lie one after the other")
        words = [word for word, _ in self.items()]
        self._must(words == sorted(set(words)), "the words are not in key order")
        self._must(sorted(self.find_many(words)) == list(range(len(self))), "a word is not found again")

    def dump(self) -> str:
        """One line a slot."""
        lines = []
        for slot, (label, first) in enumerate(zip(self._label.tolist(), self._first.tolist(), strict=True)):
            letter = {0: "end of word", _END_OF_GROUP: "end of group"}.get(label, f"byte {label - 1:#04x}")
            leaf = f"word {-1 - first}, tail {unshifted(self._tail(-1 - first))!r}" if first < 0 else ""
            lines.append(f"{slot}: {letter} → {leaf or first}" if label != _END_OF_GROUP else f"{slot}: {letter}")
        return "\n".join(lines)

    def _must(self, holds: bool, what: str) -> None:
        if not holds:
            raise AssertionError(f"StaticTrie: {what}\n{self.dump()}")

    def _value(self, number: int) -> Any:
        return number if self._values is None else self._values[number]

    def _tail(self, number: int) -> bytes:
        return self._tails[self._tail_start[number] : self._tail_start[number + 1]].tobytes()

    def _below(self, at: int, word: bytes) -> Iterator[tuple[str, V]]:
        """The words of a leaf (at < 0) or of the group that begins at ``at``; ``word`` leads there."""
        label, first = memoryview(self._label), memoryview(self._first)  # read one by one, faster than arrays
        stack = [(at, word)]
        while stack:
            at, word = stack.pop()
            if at < 0:
                whole = unshifted(word + self._tail(-1 - at)).decode("utf-8", "surrogatepass")
                yield whole, self._value(-1 - at)
                continue
            group = label[at : at + 256].tobytes().partition(b"\xff")[0]
            for place in reversed(range(len(group))):
                stack.append((first[at + place], word + group[place : place + 1].lstrip(b"\0")))


def letters(words: Sequence[str]) -> tuple[Bytes, NDArray[np.int64]]:
    """All letters of ``words`` in a row (letters,) and where each word begins and the last ends (n + 1,)."""
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


def unshifted(word: bytes) -> bytes:
    """The UTF-8 of letters."""
    return bytes(letter - 1 for letter in word)


@kernel
def follow(label, first, data, begin, end):
    """Follow the letters ``data[begin:end]`` from the root, as far as there are nodes.

    Where that leads: the group of the last node's children, or its leaf (< 0), or _NOWHERE; and the
    place of the first letter that was not used.
    """
    at = 0
    for place in range(begin, end):
        letter = data[place]
        while label[at] < letter:
            at += 1
        if label[at] != letter:
            return _NOWHERE, place
        at = first[at]
        if at < 0:
            return at, place + 1
    return at, end


@kernel
def find(label, first, tail_start, tails, data, start, found):
    """For each word of a batch the number of the equal one in the trie, or -1, into ``found`` (n,)."""
    for word in range(len(found)):
        end = start[word + 1]
        at, place = follow(label, first, data, start[word], end)
        if at >= 0:
            at = first[at] if label[at] == 0 else _NOWHERE  # does a word end here?
        found[word] = -1
        if at != _NOWHERE:
            number = -1 - at
            tail, length = tail_start[number], end - place
            if tail_start[number + 1] - tail == length:
                same = 0
                while same < length and tails[tail + same] == data[place + same]:
                    same += 1
                if same == length:
                    found[word] = number


@kernel
def shared(data, start, order):
    """How many letters each word, in sorted order, shares with the one before it (n + 1,); -1 if all."""
    alike = np.zeros(len(order) + 1, np.int64)
    for rank in range(len(order) - 1):
        one, other = order[rank], order[rank + 1]
        length = min(start[one + 1] - start[one], start[other + 1] - start[other])
        same = 0
        while same < length and data[start[one] + same] == data[start[other] + same]:
            same += 1
        longest = max(start[one + 1] - start[one], start[other + 1] - start[other])
        alike[rank + 1] = same if same < longest else -1
    return alike


@kernel
def lay_out(data, start, order, alike):
    """The arrays ``label`` and ``first``, and how many letters of each word they have used up (n,).

    A group of siblings is a run of sorted words that share ``depth`` letters: its nodes are their next
    letters. The queue holds the runs whose groups are still to be laid out, level by level.
    """
    words = len(order)
    nodes = 0
    for rank in range(words):
        nodes += max(alike[rank], alike[rank + 1]) + 1 - alike[rank]
    groups = nodes - words + 1
    label = np.empty(nodes + groups, np.uint8)
    first = np.zeros(nodes + groups, np.int32)
    used = np.zeros(words, np.int64)
    queue = np.empty((groups, 4), np.int64)  # begin and end of the run, depth, slot of the parent
    queue[0] = 0, words, 0, -1
    slot, waiting = 0, 1
    for group in range(groups):
        begin, end, depth, parent = queue[group]
        if parent >= 0:
            first[parent] = slot
        while begin < end:
            word = order[begin]
            stop = begin + 1
            while stop < end and alike[stop] > depth:
                stop += 1
            ends = start[word] + depth == start[word + 1]
            label[slot] = 0 if ends else data[start[word] + depth]
            if stop - begin == 1:
                first[slot] = -1 - word
                used[word] = depth if ends else depth + 1
            else:
                queue[waiting] = begin, stop, depth + 1, slot
                waiting += 1
            begin = stop
            slot += 1
        label[slot] = _END_OF_GROUP
        slot += 1
    return label, first, used


@kernel
def copy_tails(data, start, used, tail_start, tails):
    """What each word has left, one after the other, into ``tails``."""
    for word in range(len(used)):
        rest = start[word] + used[word]
        for place in range(tail_start[word + 1] - tail_start[word]):
            tails[tail_start[word] + place] = data[rest + place]

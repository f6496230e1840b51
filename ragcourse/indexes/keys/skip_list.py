"""Skip list: a sorted linked list with express lanes, laid out by tossing coins.

Source: W. Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees", Communications of the ACM
33(6), 1990; ranks (the widths of links) from W. Pugh, "A Skip List Cookbook", 1990. Redis keeps its sorted
sets in one, with p = 1/4.

Idea: every node is on level 0; of the nodes on a level, a share p is also on the next. A search runs
along the top level as far as it can without passing the key, drops a level, and so on. No balancing:
the coins see to it. Each link knows how many entries it passes over, so ranks come free.

| symbol | meaning |
|---|---|
| n | values in the list, one node each |
| p | share of the nodes of a level that are also on the next |
| level | 0 holds all nodes; the expected top is log_{1/p} n |
| before[l] | Pugh's ``update[l]``: on level l, the last node before the place sought |
| width[l] | entries from a node to the next one on level l; to the end, one past the last |

Complexity, expected over the coins: ``add``, ``get``, ``remove``, ``rank``, ``at`` O(log n); ``range``
O(log n + found); memory 1 / (1 - p) links a node.

Loses to a B+ tree in Python by far: each step is a jump to another object. In C it is a match for
balanced trees, and simple enough to be changed by several threads at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, takewhile
from random import Random
from typing import Any

from ragcourse.indexes.keys.base import (
    ALL,
    K,
    KeyIndex,
    V,
    Whole,
    must_be_ordered,
    no_order,
    no_such,
    not_itself,
)
from ragcourse.indexes.keys.counting import Counter

_MOST_LEVELS = 32


class Node:
    """One entry, with a link to the next node on each of its levels and the width of each link."""

    __slots__ = ("key", "next", "value", "width")

    def __init__(self, key: Any, value: Any, levels: int) -> None:
        self.key, self.value = key, value
        self.next: list[Node | None] = [None] * levels
        self.width = [1] * levels


class Sought:
    """A key that counts how often a search compares it, and the nodes that the search steps on."""

    __slots__ = ("counter", "key")

    def __init__(self, key: Any, counter: Counter) -> None:
        self.key, self.counter = key, counter

    def __gt__(self, other: Any) -> bool:  # what ``other < self`` asks
        smaller = bool(other < self.key)
        self.counter.comparisons += 1
        self.counter.visits += smaller
        return smaller

    def __lt__(self, other: Any) -> bool:
        greater = bool(self.key < other)
        self.counter.comparisons += 1
        self.counter.visits += not greater
        return greater


class SkipList(KeyIndex[K, V]):
    """Ordered keys in a skip list; the same ``seed`` tosses the same coins.

    >>> ages = SkipList(p=0.25, seed=0)
    >>> for age, name in [(31, "Ada"), (8, "Ben"), (23, "Eva")]:
    ...     ages.add(age, name)
    >>> ages.rank(31), ages.at(0)
    (2, (8, 'Ben'))
    >>> list(ages.range(8, 31))
    [(8, 'Ben'), (23, 'Eva')]
    """

    def __init__(self, p: float = 0.25, seed: int = 0) -> None:
        super().__init__()
        if not 0 < p < 1:
            raise ValueError(f"p is {p!r}; give a share between 0 and 1, such as 0.25")
        self.p, self.seed = p, seed
        self._coins = Random(seed)
        self._head = Node(None, None, 1)  # before the first entry; it has no key

    def add(self, key: K, value: V) -> None:
        """Pugh's Insert: find the place on every level, toss for the height, link in. O(log n)."""
        if key != key:
            raise not_itself(key)
        if not self._size:
            must_be_ordered(key)
        before, ranks = self._before(key, after_equals=True)
        new, rank = Node(key, value, self._toss()), ranks[0]
        while len(self._head.next) < len(new.next):
            self._head.next.append(None)
            self._head.width.append(self._size + 1)
            before.append(self._head)
            ranks.append(0)
        for level, node in enumerate(before):
            node.width[level] += 1
            if level < len(new.next):
                new.next[level], node.next[level] = node.next[level], new
                passed = rank - ranks[level] + 1
                new.width[level], node.width[level] = node.width[level] - passed, passed
        self._size += 1

    def get(self, key: K) -> list[V]:
        """Pugh's Search, then along level 0 while the key is the same. O(log n)."""
        found = self._from(self._before(key)[0][0].next[0])
        return [value for _, value in takewhile(lambda pair: pair[0] == key, found)]

    def range(self, low: K, high: K) -> Iterator[tuple[K, V]]:
        """The ``(key, value)`` with low ≤ key < high in key order. O(log n + found)."""
        if not low < high:  # type: ignore[operator]
            return iter(())
        found = self._from(self._before(low)[0][0].next[0])
        return takewhile(lambda pair: pair[0] < high, found)

    def rank(self, key: K) -> int:
        """How many values have a smaller key: the place that ``key`` has or would have. O(log n)."""
        return self._before(key)[1][0]

    def at(self, rank: int) -> tuple[K, V]:
        """The ``(key, value)`` of a rank, 0 … len - 1. ``IndexError`` outside. O(log n)."""
        if not 0 <= rank < self._size:
            raise IndexError(f"there is no rank {rank}; ranks go from 0 to {self._size - 1}")
        node, left = self._head, rank + 1
        for level in reversed(range(len(self._head.next))):
            while (after := node.next[level]) is not None and node.width[level] <= left:
                left -= node.width[level]
                node = after
        return node.key, node.value

    def remove(self, key: K, value: V | Whole = ALL) -> int:
        """Pugh's Delete: find the node before it on every level, link past it. O(log n).

        One value of a key that has d of them takes O(d) more, to look for it.
        """
        before, _ = self._before(key)
        node = before[0].next[0]
        if node is None or node.key != key:
            raise no_such(key)
        gone = 0
        while node is not None and node.key == key:
            if value is ALL or node.value == value:
                self._unlink(node, before)
                gone += 1
                if value is not ALL:
                    return gone
            else:
                before[: len(node.next)] = [node] * len(node.next)
            node = node.next[0]
        if not gone:
            raise no_such(key, value)
        return gone

    def items(self) -> Iterator[tuple[K, V]]:
        """Every ``(key, value)`` in key order."""
        return self._from(self._head.next[0])

    def levels(self) -> list[list[K]]:
        """The keys on each level; ``levels()[0]`` is the whole list, the last is the express lane."""
        return [[node.key for node in self._on(level)] for level in range(len(self._head.next))]

    def check(self) -> None:
        """Level 0 is sorted, each level is part of the one below, widths are true, no level is empty."""
        rank = {id(node): place for place, node in enumerate(self._on(0), start=1)} | {id(self._head): 0}
        self._must(len(rank) == self._size + 1, f"there are {len(rank) - 1} values, len says {self._size}")
        keys = self.levels()[0]
        for one, other in pairwise(keys):
            self._must(not other < one, f"{one!r} comes before {other!r}")  # type: ignore[operator]
        for level in range(len(self._head.next)):
            self._must(level == 0 or self._head.next[level] is not None, f"nothing is on level {level}")
            for node in [self._head, *self._on(level)]:
                shown = f"level {level} at {node.key!r}"
                self._must(len(node.width) == len(node.next) > level, f"{shown}: links and widths differ")
                self._must(id(node) in rank, f"{shown} is not on level 0")
                after = node.next[level]
                end = self._size + 1 if after is None else rank.get(id(after), -1)
                true = end - rank[id(node)]
                self._must(node.width[level] == true, f"{shown}: width {node.width[level]}, truly {true}")

    def dump(self) -> str:
        """One line a node: its key, and the widths of its links from level 0 up."""
        nodes = [f"{node.key!r} {node.width}" for node in self._on(0)]
        return "\n".join([f"(head) {self._head.width}", *nodes])

    def _before(self, key: K, after_equals: bool = False) -> tuple[list[Node], list[int]]:
        """On each level the last node with a smaller key (or an equal one), and how many entries to there."""
        sought: Any = key if self._counter is None else Sought(key, self._counter)
        node, rank = self._head, 0
        before, ranks = [node] * len(node.next), [0] * len(node.next)
        try:
            for level in reversed(range(len(before))):
                while (after := node.next[level]) is not None and (
                    not sought < after.key if after_equals else after.key < sought
                ):
                    rank += node.width[level]
                    node = after
                before[level], ranks[level] = node, rank
        except TypeError as error:
            raise no_order(key, error) from error
        return before, ranks

    def _toss(self) -> int:
        levels = 1
        while levels < _MOST_LEVELS and self._coins.random() < self.p:
            levels += 1
        return levels

    def _unlink(self, node: Node, before: list[Node]) -> None:
        for level, previous in enumerate(before):
            previous.width[level] -= 1
            if previous.next[level] is node:
                previous.next[level] = node.next[level]
                previous.width[level] += node.width[level]
        while len(self._head.next) > 1 and self._head.next[-1] is None:
            self._head.next.pop()
            self._head.width.pop()
        del before[len(self._head.next) :]
        self._size -= 1

    def _from(self, node: Node | None) -> Iterator[tuple[Any, Any]]:
        while node is not None:
            yield node.key, node.value
            node = node.next[0]

    def _on(self, level: int) -> Iterator[Node]:
        node = self._head.next[level]
        for _ in range(self._size + 1):  # no more, should damaged links lead in a circle
            if node is None:
                return
            yield node
            node = node.next[level]

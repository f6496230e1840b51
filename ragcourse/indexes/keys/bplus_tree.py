"""B+ tree: a B-tree that keeps all its entries in the leaves, which are linked in key order.

Source: D. Comer, "The Ubiquitous B-Tree", ACM Computing Surveys 11(2), 1979.

Idea: inner nodes hold only separators, signposts to the leaves; every search ends in a leaf, and a range
is one search and then a walk along the leaves. With wide nodes the tree is two or three levels high,
and a node is a Python list, searched by ``bisect`` and shifted by ``memmove``, both in C.

| symbol | meaning |
|---|---|
| f | fanout: most children of an inner node and most entries of a leaf |
| n | values in the tree; a key with several values has an entry for each |
| separator | keys to its left are not greater, keys to its right not smaller; it need not be a key |

Complexity: ``add``, ``get``, ``remove`` O(log n); ``range`` O(log n + found) at the speed of list slices;
memory: two pointers an entry, in leaves that are half full at least, 70 % full after random ``add``s.

Loses to a hash table on exact look-up, and wastes half its memory when keys are added in rising order: each
leaf is then left half full.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from itertools import chain, islice, pairwise
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
from ragcourse.indexes.keys.bplus_nodes import Inner, Leaf, merge, shift_left, shift_right, slices, weight
from ragcourse.indexes.keys.counting import Counter


class BPlusTree(KeyIndex[K, V]):
    """Ordered keys in leaves of at most ``fanout`` entries.

    >>> tree = BPlusTree(fanout=4)
    >>> for key in [3, 8, 31, 11, 23]:
    ...     tree.add(key, str(key))
    >>> tree.levels()                              # 11 is a signpost; its entry is in a leaf
    [[[11]], [[3, 8], [11, 23, 31]]]
    >>> list(tree.range(8, 31))
    [(8, '8'), (11, '11'), (23, '23')]
    """

    def __init__(self, fanout: int = 256) -> None:
        super().__init__()
        if not isinstance(fanout, int) or fanout < 3:
            raise ValueError(f"fanout is {fanout!r}; a node needs room for at least 3 children")
        self.fanout = fanout
        self._root: Any = Leaf([], [], None)
        self._left: Callable[[list[Any], Any], int] = bisect_left
        self._right: Callable[[list[Any], Any], int] = bisect_right

    @property
    def counter(self) -> Counter | None:
        """Set a ``Counter`` to count comparisons and visits; ``None``, as at first, counts nothing."""
        return self._counter

    @counter.setter
    def counter(self, counter: Counter | None) -> None:
        self._counter = counter
        self._left = bisect_left if counter is None else counter.bisect_left
        self._right = bisect_right if counter is None else counter.bisect_right

    def add(self, key: K, value: V) -> None:
        """Put the entry into its leaf, behind equal keys; split what is overfull. O(log n)."""
        node, right = self._root, self._right
        try:
            while node.__class__ is Inner:
                node = node.children[right(node.keys, key)]
            keys = node.keys
            place = right(keys, key)
        except TypeError as error:
            raise no_order(key, error) from error
        if place == len(keys):
            if key != key:  # NaN is smaller than nothing, so this is where it comes
                raise not_itself(key)
            if not place:
                must_be_ordered(key)
        keys.insert(place, key)
        node.values.insert(place, value)
        self._size += 1
        if len(keys) > self.fanout:
            self._split(key)

    def get(self, key: K) -> list[V]:
        """Down to the first leaf that may have the key, and along while the key is the same. O(log n)."""
        leaf, place = self._find(key)
        values: list[V] = []
        while leaf is not None:
            keys = leaf.keys
            while place < len(keys):
                if keys[place] != key:
                    return values
                values.append(leaf.values[place])
                place += 1
            leaf, place = leaf.next, 0
            if self._counter is not None:
                self._counter.visits += leaf is not None
        return values

    def range(self, low: K, high: K) -> Iterator[tuple[K, V]]:
        """The ``(key, value)`` with low ≤ key < high in key order. O(log n + found)."""
        if not low < high:  # type: ignore[operator]
            return iter(())
        return chain.from_iterable(slices(*self._find(low), *self._find(high), self._counter))

    def remove(self, key: K, value: V | Whole = ALL) -> int:
        """Take entries out of their leaves, and refill what holds too few. O(log n) for each.

        One value of a key that has d of them takes O(d) more, to look for it.
        """
        if not self.get(key):
            raise no_such(key)
        gone = 0
        while (gone == 0 or value is ALL) and self._remove(self._root, key, value):
            gone += 1
            self._size -= 1
            if isinstance(self._root, Inner) and not self._root.keys:
                self._root = self._root.children[0]
        if not gone:
            raise no_such(key, value)
        return gone

    def items(self) -> Iterator[tuple[K, V]]:
        """Every ``(key, value)`` in key order: along the leaves."""
        first = self._root
        while isinstance(first, Inner):
            first = first.children[0]
        return chain.from_iterable(slices(first, 0, None, 0, self._counter))

    def levels(self) -> list[list[list[K]]]:
        """The keys of each node, level by level: the root's level first, the leaves with all keys last."""
        return [[list(node.keys) for node in level] for level in self._levels()]

    def check(self) -> None:
        """Order within and between nodes, numbers of keys and children, the links of the leaves, ``len``."""
        levels = self._levels()
        for depth, level in enumerate(levels):
            is_leaf = depth == len(levels) - 1
            for node in level:
                shown = f"the {'leaf' if is_leaf else 'inner node'} {node.keys!r}"
                self._must(isinstance(node, Leaf) is is_leaf, f"{shown} is on level {depth}")
                self._must(all(not b < a for a, b in pairwise(node.keys)), f"{shown} is not in order")
                entries = len(node.keys) + (not is_leaf)  # children or values
                held = len(node.values if is_leaf else node.children)
                self._must(held == entries, f"{shown} has {held} values or children")
                fewest = self._fewest(node) if node is not self._root else 0 if is_leaf else 2
                self._must(fewest <= entries <= self.fanout, f"{shown} has {entries} entries or children")
        for upper, lower in pairwise(levels):
            below = iter(lower)
            for node in upper:
                for place, child in enumerate(islice(below, len(node.children))):
                    shown = f"the node {child.keys!r} is on the wrong side of a separator of {node.keys!r}"
                    self._must(place == 0 or not child.keys[0] < node.keys[place - 1], shown)
                    last = place == len(node.keys)
                    self._must(last or not node.keys[place] < child.keys[-1], shown)
        for leaf, following in pairwise([*levels[-1], None]):
            self._must(leaf.next is following, f"the leaf {leaf.keys!r} is not linked to the next")
            ordered = following is None or not following.keys[0] < leaf.keys[-1]
            self._must(ordered, f"the leaf {leaf.keys!r} has keys that belong to the one on its right")
        values = sum(len(leaf.keys) for leaf in levels[-1])
        self._must(values == self._size, f"there are {values} values, len says {self._size}")

    def dump(self) -> str:
        """One line a level."""
        return "\n".join(" | ".join(" ".join(map(repr, keys)) for keys in level) for level in self.levels())

    def _find(self, key: K) -> tuple[Leaf | None, int]:
        """The leaf and the place in it before which all keys are smaller; it may be the leaf's end."""
        node, left = self._root, self._left
        try:
            while node.__class__ is Inner:
                node = node.children[left(node.keys, key)]
            return node, left(node.keys, key)
        except TypeError as error:
            raise no_order(key, error) from error

    def _split(self, key: K) -> None:
        """Split the overfull leaf that ``key`` was added to, and the inner nodes that this makes overfull."""
        path = []
        node = self._root
        while isinstance(node, Inner):
            place = bisect_right(node.keys, key)
            path.append((node, place))
            node = node.children[place]
        right: Leaf | Inner
        middle = len(node.keys) // 2
        separator = node.keys[middle]
        right = node.next = Leaf(node.keys[middle:], node.values[middle:], node.next)
        del node.keys[middle:], node.values[middle:]
        while path:
            node, place = path.pop()
            node.keys.insert(place, separator)
            node.children.insert(place + 1, right)
            if len(node.children) <= self.fanout:
                return
            middle = len(node.keys) // 2
            separator = node.keys[middle]
            right = Inner(node.keys[middle + 1 :], node.children[middle + 1 :])
            del node.keys[middle:], node.children[middle + 1 :]
        self._root = Inner([separator], [self._root, right])

    def _remove(self, node: Any, key: K, value: V | Whole) -> bool:
        """Remove the first such entry at or below ``node``, and refill its nodes; whether there was one."""
        first, last = self._left(node.keys, key), self._right(node.keys, key)
        if isinstance(node, Leaf):
            for place in range(first, last):
                if value is ALL or node.values[place] == value:
                    del node.keys[place], node.values[place]
                    return True
            return False
        for place in range(first, last + 1):  # equal keys may reach over several children
            if self._remove(node.children[place], key, value):
                self._refill(node, place)
                return True
        return False

    def _refill(self, parent: Inner, place: int) -> None:
        """If the child at ``place`` holds too little, it borrows from a sibling, or merges with it."""
        child = parent.children[place]
        fewest = self._fewest(child)
        if weight(child) >= fewest:
            return
        if place and weight(parent.children[place - 1]) > fewest:
            shift_right(parent, place - 1)
        elif place < len(parent.keys) and weight(parent.children[place + 1]) > fewest:
            shift_left(parent, place)
        else:
            merge(parent, place - 1 if place else place)

    def _fewest(self, node: Leaf | Inner) -> int:
        return self.fanout // 2 if isinstance(node, Leaf) else (self.fanout + 1) // 2

    def _levels(self) -> list[list[Any]]:
        levels: list[list[Any]] = [[self._root]]
        while below := [child for node in levels[-1] if isinstance(node, Inner) for child in node.children]:
            levels.append(below)
        return levels

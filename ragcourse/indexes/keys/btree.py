"""B-tree: a search tree whose nodes hold many keys and whose leaves are all equally deep.

Source: R. Bayer and E. McCreight, "Organization and Maintenance of Large Ordered Indexes", Acta
Informatica 1, 1972. "Order" as in Knuth, The Art of Computer Programming 3, section 6.2.4.

Idea: the tree grows at the root, not at the leaves. A key goes into a leaf; an overfull node splits and
hands its middle key to its parent, which may split in turn; when the root splits, a new root is put
above it. Removal is the mirror image: a node that holds too few keys borrows one through its parent
from a sibling, or merges with it. A node is the size of what is read at once: a page of a disk.

| symbol | meaning |
|---|---|
| m | the order: most children of a node; it holds at most m - 1 keys, at least ⌈m/2⌉ - 1 |
| n | different keys in the tree |
| h | levels, at most 1 + log_⌈m/2⌉((n + 1) / 2) |

Complexity: ``add``, ``get``, ``remove`` visit at most h nodes: O(log n); ``range`` O(log n + found).

Loses to a hash table on exact look-up, and to a ``BPlusTree`` on ranges, which has all its values side
by side in the leaves instead of spread over the levels.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import pairwise
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


class Node:
    """Sorted keys, the values of each, and between and around the keys the children; a leaf has none."""

    __slots__ = ("children", "keys", "values")

    def __init__(self, keys: list[Any], values: list[list[Any]], children: list[Node]) -> None:
        self.keys, self.values, self.children = keys, values, children


class BTree(KeyIndex[K, V]):
    """Ordered keys in nodes of at most ``order`` children.

    >>> tree = BTree(order=5)
    >>> for key in [3, 8, 31, 11]:
    ...     tree.add(key, str(key))
    >>> tree.levels()
    [[[3, 8, 11, 31]]]
    >>> tree.add(23, "23")                         # a fifth key: the node splits
    >>> tree.levels()
    [[[11]], [[3, 8], [23, 31]]]
    >>> list(tree.range(8, 31))
    [(8, '8'), (11, '11'), (23, '23')]
    """

    def __init__(self, order: int = 5) -> None:
        super().__init__()
        if not isinstance(order, int) or order < 3:
            raise ValueError(f"order is {order!r}; a node needs room for at least 3 children")
        self.order = order
        self._fewest = (order + 1) // 2 - 1  # keys of a node below the root
        self._root = Node([], [], [])
        self._place: Callable[[list[Any], Any], int] = bisect_left

    @property
    def counter(self) -> Counter | None:
        """Set a ``Counter`` to count comparisons and visits; ``None``, as at first, counts nothing."""
        return self._counter

    @counter.setter
    def counter(self, counter: Counter | None) -> None:
        self._counter = counter
        self._place = bisect_left if counter is None else counter.bisect_left

    def add(self, key: K, value: V) -> None:
        """Put the key into its leaf, then split what is overfull, from the leaf up. O(log n)."""
        if key != key:
            raise not_itself(key)
        if not self._size:
            must_be_ordered(key)
        path = self._search(key)
        node, place = path.pop()
        if place < len(node.keys) and node.keys[place] == key:
            node.values[place].append(value)
        else:
            node.keys.insert(place, key)
            node.values.insert(place, [value])
            while len(node.keys) == self.order:
                if not path:
                    self._root = Node([], [], [node])
                    path.append((self._root, 0))
                parent, place = path.pop()
                self._split(parent, place)
                node = parent
        self._size += 1

    def get(self, key: K) -> list[V]:
        """Search down from the root. O(log n)."""
        node, place = self._search(key)[-1]
        return list(node.values[place]) if place < len(node.keys) and node.keys[place] == key else []

    def range(self, low: K, high: K) -> Iterator[tuple[K, V]]:
        """The ``(key, value)`` with low ≤ key < high in key order. O(log n + found)."""
        if not low < high:  # type: ignore[operator]
            return iter(())

        def places(keys: list[K]) -> Any:
            start, stop = self._place(keys, low), self._place(keys, high)
            if self._counter is not None:
                self._counter.visits -= 1  # it is one node, though searched twice
            return range(start, stop)

        return in_order(self._root, places)

    def remove(self, key: K, value: V | Whole = ALL) -> int:
        """Remove it from its leaf, then refill what holds too few keys, from the leaf up. O(log n).

        The place of a key in an inner node is taken by the greatest key below it on its left.
        """
        path = self._search(key)
        node, place = path[-1]
        if place == len(node.keys) or node.keys[place] != key:
            raise no_such(key)
        values = node.values[place]
        if value is not ALL and value not in values:
            raise no_such(key, value)
        gone = len(values) if value is ALL else 1
        if gone < len(values):
            values.remove(value)
        else:
            leaf = node
            if node.children:
                leaf = node.children[place]
                while leaf.children:
                    path.append((leaf, len(leaf.keys)))
                    leaf = leaf.children[-1]
                node.keys[place], node.values[place] = leaf.keys.pop(), leaf.values.pop()
            else:
                path.pop()
                del leaf.keys[place], leaf.values[place]
            self._refill(leaf, path)
        self._size -= gone
        return gone

    def items(self) -> Iterator[tuple[K, V]]:
        """Every ``(key, value)`` in key order."""
        return in_order(self._root, lambda keys: range(len(keys)))

    def levels(self) -> list[list[list[K]]]:
        """The keys of each node, level by level, the root's level first and the leaves' last."""
        return [[list(node.keys) for node in level] for level in self._levels()]

    def check(self) -> None:
        """Order within and between nodes, the numbers of keys and children, leaves equally deep, ``len``."""
        levels = self._levels()
        for level in levels:
            for node in level:
                shown = f"the node {node.keys!r}"
                self._must(len(node.keys) < self.order, f"{shown} has more than {self.order - 1} keys")
                enough = len(node.keys) >= (self._fewest if node is not self._root else len(levels) > 1)
                self._must(enough, f"{shown} has too few keys")
                self._must(len(node.values) == len(node.keys), f"{shown} has more or fewer values than keys")
                self._must(all(node.values), f"{shown} has a key without values")
                family = 0 if level is levels[-1] else len(node.keys) + 1
                self._must(len(node.children) == family, f"{shown} has {len(node.children)} children")
        keys = list(in_order(self._root, lambda keys: range(len(keys)), whole=True))
        for (before, _), (after, _) in pairwise(keys):
            self._must(before < after, f"{before!r} comes before {after!r}")
        values = sum(len(held) for _, held in keys)
        self._must(values == self._size, f"there are {values} values, len says {self._size}")

    def dump(self) -> str:
        """One line a level."""
        return "\n".join(" | ".join(" ".join(map(repr, keys)) for keys in level) for level in self.levels())

    def _search(self, key: K) -> list[tuple[Node, int]]:
        """The nodes from the root to where ``key`` is or belongs, each with the place of ``key`` in it."""
        path = []
        node, find = self._root, self._place
        try:
            while True:
                place = find(node.keys, key)
                path.append((node, place))
                if not node.children or (place < len(node.keys) and node.keys[place] == key):
                    return path
                node = node.children[place]
        except TypeError as error:
            raise no_order(key, error) from error

    def _split(self, parent: Node, place: int) -> None:
        """Split the overfull child at ``place``; its middle key goes up."""
        node, middle = parent.children[place], self.order // 2
        right = Node(node.keys[middle + 1 :], node.values[middle + 1 :], node.children[middle + 1 :])
        parent.keys.insert(place, node.keys[middle])
        parent.values.insert(place, node.values[middle])
        parent.children.insert(place + 1, right)
        del node.keys[middle:], node.values[middle:], node.children[middle + 1 :]

    def _refill(self, node: Node, path: list[tuple[Node, int]]) -> None:
        """From ``node`` up along ``path``: whoever holds too few keys borrows one, or merges."""
        while path and len(node.keys) < self._fewest:
            parent, place = path.pop()
            left = parent.children[place - 1] if place else None
            right = parent.children[place + 1] if place < len(parent.keys) else None
            if left is not None and len(left.keys) > self._fewest:
                node.keys.insert(0, parent.keys[place - 1])
                node.values.insert(0, parent.values[place - 1])
                parent.keys[place - 1], parent.values[place - 1] = left.keys.pop(), left.values.pop()
                if left.children:
                    node.children.insert(0, left.children.pop())
            elif right is not None and len(right.keys) > self._fewest:
                node.keys.append(parent.keys[place])
                node.values.append(parent.values[place])
                parent.keys[place], parent.values[place] = right.keys.pop(0), right.values.pop(0)
                if right.children:
                    node.children.append(right.children.pop(0))
            else:
                merge(parent, place - 1 if left is not None else place)
            node = parent
        if not self._root.keys and self._root.children:
            self._root = self._root.children[0]

    def _levels(self) -> list[list[Node]]:
        levels = [[self._root]]
        while below := [child for node in levels[-1] for child in node.children]:
            levels.append(below)
        return levels


def merge(parent: Node, place: int) -> None:
    """Make one node of the child at ``place``, the key to its right, and the child to the right of that."""
    left, right = parent.children[place], parent.children.pop(place + 1)
    left.keys += [parent.keys.pop(place), *right.keys]
    left.values += [parent.values.pop(place), *right.values]
    left.children += right.children


def in_order(
    node: Node, places: Callable[[list[Any]], range], whole: bool = False
) -> Iterator[tuple[Any, Any]]:
    """The keys at and around ``places`` of each node, children in between: each value, or ``whole`` lists."""
    here = places(node.keys)
    for place in here:
        if node.children:
            yield from in_order(node.children[place], places, whole)
        if whole:
            yield node.keys[place], node.values[place]
        else:
            for value in node.values[place]:
                yield node.keys[place], value
    if node.children:
        yield from in_order(node.children[here.stop], places, whole)

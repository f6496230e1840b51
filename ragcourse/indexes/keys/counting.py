"""Counts what a look-up does, so that structures can be compared without a clock.

A structure counts only while its ``counter`` is set. Without one it runs other code: a B-tree calls the
``bisect`` of the standard library in place of the two below, a skip list compares bare keys.

>>> from ragcourse.indexes.keys import BTree, Counter
>>> tree = BTree(order=5)
>>> for number in range(1_000):
...     tree.add(number, None)
>>> tree.counter = Counter()
>>> _ = tree.get(500)
>>> tree.counter
Counter(comparisons=10, visits=5)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass
class Counter:
    """Comparisons and visits since it was made.

    ``comparisons``: how often the key sought was compared with a stored one: by ``<`` where there is an
    order, by ``==`` where there is none, by one letter in a trie. The test for equality that ends an
    ordered search is not counted again, as in the textbooks, where one comparison has three answers.
    ``visits``: the nodes looked into, or, in a scan and in a chain, the entries.
    """

    comparisons: int = 0
    visits: int = 0

    def bisect_left(self, keys: Sequence[Any], key: Any) -> int:
        """The first place where ``key`` fits into the sorted ``keys`` of one node."""
        self.visits += 1
        low, high = 0, len(keys)
        while low < high:
            middle = (low + high) // 2
            self.comparisons += 1
            if keys[middle] < key:
                low = middle + 1
            else:
                high = middle
        return low

    def bisect_right(self, keys: Sequence[Any], key: Any) -> int:
        """The last place where ``key`` fits into the sorted ``keys`` of one node."""
        self.visits += 1
        low, high = 0, len(keys)
        while low < high:
            middle = (low + high) // 2
            self.comparisons += 1
            if key < keys[middle]:
                high = middle
            else:
                low = middle + 1
        return low

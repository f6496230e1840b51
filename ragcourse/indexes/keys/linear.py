"""Linear scan: look at every entry until the key turns up. The baseline of all others.

Idea: two lists side by side, in order of adding. Nothing is arranged, so adding costs nothing and
looking up costs everything.

| symbol | meaning |
|---|---|
| n | values in the index |

Complexity: ``add`` O(1); ``get`` and ``remove`` O(n); memory two pointers a value, the least there is.

Loses as soon as there are more than a few dozen entries or more than a few look-ups. It wins for a
handful of keys, and where keys can only be told equal, being neither hashable nor ordered.
"""

from __future__ import annotations

from collections.abc import Iterator

from ragcourse.indexes.keys.base import ALL, K, KeyIndex, V, Whole, no_such, not_itself


class LinearScan(KeyIndex[K, V]):
    """Keys in a list.

    >>> scan = LinearScan()
    >>> scan.add("trie", 1960)
    >>> scan.add("B-tree", 1972)
    >>> scan.get("B-tree")
    [1972]
    """

    def __init__(self) -> None:
        super().__init__()
        self._keys: list[K] = []
        self._values: list[V] = []

    def add(self, key: K, value: V) -> None:
        """Add at the end. O(1)."""
        if key != key:
            raise not_itself(key)
        self._keys.append(key)
        self._values.append(value)
        self._size += 1

    def get(self, key: K) -> list[V]:
        """Compare with every key, for the last may be equal too. O(n)."""
        self._count()
        return [value for stored, value in zip(self._keys, self._values, strict=True) if stored == key]

    def remove(self, key: K, value: V | Whole = ALL) -> int:
        """Compare with every key, and close the gaps. O(n)."""
        self._count()
        places = [place for place, stored in enumerate(self._keys) if stored == key]
        if not places:
            raise no_such(key)
        if value is not ALL:
            places = [place for place in places if self._values[place] == value][:1]
            if not places:
                raise no_such(key, value)
        gone = set(places)
        self._keys = [stored for place, stored in enumerate(self._keys) if place not in gone]
        self._values = [stored for place, stored in enumerate(self._values) if place not in gone]
        self._size -= len(gone)
        return len(gone)

    def items(self) -> Iterator[tuple[K, V]]:
        """Every ``(key, value)`` in order of adding."""
        return zip(self._keys, self._values, strict=True)

    def check(self) -> None:
        """As many keys as values as ``len``; each key is equal to itself."""
        self._must(len(self._keys) == len(self._values) == self._size, "keys, values and len differ")
        for key in self._keys:
            self._must(key == key, f"the key {key!r} is not equal to itself")

    def dump(self) -> str:
        """One line an entry."""
        return "\n".join(
            f"{place}: {key!r} → {value!r}"
            for place, (key, value) in enumerate(zip(self._keys, self._values, strict=False))
        )

    def _count(self) -> None:
        if self._counter is not None:
            self._counter.comparisons += self._size
            self._counter.visits += self._size

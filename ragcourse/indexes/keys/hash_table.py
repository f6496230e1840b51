"""Hash table with chaining: compute where a key is, instead of searching for it.

Source: D. E. Knuth, The Art of Computer Programming 3, section 6.4 (chaining; multiplicative hashing
after Algorithm 6.4-(5)); the idea is from H. P. Luhn's memorandum at IBM, 1953.

Idea: a hash function sends each key to one of m buckets; keys that meet in a bucket form a chain, which
is scanned. When the chains grow past the load factor on average, the buckets are doubled.

| symbol | meaning |
|---|---|
| n | different keys in the table |
| m | buckets, a power of two |
| α = n / m | load: the mean length of a chain, kept at or under ``load_factor`` |
| h(key) | the top log₂ m bits of 64-bit ``hash(key)`` × A, A odd and near 2⁶⁴ / golden ratio |

Complexity: ``add``, ``get``, ``remove`` O(1 + α) expected, O(n) when all keys collide; one ``add`` in n
takes O(n), to double. Memory O(n + m).

Loses where order matters: no ranges, no prefixes, no smallest key; neighbours in order are strangers
here. It wins on exact look-up. The hash of ``str`` differs from process to process (PYTHONHASHSEED), and
so do the chains; for ``int`` they are always the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from ragcourse.indexes.keys.base import ALL, K, KeyIndex, V, Whole, no_such, not_itself

_A = 0x9E3779B97F4A7C15
_FEWEST = 8  # buckets


class HashTable(KeyIndex[K, V]):
    """Hashable keys in chains. ``load_factor`` is the most keys a bucket may hold on average.

    >>> table = HashTable()
    >>> table.add("trie", 1960)
    >>> table.get("trie")
    [1960]
    >>> sum(table.chain_lengths())
    1
    """

    def __init__(self, load_factor: float = 1.0) -> None:
        super().__init__()
        if not (isfinite(load_factor) and load_factor >= 0.01):
            raise ValueError(f"load_factor is {load_factor!r}; give a number from 0.01 up, such as 1.0")
        self.load_factor = load_factor
        self._keys = 0
        self._make_buckets(_FEWEST)

    def add(self, key: K, value: V) -> None:
        """Append to the key's values, or a new entry to its chain. O(1 + α); O(n) when the table doubles."""
        if key != key:
            raise not_itself(key)
        chain = self._chain(key)
        for stored, values in chain:
            if stored == key:
                values.append(value)
                break
        else:
            chain.append((key, [value]))
            self._keys += 1
            while self._keys > self.load_factor * len(self._buckets):
                self._rehash(2 * len(self._buckets))
        self._size += 1

    def get(self, key: K) -> list[V]:
        """Scan one chain. O(1 + α)."""
        chain = self._chain(key)
        place = self._place(chain, key)
        return [] if place is None else list(chain[place][1])

    def remove(self, key: K, value: V | Whole = ALL) -> int:
        """Take it out of its chain; the table halves when three quarters of it are unused. O(1 + α)."""
        chain = self._chain(key)
        place = self._place(chain, key)
        if place is None:
            raise no_such(key)
        values = chain[place][1]
        if value is ALL:
            gone = len(values)
            values.clear()
        elif value in values:
            gone = 1
            values.remove(value)
        else:
            raise no_such(key, value)
        if not values:
            del chain[place]
            self._keys -= 1
            if len(self._buckets) > _FEWEST and self._keys <= self.load_factor * len(self._buckets) / 4:
                self._rehash(len(self._buckets) // 2)
        self._size -= gone
        return gone

    def items(self) -> Iterator[tuple[K, V]]:
        """Every ``(key, value)``, bucket by bucket: in no useful order."""
        return ((key, value) for chain in self._buckets for key, values in chain for value in values)

    def chain_lengths(self) -> list[int]:
        """The number of keys in each bucket (m,)."""
        return [len(chain) for chain in self._buckets]

    def check(self) -> None:
        """Each key is in the bucket of its hash, once and with values; load and numbers are right."""
        keys = values = 0
        for chain in self._buckets:
            for place, (key, held) in enumerate(chain):
                self._must(self._chain(key) is chain, f"the key {key!r} is in a bucket that is not its own")
                self._must(all(key != other for other, _ in chain[:place]), f"the key {key!r} is there twice")
                self._must(bool(held), f"the key {key!r} has no values")
                values += len(held)
            keys += len(chain)
        self._must(keys == self._keys, f"there are {keys} keys, {self._keys} were counted")
        self._must(values == self._size, f"there are {values} values, len says {self._size}")
        self._must(keys <= self.load_factor * len(self._buckets), "more keys than the load factor allows")

    def dump(self) -> str:
        """One line a bucket."""
        return "\n".join(f"{number}: {chain!r}" for number, chain in enumerate(self._buckets))

    def _chain(self, key: K) -> list[tuple[K, list[V]]]:
        return self._buckets[(hash(key) * _A & 0xFFFF_FFFF_FFFF_FFFF) >> self._shift]

    def _place(self, chain: list[tuple[K, list[V]]], key: K) -> int | None:
        place = next((place for place, (stored, _) in enumerate(chain) if stored == key), None)
        if self._counter is not None:
            looked_at = len(chain) if place is None else place + 1
            self._counter.comparisons += looked_at
            self._counter.visits += looked_at
        return place

    def _make_buckets(self, count: int) -> None:
        self._buckets: list[list[tuple[K, list[V]]]] = [[] for _ in range(count)]
        self._shift = 64 - (count.bit_length() - 1)

    def _rehash(self, count: int) -> None:
        entries = [entry for chain in self._buckets for entry in chain]
        self._make_buckets(count)
        for entry in entries:
            self._chain(entry[0]).append(entry)

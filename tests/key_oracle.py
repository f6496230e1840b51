"""What every key index must answer, worked out in the plainest way: one sorted list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ragcourse.indexes.keys import ALL, KeyIndex


class SortedList(KeyIndex[Any, Any]):
    """All ``(key, value)`` in key order, equal keys in order of adding."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[Any, Any]] = []

    def __len__(self) -> int:
        return len(self.pairs)

    def add(self, key: Any, value: Any) -> None:
        self.pairs.append((key, value))
        self.pairs.sort(key=lambda pair: pair[0])  # sorting is stable

    def get(self, key: Any) -> list[Any]:
        return [value for stored, value in self.pairs if stored == key]

    def remove(self, key: Any, value: Any = ALL) -> int:
        gone = [pair for pair in self.pairs if pair[0] == key and (value is ALL or pair[1] == value)]
        if not gone:
            raise KeyError(key)
        for pair in gone if value is ALL else gone[:1]:
            self.pairs.remove(pair)
        return len(gone) if value is ALL else 1

    def items(self) -> Iterator[tuple[Any, Any]]:
        return iter(self.pairs)

    def range(self, low: Any, high: Any) -> list[tuple[Any, Any]]:
        return [pair for pair in self.pairs if low <= pair[0] < high]

    def rank(self, key: Any) -> int:
        return sum(stored < key for stored, _ in self.pairs)

    def prefix(self, prefix: str, limit: int | None = None) -> list[tuple[str, Any]]:
        return [pair for pair in self.pairs if pair[0].startswith(prefix)][:limit]

    def check(self) -> None:
        assert self.pairs == sorted(self.pairs, key=lambda pair: pair[0])

    def dump(self) -> str:
        return repr(self.pairs)

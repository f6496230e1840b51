"""What every key index promises: values found by their key.

A key index is pure: keys in, values out. It knows no text, no node, no file. Keys are of one type with
a total order on which ``<`` and ``==`` agree; a hash table wants them hashable, a trie wants them to be
``str``. An index may be read by many threads, and changed only while no other thread uses it; do not
change it while you iterate over it.
"""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from ragcourse.indexes.keys.counting import Counter

K = TypeVar("K")
V = TypeVar("V")


class Whole(Enum):
    """The type of ``ALL``."""

    KEY = "the whole key"


ALL: Final = Whole.KEY
"""Stands for all values of a key: ``index.remove(key)`` is ``index.remove(key, ALL)``."""


class KeyIndex(ABC, Generic[K, V]):
    """Keys with their values. A key may have several, equal ones too: they keep the order of adding."""

    def __init__(self) -> None:
        self._size = 0
        self._counter: Counter | None = None

    @property
    def counter(self) -> Counter | None:
        """Set a ``Counter`` to count comparisons and visits; ``None``, as at first, counts nothing."""
        return self._counter

    @counter.setter
    def counter(self, counter: Counter | None) -> None:
        self._counter = counter

    @abstractmethod
    def add(self, key: K, value: V) -> None:
        """Add one value to a key.

        ``TypeError`` for a key that does not go with those here, ``ValueError`` for one that is not
        equal to itself (NaN); the index is then as it was.
        """

    def add_all(self, pairs: Iterable[tuple[K, V]]) -> None:
        """Add many ``(key, value)``; several times as fast as one by one where each adds an object.

        Python's garbage collector looks for cycles whenever many objects were made, and walks all that
        it made before. It would find none here and take most of the time, so it rests meanwhile.
        """
        with collector_at_rest():
            for key, value in pairs:
                self.add(key, value)

    @abstractmethod
    def get(self, key: K) -> list[V]:
        """The values of a key in order of adding, in a list of the caller's own; ``[]`` if it is unknown."""

    @abstractmethod
    def remove(self, key: K, value: V | Whole = ALL) -> int:
        """Remove the first equal ``value`` of a key, or the key with all values; how many values went.

        ``KeyError`` names a key that is not here, or a value that the key does not have.
        """

    @abstractmethod
    def items(self) -> Iterator[tuple[K, V]]:
        """Every ``(key, value)``, in key order where the structure has one."""

    @abstractmethod
    def check(self) -> None:
        """Verify every invariant, in O(n). ``AssertionError`` says which is broken, and shows the index."""

    @abstractmethod
    def dump(self) -> str:
        """The inside of the index, for a person to read."""

    def __len__(self) -> int:
        """How many values are in it."""
        return self._size

    def __contains__(self, key: K) -> bool:
        return bool(self.get(key))

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return self.items()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {len(self):,} values>"

    def _must(self, holds: bool, what: str) -> None:
        """For ``check``: unless it holds, say ``what`` does not, and show the index."""
        if not holds:
            raise AssertionError(f"{type(self).__name__}: {what}\n{shortened(self.dump())}")


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Keep Python's collector of cycles from running."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def no_such(key: Any, value: Any = ALL) -> KeyError:
    """The error of ``remove``."""
    return KeyError(key) if value is ALL else KeyError(f"{key!r} has no value {value!r}")


def no_order(key: Any, cause: TypeError) -> TypeError:
    """The error for a key that cannot be ordered among those here."""
    kind = type(key).__name__
    return TypeError(f"the key {key!r} ({kind}) cannot be ordered among the keys in the index: {cause}")


def must_be_ordered(key: Any) -> None:
    """``TypeError`` for a first key, with none to compare it to, that has no order at all, such as None."""
    try:
        bisect_left([key], key)
    except TypeError as error:
        raise no_order(key, error) from error


def not_itself(key: Any) -> ValueError:
    """The error for NaN and its like."""
    return ValueError(f"the key {key!r} is not equal to itself, so it would never be found again")


def shortened(text: str, lines: int = 60) -> str:
    """The text, or its first lines and how many there are more."""
    all_lines = text.splitlines()
    more = len(all_lines) - lines
    return text if more <= 0 else "\n".join([*all_lines[:lines], f"… and {more:,} lines more"])

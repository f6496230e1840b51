"""What every key index promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class KeyIndex(ABC, Generic[K, V]):
    @abstractmethod
    def add(self, key: K, value: V) -> None: ...

    @abstractmethod
    def get(self, key: K) -> list[V]: ...

    @abstractmethod
    def remove(self, key: K, value: V) -> int: ...

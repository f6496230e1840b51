"""What a node-level index promises: three methods, as in the reference practice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ragcourse.documents import Hit, Node


class Index(Protocol):
    """Kept up to date by the knowledge base: it sees each committed node once."""

    def update(self, nodes: Sequence[Node]) -> None:
        """Take in nodes; one whose id is known already replaces it."""
        ...

    def remove(self, ids: Iterable[str]) -> None:
        """Forget nodes; unknown ids are ignored."""
        ...

    def query(self, query: str, k: int) -> Sequence[Hit]:
        """At most ``k`` hits, best first."""
        ...


class VectorFed(ABC):
    """An index that takes the vectors which the library has of its nodes, instead of embedding anew."""

    @abstractmethod
    def add(self, nodes: Sequence[Node], vectors: NDArray[np.float32]) -> None:
        """Take in nodes with their vectors (len(nodes), dim); one whose id is known already is replaced."""

    @abstractmethod
    def remove(self, ids: Iterable[str]) -> None:
        """Forget nodes; unknown ids are ignored."""

    @abstractmethod
    def query(self, query: str, k: int) -> Sequence[Hit]:
        """At most ``k`` hits, best first."""

    def close(self) -> None:  # noqa: B027 - most hold nothing that must be released
        """Release what it holds."""

"""What every store can do, and what it refuses, said once.

A store keeps nodes with their vectors and finds the nearest ones. Adding is an upsert: the same id
again replaces. Scores are similarities (higher is better) under the store's named ``metric``.
A store knows nothing of documents that change or of crashes; that is the knowledge base's work.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragcourse.documents import Hit, Node, Scalar

Vectors = NDArray[np.float32]
Where = Mapping[str, Scalar | Sequence[Scalar]]
"""A filter: field → the value it must have, or the list of values it may have; all must hold.

Values are equal as in Python: text to text, numbers by value, and True to 1. No value: no node.
"""

Allowed = Mapping[str, Sequence[Scalar]]
"""A filter as a store sees it: field → all values it may have, at least one."""

NODE_FIELDS = ("document", "parent")
"""Fields of a node that a filter may name, besides the fields of its metadata."""


class StoreError(RuntimeError):
    """The storage engine failed; the message names the store and what can be done."""


class DamagedError(StoreError):
    """What is on the disk is not what was written there; the message names the file."""


class MismatchError(ValueError):
    """What is on the disk was written with another dimension, index or metric."""


class Store(ABC):
    """Nodes and vectors behind one interface. ``dim`` is the vectors' length, ``name`` the nodes' group."""

    kind: str
    metric: str = "cosine"
    max_text: int | None = None  # bytes of UTF-8 in the text of a node; None: no limit

    def __init__(self, dim: int, name: str = "nodes") -> None:
        if dim < 1:
            raise ValueError(f"dim is {dim}; vectors need at least one dimension")
        self.dim, self.name = dim, name

    persistent = True
    modules: tuple[str, ...] = ()
    """What the engine imports by the first use of the store; import it before timing a start."""

    @classmethod
    def home(cls, **kwargs: Any) -> Path | None:
        """Where the manifest of a library with this configuration belongs: a path to which an ending
        is added. None: in memory, or the store is a server and the caller must say."""
        return None

    def add(self, nodes: Sequence[Node], vectors: Vectors) -> None:
        """Insert or replace ``nodes``; ``vectors`` is (len(nodes), dim), finite.

        Raises ``ValueError`` for a wrong shape, NaN or infinity.
        """
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if vectors.shape != (len(nodes), self.dim):
            raise ValueError(
                f"the {self.kind} store expects vectors of shape ({len(nodes)}, {self.dim}), "
                f"got {vectors.shape}; "
                "was it written with another embedder?"
            )
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise ValueError(
                f"the vector of node {nodes[row].id} of {nodes[row].document!r} holds NaN or infinity"
            )
        if len(unique := {node.id: row for row, node in enumerate(nodes)}) < len(nodes):
            rows = list(unique.values())
            nodes, vectors = [nodes[row] for row in rows], vectors[rows]
        if nodes:
            with self._guard("adding nodes"):
                self._add(nodes, vectors)

    def delete(self, ids: Iterable[str]) -> None:
        """Remove nodes; unknown ids are ignored."""
        with self._guard("deleting nodes"):
            self._delete(list(dict.fromkeys(ids)))

    def flush(self) -> None:
        """Return only when all that was added or deleted would survive ``kill -9``."""
        with self._guard("flushing"):
            self._flush()

    @contextmanager
    def _guard(self, doing: str) -> Iterator[None]:
        try:
            yield
        except self._engine_errors() as error:
            kind = DamagedError if self._is_damage(error) else StoreError
            raise kind(f"the {self.kind} store failed while {doing}: {error}") from error

    def _engine_errors(self) -> tuple[type[Exception], ...]:
        """What the engine behind this store raises when it fails, a full disk among it."""
        return (OSError,)

    def _is_damage(self, error: Exception) -> bool:
        return False

    def restore(self, keep: Set[str]) -> None:
        """After a crash: hold the nodes ``keep`` as far as they can still be read, and no others."""
        self.delete(self.ids() - keep)
        self.flush()

    def search(self, vector: Vectors, k: int, where: Where | None = None) -> list[Hit]:
        """The ``k`` nodes most similar to ``vector`` (dim,), best first; all of them if there are fewer.

        Raises ``ValueError`` for k < 1, a wrong dimension, NaN or infinity, a value that is none.
        """
        if k < 1:
            raise ValueError(f"k is {k}; ask for at least one hit")
        vector = np.ascontiguousarray(vector, dtype=np.float32)
        if vector.shape != (self.dim,):
            raise ValueError(
                f"the {self.kind} store expects a query of shape ({self.dim},), got {vector.shape}"
            )
        if not np.isfinite(vector).all():
            raise ValueError("the query vector holds NaN or infinity")
        allowed = {field: _values(field, wanted) for field, wanted in (where or {}).items()}
        if not all(allowed.values()):
            return []
        with self._guard("searching"):
            return self._search(vector, k, allowed)

    @abstractmethod
    def _add(self, nodes: Sequence[Node], vectors: Vectors) -> None: ...

    @abstractmethod
    def _search(self, vector: Vectors, k: int, where: Allowed) -> list[Hit]: ...

    @abstractmethod
    def get(self, ids: Sequence[str]) -> list[Node]:
        """The nodes with these ids, in their order; unknown ids are left out."""

    @abstractmethod
    def _delete(self, ids: list[str]) -> None: ...

    @abstractmethod
    def count(self) -> int:
        """How many nodes there are."""

    @abstractmethod
    def ids(self) -> set[str]:
        """The ids of all nodes."""

    @abstractmethod
    def items(self, batch: int = 1024) -> Iterator[tuple[list[Node], Vectors]]:
        """All nodes with their vectors (b, dim), in batches."""

    def _flush(self) -> None:  # noqa: B027 - a store whose writes are durable at once has nothing to do
        pass

    @abstractmethod
    def drop(self) -> None:
        """Delete all nodes and what the store has on disk for this group; then ``close``."""

    @classmethod
    @abstractmethod
    def erase(cls, **kwargs: Any) -> None:
        """``drop`` without opening: also what was written with other settings, or is damaged."""

    def close(self) -> None:  # noqa: B027 - the same for a store that holds nothing open
        """Release files and connections. Closing twice is allowed."""


def _values(field: str, wanted: Scalar | Sequence[Scalar]) -> list[Scalar]:
    """All values that ``field`` may have. To an engine True is not 1: where one will do, both are named."""
    values: list[Any] = list(wanted) if isinstance(wanted, (list, tuple, set, frozenset)) else [wanted]
    for value in values:
        if not isinstance(value, (str, int, float)):
            raise ValueError(
                f"the filter of {field!r} holds a {type(value).__name__}, not text, a number or a boolean"
            )
    if field in NODE_FIELDS:
        return [value for value in values if isinstance(value, str)]
    return [*values, *(twin(value) for value in values if value in (0, 1) for twin in (bool, int))]

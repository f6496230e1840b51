"""A store in memory: a dictionary of nodes and one matrix of vectors. Gone when the process ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ragcourse.documents import Hit, Node
from ragcourse.stores.base import NODE_FIELDS, Allowed, Store, Vectors


class MapStore(Store):
    """Exact search: one inner product a row, O(n·dim), rows of unit length.

    Rows are filled from the front; a deleted row takes over the last one, so that the matrix stays
    dense. Searching and changing from several threads is safe.
    """

    kind = "map"
    persistent = False

    def __init__(self, dim: int, name: str = "nodes") -> None:
        super().__init__(dim, name)
        self._nodes: list[Node] = []
        self._row: dict[str, int] = {}
        self._matrix = np.empty((64, dim), np.float32)  # (capacity, dim)
        self._lock = threading.RLock()

    def _add(self, nodes: Sequence[Node], vectors: Vectors) -> None:
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        norms[(norms == 0) | (np.abs(norms - 1) < 1e-6)] = 1  # a unit vector keeps its bits, however often
        unit = vectors / norms
        with self._lock:
            self._grow(len(self._nodes) + len(nodes))
            for node, vector in zip(nodes, unit, strict=True):
                row = self._row.setdefault(node.id, len(self._nodes))
                if row == len(self._nodes):
                    self._nodes.append(node)
                else:
                    self._nodes[row] = node
                self._matrix[row] = vector

    def _grow(self, needed: int) -> None:
        capacity = len(self._matrix)
        if needed > capacity:
            larger = np.empty((max(needed, 2 * capacity), self.dim), np.float32)
            larger[: len(self._nodes)] = self._matrix[: len(self._nodes)]
            self._matrix = larger

    def _search(self, vector: Vectors, k: int, where: Allowed) -> list[Hit]:
        norm = float(np.linalg.norm(vector))
        query = vector / norm if norm > 0 else vector
        with self._lock:
            rows = self._matching(where) if where else None  # (m,) or all
            matrix = self._matrix[: len(self._nodes)]
            # vecdot, not @: BLAS wakes all cores even for one query, and on busy ones waits for the last
            scores = np.vecdot(matrix if rows is None else matrix[rows], query)  # (n,) or (m,)
            best = np.argpartition(-scores, k - 1)[:k] if k < len(scores) else np.arange(len(scores))
            best = best[np.argsort(-scores[best], kind="stable")]
            found = best if rows is None else rows[best]
            return [Hit(self._nodes[row], float(scores[i])) for i, row in zip(best, found, strict=True)]

    def _matching(self, where: Allowed) -> np.ndarray:
        tests = [(field, frozenset(values)) for field, values in where.items()]
        rows = [
            row
            for row, node in enumerate(self._nodes)
            if all(
                (getattr(node, field) if field in NODE_FIELDS else node.metadata.get(field)) in allowed
                for field, allowed in tests
            )
        ]
        return np.array(rows, dtype=np.intp)

    def get(self, ids: Sequence[str]) -> list[Node]:
        with self._lock:
            return [self._nodes[self._row[node_id]] for node_id in ids if node_id in self._row]

    def _delete(self, ids: list[str]) -> None:
        with self._lock:
            for node_id in ids:
                row = self._row.pop(node_id, None)
                if row is None:
                    continue
                last = self._nodes.pop()
                if row < len(self._nodes):
                    self._nodes[row] = last
                    self._row[last.id] = row
                    self._matrix[row] = self._matrix[len(self._nodes)]

    def count(self) -> int:
        return len(self._nodes)

    def ids(self) -> set[str]:
        with self._lock:
            return set(self._row)

    def items(self, batch: int = 1024) -> Iterator[tuple[list[Node], Vectors]]:
        with self._lock:
            nodes, matrix = list(self._nodes), self._matrix[: len(self._nodes)].copy()
        for start in range(0, len(nodes), batch):
            yield nodes[start : start + batch], matrix[start : start + batch]

    def drop(self) -> None:
        with self._lock:
            self._nodes, self._row = [], {}

    @classmethod
    def erase(cls, **kwargs: Any) -> None:
        pass

"""Flat: no structure at all. Every row is looked at, so the answer is exact; the others are judged by it.

One query is a scan: n·dim multiplications, and all n·dim·4 bytes come from memory. A batch is a matrix
product in blocks of rows, each followed by a pass that keeps the k smallest (see ``distance.py``): the
idea of blocking for the cache is that of Goto and van de Geijn (ACM TOMS 34, 2008), which BLAS puts into
practice.

=======  ==================================  ===============
symbol   meaning                             shape
=======  ==================================  ===============
rows     the vectors, in the order of slots  (room, dim)
norms    ‖x‖² of each row, for l2            (room,)
=======  ==================================  ===============

Adding: O(dim). Removing: O(dim), the last row fills the hole. Searching: O(n·dim) for each query.

Where it loses: everywhere, once n is large. At 1,000,000 × 384 one query reads 1.5 GB. Where it wins: a
few thousand rows, few allowed ids, or a batch of queries so large that an index would visit all rows
anyway.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragcourse.indexes.vectors.base import Floats, Ints, Mask, Metric, VectorIndex, grown, stored
from ragcourse.indexes.vectors.distance import (
    BLOCK,
    heaps,
    keep_block,
    refined,
    scan,
    sort_heaps,
    squared_norms,
)

BATCH = 3
"""From so many queries on a matrix product is faster than a scan for each."""

FEW = 0.25
"""Below this share of allowed rows they are copied together first; above it, all are measured."""

_ALL = np.zeros(0, np.bool_)


class Flat(VectorIndex):
    """Exact search by looking at every row; ``Flat(dim, metric)``."""

    kind = "flat"

    def __init__(self, dim: int, metric: Metric = "l2") -> None:
        super().__init__(dim, metric)
        self._room = np.empty((0, self.dim), np.float32)
        self._norms = np.empty(0, np.float32)

    @property
    def rows(self) -> Floats:
        """The vectors (len, dim), in the order of ``ids``; of unit length under cosine."""
        return self._room[: len(self)]

    def _add(self, rows: Floats) -> None:
        first, count = len(self), len(self) + len(rows)
        self._room, self._norms = grown(self._room, count), grown(self._norms, count)
        self._room[first:count] = rows
        self._norms[first:count] = squared_norms(rows)

    def _remove(self, gone: Ints, source: Ints, target: Ints) -> None:
        self._room[target] = self._room[source]
        self._norms[target] = self._norms[source]

    def _search(self, queries: Floats, k: int, mask: Mask | None, **tuning: int) -> tuple[Ints, Floats]:
        l2, norms = self.metric == "l2", self._norms[: len(self)]
        if mask is not None and (few := np.flatnonzero(mask)).size < FEW * len(self):
            best, at = exact(queries, self.rows[few], norms[few], l2, k)
            return few[at], best
        best, at = exact(queries, self.rows, norms, l2, k, mask)
        return at, best

    def _settings(self) -> dict[str, Any]:
        return {"dim": self.dim, "metric": self.metric}

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {"rows": self.rows}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._room = stored(arrays, "rows", np.float32, len(self), self.dim)
        self._norms = squared_norms(self._room)

    def _memory(self) -> int:
        return self._room.nbytes + self._norms.nbytes

    def _check(self) -> None:
        assert len(self._room) >= len(self) and len(self._norms) >= len(self), "fewer rows than vectors"
        wanted = squared_norms(self.rows)
        wrong = np.flatnonzero(~np.isclose(self._norms[: len(self)], wanted, rtol=1e-5))
        assert not len(wrong), f"norms of slots {wrong[:5]} are not those of their rows"


def exact(
    queries: Floats, rows: Floats, norms: Floats, l2: bool, k: int, mask: Mask | None = None
) -> tuple[Floats, Ints]:
    """The k nearest of all rows, or of those allowed: distances and row numbers (nq, k), nearest first."""
    best, at = heaps(len(queries), k)
    if len(queries) < BATCH:
        zeros = np.zeros(len(queries), np.int64)  # all of them look into range 0, and that begins at row 0
        who, size, allowed = np.arange(len(queries)), np.array([len(rows)]), _ALL if mask is None else mask
        scan(queries, rows, l2, zeros, size, who, zeros, allowed, best, at)
        sort_heaps(best, at)
        return best, at
    scaled = queries * np.float32(-2 if l2 else -1)
    everyone = np.arange(len(queries))
    block = np.empty((len(queries), BLOCK), np.float32)
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        full = len(part) == BLOCK
        distances = np.matmul(scaled, part.T, out=block if full else None)  # (nq, ≤ BLOCK)
        if l2:
            distances += norms[start : start + BLOCK]
        if mask is not None:
            distances[:, ~mask[start : start + BLOCK]] = np.inf
        keep_block(distances, start, everyone, best, at)
    sort_heaps(best, at)
    if l2 and len(doubtful := np.flatnonzero(refined(queries, rows, norms, best, at))):
        for one in doubtful:
            again = exact(queries[one : one + 1], rows, norms, l2, k, mask)
            best[one], at[one] = again[0][0], again[1][0]
    return best, at

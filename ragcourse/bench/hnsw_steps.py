"""From a search that is merely compiled to the library's: the steps between, each a choice that can be timed.

All of them walk layer 0 of one and the same graph, from one entry point, and compute the same distances in
the same order; so they find the same neighbours, and only the time differs. Lesson 06 puts them in a row:

==============  ==================================================  =========================================
step            before                                              after
==============  ==================================================  =========================================
dot product     sums in the order that is written, in float64       ``fastmath``: the compiler may reorder
candidates      two heaps, as in the paper                          one sorted array of ``ef``
links           a list with an array for each node                  one matrix, padded with -1
seen before?    an array set to zero for each query                 a number that grows by one for each query
==============  ==================================================  =========================================

The library adds two more: it asks for the neighbours' vectors before it needs them, and walks on int8 codes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import Any, NamedTuple

import numpy as np
from numba.typed import List
from numpy.typing import NDArray

from ragcourse.compiled import kernel

Floats = NDArray[np.float32]
Links = NDArray[np.int32]
Found = NDArray[np.int64]


@kernel
def dot_as_written(vectors: Floats, node: int, q: Floats) -> float:
    """The inner product as one would write it."""
    total = 0.0
    for j in range(len(q)):
        total += vectors[node, j] * q[j]
    return total


@kernel(fastmath={"reassoc", "contract"})
def dot(vectors: Floats, node: int, q: Floats) -> np.float32:
    """The same, and the compiler may add in any order: it then works on 8 or 16 numbers at a time."""
    total = np.float32(0)
    for j in range(len(q)):
        total += vectors[node, j] * q[j]
    return total


@kernel
def away(vectors: Floats, node: int, q: Floats, fast: bool) -> np.float32:
    """Minus the inner product, by the one or by the other."""
    return -dot(vectors, node, q) if fast else np.float32(-dot_as_written(vectors, node, q))


@kernel
def walk_with_heaps(
    vectors: Floats, links: Any, entry: int, queries: Floats, ef: int, fast: bool, found: Found
) -> None:
    """Algorithm 2 with its two heaps for each query (nq, dim); ``found`` (nq, k) takes the nodes."""
    seen = np.empty(len(vectors), np.uint8)
    for i in range(len(queries)):
        q = queries[i]
        seen[:] = 0
        seen[entry] = 1
        candidates: list[Any] = [(away(vectors, entry, q, fast), entry)]
        best: list[Any] = [(-candidates[0][0], entry)]
        while len(candidates):
            d, node = heappop(candidates)
            if len(best) == ef and d > -best[0][0]:
                break
            for other in links[node]:
                if other >= 0 and not seen[other]:
                    seen[other] = 1
                    d = away(vectors, other, q, fast)
                    if len(best) < ef or d < -best[0][0]:
                        heappush(candidates, (d, np.int64(other)))
                        heappush(best, (-d, np.int64(other)))
                        if len(best) > ef:
                            heappop(best)
        while len(best):  # the farthest comes first
            last = len(best) - 1
            node = heappop(best)[1]
            if last < found.shape[1]:
                found[i, last] = node


@kernel
def walk_with_pool(
    vectors: Floats, links: Any, entry: int, queries: Floats, ef: int, stamped: bool, found: Found
) -> None:
    """The same walk with one sorted array: what was expanded in it is marked by ~node."""
    seen, stamp = np.zeros(len(vectors), np.uint32), np.uint32(0)
    pool, distances = np.empty(ef, np.int64), np.empty(ef, np.float32)
    for i in range(len(queries)):
        q = queries[i]
        if not stamped:
            seen[:] = 0
            stamp = np.uint32(0)
        stamp += np.uint32(1)
        seen[entry] = stamp
        pool[0], distances[0], size, first = entry, away(vectors, entry, q, True), 1, 0
        while first < size:
            node = pool[first]
            pool[first] = ~node
            for other in links[node]:
                if other >= 0 and seen[other] != stamp:
                    seen[other] = stamp
                    d = away(vectors, other, q, True)
                    if size < ef or d < distances[size - 1]:
                        size = min(size + 1, ef)
                        at = size - 1
                        while at > 0 and distances[at - 1] > d:
                            pool[at], distances[at] = pool[at - 1], distances[at - 1]
                            at -= 1
                        pool[at], distances[at] = other, d
                        first = min(first, at)
            while first < size and pool[first] < 0:
                first += 1
        for j in range(min(size, found.shape[1])):
            found[i, j] = ~pool[j]


@kernel
def as_lists(links: Links) -> Any:
    """The rows of a matrix of links (n, m) as separate arrays without the padding, in a typed list."""
    rows = List()
    for i in range(len(links)):
        rows.append(links[i, : np.sum(links[i] >= 0)].copy())
    return rows


class Step(NamedTuple):
    """One step: how the candidates are kept, and which of the choices above are made."""

    name: str
    pool: bool
    matrix: bool
    choice: bool  # of heaps: the fast dot product; of the pool: stamps


STEPS = (
    Step("compiled as it stands", pool=False, matrix=False, choice=False),
    Step("+ fastmath in the dot product", pool=False, matrix=False, choice=True),
    Step("+ a sorted pool, no heaps", pool=True, matrix=False, choice=False),
    Step("+ one matrix of links", pool=True, matrix=True, choice=False),
    Step("+ a stamp, nothing set to zero", pool=True, matrix=True, choice=True),
)


def search(step: Step, vectors: Floats, links: Any, entry: int, queries: Floats, k: int, ef: int) -> Found:
    """Nodes (nq, k), nearest first by inner product; ``links`` as ``step.matrix`` says."""
    found = np.full((len(queries), k), -1, np.int64)
    walk = walk_with_pool if step.pool else walk_with_heaps
    walk(vectors, links, entry, queries, max(ef, k), step.choice, found)
    return found


def scan(vectors: Floats, queries: Floats, k: int) -> Found:
    """The exact answer (nq, k) by inner product, one query after the other."""
    found = np.empty((len(queries), k), np.int64)
    for i, q in enumerate(queries):
        scores = vectors @ q  # (n,)
        nearest = np.argpartition(-scores, k - 1)[:k]
        found[i] = nearest[np.argsort(-scores[nearest])]
    return found


def runs(
    vectors: Floats, links: Links, entry: int, queries: Floats, k: int, ef: int
) -> dict[str, Callable[[], Found]]:
    """Name of each step → a call that searches all the queries with it; ``links`` is layer 0, (n, m)."""
    matrix = np.ascontiguousarray(links)
    lists = as_lists(matrix)
    return {
        step.name: partial(search, step, vectors, matrix if step.matrix else lists, entry, queries, k, ef)
        for step in STEPS
    }

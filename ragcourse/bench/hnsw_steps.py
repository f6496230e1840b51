"""From a search that is merely compiled to the library's: the steps between, each a choice that can be timed.

All of them walk layer 0 of one and the same graph, from one entry point, and compute the same distances in
the same order; so they find the same neighbours, and only the time differs. Lesson 06 puts them in a row:

==============  ==================================================  =========================================
step            before                                              after
==============  ==================================================  =========================================
dot product     sums in the order that is written, in float64       ``fastmath``: the compiler may reorder
links           a list with an array for each node                  one matrix, padded with -1
candidates      two heaps, as in the paper                          one sorted array of ``ef``
seen before?    an array set to zero for each query                 a number that grows by one for each query
==============  ==================================================  =========================================

The library adds two more: it asks for the neighbours' vectors before it needs them, and walks on int8 codes.
"""

from __future__ import annotations

from collections.abc import Sequence
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
def dot_as_written(vectors, node, q):
    """The inner product as one would write it."""
    total = 0.0
    for j in range(len(q)):
        total += vectors[node, j] * q[j]
    return total


@kernel(fastmath={"reassoc", "contract"})
def dot(vectors, node, q):
    """The same, and the compiler may add in any order: it then works on 8 or 16 numbers at a time."""
    total = np.float32(0)
    for j in range(len(q)):
        total += vectors[node, j] * q[j]
    return total


@kernel
def away(vectors, node, q, fast):
    """Minus the inner product, by the one or by the other."""
    return -dot(vectors, node, q) if fast else np.float32(-dot_as_written(vectors, node, q))


@kernel
def walk_with_heaps(vectors, links, entry, queries, ef, fast, found):
    """Algorithm 2 with its two heaps, for each of the queries (nq, dim); ``found`` (nq, k) takes the nodes."""
    seen = np.empty(len(vectors), np.uint8)
    for i in range(len(queries)):
        q = queries[i]
        seen[:] = 0
        seen[entry] = 1
        candidates = [(away(vectors, entry, q, fast), entry)]
        best = [(-candidates[0][0], entry)]
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
        best.sort(reverse=True)
        for j in range(min(len(best), found.shape[1])):
            found[i, j] = best[j][1]


@kernel
def walk_with_pool(vectors, links, entry, queries, ef, stamped, found):
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


class Step(NamedTuple):
    """One step: how the candidates are kept, and which of the choices above are made."""

    name: str
    pool: bool
    matrix: bool
    choice: bool  # of heaps: the fast dot product; of the pool: stamps


STEPS = (
    Step("compiled as it stands", pool=False, matrix=False, choice=False),
    Step("+ fastmath in the dot product", pool=False, matrix=False, choice=True),
    Step("+ one matrix of links", pool=False, matrix=True, choice=True),
    Step("+ a sorted pool, no heaps", pool=True, matrix=True, choice=False),
    Step("+ a stamp, nothing set to zero", pool=True, matrix=True, choice=True),
)


def search(step: Step, vectors: Floats, links: Any, entry: int, queries: Floats, k: int, ef: int) -> Found:
    """Nodes (nq, k), nearest first by inner product; ``links`` as ``step.matrix`` says (see `as_lists`)."""
    found = np.full((len(queries), k), -1, np.int64)
    walk = walk_with_pool if step.pool else walk_with_heaps
    walk(vectors, links, entry, queries, max(ef, k), step.choice, found)
    return found


def as_lists(links: Links) -> Sequence[Links]:
    """The rows of a matrix of links (n, m) as separate arrays without the padding, in a typed list."""
    rows = List()
    for row in links:
        rows.append(np.ascontiguousarray(row[row >= 0]))
    return rows  # type: ignore[no-any-return]

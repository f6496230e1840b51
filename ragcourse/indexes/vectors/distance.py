"""Distances, and the k smallest of them: the two halves of every search in this folder.

Inside an index smaller is nearer, whatever the metric:

=======  =====================  ==================================================
metric   distance               as a matrix product, for a block of queries
=======  =====================  ==================================================
l2       ‖q − x‖²               ‖q‖² + (‖x‖² − 2 q·x); ‖q‖² orders nothing, left out
ip       −q·x                   the product itself
cosine   −q·x, unit lengths     the product itself
=======  =====================  ==================================================

On unit vectors the three agree on the order: ‖q − x‖² = 2 − 2 q·x.

One query reads every row once and does little with it, so the memory sets the pace and a plain loop
is as good as anything. Many queries can use a row while it is in the cache, which is what the blocks of
a matrix product (BLAS) do: five to ten times more work a second. The product has a price: ‖x‖² − 2 q·x
is the difference of two large numbers when the vectors lie far from the origin and close together.
``refined`` measures the found rows anew, and says which queries rounding may have misled.

The k smallest are kept in a binary max-heap (Williams, Algorithm 232, CACM 1964): its root is the worst
of the k, so nearly every distance is turned away by one comparison, and a block of them by one pass
that the compiler vectorises. O(n + k·log(n/k)·log k) expected for n distances in random order.

=========  ==================================  ==============
symbol     meaning                             shape
=========  ==================================  ==============
queries    the vectors asked for               (nq, dim)
rows       the vectors in the index            (n, dim)
norms      ‖x‖² of each row                    (n,)
best       the k smallest distances so far     (nq, k)
at         the row of each, -1 for none        (nq, k)
=========  ==================================  ==============

Every kernel that calls another stands in this file: Numba's cache does not see an edit elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ragcourse.compiled import kernel

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

BLOCK = 1024
"""Rows in one matrix product: a block of 100 × 1024 distances stays in the second-level cache."""


@kernel(fastmath={"reassoc", "contract"})
def squared_l2(a: Floats, b: Floats) -> np.float32:
    """‖a − b‖²; the sum may be reordered, which lets it run in vector registers."""
    total = np.float32(0)
    for j in range(a.shape[0]):
        difference = a[j] - b[j]
        total += difference * difference
    return total


@kernel(fastmath={"reassoc", "contract"})
def dot(a: Floats, b: Floats) -> np.float32:
    """a·b."""
    total = np.float32(0)
    for j in range(a.shape[0]):
        total += a[j] * b[j]
    return total


@kernel
def replace_worst(best: Floats, at: Ints, distance: float, row: int) -> None:
    """Put ``distance`` in the place of the root, and let it sink to where the heap is a heap again."""
    k, here = best.shape[0], 0
    while 2 * here + 1 < k:
        child = 2 * here + 1
        if child + 1 < k and best[child + 1] > best[child]:
            child += 1
        if best[child] <= distance:
            break
        best[here], at[here] = best[child], at[child]
        here = child
    best[here], at[here] = distance, row


@kernel
def nearer(distances: Floats, worst: float) -> int:
    """How many of a few distances are below ``worst``: one pass without a branch."""
    count = 0
    for j in range(distances.shape[0]):
        count += distances[j] < worst
    return count


@kernel
def keep(distances: Floats, first: int, best: Floats, at: Ints) -> None:
    """Keep those of ``distances`` (n,) that belong to the smallest; they are of rows ``first`` …"""
    n, step = distances.shape[0], 64
    for start in range(0, n, step):
        stop = min(start + step, n)
        if nearer(distances[start:stop], best[0]):
            for j in range(start, stop):
                if distances[j] < best[0]:
                    replace_worst(best, at, distances[j], first + j)


@kernel
def keep_block(block: Floats, first: int, who: Ints, best: Floats, at: Ints) -> None:
    """``keep`` for each row of a block (b, n) of distances; row i belongs to query ``who[i]``."""
    for i in range(block.shape[0]):
        keep(block[i], first, best[who[i]], at[who[i]])


@kernel
def keep_spans(distances: Floats, bounds: Ints, best: Floats, at: Ints) -> None:
    """``keep`` for queries whose distances lie one behind the other; those of query i begin at ``bounds[i]``.

    ``at`` counts from there.
    """
    for i in range(best.shape[0]):
        keep(distances[bounds[i] : bounds[i + 1]], 0, best[i], at[i])


@kernel
def sort_heaps(best: Floats, at: Ints) -> None:
    """Nearest first: take the root of the heap, the worst, to the end, again and again (heap sort)."""
    for i in range(best.shape[0]):
        for last in range(best.shape[1] - 1, 0, -1):
            distance, row = best[i, last], at[i, last]
            best[i, last], at[i, last] = best[i, 0], at[i, 0]
            replace_worst(best[i, :last], at[i, :last], distance, row)


@kernel
def distances_to(query: Floats, rows: Floats, l2: bool, first: int, distances: Floats) -> None:
    """The distance of a query (dim,) to each of the rows ``first`` …, into ``distances`` (n,)."""
    if l2:
        for j in range(distances.shape[0]):
            distances[j] = squared_l2(query, rows[first + j])
    else:
        for j in range(distances.shape[0]):
            distances[j] = -dot(query, rows[first + j])


@kernel
def scan(
    queries: Floats, rows: Floats, l2: bool,
    starts: Ints, sizes: Ints, who: Ints, where: Ints, allowed: Mask, best: Floats, at: Ints,
) -> None:  # fmt: skip
    """The nearest rows of some ranges, one row after the other.

    Range r is rows ``starts[r]`` … ``starts[r] + sizes[r] - 1``; query ``who[p]`` looks into the range
    ``where[p]``, for each pair p. ``allowed`` (n,) says which rows may be found; (0,) allows all.
    """
    distances = np.empty(BLOCK, np.float32)
    for p in range(who.shape[0]):
        i, r = who[p], where[p]
        for start in range(starts[r], starts[r] + sizes[r], BLOCK):
            count = min(BLOCK, starts[r] + sizes[r] - start)
            distances_to(queries[i], rows, l2, start, distances[:count])
            if allowed.shape[0]:
                for j in range(count):
                    if not allowed[start + j]:
                        distances[j] = np.inf
            keep(distances[:count], start, best[i], at[i])


@kernel
def measure(queries: Floats, rows: Floats, l2: bool, at: Ints, best: Floats) -> None:
    """The exact distances of each query to its own rows ``at`` (nq, k), infinite for row -1."""
    for i in range(at.shape[0]):
        for j in range(at.shape[1]):
            if at[i, j] < 0:
                best[i, j] = np.inf
            elif l2:
                best[i, j] = squared_l2(queries[i], rows[at[i, j]])
            else:
                best[i, j] = -dot(queries[i], rows[at[i, j]])


def heaps(queries: int, k: int) -> tuple[Floats, Ints]:
    """Heaps without an entry: infinite distances, row -1."""
    return np.full((queries, k), np.inf, np.float32), np.full((queries, k), -1, np.int64)


def squared_norms(rows: Floats) -> Floats:
    """‖x‖² of each row (n,)."""
    return np.asarray(np.einsum("ij,ij->i", rows, rows))


def refined(queries: Floats, rows: Floats, norms: Floats, best: Floats, at: Ints) -> Mask:
    """Measure what a matrix product found anew under l2, and sort; true where it may have missed a row.

    The product errs by some units in the last place of (‖q‖ + ‖x‖)². Where that is more than 1/10,000 of
    the distance of the k-th neighbour, the query wants a scan: far from the origin, or all rows equal.
    """
    measure(queries, rows, True, at, best)
    order = np.argsort(best, axis=1, kind="stable")
    best[:], at[:] = np.take_along_axis(best, order, 1), np.take_along_axis(at, order, 1)
    longest = np.linalg.norm(queries, axis=1) + np.sqrt(norms.max(initial=0))
    found = np.where(np.isfinite(best), best, 0).max(axis=1)
    return np.asarray(4 * np.finfo(np.float32).eps * longest**2 > 1e-4 * found)

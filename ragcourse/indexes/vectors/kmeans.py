"""k-means: k centroids such that the points lie near their nearest one.

Lloyd's algorithm (Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28, 1982; written
in 1957) repeats two steps, and neither can make the objective Σ ‖x − c(x)‖² larger:

1. **assign** each point to its nearest centroid: ‖x − c‖² = ‖x‖² + (‖c‖² − 2 c·x), a matrix product and a
   minimum over each column;
2. **update** each centroid to the mean of its points.

It ends in a minimum that depends on the start: k points drawn at random, or k-means++ (Arthur and
Vassilvitskii, SODA 2007, section 2.2), which draws the next centroid with a probability in proportion to
the squared distance from those drawn before. A centroid that loses all of its points is put on a point
that lies far from its own. ``spherical`` keeps the centroids at length 1, for cosine and inner product
(Dhillon and Modha, Machine Learning 42, 2001).

==========  =====================================  ==========
symbol      meaning                                shape
==========  =====================================  ==========
points      what is clustered                      (n, d)
centroids   c_0 … c_(k−1)                          (k, d)
cells       the nearest centroid of each point     (n,)
errors      ‖x − c(x)‖²                            (n,)
==========  =====================================  ==========

An iteration costs O(n·k·d), all of it the matrix product. Centroids are means, and means need few
points: a sample of 50 to 100 a centroid gives nearly the objective of a million, in a fraction of the time.

Where it loses: clusters of very different size or shape, and data without clusters in many dimensions,
where all distances are alike.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ragcourse.compiled import kernel

Floats = NDArray[np.float32]
Cells = NDArray[np.int32]

_BLOCK = 512  # points in one matrix product: its (k, 512) distances stay in the cache


class Clustering(NamedTuple):
    """``centroids`` (k, d), and the ``objective`` before each update, as a mean per point."""

    centroids: Floats
    objective: list[float]


@kernel(fastmath={"contract"})
def column_minima(products: Floats, norms: Floats, lowest: Floats, where: Cells) -> None:
    """The least of each column of ``products + norms[:, None]`` (k, n), and its row; all columns at once."""
    for i in range(lowest.shape[0]):
        lowest[i] = np.inf
        where[i] = 0
    for c in range(products.shape[0]):
        row, norm, cell = products[c], norms[c], np.int32(c)
        for i in range(lowest.shape[0]):
            value = norm + row[i]
            nearer = value < lowest[i]
            lowest[i] = value if nearer else lowest[i]
            where[i] = cell if nearer else where[i]


@kernel
def sums_of_cells(points: Floats, cells: Cells, sums: Floats, counts: NDArray[np.int64]) -> None:
    """Add each point to the sum of its cell."""
    for i in range(points.shape[0]):
        total = sums[cells[i]]
        counts[cells[i]] += 1
        for j in range(points.shape[1]):
            total[j] += points[i, j]


@kernel(fastmath={"reassoc", "contract"})
def lower(points: Floats, centroid: Floats, errors: Floats) -> None:
    """``errors`` (n,) become the squared distance to ``centroid`` where that is less."""
    for i in range(points.shape[0]):
        total = np.float32(0)
        for j in range(points.shape[1]):
            difference = points[i, j] - centroid[j]
            total += difference * difference
        errors[i] = min(errors[i], total)


def assign(
    points: Floats, centroids: Floats, l2: bool = True, origin: Floats | None = None
) -> tuple[Cells, Floats]:
    """The nearest centroid of each point (n,), and ‖c‖² − 2 c·x of it (n,); without l2, −2 c·x decides.

    Both are measured from ``origin`` (d,), if there is one: give one that is near, for far from the origin
    the matrix product loses its digits.
    """
    if origin is not None:
        centroids = centroids - origin
    scaled = centroids * np.float32(-2)
    norms = np.einsum("ij,ij->i", centroids, centroids) if l2 else np.zeros(len(centroids), np.float32)
    cells, lowest = np.empty(len(points), np.int32), np.empty(len(points), np.float32)
    products = np.empty((len(centroids), _BLOCK), np.float32)
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        if origin is not None:
            block = block - origin
        full = len(block) == _BLOCK
        column_minima(
            np.matmul(scaled, block.T, out=products if full else None),  # (k, ≤ 512)
            norms, lowest[start : start + _BLOCK], cells[start : start + _BLOCK],
        )  # fmt: skip
    return cells, lowest


def kmeans(
    points: Floats,
    k: int,
    iterations: int = 25,
    seed: int = 0,
    *,
    sample: int | None = None,
    start: Literal["random", "k-means++"] = "random",
    spherical: bool = False,
    tolerance: float = 0.0,
) -> Clustering:
    """Cluster ``points`` (n, d) float32 into ``k`` cells; n ≥ k.

    ``sample`` takes that many points at random, and no more. It stops before ``iterations`` when the
    objective falls by no more than the share ``tolerance`` of itself. The same seed gives the same centroids.
    """
    points = np.ascontiguousarray(points, np.float32)
    if points.ndim != 2 or not np.isfinite(points).all():
        raise ValueError(f"points have the shape {points.shape}; give finite numbers as (n, d)")
    if not 1 <= k <= len(points):
        raise ValueError(f"k is {k} for {len(points)} points; it lies between 1 and their number")
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}; one is the least")
    if start not in ("random", "k-means++"):
        raise ValueError(f"start is {start!r}; known are 'random' and 'k-means++'")
    random = np.random.default_rng(seed)
    if sample is not None and sample < len(points):
        points = points[np.sort(random.choice(len(points), max(sample, k), replace=False))]
    origin = np.zeros(points.shape[1], np.float32) if spherical else points.mean(axis=0, dtype=np.float64)
    points = points - origin.astype(np.float32)  # far from the origin the matrix product would lose digits
    lengths = np.einsum("ij,ij->i", points, points)
    centroids = _plus_plus(points, k, random) if start == "k-means++" else _drawn(points, k, random)
    objective: list[float] = []
    for _ in range(iterations):
        if spherical:
            centroids = _unit(centroids)
        cells, lowest = assign(points, centroids)
        errors = np.maximum(lowest + lengths, 0)
        objective.append(float(errors.mean(dtype=np.float64)))
        centroids = update(points, cells, errors, centroids)
        if len(objective) > 1 and objective[-2] - objective[-1] <= tolerance * objective[-2]:
            break
    return Clustering((_unit(centroids) if spherical else centroids) + origin.astype(np.float32), objective)


def update(points: Floats, cells: Cells, errors: Floats, centroids: Floats) -> Floats:
    """The mean of each cell (k, d); an empty cell moves to one of the points with the largest error."""
    sums, counts = np.zeros_like(centroids), np.zeros(len(centroids), np.int64)
    sums_of_cells(points, cells, sums, counts)
    empty = np.flatnonzero(counts == 0)
    sums /= np.maximum(counts, 1)[:, None]
    if len(empty):
        sums[empty] = points[np.argpartition(errors, -len(empty))[-len(empty) :]]
    return sums


def _drawn(points: Floats, k: int, random: np.random.Generator) -> Floats:
    return points[random.choice(len(points), k, replace=False)]


def _plus_plus(points: Floats, k: int, random: np.random.Generator) -> Floats:
    centroids = np.empty((k, points.shape[1]), np.float32)
    errors = np.full(len(points), np.inf, np.float32)
    centroids[0] = points[random.integers(len(points))]
    for c in range(1, k):
        lower(points, centroids[c - 1], errors)
        reach = np.cumsum(errors, dtype=np.float64)
        chosen = np.searchsorted(reach, random.random() * reach[-1], side="right")
        centroids[c] = points[min(int(chosen), len(points) - 1)]
    return centroids


def _unit(centroids: Floats) -> Floats:
    lengths = np.linalg.norm(centroids, axis=1, keepdims=True)
    return np.where(lengths > 0, centroids / np.where(lengths > 0, lengths, 1), centroids).astype(np.float32)

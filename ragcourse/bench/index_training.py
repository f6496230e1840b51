"""The race of k-means, and of PQ training, which is k-means in each part: ours and that of faiss."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import faiss
import numpy as np

from ragcourse.bench.index_board import Bar, Board, Side
from ragcourse.bench.index_codes import PART, codebooks
from ragcourse.bench.index_data import Floats, VectorSet
from ragcourse.bench.index_peers import Ours
from ragcourse.bench.index_race import pair, recall_of, threads_said
from ragcourse.bench.index_threads import threads
from ragcourse.indexes.vectors.kmeans import assign, kmeans
from ragcourse.indexes.vectors.pq import PQ, ProductQuantizer

_ITERATIONS = 10
_SOME = 20_000


def training(board: Board) -> None:
    """The same work to the same objective, and as each library does it by itself."""
    data = board.sets[0]
    _kmeans(board, data, min(256, len(data.vectors) // 40))
    some = data.vectors[:_SOME]
    _codebooks(board, data, some, f"the same {len(some):,} vectors and 25 iterations", 25,
               Bar("PQ training, the same work", 0.9))  # fmt: skip
    _codebooks(board, data, data.vectors, f"{len(data.vectors):,} vectors, each by its own rule", None,
               Bar("PQ training by sampling", 0.9, 5.0))  # fmt: skip


def _kmeans(board: Board, data: VectorSet, k: int) -> None:
    """All vectors, and ours on a sample of 64 a centroid, too; the objective is over all vectors."""
    points = data.vectors
    board.progress(f"{data.name}: k-means, {k} centroids")
    found: dict[str, Floats] = {}

    def theirs() -> None:
        means = faiss.Kmeans(data.dim, k, niter=_ITERATIONS, seed=1, max_points_per_centroid=len(points))
        means.train(points)
        found["faiss"] = np.asarray(means.centroids)

    def ours(name: str, sample: int | None) -> None:
        found[name] = kmeans(points, k, _ITERATIONS, seed=1, sample=sample).centroids

    calls: dict[str, Callable[[], object]] = {
        "ours": partial(ours, "ours", None),
        "ours, on a sample": partial(ours, "ours, on a sample", 64 * k),
        "faiss": theirs,
    }
    for count in board.thread_counts:
        with threads(count, numpy_too=True):
            samples = board.race(calls)
        said = {name: f"{name}, objective {_objective(points, found[name]):.4f}" for name in calls}
        sides = {name: Side(said[name], samples[name]) for name in calls}
        what = f"k-means, {k} centroids, {_ITERATIONS} iterations, {data.name}, {threads_said(count)}"
        bar = Bar("k-means", 0.9) if count == 1 else None
        board.row(what, sides["ours"], sides["faiss"], "s", bar)
        board.row(what, sides["ours, on a sample"], sides["faiss"], "s")


def _objective(points: Floats, centroids: Floats) -> float:
    """The mean squared distance to the nearest centroid."""
    lengths = np.einsum("nd,nd->n", points, points)
    return float((assign(points, centroids)[1] + lengths).mean(dtype=np.float64))


def _codebooks(
    board: Board, data: VectorSet, sample: Floats, what: str, iterations: int | None, bar: Bar
) -> None:
    """The same ``iterations`` on both sides, or each library's own rule; recall over all vectors."""
    m = data.dim // PART
    board.progress(f"{data.name}: PQ training, {what}")
    found: dict[str, ProductQuantizer] = {}

    def ours() -> None:
        found["ours"] = ProductQuantizer(data.dim, m)
        if iterations is None:
            found["ours"].train(sample)
        else:
            found["ours"].train(sample, iterations=iterations, at_most=len(sample))

    def theirs() -> None:
        quantizer = faiss.ProductQuantizer(data.dim, m, 8)
        if iterations is not None:
            quantizer.cp.niter = iterations
        quantizer.train(sample)
        found["faiss"] = ProductQuantizer.from_codebooks(codebooks(quantizer))

    with threads(1):
        samples = board.race({"ours": ours, "faiss": theirs})
    recalls = {}
    for name, quantizer in found.items():
        index = Ours(PQ(data.dim, quantizer=quantizer))
        index.add(data.vectors)
        recalls[name] = recall_of(data, index)
    what = f"PQ training, {m} bytes, {what}, {data.name}, 1 thread"
    board.row(what, *pair(samples, recalls), "s", bar)

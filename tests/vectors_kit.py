"""The list of vector indexes under test, and the brute force that judges them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragcourse.indexes.vectors.base import Metric, VectorIndex
from ragcourse.indexes.vectors.flat import Flat
from ragcourse.indexes.vectors.hnsw import HNSW
from ragcourse.indexes.vectors.ivf import IVF
from ragcourse.indexes.vectors.ivf_pq import IVFPQ
from ragcourse.indexes.vectors.pq import PQ
from ragcourse.indexes.vectors.scalar import SQ8

METRICS: tuple[Metric, ...] = ("l2", "ip", "cosine")


@dataclass(frozen=True)
class Kind:
    """One index: how to build it, for up to a thousand vectors, and the knobs at which it is exact."""

    name: str
    make: Callable[[int, Metric], VectorIndex]
    exactly: dict[str, int] = field(default_factory=dict)


KINDS = [
    Kind("flat", Flat),
    Kind("ivf", lambda dim, metric: IVF(dim, metric, nlist=6, nprobe=3), {"nprobe": 1000}),
    Kind("sq8", lambda dim, metric: SQ8(dim, metric, rerank=20), {"rerank": 10_000}),
    Kind("pq", lambda dim, metric: PQ(dim, metric, m=1, nbits=3, rerank=20), {"rerank": 10_000}),
    Kind(
        "ivf_pq",
        lambda dim, metric: IVFPQ(dim, metric, nlist=6, m=1, nbits=3, nprobe=3, rerank=20),
        {"nprobe": 1000, "rerank": 10_000},
    ),
    Kind(
        "hnsw",
        lambda dim, metric: HNSW(dim, metric, M=4, ef_construction=16),
        {"ef": 1000, "rerank": 1000},
    ),
]


def vectors(n: int, dim: int, seed: int = 0) -> NDArray[np.float32]:
    """``n`` vectors in a dozen clusters."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((12, dim)) * 2
    return (centres[random.integers(12, size=n)] + random.standard_normal((n, dim))).astype(np.float32)


def all_scores(queries: NDArray[Any], rows: NDArray[Any], metric: Metric) -> NDArray[np.float64]:
    """The score of each pair (nq, n), in double precision."""
    queries, rows = np.atleast_2d(queries).astype(np.float64), np.asarray(rows, np.float64)
    if metric == "cosine":
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    if metric == "l2":
        return -((queries[:, None] - rows[None]) ** 2).sum(axis=2)
    return queries @ rows.T


def shared(found: NDArray[Any], wanted: NDArray[Any]) -> int:
    """How many of the wanted ids (nq, k) were found."""
    return sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), wanted.tolist(), strict=True))


def assert_exact(
    index: VectorIndex, held: dict[int, NDArray[Any]], queries: NDArray[Any], k: int, **how: Any
) -> None:
    """What is found has the best scores of all that is held, and each id has the score of its own vector."""
    found = index.search(queries, k, **how)
    allowed = held if how.get("allowed") is None else np.atleast_1d(how["allowed"]).tolist()
    ids = np.array(sorted(set(held) & set(allowed)))
    count = min(k, len(ids))
    assert (found.ids[:, count:] == -1).all() and (found.scores[:, count:] == -np.inf).all()
    if not count:
        return
    scores = all_scores(queries, np.stack([held[id] for id in ids.tolist()]), index.metric)
    scale = 1e-5 * (1 + np.abs(scores).max())
    np.testing.assert_allclose(found.scores[:, :count], -np.sort(-scores, axis=1)[:, :count], atol=scale)
    for row, (some, their) in enumerate(zip(found.ids[:, :count], found.scores[:, :count], strict=True)):
        assert len(set(some.tolist())) == count, f"query {row} found an id twice: {some}"
        np.testing.assert_allclose(scores[row, np.searchsorted(ids, some)], their, atol=scale)


def live(kind: Kind, metric: Metric, steps: list[tuple[str, int]], seed: int, dim: int = 5) -> None:
    """Add, remove and search as ``steps`` say, beside a dictionary; after each step all of it is compared."""
    random = np.random.default_rng(seed)
    index, held, free = kind.make(dim, metric), {}, iter(random.permutation(100_000).tolist())
    for action, count in steps:
        if action == "add":
            rows, ids = vectors(count, dim, int(random.integers(1 << 30))), [next(free) for _ in range(count)]
            index.add(rows, ids)
            held.update(zip(ids, rows, strict=True))
        elif action == "remove":
            gone = random.permutation(sorted(held))[:count].tolist()
            index.remove(gone)
            for id in gone:
                del held[id]
        queries = vectors(1 + count % 5, dim, int(random.integers(1 << 30)))
        assert len(index) == len(held) and set(index.ids.tolist()) == set(held)
        index.check()
        assert_exact(index, held, queries, 1 + count % 13, **kind.exactly)
        some = random.permutation(sorted(held))[: count // 2].tolist() if action == "search" else None
        assert_exact(index, held, queries, 4, **kind.exactly, allowed=some)
